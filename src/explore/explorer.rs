//! [`Explorer`]: runs a test in one schedule after another, until one fails.

use crate::explore::choice::{Choice, parse, print};
use crate::explore::failure::{Failure, Found};
use crate::explore::guest::Fuel;
use crate::explore::host_names::HostNames;
use crate::explore::method::Method;
use crate::explore::outcome::{Outcome, execute};
use crate::explore::progress::Progress;
use crate::explore::report::Report;
use crate::explore::settings::Settings;
use crate::explore::shrink::shrink;
use crate::explore::state::Carried;
use crate::explore::strategy::Script;
use crate::explore::verdict::Verdict;
use crate::explore::world::World;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::Module;

/// Runs a test in many schedules. [`random`](crate::explore::random), [`pct`](crate::explore::pct), [`dfs`](crate::explore::dfs) and
/// [`replay`](crate::explore::replay) make one.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run` or `check`"]
pub struct Explorer {
    method: Method,
    seed: Option<u64>,
    /// The most fuel of a step that the schedule ends; zero if it ends none.
    preempt: u32,
    reduces: bool,
    is_exhaustive: bool,
    max_time: Option<Duration>,
    settings: Settings,
}

/// One schedule in so many is run twice, to see whether it goes the same way.
const REPEATED: u64 = 128;

