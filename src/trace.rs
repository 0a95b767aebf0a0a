//! What is told about calls, if the feature `tracing` is on: a span for each step, and events. Without it, nothing here does
//! or holds anything, so that those who tell need not ask.

#[cfg(feature = "tracing")]
mod real {
    use crate::error::Error;
    use crate::error::Outcome;
    use crate::sync::const_thread_local;
    use crate::unwind::ignore_panic;
    use std::any::Any;
    use std::borrow::Cow;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Instant;
    use tracing::Level;
    use tracing::field::Empty;
    use tracing::level_filters::LevelFilter;
    use tracing::span::EnteredSpan;

    /// Does anybody listen at this level? One load, of a word that never changes meanwhile.
    #[inline]
    fn on(level: Level) -> bool {
        level <= LevelFilter::current()
    }

    /// What a call is called, and where it was last.
    #[derive(Default)]
    pub(crate) struct Traced {
        /// Zero until it is first asked for.
        number: AtomicU64,
        instance: Option<u64>,
        /// By the owner.
        name: OnceLock<Cow<'static, str>>,
        /// Of what it is a call.
        of: Option<Cow<'static, str>>,
        /// On which thread its last turn was, by [`this_thread`], or zero.
        thread: AtomicU64,
    }

    macro_rules! tell {
        ($traced:expr, $level:ident, $what:literal $(, $field:ident = $value:expr)?) => {
            if on(Level::$level) {
                let traced: &Traced = $traced;
                // A subscriber that panics does not harm the call.
                ignore_panic(|| {
                    tracing::event!(
                        name: $what,
                        target: "wasm_jobs",
                        Level::$level,
                        call = traced.number(),
                        name = traced.name(),
                        instance = traced.instance,
                        $($field = $value,)?
                        $what
                    );
                });
            }
        };
    }

    impl Traced {
        /// A call of something that has no name.
        #[inline]
        pub(crate) fn new() -> Self {
            Self::default()
        }

        /// A call of this export.
        #[cfg(feature = "wasm")]
        #[inline]
        pub(crate) fn export(name: &str, instance: Instance) -> Self {
            let of = on(Level::ERROR).then(|| name.to_owned().into());
            Self { of, instance: Some(instance.0), ..Self::new() }
        }

        /// A call of no export, on this instance.
        #[cfg(feature = "wasm")]
        #[inline]
        pub(crate) fn of_instance(instance: Instance) -> Self {
            Self { instance: Some(instance.0), ..Self::new() }
        }

        /// A closure of this type.
        pub(crate) fn closure<F>(_: &F) -> Self {
            Self { of: Some(std::any::type_name::<F>().into()), ..Self::new() }
        }

        /// The first name stays.
        pub(crate) fn set_name(&self, name: impl Into<Cow<'static, str>>) {
            self.name.get_or_init(|| name.into());
        }

        fn name(&self) -> Option<&str> {
            self.name.get().or(self.of.as_ref()).map(|name| &**name)
        }

        fn number(&self) -> u64 {
            static LAST: AtomicU64 = AtomicU64::new(0);
            match self.number.load(Relaxed) {
                0 => {
                    let new = LAST.fetch_add(1, Relaxed) + 1;
                    self.number
                        .compare_exchange(0, new, Relaxed, Relaxed)
                        .map_or_else(|by| by, |_| new)
                }
                number => number,
            }
        }

        #[inline]
        pub(crate) fn submitted(&self) {
            tell!(self, DEBUG, "submit");
        }

        /// By a wake that leads somewhere.
        #[inline]
        pub(crate) fn woken(&self) {
            tell!(self, TRACE, "wake");
        }

        /// A turn of a job begins here.
        #[inline]
        pub(crate) fn turned(&self) {
            if on(Level::TRACE) {
                let here = this_thread();
                let before = self.thread.swap(here, Relaxed);
                if before != 0 && before != here {
                    tell!(self, TRACE, "steal");
                }
            }
        }

        #[inline]
        pub(crate) fn ended(&self, ending: Ending) {
            match ending {
                Ending::Untold => {}
                Ending::Complete => tell!(self, DEBUG, "complete"),
                Ending::Fail(error) => tell!(self, DEBUG, "fail", error = &*error),
                Ending::Cancel => tell!(self, DEBUG, "cancel"),
            }
        }

        /// A step. The steps that nobody is interested in are kept free of all that the others need: see `Work::step`.
        #[inline(always)]
        pub(crate) fn step<R>(&self, step: impl FnOnce() -> R) -> R {
            if on(Level::TRACE) { self.step_in_span(step) } else { step() }
        }

        #[cold]
        #[inline(never)]
        fn step_in_span<R>(&self, step: impl FnOnce() -> R) -> R {
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
            let span = catch_unwind(AssertUnwindSafe(enter)).ok()??;
            Some(Span { span: Some(span), outer_fuel: FUEL.take(), began: Instant::now() })
        }
    }

