//! A call of a component with async functions: its tasks run in one scope of wasmtime's event loop, which is the work of one
//! [`Future`](crate::Future).

use crate::call::future::Future;
use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::origin::BoxFuture;
use parking_lot::Mutex;
use std::future::{self, Future as _};
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, AccessorTask, JoinHandle};

impl<S: Send + 'static, E: Send + Sync + 'static> Instance<S, E> {
    /// Makes a call that runs `work` with the exports of a component. `work` may call async functions, one after the other or several at once.
    /// To this instance they are one call, which is resumed and submitted like any other. `work` is called at the first step.
    ///
    /// The call is over when `work` is. It is [`Waiting`](crate::Step::Waiting) while all tasks of the guest wait, and yields when one of them
    /// yields and no other can run. When it is cancelled, the instance is poisoned, and its tasks
    /// are dropped with their store, at the reset.
    ///
    /// If `work` awaits several functions, the step in which one of them ends can report [`Yielded`](crate::Step::Yielded), although the others
    /// wait. Resume it once more.
    ///
    /// An error of `work` poisons the instance. So do tasks of the guest that are left when `work` has ended and that cannot finish in the same
    /// step, because the next call would go on with them: after [`clear_poison`](Self::clear_poison), it does. A reset drops them.
    ///
    /// ```
    /// use wasm_jobs::wasmtime::component::{Component, Linker};
    /// use wasm_jobs::{EngineOptions, Instance, InstanceOptions, JobPool, RayonGlobal, Step, engine};
    ///
    /// wasm_jobs::wasmtime::component::bindgen!({
    ///     inline: "package game:scripts; world script { export double: async func(n: u32) -> u32; }",
    ///     wasmtime_crate: wasm_jobs::wasmtime,
    ///     exports: { default: async | store },
    /// });
    ///
    /// const GUEST: &str = r#"(component
    ///     (core func $yield (canon thread.yield))
    ///     (core module $m
    ///         (import "host" "yield" (func $yield (result i32)))
    ///         (func (export "double") (param i32) (result i32)
    ///             (drop (call $yield))
    ///             (i32.shl (local.get 0) (i32.const 1))))
    ///     (core instance $i (instantiate $m (with "host" (instance (export "yield" (func $yield))))))
    ///     (func (export "double") async (param "n" u32) (result u32) (canon lift (core func $i "double"))))"#;
    ///
    /// let engine = engine(&EngineOptions::default().component_async(true))?;
    /// let component = Component::new(&engine, wat::parse_str(GUEST)?)?;
    /// let guest = ScriptPre::new(Linker::<()>::new(&engine).instantiate_pre(&component)?)?;
    /// let instance = Instance::with_exports(&engine, InstanceOptions::default(), || (), move |store| {
    ///     let guest = guest.clone();
    ///     Box::pin(async move { guest.instantiate_async(store).await })
    /// })?;
    ///
    /// let mut future = instance.start_concurrent(|store, script| {
    ///     Box::pin(async move { script.call_double(store, 21).await })
    /// })?;
    /// assert_eq!(future.resume()?, Step::Yielded);
    /// RayonGlobal.submit(future.to_job()?).wait();
    /// assert_eq!(future.try_get_result()?, Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has the instance, and [`Error::Poisoned`] if an earlier call ended without
    /// returning. The call fails if the engine was made without [`component_async`](crate::EngineOptions::component_async).
    pub fn start_concurrent<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a Accessor<S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<Future<T>, Error> {
        let control = self.recipe.control.clone();
        self.start(|store, exports| {
            Box::pin(async move {
                let ended = run(store, exports, work).await?;
                if ended.has_left_tasks {
                    control.poison().set();
                }
                Ok(ended.result)
            })
        })
    }
}

/// How a scope has ended.
pub(crate) struct Ended<T> {
    pub(crate) result: T,
    /// Whether tasks of the guest are left that were not finished when `work` was.
    pub(crate) has_left_tasks: bool,
}

/// Runs `work` in a scope of the store's event loop, until it ends and until no other task of the guest can go on at once.
///
/// wasmtime keeps the host's tasks in a `FuturesUnordered`, which wakes its own waker once it has polled every task. A call that begins to
/// wait would be told as one that yields. One more task, [`NeverReady`], is polled before `work` begins and never again, so that
/// `FuturesUnordered` has not polled every task.
pub(crate) async fn run<S, E, T>(
    store: StoreContextMut<'_, S>,
    exports: &E,
    work: impl for<'a> FnOnce(&'a Accessor<S>, &'a E) -> BoxFuture<'a, T> + Send,
) -> wasmtime::Result<Ended<T>>
where
    S: Send + 'static,
    E: Sync,
    T: Send + 'static,
{
    let may_begin = AtomicBool::new(false);
    let result = Mutex::new(None);
    let scope = store.run_concurrent(async |accessor| {
        let never_ready = AbortOnDrop(accessor.spawn(NeverReady)?);
        let begun = future::poll_fn(|_| {
            // Relaxed: the same thread sets it, between two polls.
            if may_begin.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        });
        begun.await;
        *result.lock() = Some(work(accessor, exports).await?);
        drop(never_ready);
        future::poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        wasmtime::Result::Ok(())
    });
    let mut scope = pin!(scope);
    future::poll_fn(|context| {
        let mut polled = Poll::Pending;
        if !may_begin.load(Relaxed) {
            // Polls `NeverReady`, whose wake must not reach the call.
            polled = scope.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            may_begin.store(true, Relaxed);
        }
        if polled.is_pending() {
            polled = scope.as_mut().poll(context);
        }
        let has_left_tasks = polled.is_pending();
        if let Poll::Ready(Err(error)) = polled.map(Result::flatten) {
            return Poll::Ready(Err(error));
        }
        match result.lock().take() {
            Some(result) => Poll::Ready(Ok(Ended { result, has_left_tasks })),
            None => Poll::Pending,
        }
    })
    .await
}

/// A task of the host that is never ready, and not woken before it is ended.
struct NeverReady;

impl<S: 'static> AccessorTask<S> for NeverReady {
    async fn run(self, _: &Accessor<S>) -> wasmtime::Result<()> {
        future::pending().await
    }
}

/// Ends the task when dropped.
struct AbortOnDrop(JoinHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
