//! [`Line`]: what happened in one step of a run, as it is compared and printed.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

#[derive(Debug, PartialEq)]
pub(crate) enum Line {
    Step(StepLine),
    /// The test itself.
    Test(Note),
    /// The clock has moved to this time.
    Clock(Duration),
}

/// A step of a job.
#[derive(Debug, PartialEq)]
pub(crate) struct StepLine {
    /// The number of the job.
    pub(crate) job: usize,
    /// Which of its steps this is, from one.
    pub(crate) step: u32,
    pub(crate) why: Why,
    pub(crate) notes: Vec<Note>,
    /// The slice of fuel; zero if it was unbounded.
    pub(crate) fuel: u32,
    pub(crate) end: End,
}

/// Why a job could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Submitted,
    Yielded,
    WokenBy(Waker),
}

/// What wakes a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waker {
    Job(usize),
    Test,
    Clock,
    Thread,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has not: what failed was in it.
    Never,
    Yielded,
    Waits,
    Done,
    Failed,
    Cancelled,
}

/// What happened within a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Touches(Cow<'static, str>),
    Chose { value: u32, of: u32 },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Touches(what) => write!(f, "touches {what}"),
            Self::Chose { value, of } => write!(f, "chose {value} of {of}"),
        }
    }
}

impl Line {
    /// The line as text. The jobs have these labels, by their numbers.
    pub(crate) fn print(&self, labels: &[String]) -> String {
        match self {
            Self::Clock(to) => format!("the clock goes to {to:?}"),
            Self::Test(note) => format!("the test {note}"),
            Self::Step(step) => step.print(labels),
        }
    }
}

impl StepLine {
    fn print(&self, labels: &[String]) -> String {
        let why = match self.why {
            Why::Submitted => "submitted".into(),
            Why::Yielded => "goes on".into(),
            Why::WokenBy(Waker::Job(by)) => format!("woken by {}", labels[by]),
            Why::WokenBy(Waker::Test) => "woken by the test".into(),
            Why::WokenBy(Waker::Clock) => "woken by the clock".into(),
            Why::WokenBy(Waker::Thread) => "woken by another thread".into(),
        };
        let mut parts: Vec<_> = self.notes.iter().map(Note::to_string).collect();
        if self.fuel > 0 {
            parts.push(format!("has {} of fuel", self.fuel));
        }
        parts.push(
            match self.end {
                End::Never => "has not ended",
                End::Yielded => "yields",
                End::Waits => "waits",
                End::Done => "done",
                End::Failed => "failed",
                End::Cancelled => "cancelled",
            }
            .into(),
        );
        format!("{} step {}, {why}: {}", labels[self.job], self.step, parts.join(", "))
    }
}
