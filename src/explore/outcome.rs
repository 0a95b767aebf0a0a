//! [`Outcome`]: what became of one run of a test.

use crate::explore::choice::{Choice, trim};
use crate::explore::line::Line;
use crate::explore::quiet::{quietly, text_of};
use crate::explore::run::{Ended, Run};
use crate::explore::settings::Settings;
use crate::explore::shrink::{Failing, Length, length};
use crate::explore::state::Carried;
use crate::explore::strategy::{Script, WENT_ANOTHER_WAY};
use crate::explore::verdict::Verdict;
use crate::explore::world::World;
use crate::trace::watch::{Untaken, collecting};
use crate::unwind::catch;
use crate::wait::block::own_help;
use crate::wait::waits_for::noting;
use std::rc::Rc;
use std::sync::Arc;

/// A run that is over.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) choices: Vec<Choice>,
    pub(crate) lines: Vec<Line>,
    /// The labels of the jobs, by their numbers.
    pub(crate) labels: Vec<String>,
    /// Where the guests are whose calls were not over or have failed.
    pub(crate) places: Vec<String>,
    pub(crate) steps: usize,
    pub(crate) is_redundant: bool,
    pub(crate) failure: Option<String>,
    /// Failures with the same one are of the same kind.
    pub(crate) kind: String,
}

/// Runs a test once.
pub(crate) fn execute<V: Verdict>(
    settings: Settings,
    carried: Carried,
    test: &impl Fn(&World) -> V,
) -> (Carried, Outcome) {
    let run = Arc::new(Run::new(carried, settings));
    let help = run.clone();
    let ((verdict, ended, untaken), panics) = quietly(|| {
        let run_once = || {
            let verdict = catch(|| World::with(run.clone(), |world| test(world).failure()));
            let unfinished = run.unfinished();
            (verdict, run.close(Carried::of(Script::new(Vec::new())), unfinished))
        };
        let ((verdict, ended), untaken) = collecting(|| {
            noting(|| {
                own_help::with(
                    Rc::new(move |wanted, was_woken| help.help(wanted, was_woken)),
                    run_once,
                )
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
        places,
    } = ended;
    carried.strategy.end(steps);
    carried.lines = lines.len();
    let (kind, stop) = stop.map_or((None, None), |stop| (stop.kind, Some(stop.text)));
    let failure = stop.or_else(|| match verdict {
        Err(payload) => {
            // A destructor may have panicked since then.
            let text = text_of(&*payload);
            let panic = panics.into_iter().rfind(|panic| panic.ends_with(text));
            Some(panic.unwrap_or_else(|| text.into()))
        }
        Ok(Some(error)) => Some(error),
        Ok(None) => untaken.first().map(|first| failed(first, of_jobs)).or_else(|| {
            unfinished.map(|job| {
                format!(
                    "{job} was not run to its end: call `World::run_all`, or wait for its handle"
                )
            })
        }),
    });
    trim(&mut choices);
    let first_line = || failure.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
    let kind = kind.unwrap_or_else(|| first_line().to_owned());
    (carried, Outcome { choices, lines, labels, places, steps, is_redundant, failure, kind })
}

/// The message of a failure that nobody took.
fn failed(untaken: &Untaken, panics: Vec<(Option<String>, String)>) -> String {
    let Untaken { name, failure, .. } = untaken;
    let panic = panics.into_iter().find(|(of, _)| of == name).map(|(_, panic)| panic);
    if let (None, Some(panic)) = (name, &panic) {
        return format!("the closure of a job panicked: {panic}");
    }
    let (name, why) = (name.as_deref().unwrap_or("a call"), panic.as_ref().unwrap_or(failure));
    format!("{name} has failed, and nobody took its error: {why}")
}

impl Outcome {
    /// Where the second run of a schedule went another way.
    pub(crate) fn difference(&self, again: &Self) -> Option<String> {
        let is_same = |at: &usize| match (self.lines.get(*at), again.lines.get(*at)) {
            (Some(this), Some(that)) => this.is_as(that),
            _ => false,
        };
        let most = self.lines.len().max(again.lines.len());
        let rule = WENT_ANOTHER_WAY;
        if let Some(at) = (0..most).find(|at| !is_same(at)) {
            let line = |of: &Self| {
                let line = of.lines.get(at).map(|line| line.print(&of.labels));
                line.unwrap_or_else(|| "nothing".into())
            };
            let (first, second) = (line(self), line(again));
            return Some(format!("{rule}\n  line {}: {first}\n  then: {second}", at + 1));
        }
        if let Some((first, second)) =
            self.labels.iter().zip(&again.labels).find(|(first, second)| first != second)
        {
            return Some(format!("{rule}\n  a job: {first}\n  then: {second}"));
        }
        if self.kind != again.kind {
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
