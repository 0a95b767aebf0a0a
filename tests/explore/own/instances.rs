//! Instances: calls of one after the other, cancels half-way, instances that many callers share, and `par_map`.

use super::{in_many_orders, in_many_orders_with_ends};
use crate::support::{Drops, Guard, guests};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::{Caller, InstancePre};
use wasm_jobs::{
    EngineOptions, Error, Event, Future, Instance, InstancePool, Instances, JobOutcome, JobPool,
    PoolStats, Slice, yield_now,
};

/// The state of a guest.
struct Host {
    event: Event,
    entered: Arc<AtomicI32>,
    _guard: Guard,
}

/// A guest that enters the host, waits there for an event, leaves it, and counts its calls.
static VISITS: LazyLock<InstancePre<Host>> = LazyLock::new(|| {
    let wat = r#"(module
        (import "host" "enter" (func $enter (param i32)))
        (import "host" "wait" (func $wait))
        (global $calls (mut i32) (i32.const 0))
        (func (export "visit") (param $fails i32) (result i32)
            (call $enter (i32.const 1))
            (call $wait)
            (call $enter (i32.const -1))
            (if (local.get $fails) (then unreachable))
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (global.get $calls)))"#;
    guests(wat, &EngineOptions::default().pooling(20), |linker| {
        let enter = |caller: Caller<'_, Host>, change: i32| {
            caller.data().entered.fetch_add(change, Relaxed);
        };
        linker.func_wrap("host", "enter", enter).unwrap();
        let define = linker.func_wrap_async("host", "wait", |caller: Caller<'_, Host>, (): ()| {
            Box::new(caller.data().event.wait())
        });
        define.unwrap();
    })
});

/// What guests share.
#[derive(Clone, Default)]
struct Shared {
    event: Event,
    entered: Arc<AtomicI32>,
    drops: Drops,
}

impl Shared {
    fn guest(&self, world: &World) -> Result<Instance<Host>, Error> {
        let Self { event, entered, drops } = self.clone();
        world.instance(&*VISITS, move || Host {
            event: event.clone(),
            entered: entered.clone(),
            _guard: drops.guard(),
        })
    }
}

#[test]
fn an_instance_that_is_dropped_is_gone_at_once() {
    let pre = guests("(module)", &EngineOptions::default().pooling(1), |_| {});
    explore::dfs(1).run(|world: &World| -> Result<(), Error> {
        let drops = Drops::default();
        for round in 1..=3 {
            let guard = drops.clone();
            drop(world.instance(&pre, move || guard.guard())?);
            assert_eq!(drops.get(), round);
        }
        Ok(())
    });
}

#[test]
fn an_instance_that_is_made_in_a_step_that_fuel_ends_does_not_keep_that_slice() {
    let pre = guests("(module)", &EngineOptions::default().deterministic(), |_| {});
    explore::random(100).preempt(100).run(|world: &World| -> Result<(), Error> {
        let (maker, pre) = (world.clone(), pre.clone());
        let instances = InstancePool::new(2, move || maker.instance(&pre, || ()))?;
        let held = instances.try_get()?;
        let gets = instances.clone();
        world.pool().submit_fn(move || drop(gets.try_get().unwrap()));
        world.pool().submit_fn(|| ());
        world.run_all();
        // The second instance was given back twice: in that step, and here.
        drop(instances.try_get()?);
        // It has no slice of its own, so it has the one by which the world notices a step without an end.
        assert_eq!(instances.try_get()?.slice(), Slice::Fuel(1_000_000_000));
        drop(held);
        Ok(())
    });
}

