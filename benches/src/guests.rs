//! The guests of the measures, on one engine for both sides.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use wasm_jobs::EngineOptions;
use wasm_jobs::wasmtime::{
    Engine, InstancePre, Linker, Module, Store, TypedFunc, WasmParams, WasmResults,
};

pub(crate) const GUEST: &str = include_str!("guest.wat");

/// Several small guests that may wait in each of their functions.
pub(crate) const KERNELS: &str = include_str!("kernels.wat");

/// An interpreter, with a program that yields once and then computes.
pub(crate) const INTERPRETER: &str = include_str!("interpreter.wat");

/// A guest that does nothing but loop.
pub(crate) const BARE_LOOP: &str = r#"
    (module
      (func (export "counts") (param $to i64) (result i64) (local $n i64)
        loop $again
          (br_if $again (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1))) (local.get $to)))
        end
        local.get $n))
"#;

/// A guest that adds up the bytes of a page, so many times.
pub(crate) const MEMORY_LOOP: &str = r#"
    (module
      (memory 1)
      (data (i32.const 1000) "x")
      (func (export "sums") (param $times i32) (result i32) (local $at i32) (local $sum i32)
        loop $page
          (local.set $at (i32.const 0))
          loop $byte
            (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
            (br_if $byte (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 65536)))
          end
          (br_if $page (local.tee $times (i32.sub (local.get $times) (i32.const 1))))
        end
        local.get $sum))
"#;

/// A guest that calls itself.
pub(crate) const FIB: &str = r#"
    (module
      (func $fib (export "fib") (param $n i32) (result i32)
        (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
          (then (local.get $n))
          (else (i32.add
            (call $fib (i32.sub (local.get $n) (i32.const 1)))
            (call $fib (i32.sub (local.get $n) (i32.const 2))))))))
"#;

/// A guest that waits for the host, and tells it each time that it goes on.
const WAITING: &str = r#"
    (module
      (import "env" "wait" (func $wait))
      (import "env" "awake" (func $awake))
      (func (export "waits") (param $times i32)
        loop $again
          call $wait
          call $awake
          (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))
        end))
"#;

pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    wasm_jobs::engine(&EngineOptions::default().pooling(2_100))
        .expect("a machine that measures has room for a pool")
});

fn linked(linker: &Linker<()>, guest: &str) -> InstancePre<()> {
    let wasm = wat::parse_str(guest).expect("the guest is well-formed");
    let module = Module::new(linker.engine(), wasm).expect("the guest is valid");
    linker.instantiate_pre(&module).expect("the guest imports what is linked")
}

/// The guest as a user of this library links it.
pub(crate) fn ours() -> InstancePre<()> {
    let mut linker = Linker::new(&ENGINE);
    wasm_jobs::add_yield(&mut linker, "env", "yield").expect("the linker is new");
    linked(&linker, GUEST)
}

/// The guest as a user of wasmtime links it, with a `yield` of the shortest kind.
pub(crate) fn theirs() -> InstancePre<()> {
    theirs_on(&ENGINE)
}

/// An engine like [`ENGINE`], for a side that advances its epoch.
pub(crate) fn engine_of_their_own(instances: u32) -> Engine {
    let options = EngineOptions::default().pooling(instances);
    wasm_jobs::engine(&options).expect("a machine that measures has room for a pool")
}

pub(crate) fn theirs_on(engine: &Engine) -> InstancePre<()> {
    struct Yield(bool);

    impl Future for Yield {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    let mut linker = Linker::new(engine);
    linker
        .func_wrap_async("env", "yield", |_, ()| Box::new(Yield(false)))
        .expect("the linker is new");
    linked(&linker, GUEST)
}

/// The guest as a user of wasmtime links it for synchronous calls.
pub(crate) fn synchronous(engine: &Engine) -> InstancePre<()> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "yield", || {}).expect("the linker is new");
    linked(&linker, GUEST)
}

/// The guest that waits, with its two imports.
pub(crate) fn waiting<W: Future<Output = ()> + Send + 'static>(
    wait: impl Fn() -> W + Send + Sync + 'static,
    awake: impl Fn() + Send + Sync + 'static,
) -> InstancePre<()> {
    let mut linker = Linker::new(&ENGINE);
    linker
        .func_wrap_async("env", "wait", move |_, ()| Box::new(wait()))
        .expect("the linker is new");
    linker.func_wrap("env", "awake", awake).expect("there is none of that name");
    linked(&linker, WAITING)
}

/// A store with an instance, made by hand. It yields when the epoch changes, as an instance of this library does.
pub(crate) async fn store(pre: &InstancePre<()>) -> (Store<()>, wasm_jobs::wasmtime::Instance) {
    let mut store = Store::new(pre.module().engine(), ());
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    let instance = pre.instantiate_async(&mut store).await.expect("the pool has room");
    (store, instance)
}

/// An export of such an instance.
pub(crate) async fn export<P: WasmParams, R: WasmResults>(
    pre: &InstancePre<()>,
    name: &str,
) -> (Store<()>, TypedFunc<P, R>) {
    let (mut store, instance) = store(pre).await;
    let func = instance.get_typed_func(&mut store, name).expect("the guest exports it");
    (store, func)
}
