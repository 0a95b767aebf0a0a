//! [`InstancePool`]: instances that many callers share. A [`PooledInstance`] is one of them, checked out. When it is given back, its guest
//! leaves it for the pool: at once, or when the call in progress ends.

use crate::call::future::SendFuture;
use crate::error::{Error, Panic};
use crate::guest::guest::Guest;
use crate::guest::home::Home;
use crate::guest::instance::Instance;
use crate::guest::origin::BoxFuture;
use crate::guest::pooled_instance::{OnReturn, PooledInstance};
use crate::guest::recipe::Recipe;
use crate::pool::JobPool;
use crate::unwind::{catch, ignore_panic};
use crate::wait::block::{Sleeper, help_or_sleep};
use crate::wait::clock::{Clock, RealtimeClock};
use crate::wait::stock::{Stock, Taken};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};
use wasmtime::{StoreContextMut, WasmParams, WasmResults};

/// Instances that many callers share, such as the handlers of a server. They are made as they are needed, up to a number.
///
/// A caller [checks an instance out](Self::get), and dropping it gives it back. Or the pool does both: [`call`](Self::call) is a whole
/// request. While all instances are out, callers wait, first come, first served.
///
/// An instance that is given back with a call in progress comes back when that call ends. So a call may outlive the [`PooledInstance`] that it
/// was made with. If its future is dropped, the call is cancelled and the instance comes back: at once if the guest waits, and otherwise
/// when the guest stops, or when the host function that it is in returns.
///
/// What then happens to the instance is chosen by [`OnReturn`]. By default, a poisoned one is thrown away, and a new one made when it is needed.
///
/// A clone is the same pool.
///
/// ```
/// use wasm_jobs::{EngineOptions, Instance, InstanceOptions, InstancePool, RayonGlobal, engine, wasmtime};
///
/// let engine = engine(&EngineOptions::default())?;
/// # let wasm = wat::parse_str(r#"(module (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1))))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&module)?;
///
/// let options = InstanceOptions::default().memory(16 << 20);
/// let plugins = InstancePool::new(100, move || Instance::with_options(&pre, options.clone(), || ()))?;
/// plugins.require::<i32, i32>("double")?; // now, and not at the first request
///
/// let handler = async move {
///     plugins.call::<_, i32>(&RayonGlobal, "double", 21).await // a request
/// };
/// # assert_eq!(wasm_jobs::Future::new(handler).wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InstancePool<S: 'static, E: 'static = wasmtime::Instance> {
    shared: Arc<Shared<S, E>>,
}

/// Makes an instance.
type Make<S, E> = dyn Fn() -> Result<Instance<S, E>, Error> + Send + Sync;

/// Decides what happens to an instance that comes back.
type Decide<S, E> = dyn Fn(&Instance<S, E>) -> OnReturn + Send + Sync;

struct Shared<S: 'static, E: 'static> {
    stock: Arc<Stock<Instance<S, E>>>,
    size: usize,
    make: Box<Make<S, E>>,
    /// Without it, [`OnReturn::ResetIfPoisoned`].
    on_return: Option<Box<Decide<S, E>>>,
    made: AtomicU64,
    resets: AtomicU64,
}

/// Counts of an [`InstancePool`], at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The most instances that there may be.
    pub size: usize,
    /// Instances that are in the pool, ready for the next caller.
    pub idle: usize,
    /// Instances that are checked out, or have a call in progress that was made while they were.
    pub out: usize,
    /// Callers that wait for an instance.
    pub waiting: usize,
    /// How many instances were made in all, with those that replace others.
    pub made: u64,
    /// How many instances were thrown away when they came back.
    pub resets: u64,
}

impl<S: Send + 'static, E: Send + Sync + 'static> InstancePool<S, E> {
    /// Makes a pool of up to `size` instances, and the first of them. `make` makes an instance. The caller that needs it runs `make`, on its
    /// own thread.
    ///
    /// For a component, `make` uses [`Instance::with_exports`]. The pool of the engine must have
    /// [room](crate::EngineOptions::pooling) for all instances.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPool`] if `size` is zero, and those of `make`.
    pub fn new(
        size: usize,
        make: impl Fn() -> Result<Instance<S, E>, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::of(size, Box::new(make), None)
    }

