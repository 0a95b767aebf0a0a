//! [`Options`]: what a transformation adds, beside the exports of the state.

/// The options of a transformation.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) stops: bool,
    pub(crate) check_interval: u32,
}

impl Default for Options {
    /// No checks.
    fn default() -> Self {
        Self { stops: false, check_interval: 50_000 }
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
}
