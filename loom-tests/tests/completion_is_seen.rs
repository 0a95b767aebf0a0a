//! Invariant 6, completion is seen: when `has_result`, `JobHandle::wait` or an await reports that a call is over, its result is there,
//! its instance is free, and everything that the guest wrote is visible.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use wasm_jobs::model::{Lease, Leased};
use wasm_jobs::{Error, JobHandle, JobOutcome, JobPool};
use wasm_jobs_loom_tests::{CountingWaker, Gate, Owned, Pool, Token, Watch, poll, try_take};

/// An instance with a guest and a memory. The guest writes to the memory, and the host reads it.
struct Instance {
    guest: Arc<Lease<()>>,
    memory: Arc<AtomicUsize>,
    watch: Watch,
}

impl Instance {
    fn new() -> Self {
        let memory = Arc::new(AtomicUsize::new(0));
        Self { guest: Lease::new(()), memory, watch: Watch::default() }
    }

    fn call(&self) -> Owned<Token> {
        let memory = self.memory.clone();
        let guest: Leased<()> = try_take(&self.guest).unwrap();
        self.watch.call(move |_| {
            let _in_use = &guest;
            memory.store(1, Relaxed);
            Poll::Ready(())
        })
    }

    /// A call whose step goes on until `may_leave` opens.
    fn slow_call(&self, is_inside: &Gate, may_leave: &Gate) -> Owned<Token> {
        let (is_inside, may_leave) = (is_inside.clone(), may_leave.clone());
        let guest: Leased<()> = try_take(&self.guest).unwrap();
        self.watch.call(move |_| {
            let _in_use = &guest;
            is_inside.open();
            may_leave.pass();
            Poll::Pending
        })
    }

    fn assert_is_free(&self) {
        assert!(try_take(&self.guest).is_some(), "the instance is not free");
        assert!(self.watch.is_dropped(), "the work is not dropped");
    }

    fn assert_is_over(&self) {
        assert_eq!(self.memory.load(Relaxed), 1, "what the guest wrote is not visible");
        assert!(
            self.watch.is_dropped() && try_take(&self.guest).is_some(),
            "the instance is not free"
        );
    }
}

fn assert_has_result(mut future: Owned<Token>) {
    assert!(future.has_result());
    assert!(future.try_get_result().unwrap().is_some());
}

/// Mistakes: the state becomes `DONE` without a release; `has_result` does not acquire; the work is dropped after the call is done.
#[test]
fn the_owner_sees_a_result() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        if future.has_result() {
            instance.assert_is_over();
            assert_has_result(future);
        }
        worker.join().unwrap();
    });
}

/// Mistake: the work of a cancelled call is dropped after the call is done.
#[test]
fn the_owner_sees_the_end_of_a_call_that_it_cancelled() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let (is_inside, may_leave) = (Gate::default(), Gate::default());
        let mut future = instance.slow_call(&is_inside, &may_leave);
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        is_inside.pass();
        future.cancel();
        may_leave.open();
        // Lets the worker go first. Loom does not try that order by itself, because it compares a write only with the last access before
        // it, and here that access is by the same thread.
        thread::yield_now();
        if future.has_result() {
            instance.assert_is_free();
        }
        handle.wait();
        instance.assert_is_free();
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        worker.join().unwrap();
    });
}

/// Mistake: the handle completes before the call is done.
#[test]
fn a_thread_waits_for_the_handle() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        handle.wait();
        instance.assert_is_over();
        assert_has_result(future);
        worker.join().unwrap();
    });
}

/// Mistakes: the handle completes before the call is done; it wakes only one of the tasks.
#[test]
fn two_tasks_await_the_handle() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let mut handles = vec![pool.submit(future.to_job().unwrap())];
        handles.push(handles[0].clone());
        let worker = thread::spawn(move || pool.run_one());

        let wakers = [CountingWaker::default(), CountingWaker::default()];
        let are_ready = [0, 1].map(|n| poll(&mut handles[n], &wakers[n]).is_ready());
        if are_ready.contains(&true) {
            instance.assert_is_over();
        }
        worker.join().unwrap();
        for n in [0, 1] {
            assert!(are_ready[n] || wakers[n].is_woken(), "an awaiting task was not woken");
            assert!(poll(&mut handles[n], &wakers[n]).is_ready());
        }
        assert_has_result(future);
    });
}

/// Mistake: dropping one handle removes the waker of the other.
#[test]
fn a_handle_is_dropped_while_another_waits() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let mut dropped = pool.submit(future.to_job().unwrap());
        let waits = dropped.clone();
        let _ = poll(&mut dropped, &CountingWaker::default());
        let other = thread::spawn(move || drop(dropped));
        let worker = thread::spawn(move || pool.run_one());

        waits.wait();
        instance.assert_is_over();
        assert_has_result(future);
        other.join().unwrap();
        worker.join().unwrap();
    });
}

/// Mistake: the owner is woken before the call is done.
#[test]
fn the_owner_awaits() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        let result = future.wait();
        instance.assert_is_over();
        assert!(result.is_ok());
        worker.join().unwrap();
    });
}

