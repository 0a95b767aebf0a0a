//! Types that must or must not be `Send`, `Sync` or `Clone`. The compiler checks these assertions.

use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use wasm_jobs::{
    Coroutine, Coroutines, Error, Frames, Future, FutureRunner, IntoJob, Job, JobHandle, JobPool,
    Panic, SendFuture, Step, TickReport, YieldNow,
};

/// A result that is `Send` and not `Sync`.
type NotSync = Cell<u8>;

assert_impl_all!(Future<u8>: std::future::Future<Output = Result<u8, Error>>, Unpin);
assert_not_impl_any!(Future<u8>: Send, Sync, Clone);
assert_not_impl_any!(Future<NotSync>: Send, Sync, Clone);

assert_impl_all!(SendFuture<u8>: Send, Sync, std::future::Future<Output = Result<u8, Error>>, Unpin);
assert_impl_all!(SendFuture<NotSync>: Send, Sync);
assert_not_impl_any!(SendFuture<u8>: Clone);

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
assert_not_impl_any!(SendFuture<u8>: IntoJob);

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

/// With `JobPool` in scope, the methods of other executors still resolve to the executors. If the trait had a method of the same name, a call
/// through an `Arc` would resolve to the trait, and these tests would not compile.
mod methods_of_executors {
    use std::sync::Arc;
    #[expect(unused_imports, reason = "no call below may resolve to the trait")]
    use wasm_jobs::JobPool;

    #[cfg(feature = "rayon")]
    #[test]
    fn of_rayon() {
        let pool: Arc<rayon::ThreadPool> = crate::rayon_pools::pool(1);
        let (sender, numbers) = std::sync::mpsc::channel();
        let sends = |number: u32| {
            let sender = sender.clone();
            move || sender.send(number).expect("the test is receiving")
        };
        pool.spawn(sends(1));
        pool.spawn_fifo(sends(2));
        let send = sender.clone();
        pool.spawn_broadcast(move |_| send.send(3).expect("the test is receiving"));
        assert_eq!(pool.install(|| 4), 4);
        assert_eq!(pool.join(|| 5, || 6), (5, 6));
        assert_eq!(pool.scope(|_| 7), 7);
        assert_eq!(pool.scope_fifo(|_| 8), 8);
        assert_eq!(pool.in_place_scope(|_| 9), 9);
        assert_eq!(pool.in_place_scope_fifo(|_| 10), 10);
        assert_eq!(pool.broadcast(|context| context.index()), [0]);
        assert_eq!((pool.current_num_threads(), pool.current_thread_index()), (1, None));
        assert_eq!(pool.current_thread_has_pending_tasks(), None);
        assert!(pool.yield_now().is_none() && pool.yield_local().is_none());
        let mut spawned: Vec<_> = numbers.iter().take(3).collect();
        spawned.sort_unstable();
        assert_eq!(spawned, [1, 2, 3]);
    }

    #[test]
    fn of_tokio() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let runtime = Arc::new(runtime.expect("tokio builds the runtime"));
        let handle = runtime.handle().clone();
        let (spawned, blocking) = (handle.spawn(async { 1 }), handle.spawn_blocking(|| 2));
        assert_eq!(handle.block_on(spawned).expect("the task does not panic"), 1);
        assert_eq!(handle.block_on(blocking).expect("the task does not panic"), 2);
        let spawned = (runtime.spawn(async { 3 }), runtime.spawn_blocking(|| 4));
        assert_eq!(runtime.block_on(spawned.0).expect("the task does not panic"), 3);
        assert_eq!(runtime.block_on(spawned.1).expect("the task does not panic"), 4);
        let _entered = (handle.enter(), handle.runtime_flavor());
    }

    #[test]
    fn of_bevy() {
        let pool = Arc::new(bevy_tasks::TaskPoolBuilder::new().num_threads(1).build());
        assert_eq!(crate::support::block_on(pool.spawn(async { 1 })), 1);
        assert_eq!(pool.scope(|scope| scope.spawn(async { 2 })), [2]);
        assert_eq!(pool.thread_num(), 1);
    }

    #[test]
    fn of_async_executor() {
        let executor = Arc::new(async_executor::Executor::new());
        let task = executor.spawn(async { 1 });
        assert!(executor.try_tick() && executor.is_empty());
        assert_eq!(crate::support::block_on(executor.run(task)), 1);
    }
}
