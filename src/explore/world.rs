//! [`World`]: what a test gets: a pool, a clock, and guests that stop before each call of the host.

use crate::error::Error;
use crate::explore::crossings::Crossings;
use crate::explore::guest::WorldGuest;
use crate::explore::line::Note;
use crate::explore::pool::WorldPool;
use crate::explore::run::Run;
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::limit::slice::Slice;
use crate::guest::limit::watch::Watcher;
use crate::guest::linked::Linked;
use crate::guest::origin::BoxFuture;
use crate::pool::handle::JobHandle;
use crate::sync::set_while;
use crate::wait::clock::ManualClock;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use wasmtime::{Engine, StoreContextMut};

/// The pool, the clock and the guests of one run of a test that is [explored](crate::explore). Each run has a new one.
///
/// An instance that the world has not made runs in it, too, but does not stop before calls of the host.
///
/// A clone is a handle of the same world. Host functions find it in the state of the guest, or by [`current`](Self::current).
#[derive(Clone)]
pub struct World {
    run: Arc<Run>,
}

thread_local! {
    /// The world of the run in progress on this thread.
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    /// Runs `code` in a new world.
    pub(crate) fn with<R>(run: Arc<Run>, code: impl FnOnce(&World) -> R) -> R {
        let world = Self { run };
        set_while(&CURRENT, world.clone(), || code(&world)).0
    }

    /// The world of the run in progress on this thread; `None` outside of a run. Host functions that are also used without a world need no handle of
    /// one in their state then.
    ///
    /// ```
    /// use wasm_jobs::explore::{self, World};
    ///
    /// fn look_at_stock() {
    ///     if let Some(world) = World::current() {
    ///         world.touches("stock");
    ///     }
    /// }
    /// look_at_stock();
    /// explore::dfs(1).run(|_: &World| look_at_stock());
    /// ```
    #[must_use]
    pub fn current() -> Option<World> {
        CURRENT.try_with(|world| world.borrow().clone()).ok().flatten()
    }

    /// The pool whose jobs are run in the order of the schedule.
    #[must_use]
    pub fn pool(&self) -> WorldPool {
        WorldPool { run: self.run.clone() }
    }

    /// The clock, which begins at zero. When no job can go on, it moves to the next deadline of a sleeper.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasm_jobs::explore::{self, World};
    /// use wasm_jobs::{Clock, Error, Future, JobPool};
    ///
    /// explore::dfs(1).run(|world: &World| {
    ///     let night = world.clock().sleep(Duration::from_secs(8 * 60 * 60));
    ///     let mut sleeper = Future::new(async { Ok(night.await) });
    ///     world.pool().submit(sleeper.to_job()?);
    ///     world.run_all(); // in no time
    ///     sleeper.try_get_result().map(|_| ())
    /// });
    /// ```
    #[must_use]
    pub fn clock(&self) -> ManualClock {
        self.run.clock.clone()
    }

    /// Makes an instance whose guest [stops before each call of the host](InstanceOptions::yield_before_host_calls), so that a step is what
    /// a guest does from one call of the host to the next.
    ///
    /// If [`Explorer::preempt`](crate::explore::Explorer::preempt) is set, some steps are ended earlier, by slices of fuel. On an engine that
    /// counts fuel, a guest without a slice of its own gets one in any case, by which a step that [never ends](crate::explore::Explorer::max_fuel) is noticed. Calls through
    /// [`StoreGuard::parts`](crate::StoreGuard::parts) have to be asynchronous then.
    ///
    /// # Errors
    ///
    /// As [`Instance::with_options`], and [`Error::Unsupported`] if steps are to be ended by fuel and the engine counts none.
    pub fn instance<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Instance<S>, Error> {
        self.instance_with(pre, InstanceOptions::default(), state)
    }

    /// Makes an instance within limits, whose guest stops before each call of the host unless the options
    /// [say otherwise](InstanceOptions::yield_before_host_calls).
    ///
    /// # Errors
    ///
    /// As [`instance`](Self::instance), and [`Error::Unsupported`] for options that depend on the machine's clock: slices of time, timeouts, and a
    /// time other than zero after which calls are parked.
    pub fn instance_with<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Instance<S>, Error> {
        let engine = pre.linked().module().engine().clone();
        self.guest(&engine, options, |options| Instance::with_options(pre, options, state))
    }

    /// Makes an instance of something other than a module, most often of a component, as [`Instance::with_exports`] does.
    ///
    /// Its guest stops before each call of the host, too. The names of these are not known.
    ///
    /// # Errors
    ///
    /// As [`Instance::with_exports`] and [`instance_with`](Self::instance_with).
    pub fn instance_with_exports<S: Send + 'static, E: Send + Sync + 'static>(
        &self,
        engine: &Engine,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
        exports: impl for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, E> + Send + Sync + 'static,
    ) -> Result<Instance<S, E>, Error> {
        self.guest(engine, options, |options| {
            Instance::with_exports(engine, options, state, exports)
        })
    }

    /// Makes an instance that is a guest of this world.
    fn guest<S: Send + 'static, E: Send + Sync + 'static>(
        &self,
        engine: &Engine,
        mut options: InstanceOptions,
        make: impl FnOnce(InstanceOptions) -> Result<Instance<S, E>, Error>,
    ) -> Result<Instance<S, E>, Error> {
        check(&options)?;
        let (settings, counts_fuel) = (&self.run.settings, engine.get_consume_fuel());
        if settings.preempts && !counts_fuel {
            return Err(Error::Unsupported {
                what: "a step that ends by fuel",
                why: "the engine counts none: use `EngineOptions::fuel`, or `EngineOptions::deterministic`".into(),
            });
        }
        let number = self.run.new_guest();
        let stops = *options.yield_before_host_calls.get_or_insert(true);
        let is_watched = counts_fuel || settings.explains || settings.hashes_guests;
        options.watcher = Watcher(
            is_watched.then(|| Arc::new(Crossings::new(self.run.clone(), number, stops)) as _),
        );
        let instance = make(options)?;
        self.run
            .set_guest(number, Box::new(WorldGuest::new(instance.control().clone(), counts_fuel)));
        Ok(instance)
    }

    /// Runs all jobs to their ends, those too that are submitted meanwhile.
    ///
    /// Call it in the test itself, not in a job, which would wait for its own end.
    pub fn run_all(&self) {
        self.run.run_all();
    }

    /// One of `of` possibilities, from zero, which the schedule chooses: whether a host function fails, for example, or whether a call is
    /// cancelled now. Zero is the usual one: a failing schedule is made short by making choices zero.
    ///
    /// # Panics
    ///
    /// If `of` is zero.
    ///
    /// ```
    /// use wasm_jobs::explore;
    ///
    /// let failure = explore::dfs(10).check(|world| {
    ///     let is_sent = world.choose(2) == 0;
    ///     assert!(is_sent, "the letter was lost");
    /// });
    /// assert_eq!(failure.unwrap_err().steps(), ["the test chose 1 of 2"]);
    /// ```
    #[must_use]
    pub fn choose(&self, of: u32) -> u32 {
        assert!(of > 0, "there is nothing to choose from");
        self.run.pick(of)
    }

    /// Cancels a job at any point: the schedule says when. That may be before its first step, or after its end.
    ///
    /// It is a job of its own, of one step.
    ///
    /// ```
    /// use wasm_jobs::explore::{self, World};
    /// use wasm_jobs::{Error, Future, JobPool, yield_now};
    ///
    /// let report = explore::dfs(100).run(|world: &World| {
    ///     let mut call = Future::new(async { Ok(yield_now().await) });
    ///     world.cancel_at_any_point(&world.pool().submit(call.to_job()?));
    ///     world.run_all();
    ///     assert!(matches!(call.try_get_result(), Ok(Some(())) | Err(Error::Cancelled)));
    ///     Ok::<(), Error>(())
    /// });
    /// assert_eq!(report.schedules, 3); // before, between, and after the two steps
    /// ```
    pub fn cancel_at_any_point(&self, job: &JobHandle) {
        let label = self.run.job_of(job).map_or("a job".into(), |(_, label)| label);
        let job = job.clone();
        self.pool().submit_closure(Some(format!("cancel of {label}")), move || job.cancel());
    }

    /// Drops a job of this world's pool at any point: the schedule says when. Its [`Future`](crate::Future) has the right to resume again, and
    /// its handle is complete. A job that waits is dropped when it is woken.
    ///
    /// It is a job of its own, of one step.
    ///
    /// # Panics
    ///
    /// If the handle is not that of a job of this world's pool.
    pub fn drop_at_any_point(&self, job: &JobHandle) {
        let Some((number, label)) = self.run.job_of(job) else {
            panic!("the handle is not that of a job of this world's pool")
        };
        let run = self.run.clone();
        self.pool().submit_closure(Some(format!("drop of {label}")), move || run.drop_job(number));
    }

    /// Notes in the line of the step in progress that it touches something which jobs share.
    pub fn touches(&self, what: impl Into<Cow<'static, str>>) {
        self.run.note(Note::Touches(what.into()));
    }

    /// Notes in the line of the step in progress that it reads something which jobs share, and does not change it. The order of two steps that only read
    /// it makes no difference to [`Explorer::reduce`](crate::explore::Explorer::reduce).
    pub fn reads(&self, what: impl Into<Cow<'static, str>>) {
        self.run.note(Note::Reads(what.into()));
    }

    /// Counts the distinct states of the run for the [report](crate::explore::Report::states): after each step, `hash` gives a hash of the
    /// state. A second call replaces the first.
    pub fn hash_by(&self, hash: impl Fn() -> u64 + Send + Sync + 'static) {
        self.run.hash_by(Arc::new(hash));
    }
}

/// Refuses what would depend on the machine's clock.
fn check(options: &InstanceOptions) -> Result<(), Error> {
    #[cfg(feature = "freeze")]
    let parks_later = options.park_after.is_some_and(|time| !time.is_zero());
    #[cfg(not(feature = "freeze"))]
    let parks_later = false;
    let what = if matches!(options.slice, Slice::Time(_)) {
        "a slice of time"
    } else if options.running_timeout.is_some()
        || options.elapsed_timeout.is_some()
        || options.begun_timeout.is_some()
    {
        "a timeout"
    } else if parks_later {
        "a time after which calls are parked"
    } else {
        return Ok(());
    };
    let why = "a schedule would not run in the same way again: use fuel".into();
    Err(Error::Unsupported { what, why })
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("clock", &self.run.clock).finish_non_exhaustive()
    }
}
