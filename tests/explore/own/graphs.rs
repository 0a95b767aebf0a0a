//! Jobs that run after others: what each of them finds when it runs, and what becomes of those that do not.

use super::waiting::assert_result;
use super::{in_many_orders, in_many_orders_with_ends};
use crate::random_graph;
use crate::support::{Drops, guests};
use std::slice::from_ref;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasmtime::Caller;
use wasm_jobs::{
    Clock, EngineOptions, Error, Event, Future, JobHandle, JobOutcome, JobPool, yield_now,
};

/// The names of jobs, in the order in which they ended.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }

    fn has(&self, name: &str) -> bool {
        self.0.lock().unwrap().contains(&name)
    }

    /// Asserts that the jobs that have ended did so in an order in which none comes before one of those that it depends on.
    fn assert_order(&self, after: &[(&str, &str)]) {
        let log = self.0.lock().unwrap();
        let place = |name: &str| log.iter().position(|known| *known == name);
        for (late, early) in after {
            if let (Some(late), Some(early)) = (place(late), place(early)) {
                assert!(early < late, "{log:?}");
            }
        }
    }
}

/// A call that yields once, and then adds its name to the log. It may fail.
fn call(log: &Log, name: &'static str, drops: &Drops, fails: bool) -> Future<i32> {
    let (log, guard) = (log.clone(), drops.guard());
    Future::new(async move {
        let _guard = guard;
        yield_now().await;
        log.add(name);
        if fails { Err(Error::other(name)) } else { Ok(5) }
    })
}

const DIAMOND: [(&str, &str); 4] = [("b", "a"), ("c", "a"), ("d", "b"), ("d", "c")];

#[test]
fn a_diamond_runs_in_its_order_whatever_is_cancelled() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, log, drops) = (world.pool(), Log::default(), Drops::default());
        let mut calls = ["a", "b", "c", "d"].map(|name| call(&log, name, &drops, false));
        let a = pool.submit(calls[0].to_job()?);
        let b = pool.submit_after(calls[1].to_job()?, from_ref(&a));
        let c = pool.submit_after(calls[2].to_job()?, from_ref(&a));
        let d = pool.submit_after(calls[3].to_job()?, &[b.clone(), c.clone()]);
        let jobs = [a, b, c, d];
        let cancels = jobs[world.choose(4) as usize].clone();
        let cancelled = cancels.clone();
        pool.submit_fn(move || {
            cancels.cancel();
            assert!(cancels.is_complete(), "a job that is in no step, or waits for others");
        });
        world.run_all();
        log.assert_order(&DIAMOND);
        assert_eq!(drops.get(), 4);
        for (name, (call, job)) in ["a", "b", "c", "d"].iter().zip(calls.iter_mut().zip(&jobs)) {
            assert_eq!(log.has(name), job.outcome() == Some(JobOutcome::Succeeded));
            assert_result(call, job);
        }
        let all = JobHandle::all(jobs);
        assert_eq!(all.outcome(), cancelled.outcome(), "no other has failed");
        Ok(())
    });
}