/// Mistakes: the handle of all completes with the first job, or as soon as it has subscribed to the last job; it never completes if a job
/// was over before the handle subscribed to it.
#[test]
fn a_thread_waits_for_all() {
    loom::model(|| {
        let (pool, instances) = (Pool::of_calls(2), [Instance::new(), Instance::new()]);
        let mut futures = [0, 1].map(|n| instances[n].call());
        let handles = [0, 1].map(|n| pool.submit(futures[n].to_job().unwrap()));
        let workers = [0, 1].map(|_| {
            let pool = pool.clone();
            thread::spawn(move || pool.run_one())
        });

        JobHandle::all(handles).wait();
        instances.iter().for_each(Instance::assert_is_over);
        futures.into_iter().for_each(assert_has_result);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// Mistakes: the outcome of a job can be read before the job is over; reading it does not acquire.
#[test]
fn a_thread_asks_for_the_outcome_while_a_job_ends() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        if let Some(outcome) = handle.outcome() {
            assert_eq!(outcome, JobOutcome::Succeeded);
            instance.assert_is_over();
            assert_has_result(future);
        }
        worker.join().unwrap();
        assert_eq!(handle.outcome(), Some(JobOutcome::Succeeded));
    });
}

/// If a call is cancelled while it finishes, `Error::Cancelled` replaces its result.
///
/// Mistakes: the call becomes `DONE` before the second result is in its place, or without releasing it; the handle has the outcome of the
/// first result.
#[test]
fn the_owner_asks_while_a_job_finishes_that_is_cancelled() {
    loom::model(|| {
        let (pool, instance) = (Pool::of_calls(1), Instance::new());
        let mut future = instance.call();
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());
        let canceller = thread::spawn({
            let handle = handle.clone();
            move || handle.cancel()
        });

        // Lets the other threads go first, because loom does not try that order by itself.
        thread::yield_now();
        let early = handle.outcome();
        let result = if future.has_result() {
            instance.assert_is_free();
            Some(future.try_get_result())
        } else {
            assert_eq!(early, None, "the job is over, and its call has no result");
            None
        };
        worker.join().unwrap();
        canceller.join().unwrap();
        let outcome = match result.unwrap_or_else(|| future.try_get_result()) {
            Ok(result) => result.map(|_| JobOutcome::Succeeded),
            Err(Error::Cancelled) => Some(JobOutcome::Cancelled),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(handle.outcome(), outcome);
        assert!(early.is_none() || early == outcome, "the outcome has changed");
        drop(future);
        instance.watch.assert_is_over();
    });
}

/// Asserts that the end of a cancelled call happens after everything that its owner did before cancelling it, even if another thread ends
/// the call. Unless the call may finish before it is cancelled, the drop of its work happens after that too.
fn assert_cancellation_is_seen(step: fn(&mut Context<'_>) -> Poll<()>, may_finish: bool) {
    loom::model(move || {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let reason = Arc::new(AtomicUsize::new(0));
        let held = Held { reason: reason.clone(), seen: Arc::default() };
        let seen = held.seen.clone();
        let mut future = watch.call(move |context| {
            let _held = &held;
            step(context)
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let (pool, reason) = (pool.clone(), reason.clone());
            move || {
                let again = pool.try_take().expect("the job was submitted").turn();
                if handle.outcome() == Some(JobOutcome::Cancelled) {
                    assert_eq!(reason.load(Relaxed), 1, "the call ended before it was cancelled");
                }
                drop(again);
            }
        });

        reason.store(1, Relaxed);
        future.cancel();
        worker.join().unwrap();
        drop(future);
        watch.assert_is_over();
        assert!(
            may_finish || seen.load(SeqCst) == 1,
            "the work was dropped before the call was cancelled"
        );
    });
}

/// A part of the work of a call. Its destructor reads what the owner wrote before cancelling the call.
struct Held {
    reason: Arc<AtomicUsize>,
    /// Ghost: loom does not see it.
    seen: Arc<std::sync::atomic::AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seen.store(self.reason.load(Relaxed), SeqCst);
    }
}

/// Mistakes: cancelling does not release; stopping does not acquire.
#[test]
fn a_call_is_cancelled_while_it_yields() {
    assert_cancellation_is_seen(
        |context| {
            context.waker().wake_by_ref();
            Poll::Pending
        },
        false,
    );
}

/// Mistakes: cancelling does not release; parking does not acquire, at the first look or at a later one.
#[test]
fn a_call_is_cancelled_while_it_begins_to_wait() {
    assert_cancellation_is_seen(|_| Poll::Pending, false);
}

/// Mistakes: cancelling does not release; finishing does not acquire, at the first look or at a later one.
#[test]
fn a_call_is_cancelled_while_it_finishes() {
    assert_cancellation_is_seen(|_| Poll::Ready(()), true);
}

/// If a pool drops a job, the handle of the job completes after everything that the call did.
///
/// Mistake: the wake that delivers a job does not acquire.
#[test]
fn a_pool_drops_the_job_that_a_wake_delivers() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let memory = Arc::new(AtomicUsize::new(0));
        let (mut future, waker) = watch.waiting_call({
            let memory = memory.clone();
            move |_| {
                memory.store(1, Relaxed);
                Poll::Pending
            }
        });
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let job = pool.try_take().expect("the job was submitted");
        let event = thread::spawn(move || {
            waker.wake();
            if let Some(job) = pool.try_take() {
                drop(job);
                assert!(handle.is_complete());
                assert_eq!(memory.load(Relaxed), 1, "what the guest wrote is not visible");
            }
        });

        job.run();
        event.join().unwrap();
        drop(future);
        watch.assert_is_over();
    });
}
