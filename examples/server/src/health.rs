//! [`Health`]: what the page shows of the requests: how many there are in a second, how long they take, and the last that failed.

use crate::failure::Failure;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many of the last requests the percentiles are of.
const TIMES: usize = 2_000;
/// How many of the last failures are kept.
const FAILURES: usize = 20;

/// Counts and times of the requests.
#[derive(Debug)]
pub struct Health {
    began: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    failed: u64,
    /// The second since the beginning in which the last request ended, and how many ended in it.
    second: u64,
    in_this: u64,
    /// How many ended in the second before.
    in_last: u64,
    times: VecDeque<Duration>,
    failures: VecDeque<Value>,
}

impl Seen {
    fn turn_to(&mut self, second: u64) {
        if second != self.second {
            self.in_last = if second == self.second + 1 { self.in_this } else { 0 };
            self.in_this = 0;
            self.second = second;
        }
    }
}

impl Health {
    /// No requests yet.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now(), seen: Mutex::default() }
    }

    /// A request to this plugin begins.
    pub fn request<'a>(&'a self, plugin: &'a str) -> Request<'a> {
        Request { health: self, plugin, began: Instant::now(), has_ended: false }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn second(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// What the page shows.
    pub(crate) fn report(&self) -> Value {
        let (requests, failed, per_second, mut times, failures) = {
            let mut seen = self.seen();
            seen.turn_to(self.second());
            let times: Vec<_> = seen.times.iter().copied().collect();
            (seen.requests, seen.failed, seen.in_last, times, seen.failures.clone())
        };
        times.sort_unstable();
        let percentile = |share: usize| {
            let time = times.get(times.len() * share / 100).or(times.last());
            time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        json!({
            "requests": requests,
            "failed": failed,
            "per_second": per_second,
            "p50_ms": percentile(50),
            "p90_ms": percentile(90),
            "p99_ms": percentile(99),
            "failures": failures,
        })
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// A request in progress. If it is dropped before it [ends](Self::end), the client has gone.
#[derive(Debug)]
pub struct Request<'a> {
    health: &'a Health,
    plugin: &'a str,
    began: Instant,
    has_ended: bool,
}

impl Request<'_> {
    /// The request has ended, with an answer or with this failure.
    pub fn end(mut self, failure: Option<&Failure>) {
        self.has_ended = true;
        self.count(
            failure.map(|failure| (failure.status().as_str().to_owned(), failure.to_string())),
        );
    }

    fn count(&self, failure: Option<(String, String)>) {
        let (took, second) = (self.began.elapsed(), self.health.second());
        let mut seen = self.health.seen();
        seen.turn_to(second);
        seen.requests += 1;
        seen.in_this += 1;
        if seen.times.len() == TIMES {
            seen.times.pop_front();
        }
        seen.times.push_back(took);
        if let Some((status, reason)) = failure {
            seen.failed += 1;
            seen.failures.truncate(FAILURES - 1);
            seen.failures.push_front(json!({
                "second": second,
                "plugin": self.plugin,
                "status": status,
                "reason": reason,
            }));
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.count(Some((
                "gone".into(),
                "the client has gone, so the call was cancelled".into(),
            )));
        }
    }
}
