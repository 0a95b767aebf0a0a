//! What a waiting call does when it is woken, cancelled, dropped, awaited, or given back.

use super::{in_many_orders, in_many_orders_with_ends};
use crate::support::{Drops, ok};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use wasm_jobs::explore::World;
use wasm_jobs::{
    AccessQueue, Clock, Coroutines, Error, Event, Future, JobHandle, JobOutcome, JobPool, Step,
    yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// A call that yields, waits for the event, and yields again.
fn call(event: &Event, drops: &Drops) -> Future<i32> {
    let (wait, guard) = (event.wait(), drops.guard());
    Future::new(async move {
        let _guard = guard;
        yield_now().await;
        wait.await;
        yield_now().await;
        Ok(5)
    })
}

/// Asserts that a call whose job is over has the result that the outcome of its job says, once.
pub(super) fn assert_result(call: &mut Future<i32>, job: &JobHandle) {
    match (call.try_get_result(), job.outcome()) {
        (Ok(Some(5)), Some(JobOutcome::Succeeded)) => {}
        (Err(Error::Cancelled), Some(JobOutcome::Cancelled)) => {}
        (Err(Error::DependencyFailed), Some(JobOutcome::Failed)) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(call.try_get_result(), Err(Error::ResultTaken)));
}

#[test]
fn calls_that_wait_are_woken_cancelled_and_dropped() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, event, drops) = (world.pool(), Event::new(), Drops::default());
        let mut calls = [(); 3].map(|()| call(&event, &drops));
        let mut jobs = Vec::new();
        for call in &mut calls {
            jobs.push(pool.submit(call.to_job()?));
        }
        let [mut woken, mut cancelled, dropped] = calls;
        pool.submit_fn(move || event.set());
        let (job, seen) = (jobs[1].clone(), drops.clone());
        pool.submit_fn(move || {
            let before = seen.get();
            let was_over = job.is_complete();
            job.cancel();
            // It is in no step, so it ends at once, and what it held is dropped.
            assert!(job.is_complete());
            assert_eq!(seen.get(), before + usize::from(!was_over));
        });
        let (job, dropped) = (jobs[2].clone(), dropped.into_send());
        pool.submit_fn(move || {
            let was_over = job.outcome();
            drop(dropped);
            assert_eq!(job.outcome(), was_over.or(Some(JobOutcome::Cancelled)));
        });
        world.run_all();
        assert_eq!(drops.get(), 3);
        assert_eq!(jobs[0].outcome(), Some(JobOutcome::Succeeded));
        assert_result(&mut woken, &jobs[0]);
        assert_result(&mut cancelled, &jobs[1]);
        Ok(())
    });
}

#[test]
fn a_job_that_several_await_ends_in_one_way_for_all_of_them() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, event, drops) = (world.pool(), Event::new(), Drops::default());
        let mut awaited = call(&event, &drops);
        let job = pool.submit(awaited.to_job()?);
        let mut watchers = [(); 2].map(|()| {
            let job = job.clone();
            Future::new(async move {
                job.clone().await;
                Ok(job.outcome())
            })
        });
        for watcher in &mut watchers {
            pool.submit(watcher.to_job()?);
        }
        let cancels = job.clone();
        pool.submit_fn(move || event.set());
        pool.submit_fn(move || cancels.cancel());
        job.wait();
        let outcome = job.outcome();
        world.run_all();
        for watcher in &mut watchers {
            assert_eq!(watcher.try_get_result()?, Some(outcome));
        }
        assert_eq!((job.outcome(), drops.get()), (outcome, 1));
        assert_result(&mut awaited, &job);
        Ok(())
    });
}

#[test]
fn a_call_that_awaits_a_job_takes_it_with_it_when_it_is_cancelled() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, event, drops) = (world.pool(), Event::new(), Drops::default());
        let mut inner = call(&event, &drops);
        let inner_job = pool.submit(inner.to_job()?);
        let (inner, guard) = (inner.into_send(), drops.guard());
        let mut outer = Future::new(async move {
            let _guard = guard;
            inner.await
        });
        let outer_job = pool.submit(outer.to_job()?);
        pool.submit_fn(move || event.set());
        let cancels = inner_job.clone();
        pool.submit_fn(move || cancels.cancel());
        let (cancels, of_inner, seen) = (outer_job.clone(), inner_job.clone(), drops.clone());
        pool.submit_fn(move || {
            cancels.cancel();
            assert!(cancels.is_complete() && of_inner.is_complete());
            assert_eq!(seen.get(), 2);
        });
        world.run_all();
        assert_eq!(drops.get(), 2);
        assert_result(&mut outer, &outer_job);
        let worst = if outer_job.outcome() == Some(JobOutcome::Succeeded) {
            JobOutcome::Succeeded
        } else {
            JobOutcome::Cancelled
        };
        // The inner call may have succeeded before its owner was cancelled.
        assert!(inner_job.outcome() <= Some(worst), "{inner_job:?} and {outer_job:?}");
        Ok(())
    });
}

