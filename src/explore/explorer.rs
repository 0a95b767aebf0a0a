//! [`Explorer`]: runs a test in one schedule after another, until one fails.

use crate::explore::choice::{Choice, print, trim};
use crate::explore::dfs::Dfs;
use crate::explore::failure::Failure;
use crate::explore::line::Line;
use crate::explore::pct::Pct;
use crate::explore::quiet::{quietly, text_of};
use crate::explore::random::{Preemption, Random};
use crate::explore::run::{Ended, Run};
use crate::explore::shrink::{Failing, Length, length, shrink};
use crate::explore::state::Carried;
use crate::explore::strategy::{Script, Strategy};
use crate::explore::verdict::Verdict;
use crate::explore::world::World;
use crate::trace::watch::{Untaken, collecting};
use crate::unwind::catch;
use crate::wait::block::own_help;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// Runs a test in many schedules. [`random`](crate::explore::random), [`pct`](crate::explore::pct), [`dfs`](crate::explore::dfs) and
/// [`replay`](crate::explore::replay) make one.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run` or `check`"]
pub struct Explorer {
    method: Method,
    seed: Option<u64>,
    max_steps: usize,
    preempt: u32,
    reduces: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Method {
    Random { schedules: u64 },
    Pct { schedules: u64, depth: u32 },
    Dfs { limit: u64 },
    Replay { choices: Vec<Choice> },
}

/// What was explored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The number of schedules that were run.
    pub schedules: u64,
    /// The number of runs that were ended early, because they would have repeated others. Only [`Explorer::reduce`] has them.
    pub redundant: u64,
    /// The number of steps in all schedules.
    pub steps: u64,
    /// The steps of the longest one.
    pub longest: usize,
    /// The number of distinct states, if the test has set a hash by [`World::hash_by`].
    pub states: usize,
    /// Was every schedule run? Only [`dfs`](crate::explore::dfs) knows.
    pub is_exhaustive: bool,
}

/// One schedule in so many is run twice, to see whether it goes the same way.
const REPEATED: u64 = 128;

/// A run that is over.
struct Outcome {
    choices: Vec<Choice>,
    lines: Vec<Line>,
    labels: Vec<String>,
    steps: usize,
    is_redundant: bool,
    failure: Option<String>,
}

impl Explorer {
    pub(crate) fn new(method: Method) -> Self {
        Self { method, seed: None, max_steps: 100_000, preempt: 0, reduces: false }
    }

