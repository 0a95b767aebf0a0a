//! Invariant 7, nothing is lost or run twice when a future, a runner, a job or a handle is dropped, in any order and in any state of the
//! call. The work of the call is dropped exactly once, and never while a step is inside it. No thread waits for ever.
#![cfg(wasm_jobs_loom)]

use loom::thread;
use std::task::Poll;
use std::time::Duration;
use wasm_jobs::{Clock, Error, Event, JobPool, ManualClock, Step};
use wasm_jobs_loom_tests::{CountingWaker, Gate, Pool, Watch, poll};

/// Mistakes: a turn starts although the call was cancelled; a turn does not end a call that is cancelled during the turn.
#[test]
fn the_future_is_dropped_while_a_worker_takes_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

        drop(future);
        handle.wait();
        watch.assert_is_over();
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the task keeps the result of a call that was cancelled, or whose future was dropped.
#[test]
fn the_future_is_dropped_while_its_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, waker) = watch.waiting_call(|_| Poll::Ready(()));
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

        drop(future);
        handle.wait();
        worker.join().unwrap();
        // The waker still keeps the task.
        watch.assert_is_over();
        drop(waker);
        pool.assert_is_forgotten();
    });
}

/// Mistake: the canceller ends a call while a step of it is in progress.
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
        let worker = pool.spawn_worker();

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

/// Mistake: a job that yields goes to the queue before its turn is over. Then the end of that turn looks like the end of the next turn.
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

/// Mistakes: a cancelled job is enqueued when it yields, and no thread ends its call; two threads end the call.
#[test]
fn the_future_is_dropped_while_its_job_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

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

/// Mistakes: the wake starts a step of a cancelled call; parking leaves the call `RUNNING`, so that the canceller leaves it alone.
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

/// Mistake: the wake assumes that the call is still a job.
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
        // The wake may have put the job into the queue after the call ended.
        if let Some(job) = pool.try_take() {
            job.run();
        }
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: giving the call back does not complete the handle; cancelling does not end a call that came back.
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

/// Mistake: neither the future nor the runner drops the work, because each leaves it to the other.
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

/// Mistake: `submit` does not check whether the call has ended. Then no thread completes the handle.
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

/// Mistakes: a step starts although the call was cancelled; a step does not end a call that is cancelled during the step.
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

/// The step ends without a wake, so only its stop can hand the work to the canceller.
///
/// Mistakes: stopping does not release; cancelling does not acquire.
#[test]
fn the_future_is_dropped_while_a_runner_resumes_a_call_that_waits() {
    loom::model(|| {
        let watch = Watch::default();
        let mut future = watch.call(|_| Poll::Pending);
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || {
            let step = runner.resume();
            assert_ne!(step, Step::Yielded);
            runner
        });

        drop(future);
        let mut runner = other.join().unwrap();
        watch.assert_is_over();
        assert_eq!(runner.resume(), Step::Done);
    });
}

/// Mistake: cancelling a waiting call does not complete its handle. The thread in `run` sleeps until then.
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

/// Mistake: the task keeps its submission, and with it the pool, after the call has ended.
#[test]
fn every_handle_is_dropped_while_its_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

        drop(handle);
        drop(future.wait().unwrap());
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a release reuses the keys of waiters, so that dropping one wait removes another; dropping one wait removes all waits.
#[test]
fn a_wait_is_dropped_while_its_event_is_set_and_another_begins() {
    loom::model(|| {
        let event = Event::new();
        let (mut goes, mut stays) = (Box::pin(event.wait()), Box::pin(event.wait()));
        assert!(poll(&mut goes, &CountingWaker::default()).is_pending());
        let other = thread::spawn(move || drop(goes));

        let waker = CountingWaker::default();
        event.set();
        event.reset();
        assert!(poll(&mut stays, &waker).is_pending());
        event.set();
        other.join().unwrap();
        assert!(waker.is_woken(), "the other wait was removed");
    });
}

/// Mistakes: a dropped sleeper stays in the clock, or a tick puts it back; dropping one sleeper removes the others.
#[test]
fn a_sleeper_is_dropped_while_its_clock_ticks() {
    loom::model(|| {
        let (clock, waker) = (ManualClock::new(), CountingWaker::default());
        let [mut stays, mut goes] = [1, 2].map(|n| clock.sleep_until(Duration::from_secs(n)));
        assert!(poll(&mut stays, &waker).is_pending());
        assert!(poll(&mut goes, &CountingWaker::default()).is_pending());
        let ticker = thread::spawn({
            let clock = clock.clone();
            move || clock.tick(Duration::from_secs(1))
        });

        drop(goes);
        ticker.join().unwrap();
        assert!(waker.is_woken(), "the other sleeper was removed");
        assert!(poll(&mut stays, &waker).is_ready());
        assert_eq!(clock.next_deadline(), None, "the clock still has a sleeper");
    });
}