impl Explorer {
    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            seed: None,
            preempt: 0,
            reduces: false,
            is_exhaustive: false,
            max_time: None,
            settings: Settings {
                max_steps: 100_000,
                fuel: Fuel::Most(1_000_000_000),
                steps_take_time: false,
                preempts: false,
                hashes_guests: false,
                explains: false,
                names: Vec::new(),
            },
        }
    }

    /// Sets the seed of [`random`](crate::explore::random) or [`pct`](crate::explore::pct). If `WASM_JOBS_SEED` is set in the environment, a decimal number of 64 bits, it overrides this.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how many steps a schedule may have: 100,000 by default. More are a failure, because a job may go on for ever.
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.settings.max_steps = steps;
        self
    }

    /// Lets the clock move to the next deadline before any step, as if the steps before that had taken so long. Without this it moves when no job
    /// can go on, as if steps took no time; so a sleep never ends too early, and what relies on its length is not found.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    /// use std::{sync::Arc, time::Duration};
    /// use wasm_jobs::explore::{self, World};
    /// use wasm_jobs::{Clock, Error, Future, JobPool, yield_now};
    ///
    /// // The reader sleeps until the file is written, as it thinks.
    /// let sleeps = |world: &World| -> Result<(), Error> {
    ///     let is_written = Arc::new(AtomicBool::new(false));
    ///     let (written, nap) = (is_written.clone(), world.clock().sleep(Duration::from_secs(1)));
    ///     let mut writer = Future::new(async move {
    ///         yield_now().await;
    ///         Ok(written.store(true, Relaxed))
    ///     });
    ///     let mut reader = Future::new(async move {
    ///         nap.await;
    ///         Ok(assert!(is_written.load(Relaxed), "read too early"))
    ///     });
    ///     for runner in [writer.to_job()?, reader.to_job()?] {
    ///         world.pool().submit(runner);
    ///     }
    ///     world.run_all();
    ///     reader.try_get_result().map(|_| ())
    /// };
    /// assert!(explore::dfs(1_000).check(sleeps).is_ok());
    /// assert!(explore::dfs(1_000).steps_take_time().check(sleeps).is_err());
    /// ```
    pub fn steps_take_time(mut self) -> Self {
        self.settings.steps_take_time = true;
        self
    }

    /// Ends some steps of guests early, by a slice of 1 to `fuel` units of fuel: with [`random`](crate::explore::random) a fourth of the steps at which several jobs can go on,
    /// and with [`pct`](crate::explore::pct) half of the change points. With [`dfs`](crate::explore::dfs) it ends none, and zero turns it off.
    ///
    /// Use this if the host reads a guest's memory while the guest computes. Otherwise stops before calls of the host are enough. The engine must count
    /// fuel: see [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn preempt(mut self, fuel: u32) -> Self {
        self.preempt = fuel;
        self.settings.preempts = fuel > 0;
        self
    }

    /// Makes it a failure if not [all](Report::is_exhaustive) schedules are run. Without this, it is none if [`dfs`](crate::explore::dfs) reaches its
    /// limit.
    ///
    /// ```
    /// use wasm_jobs::explore::{self, World};
    /// # use wasm_jobs::JobPool;
    ///
    /// let test = |world: &World| {
    ///     (0..4).for_each(|_| drop(world.pool().submit_fn(|| ())));
    ///     world.run_all();
    /// };
    /// assert!(explore::dfs(24).exhaustive().check(test).is_ok());
    /// assert!(explore::dfs(20).exhaustive().check(test).is_err());
    /// ```
    pub fn exhaustive(mut self) -> Self {
        self.is_exhaustive = true;
        self
    }

    /// Sets after how much time no further schedule is begun. The [`Report`] says how many were run.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasm_jobs::explore;
    ///
    /// let report = explore::random(u64::MAX).max_time(Duration::from_millis(10)).run(|_| ());
    /// assert!(report.schedules > 0);
    /// ```
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = Some(time);
        self
    }

    /// Sets how much fuel a guest may use in a step: 1,000,000,000 by default. More is a failure, because the guest may go on for ever.
    ///
    /// This is noticed only if the engine [counts fuel](crate::EngineOptions::fuel) and the test sets no [slice](crate::Slice) for the guest. Otherwise an endless guest hangs the test.
    pub fn max_fuel(mut self, fuel: u64) -> Self {
        self.settings.fuel = Fuel::Most(fuel);
        self
    }

    /// Names the host functions that guests of this module call, in the steps of a [`Failure`].
    ///
    /// `wasm` is what wasmtime has compiled the module from, in the binary format. wasmtime does not keep it. For a prepared module, it is what the
    /// transformation has made.
    ///
    /// # Panics
    ///
    /// If `wasm` is no WebAssembly module in the binary format, or has other imports or exports than `module`.
    ///
    /// ```
    /// # use wasm_jobs::explore::{self, World};
    /// # use wasm_jobs::wasmtime::{Linker, Module, format_err};
    /// # use wasm_jobs::{EngineOptions, Error, JobPool, engine};
    /// # let engine = engine(&EngineOptions::default())?;
    /// let wasm = wat::parse_str(r#"(module
    ///     (import "shop" "sell" (func $sell))
    ///     (func (export "buy") call $sell))"#)?;
    /// let module = Module::new(&engine, &wasm)?;
    /// let mut linker = Linker::<()>::new(&engine);
    /// linker.func_wrap("shop", "sell", || Err::<(), _>(format_err!("sold out")))?;
    /// let pre = linker.instantiate_pre(&module)?;
    /// let buy = |world: &World| -> Result<(), Error> {
    ///     let mut call = world.instance(&pre, || ())?.call::<(), ()>("buy", ())?;
    ///     world.pool().submit(call.to_job()?);
    ///     call.wait()
    /// };
    /// let failure = explore::dfs(10).host_names(&module, &wasm).check(buy).unwrap_err();
    /// assert_eq!(
    ///     failure.steps(),
    ///     ["buy#0 step 1, submitted: yields", "buy#0 step 2, goes on: calls shop.sell, failed"]
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn host_names(mut self, module: &Module, wasm: &[u8]) -> Self {
        match HostNames::new(module, wasm) {
            Ok(Some(names)) => self.settings.names.push(Arc::new(names)),
            Ok(None) => panic!("the module was not compiled from this wasm"),
            Err(error) => panic!("no wasm of a module: {error}"),
        }
        self
    }

    /// Counts the distinct [states](Report::states) of the guests: of what they export, the memories, and the globals that are numbers. They are looked at when a guest calls the host and
    /// when it returns to it.
    ///
    /// That takes a few microseconds for each 64 KiB in each step.
    pub fn count_states(mut self) -> Self {
        self.settings.hashes_guests = true;
        self
    }

    /// Has [`dfs`](crate::explore::dfs) run one of several schedules that differ only in the order of steps which touch nothing in common, by sleep sets (Godefroid,
    /// "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032, 1996). With other strategies it does nothing.
    ///
    /// With this you promise that the steps of jobs declare by [`World::touches`] or [`World::reads`] all that they share with other jobs: data that one of them
    /// changes, but also events and locks, and whether another job is over. A step that declares nothing shares nothing. Steps within
    /// [`World::run_all`] are reduced. Steps that run while the test or a job waits for something in another way are not, and neither are steps that
    /// choose, submit jobs or cancel them.
    ///
    /// ```
    /// use wasm_jobs::explore::{self, World};
    /// # use wasm_jobs::JobPool;
    ///
    /// let test = |world: &World| {
    ///     for drawer in ["spoons", "spoons", "forks", "knives"] {
    ///         let seen = world.clone();
    ///         world.pool().submit_fn(move || seen.touches(drawer));
    ///     }
    ///     world.run_all();
    /// };
    /// assert_eq!(explore::dfs(1_000).run(test).schedules, 24);
    /// assert_eq!(explore::dfs(1_000).reduce().run(test).schedules, 2);
    /// ```
    pub fn reduce(mut self) -> Self {
        self.reduces = true;
        self
    }

    /// Runs a test in one schedule after another, until one fails.
    ///
    /// See [`check`](Self::check), which returns the [`Failure`].
    ///
    /// # Panics
    ///
    /// If a schedule fails, with the text of the [`Failure`]; and as [`check`](Self::check) does.
    #[track_caller]
    pub fn run<V: Verdict>(&self, test: impl Fn(&World) -> V) -> Report {
        match self.check(test) {
            Ok(report) => report,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Runs a test in one schedule after another, until one fails, as [`run`](Self::run) does.
    ///
    /// One schedule in 128 is run twice, to see whether it goes the same way. Every ten seconds, a line on the standard error says how far this is.
    ///
    /// Panics of the test are caught, and are not printed: for that, this process gets a panic hook, which passes all others on.
    ///
    /// # Errors
    ///
    /// The [`Failure`]. It is made shorter by up to 2,000 more runs, as long as the first line of its message stays the same; for a deadlock, as long as the
    /// same jobs wait.
    ///
    /// # Panics
    ///
    /// If `WASM_JOBS_SEED` is set and is no number, or `WASM_JOBS_SCHEDULE` and is no schedule.
    pub fn check<V: Verdict>(&self, test: impl Fn(&World) -> V) -> Result<Report, Failure> {
        let this = self.with_environment();
        let seed = this.seed.unwrap_or(0);
        let mut carried = this.method.strategy(seed, this.preempt, this.reduces);
        let mut report = Report::default();
        let mut progress = Progress::new();
        while carried.strategy.begin() {
            let outcome;
            (carried, outcome) = execute(this.settings.clone(), carried, &test);
            progress.tell(|| format!("{}: {report}", this.method));
            if outcome.is_redundant {
                report.redundant += 1;
                continue;
            }
            report.schedules += 1;
            report.steps += outcome.steps as u64;
            report.longest = report.longest.max(outcome.steps);
            report.states = carried.states.len();
            let failed = outcome.failure.is_some();
            if let Some(why) = carried.strategy.misfit() {
                let failure = Some(why.to_owned());
                return Err(this.failure(Outcome { failure, ..outcome }, seed, report));
            }
            if failed || report.schedules % REPEATED == 1 {
                let again = this.again(outcome.choices.clone(), &test, failed);
                let outcome = match (outcome.difference(&again), &this.method) {
                    (Some(difference), _) => Outcome { failure: Some(difference), ..outcome },
                    (None, _) if !failed => continue,
                    (None, Method::Replay { .. }) => again,
                    (None, _) => {
                        let shortest = this.shortest(outcome, &test);
                        this.again(shortest.choices, &test, true)
                    }
                };
                return Err(this.failure(outcome, seed, report));
            }
            if this.max_time.is_some_and(|most| progress.elapsed() >= most) {
                break;
            }
        }
        report.is_exhaustive = carried.strategy.is_exhausted();
        if this.is_exhaustive && !report.is_exhaustive {
            let why = format!("{} has ended before all schedules were run", this.method);
            let outcome = Outcome { failure: Some(why), ..Outcome::default() };
            return Err(this.failure(outcome, seed, report));
        }
        Ok(report)
    }

    /// With the seed and the schedule of the environment, if these are set.
    fn with_environment(&self) -> Self {
        let mut this = self.clone();
        let variable =
            |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        if let Some(seed) = variable("WASM_JOBS_SEED").filter(|seed| !seed.is_empty()) {
            match seed.trim().parse() {
                Ok(seed) => this.seed = Some(seed),
                Err(_) => panic!("WASM_JOBS_SEED={seed:?} is no number"),
            }
        }
        if let Some(schedule) = variable("WASM_JOBS_SCHEDULE").filter(|text| !text.is_empty()) {
            match parse(&schedule) {
                Some(choices) => this.method = Method::Replay { choices },
                None => panic!("WASM_JOBS_SCHEDULE={schedule:?} is no schedule"),
            }
        }
        this
    }

    /// Runs a schedule again, and has it explained or not.
    fn again<V: Verdict>(
        &self,
        choices: Vec<Choice>,
        test: &impl Fn(&World) -> V,
        explains: bool,
    ) -> Outcome {
        let settings = Settings { explains, ..self.settings.clone() };
        execute(settings, Carried::of(Script::new(choices)), test).1
    }

    fn shortest<V: Verdict>(&self, outcome: Outcome, test: &impl Fn(&World) -> V) -> Outcome {
        let kind = outcome.kind.clone();
        let mut progress = Progress::new();
        shrink(outcome, |choices| {
            progress.tell(|| format!("{}: a failure is made shorter", self.method));
            let found = self.again(choices, test, false);
            (found.failure.is_some() && found.kind == kind).then_some(found)
        })
    }

    fn failure(&self, outcome: Outcome, seed: u64, report: Report) -> Failure {
        let has_seed = matches!(self.method, Method::Random { .. } | Method::Pct { .. });
        let found = Found {
            steps: outcome.lines.iter().map(|line| line.print(&outcome.labels)).collect(),
            schedule: print(&outcome.choices),
            outcome,
            strategy: self.method.to_string(),
            seed: has_seed.then_some(seed),
            report,
        };
        Failure { found: Box::new(found) }
    }
}
