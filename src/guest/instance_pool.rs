//! [`InstancePool`]: instances that many callers share. A caller checks one out as a [`PooledInstance`]. When that is dropped, its guest comes
//! back: at once, or when the call in progress ends. `pool_calls` has the calls that do both.

use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::lender::{Decide, Lender, Make, Making};
use crate::guest::pooled_instance::{OnReturn, PooledInstance};
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use crate::wait::clock::{Clock, RealtimeClock};
use crate::wait::stock::{Stock, Taken};
use parking_lot::Mutex;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Instances that many callers share, such as the handlers of a server. They are made as they are needed, up to a number.
///
/// [`get`](Self::get) checks an instance out; dropping it gives it back. [`call`](Self::call) does both for one request. While all instances are
/// out, callers wait, first come, first served.
///
/// **A guest that comes back stays as it is**, so that the next request finds what this one has left in its memory and its state; only a poisoned
/// one is replaced. [`with_on_return`](Self::with_on_return) gives each request a new guest, or decides otherwise: see [`OnReturn`].
///
/// An instance that is given back with a call in progress comes back when that call ends. If the future of the call is dropped, the call is
/// cancelled, and the instance comes back: at once if the guest waits, and otherwise when the guest stops, or when the host function that it
/// is in returns.
///
/// A clone is the same pool. The pool lives as long as one of its clones, and its guests live as long as the pool: a guest's state that has a clone
/// keeps it for ever.
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
    lender: Arc<Lender<S, E>>,
}

/// Counts of an [`InstancePool`], at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The most instances that there may be.
    pub size: usize,
    /// Instances that are in the pool, ready for the next caller.
    pub idle: usize,
    /// Instances that are not back yet: checked out, or given back with a call that has not ended.
    pub out: usize,
    /// Callers that wait for an instance.
    pub waiting: usize,
    /// How many instances were made in all.
    pub made: u64,
    /// How many guests were thrown away when they came back, to be replaced by new ones.
    pub resets: u64,
}

impl<S: Send + 'static, E: Send + Sync + 'static> InstancePool<S, E> {
    /// Makes a pool of up to `size` instances, and the first of them. `make` makes an instance: of a module, or of a component by
    /// [`Instance::with_exports`].
    ///
    /// When no instance is idle, the thread that gets one calls `make`, and runs the guest's start function: in async code, the thread that
    /// polls. If that may take long, [`prewarm`](Self::prewarm) the pool. The engine's own pool must have
    /// [room](crate::EngineOptions::pooling) for all instances.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPool`] if `size` is zero, those of `make`, and [`Error::Panic`] if it panics.
    pub fn new(
        size: usize,
        make: impl Fn() -> Result<Instance<S, E>, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::of(size, Arc::new(make), None)
    }

