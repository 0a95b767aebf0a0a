//! Calls by way of an [`InstancePool`]: each checks an instance out, runs as a job, and gives the instance back when it ends.

use crate::call::future::SendFuture;
use crate::error::Error;
use crate::error::trap::Trap;
#[cfg(feature = "freeze")]
use crate::guest::freeze::frozen::Frozen;
#[cfg(feature = "freeze")]
use crate::guest::freeze::output::CallOutput;
use crate::guest::instance_pool::InstancePool;
use crate::guest::origin::BoxFuture;
use crate::guest::pooled_instance::PooledInstance;
use crate::pool::JobPool;
#[cfg(feature = "wasi-p3-preview")]
use wasmtime::component::Accessor;
use wasmtime::{StoreContextMut, WasmParams, WasmResults};

impl<S: Send + 'static, E: Send + Sync + 'static> InstancePool<S, E> {
    /// Makes a call with an instance of the pool, runs `work` with the exports as a job on `pool`, and gives the result: what
    /// [`Instance::start`](crate::Instance::start) is to one instance. Components, and requests with data in the guest's memory, are called
    /// this way.
    ///
    /// # Errors
    ///
    /// As [`call`](InstancePool::call).
    pub async fn start<T: Send + 'static>(
        &self,
        pool: &impl JobPool,
        work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(pool, |instance| instance.start(work)).await
    }

    /// Makes a call with an instance of the pool, runs `work` with the async functions of a component as a job on `pool`, and gives the
    /// result: what [`Instance::start_concurrent`](crate::Instance::start_concurrent) is to one instance.
    ///
    /// # Errors
    ///
    /// As [`call`](InstancePool::call).
    #[cfg(feature = "wasi-p3-preview")]
    pub async fn start_concurrent<T: Send + 'static>(
        &self,
        pool: &impl JobPool,
        work: impl for<'a> FnOnce(&'a Accessor<S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(pool, |instance| instance.start_concurrent(work)).await
    }

    /// Checks an instance out, makes a call with it, and runs that as a job. Only the owner, which is this future, knows of the job.
    async fn run<T: Send + 'static>(
        &self,
        pool: &impl JobPool,
        make_call: impl FnOnce(&PooledInstance<S, E>) -> Result<SendFuture<T>, Error>,
    ) -> Result<T, Error> {
        let instance = self.get().await?;
        let mut future = make_call(&instance)?;
        drop(instance);
        pool.submit(future.to_job()?);
        future.await
    }
}

impl<S: Send + 'static> InstancePool<S> {
    /// Makes a call with an instance of the pool, runs it as a job on `pool`, and gives its result: a whole request. The arguments and the
    /// result are numbers. For data in the guest's memory, use [`start`](Self::start) or [`get`](Self::get).
    ///
    /// The instance goes back when the call ends. Dropping this cancels the call, and then the instance comes back: at once if the guest
    /// waits, and otherwise when the guest stops, or when the host function that it is in returns.
    ///
    /// A host function that calls its own pool this way holds one instance while it waits for another. If calls are nested as deep as the pool is
    /// large, all of them wait for ever: use [`get_within`](Self::get_within) there.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and of [`Instance::call`](crate::Instance::call), and the failure of the call.
    pub async fn call<P, R>(&self, pool: &impl JobPool, export: &str, params: P) -> Result<R, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        self.run(pool, |instance| instance.call(export, params)).await
    }

    /// Makes a call as [`call`](Self::call) does, but its result has a trap as a value.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn try_call<P, R>(
        &self,
        pool: &impl JobPool,
        export: &str,
        params: P,
    ) -> Result<Result<R, Trap>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        self.run(pool, |instance| instance.try_call(export, params)).await
    }

    /// Brings an instance of the pool to the middle of a call that was frozen, runs the rest of it as a job on `pool`, and gives its result.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and of [`Instance::thaw`](crate::Instance::thaw), and the failure of the call.
    #[cfg(feature = "freeze")]
    pub async fn thaw<T, How>(&self, pool: &impl JobPool, frozen: &Frozen<T>) -> Result<T, Error>
    where
        T: CallOutput<How>,
    {
        self.run(pool, |instance| instance.thaw(frozen)).await
    }

    /// Checks that the guests export a function of this signature, so that a wrong plugin is found when the pool is made.
    ///
    /// # Errors
    ///
    /// [`Error::ExportNotFound`], [`Error::ExportKind`] and [`Error::Signature`] if there is no such function, and those of
    /// [`try_get`](Self::try_get).
    pub fn require<P, R>(&self, export: &str) -> Result<(), Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        self.try_get()?.func::<P, R>(export).map(drop)
    }
}
