//! Destructors that panic, full pools, and what an instance keeps through a rollback.

use super::references::Texts;
use super::{call, on_demand, pre};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use wasm_jobs::wasmtime::{
    self, ExternRef, Linker, Memory, MemoryType, Rooted, Store, StoreContextMut,
};
use wasm_jobs::{
    EngineOptions, Error, HostState, Instance, InstanceOptions, InstancePool, OnReturn, RefCodec,
    Slice, Step, add_yield, engine, prepare,
};

pub(super) const KEEPER: &str = r#"(module
    (memory (export "memory") 1)
    (global $g (export "g") (mut externref) (ref.null extern))
    (table $t (export "t") 1 externref)
    (func (export "keep") (param externref) (global.set $g (local.get 0)))
    (func (export "grow_table") (param i32) (drop (table.grow $t (global.get $g) (local.get 0))))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "trap") unreachable)
    (func (export "nothing")))"#;

/// Its destructor panics.
pub(super) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("an object's destructor");
        }
    }
}

pub(super) fn set_extern<T: Any + Send + Sync, S: Send + 'static>(
    instance: &Instance<S>,
    object: T,
) {
    let mut store = instance.store().unwrap();
    let object = ExternRef::new(&mut store, object).unwrap();
    let g = store.global("g").unwrap();
    g.set(&mut store, wasmtime::Val::ExternRef(Some(object))).unwrap();
}

#[test]
fn a_panic_of_an_objects_destructor_during_a_rollback_leaves_an_instance() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let instance = Instance::with_options(&pre, InstanceOptions::default(), || ()).unwrap();
    let here = instance.checkpoint().unwrap();
    call::<_, i32, _>(&instance, "grow", 1).unwrap();
    set_extern(&instance, Bomb);
    let rolled = catch_unwind(AssertUnwindSafe(|| instance.rollback(&here)));
    assert!(matches!(rolled, Ok(Err(Error::Panic(_)))), "{rolled:?}");
    assert!(instance.is_poisoned());
    instance.rollback(&here).unwrap();
    assert_eq!(call::<_, i32, _>(&instance, "load", 0).unwrap(), 0);
}

#[test]
fn a_panic_of_an_objects_destructor_loses_no_place_of_a_pool() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let here = Instance::new(&pre, ()).unwrap().checkpoint().unwrap();
    let pre2 = pre.clone();
    let pool = InstancePool::with_on_return(
        1,
        move || Instance::with_options(&pre2, InstanceOptions::default(), || ()),
        move |instance| match instance.rollback(&here) {
            Ok(()) => OnReturn::Keep,
            Err(_) => OnReturn::Reset,
        },
    )
    .unwrap();
    let instance = pool.get_blocking().unwrap();
    call::<_, i32, _>(&instance, "grow", 1).unwrap();
    set_extern(&instance, Bomb);
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
    assert!(pool.try_get().is_ok(), "{:?}", pool.stats());
}

/// A codec whose destructor panics.
struct BombCodec(Bomb);

impl<S: 'static> RefCodec<S> for BombCodec {
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
fn a_panic_of_a_codecs_destructor_loses_no_place_of_a_pool() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let pool = InstancePool::with_on_return(
        1,
        move || {
            let instance = Instance::with_options(&pre, InstanceOptions::default(), || ())?;
            instance.set_ref_codec(BombCodec(Bomb))?;
            Ok(instance)
        },
        |_| OnReturn::Reset,
    )
    .unwrap();
    let instance = pool.get_blocking().unwrap();
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
    assert_eq!(pool.stats().out, 0);
}

const STACK: &str = r#"(module
    (memory (export "memory") 1)
    (global $sp (export "__stack_pointer") (mut i32) (i32.const 0))
    (func $start (global.set $sp (i32.const 4096)))
    (start $start)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "sp") (result i32) (global.get $sp))
    (func (export "trap") (global.set $sp (i32.const 100)) unreachable))"#;

