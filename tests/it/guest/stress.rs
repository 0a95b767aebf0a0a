//! Thousands of calls of guests on real threads. Another thread wakes them.

use super::{ENGINE, Host, Pre, compile, link, linker, options_of_engines};
use crate::stress::Random;
use crate::support::{a_thread_each, alarm_clock, block_on, receives, workers};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use wasm_jobs::wasmtime::{Caller, Engine, Linker};
use wasm_jobs::{Error, Instance, InstanceOptions, JobHandle, JobPool, Slice, Step};

/// `work(n)` waits, yields and computes in turn, and returns n times the number of the call.
const WORKING: &str = r#"(module $working
    (import "env" "wait_for_alarm" (func $wait))
    (import "env" "yield" (func $yield))
    (memory (export "memory") 1)
    (func (export "work") (param $n i32) (result i32) (local $turns i32)
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (local.set $turns (i32.rem_u (local.get $n) (i32.const 4)))
        (block $end
            (loop $next
                (br_if $end (i32.eqz (local.get $turns)))
                (call $yield)
                (if (i32.and (local.get $turns) (i32.const 1)) (then (call $wait)))
                (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
                (br $next)))
        (i32.mul (local.get $n) (i32.load (i32.const 0)))))"#;

const INSTANCES: usize = 64;

/// Makes `calls` calls of each instance. Several owners share one pool.
fn work_on(pool: impl JobPool, calls: i32) -> Result<(), Error> {
    const OWNERS: usize = 4;
    let (alarm, clock) = alarm_clock();
    let pre = link(&linker(&ENGINE)?, &compile(&ENGINE, WORKING)?)?;
    thread::scope(|scope| {
        for owner in 0..OWNERS {
            let (pool, pre, alarm) = (&pool, &pre, &alarm);
            let own = move || -> Result<(), Error> {
                let host = || Host { alarm: Some(alarm.clone()), ..Host::default() };
                let instances = (0..INSTANCES / OWNERS)
                    .map(|_| Instance::new(pre, host()))
                    .collect::<Result<Vec<_>, _>>()?;
                let mut random = Random::new(owner as u64);
                for call in 1..=calls {
                    let numbers: Vec<_> =
                        instances.iter().map(|_| random.below(1_000) as i32).collect();
                    let mut futures = std::iter::zip(&instances, &numbers)
                        .map(|(instance, &n)| instance.call::<i32, i32>("work", n))
                        .collect::<Result<Vec<_>, _>>()?;
                    let jobs = futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
                    let all = JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?);
                    if call % 2 == 0 {
                        all.wait()
                    } else {
                        block_on(all)
                    }
                    for (future, &n) in std::iter::zip(&mut futures, &numbers) {
                        assert_eq!(future.try_get_result()?, Some(n * call));
                    }
                }
                for instance in &instances {
                    let mut store = instance.store()?;
                    let memory = store.memory("memory")?;
                    assert_eq!(memory.data(&store)[..4], calls.to_le_bytes());
                }
                Ok(())
            };
            scope.spawn(move || own().expect("no call fails"));
        }
    });
    drop(alarm);
    clock.join().expect("the thread ends with its last sender");
    Ok(())
}

#[test]
fn thousands_of_calls_on_a_channel() -> Result<(), Error> {
    work_on(workers(2), 50)
}

#[test]
fn hundreds_of_calls_on_a_thread_each() -> Result<(), Error> {
    work_on(a_thread_each, 5)
}

#[cfg(feature = "rayon")]
#[test]
fn thousands_of_calls_on_rayon() -> Result<(), Error> {
    work_on(crate::rayon_pools::pool(2), 100)?;
    work_on(crate::rayon_pools::pool(4), 50)
}

