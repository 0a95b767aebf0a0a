//! [`Options`]: what a transformation adds, beside the exports of the state.

use std::fmt;
use std::sync::Arc;

/// The options of a transformation.
#[derive(Clone)]
pub struct Options {
    pub(crate) stops: bool,
    pub(crate) check_interval: u32,
    pub(crate) freezing: bool,
    pub(crate) twins: bool,
    pub(crate) suspends: Arc<Suspends>,
}

type Suspends = dyn Fn(&str, &str) -> bool + Send + Sync;

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("stops", &self.stops)
            .field("check_interval", &self.check_interval)
            .field("freezing", &self.freezing)
            .field("twins", &self.twins)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    /// No checks, and no calls that can be saved.
    fn default() -> Self {
        Self {
            stops: false,
            check_interval: 50_000,
            freezing: false,
            twins: false,
            suspends: Arc::new(|_, _| true),
        }
    }
}

impl Options {
    /// Sets whether the module gets checks, so that a host can stop it while it runs, and let it go on later or end it. By default it gets none.
    #[must_use]
    pub fn stops(mut self, enable: bool) -> Self {
        self.stops = enable;
        self
    }

    /// Sets how much code there may be from one check to the next, in bytes of the module, calls included. There is a check in each loop and each circle of
    /// calls anyway; more are added where code without both would run for longer. By default it is 50,000: some tens of microseconds.
    ///
    /// Two intervals may pass where a call enters a circle of calls, or a loop leads back. On the way back out of a recursion nothing is added up: each function that returns
    /// may do one interval, so a deep recursion may return through thousands of them without a check. A call of the host counts for 100 bytes, and an instruction that copies or fills memory for its
    /// own.
    #[must_use]
    pub fn check_interval(mut self, bytes: u32) -> Self {
        self.check_interval = bytes;
        self
    }

    /// Sets whether calls can be saved while they wait in a host function. By default they cannot.
    #[must_use]
    pub fn freezing(mut self, enable: bool) -> Self {
        self.freezing = enable;
        self
    }

    /// Sets whether saved calls can go on in instances of the module, if calls can be saved at all. By default they cannot.
    #[must_use]
    pub fn twins(mut self, enable: bool) -> Self {
        self.twins = enable;
        self
    }

    /// Sets in which imported functions a call can wait when it is saved, by their modules and names. By default it is all of them. The fewer they are,
    /// the less it costs that calls can be saved.
    #[must_use]
    pub fn suspends(
        mut self,
        suspends: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.suspends = Arc::new(suspends);
        self
    }
}
