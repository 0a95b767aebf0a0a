//! Invariant 2, no concurrency: no two threads are ever inside one call, and no instance has two calls in progress.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::JobPool;
use wasm_jobs::model::Lease;
use wasm_jobs_loom_tests::{Gate, Pool, Watch, try_take};

/// Mistakes: a thread looks whether the instance is free, then takes it, in two accesses; the instance is never brought back.
#[test]
fn two_threads_call_one_instance() {
    loom::model(|| {
        let instance = Lease::new(Arc::new(AtomicUsize::new(0)));
        let call = {
            let instance = instance.clone();
            move || match try_take(&instance) {
                // Two accesses, so that a second holder could come between them.
                Some(guest) => {
                    guest.store(guest.load(Relaxed) + 1, Relaxed);
                    1
                }
                None => 0,
            }
        };
        let other = thread::spawn(call.clone());
        let calls = call() + other.join().unwrap();

        let guest = try_take(&instance).expect("both calls are over");
        assert!(calls >= 1);
        assert_eq!(guest.load(Relaxed), calls);
    });
}

/// The step waits for a gate that the waking thread opens after its wake. If the wake started a second step on that thread, both steps would
/// wait for ever.
///
/// Mistake: a wake enqueues a lent call, whether the call is parked or not.
#[test]
fn a_wake_during_a_step_starts_no_second_one() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (is_inside, may_leave) = (Gate::default(), Gate::default());
        let (mut future, waker) = watch.waiting_call({
            let (is_inside, may_leave) = (is_inside.clone(), may_leave.clone());
            move |_| {
                is_inside.open();
                may_leave.pass();
                Poll::Ready(())
            }
        });
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();
        is_inside.pass();
        waker.wake();
        if let Some(job) = pool.try_take() {
            job.run();
        }
        may_leave.open();
        worker.join().unwrap();

        assert!(handle.is_complete());
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
    });
}
