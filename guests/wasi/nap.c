// Sleeps for as many milliseconds as its argument says, and tells.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: nap MILLISECONDS\n");
        return 2;
    }
    long ms = atol(argv[1]);
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
    printf("slept for %ld ms\n", ms);
    return 0;
}
