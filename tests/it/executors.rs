//! Finishing calls on the executors of other crates. Each executor is used through the closure from the documentation of `JobPool`.

use crate::support::{Counter, Event, Flag, block_on, ok};
use async_executor::Executor;
use bevy_tasks::{AsyncComputeTaskPool, TaskPoolBuilder};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use wasm_jobs::{Error, Future, Job, JobHandle, JobPool, yield_now};

/// The result of a call: its number and the threads of its steps.
type Outcome = Result<(usize, Vec<ThreadId>), Error>;

/// Runs a hundred calls that yield, wait, fail, panic and await each other, a graph of closures after them, and calls of guests.
fn assert_everything_works_on(pool: &impl JobPool) -> Result<(), Error> {
    let (event, closures) = (wasm_jobs::Event::new(), Counter::default());
    let mut calls = Vec::new();
    let mut handles: Vec<JobHandle> = Vec::new();
    for n in 0..100_usize {
        let (waits, before) = (event.wait(), handles.last().cloned());
        let mut call = Future::new(async move {
            let mut threads = vec![thread::current().id()];
            match n % 5 {
                0 => {
                    for _ in 0..100 {
                        yield_now().await;
                        threads.push(thread::current().id());
                    }
                }
                1 => waits.await,
                2 => return Err(Error::other(format!("number {n}"))),
                3 => std::panic::resume_unwind(Box::new("a call panics")),
                _ => {
                    if let Some(before) = before {
                        before.await;
                    }
                }
            }
            threads.push(thread::current().id());
            Ok((n, threads))
        });
        handles.push(pool.submit(call.to_job()?));
        calls.push(call);
    }
    // Each closure runs after successes and failures. `after_ok` runs only after the success of all closures.
    let after: Vec<_> = (0..10)
        .map(|n| {
            let closures = closures.clone();
            pool.submit_after(move || closures.add(), &handles[n..n + 10])
        })
        .collect();
    let after_ok = pool.submit_after_ok(
        {
            let closures = closures.clone();
            move || closures.add()
        },
        &after,
    );
    let mut refused = Future::new(async { Ok(()) });
    let refused_job =
        pool.submit_after_ok(refused.to_job()?, &[after_ok.clone(), handles[2].clone()]);
    assert!(!refused_job.is_complete());

    #[cfg(feature = "wasm")]
    let guests = (0..4)
        .map(|_| crate::guest::instance(crate::guest::PRIMES))
        .collect::<Result<Vec<_>, _>>()?;
    #[cfg(feature = "wasm")]
    let mut guest_calls = Vec::new();
    #[cfg(feature = "wasm")]
    for guest in &guests {
        let mut call = guest.call::<(i32, i32), i32>("count_primes", (0, 1000))?;
        handles.push(pool.submit(call.to_job()?));
        guest_calls.push(call);
    }

    event.set();
    JobHandle::all(handles).wait();
    refused_job.wait();
    assert!(after_ok.is_complete());
    assert_eq!(closures.get(), 11);
    assert!(matches!(refused.wait(), Err(Error::DependencyFailed)));
    let here = thread::current().id();
    for (n, mut call) in calls.into_iter().enumerate() {
        assert!(call.has_result());
        let outcome: Outcome = call.wait();
        match (n % 5, outcome) {
            (2, Err(Error::Other(error))) => assert_eq!(error.to_string(), format!("number {n}")),
            (3, Err(Error::Panic(_))) => {}
            (0 | 1 | 4, Ok((number, threads))) => {
                assert_eq!(number, n);
                assert!(!threads.contains(&here), "the executor has threads of its own");
            }
            other => panic!("{other:?}"),
        }
    }
    #[cfg(feature = "wasm")]
    for mut call in guest_calls {
        assert_eq!(call.try_get_result()?, Some(168));
    }
    Ok(())
}

fn tokio(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).build().expect("tokio builds the runtime")
}

