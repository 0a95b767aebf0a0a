//! Frozen calls of owners that travel, as those of web servers do; and what stays when a call cannot be thawed.

use super::{DEEP, Log, freezable, linked, linker};
use static_assertions::assert_impl_all;
use std::sync::Arc;
use wasm_jobs::wasmtime::Linker;
use wasm_jobs::{
    Error, Frozen, Instance, InstanceOptions, InstancePool, IntoSend, JobPool, ManualClock,
    PreparedPre, RayonGlobal, SendFuture, Step, Trap, add_yield, prepare_with,
};

/// `double` yields twice. `divide` traps if it divides by zero.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (func (export "double") (param i32) (result i32)
        (call $yield)
        (call $yield)
        (i32.mul (local.get 0) (i32.const 2)))
    (func (export "divide") (param i32) (result i32)
        (call $yield)
        (i32.div_s (i32.const 6) (local.get 0))))"#;

assert_impl_all!(Frozen<i32>: Send, Sync, Clone);
assert_impl_all!(Frozen<Result<i32, Trap>>: Send, Sync, Clone);

fn pool(pre: &PreparedPre<Log>, max: usize) -> Result<InstancePool<Log>, Error> {
    let pre = pre.clone();
    InstancePool::new(max, move || Instance::new(&pre, Log::default()))
}

/// Runs a task of a runtime with several threads, which only takes one that may change its thread.
fn run<T: Send + 'static>(
    task: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(runtime.spawn(task)).expect("no task panics")
}

#[test]
fn handlers_freeze_and_thaw_with_instances_of_a_pool() -> Result<(), Error> {
    let instances = pool(&linked(&DEEP, GUEST)?, 1)?;
    let (frozen, pooled) = run(async move {
        let instance = instances.get().await?;
        let mut call: SendFuture<i32> = instance.call("double", 21)?;
        drop(instance);
        tokio::task::yield_now().await;
        assert_eq!(call.resume()?, Step::Yielded);
        let frozen = call.freeze()?;
        assert_eq!(instances.stats().out, 0, "the instance has gone back");
        Ok((frozen, instances))
    })?;
    // Another request, perhaps on another day.
    let result = run({
        let (frozen, pooled) = (frozen.clone(), pooled.clone());
        async move {
            let instance = pooled.get().await?;
            let mut call: SendFuture<i32> = instance.thaw(&frozen)?;
            drop(instance);
            RayonGlobal.submit(call.to_job()?);
            call.await
        }
    })?;
    assert_eq!(result, 42);
    // And in one line.
    let result = run(async move {
        let result = pooled.thaw(&RayonGlobal, &frozen).await?;
        assert_eq!(pooled.stats().out, 0);
        // The instance is fit for other calls.
        Ok((result, pooled.call::<i32, i32>(&RayonGlobal, "double", 4).await?))
    })?;
    assert_eq!(result, (42, 8));
    Ok(())
}

#[test]
fn a_trap_is_a_value_there_as_well() -> Result<(), Error> {
    let instances = pool(&linked(&DEEP, GUEST)?, 1)?;
    let mut call = instances.try_get()?.try_call::<i32, i32>("divide", 0)?;
    let frozen = call.freeze()?;
    let mut call: SendFuture<Result<i32, Trap>> = instances.try_get()?.thaw(&frozen)?;
    assert!(call.wait()?.is_err());
    drop(call);
    let ended = run(async move {
        let ended = instances.thaw(&RayonGlobal, &frozen).await?;
        // The pool has reset the instance.
        Ok((ended.is_err(), instances.call::<i32, i32>(&RayonGlobal, "divide", 3).await?))
    })?;
    assert_eq!(ended, (true, 2));
    Ok(())
}

#[test]
fn handlers_thaw_in_instances_of_their_own() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let mut call =
        Instance::new(&pre, Log::default())?.call::<i32, i32>("double", 21).into_send()?;
    let frozen = call.freeze()?;
    let result = run(async move {
        let options = InstanceOptions::default();
        let first = frozen.thaw(&pre, options.clone(), Log::default()).into_send()?.await?;
        let thawed = frozen.thaw_with_instance(&pre, options, Log::default());
        let (instance, future) = thawed.into_send()?;
        let second = future.await?;
        let third = instance.call::<i32, i32>("double", second).into_send()?.await?;
        Ok((first, second, third))
    })?;
    assert_eq!(result, (42, 42, 84));
    Ok(())
}

