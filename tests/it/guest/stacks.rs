//! Host functions that let rayon run other work, on the stack of the guest that called them.

use super::failures::{FAILING, FAILURES, failing_linker};
use super::{ENGINE, Host, PRIMES, compile, instance, linker};
use crate::rayon_pools::{FAR_AWAY, pool};
use crate::support::stack_pointer;
use rayon::ThreadPool;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use wasm_jobs::wasmtime::Caller;
use wasm_jobs::{Error, Future, FutureRunner, Instance, JobPool, RayonGlobal, yield_now};

const OUTER: &str = r#"(module $outer
    (import "env" "yield" (func $yield))
    (import "env" "let_rayon_work" (func $let_rayon_work))
    (func (export "run") (result i32)
        (call $yield)
        (call $let_rayon_work)
        (call $yield)
        (i32.const 42)))"#;

/// What a host function on the guest's stack has observed.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    at: usize,
    thread: ThreadId,
    ran_meanwhile: bool,
}

/// Calls a guest on the only worker of a pool. The host function of the guest submits `runner` to that pool, and lets rayon run it.
fn run_inside_a_host_function<T: Send + 'static>(runner: FutureRunner<T>) -> Result<Seen, Error> {
    let (pool, seen) = (pool(1), Arc::new(Mutex::new(None)));
    let mut linker = linker(&ENGINE)?;
    let inside = Mutex::new(Some(runner));
    linker.func_wrap("env", "let_rayon_work", {
        let (pool, seen) = (pool.clone(), seen.clone());
        move || {
            let runner = inside.lock().unwrap().take().expect("the host function is called once");
            let handle = pool.submit(runner);
            while rayon::yield_now() == Some(rayon::Yield::Executed) {}
            *seen.lock().unwrap() = Some(Seen {
                at: stack_pointer(),
                thread: thread::current().id(),
                ran_meanwhile: handle.is_complete(),
            });
        }
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, OUTER)?)?;
    let instance = Instance::new(&pre, Host::default())?;
    let result = pool.install(|| instance.call::<(), i32>("run", ())?.wait())?;
    assert_eq!(result, 42, "the outer call goes on undisturbed");
    Ok(seen.lock().unwrap().clone().expect("the guest has called the host function"))
}

#[test]
fn a_job_run_while_a_host_function_lets_rayon_work_is_not_on_the_guests_stack() -> Result<(), Error>
{
    let mut inner = Future::new(async { Ok((stack_pointer(), thread::current().id())) });
    let seen = run_inside_a_host_function(inner.to_job()?)?;
    let (at, thread) = inner.wait()?;
    assert!(seen.ran_meanwhile);
    assert_eq!(thread, seen.thread);
    assert!(at.abs_diff(seen.at) > FAR_AWAY, "{at:#x} is on the stack of {:#x}", seen.at);
    Ok(())
}

#[test]
fn a_guest_run_while_a_host_function_lets_rayon_work() -> Result<(), Error> {
    let inner = instance(
        r#"(module
            (func $fibonacci (export "fibonacci") (param i32) (result i32)
                (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
                    (then (local.get 0))
                    (else
                        (i32.add
                            (call $fibonacci (i32.sub (local.get 0) (i32.const 1)))
                            (call $fibonacci (i32.sub (local.get 0) (i32.const 2))))))))"#,
    )?;
    let mut future = inner.call::<i32, i32>("fibonacci", 15)?;
    let seen = run_inside_a_host_function(future.to_job()?)?;
    assert!(seen.ran_meanwhile);
    assert_eq!(future.wait()?, 610);
    Ok(())
}

#[test]
fn a_guest_that_yields_while_a_host_function_lets_rayon_work() -> Result<(), Error> {
    let inner = instance(PRIMES)?;
    let mut future = inner.call::<(i32, i32), i32>("count_primes", (0, 2_000))?;
    run_inside_a_host_function(future.to_job()?)?;
    assert_eq!(future.wait()?, 303);
    Ok(())
}

