// Sleeps ten times, each time for 1 to 50 ms at random, and tells by how many microseconds it woke up late.

#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(void) {
    // Each line when it is written, although nobody reads along on a terminal.
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (int i = 0; i < 10; i++) {
        uint32_t random;
        if (getentropy(&random, sizeof random) != 0) {
            return 1;
        }
        int64_t deadline = now() + 1000000 + random % 49000000;
        struct timespec time = {deadline / 1000000000, deadline % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
        printf("%lld\n", (long long)(now() - deadline) / 1000);
    }
    return 0;
}