#[test]
fn the_stack_pointer_is_that_of_the_checkpoint_after_clear_poison() {
    let pre = pre::<()>(&on_demand(), STACK);
    let instance = Instance::new(&pre, ()).unwrap();
    let trap = |instance: &Instance<()>| {
        assert!(call::<_, (), _>(instance, "trap", ()).is_err());
        instance.clear_poison().unwrap();
        call::<_, i32, _>(instance, "sp", ()).unwrap()
    };
    assert_eq!(trap(&instance), 4096, "without a checkpoint");
    let here = instance.checkpoint().unwrap();
    let twin = here.instantiate(&pre, ()).unwrap();
    let of_twin = trap(&twin);
    call::<_, i32, _>(&instance, "grow", 1).unwrap();
    instance.rollback(&here).unwrap();
    let of_rolled = trap(&instance);
    assert_eq!((of_twin, of_rolled), (4096, 4096));
}

struct Counting(Arc<AtomicUsize>);

impl<S: 'static> RefCodec<S> for Counting {
    fn encode(&self, object: &(dyn Any + Send + Sync)) -> Option<Vec<u8>> {
        RefCodec::<S>::encode(&Texts, object)
    }

    fn decode(
        &self,
        bytes: &[u8],
        store: StoreContextMut<'_, S>,
    ) -> wasmtime::Result<Rooted<ExternRef>> {
        self.0.fetch_add(1, SeqCst);
        Texts.decode(bytes, store)
    }
}

#[test]
fn an_object_is_decoded_once() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let instance = Instance::new(&pre, ()).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    instance.set_ref_codec(Counting(count.clone())).unwrap();
    set_extern(&instance, "one".to_owned());
    call::<_, (), _>(&instance, "grow_table", 1).unwrap();
    {
        let mut store = instance.store().unwrap();
        let g = store.global("g").unwrap();
        g.set(&mut store, wasmtime::Val::ExternRef(None)).unwrap();
    }
    let here = instance.checkpoint().unwrap();
    let _twin = here
        .instantiate_with_ref_codec(
            &pre,
            InstanceOptions::default(),
            || (),
            Counting(count.clone()),
        )
        .unwrap();
    assert_eq!(count.load(SeqCst), 1);
}