    fn this_thread() -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static THIS: u64 = LAST.fetch_add(1, Relaxed) + 1;
        }
        THIS.with(|this| *this)
    }

    /// How a call has ended, if anybody wants to know.
    pub(crate) enum Ending {
        Untold,
        Complete,
        Fail(Box<str>),
        Cancel,
    }

    impl Ending {
        /// That of a call with this outcome.
        #[inline]
        pub(crate) fn of<T>(outcome: &Outcome<T>) -> Self {
            if on(Level::DEBUG) {
                Self::told(outcome.as_ref().err().map(|error| &**error))
            } else {
                Self::Untold
            }
        }

        #[cold]
        fn told(error: Option<&Error>) -> Self {
            match error {
                None => Self::Complete,
                Some(Error::Cancelled) => Self::Cancel,
                Some(error) => {
                    // It may be anybody's.
                    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                    Self::Fail(text.unwrap_or_default().into())
                }
            }
        }

        /// That of a closure that has returned or panicked.
        #[inline]
        pub(crate) fn of_closure(outcome: &Result<(), Box<dyn Any + Send>>) -> Self {
            match outcome {
                Ok(()) => Self::Complete,
                Err(_) => Self::Fail("the closure panicked".into()),
            }
        }

        #[inline]
        pub(crate) fn cancelled() -> Self {
            Self::Cancel
        }

        #[inline]
        pub(crate) fn refused() -> Self {
            if on(Level::DEBUG) { Self::told(Some(&Error::DependencyFailed)) } else { Self::Untold }
        }
    }

    const_thread_local! {
        /// What the guests of the step in progress have used, if they count it.
        static FUEL: Cell<Option<u64>> = Cell::new(None);
    }

    /// That of a step in progress.
    struct Span {
        /// There until it ends.
        span: Option<EnteredSpan>,
        began: Instant,
        /// That of the step that this one is inside of.
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

    /// Does anybody want to know how much fuel a step uses?
    #[cfg(feature = "wasm")]
    #[inline]
    pub(crate) fn counts_fuel() -> bool {
        on(Level::TRACE)
    }

    /// While a guest runs whose `fuel` this tells, or zero if it has none.
    #[cfg(feature = "wasm")]
    pub(crate) struct Burning<F: Fn() -> u64>(Option<(F, u64)>);

    #[cfg(feature = "wasm")]
    #[inline]
    pub(crate) fn burning<F: Fn() -> u64>(fuel: F) -> Burning<F> {
        Burning(on(Level::TRACE).then(|| {
            let before = fuel();
            (fuel, before)
        }))
    }

    #[cfg(feature = "wasm")]
    impl<F: Fn() -> u64> Drop for Burning<F> {
        #[inline]
        fn drop(&mut self) {
            if let Some((fuel, before)) = &self.0
                && *before > 0
            {
                let used = before.saturating_sub(fuel());
                FUEL.set(Some(FUEL.get().unwrap_or(0).saturating_add(used)));
            }
        }
    }

    /// The number of an instance.
    #[cfg(feature = "wasm")]
    #[derive(Clone, Copy)]
    pub(crate) struct Instance(u64);

    #[cfg(feature = "wasm")]
    impl Instance {
        pub(crate) fn new() -> Self {
            static LAST: AtomicU64 = AtomicU64::new(0);
            Self(LAST.fetch_add(1, Relaxed) + 1)
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod real {
    use crate::error::Outcome;
    use std::any::Any;
    use std::borrow::Cow;

    pub(crate) struct Traced;

    impl Traced {
        #[inline(always)]
        pub(crate) fn new() -> Self {
            Self
        }

        #[cfg(feature = "wasm")]
        #[inline(always)]
        pub(crate) fn export(_: &str, _: Instance) -> Self {
            Self
        }

        #[cfg(feature = "wasm")]
        #[inline(always)]
        pub(crate) fn of_instance(_: Instance) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn closure<F>(_: &F) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn set_name(&self, _: impl Into<Cow<'static, str>>) {}

        #[inline(always)]
        pub(crate) fn submitted(&self) {}

        #[inline(always)]
        pub(crate) fn woken(&self) {}

        #[inline(always)]
        pub(crate) fn turned(&self) {}

        #[inline(always)]
        pub(crate) fn ended(&self, _: Ending) {}

        #[inline(always)]
        pub(crate) fn step<R>(&self, step: impl FnOnce() -> R) -> R {
            step()
        }
    }

    pub(crate) struct Ending;

    impl Ending {
        #[inline(always)]
        pub(crate) fn of<T>(_: &Outcome<T>) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn of_closure(_: &Result<(), Box<dyn Any + Send>>) -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn cancelled() -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn refused() -> Self {
            Self
        }
    }

    #[cfg(feature = "wasm")]
    #[inline(always)]
    pub(crate) fn counts_fuel() -> bool {
        false
    }

    #[cfg(feature = "wasm")]
    pub(crate) struct Burning;

    #[cfg(feature = "wasm")]
    #[inline(always)]
    pub(crate) fn burning(_: impl Fn() -> u64) -> Burning {
        Burning
    }

    #[cfg(feature = "wasm")]
    #[derive(Clone, Copy)]
    pub(crate) struct Instance;

    #[cfg(feature = "wasm")]
    impl Instance {
        pub(crate) fn new() -> Self {
            Self
        }
    }
}

pub(crate) use real::*;
