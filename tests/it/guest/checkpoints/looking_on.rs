//! What a rollback that fails leaves, and what those see who look on.

use super::adversity::{Bomb, KEEPER, set_extern};
use super::{call, on_demand, pre};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use wasm_jobs::wasmtime::{self, ExternRef, Rooted, StoreContextMut};
use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, RefCodec, engine};

/// It writes anything, and reads nothing.
struct Failing;

impl<S: 'static> RefCodec<S> for Failing {
    fn encode(&self, _: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
        Some(vec![1])
    }

    fn decode(&self, _: &[u8], _: StoreContextMut<'_, S>) -> wasmtime::Result<Rooted<ExternRef>> {
        Err(wasmtime::Error::msg("it is no more"))
    }
}

/// It reads what [`Failing`] has written.
struct Texts;

impl<S: 'static> RefCodec<S> for Texts {
    fn encode(&self, _: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
        None
    }

    fn decode(
        &self,
        _: &[u8],
        store: StoreContextMut<'_, S>,
    ) -> wasmtime::Result<Rooted<ExternRef>> {
        ExternRef::new(store, ())
    }
}

#[test]
fn a_guest_whose_start_function_never_ran_is_not_declared_fit() {
    let text = r#"(module (memory (export "memory") 1) (global $g (export "g") (mut externref) (ref.null extern)) (global $n (mut i32) (i32.const 0))
        (func $start (global.set $n (i32.const 5))) (start $start)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "n") (result i32) (global.get $n)))"#;
    let pre = pre::<()>(&on_demand(), text);
    let instance = Instance::new(&pre, ()).unwrap();
    instance.set_ref_codec(Failing).unwrap();
    set_extern(&instance, ());
    let here = instance.checkpoint().unwrap();
    call::<_, i32, _>(&instance, "grow", 1).unwrap();
    assert!(instance.rollback(&here).is_err());
    assert!(matches!(instance.clear_poison(), Err(Error::Poisoned)));
    instance.set_ref_codec(Texts).unwrap();
    instance.rollback(&here).unwrap();
    assert_eq!(call::<_, i32, _>(&instance, "n", ()).unwrap(), 5);
}

#[test]
fn an_instance_that_is_rolled_back_is_never_seen_poisoned() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let instance = Arc::new(Instance::new(&pre, ()).unwrap());
    let here = instance.checkpoint().unwrap();
    let watched = instance.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let watcher = thread::spawn(move || {
        let mut seen = 0;
        while !stopped.load(SeqCst) {
            seen += usize::from(watched.is_poisoned());
        }
        seen
    });
    for _ in 0..3000 {
        call::<_, (), _>(&instance, "store", (8, 3)).unwrap();
        instance.rollback(&here).unwrap();
    }
    stop.store(true, SeqCst);
    assert_eq!(watcher.join().unwrap(), 0);
}

#[test]
fn living_checkpoints_keep_no_engines() {
    // Each engine reserves 24 TiB. Many more than the address space has room for come and go.
    let checkpoints: Vec<_> = (0..12)
        .map(|_| {
            let engine = engine(&EngineOptions::default().pooling(3000)).unwrap();
            Instance::new(&pre::<()>(&engine, KEEPER), ()).unwrap().checkpoint().unwrap()
        })
        .collect();
    assert!(checkpoints.iter().all(|here| here.hash() == checkpoints[0].hash()));
}

/// Its destructor panics.
struct BombState(Bomb);

#[test]
fn a_clone_that_fails_loses_no_place() {
    let engine = engine(&EngineOptions::default().pooling(1)).unwrap();
    let text = KEEPER;
    let here = {
        let pre = pre::<()>(&engine, text);
        let instance = Instance::new(&pre, ()).unwrap();
        instance.set_ref_codec(Failing).unwrap();
        set_extern(&instance, "one".to_owned());
        instance.checkpoint().unwrap()
    };
    let pre = pre::<BombState>(&engine, text);
    let _ = catch_unwind(AssertUnwindSafe(|| {
        here.with_state(()).instantiate(&pre, BombState(Bomb)).map(drop)
    }));
    let next = Instance::new(&pre, BombState(Bomb));
    let lost = matches!(next, Err(Error::TooManyInstances { .. }));
    std::mem::forget(next);
    assert!(!lost);
}

#[test]
fn a_rollback_counts_towards_no_limit_of_time() {
    let options = InstanceOptions::default().running_timeout(Duration::from_millis(200));
    let instance =
        Instance::with_options(&pre::<()>(&on_demand(), KEEPER), options, || ()).unwrap();
    let here = instance.checkpoint().unwrap();
    for _ in 0..50 {
        call::<_, i32, _>(&instance, "grow", 1).unwrap();
        let used = instance.time_used().unwrap();
        instance.rollback(&here).unwrap();
        assert_eq!(instance.time_used().unwrap(), used);
    }
}

#[test]
fn a_memory_of_more_than_64_gib_is_refused_by_its_size() {
    let text = r#"(module (memory i64 1) (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
        (func (export "store") (param i64 i32) (i32.store (local.get 0) (local.get 1))))"#;
    let pre = pre::<()>(&on_demand(), text);
    let instance = Instance::new(&pre, ()).unwrap();
    let before: i64 = call(&instance, "grow", (66_i64 << 30) / 65536).unwrap();
    assert_eq!(before, 1, "the address space has room for it");
    call::<_, (), _>(&instance, "store", (65_i64 << 30, 3)).unwrap();
    let refused = instance.checkpoint().expect_err("it is too large");
    assert!(matches!(refused, Error::CannotSave { .. }), "{refused:?}");
    assert!(refused.to_string().contains("64 GiB"), "{refused}");
}
