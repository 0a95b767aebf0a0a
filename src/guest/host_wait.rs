//! [`HostWait`]: a wait that a host function has begun.

/// What a guest waits for, and how long it has waited when it is asked. The clock that the guest waits by tells the time.
pub(crate) struct HostWait<F, W> {
    pub(crate) future: F,
    #[cfg_attr(not(feature = "freeze"), expect(dead_code, reason = "for frozen calls"))]
    pub(crate) waited: W,
    /// Whether it may last. A yield does not.
    #[cfg_attr(not(feature = "freeze"), expect(dead_code, reason = "for frozen calls"))]
    pub(crate) may_last: bool,
}
