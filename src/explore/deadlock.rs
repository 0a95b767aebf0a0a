//! [`deadlock`]: why a run is stopped in which nobody can go on.

use crate::explore::line::Awaited;
use crate::explore::state::{State, Stop};
use crate::pool::handle::Rest;

/// Deadlocks of the same jobs are of the same kind.
pub(crate) fn deadlock(state: &State, test_waits: bool) -> Stop {
    let mut kind = String::from("deadlock: no job can go on, and none sleeps on the world's clock");
    let mut text = kind.clone();
    if test_waits && state.running.is_empty() {
        text.push_str("\n  the test waits");
    }
    for (number, job) in state.jobs.iter().enumerate().filter(|(_, job)| !job.is_over()) {
        let label = job.label(number);
        kind.push_str("\n  ");
        kind.push_str(&label);
        let rest = job.handle.as_ref().and_then(|handle| handle.completion().rest());
        if rest == Some(Rest::Deferred) {
            text.push_str(&format!("\n  {label} waits for jobs before it"));
            continue;
        }
        let is_over =
            |on: &Awaited| matches!(on, Awaited::Job(other) if state.jobs[*other].is_over());
        let awaits: Vec<_> = job.awaits.iter().copied().filter(|on| !is_over(on)).collect();
        let awaits = Awaited::print_all(&awaits, &|other| state.jobs[other].label(other));
        let call = job.host_call.as_ref().map_or(String::new(), |call| format!(" in {call}"));
        let is_running = state.running.iter().any(|line| state.line_is_of(*line, number));
        let how = if is_running { "blocks in" } else { "waits since" };
        text.push_str(&format!("\n  {label} {how} its step {}{call}{awaits}", job.steps));
    }
    text.push_str(
        "\nwhat waits for another clock, pool or thread has to use `World::clock` and `World::pool`",
    );
    Stop { kind: Some(kind), text }
}
