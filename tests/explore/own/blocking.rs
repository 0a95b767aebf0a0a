//! Threads that block: the test's own, and those of jobs that have others on top of them.

use super::in_many_orders;
use super::waiting::assert_result;
use crate::support::{Drops, guests};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm_jobs::explore::World;
use wasm_jobs::{
    Clock, Coroutines, EngineOptions, Error, Event, Future, InstancePool, JobHandle, JobOutcome,
    JobPool, next_frame, sleep, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn coroutines_sleep_and_wake_each_other_and_jobs() {
    in_many_orders(3_000, |world: &World| -> Result<(), Error> {
        let coroutines = Coroutines::new();
        let (clock, log) = (world.clock(), Rc::new(RefCell::new(Vec::new())));
        let (there, back) = (Event::new(), Event::new());
        // A coroutine wakes a job, which wakes another coroutine.
        let mut job = Future::new({
            let (there, back) = (there.wait(), back.clone());
            async move {
                there.await;
                yield_now().await;
                back.set();
                Ok(5)
            }
        });
        let handle = world.pool().submit(job.to_job()?);
        let (logs, naps) = (log.clone(), clock.clone());
        coroutines.spawn(async move {
            sleep(&naps, SECOND).await;
            next_frame().await;
            logs.borrow_mut().push(("slept", naps.now()));
            there.set();
            sleep(&naps, SECOND).await;
            logs.borrow_mut().push(("slept", naps.now()));
        });
        let (logs, naps) = (log.clone(), clock.clone());
        coroutines.spawn(async move {
            back.wait().await;
            logs.borrow_mut().push(("back", naps.now()));
        });
        let other = steps_that_are_cancelled(world)?;
        coroutines.run();
        let expected = [("slept", SECOND), ("back", SECOND), ("slept", 2 * SECOND)];
        assert_eq!(*log.borrow(), expected);
        assert_result(&mut job, &handle);
        world.run_all();
        assert!(other.is_complete());
        Ok(())
    });
}

/// A job beside the others that may be cancelled at any time.
fn steps_that_are_cancelled(world: &World) -> Result<JobHandle, Error> {
    let mut call = Future::new(async {
        yield_now().await;
        Ok(())
    });
    let job = world.pool().submit(call.to_job()?);
    // Its owner is dropped by another job.
    let owner = call.into_send();
    world.pool().submit_fn(move || drop(owner));
    Ok(job)
}

#[test]
fn a_simulation_ticks_when_all_of_its_jobs_are_idle() {
    in_many_orders(3_000, |world: &World| -> Result<(), Error> {
        let (pool, clock) = (world.pool(), world.clock());
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut calls = [1, 2].map(|seconds| {
            let (clock, log) = (clock.clone(), log.clone());
            Future::new(async move {
                for _ in 0..2 {
                    clock.sleep(seconds * SECOND).await;
                    yield_now().await;
                    log.lock().unwrap().push(clock.now().as_secs());
                }
                Ok(5)
            })
        });
        let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
        let all = pool.submit_all(runners);
        let mut ticks = 0;
        loop {
            all.wait_until_idle();
            assert!(all.is_idle());
            if all.is_complete() {
                break;
            }
            assert_eq!(clock.now(), ticks * SECOND, "only this test moves the clock");
            clock.tick(SECOND);
            ticks += 1;
        }
        assert_eq!((ticks, log.lock().unwrap().as_slice()), (4, &[1, 2, 2, 4][..]));
        for call in &mut calls {
            assert_eq!(call.try_get_result()?, Some(5));
        }
        Ok(())
    });
}

#[test]
fn closures_block_until_an_instance_is_theirs() {
    let pre = guests::<()>(
        r#"(module (func (export "one") (result i32) (i32.const 1)))"#,
        &EngineOptions::default().pooling(4),
        |_| {},
    );
    in_many_orders(1_000, |world: &World| -> Result<(), Error> {
        let (pool, drops) = (world.pool(), Drops::default());
        let (maker, pre) = (world.clone(), pre.clone());
        let instances = InstancePool::new(1, move || maker.instance(&pre, || ()))?;
        // A call that holds the instance for some steps.
        let mut holds = Future::new({
            let (instances, guard) = (instances.clone(), drops.guard());
            async move {
                let _guard = guard;
                let instance = instances.get().await?;
                yield_now().await;
                drop(instance);
                Ok(5)
            }
        });
        let job = pool.submit(holds.to_job()?);
        let closures = [(); 2].map(|()| {
            let (instances, guard) = (instances.clone(), drops.guard());
            pool.submit_fn(move || {
                let _guard = guard;
                let instance = instances.get_blocking().unwrap();
                let mut call = instance.call::<(), i32>("one", ()).unwrap();
                assert!(matches!(call.wait(), Ok(1)));
            })
        });
        let cancels = job.clone();
        pool.submit_fn(move || cancels.cancel());
        world.run_all();
        assert_eq!(JobHandle::all(closures).outcome(), Some(JobOutcome::Succeeded));
        assert_result(&mut holds, &job);
        let stats = instances.stats();
        assert_eq!((stats.idle, stats.out, stats.waiting), (1, 0, 0));
        assert_eq!(drops.get(), 3);
        Ok(())
    });
}