    /// Sets the seed. The variable `WASM_JOBS_SEED` of the environment, a number, comes before it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how many steps a schedule may have: 100,000 by default. More are a failure, because a job may go on for ever.
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.max_steps = steps;
        self
    }

    /// Ends some steps of guests early, by a slice of 1 to `fuel` units of fuel: a fourth of all steps with [`random`](crate::explore::random), and half
    /// of the change points with [`pct`](crate::explore::pct). Guests share no memory with each other, so this matters for what they compute between two calls of the host
    /// only if the host looks at it meanwhile.
    ///
    /// The engine must count fuel: see [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn preempt(mut self, fuel: u32) -> Self {
        self.preempt = fuel;
        self
    }

    /// Has [`dfs`](crate::explore::dfs) run one of several schedules that differ only in the order of steps which touch nothing in common.
    ///
    /// With this you promise that the steps of jobs declare by [`World::touches`] all that they share with other jobs: data that one of them
    /// changes, but also events and locks, and whether another job is over. A step that declares nothing shares nothing. Steps within
    /// [`World::run`] are reduced. Steps that run while the test or a job waits for something in another way are not, and neither are steps that
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
    ///     world.run();
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
    /// One schedule in 128 is run twice, to see whether it goes the same way.
    ///
    /// # Panics
    ///
    /// If a schedule fails, with the text of the [`Failure`].
    #[track_caller]
    pub fn run<V: Verdict>(&self, test: impl Fn(&World) -> V) -> Report {
        match self.check(test) {
            Ok(report) => report,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Runs a test in one schedule after another, until one fails, as [`run`](Self::run) does.
    ///
    /// Panics of the test are caught, and are not printed: for that, this process gets a panic hook, which passes all others on.
    ///
    /// # Errors
    ///
    /// The [`Failure`], made as short as possible.
    ///
    /// # Panics
    ///
    /// If `WASM_JOBS_SEED` is set and is no number.
    pub fn check<V: Verdict>(&self, test: impl Fn(&World) -> V) -> Result<Report, Failure> {
        let seed = self.seed_now();
        let mut carried = Carried { strategy: self.strategy(seed), states: HashSet::new() };
        let mut report = Report::default();
        while carried.strategy.begin() {
            let outcome;
            (carried, outcome) = self.execute(carried, &test);
            if outcome.is_redundant {
                report.redundant += 1;
                continue;
            }
            report.schedules += 1;
            report.steps += outcome.steps as u64;
            report.longest = report.longest.max(outcome.steps);
            let failed = outcome.failure.is_some();
            if failed || report.schedules % REPEATED == 1 {
                let again = self.again(outcome.choices.clone(), &test);
                let outcome = match outcome.difference(&again) {
                    Some(difference) => Outcome { failure: Some(difference), ..outcome },
                    None if failed => self.shortest(outcome, &test),
                    None => continue,
                };
                return Err(self.failure(outcome, seed, report.schedules));
            }
        }
        report.states = carried.states.len();
        report.is_exhaustive = carried.strategy.is_exhausted();
        Ok(report)
    }

    fn seed_now(&self) -> u64 {
        match std::env::var("WASM_JOBS_SEED") {
            Ok(seed) => match seed.trim().parse() {
                Ok(seed) => seed,
                Err(_) => panic!("WASM_JOBS_SEED={seed:?} is no number"),
            },
            Err(_) => self.seed.unwrap_or(0),
        }
    }

    fn strategy(&self, seed: u64) -> Box<dyn Strategy> {
        let preemption = Preemption { most: self.preempt };
        match &self.method {
            Method::Random { schedules } => Box::new(Random::new(seed, *schedules, preemption)),
            Method::Pct { schedules, depth } => {
                Box::new(Pct::new(seed, *schedules, *depth, preemption))
            }
            Method::Dfs { limit } => Box::new(Dfs::new(*limit, self.reduces)),
            Method::Replay { choices } => Box::new(Script::new(choices.clone())),
        }
    }

    /// Runs the test once.
    fn execute<V: Verdict>(
        &self,
        carried: Carried,
        test: &impl Fn(&World) -> V,
    ) -> (Carried, Outcome) {
        let run = Arc::new(Run::new(carried, self.max_steps, self.preempt > 0));
        let help = run.clone();
        let ((verdict, ended, untaken), mut panics) = quietly(|| {
            let ((verdict, ended), untaken) = collecting(|| {
                own_help::with(Rc::new(move |wanted| help.help(wanted)), || {
                    let verdict = catch(|| test(&World::new(run.clone())).failure());
                    let unfinished = run.unfinished();
                    let nothing = Carried {
                        strategy: Box::new(Script::new(Vec::new())),
                        states: HashSet::new(),
                    };
                    (verdict, run.close(nothing, unfinished))
                })
            });
            (verdict, ended, untaken)
        });
        let Ended {
            mut carried,
            mut choices,
            lines,
            labels,
            steps,
            stop,
            is_redundant,
            panics: of_jobs,
            unfinished,
        } = ended;
        carried.strategy.end(steps);
        let failure = stop.or_else(|| match verdict {
            Err(payload) => Some(panics.pop().unwrap_or_else(|| text_of(&*payload).to_owned())),
            Ok(Some(error)) => Some(error),
            Ok(None) => untaken.first().map(|first| failed(first, of_jobs)).or_else(|| {
                unfinished.map(|job| {
                    format!(
                        "{job} was not run to its end: call `World::run`, or wait for its handle"
                    )
                })
            }),
        });
        trim(&mut choices);
        (carried, Outcome { choices, lines, labels, steps, is_redundant, failure })
    }

    /// Runs a schedule again.
    fn again<V: Verdict>(&self, choices: Vec<Choice>, test: &impl Fn(&World) -> V) -> Outcome {
        let strategy = Box::new(Script::new(choices));
        self.execute(Carried { strategy, states: HashSet::new() }, test).1
    }

    fn shortest<V: Verdict>(&self, outcome: Outcome, test: &impl Fn(&World) -> V) -> Outcome {
        if let Method::Replay { .. } = self.method {
            return outcome;
        }
        let kind = outcome.kind().to_owned();
        shrink(outcome, |choices| {
            let found = self.again(choices, test);
            (found.failure.is_some() && found.kind() == kind).then_some(found)
        })
    }

    fn failure(&self, outcome: Outcome, seed: u64, schedules: u64) -> Failure {
        let (strategy, has_seed) = match &self.method {
            Method::Random { schedules } => (format!("random({schedules})"), true),
            Method::Pct { schedules, depth } => (format!("pct({schedules}, {depth})"), true),
            Method::Dfs { limit } => (format!("dfs({limit})"), false),
            Method::Replay { .. } => ("replay".into(), false),
        };
        Failure {
            lines: outcome.lines.iter().map(|line| line.print(&outcome.labels)).collect(),
            schedule: print(&outcome.choices),
            message: outcome.failure.unwrap_or_default(),
            strategy,
            seed: has_seed.then_some(seed),
            schedules,
        }
    }
}

/// The message of a failure that nobody took.
fn failed(untaken: &Untaken, panics: Vec<String>) -> String {
    let Untaken { name, failure, .. } = untaken;
    match (name, panics.into_iter().next()) {
        (None, Some(panic)) => format!("the closure of a job panicked: {panic}"),
        (None, None) => format!("a call has failed, and nobody took its error: {failure}"),
        (Some(name), _) => format!("{name} has failed, and nobody took its error: {failure}"),
    }
}

impl Outcome {
    /// The first line of the message: failures with the same one are of the same kind.
    fn kind(&self) -> &str {
        self.failure.as_deref().unwrap_or_default().lines().next().unwrap_or_default()
    }

    /// Where the second run of a schedule went another way.
    fn difference(&self, again: &Self) -> Option<String> {
        let is_same = |at: &usize| self.lines.get(*at) == again.lines.get(*at);
        let most = self.lines.len().max(again.lines.len());
        let rule = "the same schedule went another way when it was run again: make what the test changes inside of it, and use `World::clock` and `World::pool`";
        if let Some(at) = (0..most).find(|at| !is_same(at)) {
            let line = |of: &Self| {
                let line = of.lines.get(at).map(|line| line.print(&of.labels));
                line.unwrap_or_else(|| "nothing".into())
            };
            let (first, second) = (line(self), line(again));
            return Some(format!("{rule}\n  step {}: {first}\n  then: {second}", at + 1));
        }
        if self.kind() != again.kind() {
            let text = |of: &Self| of.failure.clone().unwrap_or_else(|| "success".into());
            return Some(format!("{rule}\n  its end: {}\n  then: {}", text(self), text(again)));
        }
        None
    }
}

impl Failing for Outcome {
    fn choices(&self) -> &[Choice] {
        &self.choices
    }

    fn length(&self) -> Length {
        length(&self.choices, self.steps)
    }
}