#[test]
fn a_guest_that_fails_while_a_host_function_lets_rayon_work() -> Result<(), Error> {
    let pre = failing_linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, FAILING)?)?;
    let inner = Instance::new(&pre, Host::default())?;
    for &(export, is_right) in FAILURES {
        let mut future = inner.call::<i32, ()>(export, 0)?;
        let seen = run_inside_a_host_function(future.to_job()?)?;
        assert!(seen.ran_meanwhile || export.ends_with("later"), "{export}");
        let error = future.wait().expect_err("the call fails");
        assert!(is_right(&error), "{export}: {error:?}");
        inner.clear_poison()?;
    }
    Ok(())
}

#[test]
fn a_job_run_while_a_host_function_joins_is_not_on_the_guests_stack() -> Result<(), Error> {
    let (pool, seen) = (pool(2), Arc::new(Mutex::new(None)));
    let (ends, has_ended) = mpsc::channel();
    let mut inner = Future::new(async move {
        yield_now().await;
        ends.send(()).expect("the other worker is receiving");
        Ok((stack_pointer(), thread::current().id()))
    });
    let runner = Mutex::new(Some((inner.to_job()?, has_ended)));
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("env", "let_rayon_work", {
        let (pool, seen) = (pool.clone(), seen.clone());
        move || {
            let (stolen, is_stolen) = mpsc::channel();
            let (runner, has_ended) =
                runner.lock().unwrap().take().expect("the host function is called once");
            let pool: &Arc<ThreadPool> = &pool;
            rayon::join(
                move || {
                    // The other worker has taken the other closure. Both workers are busy, so this one will run the job.
                    is_stolen.recv().expect("the other worker sends a message");
                    pool.submit(runner);
                },
                move || {
                    stolen.send(()).expect("this worker is receiving");
                    // This does not wait for the handle of the job, because then this worker would run the job itself.
                    has_ended.recv().expect("the job runs");
                },
            );
            *seen.lock().unwrap() = Some((stack_pointer(), thread::current().id()));
        }
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, OUTER)?)?;
    let instance = Instance::new(&pre, Host::default())?;
    let mut outer = instance.call::<(), i32>("run", ())?;
    pool.submit(outer.to_job()?);
    assert_eq!(outer.wait()?, 42);
    let (at, thread) = inner.wait()?;
    let (outer_at, outer_thread) =
        seen.lock().unwrap().take().expect("the guest has called the host function");
    assert_eq!(thread, outer_thread);
    assert!(at.abs_diff(outer_at) > FAR_AWAY, "{at:#x} is on the stack of {outer_at:#x}");
    Ok(())
}

#[test]
fn host_functions_that_compute_on_rayon_while_guests_run_on_it() -> Result<(), Error> {
    fn sum(from: u64, to: u64) -> u64 {
        if to - from <= 64 {
            return (from..to).sum();
        }
        let middle = from.midpoint(to);
        let (low, high) = rayon::join(|| sum(from, middle), || sum(middle, to));
        low + high
    }
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("env", "sum", |_: Caller<'_, Host>, to: u64| sum(0, to))?;
    let pre = linker.instantiate_pre(&compile(
        &ENGINE,
        r#"(module
            (import "env" "yield" (func $yield))
            (import "env" "sum" (func $sum (param i64) (result i64)))
            (func (export "run") (param $times i64) (result i64) (local $total i64)
                (loop $next
                    (local.set $total
                        (i64.add (local.get $total) (call $sum (i64.const 5000))))
                    (call $yield)
                    (local.set $times (i64.sub (local.get $times) (i64.const 1)))
                    (br_if $next (i64.gt_s (local.get $times) (i64.const 0))))
                (local.get $total)))"#,
    )?)?;
    fn run(pool: impl JobPool, instances: &[Instance<Host>]) -> Result<(), Error> {
        let mut futures = instances
            .iter()
            .map(|instance| instance.call::<u64, u64>("run", 20))
            .collect::<Result<Vec<_>, _>>()?;
        let jobs = futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
        wasm_jobs::JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?).wait();
        for future in &mut futures {
            assert_eq!(future.try_get_result()?, Some(20 * (4_999 * 5_000 / 2)));
        }
        Ok(())
    }
    let instances =
        (0..16).map(|_| Instance::new(&pre, Host::default())).collect::<Result<Vec<_>, _>>()?;
    for threads in [1, 2, 4] {
        run(pool(threads), &instances)?;
    }
    run(RayonGlobal, &instances)
}
