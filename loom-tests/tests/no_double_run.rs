//! Invariant 5, no double run: however many wakes arrive, a job stands in its pool's queue at most once. The `Pool` of the models asserts it.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::JobPool;
use wasm_jobs_loom_tests::{Pool, Watch};

/// Mistake: every wake that finds the job parked enqueues it, and not only the wake that clears the flag `PARKED`.
#[test]
fn two_threads_wake_a_waiting_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let happened = Arc::new(AtomicUsize::new(0));
        let (mut future, waker) = watch.waiting_call({
            let happened = happened.clone();
            move |_| if happened.load(Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();

        let event = || {
            let (happened, waker) = (happened.clone(), waker.clone());
            move || {
                happened.fetch_add(1, Relaxed);
                waker.wake();
            }
        };
        let other = thread::spawn(event());
        event()();
        other.join().unwrap();

        // The two wakes came before any step, so they enqueued one job.
        pool.run_one();
        assert!(handle.is_complete());
        drop(future.try_get_result().unwrap().unwrap());
        drop(waker);
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the wake that enqueues the job does not clear the flag `PARKED`; a wake enqueues a job while it runs.
#[test]
fn one_thread_wakes_twice_while_a_worker_runs_the_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let happened = Arc::new(AtomicUsize::new(0));
        let (mut future, waker) = watch.waiting_call({
            let happened = happened.clone();
            move |_| if happened.load(Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || {
            for _ in 0..2 {
                happened.fetch_add(1, Relaxed);
                waker.wake_by_ref();
            }
        });

        pool.work_until(handle);
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a job that yields is enqueued, although a wake may enqueue it too.
#[test]
fn a_job_is_woken_while_it_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut step = 0;
        let (mut future, waker) = watch.waiting_call(move |context| {
            step += 1;
            if step == 2 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || waker.wake());

        // The job has two turns, however often it was woken, because its yield ends the first turn.
        pool.run_one();
        pool.run_one();
        assert!(handle.is_complete());
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}