    /// Makes a pool as [`new`](Self::new) does. `on_return` decides what happens to each instance that comes back.
    ///
    /// It runs on the thread that gives the instance back, or that ends the call; if it panics, the instance is reset. It may look at
    /// the guest through [`Instance::store`].
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, InstanceOptions, InstancePool, OnReturn, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let module = wasmtime::Module::new(&engine, wat::parse_str("(module)")?)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&module)?;
    /// // A fresh guest for each request.
    /// let pool = InstancePool::with_on_return(10, move || Instance::new(&pre, ()), |_| OnReturn::Reset)?;
    /// drop(pool.try_get()?);
    /// assert_eq!(pool.stats().resets, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_on_return(
        size: usize,
        make: impl Fn() -> Result<Instance<S, E>, Error> + Send + Sync + 'static,
        on_return: impl Fn(&Instance<S, E>) -> OnReturn + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::of(size, Box::new(make), Some(Box::new(on_return)))
    }

    fn of(
        size: usize,
        make: Box<Make<S, E>>,
        on_return: Option<Box<Decide<S, E>>>,
    ) -> Result<Self, Error> {
        if size == 0 {
            return Err(Error::EmptyPool);
        }
        let (stock, made, resets) = (Arc::new(Stock::new(size)), 0.into(), 0.into());
        let pool = Self { shared: Arc::new(Shared { stock, size, make, on_return, made, resets }) };
        let Some(vacancy) = pool.shared.stock.try_take() else {
            unreachable!("a stock of at least one has room for the first");
        };
        let first = pool.shared.instance(vacancy)?;
        pool.shared.stock.put(Some(first));
        Ok(pool)
    }

    /// Checks an instance out, when it is this caller's turn.
    ///
    /// Dropping this before it is ready gives up the place in line, and loses no instance.
    ///
    /// # Errors
    ///
    /// Those of the function that makes instances, if one has to be made.
    pub fn get(
        &self,
    ) -> impl std::future::Future<Output = Result<PooledInstance<S, E>, Error>>
    + Send
    + 'static
    + use<S, E> {
        let (shared, take) = (self.shared.clone(), self.shared.stock.take());
        async move { shared.check_out(take.await) }
    }

    /// Checks an instance out as [`get`](Self::get) does. This thread sleeps until it is this caller's turn.
    ///
    /// A worker of a rayon pool runs other jobs instead of sleeping, as with [`JobHandle::wait`](crate::JobHandle::wait).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_blocking(&self) -> Result<PooledInstance<S, E>, Error> {
        let (sleeper, mut take) = (Sleeper::new(), self.shared.stock.take());
        loop {
            match take.take_or_wakes(sleeper.waker()) {
                Some(taken) => return self.shared.check_out(taken),
                None => help_or_sleep(&sleeper, None),
            }
        }
    }

    /// Checks an instance out, if one is in the pool or may be made.
    ///
    /// # Errors
    ///
    /// [`Error::AllInstancesOut`] if there is none, and those of [`get`](Self::get).
    pub fn try_get(&self) -> Result<PooledInstance<S, E>, Error> {
        match self.shared.stock.try_take() {
            Some(taken) => self.shared.check_out(taken),
            None => Err(self.shared.all_out(Duration::ZERO)),
        }
    }

    /// Checks an instance out as [`get`](Self::get) does, and waits for at most `timeout` in real time, from the first poll on.
    ///
    /// # Errors
    ///
    /// [`Error::AllInstancesOut`] if none came back in time, and those of [`get`](Self::get).
    pub fn get_within(
        &self,
        timeout: Duration,
    ) -> impl std::future::Future<Output = Result<PooledInstance<S, E>, Error>>
    + Send
    + 'static
    + use<S, E> {
        let (shared, mut take) = (self.shared.clone(), self.shared.stock.take());
        async move {
            let began = Instant::now();
            let deadline = RealtimeClock.now().saturating_add(timeout);
            let mut sleep = pin!(RealtimeClock.sleep_until(deadline));
            let taken = poll_fn(|context| match Pin::new(&mut take).poll(context) {
                Poll::Ready(taken) => Poll::Ready(Some(taken)),
                Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
            });
            match taken.await {
                Some(taken) => shared.check_out(taken),
                None => {
                    drop(take);
                    Err(shared.all_out(began.elapsed()))
                }
            }
        }
    }

    /// Makes a call with an instance of the pool, runs `work` with the exports as a job on `pool`, and gives the result: what
    /// [`Instance::start`] is to one instance. A component is called this way.
    ///
    /// # Errors
    ///
    /// As [`call`](InstancePool::call).
    pub async fn start<T: Send + 'static>(
        &self,
        pool: &impl JobPool,
        work: impl for<'a> FnOnce(StoreContextMut<'a, S>, &'a E) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Result<T, Error> {
        let instance = self.get().await?;
        let future = instance.start(work)?.into_send();
        drop(instance);
        submit(future, pool)?.await
    }

    /// Counts, for a page about the server's health.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let Shared { stock, size, made, resets, .. } = &*self.shared;
        let count = stock.count();
        PoolStats {
            size: *size,
            idle: count.here,
            out: count.out,
            waiting: count.waiting,
            made: made.load(Relaxed),
            resets: resets.load(Relaxed),
        }
    }
}