#[test]
fn an_instance_is_free_when_its_call_is_over_and_poisoned_if_that_was_half_way() {
    in_many_orders(1_000, |world: &World| -> Result<(), Error> {
        let (pool, shared) = (world.pool(), Shared::default());
        let guest = Arc::new(shared.guest(world)?);
        let fails = i32::from(world.choose(2) == 1);
        let mut call = guest.call::<i32, i32>("visit", fails)?;
        let job = pool.submit(call.to_job()?);
        let (cancels, event) = (job.clone(), shared.event.clone());
        pool.submit_fn(move || cancels.cancel());
        pool.submit_fn(move || event.set());
        // Another caller, who comes in between, and one who comes after that.
        let others = guest.clone();
        pool.submit_fn(move || match others.call::<i32, i32>("visit", 0) {
            Err(Error::CallInProgress | Error::Poisoned) | Ok(_) => {}
            Err(other) => panic!("{other}"),
        });
        let next = pool.submit_after(
            {
                let (guest, job) = (guest.clone(), job.clone());
                move || {
                    assert!(job.is_complete());
                    if guest.is_poisoned() {
                        assert_ne!(job.outcome(), Some(JobOutcome::Succeeded));
                        guest.clear_poison().unwrap();
                    }
                    guest.call::<i32, i32>("visit", 0).map(drop).unwrap();
                    assert!(!guest.is_poisoned(), "a call that was not begun");
                }
            },
            std::slice::from_ref(&job),
        );
        world.run_all();
        assert_eq!(next.outcome(), Some(JobOutcome::Succeeded));
        match (call.try_get_result(), job.outcome()) {
            (Ok(Some(1)), Some(JobOutcome::Succeeded)) => assert_eq!(fails, 0),
            (Err(Error::Trap(_)), Some(JobOutcome::Failed)) => assert_eq!(fails, 1),
            (Err(Error::Cancelled), Some(JobOutcome::Cancelled)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(shared.drops.get(), 0);
        drop(guest);
        assert_eq!(
            shared.drops.get(),
            1,
            "the guest is nobody's, although its calls are still there"
        );
        Ok(())
    });
}

#[test]
fn callers_share_an_instance_and_none_is_lost() {
    let (_, ends) = in_many_orders_with_ends(1_000, |world: &World| {
        let (pool, shared) = (world.pool(), Shared::default());
        let (maker, made) = (shared.clone(), world.clone());
        let instances = InstancePool::new(1, move || maker.guest(&made))?;
        // Three requests for one instance. One of them is cancelled at some time, and the call of one fails.
        let mut requests = [0, 0, 1].map(|fails| {
            let (instances, pool) = (instances.clone(), pool.clone());
            Future::new(async move { instances.call::<i32, i32>(&pool, "visit", fails).await })
        });
        let mut jobs = Vec::new();
        for request in &mut requests {
            jobs.push(pool.submit(request.to_job()?));
        }
        let (cancels, event) = (jobs[0].clone(), shared.event.clone());
        pool.submit_fn(move || cancels.cancel());
        pool.submit_fn(move || event.set());
        world.run_all();
        let mut calls = 0;
        for (number, request) in requests.iter_mut().enumerate() {
            match request.try_get_result() {
                Ok(Some(_)) => calls += 1,
                Err(Error::Trap(_)) => assert_eq!(number, 2),
                Err(Error::Cancelled) => assert_eq!(number, 0),
                other => panic!("{other:?}"),
            }
        }
        let PoolStats { idle, out, waiting, made, resets, .. } = instances.stats();
        // The instance is there, unless its last guest was thrown away.
        assert_eq!((out, waiting), (0, 0), "none is lost");
        assert_eq!(made - resets, idle as u64);
        assert_eq!(shared.drops.get() as u64, resets);
        assert!((1..=2).contains(&calls) && (1..=2).contains(&resets));
        drop(instances);
        assert_eq!(shared.drops.get() as u64, made);
        Ok((calls, resets))
    });
    assert!(ends.len() >= 3, "{ends:?}");
}

#[test]
fn an_instance_that_a_caller_does_not_wait_for_any_more_goes_to_the_next_one() {
    in_many_orders(1_000, |world: &World| -> Result<(), Error> {
        let (pool, shared) = (world.pool(), Shared::default());
        shared.event.set();
        let (maker, made) = (shared.clone(), world.clone());
        let instances = InstancePool::new(2, move || maker.guest(&made))?;
        let most = Arc::new(Mutex::new((0, 0)));
        let mut callers = [(); 4].map(|()| {
            let (instances, most) = (instances.clone(), most.clone());
            Future::new(async move {
                let instance = instances.get().await?;
                {
                    let (now, most) = &mut *most.lock().unwrap();
                    *now += 1;
                    *most = (*most).max(*now);
                }
                // A call that is dropped here gives its instance back, too.
                let _leaves = Leaves(most);
                yield_now().await;
                instance.call::<i32, i32>("visit", 0)?.await
            })
        });
        let mut jobs = Vec::new();
        for caller in &mut callers {
            jobs.push(pool.submit(caller.to_job()?));
        }
        for job in &jobs[..2] {
            let cancels = job.clone();
            pool.submit_fn(move || cancels.cancel());
        }
        world.run_all();
        for (number, caller) in callers.iter_mut().enumerate() {
            match caller.try_get_result() {
                Ok(Some(_)) => {}
                Err(Error::Cancelled) => assert!(number < 2),
                other => panic!("{other:?}"),
            }
        }
        let PoolStats { idle, out, waiting, made, resets, .. } = instances.stats();
        assert_eq!((out, waiting, idle as u64), (0, 0, made - resets));
        let (now, most) = *most.lock().unwrap();
        assert!(now == 0 && most <= 2);
        Ok(())
    });
}

/// Counts a caller that leaves.
struct Leaves(Arc<Mutex<(i32, i32)>>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

#[test]
fn par_map_gives_each_input_one_result_whatever_is_cancelled() {
    in_many_orders(1_000, |world: &World| -> Result<(), Error> {
        let (pool, shared) = (world.pool(), Shared::default());
        shared.event.set();
        let instances = [shared.guest(world)?, shared.guest(world)?];
        // The second input is a call that fails.
        let job = instances.par_map::<i32, i32, _>(&pool, [0, 1, 0, 0], "visit").submit()?;
        let cancels = job.handle().clone();
        let way = world.choose(3);
        let mut owner = Some(job.into_send());
        let last = (way != 2).then(|| owner.take()).flatten();
        pool.submit_fn(move || match way {
            0 => {}
            1 => cancels.cancel(),
            _ => drop(owner),
        });
        if let Some(job) = last {
            let results = job.wait();
            assert_eq!(results.len(), 4);
            for (number, result) in results.iter().enumerate() {
                match result {
                    Ok(_) => assert_ne!(number, 1),
                    Err(Error::Trap(_)) => assert_eq!(number, 1),
                    Err(Error::Cancelled) => assert_eq!(way, 1),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        world.run_all();
        for guest in &instances {
            if guest.is_poisoned() {
                guest.reset()?;
            }
            drop(guest.call::<i32, i32>("visit", 0)?);
        }
        let resets = shared.drops.get();
        drop(instances);
        assert_eq!(shared.drops.get(), resets + 2);
        Ok(())
    });
}