#[test]
fn calls_given_up_at_any_moment_leave_their_instances_usable() -> Result<(), Error> {
    let (alarm, clock) = alarm_clock();
    let pre = link(&linker(&ENGINE)?, &compile(&ENGINE, WORKING)?)?;
    let host = || Host { alarm: Some(alarm.clone()), ..Host::default() };
    let instances = (0..8).map(|_| Instance::new(&pre, host())).collect::<Result<Vec<_>, _>>()?;
    let (pool, mut random) = (workers(2), Random::new(1));
    for _ in 0..100 {
        for instance in &instances {
            let mut future = instance.call::<i32, i32>("work", random.below(1_000) as i32)?;
            let handle = match random.below(4) {
                0 => None,
                1 => {
                    let _ = future.resume()?;
                    None
                }
                _ => Some(pool.submit(future.to_job()?)),
            };
            match random.below(3) {
                0 => drop(future),
                1 => {
                    future.cancel();
                    assert!(matches!(future.wait(), Ok(_) | Err(Error::Cancelled)));
                }
                _ => {
                    future.wait()?;
                }
            }
            if let Some(handle) = handle {
                handle.wait();
            }
            if instance.is_poisoned() {
                if random.below(2) == 0 {
                    instance.clear_poison()?
                } else {
                    instance.reset_with(host())?
                }
            }
            let mut after = instance.call::<i32, i32>("work", 0)?;
            assert_eq!(after.resume()?, Step::Done);
            assert_eq!(after.wait()?, 0);
        }
    }
    drop((instances, host));
    drop(alarm);
    clock.join().expect("the thread ends with its last sender");
    Ok(())
}

/// `forever` and `nests` never end and never yield. In each round, `nests` has the host call another guest.
const ENDLESS: &str = r#"(module $endless
    (import "env" "nested" (func $nested))
    (func (export "forever") (loop $again (br $again)))
    (func (export "nests") (loop $again (call $nested) (br $again))))"#;

/// Endless guests on several engines. Their host function steps a guest of the next engine.
fn nesting_guests(engines: usize) -> Result<Vec<Pre<Instance<()>>>, Error> {
    let engine = || wasm_jobs::engine(&options_of_engines().pooling(24));
    let engines = (0..engines).map(|_| engine()).collect::<Result<Vec<_>, _>>()?;
    let outer = |engine: &Engine| {
        let mut linker = Linker::new(engine);
        linker.func_wrap("env", "nested", |host: Caller<'_, Instance<()>>| {
            let mut call =
                host.data().call::<(), ()>("forever", ()).expect("no other call is in progress");
            for _ in 0..2 {
                assert_eq!(call.resume().expect("the owner has the call"), Step::Yielded);
            }
            drop(call);
            host.data().clear_poison().expect("the call is over");
        })?;
        link(&linker, &compile(engine, ENDLESS)?)
    };
    engines.iter().map(outer).collect()
}

/// The guest that the host function of `nests` calls.
fn inner_guest(engine: &Engine, slice: Duration) -> Result<Instance<()>, Error> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "nested", || {})?;
    let pre = link(&linker, &compile(engine, ENDLESS)?)?;
    let options = InstanceOptions::default().slice(Slice::Time(slice));
    Instance::with_options(&pre, options, || ())
}

#[test]
fn every_step_with_an_end_ends_whatever_nests_and_is_cancelled_beside_it() -> Result<(), Error> {
    const THREADS: usize = 8;
    const ROUNDS: usize = 12;
    const SLICE: Duration = Duration::from_micros(100);
    let guests = Arc::new(nesting_guests(3)?);
    let (done, is_done) = mpsc::channel();
    let run = |thread: usize, guests: &[Pre<Instance<()>>]| -> Result<(), Error> {
        let pre = &guests[thread % guests.len()];
        let next = guests[(thread + 1) % guests.len()].module().engine().clone();
        let mut random = Random::new(thread as u64);
        for _ in 0..ROUNDS {
            let inner = inner_guest(&next, SLICE)?;
            let guest = Instance::new(pre, inner)?;
            guest.set_slice(Slice::Time(SLICE))?;
            let export = if random.below(2) == 0 { "forever" } else { "nests" };
            let mut call = guest.call::<(), ()>(export, ())?;
            for _ in 0..10 {
                assert_eq!(call.resume()?, Step::Yielded);
            }
            if random.below(2) == 0 {
                // Only the cancellation ends this step.
                guest.set_slice(Slice::Unbounded)?;
                let job = a_thread_each.submit(call.to_job()?);
                call.cancel();
                job.wait();
                assert!(matches!(call.wait(), Err(Error::Cancelled)));
            }
        }
        Ok(())
    };
    for thread in 0..THREADS {
        let (done, guests) = (done.clone(), guests.clone());
        thread::spawn(move || {
            run(thread, &guests).expect("no call fails");
            done.send(()).expect("the test is receiving");
        });
    }
    for _ in 0..THREADS {
        assert!(receives(&is_done), "a step has not ended");
    }
    Ok(())
}
