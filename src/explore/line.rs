//! [`Line`]: what happened in one step of a run, as it is compared and printed.

use crate::wait::waits_for::MadeEvent;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Step(StepLine),
    /// The test itself.
    Test(Note),
    /// The clock has moved to this time.
    Clock(Duration),
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq)]
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
    /// What it waits for since then, as far as that is known.
    pub(crate) awaits: Vec<Awaited>,
}

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    Event(MadeEvent),
    /// This time of the clock.
    Time(Duration),
    /// The job of this number.
    Job(usize),
    MachinesClock,
    Access,
    Stock,
}

impl Awaited {
    fn print(self, labels: &dyn Fn(usize) -> String) -> String {
        match self {
            Self::Event(made) => format!("for {made}"),
            Self::Time(time) => format!("until {time:?}"),
            Self::Job(job) => format!("for {}", labels(job)),
            Self::MachinesClock => "for the clock of the machine".into(),
            Self::Access => "for `AccessQueue::run`".into(),
            Self::Stock => "for an instance of a pool".into(),
        }
    }

    /// " for this and until that", or nothing.
    pub(crate) fn print_all(all: &[Self], labels: &dyn Fn(usize) -> String) -> String {
        let all: Vec<_> = all.iter().map(|awaited| awaited.print(labels)).collect();
        if all.is_empty() { String::new() } else { format!(" {}", all.join(" and ")) }
    }
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
    /// A job, in the step of this line.
    Job {
        job: usize,
        line: usize,
    },
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
    /// A guest calls a host function, as [`HostCall`](crate::explore::host_names::HostCall) prints it.
    Calls(String),
    /// It goes on in a host function.
    IsIn(String),
    /// It has ended another job.
    Ends(String),
    Reads(Cow<'static, str>),
    Touches(Cow<'static, str>),
    Chose {
        value: u32,
        of: u32,
    },
}

impl Note {
    /// Does it stand only in the lines of a run that is explained?
    fn explains(&self) -> bool {
        matches!(self, Self::Calls(_) | Self::IsIn(_) | Self::Ends(_))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(what) => write!(f, "calls {what}"),
            Self::IsIn(what) => write!(f, "in {what}"),
            Self::Ends(what) => write!(f, "ends {what}"),
            Self::Reads(what) => write!(f, "reads {what}"),
            Self::Touches(what) => write!(f, "touches {what}"),
            Self::Chose { value, of } => write!(f, "chose {value} of {of}"),
        }
    }
}

impl Line {
    /// Has the same happened, as far as it does not depend on whether the run was explained?
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let plain = |step: &StepLine| StepLine {
            notes: step.notes.iter().filter(|note| !note.explains()).cloned().collect(),
            ..step.clone()
        };
        match (self, other) {
            (Self::Step(this), Self::Step(that)) => plain(this) == plain(that),
            _ => self == other,
        }
    }

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
            Why::WokenBy(Waker::Job { job, .. }) => format!("woken by {}", labels[job]),
            Why::WokenBy(Waker::Test) => "woken by the test".into(),
            Why::WokenBy(Waker::Clock) => "woken by the clock".into(),
            Why::WokenBy(Waker::Thread) => "woken by another thread".into(),
        };
        let parts = self.parts(labels).join(", ");
        format!("{} step {}, {why}: {parts}", labels[self.job], self.step)
    }

    /// What happened in the step, and last how it ended.
    pub(crate) fn parts(&self, labels: &[String]) -> Vec<String> {
        let mut parts: Vec<_> = self.notes.iter().map(Note::to_string).collect();
        if self.fuel > 0 {
            parts.push(format!("has {} of fuel", self.fuel));
        }
        parts.push(match self.end {
            End::Never => "has not ended".into(),
            End::Yielded => "yields".into(),
            End::Waits => {
                let awaits = Awaited::print_all(&self.awaits, &|job| labels[job].clone());
                format!("waits{awaits}")
            }
            End::Done => "done".into(),
            End::Failed => "failed".into(),
            End::Cancelled => "cancelled".into(),
        });
        parts
    }
}
