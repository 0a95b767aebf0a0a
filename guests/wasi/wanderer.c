// Wanders about: computes, draws random numbers, sleeps, yields, polls, and tells what time it is. All that it prints
// follows from its argument, its random numbers and its clock.

#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static uint32_t work(uint32_t seed, int times) {
    for (int n = 0; n < times; n++)
        seed = seed * 1664525 + 1013904223;
    return seed;
}

int main(int argc, char **argv) {
    uint32_t state = argc == 2 ? (uint32_t)atol(argv[1]) : 0;
    for (int step = 0; step < 20; step++) {
        uint32_t random;
        getentropy(&random, sizeof random);
        state = work(state ^ random, random % 20000);
        switch (random % 4) {
        case 0:
            sched_yield();
            break;
        case 1:
            usleep(random % 30000);
            break;
        case 2: {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += random % 5000000;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
            clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
            break;
        }
        case 3: {
            struct pollfd input = {0, random % 8 < 4 ? POLLIN : 0, 0};
            poll(&input, 1, random % 20);
            break;
        }
        }
        printf("%d %08x %lld %lld\n", step, state, now(CLOCK_MONOTONIC), now(CLOCK_REALTIME));
    }
    printf("%08x\n", state);
    return state % 5;
}