#[test]
fn tasks_of_tokio() -> Result<(), Error> {
    for workers in [1, 2] {
        let runtime = tokio(workers);
        let handle = runtime.handle().clone();
        let pool = move |job: Job| drop(handle.spawn(async { job.run() }));
        assert_everything_works_on(&pool)?;
    }
    Ok(())
}

#[test]
fn a_task_of_tokio_awaits_what_its_runtime_brings_to_an_end() -> Result<(), Error> {
    let runtime = tokio(1);
    let handle = runtime.handle().clone();
    let pool = move |job: Job| drop(handle.spawn(async { job.run() }));
    let mut call = Future::new(ok(yield_now()));
    let job = pool.submit(call.to_job()?);
    let after = pool.submit_after_ok(|| (), &[job]);
    runtime.block_on(runtime.spawn(after)).expect("a task that awaits does not panic");
    runtime.block_on(call)
}

#[test]
fn a_runtime_of_tokio_that_is_shut_down_gives_its_calls_back() -> Result<(), Error> {
    let runtime = tokio(1);
    let handle = runtime.handle().clone();
    let pool = move |job: Job| drop(handle.spawn(async { job.run() }));
    let event = Event::default();
    let mut call = Future::new(event.awaited());
    let waits = pool.submit(call.to_job()?);
    // After this job, the worker has given `waits` its turn, and the job is in no queue.
    pool.submit_fn(|| ()).wait();
    drop(runtime);
    assert!(!waits.is_complete());
    event.set();
    assert!(waits.is_complete(), "the runtime is gone, so the job is given back");
    call.wait()?;

    let mut late = Future::new(async { Ok(1) });
    assert!(pool.submit(late.to_job()?).is_complete());
    assert_eq!(late.wait()?, 1);
    Ok(())
}

#[test]
fn the_compute_pool_of_bevy() -> Result<(), Error> {
    AsyncComputeTaskPool::get_or_init(|| TaskPoolBuilder::new().num_threads(2).build());
    let pool = |job: Job| AsyncComputeTaskPool::get().spawn(async { job.run() }).detach();
    assert_everything_works_on(&pool)
}

#[test]
fn a_system_of_bevy_goes_on_with_its_scope_while_calls_are_finished() -> Result<(), Error> {
    AsyncComputeTaskPool::get_or_init(|| TaskPoolBuilder::new().num_threads(2).build());
    let pool = |job: Job| AsyncComputeTaskPool::get().spawn(async { job.run() }).detach();
    let may_stop = Flag::default();
    let stops = may_stop.clone();
    let mut yields = Future::new(async move {
        while !stops.is_set() {
            yield_now().await;
        }
        Ok(())
    });
    let handle = pool.submit(yields.to_job()?);
    let squares = AsyncComputeTaskPool::get().scope(|scope| {
        for n in 0..100 {
            scope.spawn(async move { n * n });
        }
    });
    assert_eq!(squares.iter().sum::<i32>(), 328_350);
    assert!(!handle.is_complete());
    may_stop.set();
    handle.wait();
    yields.wait()
}

#[test]
fn an_async_executor_run_by_threads() -> Result<(), Error> {
    for threads in [1, 2] {
        let (executor, stop) = (Arc::new(Executor::new()), Event::default());
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let (executor, stop) = (executor.clone(), stop.happens());
                thread::spawn(move || block_on(executor.run(stop)))
            })
            .collect();
        let pool = move |job: Job| executor.spawn(async { job.run() }).detach();
        assert_everything_works_on(&pool)?;
        stop.set();
        for thread in threads {
            thread.join().expect("jobs do not panic");
        }
    }
    Ok(())
}

#[test]
fn plain_threads() -> Result<(), Error> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let worker = thread::spawn(move || jobs.into_iter().for_each(Job::run));
    let pool = move |job: Job| sender.send(job).expect("the worker is receiving");
    assert_everything_works_on(&pool)?;
    drop(pool);
    worker.join().expect("jobs do not panic");

    let a_thread_each = |job: Job| drop(thread::spawn(|| job.run()));
    assert_everything_works_on(&a_thread_each)
}
