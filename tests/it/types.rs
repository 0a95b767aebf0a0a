//! What may travel and what may not, settled when this is compiled.

use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use wasm_jobs::{
    Coroutine, Coroutines, Error, Frames, Future, FutureRunner, IntoJob, Job, JobHandle, JobPool,
    Panic, Step, TickReport, YieldNow,
};

/// A result that may be sent, and not shared.
type NotSync = Cell<u8>;

assert_impl_all!(Future<u8>: std::future::Future<Output = Result<u8, Error>>, Unpin);
assert_not_impl_any!(Future<u8>: Send, Sync, Clone);
assert_not_impl_any!(Future<NotSync>: Send, Sync, Clone);

assert_impl_all!(FutureRunner<u8>: Send);
assert_impl_all!(FutureRunner<NotSync>: Send);
assert_not_impl_any!(FutureRunner<u8>: Clone, std::future::Future);

assert_impl_all!(Job: Send);
assert_not_impl_any!(Job: Clone);

assert_impl_all!(JobHandle: Clone, Send, Sync, Unpin, std::future::Future<Output = ()>);

assert_impl_all!(Error: Send, Sync, std::error::Error);
assert_impl_all!(Panic: Send, Sync);
assert_impl_all!(Step: Copy, Eq, Send, Sync, UnwindSafe, RefUnwindSafe);
assert_impl_all!(YieldNow: Send, std::future::Future<Output = ()>);

assert_impl_all!(Coroutines: Default, Unpin);
assert_not_impl_any!(Coroutines: Send, Sync, Clone);
assert_impl_all!(Coroutine<u8>: std::future::Future<Output = Result<u8, Error>>, Unpin);
assert_impl_all!(Coroutine<std::marker::PhantomPinned>: Unpin);
assert_not_impl_any!(Coroutine<u8>: Send, Sync, Clone);
assert_impl_all!(Frames: std::future::Future<Output = ()>, Unpin);
assert_not_impl_any!(Frames: Send, Sync, Clone);
assert_impl_all!(TickReport: Copy, Eq, Default, Send, Sync, UnwindSafe, RefUnwindSafe);

assert_impl_all!(FutureRunner<NotSync>: IntoJob);
type Closure = fn();
assert_impl_all!(Closure: IntoJob);
assert_not_impl_any!(JobHandle: IntoJob);
assert_not_impl_any!(Future<u8>: IntoJob);

type Spawn = fn(Job);
assert_impl_all!(Spawn: JobPool);
#[cfg(feature = "rayon")]
assert_impl_all!(wasm_jobs::RayonGlobal: JobPool, Copy, Default);
#[cfg(feature = "rayon")]
assert_impl_all!(std::sync::Arc<rayon::ThreadPool>: JobPool);

#[cfg(feature = "wasm")]
mod guest {
    use super::NotSync;
    use static_assertions::{assert_impl_all, assert_not_impl_any};
    use wasm_jobs::{EngineOptions, Func, Instance, Mismatch, StoreGuard, Trap, wasmtime};

    assert_impl_all!(Instance<()>: Send, Sync);
    assert_impl_all!(Instance<NotSync>: Send, Sync);
    assert_not_impl_any!(Instance<()>: Clone);

    assert_impl_all!(Func<(i32, i32), i32>: Send, Sync, Clone);
    assert_impl_all!(Func<(), (), NotSync>: Send, Sync, Clone);

    assert_impl_all!(StoreGuard<'static, u8>: Send, wasmtime::AsContextMut<Data = u8>);
    assert_not_impl_any!(StoreGuard<'static, NotSync>: Sync, Clone);

    assert_impl_all!(Trap: Send, Sync, std::error::Error);
    assert_impl_all!(Mismatch: Send, Sync, Clone, Eq);
    assert_impl_all!(EngineOptions: Send, Sync, Clone, Default);
}
