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
            let after = job.after.iter().filter(|before| !state.jobs[**before].is_over());
            let after: Vec<_> = after.map(|before| state.jobs[*before].label(*before)).collect();
            text.push_str(&format!(
                "\n  {label} waits for {}, before its first step",
                after.join(" and ")
            ));
            continue;
        }
        let is_over =
            |on: &Awaited| matches!(on, Awaited::Job(other) if state.jobs[*other].is_over());
        let awaits: Vec<_> = job.awaits.iter().copied().filter(|on| !is_over(on)).collect();
        let awaits = match job.awaits[..] {
            [] => " for what is not of this library".into(),
            _ => Awaited::print_all(&awaits, &|other| state.jobs[other].label(other)),
        };
        let is_to_be_dropped =
            if job.is_to_be_dropped { ", and is to be dropped when it is woken" } else { "" };
        let call = job.host_call.as_ref().map_or(String::new(), |call| format!(" in {call}"));
        let is_running = state.running.iter().any(|line| state.line_is_of(*line, number));
        let how = if is_running { "blocks in" } else { "waits since" };
        text.push_str(&format!(
            "\n  {label} {how} its step {}{call}{awaits}{is_to_be_dropped}",
            job.steps
        ));
    }
    text.push_str(
        "\nwhat waits for another clock, pool or thread has to use `World::clock` and `World::pool`",
    );
    Stop { kind: Some(kind), text }
}
