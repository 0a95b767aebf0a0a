//! Jobs that end inside host functions of a store that the user made. Such a host function runs on a fiber of wasmtime.

use crate::rayon_pools::pool;
use crate::support::{Counter, Event, at_once, in_a_process_of_its_own, poll_once};
use std::slice::from_ref;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use wasm_jobs::wasmtime::{Config, Engine, Linker, Module, Store};
use wasm_jobs::{Error, Future, JobHandle, JobPool, yield_now};

/// The length of a chain of jobs. At a hundred bytes of stack for each job, the chain would need more stack than the fiber has.
const CHAIN: usize = 20_000;

/// A chain of jobs that count their runs. The pool runs each job on the thread that ends the job before it.
fn chain_after(first: JobHandle, ran: &Counter) -> JobHandle {
    (0..CHAIN).fold(first, |before, _| {
        let ran = ran.clone();
        at_once.submit_after(move || ran.add(), from_ref(&before))
    })
}

/// Calls a guest with a small stack in a store that the user made. Its host function calls `complete`. The second half of the call runs on a thread
/// that `resume` chooses. This thread is younger than the fiber, so its stack may lie below the fiber.
fn on_a_small_fiber(
    complete: impl Fn() + Clone + Send + Sync + 'static,
    resume: impl FnOnce(&mut (dyn FnMut() -> bool + Send)) -> bool,
) -> Result<(), Error> {
    let mut config = Config::new();
    config.max_wasm_stack(64 * 1024).async_stack_size(192 * 1024);
    let engine = Engine::new(&config)?;
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("env", "yield", |_, ()| Box::new(yield_now()))?;
    linker.func_wrap_async("env", "complete", move |_, ()| {
        let complete = complete.clone();
        Box::new(async move { complete() })
    })?;
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (import "env" "complete" (func $complete))
        (func (export "run") (result i32)
            (call $yield)
            (call $complete)
            (i32.const 42)))"#;
    let module = Module::new(&engine, wat::parse_str(text).expect("the text of a module"))?;
    let mut store = Store::new(&engine, ());
    let wakes = Arc::new(Counter::default());
    let mut call = Box::pin(async move {
        let instance = linker.instantiate_async(&mut store, &module).await?;
        let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
        run.call_async(&mut store, ()).await
    });
    assert!(poll_once(&mut call, &wakes).is_pending(), "the guest has yielded");
    let has_ended = resume(&mut || match poll_once(&mut call, &wakes) {
        Poll::Ready(result) => {
            assert_eq!(result.expect("the guest does not fail"), 42);
            true
        }
        Poll::Pending => false,
    });
    assert!(has_ended);
    Ok(())
}

fn on_another_thread(poll: &mut (dyn FnMut() -> bool + Send)) -> bool {
    thread::scope(|scope| scope.spawn(poll).join().expect("the call does not panic"))
}

#[test]
fn a_long_chain_of_jobs_is_run_by_a_host_function_of_a_users_own_store() -> Result<(), Error> {
    in_a_process_of_its_own(
        module_path!(),
        "a_long_chain_of_jobs_is_run_by_a_host_function_of_a_users_own_store",
        || {
            let (event, ran) = (Event::default(), Counter::default());
            let mut first = Future::new(event.awaited());
            let last = chain_after(at_once.submit(first.to_job()?), &ran);
            on_a_small_fiber(move || event.set(), on_another_thread)?;
            assert!(last.is_complete());
            assert_eq!(ran.get(), CHAIN);
            first.wait()
        },
    )
}

#[test]
fn a_long_chain_of_jobs_is_cancelled_by_a_host_function_of_a_users_own_store() -> Result<(), Error>
{
    in_a_process_of_its_own(
        module_path!(),
        "a_long_chain_of_jobs_is_cancelled_by_a_host_function_of_a_users_own_store",
        || {
            let mut first = Future::new(Event::default().awaited());
            let handle = at_once.submit(first.to_job()?);
            let ran = Counter::default();
            let last = (0..CHAIN).fold(handle.clone(), |before, _| {
                let ran = ran.clone();
                at_once.submit_after_ok(move || ran.add(), from_ref(&before))
            });
            on_a_small_fiber(move || handle.cancel(), on_another_thread)?;
            assert!(last.is_complete());
            assert_eq!(ran.get(), 0, "a job ran although the job before it was cancelled");
            assert!(matches!(first.wait(), Err(Error::Cancelled)));
            Ok(())
        },
    )
}

#[test]
fn a_host_function_of_a_users_own_store_waits_on_a_worker_for_a_long_chain() -> Result<(), Error> {
    in_a_process_of_its_own(
        module_path!(),
        "a_host_function_of_a_users_own_store_waits_on_a_worker_for_a_long_chain",
        || {
            let (here, ran) = (Arc::new(std::sync::OnceLock::new()), Counter::default());
            let complete = {
                let (here, ran) = (here.clone(), ran.clone());
                move || {
                    let pool: &Arc<rayon::ThreadPool> = here.get().expect("the pool is set");
                    // This is the only worker, so this wait runs the job.
                    let first = pool.submit_fn(|| ());
                    chain_after(first, &ran).wait();
                }
            };
            on_a_small_fiber(complete, |poll| {
                let pool = here.get_or_init(|| pool(1));
                pool.install(poll)
            })?;
            assert_eq!(ran.get(), CHAIN);
            Ok(())
        },
    )
}
