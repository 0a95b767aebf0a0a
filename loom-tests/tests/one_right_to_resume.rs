//! Invariant 3, one right to resume: the future has the right until `to_job`. Then the runner has it, and the future's `resume` gives
//! `Error::InJob`. A runner that is dropped unfinished gives the right back.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasm_jobs::{Error, JobPool, Step};
use wasm_jobs_loom_tests::{CountingWaker, Pool, Watch, poll};

/// Work that yields once. Its second step must see what the first step wrote.
fn two_steps() -> impl FnMut(&mut Context<'_>) -> Poll<()> + Send + Unpin {
    let has_yielded = AtomicBool::new(false);
    move |context| {
        if has_yielded.load(Relaxed) {
            return Poll::Ready(());
        }
        has_yielded.store(true, Relaxed);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Mistakes: the owner looks whether the call is back before it registers its waker; giving the right back does not wake the owner.
#[test]
fn a_runner_is_dropped_while_the_owner_waits() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(two_steps());
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || assert_eq!(runner.resume(), Step::Yielded));

        drop(future.wait().unwrap());
        other.join().unwrap();
        assert_eq!(watch.steps(), 2);
        watch.assert_is_over();
    });
}

/// Mistakes: those of the model above; giving the right back does not complete the handle.
#[test]
fn a_pool_drops_a_job_while_the_owner_waits() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(two_steps());
        let handle = pool.submit(future.to_job().unwrap());
        let other = thread::spawn({
            let pool = pool.clone();
            move || drop(pool.try_take().unwrap())
        });

        drop(future.wait().unwrap());
        handle.wait();
        other.join().unwrap();
        assert_eq!(watch.steps(), 2);
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: giving the right back does not wake the owner.
#[test]
fn a_worker_drops_a_job_that_yielded_while_the_owner_waits() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(two_steps());
        let handle = pool.submit(future.to_job().unwrap());
        let job = pool.try_take().unwrap();
        let worker = thread::spawn(move || drop(job.turn().expect("the job yields")));

        drop(future.wait().unwrap());
        handle.wait();
        worker.join().unwrap();
        assert_eq!(watch.steps(), 2);
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: `resume` steps a call that is lent; the right is given back before the runner is done with the call.
#[test]
fn the_owner_resumes_while_a_runner_does() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(two_steps());
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || assert_eq!(runner.resume(), Step::Yielded));

        match future.resume() {
            // The owner came after the runner, because the first step yields.
            Ok(step) => assert_eq!(step, Step::Done),
            Err(Error::InJob) => assert!(matches!(future.try_get_result(), Ok(None) | Ok(Some(_)))),
            Err(other) => panic!("{other}"),
        }
        other.join().unwrap();
        if !future.is_disposed() {
            assert_eq!(future.resume().unwrap(), Step::Done);
            drop(future.try_get_result().unwrap().unwrap());
        }
        assert_eq!(watch.steps(), 2);
        watch.assert_is_over();
    });
}

/// When the owner has its call back, it sees everything that the holder of the runner did before.
///
/// Mistake: giving the right back does not release.
#[test]
fn the_owner_resumes_while_a_runner_is_dropped() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(|_| Poll::Ready(()));
        let runner = future.to_job().unwrap();
        let has_written = Arc::new(AtomicBool::new(false));
        let other = thread::spawn({
            let has_written = has_written.clone();
            move || {
                has_written.store(true, Relaxed);
                drop(runner);
            }
        });

        if future.resume().is_ok() {
            assert!(
                has_written.load(Relaxed),
                "the owner does not see what the holder of the runner did"
            );
        }
        other.join().unwrap();
        assert_eq!(future.resume().unwrap(), Step::Done);
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
    });
}

/// The first wake is on its way to the owner when the call becomes a job.
///
/// Mistakes: lending leaves the call parked; a wake delivers to the holder that the call had when the wake came, and not to the holder that it
/// has when the wake claims the delivery; a wake does not claim the delivery.
#[test]
fn a_late_wake_meets_a_call_that_was_lent() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let happened = Arc::new(AtomicUsize::new(0));
        let (mut future, waker) = watch.waiting_call({
            let happened = happened.clone();
            move |_| if happened.load(Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert!(poll(&mut future, &CountingWaker::default()).is_pending());

        let event = thread::spawn(move || {
            for _ in 0..2 {
                happened.fetch_add(1, Relaxed);
                waker.wake_by_ref();
            }
        });
        let handle = pool.submit(future.to_job().unwrap());
        pool.work_until(handle);
        drop(future.try_get_result().unwrap().unwrap());
        event.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: giving back takes the submission out of the task after the right is back. By then it may be the submission of another job.
#[test]
fn a_call_that_came_back_is_submitted_again() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(two_steps());
        let first = pool.submit(future.to_job().unwrap());
        let job = pool.try_take().unwrap();
        let other = thread::spawn(move || drop(job));

        let runner = future.to_job();
        let runner = runner.unwrap_or_else(|_| {
            first.wait();
            future.to_job().unwrap()
        });
        let second = pool.submit(runner);
        pool.run_one();
        assert!(!second.is_complete());
        pool.run_one();
        assert!(second.is_complete());
        drop(future.try_get_result().unwrap().unwrap());
        other.join().unwrap();
        assert!(first.is_complete());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the wake delivers to a pool that no longer has the call.
#[test]
fn a_call_comes_back_while_it_is_woken() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let is_raised = Arc::new(AtomicBool::new(false));
        let (mut future, waker) = watch.waiting_call({
            let is_raised = is_raised.clone();
            move |_| if is_raised.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        });
        let _handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || {
            is_raised.store(true, Relaxed);
            waker.wake();
        });
        let other = thread::spawn({
            let pool = pool.clone();
            move || drop(pool.try_take().unwrap())
        });

        drop(future.wait().unwrap());
        event.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}
