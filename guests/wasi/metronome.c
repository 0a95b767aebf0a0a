// Wakes at absolute times, and tells how far apart they were. Like a Go program, it refuses a monotonic clock that reads zero.
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void) {
    long long start = now();
    if (start == 0) {
        fputs("the monotonic clock reads zero\n", stderr);
        return 2;
    }
    for (int beat = 1; beat <= 4; beat++) {
        long long at = start + beat * 10000000LL;
        struct timespec time = {at / 1000000000, at % 1000000000};
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0) {
            return 3;
        }
        printf("beat %d after %lld ns\n", beat, now() - start);
    }
    return 0;
}
