//! A thread uses the allocations of a call that has ended for its next calls. Nothing else goes from one call to the next.

use std::future::{pending, poll_fn};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use wasm_jobs::{Error, Future, Step, yield_now};

#[test]
fn a_waker_of_a_call_that_is_over_does_not_wake_the_next_call() {
    let kept = Arc::new(Mutex::new(None::<Waker>));
    let mut first = Future::new({
        let kept = kept.clone();
        poll_fn(move |context| {
            *kept.lock().unwrap() = Some(context.waker().clone());
            Poll::Ready(Ok(()))
        })
    });
    first.wait().unwrap();
    drop(first);

    let polls = Arc::new(AtomicU32::new(0));
    let mut second = Future::new({
        let polls = polls.clone();
        poll_fn(move |_| {
            polls.fetch_add(1, Relaxed);
            Poll::<Result<(), Error>>::Pending
        })
    });
    assert_eq!(second.resume().unwrap(), Step::Waiting);
    kept.lock().unwrap().take().unwrap().wake();
    assert_eq!(second.resume().unwrap(), Step::Waiting);
    assert_eq!(polls.load(Relaxed), 1, "nothing has woken it");
}

#[test]
fn a_call_that_is_over_keeps_nothing_of_its_owners() {
    let held = Arc::new(());
    for taken in [true, false] {
        let mut future = Future::new({
            let held = held.clone();
            async move { Ok(held) }
        });
        assert_eq!(future.resume().unwrap(), Step::Done);
        if taken {
            drop(future.try_get_result().unwrap());
        }
        drop(future);
        assert_eq!(Arc::strong_count(&held), 1, "taken: {taken}");
    }
}

#[test]
fn a_call_that_ends_in_a_runner_and_one_that_is_dropped_half_way_leave_the_next_one_alone() {
    fn steps(future: &mut Future<u32>) -> u32 {
        let mut steps = 1;
        while future.resume().unwrap() != Step::Done {
            steps += 1;
        }
        steps
    }

    fn call(yields: u32) -> Future<u32> {
        Future::new(async move {
            for _ in 0..yields {
                yield_now().await;
            }
            Ok(yields)
        })
    }

    for yields in 0..50 {
        let mut lent = call(yields);
        let mut runner = lent.to_job().unwrap();
        while runner.resume() != Step::Done {}
        drop(runner);
        assert_eq!(lent.try_get_result().unwrap(), Some(yields));

        let mut dropped = call(yields + 1);
        assert_eq!(dropped.resume().unwrap(), Step::Yielded);
        drop(dropped);

        let mut cancelled = call(yields + 1);
        cancelled.cancel();
        assert!(matches!(cancelled.wait(), Err(Error::Cancelled)));

        let mut own = call(yields);
        assert_eq!(steps(&mut own), yields + 1);
        assert_eq!(own.try_get_result().unwrap(), Some(yields));
    }
}

#[test]
fn calls_of_many_sizes_take_turns() {
    fn call<const N: usize>(round: u8) -> Future<[u8; N]> {
        let contents = [round; N];
        Future::new(async move {
            yield_now().await;
            Ok(contents)
        })
    }

    fn check<const N: usize>(round: u8) {
        let mut future = call::<N>(round);
        let mut other = call::<N>(round + 1);
        assert_eq!(future.wait().unwrap(), [round; N]);
        assert_eq!(other.wait().unwrap(), [round + 1; N]);
    }

    for round in 0..20 {
        check::<1>(round);
        check::<3>(round);
        check::<9>(round);
        check::<27>(round);
        check::<81>(round);
        check::<243>(round);
        check::<729>(round);
        check::<2187>(round);
        check::<6561>(round);
    }
}

#[test]
fn a_call_that_panics_leaves_the_next_one_alone() {
    fn call(panics: bool) -> Future<u8> {
        Future::new(async move {
            if panics {
                panic!("as it should");
            }
            pending::<()>().await;
            Ok(1)
        })
    }

    let mut panicking = call(true);
    assert!(matches!(panicking.wait(), Err(Error::Panic(_))));
    drop(panicking);
    let mut waiting = call(false);
    assert_eq!(waiting.resume().unwrap(), Step::Waiting);
    assert_eq!(waiting.resume().unwrap(), Step::Waiting);
}