#[test]
fn a_diamond_that_needs_success_stops_where_one_has_not_succeeded() {
    let (_, ends) = in_many_orders_with_ends(5_000, |world: &World| {
        let (pool, log, drops) = (world.pool(), Log::default(), Drops::default());
        // One of them may fail, or may be cancelled at any time.
        let (chosen, way) = (world.choose(4) as usize, world.choose(3));
        let names = ["a", "b", "c", "d"];
        let mut calls =
            [0, 1, 2, 3].map(|job| call(&log, names[job], &drops, way == 1 && job == chosen));
        let a = pool.submit(calls[0].to_job()?);
        let b = pool.submit_after_ok(calls[1].to_job()?, from_ref(&a));
        let c = pool.submit_after_ok(calls[2].to_job()?, from_ref(&a));
        let d = pool.submit_after_ok(calls[3].to_job()?, &[b.clone(), c.clone()]);
        let jobs = [a, b, c, d];
        if way == 2 {
            let cancels = jobs[chosen].clone();
            pool.submit_fn(move || cancels.cancel());
        }
        let all = JobHandle::all(jobs.clone());
        all.wait();
        world.run_all();
        log.assert_order(&DIAMOND);
        assert_eq!(drops.get(), 4);
        let outcomes = jobs.each_ref().map(|job| job.outcome().unwrap());
        let succeeded = outcomes.map(|outcome| outcome == JobOutcome::Succeeded);
        for (late, early) in [(1, 0), (2, 0), (3, 1), (3, 2)] {
            assert!(succeeded[early] || !succeeded[late], "{outcomes:?}");
        }
        for (job, call) in calls.iter_mut().enumerate() {
            let refused = match job {
                0 => false,
                3 => !succeeded[1] || !succeeded[2],
                _ => !succeeded[0],
            };
            let has_run = log.has(names[job]);
            match call.try_get_result() {
                Ok(Some(5)) => assert!(succeeded[job] && has_run && !refused),
                Err(Error::Other(_)) => assert!(job == chosen && way == 1 && has_run),
                Err(Error::Cancelled) => assert!(job == chosen && way == 2 && !has_run),
                Err(Error::DependencyFailed) => assert!(refused && !has_run),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(all.outcome(), outcomes.iter().max().copied());
        Ok(outcomes)
    });
    use JobOutcome::{Cancelled, Failed, Succeeded};
    assert!(ends.contains(&[Succeeded; 4]));
    assert!(ends.contains(&[Succeeded, Cancelled, Succeeded, Failed]));
    assert!(ends.contains(&[Failed; 4]));
}

#[test]
fn the_owner_of_a_job_that_others_wait_for_is_dropped() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, log, drops) = (world.pool(), Log::default(), Drops::default());
        let mut first = call(&log, "first", &drops, false);
        let job = pool.submit(first.to_job()?);
        let mut after = [call(&log, "after", &drops, false), call(&log, "ok", &drops, false)];
        let after_it = pool.submit_after(after[0].to_job()?, from_ref(&job));
        let after_ok = pool.submit_after_ok(after[1].to_job()?, from_ref(&job));
        let guard = drops.guard();
        let closure = pool.submit_after_ok(move || drop(guard), &[after_it.clone(), job.clone()]);
        let (first, seen) = (first.into_send(), job.clone());
        pool.submit_fn(move || {
            drop(first);
            assert!(seen.is_complete());
        });
        world.run_all();
        assert_eq!(drops.get(), 4);
        let succeeded = job.outcome() == Some(JobOutcome::Succeeded);
        assert!(succeeded || job.outcome() == Some(JobOutcome::Cancelled));
        assert_eq!(after_it.outcome(), Some(JobOutcome::Succeeded));
        let of_others = if succeeded { JobOutcome::Succeeded } else { JobOutcome::Failed };
        assert_eq!((after_ok.outcome(), closure.outcome()), (Some(of_others), Some(of_others)));
        assert_result(&mut after[0], &after_it);
        assert_result(&mut after[1], &after_ok);
        log.assert_order(&[("after", "first"), ("ok", "first")]);
        Ok(())
    });
}

#[test]
fn a_graph_is_built_while_its_jobs_run() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, log, drops) = (world.pool(), Log::default(), Drops::default());
        let mut parts = ["a", "b"].map(|name| call(&log, name, &drops, false));
        let mut jobs = Vec::new();
        for part in &mut parts {
            jobs.push(pool.submit(part.to_job()?));
        }
        // This job adds others after those, which may wait, run, or be over, and awaits the last of them.
        let builder = {
            let (pool, log, jobs, drops) = (pool.clone(), log.clone(), jobs.clone(), drops.clone());
            async move {
                let logs = |name| {
                    let (log, guard) = (log.clone(), drops.guard());
                    move || {
                        log.add(name);
                        drop(guard);
                    }
                };
                let sum = pool.submit_after(logs("sum"), &jobs);
                yield_now().await;
                let ok = pool.submit_after_ok(logs("ok"), from_ref(&sum));
                let last = pool.submit_after(logs("last"), &[JobHandle::all([ok.clone()]), sum]);
                last.clone().await;
                assert!(ok.is_complete() && last.is_complete());
                Ok(JobHandle::all([ok, last]).outcome())
            }
        };
        let mut builder = Future::new(builder);
        pool.submit(builder.to_job()?);
        let cancels = jobs[0].clone();
        pool.submit_fn(move || cancels.cancel());
        world.run_all();
        assert_eq!(builder.try_get_result()?, Some(Some(JobOutcome::Succeeded)));
        assert!(["sum", "ok", "last", "b"].iter().all(|name| log.has(name)));
        log.assert_order(&[("sum", "a"), ("sum", "b"), ("ok", "sum"), ("last", "ok")]);
        assert_eq!(drops.get(), 5);
        Ok(())
    });
}

