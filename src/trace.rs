//! What is told about calls with the feature `tracing`: a span for each step, and events. Without the feature, nothing here does
//! or holds anything, so that its users need not ask.

#[cfg(feature = "tracing")]
mod told;

use crate::outcome::{JobOutcome, Outcome};
use std::borrow::Cow;

/// Evaluates to nothing without the feature.
macro_rules! traced {
    ($($code:tt)*) => {
        #[cfg(feature = "tracing")]
        {
            $($code)*
        }
    };
}

/// A call or a closure, as it is told about.
#[derive(Default)]
pub(crate) struct Traced {
    #[cfg(feature = "tracing")]
    call: told::Call,
}

impl Traced {
    /// A call that has no name yet.
    #[inline]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A call of this export.
    #[cfg(feature = "wasm")]
    #[inline]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn export(name: &str, instance: InstanceId) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            call: told::Call {
                own_name: told::listens(::tracing::Level::ERROR).then(|| name.to_owned().into()),
                instance: Some(instance.0),
                ..told::Call::default()
            },
        }
    }

    /// A call of no export, on this instance.
    #[cfg(feature = "wasm")]
    #[inline]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn of_instance(instance: InstanceId) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            call: told::Call { instance: Some(instance.0), ..told::Call::default() },
        }
    }

    /// A closure of this type.
    #[inline]
    pub(crate) fn closure<F>(_: &F) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            call: told::Call {
                own_name: Some(std::any::type_name::<F>().into()),
                ..told::Call::default()
            },
        }
    }

    /// Sets the name, unless it has one from its owner.
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn set_name(&self, name: impl Into<Cow<'static, str>>) {
        traced!(self.call.owners_name.get_or_init(|| name.into()););
    }

    /// It is handed over to a pool.
    #[inline]
    pub(crate) fn submitted(&self) {
        traced!(self.call.submitted(););
    }

    /// A wake leads somewhere.
    #[inline]
    pub(crate) fn woken(&self) {
        traced!(self.call.woken(););
    }

    /// A turn of a job begins on this thread.
    #[inline]
    pub(crate) fn turned(&self) {
        traced!(self.call.turned(););
    }

    /// It is over.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn ended(&self, ending: Ending) {
        traced!(if let Some((outcome, error)) = ending.told {
            self.call.ended(outcome, error.as_deref());
        });
    }

    /// Takes a step. Steps that are not traced are kept free of all that the others need: see `Work::step`.
    #[inline(always)]
    pub(crate) fn step<R>(&self, step: impl FnOnce() -> R) -> R {
        traced!(if told::listens(::tracing::Level::TRACE) {
            return self.call.step_in_span(step);
        });
        step()
    }
}

/// How a call has ended, if somebody listens.
pub(crate) struct Ending {
    #[cfg(feature = "tracing")]
    told: Option<(JobOutcome, Option<Box<str>>)>,
}

impl Ending {
    /// A call ends with this outcome.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn of<T>(outcome: &Outcome<T>) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            told: told::listens(::tracing::Level::DEBUG).then(|| match outcome {
                Ok(_) => (JobOutcome::Succeeded, None),
                Err(error) => match **error {
                    crate::error::Error::Cancelled => (JobOutcome::Cancelled, None),
                    ref error => (JobOutcome::Failed, Some(told::words(error))),
                },
            }),
        }
    }

    /// A job that has no error to show ends with this outcome, for this reason.
    #[inline]
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
    pub(crate) fn because(outcome: JobOutcome, reason: &'static str) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            told: told::listens(::tracing::Level::DEBUG).then(|| (outcome, Some(reason.into()))),
        }
    }

    /// A call or a closure was cancelled.
    #[inline]
    pub(crate) fn cancelled() -> Self {
        Self::because(JobOutcome::Cancelled, "")
    }
}

/// Is somebody interested in how much fuel a step uses?
#[cfg(feature = "wasm")]
#[inline]
pub(crate) fn counts_fuel() -> bool {
    traced!(return told::listens(::tracing::Level::TRACE););
    #[allow(unreachable_code, reason = "with the feature")]
    false
}

/// While a guest runs whose `fuel` this tells, or zero if it has none.
#[cfg(feature = "wasm")]
pub(crate) struct Burning<F: Fn() -> u64>(Option<(F, u64)>);

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
            told::add_fuel(before.saturating_sub(fuel()));
        });
    }
}

/// The number of an instance.
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
                // Relaxed: it only has to be another one each time.
                LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
            },
        )
    }
}