#[test]
fn a_rollback_that_cannot_succeed_leaves_the_guest_with_an_imported_memory() {
    let engine = on_demand();
    let text = r#"(module (import "e" "m" (memory 1)) (export "memory" (memory 0))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))"#;
    let module = prepare(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker.define(&store, "e", "m", memory).unwrap();
    let pre = module.instantiate_pre(&linker).unwrap();
    let instance = Instance::with_store(&pre, store).unwrap();
    let here = instance.checkpoint().unwrap();
    call::<_, i32, _>(&instance, "grow", 1).unwrap();
    let rolled = catch_unwind(AssertUnwindSafe(|| instance.rollback(&here)));
    let load = call::<_, i32, _>(&instance, "load", 0);
    assert!(matches!(rolled, Ok(Err(Error::Unsupported { .. }))), "{rolled:?}");
    assert_eq!(load.unwrap(), 0, "the guest is as it was");
}

#[test]
fn the_time_used_stays() {
    let pre = pre::<()>(&on_demand(), KEEPER);
    let options = InstanceOptions::default().measure_time(true);
    let instance = Instance::with_options(&pre, options, || ()).unwrap();
    let here = instance.checkpoint().unwrap();
    call::<_, i32, _>(&instance, "grow", 1).unwrap();
    let used = instance.time_used().unwrap();
    instance.rollback(&here).unwrap();
    assert_eq!(instance.time_used().unwrap(), used);
}

#[derive(Clone, Debug, PartialEq)]
struct Score(u32);

#[test]
fn a_refused_rollback_leaves_the_hosts_state() {
    let engine = on_demand();
    let prepared = pre::<Score>(&engine, KEEPER);
    let here = Instance::new(&prepared, Score(1)).unwrap().checkpoint_with_state().unwrap();
    let other = Linker::new(&engine).instantiate_pre(prepared.module()).unwrap();
    let instance: Instance<Score> = Instance::with_exports(
        &engine,
        InstanceOptions::default(),
        || Score(7),
        move |store| {
            let pre = other.clone();
            Box::pin(async move { pre.instantiate_async(store).await })
        },
    )
    .unwrap();
    let refused = instance.rollback_with_state(&here);
    assert!(refused.is_err());
    assert_eq!(*instance.store().unwrap().data(), Score(7));
}

struct Panics(u32);

impl HostState for Panics {
    type Saved = u32;
    fn save(&mut self) -> Result<u32, Error> {
        assert!(self.0 != 13, "save");
        Ok(self.0)
    }
    fn restore(&mut self, saved: &u32) -> Result<(), Error> {
        assert!(self.0 != 14, "restore");
        self.0 = *saved;
        Ok(())
    }
}

#[test]
fn panics_of_the_hosts_state_leave_the_guest() {
    let pre = pre::<Panics>(&on_demand(), KEEPER);
    let instance = Instance::new(&pre, Panics(1)).unwrap();
    let here = instance.checkpoint_with_state().unwrap();
    call::<_, (), _>(&instance, "store", (8, 3)).unwrap();
    instance.store().unwrap().data_mut().0 = 13;
    assert!(catch_unwind(AssertUnwindSafe(|| instance.checkpoint_with_state())).is_err());
    instance.store().unwrap().data_mut().0 = 14;
    assert!(catch_unwind(AssertUnwindSafe(|| instance.rollback_with_state(&here))).is_err());
    assert_eq!(call::<_, i32, _>(&instance, "load", 8).unwrap(), 3);
    instance.store().unwrap().data_mut().0 = 1;
    instance.rollback_with_state(&here).unwrap();
    assert_eq!(call::<_, i32, _>(&instance, "load", 8).unwrap(), 0);
}

#[test]
fn slices_of_fuel_go_on_after_a_new_store() {
    let engine = engine(&EngineOptions::default().on_demand().fuel(true)).unwrap();
    let text = r#"(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "spin") (local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 10000))))))"#;
    let pre = pre::<()>(&engine, text);
    let options = InstanceOptions::default().slice(Slice::Fuel(1000)).fuel(1_000_000);
    let instance = Instance::with_options(&pre, options, || ()).unwrap();
    let steps = |instance: &Instance<()>| {
        let mut future = instance.call::<(), ()>("spin", ()).unwrap();
        let mut steps = 0;
        while !matches!(future.resume().unwrap(), Step::Done) {
            steps += 1;
        }
        (steps, instance.fuel_remaining().unwrap())
    };
    let here = instance.checkpoint().unwrap();
    let expected = steps(&instance);
    for _ in 0..5 {
        instance.rollback(&here).unwrap();
        assert_eq!(steps(&instance), expected);
        assert_eq!(call::<_, i32, _>(&instance, "grow", 1).unwrap(), 1);
        instance.rollback(&here).unwrap();
        assert_eq!(steps(&instance), expected);
        let twin = here
            .instantiate_with_options(
                &pre,
                InstanceOptions::default().slice(Slice::Fuel(1000)).fuel(1_000_000),
                || (),
            )
            .unwrap();
        assert_eq!(steps(&twin), expected);
    }
}

#[test]
fn calls_that_are_dropped_are_undone() {
    let engine = on_demand();
    let text = r#"(module (import "e" "yield" (func $yield)) (memory (export "memory") 1)
        (global $g (mut i32) (i32.const 0))
        (func (export "half") (global.set $g (i32.const 5)) (drop (memory.grow (i32.const 1))) (call $yield) (global.set $g (i32.const 6)))
        (func (export "g") (result i32) (global.get $g)) )"#;
    let module = prepare(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    add_yield(&mut linker, "e", "yield").unwrap();
    let pre = module.instantiate_pre(&linker).unwrap();
    let instance = Instance::new(&pre, ()).unwrap();
    let here = instance.checkpoint().unwrap();
    for _ in 0..50 {
        let mut future = instance.call::<(), ()>("half", ()).unwrap();
        assert_eq!(future.resume().unwrap(), Step::Yielded);
        assert!(matches!(instance.rollback(&here), Err(Error::CallInProgress)));
        drop(future);
        assert!(matches!(instance.checkpoint(), Err(Error::Poisoned)));
        instance.rollback(&here).unwrap();
        assert_eq!(call::<_, i32, _>(&instance, "g", ()).unwrap(), 0);
    }
}
