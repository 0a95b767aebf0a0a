//! [`Options`]: what a transformation adds, beside the exports of the state.

/// The options of a transformation.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(crate) stops: bool,
}

impl Options {
    /// Sets whether the module gets checks, so that a host can stop it while it runs, and let it go on later or end it. By default it gets none.
    #[must_use]
    pub fn stops(mut self, enable: bool) -> Self {
        self.stops = enable;
        self
    }
}
