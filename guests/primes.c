// Prime numbers, the slow way: a guest that computes for a while, and yields now and then.

#include "../guest-kit/wasm_jobs.h"

#include <stdbool.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

enum { NUMBERS_A_STEP = 1000 };

static bool is_prime(uint32_t n) {
    if (n < 2)
        return false;
    for (uint32_t d = 2; (uint64_t)d * d <= n; d++)
        if (n % d == 0)
            return false;
    return true;
}

// How many numbers from `from` up to, but not including, `to` are prime.
int32_t EXPORT(count_primes)(int32_t from, int32_t to) {
    int32_t primes = 0;
    for (int32_t n = from; n < to; n++) {
        primes += n >= 0 && is_prime(n);
        if ((n - from) % NUMBERS_A_STEP == NUMBERS_A_STEP - 1)
            wasm_jobs_yield();
    }
    return primes;
}