/// A linker whose `env.yield` no call can be frozen in.
fn not_resumable() -> Result<PreparedPre<Arc<str>>, Error> {
    let mut linker = Linker::<Arc<str>>::new(&DEEP);
    linker.func_wrap_async("env", "yield", |_, ()| Box::new(wasm_jobs::yield_now()))?;
    prepare_with(&DEEP, wat::parse_str(GUEST).unwrap(), &freezable())?.instantiate_pre(&linker)
}

fn resumable() -> Result<PreparedPre<Arc<str>>, Error> {
    let mut linker = Linker::<Arc<str>>::new(&DEEP);
    add_yield(&mut linker, "env", "yield")?;
    prepare_with(&DEEP, wat::parse_str(GUEST).unwrap(), &freezable())?.instantiate_pre(&linker)
}

#[test]
fn an_instance_that_a_call_cannot_be_thawed_in_stays_as_it_was() -> Result<(), Error> {
    let mut call = Instance::new(&resumable()?, "here".into())?.call::<i32, i32>("double", 21)?;
    let frozen = call.freeze()?;
    let instance = Instance::new(&not_resumable()?, "there".into())?;
    let refused = instance.thaw(&frozen).map(drop).expect_err("its yield is another function");
    assert!(matches!(refused, Error::InvalidFrozen { .. }), "{refused:?}");
    assert!(refused.to_string().contains("env.yield"), "{refused}");
    assert!(!instance.is_poisoned());
    assert_eq!(&**instance.store()?.data(), "there");
    assert_eq!(instance.call::<i32, i32>("double", 5)?.wait()?, 10);

    let other = wat::parse_str(GUEST.replace("double", "twice")).unwrap();
    let linker = linker(&DEEP, &ManualClock::new())?;
    let other = prepare_with(&DEEP, other, &freezable())?.instantiate_pre(&linker)?;
    let instance = Instance::new(&other, Log::default())?;
    let refused = instance.thaw(&frozen).map(drop);
    assert!(matches!(refused, Err(Error::OtherModule { .. })), "{refused:?}");
    assert_eq!(instance.call::<i32, i32>("twice", 5)?.wait()?, 10);
    Ok(())
}

#[test]
fn a_state_is_dropped_if_the_call_cannot_be_thawed_and_an_instance_keeps_it() -> Result<(), Error> {
    let pre = resumable()?;
    let mut call = Instance::new(&pre, "here".into())?.call::<i32, i32>("double", 21)?;
    let frozen = call.freeze()?;
    let state: Arc<str> = "there".into();
    let options = InstanceOptions::default();
    let refused = frozen.thaw(&not_resumable()?, options.clone(), state.clone()).map(drop);
    assert!(matches!(refused, Err(Error::InvalidFrozen { .. })), "{refused:?}");
    // As by the other functions that make an instance.
    let too_large = options.fuel(1);
    assert!(frozen.thaw(&pre, too_large.clone(), state.clone()).is_err());
    assert!(Instance::with_state(&pre, too_large, state.clone()).is_err());
    assert_eq!(Arc::strong_count(&state), 1);

    let instance = Instance::new(&pre, state.clone())?;
    let mut call = instance.thaw(&frozen)?;
    assert_eq!(Arc::strong_count(&state), 2);
    assert_eq!(call.wait()?, 42);
    Ok(())
}

#[test]
fn a_thawed_call_that_nobody_polls_leaves_a_guest_that_the_pool_resets() -> Result<(), Error> {
    let instances = pool(&linked(&DEEP, GUEST)?, 1)?;
    let mut call: SendFuture<i32> = instances.try_get()?.call("double", 21)?;
    assert_eq!(call.resume()?, Step::Yielded);
    let frozen = call.freeze()?;
    drop(call);
    let call: SendFuture<i32> = instances.try_get()?.thaw(&frozen)?;
    drop(call);
    let next = instances.try_get()?;
    assert!(!next.is_poisoned(), "a guest that is half-way was lent");
    assert_eq!(next.call::<i32, i32>("double", 2)?.wait()?, 4);
    Ok(())
}
