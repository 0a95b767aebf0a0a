//! Invariant 7, nothing is lost or run twice when something is dropped: future, runner, handle or pool, in any order and
//! state. The call's work is dropped exactly once, and never while a step is inside it. Nor does anyone wait for ever.
#![cfg(wasm_jobs_loom)]

use loom::thread;
use std::task::Poll;
use std::time::Duration;
use wasm_jobs::{Clock, Error, Event, JobPool, ManualClock, Step};
use wasm_jobs_loom_tests::{Gate, Pool, Told, Watch, poll};

/// Mistakes: a turn starts although the call was cancelled; a turn does not end a call that is cancelled meanwhile.
#[test]
fn the_future_is_dropped_while_a_worker_takes_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || pool.run_one()
        });

        drop(future);
        handle.wait();
        watch.assert_is_over();
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the result of a call that was cancelled, or whose future is gone, stays in the task.
#[test]
fn the_future_is_dropped_while_its_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, waker) = watch.waiting_call(|_| Poll::Ready(()));
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || pool.run_one()
        });

        drop(future);
        handle.wait();
        worker.join().unwrap();
        // There is still a waker, and with it the task.
        watch.assert_is_over();
        drop(waker);
        pool.assert_is_forgotten();
    });
}

/// Mistake: the canceller ends a call that a step is in progress of, and so waits for the step, which waits for it.
#[test]
fn the_future_is_cancelled_during_a_step() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (is_inside, may_leave) = (Gate::default(), Gate::default());
        let mut future = watch.call({
            let (is_inside, may_leave) = (is_inside.clone(), may_leave.clone());
            move |_| {
                is_inside.open();
                may_leave.pass();
                Poll::Ready(())
            }
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || pool.run_one()
        });

        is_inside.pass();
        future.cancel();
        assert!(!future.has_result());
        assert!(!watch.is_dropped());
        may_leave.open();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        handle.wait();
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a job that yields goes to the queue before its turn is over, whose end then looks like the next one's.
#[test]
fn the_future_is_cancelled_when_another_worker_has_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (is_inside, may_leave) = (Gate::default(), Gate::default());
        let mut future = watch.call({
            let (is_inside, may_leave) = (is_inside.clone(), may_leave.clone());
            let mut has_yielded = false;
            move |context| {
                if std::mem::replace(&mut has_yielded, true) {
                    is_inside.open();
                    may_leave.pass();
                } else {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        });
        let handle = pool.submit(future.to_job().unwrap());
        let workers = [0, 1].map(|_| {
            let pool = pool.clone();
            thread::spawn(move || pool.run_next())
        });

        is_inside.pass();
        future.cancel();
        may_leave.open();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        handle.wait();
        for worker in workers {
            worker.join().unwrap();
        }
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a job that yields is enqueued although it was cancelled, and ended by nobody; it is ended twice.
#[test]
fn the_future_is_dropped_while_its_job_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || pool.run_one()
        });

        drop(future);
        handle.wait();
        watch.assert_is_over();
        worker.join().unwrap();
        if let Some(job) = pool.try_take() {
            job.run();
        }
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: parking does not look whether the call was cancelled.
#[test]
fn the_future_is_dropped_while_its_waiting_job_is_woken() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, waker) = watch.waiting_call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                waker.wake();
                if let Some(job) = pool.try_take() {
                    job.run();
                }
            }
        });

        drop(future);
        handle.wait();
        watch.assert_is_over();
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the wake takes it for granted that the call is still its pool's.
#[test]
fn the_future_is_dropped_while_its_waiting_job_is_woken_and_run() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, waker) = watch.waiting_call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();
        let event = thread::spawn(move || waker.wake());
        let worker = thread::spawn({
            let (pool, handle) = (pool.clone(), handle.clone());
            move || pool.work_until(handle)
        });

        drop(future);
        handle.wait();
        watch.assert_is_over();
        event.join().unwrap();
        worker.join().unwrap();
        // The wake may have come to its pool after the end.
        if let Some(job) = pool.try_take() {
            job.run();
        }
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: giving back does not complete the handle, or the canceller leaves it to the job.
#[test]
fn the_future_is_dropped_while_the_pool_drops_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let other = thread::spawn({
            let pool = pool.clone();
            move || drop(pool.try_take().unwrap())
        });

        drop(future);
        watch.assert_is_over();
        handle.wait();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a job is dropped for good with its work, instead of being given back.
