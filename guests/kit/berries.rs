//! A guest that uses the kit, in Rust: with std for WASI preview 1, and without it for everything else.

#![cfg_attr(not(feature = "std"), no_std)]

use core::time::Duration;

/// The sum of the numbers from 1 to `last`. Yields after each.
#[no_mangle]
pub extern "C" fn sum(last: i32) -> i64 {
    let mut sum = 0;
    for number in 1..=last {
        sum += i64::from(number);
        wasm_jobs_guest::yield_now();
    }
    sum
}

#[no_mangle]
pub extern "C" fn nap(milliseconds: i32) {
    wasm_jobs_guest::sleep(Duration::from_millis(milliseconds as u64));
}

/// Computes, and never stops.
#[no_mangle]
pub extern "C" fn spin() {
    loop {
        core::hint::spin_loop();
    }
}

#[no_mangle]
pub extern "C" fn fail() {
    #[cfg(feature = "std")]
    wasm_jobs_guest::set_panic_hook();
    panic!("the {} are gone", "berries");
}