impl<S: Send + 'static> InstancePool<S> {
    /// Makes a call with an instance of the pool, runs it as a job on `pool`, and gives its result: a whole request.
    ///
    /// The instance goes back when the call ends. Dropping this cancels the call. The arguments and the result are
    /// numbers; for data in the guest's memory, use [`start`](Self::start) or [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and of [`Instance::call`], and the failure of the call.
    pub async fn call<P, R>(&self, pool: &impl JobPool, export: &str, params: P) -> Result<R, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let instance = self.get().await?;
        let future = instance.call::<P, R>(export, params)?.into_send();
        drop(instance);
        submit(future, pool)?.await
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

/// Submits a call. Only its owner knows of the job.
fn submit<T: Send + 'static>(
    mut future: SendFuture<T>,
    pool: &impl JobPool,
) -> Result<SendFuture<T>, Error> {
    pool.submit(future.to_job()?);
    Ok(future)
}

impl<S: Send + 'static, E: Send + Sync + 'static> Shared<S, E> {
    /// The instance that was taken, or one that is made in its place.
    fn instance(&self, taken: Taken<Instance<S, E>>) -> Result<Instance<S, E>, Error> {
        let made = match taken {
            Taken::Thing(instance) => return Ok(instance),
            Taken::Vacancy => catch(|| (self.make)()),
        };
        let made = made.unwrap_or_else(|payload| Err(Error::Panic(Panic::new(payload))));
        match &made {
            Ok(_) => _ = self.made.fetch_add(1, Relaxed),
            Err(_) => self.stock.put(None),
        }
        made
    }

    /// Moves the guest of an instance of the stock into one for a caller, from which it comes back.
    fn check_out(
        self: &Arc<Self>,
        taken: Taken<Instance<S, E>>,
    ) -> Result<PooledInstance<S, E>, Error> {
        let Instance { home, recipe } = self.instance(taken)?;
        let Some(guest) = Home::into_guest(home) else {
            // The function that makes instances has made a call, too.
            self.stock.put(None);
            return Err(Error::CallInProgress);
        };
        let home = Home::with_recall(guest, {
            let (shared, recipe) = (self.clone(), recipe.clone());
            move |guest| shared.take_back(guest, recipe.clone())
        });
        Ok(PooledInstance::new(Instance { home, recipe }))
    }

    /// Puts a guest back into the stock, or throws it away.
    fn take_back(&self, guest: Box<Guest<S, E>>, recipe: Arc<Recipe<S, E>>) {
        let mut instance = Some(Instance { home: Home::new(guest), recipe });
        ignore_panic(|| {
            let is_kept = instance.as_ref().is_some_and(|instance| self.is_kept(instance));
            if !is_kept {
                self.resets.fetch_add(1, Relaxed);
                // The state is the user's, and its destructor may panic.
                drop(instance.take());
            }
        });
        self.stock.put(instance);
    }

    fn is_kept(&self, instance: &Instance<S, E>) -> bool {
        let on_return = match &self.on_return {
            Some(on_return) => catch(|| on_return(instance)).unwrap_or(OnReturn::Reset),
            None => OnReturn::default(),
        };
        match on_return {
            OnReturn::Keep => true,
            OnReturn::ResetIfPoisoned => !instance.is_poisoned(),
            OnReturn::Reset => false,
        }
    }

    fn all_out(&self, waited: Duration) -> Error {
        let count = self.stock.count();
        Error::AllInstancesOut { out: count.out, waiting: count.waiting, waited }
    }
}

impl<S: 'static, E: 'static> Clone for InstancePool<S, E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: 'static, E: 'static> fmt::Debug for InstancePool<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.shared.stock.count();
        f.debug_struct("InstancePool")
            .field("size", &self.shared.size)
            .field("out", &count.out)
            .finish_non_exhaustive()
    }
}
