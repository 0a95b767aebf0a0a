//! [`Failure`]: how a schedule has failed, made short, with what is needed to see it again.

use crate::explore::outcome::Outcome;
use crate::explore::report::Report;
use std::fmt;

/// A schedule that fails, made [shorter](crate::explore::Explorer::check).
///
/// Its `Display` shows the message, a line for each step, and the schedule for [`replay`](crate::explore::replay).
#[derive(Clone)]
pub struct Failure {
    /// In a box, because an error is to be small.
    pub(crate) found: Box<Found>,
}

#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) outcome: Outcome,
    /// The lines as text.
    pub(crate) steps: Vec<String>,
    pub(crate) schedule: String,
    pub(crate) strategy: String,
    pub(crate) seed: Option<u64>,
    pub(crate) report: Report,
}

impl Failure {
    /// What went wrong: the panic of the test with its place, its error, the error of a job that nobody took, or that no job could go on.
    #[must_use]
    pub fn message(&self) -> &str {
        self.found.outcome.failure.as_deref().unwrap_or_default()
    }

    /// What happened, a line for each step.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.found.steps
    }

    /// For each unfinished call that has called the host, the functions of its guest, the innermost first. For each job that has failed, its error or panic.
    #[must_use]
    pub fn backtraces(&self) -> &[String] {
        &self.found.outcome.places
    }

    /// The schedule, for [`replay`](crate::explore::replay).
    #[must_use]
    pub fn schedule(&self) -> &str {
        &self.found.schedule
    }

    /// The seed of the strategy, if it has one.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.found.seed
    }

    /// Which schedule it was that failed, from one.
    #[must_use]
    pub fn schedule_number(&self) -> u64 {
        self.found.report.schedules
    }

    /// What was explored until this schedule was found, with it.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.found.report
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.message())?;
        for (number, line) in (1..).zip(&self.found.steps) {
            writeln!(f, "{number:>4}  {line}")?;
        }
        if !self.found.outcome.places.is_empty() {
            writeln!(f)?;
        }
        for place in &self.found.outcome.places {
            writeln!(f, "{place}")?;
        }
        write!(
            f,
            "\nfound by schedule {} of {}",
            self.found.report.schedules, self.found.strategy
        )?;
        if let Some(seed) = self.found.seed {
            write!(f, " with WASM_JOBS_SEED={seed}")?;
        }
        write!(
            f,
            "\nto run it again: WASM_JOBS_SCHEDULE={0} in the environment, or wasm_jobs::explore::replay({0:?})",
            self.found.schedule
        )
    }
}

/// As `Display`, so that `unwrap` shows a readable failure.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}
