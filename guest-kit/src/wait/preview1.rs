//! WASI preview 1: `sched_yield` and `poll_oneoff`.

use core::mem::MaybeUninit;

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        pub(super) fn sched_yield() -> i32;
        pub(super) fn poll_oneoff(
            subscriptions: *const super::Subscription,
            events: *mut core::mem::MaybeUninit<super::Event>,
            subscriptions: usize,
            events: *mut usize,
        ) -> i32;
    }
}

/// A `subscription` to a clock, as preview 1 lays it out.
#[repr(C)]
struct Subscription {
    userdata: u64,
    /// Zero is a clock.
    kind: u8,
    clock: SubscriptionClock,
}

/// A `subscription_clock`.
#[repr(C)]
struct SubscriptionClock {
    id: u32,
    timeout: u64,
    precision: u64,
    /// Zero is a time from now on.
    flags: u16,
}

/// The identifier of the monotonic clock.
const MONOTONIC: u32 = 1;

/// An `event`, which is not read.
#[repr(C, align(8))]
struct Event([u8; 32]);

pub(crate) fn yield_now() {
    // The function has no error that a guest could do something about.
    // SAFETY: The host's function takes nothing, and touches nothing of the guest.
    let _ = unsafe { wasi::sched_yield() };
}

pub(crate) fn sleep(nanoseconds: u64) {
    let subscription = Subscription {
        userdata: 0,
        kind: 0,
        clock: SubscriptionClock { id: MONOTONIC, timeout: nanoseconds, precision: 0, flags: 0 },
    };
    let mut event = MaybeUninit::uninit();
    let mut events = 0;
    // The function has no error that is possible here: it is asked for one event, of a clock that every host has.
    // SAFETY: The host reads one subscription, and writes up to one event and the number of events. All three are valid for the whole call.
    let _ = unsafe { wasi::poll_oneoff(&subscription, &mut event, 1, &mut events) };
}
