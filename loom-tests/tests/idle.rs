//! Waiting until jobs are idle: invariants 4 and 6 for an observer. It is notified when a job begins to wait, sees what the job did before, and
//! finds no moment at which all jobs are idle while one of them has woken another.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::{Event, Future, JobHandle, JobPool};
use wasm_jobs_loom_tests::{Pool, Watch};

/// Mistakes: parking does not notify the observer; the observer looks before it asks to be notified, and not after; parking does not release
/// what the job wrote; the look does not acquire it.
#[test]
fn a_job_begins_to_wait_while_a_thread_waits_until_it_is_idle() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let memory = Arc::new(AtomicUsize::new(0));
        let mut call = watch.call({
            let memory = memory.clone();
            move |_| {
                memory.store(1, Relaxed);
                Poll::Pending
            }
        });
        let job = pool.submit(call.to_job().unwrap());
        let worker = pool.spawn_worker();

        job.wait_until_idle();
        assert_eq!(memory.load(Relaxed), 1, "the observer does not see what the job wrote");
        assert!(!job.is_complete());
        worker.join().unwrap();
        drop((call, job));
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the end of a job does not notify the observer.
#[test]
fn a_job_ends_while_a_thread_waits_until_it_is_idle() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut call = watch.call(|_| Poll::Ready(()));
        let job = pool.submit(call.to_job().unwrap());
        let worker = pool.spawn_worker();

        job.wait_until_idle();
        assert!(job.is_complete());
        worker.join().unwrap();
        drop(call.try_get_result().unwrap());
        drop((call, job));
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// A job waits for an event that another job sets. The observer comes while the first waits and the second is in the queue.
///
/// Mistake: the observer goes through the jobs once.
#[test]
fn a_job_wakes_another_one_while_a_thread_waits_until_both_are_idle() {
    loom::model(|| {
        let pool = Pool::of_calls(2);
        let event = Event::new();
        let mut wait = Box::pin(event.wait());
        let waits = Watch::default();
        let mut waiting = waits.call(move |context| wait.as_mut().poll(context));
        let waiting_job = pool.submit(waiting.to_job().unwrap());
        pool.run_one();
        let sets = Watch::default();
        let mut setting = sets.call(move |_| {
            event.set();
            Poll::Ready(())
        });
        let setting_job = pool.submit(setting.to_job().unwrap());
        let both = JobHandle::all([waiting_job, setting_job]);
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.run_one();
                pool.run_one();
            }
        });

        both.wait_until_idle();
        assert!(both.is_complete(), "one job has woken the other");
        worker.join().unwrap();
        drop((waiting, setting, both));
        waits.assert_is_over();
        sets.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// A job awaits the handle of another one.
///
/// Mistake: a job counts as over before those who wait for it were notified.
#[test]
fn a_job_ends_that_another_one_awaits_while_a_thread_waits_until_both_are_idle() {
    loom::model(|| {
        let pool = Pool::of_calls(2);
        let mut first = Future::new(std::future::ready(Ok(())));
        let first_job = pool.submit(first.to_job().unwrap());
        let job = pool.try_take().unwrap();
        let watch = Watch::default();
        let mut awaited = first_job.clone();
        let mut second = watch.call(move |context| Pin::new(&mut awaited).poll(context));
        let second_job = pool.submit(second.to_job().unwrap());
        pool.run_one();
        let both = JobHandle::all([first_job, second_job]);
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                job.run();
                pool.run_one();
            }
        });

        both.wait_until_idle();
        assert!(both.is_complete(), "one job has woken the other");
        worker.join().unwrap();
        drop((first, second, both));
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Two jobs wake each other in turn, so one of them is always about to run.
///
/// Mistake: the observer goes through the jobs twice, and does not compare what it has found.
#[test]
fn two_jobs_wake_each_other_in_turn_while_a_thread_waits_until_both_are_idle() {
    loom::model(|| {
        let pool = Pool::of_calls(2);
        let events = [(); 3].map(|()| Event::new());
        let waits = [0, 1, 2].map(|event: usize| events[event].wait());
        let [first_wait, second_wait, third_wait] = waits;
        let [first_event, second_event, third_event] = events;
        let mut first = Future::new(async move {
            first_wait.await;
            second_event.set();
            third_wait.await;
            Ok(())
        });
        let first_job = pool.submit(first.to_job().unwrap());
        pool.run_one();
        let mut second = Future::new(async move {
            first_event.set();
            second_wait.await;
            third_event.set();
            Ok(())
        });
        let second_job = pool.submit(second.to_job().unwrap());
        let both = JobHandle::all([first_job, second_job]);
        let worker = thread::spawn({
            let pool = pool.clone();
            move || (0..4).for_each(|_| pool.run_one())
        });

        both.wait_until_idle();
        assert!(both.is_complete(), "one job has woken the other");
        worker.join().unwrap();
        drop((first, second, both));
        pool.assert_is_forgotten();
    });
}

/// A call runs after a job.
///
/// Mistake: a call that was deferred counts as deferred when the jobs before it are over.
#[test]
fn a_job_ends_before_another_one_while_a_thread_waits_until_both_are_idle() {
    loom::model(|| {
        let pool = Pool::of_calls(2);
        let first = pool.submit_fn(|| ());
        let watch = Watch::default();
        let mut call = watch.call(|_| Poll::Ready(()));
        let second = pool.submit_after(call.to_job().unwrap(), std::slice::from_ref(&first));
        let both = JobHandle::all([second, first]);
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.run_one();
                pool.run_one();
            }
        });

        both.wait_until_idle();
        assert!(both.is_complete(), "the second job was to run");
        worker.join().unwrap();
        drop((call, both));
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}
