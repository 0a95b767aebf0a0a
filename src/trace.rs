//! [`Traced`]: reports a call or a closure to a subscriber of `tracing`, with a span for each step, and events; and its name and its failure to a
//! world of `explore`. Without these two features, everything here is empty, so that its users need no `cfg`.

#[cfg(feature = "tracing")]
mod emit;
#[cfg(feature = "explore")]
pub(crate) mod watch;

use crate::outcome::{JobOutcome, Outcome};
use std::borrow::Cow;

/// Code that is compiled only with the feature.
macro_rules! traced {
    ($($code:tt)*) => {
        #[cfg(feature = "tracing")]
        {
            $($code)*
        }
    };
}

/// The identity under which a call or a closure is reported.
#[derive(Default)]
pub(crate) struct Traced {
    #[cfg(feature = "tracing")]
    call: emit::Call,
    #[cfg(feature = "explore")]
    watched: watch::Watched,
}

impl Traced {
    /// A call that has no name yet.
    #[inline]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A call of the export `name`.
    #[cfg(feature = "wasm")]
    #[inline]
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn export(name: &str, instance: InstanceId) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            call: emit::Call {
                own_name: emit::is_enabled(::tracing::Level::ERROR).then(|| name.to_owned().into()),
                instance: Some(instance.0),
                ..emit::Call::default()
            },
            #[cfg(feature = "explore")]
            watched: watch::Watched::export(name),
        }
    }

    /// A call on this instance that is not a call of an export.
    #[cfg(feature = "wasm")]
    #[inline]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn of_instance(instance: InstanceId) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            call: emit::Call { instance: Some(instance.0), ..emit::Call::default() },
            #[cfg(feature = "explore")]
            watched: watch::Watched::default(),
        }
    }

    /// A closure of this type.
    #[inline]
    pub(crate) fn closure<F>(_: &F) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            call: emit::Call {
                own_name: Some(std::any::type_name::<F>().into()),
                ..emit::Call::default()
            },
            #[cfg(feature = "explore")]
            watched: watch::Watched::default(),
        }
    }

    /// Sets the owner's name for it, unless the owner has set one already.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn set_name(&self, name: impl Into<Cow<'static, str>>) {
        #[cfg(any(feature = "explore", feature = "tracing"))]
        let name = name.into();
        #[cfg(feature = "explore")]
        self.watched.set_name(name.as_ref());
        traced!(self.call.owners_name.get_or_init(|| name););
    }

    /// The name of the call, for a world that explores it.
    #[cfg(feature = "explore")]
    pub(crate) fn name(&self) -> Option<String> {
        self.watched.name()
    }

    /// The owner took the failure.
    #[inline]
    pub(crate) fn failure_taken(&self) {
        #[cfg(feature = "explore")]
        self.watched.failure_taken();
    }

    /// Reports that it is submitted to a pool.
    #[inline]
    pub(crate) fn submitted(&self) {
        traced!(self.call.submitted(););
    }

    /// Reports a wake that enqueues the job, or wakes the owner.
    #[inline]
    pub(crate) fn woken(&self) {
        traced!(self.call.woken(););
    }

    /// Reports a turn on this thread, if the last turn was on another.
    #[inline]
    pub(crate) fn turned(&self) {
        traced!(self.call.turned(););
    }

    /// Reports its end.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn ended(&self, ending: Ending) {
        #[cfg(feature = "explore")]
        if let Some(failure) = ending.failure {
            self.watched.failed(failure);
        }
        traced!(if let Some((outcome, error)) = ending.report {
            self.call.ended(outcome, error.as_deref());
        });
    }

    /// Takes a step, in a span if a subscriber wants it. The traced path is out of line, because the other one is inlined: see `Work::step`.
    #[inline(always)]
    pub(crate) fn step<R>(&self, step: impl FnOnce() -> R) -> R {
        traced!(if emit::is_enabled(::tracing::Level::TRACE) {
            return self.call.step_in_span(step);
        });
        step()
    }
}

/// How a call or a closure has ended, as it is reported.
pub(crate) struct Ending {
    #[cfg(feature = "tracing")]
    report: Option<(JobOutcome, Option<Box<str>>)>,
    /// How a call or a closure has failed, if a world explores it.
    #[cfg(feature = "explore")]
    failure: Option<String>,
}

impl Ending {
    /// The end of a call with this result.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn of<T>(outcome: &Outcome<T>) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            report: emit::is_enabled(::tracing::Level::DEBUG).then(|| match outcome {
                Ok(_) => (JobOutcome::Succeeded, None),
                Err(error) => match **error {
                    crate::error::Error::Cancelled => (JobOutcome::Cancelled, None),
                    ref error => (JobOutcome::Failed, Some(emit::message(error))),
                },
            }),
            #[cfg(feature = "explore")]
            failure: watch::failure(outcome),
        }
    }

    /// The end of a job that has no [`Error`](crate::error::Error) to report. `reason` is reported if it failed.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn because(outcome: JobOutcome, reason: &'static str) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            report: emit::is_enabled(::tracing::Level::DEBUG)
                .then(|| (outcome, Some(reason.into()))),
            #[cfg(feature = "explore")]
            failure: None,
        }
    }

    /// The end of a closure that was run.
    #[inline]
    pub(crate) fn of_closure(outcome: JobOutcome) -> Self {
        let reason = "the closure panicked";
        #[cfg_attr(not(feature = "explore"), allow(unused_mut))]
        let mut ending = Self::because(outcome, reason);
        #[cfg(feature = "explore")]
        if outcome == JobOutcome::Failed {
            ending.failure = watch::is_on().then(|| reason.to_owned());
        }
        ending
    }

    /// The end of a call that was cancelled.
    #[inline]
    pub(crate) fn cancelled() -> Self {
        Self::because(JobOutcome::Cancelled, "")
    }
}

/// Does a subscriber want to know how much fuel a step uses?
#[cfg(feature = "wasm")]
#[inline]
pub(crate) fn counts_fuel() -> bool {
    traced!(return emit::is_enabled(::tracing::Level::TRACE););
    #[allow(unreachable_code, reason = "with the feature")]
    false
}

/// Held while a guest runs. Dropping this adds the fuel that the guest has used to the span of the step.
#[cfg(feature = "wasm")]
pub(crate) struct Burning<F: Fn() -> u64>(Option<(F, u64)>);

/// A guest begins to run. `fuel` reads how much fuel it has left; zero if its engine counts none.
#[cfg(feature = "wasm")]
#[inline]
pub(crate) fn burning<F: Fn() -> u64>(fuel: F) -> Burning<F> {
    Burning(counts_fuel().then(|| {
        let before = fuel();
        (fuel, before)
    }))
}

#[cfg(feature = "wasm")]
impl<F: Fn() -> u64> Drop for Burning<F> {
    #[inline]
    fn drop(&mut self) {
        traced!(if let Some((fuel, before)) = &self.0
            && *before > 0
        {
            emit::add_fuel(before.saturating_sub(fuel()));
        });
    }
}

/// The number under which an instance is reported.
#[cfg(feature = "wasm")]
#[derive(Clone, Copy)]
pub(crate) struct InstanceId(#[cfg(feature = "tracing")] u64);

#[cfg(feature = "wasm")]
impl InstanceId {
    pub(crate) fn new() -> Self {
        #[cfg(feature = "tracing")]
        static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Self(
            #[cfg(feature = "tracing")]
            {
                // Relaxed: the numbers only have to differ.
                LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
            },
        )
    }
}
