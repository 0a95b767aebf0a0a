//! [`Options`]: what a transformation adds, beside the exports of the state.

use std::fmt;
use std::sync::Arc;

/// The options of a transformation.
#[derive(Clone)]
pub struct Options {
    pub(crate) stops: bool,
    pub(crate) check_interval: u32,
    pub(crate) saves_calls: bool,
    pub(crate) twins: bool,
    pub(crate) counts_fuel: bool,
    pub(crate) waits_in: Arc<WaitsIn>,
}

type WaitsIn = dyn Fn(&str, &str) -> bool + Send + Sync;

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("stops", &self.stops)
            .field("check_interval", &self.check_interval)
            .field("saves_calls", &self.saves_calls)
            .field("twins", &self.twins)
            .field("counts_fuel", &self.counts_fuel)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    /// No checks, and no calls that can be saved.
    fn default() -> Self {
        Self {
            stops: false,
            check_interval: 50_000,
            saves_calls: false,
            twins: false,
            counts_fuel: false,
            waits_in: Arc::new(|_, _| true),
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

    /// Sets whether calls can be saved while they wait in a host function. By default they cannot. The README has what a host does for it.
    #[must_use]
    pub fn saves_calls(mut self, enable: bool) -> Self {
        self.saves_calls = enable;
        self
    }

    /// Sets whether saved calls can go on in instances of the module, and be saved again. By default they cannot.
    #[must_use]
    pub fn twins(mut self, enable: bool) -> Self {
        self.twins = enable;
        self
    }

    /// Sets whether functions take as much fuel as their twins, so that a call that was saved uses as much as one that was not. By default they take less. The instructions that this
    /// adds become no machine code. Fuel is counted as wasmtime does by default: nothing for `nop`, `drop`, `block`, `loop`, `unreachable`, `return`, `else` and `end`, and one for
    /// each other instruction.
    #[must_use]
    pub fn counts_fuel(mut self, enable: bool) -> Self {
        self.counts_fuel = enable;
        self
    }

    /// Sets in which imported functions a call can wait when it is saved, by their modules and names. By default it is all of them. The fewer they are,
    /// the less it costs. A function that the host hands to the guest by a table, a global or a value is none of them: a call cannot be saved while it waits there, unless the
    /// module has another function of the same type in which it can.
    #[must_use]
    pub fn waits_in(
        mut self,
        waits_in: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.waits_in = Arc::new(waits_in);
        self
    }
}
