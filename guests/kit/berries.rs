//! A guest that uses the kit, in Rust: with std for WASI preview 1, and without it for everything else. For WASI 0.3, its exports are async
//! functions.

#![cfg_attr(not(feature = "std"), no_std)]

use core::time::Duration;

/// The sum of the numbers from 1 to `last`. Yields after each.
#[cfg_attr(not(target_env = "p3"), no_mangle)]
pub extern "C" fn sum(last: i32) -> i64 {
    let mut sum = 0;
    for number in 1..=last {
        sum += i64::from(number);
        wasm_jobs_guest::yield_now();
    }
    sum
}

#[cfg_attr(not(target_env = "p3"), no_mangle)]
pub extern "C" fn nap(milliseconds: i32) {
    wasm_jobs_guest::sleep(Duration::from_millis(milliseconds as u64));
}

/// Computes, and never stops.
#[cfg_attr(not(target_env = "p3"), no_mangle)]
pub extern "C" fn spin() {
    loop {
        core::hint::spin_loop();
    }
}

#[cfg_attr(not(target_env = "p3"), no_mangle)]
pub extern "C" fn fail() {
    #[cfg(feature = "std")]
    wasm_jobs_guest::set_panic_hook();
    panic!("the {} are gone", "berries");
}

/// Async functions, as the canonical ABI has them: a function gives its result to the host, and returns that it has no more to do. It has
/// another function, by which it would be called again if it had.
#[cfg(target_env = "p3")]
mod async_exports {
    mod host {
        #[link(wasm_import_module = "[export]$root")]
        extern "C" {
            #[link_name = "[task-return]sum"]
            pub(super) fn sum(result: i64);
            #[link_name = "[task-return]nap"]
            pub(super) fn nap();
        }
    }

    const DONE: i32 = 0;

    #[export_name = "[async-lift]sum"]
    extern "C" fn sum(last: i32) -> i32 {
        let sum = super::sum(last);
        // SAFETY: The host's function takes a number, and touches nothing of the guest.
        unsafe { host::sum(sum) }
        DONE
    }

    #[export_name = "[async-lift]nap"]
    extern "C" fn nap(milliseconds: i32) -> i32 {
        super::nap(milliseconds);
        // SAFETY: The host's function takes nothing, and touches nothing of the guest.
        unsafe { host::nap() }
        DONE
    }

    #[export_name = "[async-lift]spin"]
    extern "C" fn spin() -> i32 {
        super::spin();
        DONE
    }

    #[export_name = "[async-lift]fail"]
    extern "C" fn fail() -> i32 {
        super::fail();
        DONE
    }

    macro_rules! never_called_again {
        ($($function:ident: $name:literal,)*) => {$(
            #[export_name = $name]
            extern "C" fn $function(_: i32, _: i32, _: i32) -> i32 {
                DONE
            }
        )*};
    }

    never_called_again! {
        sum_again: "[callback][async-lift]sum",
        nap_again: "[callback][async-lift]nap",
        spin_again: "[callback][async-lift]spin",
        fail_again: "[callback][async-lift]fail",
    }
}
