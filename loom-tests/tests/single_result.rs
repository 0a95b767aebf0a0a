//! Invariant 1, single result: a result is given once, by the `Future`, on the owner's thread. After that, `resume` and
//! `try_get_result` give `Error::ResultTaken`.
#![cfg(wasm_jobs_loom)]

use loom::thread;
use std::task::Poll;
use wasm_jobs::{Error, Future, JobPool};
use wasm_jobs_loom_tests::{CountingWaker, Pool, Token, Watch, poll};

fn assert_is_taken<O>(future: &mut Future<Token, O>) {
    assert!(future.is_disposed());
    assert!(!future.has_result());
    assert!(matches!(future.resume(), Err(Error::ResultTaken)));
    assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
}

/// Mistake: the call becomes `DONE` before its result is in its place.
#[test]
fn the_owner_asks_while_a_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        let has_result = future.has_result();
        let early = future.try_get_result().unwrap();
        assert!(early.is_some() || !has_result, "the call has a result, and does not give it");
        worker.join().unwrap();
        if early.is_none() {
            assert!(future.try_get_result().unwrap().is_some());
        }
        assert_is_taken(&mut future);
        drop(early);
        watch.assert_is_over();
    });
}

/// Mistake: the owner is woken before the call is `DONE`.
#[test]
fn the_owner_waits_while_a_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        drop(future.wait().unwrap());
        assert_is_taken(&mut future);
        worker.join().unwrap();
        assert_is_taken(&mut future);
        watch.assert_is_over();
    });
}

/// Mistake: `cancel` does not check whether the call has a result.
#[test]
fn the_owner_gives_up_while_a_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        let has_result = future.has_result();
        future.cancel();
        match future.wait() {
            Ok(token) => drop(token),
            Err(Error::Cancelled) => {
                assert!(!has_result, "the call had a result before it was cancelled")
            }
            Err(other) => panic!("{other}"),
        }
        assert_is_taken(&mut future);
        worker.join().unwrap();
        assert_is_taken(&mut future);
        watch.assert_is_over();
    });
}

/// Mistake: the waker of the owner's first thread stays in the place of the second's.
#[test]
fn the_owner_goes_to_another_thread_while_its_job_ends() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(())).into_send();
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        // The owner awaits the call on this thread, and then waits for it on the other.
        let waker = CountingWaker::default();
        let early = match poll(&mut future, &waker) {
            Poll::Ready(result) => Some(result.unwrap()),
            Poll::Pending => None,
        };
        let owner = thread::spawn(move || {
            let token = early.unwrap_or_else(|| future.wait().unwrap());
            assert_is_taken(&mut future);
            drop(token);
        });
        owner.join().unwrap();
        worker.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: the future leaves the result in the task.
#[test]
fn the_owner_goes_to_another_thread_and_is_dropped_while_its_job_ends() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(())).into_send();
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());
        let owner = thread::spawn(move || drop(future));
        owner.join().unwrap();
        worker.join().unwrap();
        watch.assert_is_over();
    });
}
