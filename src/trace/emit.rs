//! [`Call`]: emits the spans and events of one call or closure to the subscriber of the crate `tracing`.

use crate::error::Error;
use crate::outcome::JobOutcome;
use crate::sync::const_thread_local;
use crate::unwind::{catch, ignore_panic};
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tracing::Level;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::span::EnteredSpan;

/// May a subscriber want this level? This costs one load, of a word that rarely changes.
#[inline]
pub(super) fn is_enabled(level: Level) -> bool {
    level <= LevelFilter::current()
}

/// How a call or a closure is identified, and the thread of its last turn.
#[derive(Default)]
pub(super) struct Call {
    /// Zero until the first span or event asks for it.
    pub(super) number: AtomicU64,
    pub(super) instance: Option<u64>,
    /// The name that the owner gave it.
    pub(super) owners_name: OnceLock<Cow<'static, str>>,
    /// The name of the export, or of the closure's type.
    pub(super) own_name: Option<Cow<'static, str>>,
    /// The thread of its last turn, as numbered by [`this_thread`]; zero before the first.
    pub(super) thread: AtomicU64,
}

/// Emits an event of a call.
macro_rules! emit {
    ($call:expr, $level:ident, $what:literal $(, $field:ident = $value:expr)?) => {
        if is_enabled(Level::$level) {
            let call: &Call = $call;
            // A subscriber that panics does not harm the call.
            ignore_panic(|| {
                tracing::event!(
                    name: $what,
                    target: "wasm_jobs",
                    Level::$level,
                    call = call.number(),
                    name = call.name(),
                    instance = call.instance,
                    $($field = $value,)?
                    $what
                );
            });
        }
    };
}

impl Call {
    fn name(&self) -> Option<&str> {
        self.owners_name.get().or(self.own_name.as_ref()).map(|name| &**name)
    }

    fn number(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        match self.number.load(Relaxed) {
            0 => {
                let new = LAST.fetch_add(1, Relaxed) + 1;
                self.number.compare_exchange(0, new, Relaxed, Relaxed).map_or_else(|by| by, |_| new)
            }
            number => number,
        }
    }

    pub(super) fn submitted(&self) {
        emit!(self, DEBUG, "submit");
    }

    pub(super) fn woken(&self) {
        emit!(self, TRACE, "wake");
    }

    pub(super) fn turned(&self) {
        if is_enabled(Level::TRACE) {
            let here = this_thread();
            let before = self.thread.swap(here, Relaxed);
            if before != 0 && before != here {
                emit!(self, TRACE, "steal");
            }
        }
    }

    pub(super) fn ended(&self, outcome: JobOutcome, error: Option<&str>) {
        match outcome {
            JobOutcome::Succeeded => emit!(self, DEBUG, "complete"),
            JobOutcome::Failed => emit!(self, DEBUG, "fail", error = error),
            JobOutcome::Cancelled => emit!(self, DEBUG, "cancel"),
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn step_in_span<R>(&self, step: impl FnOnce() -> R) -> R {
        let _span = self.span();
        step()
    }

    fn span(&self) -> Option<Span> {
        let enter = || {
            let span = tracing::span!(
                target: "wasm_jobs",
                Level::TRACE,
                "step",
                call = self.number(),
                name = self.name(),
                instance = self.instance,
                fuel = Empty,
                time_us = Empty
            );
            (!span.is_disabled()).then(|| span.entered())
        };
        let span = catch(enter).ok()??;
        Some(Span { span: Some(span), outer_fuel: FUEL.take(), began: Instant::now() })
    }
}

/// The message of an error, whose `Display` may be foreign code and panic.
#[cold]
pub(super) fn message(error: &Error) -> Box<str> {
    catch(|| error.to_string()).unwrap_or_default().into()
}

fn this_thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static THIS: u64 = LAST.fetch_add(1, Relaxed) + 1;
    }
    THIS.with(|this| *this)
}

const_thread_local! {
    /// The fuel that the guests of the step in progress have used, if they count it.
    static FUEL: Cell<Option<u64>> = Cell::new(None);
}

/// The span of a step in progress. Dropping this records the step's fuel and time.
struct Span {
    /// `None` once it has ended.
    span: Option<EnteredSpan>,
    began: Instant,
    /// The fuel so far of the step that this one is nested in.
    outer_fuel: Option<u64>,
}

impl Drop for Span {
    fn drop(&mut self) {
        let time = self.began.elapsed();
        let fuel = FUEL.replace(self.outer_fuel);
        let Some(span) = self.span.take() else { return };
        ignore_panic(|| {
            if let Some(fuel) = fuel {
                span.record("fuel", fuel);
            }
            span.record("time_us", time.as_secs_f64() * 1e6);
        });
        ignore_panic(|| drop(span));
    }
}

/// Adds to the fuel that the guests of the step in progress have used.
#[cfg(feature = "wasm")]
pub(super) fn add_fuel(used: u64) {
    FUEL.set(Some(FUEL.get().unwrap_or(0).saturating_add(used)));
}
