// A guest that uses the kit, in C. The other guests of this folder do the same in other languages.

#include "../../guest-kit/wasm_jobs.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

enum { NANOSECONDS_A_MILLISECOND = 1000000 };

// The sum of the numbers from 1 to `last`. Yields after each.
int64_t EXPORT(sum)(int32_t last) {
    int64_t sum = 0;
    for (int32_t number = 1; number <= last; number++) {
        sum += number;
        wasm_jobs_yield();
    }
    return sum;
}

void EXPORT(nap)(int32_t milliseconds) {
    wasm_jobs_sleep((uint64_t)milliseconds * NANOSECONDS_A_MILLISECOND);
}

// Computes, and never stops.
void EXPORT(spin)(void) {
    for (volatile uint32_t turns = 0;; turns++) {
    }
}

void EXPORT(fail)(void) {
    wasm_jobs_panic("the berries are gone");
}