#[test]
fn a_runner_that_is_dropped_half_way_gives_the_call_to_whoever_awaits_it() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, event, drops) = (world.pool(), Event::new(), Drops::default());
        let mut inner = call(&event, &drops);
        let mut runner = inner.to_job()?;
        let inner = inner.into_send();
        let mut outer = Future::new(inner);
        let job = pool.submit(outer.to_job()?);
        let most = world.choose(4);
        pool.submit_fn(move || {
            for _ in 0..most {
                if runner.resume() == Step::Done {
                    break;
                }
            }
            drop(runner);
        });
        let sets = event.clone();
        pool.submit_fn(move || sets.set());
        let cancels = job.clone();
        let is_cancelled = world.choose(2) == 1;
        pool.submit_fn(move || {
            if is_cancelled {
                cancels.cancel();
            }
        });
        world.run_all();
        assert_eq!(drops.get(), 1);
        assert!(is_cancelled || job.outcome() == Some(JobOutcome::Succeeded));
        assert_result(&mut outer, &job);
        Ok(())
    });
}

#[test]
fn a_call_goes_from_job_to_job_and_back_to_its_owner() {
    in_many_orders(2_000, |world: &World| -> Result<(), Error> {
        let (pool, event, drops) = (world.pool(), Event::new(), Drops::default());
        let mut travels = call(&event, &drops);
        let first = pool.submit(travels.to_job()?);
        let again = pool.clone();
        // This job has the owner. It may find the call in the other job, and then cancels that by dropping the owner, or waits on top of it.
        let (drops_it, seen) = (world.choose(2) == 1, drops.clone());
        let mut owner = travels.into_send();
        pool.submit_fn(move || match owner.to_job() {
            _ if drops_it => {
                drop(owner);
                assert_eq!(seen.get(), 1);
            }
            Ok(runner) => again.submit(runner).wait(),
            Err(Error::InJob) => assert!(matches!(owner.wait(), Ok(5))),
            Err(other) => panic!("{other:?}"),
        });
        pool.submit_fn(move || event.set());
        world.run_all();
        assert_eq!(drops.get(), 1);
        assert!(drops_it || first.outcome() == Some(JobOutcome::Succeeded));
        Ok(())
    });
}

#[test]
fn closures_that_wait_for_access_run_in_the_order_of_their_arrival_unless_they_are_cancelled() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, queue, drops) = (world.pool(), AccessQueue::<Vec<i32>>::new(), Drops::default());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let mut calls = [0, 1, 2].map(|number| {
            let (queue, arrived, guard) = (queue.clone(), arrived.clone(), drops.guard());
            Future::new(async move {
                arrived.lock().unwrap().push(number);
                let visit = queue.with(move |visitors: &mut Vec<i32>| {
                    visitors.push(number);
                    drop(guard);
                });
                visit.await;
                Ok(5)
            })
        });
        let mut jobs = Vec::new();
        for call in &mut calls {
            jobs.push(pool.submit(call.to_job()?));
        }
        let cancels = jobs[1].clone();
        pool.submit_fn(move || cancels.cancel());
        let all = JobHandle::all(jobs.clone());
        let mut owner = Future::new(async move {
            let mut visitors = Vec::new();
            while !all.is_complete() {
                queue.run(&mut visitors);
                all.until_idle().await;
            }
            assert!(queue.is_empty());
            Ok(visitors)
        });
        pool.submit(owner.to_job()?);
        world.run_all();
        let visitors = owner.try_get_result()?.unwrap();
        let mut expected = arrived.lock().unwrap().clone();
        // A call may be cancelled after its closure has run, and before it took the result.
        expected.retain(|number| *number != 1 || visitors.contains(number));
        assert_eq!(visitors, expected);
        assert_eq!(drops.get(), 3);
        for (number, (call, job)) in (0..).zip(calls.iter_mut().zip(&jobs)) {
            assert!(number == 1 || job.outcome() == Some(JobOutcome::Succeeded));
            assert_result(call, job);
        }
        Ok(())
    });
}

