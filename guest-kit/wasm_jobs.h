// The kit for guests of wasm-jobs, for C and C++: this header is all of it.
//
// A guest that includes it yields, sleeps, and says why it panics. Each function imports something from the host, and only if it is used:
//
//                        a freestanding module    a module with wasi-libc    a component
//     wasm_jobs_yield    env.yield                sched_yield                wasm-jobs:guest/host yield-now
//     wasm_jobs_sleep    env.sleep                nanosleep                  wasm-jobs:guest/host sleep
//     wasm_jobs_panic    env.panic                env.panic                  wasm-jobs:guest/host panic
//
// The host defines them by `guest_kit::add_to_linker`, `guest_kit::add_to_component_linker` and, for the C library's functions,
// `wasi::add_to_linker`. To make a component, define WASM_JOBS_COMPONENT before the header, and include the world `imports` of `wit/guest.wit`
// in that of the component.

#ifndef WASM_JOBS_H
#define WASM_JOBS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__wasi__) && !defined(WASM_JOBS_COMPONENT)
#include <sched.h>
#include <time.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifdef WASM_JOBS_COMPONENT
#define WASM_JOBS_IMPORT(module_name, component_name) \
    __attribute__((import_module("wasm-jobs:guest/host@0.1.0"), import_name(component_name)))
#else
#define WASM_JOBS_IMPORT(module_name, component_name) \
    __attribute__((import_module("env"), import_name(module_name)))
#endif

WASM_JOBS_IMPORT("yield", "yield-now") void wasm_jobs_import_yield(void);
WASM_JOBS_IMPORT("sleep", "sleep") void wasm_jobs_import_sleep(uint64_t nanoseconds);
WASM_JOBS_IMPORT("panic", "panic") void wasm_jobs_import_panic(const char *message, size_t bytes);

#if defined(__wasi__) && !defined(WASM_JOBS_COMPONENT)
// The C library hides it if the language is plain C.
int nanosleep(const struct timespec *, struct timespec *);
#endif

// Ends the step of the call. The guest goes on here in the next step.
static inline void wasm_jobs_yield(void) {
#if defined(__wasi__) && !defined(WASM_JOBS_COMPONENT)
    sched_yield();
#else
    wasm_jobs_import_yield();
#endif
}

// Waits for so many nanoseconds, without using the CPU. Zero yields.
static inline void wasm_jobs_sleep(uint64_t nanoseconds) {
#if defined(__wasi__) && !defined(WASM_JOBS_COMPONENT)
    struct timespec time;
    time.tv_sec = (time_t)(nanoseconds / 1000000000);
    time.tv_nsec = (long)(nanoseconds % 1000000000);
    nanosleep(&time, NULL);
#else
    wasm_jobs_import_sleep(nanoseconds);
#endif
}

// Ends the call: it fails with a trap that has these bytes as its message. They are UTF-8. The host keeps 4096 of them.
__attribute__((noreturn)) static inline void wasm_jobs_panic_bytes(const char *message, size_t bytes) {
    wasm_jobs_import_panic(message, bytes);
    __builtin_trap();
}

// Ends the call: it fails with a trap that has this message, which ends with a zero byte.
__attribute__((noreturn)) static inline void wasm_jobs_panic(const char *message) {
    size_t bytes = 0;
    while (message[bytes] != 0)
        bytes++;
    wasm_jobs_panic_bytes(message, bytes);
}

#undef WASM_JOBS_IMPORT

#ifdef __cplusplus
}
#endif

#endif
