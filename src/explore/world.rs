//! [`World`]: what a test gets: a pool, a clock, and guests that stop before each call of the host.

use crate::error::Error;
use crate::explore::pool::WorldPool;
use crate::explore::run::Run;
use crate::explore::state::Guest;
use crate::guest::instance::Instance;
use crate::guest::limit::control::Control;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::limit::slice::Slice;
use crate::guest::linked::Linked;
use crate::wait::clock::ManualClock;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

/// What a test that is [explored](crate::explore) runs in. Each run has a new one.
///
/// A clone is a handle of the same world, for host functions: put it into the state of the guest.
#[derive(Clone)]
pub struct World {
    run: Arc<Run>,
}

impl World {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Self { run }
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
    ///     world.run(); // in no time
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
    /// If [`Explorer::preempt`](crate::explore::Explorer::preempt) is set, some steps are ended earlier, by slices of fuel.
    ///
    /// # Errors
    ///
    /// As [`Instance::with_options`], and [`Error::Unsupported`] if steps are to be ended by fuel and the engine counts none.
    pub fn instance<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Instance<S>, Error> {
        let options = InstanceOptions::default().yield_before_host_calls(true);
        self.instance_with(pre, options, state)
    }

    /// Makes an instance within limits. Its guest stops before each call of the host only if the options say so.
    ///
    /// # Errors
    ///
    /// As [`instance`](Self::instance), and [`Error::Unsupported`] for options that depend on the machine's clock: slices of time and
    /// timeouts.
    pub fn instance_with<S: Send + 'static>(
        &self,
        pre: &impl Linked<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Instance<S>, Error> {
        check(&options)?;
        let counts_fuel = pre.linked().module().engine().get_consume_fuel();
        if self.run.preempts && !counts_fuel {
            return Err(Error::Unsupported {
                what: "a step that ends by fuel",
                why: "the engine counts none: use `EngineOptions::fuel`, or `EngineOptions::deterministic`".into(),
            });
        }
        let instance = Instance::with_options(pre, options, state)?;
        let control = instance.control().clone();
        let guest = Sliced { control, counts_fuel, own: Cell::new(None) };
        self.run.add_guest(Box::new(guest));
        Ok(instance)
    }

    /// Runs all jobs to their ends, those too that are submitted meanwhile.
    ///
    /// Call it in the test itself, not in a job, which would wait for its own end.
    pub fn run(&self) {
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

    /// Notes in the line of the step in progress that it touches something.
    pub fn touches(&self, what: impl Into<Cow<'static, str>>) {
        self.run.touches(what.into());
    }

    /// Counts the distinct states of the run for the [report](crate::explore::Report::states): after each step, `hash` gives a hash of the
    /// state.
    pub fn hash_by(&self, hash: impl Fn() -> u64 + Send + Sync + 'static) {
        self.run.hash_by(Arc::new(hash));
    }
}

/// A guest of a world, whose steps the schedule may end by fuel. It keeps nothing of the guest but how that is limited: the guest is gone when the
/// test drops it.
struct Sliced {
    control: Arc<Control>,
    counts_fuel: bool,
    /// The slice that it had before, while the schedule ends its steps.
    own: Cell<Option<Slice>>,
}

impl Guest for Sliced {
    fn set_fuel(&self, fuel: u32) {
        let slice = match (fuel, self.own.get()) {
            _ if !self.counts_fuel => return,
            (0, None) => return,
            (0, Some(own)) => {
                self.own.set(None);
                own
            }
            (fuel, own) => {
                self.own.set(own.or(Some(self.control.slice())));
                Slice::Fuel(fuel.into())
            }
        };
        // No check: the engine counts fuel, and its own slice was checked.
        self.control.set_slice(slice);
    }

    fn has_time_slice(&self) -> bool {
        matches!(self.control.slice(), Slice::Time(_))
    }
}

/// Refuses what would depend on the machine's clock.
fn check(options: &InstanceOptions) -> Result<(), Error> {
    let what = if matches!(options.slice, Slice::Time(_)) {
        "a slice of time"
    } else if options.running_timeout.is_some()
        || options.elapsed_timeout.is_some()
        || options.begun_timeout.is_some()
    {
        "a timeout"
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