#[test]
fn the_future_is_dropped_while_its_runner_is() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(|_| Poll::Ready(()));
        let runner = future.to_job().unwrap();
        let other = thread::spawn(move || drop(runner));

        drop(future);
        watch.assert_is_over();
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: submitting does not look whether the call has ended, so that nobody completes the handle.
#[test]
fn the_future_is_dropped_while_its_runner_is_submitted() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let runner = future.to_job().unwrap();
        let other = thread::spawn({
            let pool = pool.clone();
            move || pool.submit(runner)
        });

        drop(future);
        watch.assert_is_over();
        other.join().unwrap().wait();
        pool.run_one();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a runner's step starts although the call was cancelled; it does not end a call that is cancelled meanwhile.
#[test]
fn the_future_is_dropped_while_a_runner_resumes() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || {
            let step = runner.resume();
            assert_ne!(step, Step::Waiting);
            runner
        });

        drop(future);
        let mut runner = other.join().unwrap();
        watch.assert_is_over();
        assert_eq!(runner.resume(), Step::Done);
    });
}

/// The work did not yield, so nothing but its stop tells what the step did.
///
/// Mistakes: stopping does not release; cancelling does not acquire.
#[test]
fn the_future_is_dropped_while_a_runner_resumes_a_call_that_waits() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(|_| Poll::Pending);
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || {
            assert_ne!(runner.resume(), Step::Yielded);
            runner
        });

        drop(future);
        let mut runner = other.join().unwrap();
        watch.assert_is_over();
        assert_eq!(runner.resume(), Step::Done);
    });
}

/// Mistake: cancelling a waiting call does not complete its handle, for which the runner's thread sleeps.
#[test]
fn the_future_is_dropped_while_a_runner_runs() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(|_| Poll::Pending);
        let runner = future.to_job().unwrap();
        let other = thread::spawn(move || runner.run());

        drop(future);
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: the task keeps a handle's waker, or its latch, after the handle is gone.
#[test]
fn every_handle_is_dropped_while_its_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || pool.run_one()
        });

        drop(handle);
        drop(future.wait().unwrap());
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: those who wait are numbered anew after a release, so that one who goes takes away another; it takes away all.
#[test]
fn a_wait_is_dropped_while_its_event_is_set_and_another_begins() {
    loom::model(|| {
        let event = Event::new();
        let (mut goes, mut stays) = (Box::pin(event.wait()), Box::pin(event.wait()));
        assert!(poll(&mut goes, &Told::default()).is_pending());
        let other = thread::spawn(move || drop(goes));

        let told = Told::default();
        event.set();
        event.reset();
        assert!(poll(&mut stays, &told).is_pending());
        event.set();
        other.join().unwrap();
        assert!(told.is_told(), "the other was forgotten");
    });
}

/// Mistakes: a sleeper that is dropped stays in the clock, or is put back by a tick that has looked at it; it takes away the
/// others.
#[test]
fn a_sleeper_is_dropped_while_its_clock_ticks() {
    loom::model(|| {
        let (clock, told) = (ManualClock::new(), Told::default());
        let [mut stays, mut goes] = [1, 2].map(|n| clock.sleep_until(Duration::from_secs(n)));
        assert!(poll(&mut stays, &told).is_pending());
        assert!(poll(&mut goes, &Told::default()).is_pending());
        let ticker = thread::spawn({
            let clock = clock.clone();
            move || clock.tick(Duration::from_secs(1))
        });

        drop(goes);
        ticker.join().unwrap();
        assert!(told.is_told(), "the other was forgotten");
        assert!(poll(&mut stays, &told).is_ready());
        assert_eq!(clock.next_deadline(), None, "one who is gone is waited for");
    });
}