#[test]
fn the_first_of_several_jobs_wins_and_the_others_are_cancelled() {
    let (_, ends) = in_many_orders_with_ends(5_000, |world: &World| {
        let (pool, log, drops) = (world.pool(), Log::default(), Drops::default());
        let names = ["a", "b", "c"];
        let mut calls = names.map(|name| call(&log, name, &drops, name == "b"));
        let mut jobs = Vec::new();
        for call in &mut calls {
            jobs.push(pool.submit(call.to_job()?));
        }
        let any = JobHandle::any(jobs.clone());
        let (ends_losers, all) = (any.clone(), JobHandle::all(jobs.clone()));
        let after = pool.submit_after(
            move || {
                assert!(ends_losers.is_complete());
                ends_losers.cancel();
                assert!(all.is_complete());
            },
            from_ref(&any),
        );
        let after_ok = pool.submit_after_ok(|| (), from_ref(&any));
        let cancels = jobs[0].clone();
        pool.submit_fn(move || cancels.cancel());
        any.wait();
        let outcome = any.outcome().unwrap();
        assert!(jobs.iter().any(|job| job.outcome() == Some(outcome)));
        world.run_all();
        assert_eq!(any.outcome(), Some(outcome), "it does not change");
        assert_eq!(after.outcome(), Some(JobOutcome::Succeeded));
        assert_eq!(
            after_ok.outcome() == Some(JobOutcome::Succeeded),
            outcome == JobOutcome::Succeeded
        );
        assert_eq!(drops.get(), 3);
        for (name, (call, job)) in names.iter().zip(calls.iter_mut().zip(&jobs)) {
            assert_eq!(log.has(name), job.outcome() != Some(JobOutcome::Cancelled));
            if *name == "b" && job.outcome() == Some(JobOutcome::Failed) {
                assert!(matches!(call.try_get_result(), Err(Error::Other(_))));
            } else {
                assert_result(call, job);
            }
        }
        Ok(outcome)
    });
    let all = [JobOutcome::Succeeded, JobOutcome::Cancelled, JobOutcome::Failed];
    assert_eq!(ends, all.into());
}

#[test]
fn a_chain_that_is_cancelled_in_the_middle_lets_those_behind_it_go_on() {
    in_many_orders(5_000, |world: &World| -> Result<(), Error> {
        let (pool, event, log) = (world.pool(), Event::new(), Log::default());
        let logs = |name| {
            let log = log.clone();
            move || log.add(name)
        };
        let mut gate = Future::new({
            let wait = event.wait();
            async move {
                wait.await;
                Ok(5)
            }
        });
        let first = pool.submit(gate.to_job()?);
        let middle = pool.submit_after(logs("middle"), from_ref(&first));
        let last = pool.submit_after(logs("last"), from_ref(&middle));
        let (cancels, seen) = (middle.clone(), log.clone());
        pool.submit_fn(move || {
            let had_run = seen.has("middle");
            cancels.cancel();
            assert!(cancels.is_complete());
            assert_eq!(cancels.outcome() == Some(JobOutcome::Succeeded), had_run);
        });
        pool.submit_after(move || event.set(), from_ref(&middle));
        // The gate is opened by a job after the middle one, which only the cancel can bring to its end.
        world.run_all();
        assert!(log.has("last") && !log.has("middle"));
        assert_eq!(middle.outcome(), Some(JobOutcome::Cancelled));
        assert_eq!(last.outcome(), Some(JobOutcome::Succeeded));
        assert_result(&mut gate, &first);
        Ok(())
    });
}

#[test]
fn a_host_function_builds_a_graph_and_awaits_it() {
    type Host = (World, Log);
    let wat = r#"(module (import "env" "host" (func $host))
        (func (export "run") (call $host) (call $host)))"#;
    let pre = guests(wat, &EngineOptions::default().pooling(4), |linker| {
        let define = linker.func_wrap_async("env", "host", |caller: Caller<'_, Host>, (): ()| {
            let (world, log) = caller.data().clone();
            Box::new(async move {
                let logs = |name| {
                    let log = log.clone();
                    move || log.add(name)
                };
                let pool = world.pool();
                let parts = [pool.submit_fn(logs("part")), pool.submit_fn(logs("part"))];
                pool.submit_after_ok(logs("whole"), &parts).await;
            })
        });
        define.unwrap();
    });
    in_many_orders(1_000, |world: &World| -> Result<(), Error> {
        let host = (world.clone(), Log::default());
        let guest = {
            let host = host.clone();
            world.instance(&pre, move || host.clone())?
        };
        let mut call = guest.call::<(), ()>("run", ())?;
        let job = world.pool().submit(call.to_job()?);
        let cancels = job.clone();
        world.pool().submit_fn(move || cancels.cancel());
        world.run_all();
        let log = host.1.0.lock().unwrap();
        // The jobs that the host function has submitted are nobody's, and run to their ends.
        let graph = ["part", "part", "whole"];
        assert!(log.chunks(3).all(|chunk| chunk == graph), "{log:?}");
        match call.try_get_result() {
            Ok(Some(())) => assert_eq!(log.len(), 6),
            Err(Error::Cancelled) => assert!(log.len() < 7),
            other => panic!("{other:?}"),
        }
        Ok(())
    });
}

#[test]
fn random_graphs_run_in_their_order() {
    let run = |world: &World, seed| {
        let pool = world.pool();
        // A slow call waits for an event that another job sets, and sleeps.
        let rings = {
            let (pool, clock) = (pool.clone(), world.clock());
            move || {
                let (event, sleep) = (Event::new(), clock.sleep(Duration::from_secs(1)));
                let wait = event.wait();
                pool.submit_fn(move || event.set());
                async {
                    wait.await;
                    sleep.await;
                }
            }
        };
        random_graph::run(&pool, 12, || (), rings, seed)
    };
    for seed in 0..20 {
        explore::random(100).run(|world: &World| run(world, seed));
        explore::pct(100, 4).run(|world: &World| run(world, seed));
    }
}
