// A guest with debug information: its calls sleep some functions deep.

__attribute__((import_module("env"), import_name("sleep"))) void sleep_for(long long nanoseconds);

__attribute__((noinline)) static int dream(int depth) {
    if (depth == 0) {
        sleep_for(1000);
        return 1;
    }
    int inner = dream(depth - 1);
    return inner * 2 + depth;
}

__attribute__((export_name("night"))) int night(int depth) {
    return dream(depth) + 1;
}
