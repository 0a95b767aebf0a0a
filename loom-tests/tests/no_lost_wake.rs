//! Invariant 4, no lost wake: a wake at any moment, before, during or after a step, leads to another step. A wake that is
//! lost shows as a deadlock; so does one whose step does not see what was done before it, for the work then waits on.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::task::{Poll, Waker};
use wasm_jobs::{Future, JobPool, Step};
use wasm_jobs_loom_tests::{Pool, Token, Told, Watch, poll};

/// A call that waits until so many things have happened, and what tells it of one.
fn call_that_waits_for(things: usize, watch: &Watch) -> (Future<Token>, Thing) {
    let happened = Arc::new(AtomicUsize::new(0));
    let (future, waker) = watch.waiting_call({
        let happened = happened.clone();
        move |_| if happened.load(Relaxed) == things { Poll::Ready(()) } else { Poll::Pending }
    });
    (future, Thing { happened, waker })
}

#[derive(Clone)]
struct Thing {
    happened: Arc<AtomicUsize>,
    waker: Waker,
}

impl Thing {
    fn happens(self) {
        self.happened.fetch_add(1, Relaxed);
        self.waker.wake();
    }
}

/// Mistakes: the owner parks whatever the count of wakes; it parks before it has left its waker.
#[test]
fn the_owner_falls_asleep() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let event = thread::spawn(move || thing.happens());

        drop(future.wait().unwrap());
        event.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistakes: a job parks whatever the count of wakes; a step notes the count when it ends.
#[test]
fn a_job_parks() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || thing.happens());

        pool.work_until(handle);
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The second wake finds the job queued, or running, and must still hand over what it tells of.
///
/// Mistakes: a wake is a load if the call is not parked; it does not release; a step does not acquire.
#[test]
fn a_job_is_queued() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, thing) = call_that_waits_for(2, &watch);
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();
        let events = [thing.clone(), thing].map(|thing| thread::spawn(move || thing.happens()));

        pool.work_until(handle);
        for event in events {
            event.join().unwrap();
        }
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a turn that ends with a yield forgets the wakes of that step.
#[test]
fn a_job_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let has_happened = Arc::new(AtomicBool::new(false));
        let (mut future, waker) = watch.waiting_call({
            let has_happened = has_happened.clone();
            let mut has_yielded = false;
            move |context| {
                if has_happened.load(Relaxed) {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut has_yielded, true) {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        });
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || {
            has_happened.store(true, Relaxed);
            waker.wake();
        });

        pool.work_until(handle);
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a call that changes hands starts with the wakes that it has.
#[test]
fn a_runner_gives_the_call_back() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let mut runner = future.to_job().unwrap();
        let event = thread::spawn(move || thing.happens());
        let other = thread::spawn(move || assert_ne!(runner.resume(), Step::Yielded));

        drop(future.wait().unwrap());
        event.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: the runner's thread sleeps between looking for a job and saying that it wants to be told.
#[test]
fn a_runner_runs_to_the_end() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let runner = future.to_job().unwrap();
        let event = thread::spawn(move || thing.happens());

        runner.run();
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
    });
}

/// Mistakes: the owner keeps the first waker that it was given, not the last; it looks before it leaves its waker.
#[test]
fn the_owner_awaits_with_another_waker() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        let (first, second) = (Told::default(), Told::default());
        let polled = poll(&mut future, &first).is_ready() || poll(&mut future, &second).is_ready();
        worker.join().unwrap();
        if !polled {
            assert!(second.is_told(), "the owner was not told");
            assert!(poll(&mut future, &second).is_ready());
        }
        drop(future);
        watch.assert_is_over();
    });
}