    /// Makes a pool as [`new`](Self::new) does. `on_return` decides what happens to each instance that comes back.
    ///
    /// It runs wherever an instance, or the future of its call, is dropped, or a call ends. So it must take no lock that is held there. It may
    /// look at the guest through [`Instance::store`]. If it panics, or leaves a call in progress, the guest is thrown away.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, InstanceOptions, InstancePool, OnReturn, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let module = wasmtime::Module::new(&engine, wat::parse_str("(module)")?)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&module)?;
    /// // A new guest for each request.
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
        Self::of(size, Arc::new(make), Some(Box::new(on_return)))
    }

    fn of(
        size: usize,
        make: Arc<Make<S, E>>,
        on_return: Option<Box<Decide<S, E>>>,
    ) -> Result<Self, Error> {
        if size == 0 {
            return Err(Error::EmptyPool);
        }
        let pool = Self {
            lender: Arc::new(Lender {
                stock: Arc::new(Stock::new(size)),
                size,
                making: Mutex::new(Making { make, generation: 0 }),
                on_return,
                made: 0.into(),
                resets: 0.into(),
            }),
        };
        pool.prewarm(1)?;
        Ok(pool)
    }

    /// Makes instances, until `count` are idle or no more may be made.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). Those that were made before the failure are idle.
    pub fn prewarm(&self, count: usize) -> Result<(), Error> {
        let Lender { stock, .. } = &*self.lender;
        while stock.count().idle < count && stock.try_take_vacancy() {
            let made = self.lender.resting(Taken::Vacancy)?;
            stock.put(Some(made));
        }
        Ok(())
    }

    /// Replaces the function that makes instances: hot reload. The next instance is a new one, and this makes it, to see that it works. Instances
    /// that are out are thrown away when they come back, and those that are idle, now.
    ///
    /// # Errors
    ///
    /// Those of `make`. Then nothing has changed.
    pub fn replace(
        &self,
        make: impl Fn() -> Result<Instance<S, E>, Error> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let lender = &self.lender;
        let make: Arc<Make<S, E>> = Arc::new(make);
        let mut first = lender.make(&make, 0)?;
        let before = {
            let mut making = lender.making.lock();
            making.generation += 1;
            first.made_as.generation = making.generation;
            mem::replace(&mut making.make, make)
        };
        drop(before);
        for old in lender.stock.clear() {
            lender.resets.fetch_add(1, Relaxed);
            (*old.guest).end();
        }
        if lender.stock.try_take_vacancy() {
            lender.stock.put(Some(first));
        }
        Ok(())
    }

    /// Checks an instance out, when it is this caller's turn. Dropping this before it is ready gives up the place in line, and loses no instance.
    ///
    /// # Errors
    ///
    /// Those of the function that makes instances, if one has to be made, and [`Error::Panic`] if it panics.
    pub fn get(
        &self,
    ) -> impl std::future::Future<Output = Result<PooledInstance<S, E>, Error>>
    + Send
    + 'static
    + use<S, E> {
        let (lender, take) = (self.lender.clone(), self.lender.stock.take());
        async move { lender.check_out(take.await) }
    }

    /// Checks an instance out as [`get`](Self::get) does. This thread sleeps until it is this caller's turn.
    ///
    /// # Deadlocks
    ///
    /// A worker of a rayon pool that waits here runs turns of calls meanwhile, and begins no closure. But a worker that holds an instance and waits
    /// for something else, by [`Future::wait`](crate::Future::wait) for example, may begin a closure which waits for an instance here, on top of
    /// it. If all instances are held by such workers, none of them goes on. So inside a closure that rayon runs, do not wait while you hold
    /// an instance: submit an async request in its place, by [`Future::new`](crate::Future::new) and [`call`](Self::call), or use
    /// rayon's `par_iter`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_blocking(&self) -> Result<PooledInstance<S, E>, Error> {
        let (sleeper, mut take) = (Sleeper::new(), self.lender.stock.take());
        loop {
            match take.take_or_wakes(sleeper.waker()) {
                Some(taken) => return self.lender.check_out(taken),
                None => help_or_sleep(&sleeper, Wanted::Turns),
            }
        }
    }

    /// Checks an instance out, if one is in the pool or may be made.
    ///
    /// # Errors
    ///
    /// [`Error::AllInstancesOut`] if there is none, and those of [`get`](Self::get).
    pub fn try_get(&self) -> Result<PooledInstance<S, E>, Error> {
        match self.lender.stock.try_take() {
            Some(taken) => self.lender.check_out(taken),
            None => Err(self.lender.all_out(Duration::ZERO)),
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
        let (lender, mut take) = (self.lender.clone(), self.lender.stock.take());
        async move {
            let began = Instant::now();
            let deadline = RealtimeClock.now().saturating_add(timeout);
            let mut sleep = pin!(RealtimeClock.sleep_until(deadline));
            let taken = poll_fn(|context| match Pin::new(&mut take).poll(context) {
                Poll::Ready(taken) => Poll::Ready(Some(taken)),
                Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
            });
            match taken.await {
                Some(taken) => lender.check_out(taken),
                None => {
                    drop(take);
                    Err(lender.all_out(began.elapsed()))
                }
            }
        }
    }

    /// Counts, for a page about the server's health.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let Lender { stock, size, made, resets, .. } = &*self.lender;
        let count = stock.count();
        PoolStats {
            size: *size,
            idle: count.idle,
            out: count.out,
            waiting: count.waiting,
            made: made.load(Relaxed),
            resets: resets.load(Relaxed),
        }
    }
}

impl<S: 'static, E: 'static> Clone for InstancePool<S, E> {
    fn clone(&self) -> Self {
        Self { lender: self.lender.clone() }
    }
}

impl<S: 'static, E: 'static> fmt::Debug for InstancePool<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.lender.stock.count();
        f.debug_struct("InstancePool")
            .field("size", &self.lender.size)
            .field("out", &count.out)
            .finish_non_exhaustive()
    }
}