#[test]
fn jobs_are_idle_together_when_none_of_them_can_go_on() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, events) = (world.pool(), [(); 3].map(|()| Event::new()));
        // Each wakes the next one, which waits or will.
        let mut calls = [0, 1].map(|number| {
            let (wait, next) = (events[number].wait(), events[number + 1].clone());
            Future::new(async move {
                wait.await;
                yield_now().await;
                next.set();
                Ok(5)
            })
        });
        let mut jobs = Vec::new();
        for call in &mut calls {
            jobs.push(pool.submit(call.to_job()?));
        }
        let all = JobHandle::all(jobs.clone());
        let (first, last) = (events[0].clone(), events[2].clone());
        let mut watcher = Future::new(async move {
            all.until_idle().await;
            // Nobody but this sets the first event.
            assert!(all.is_idle() && !all.is_complete() && !last.is_set());
            first.set();
            assert!(!all.is_idle());
            all.until_idle().await;
            assert!(all.is_complete() && last.is_set());
            Ok(())
        });
        pool.submit(watcher.to_job()?);
        world.run_all();
        watcher.try_get_result()?;
        for (call, job) in calls.iter_mut().zip(&jobs) {
            assert_result(call, job);
        }
        Ok(())
    });
}

/// Waits for an event or for the time, whichever comes first. Is it the event?
pub(super) async fn event_within(
    event: impl std::future::Future<Output = ()>,
    mut sleep: Pin<Box<dyn std::future::Future<Output = ()> + Send>>,
) -> bool {
    let mut event = pin!(event);
    std::future::poll_fn(|context| {
        if event.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        sleep.as_mut().poll(context).map(|()| false)
    })
    .await
}

#[test]
fn a_call_waits_for_an_event_until_a_deadline() {
    let (_, ends) = in_many_orders_with_ends(5_000, |world: &World| {
        let (pool, event) = (world.pool(), Event::new());
        let mut waits = Future::new({
            let (wait, sleep) = (event.wait(), world.clock().sleep(2 * SECOND));
            ok(event_within(wait, sleep))
        });
        let mut sets = Future::new({
            let (clock, event) = (world.clock(), event.clone());
            async move {
                clock.sleep(SECOND).await;
                clock.sleep(SECOND).await;
                event.set();
                Ok(())
            }
        });
        pool.submit(waits.to_job()?);
        pool.submit(sets.to_job()?);
        let clock = world.clock();
        let mut late = Future::new(async move {
            clock.sleep(3 * SECOND).await;
            Ok(clock.sleepers())
        });
        pool.submit(late.to_job()?);
        world.run_all();
        assert_eq!(late.try_get_result()?, Some(0), "nobody sleeps who has not to");
        assert_eq!(world.clock().now(), 3 * SECOND);
        Ok(waits.try_get_result()?.unwrap())
    });
    assert_eq!(ends, [false, true].into(), "either may come first");
}

#[test]
fn coroutines_go_on_when_what_they_await_ends_in_any_way() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, event, drops) = (world.pool(), Event::new(), Drops::default());
        let coroutines = Coroutines::new();
        let (sum, mut jobs) = (Arc::new(AtomicU32::new(0)), Vec::new());
        for is_awaited_by_its_handle in [true, false] {
            let mut call = call(&event, &drops);
            let job = pool.submit(call.to_job()?);
            jobs.push(job.clone());
            let sum = sum.clone();
            coroutines.spawn(async move {
                let result = if is_awaited_by_its_handle {
                    job.await;
                    call.try_get_result().map(|result| result.expect("its job is over"))
                } else {
                    call.await
                };
                let succeeds = matches!(result, Ok(5));
                assert!(succeeds || matches!(result, Err(Error::Cancelled)));
                sum.fetch_add(1 + 10 * u32::from(succeeds), Relaxed);
            });
        }
        let cancels = jobs[world.choose(2) as usize].clone();
        pool.submit_fn(move || cancels.cancel());
        pool.submit_fn(move || event.set());
        coroutines.run();
        world.run_all();
        let succeeded = jobs.iter().filter(|job| job.outcome() == Some(JobOutcome::Succeeded));
        assert_eq!(sum.load(Relaxed) as usize, 2 + 10 * succeeded.count());
        assert_eq!(drops.get(), 2);
        Ok(())
    });
}
