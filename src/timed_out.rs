//! [`TimedOut`]: a call that exceeded a time limit, and which [`Timeout`] that was. Plain data.

use std::fmt;
use std::time::Duration;

/// A call that exceeded a time limit.
///
/// ```
/// # use std::time::Duration;
/// # use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, Timeout, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let module = wat::parse_str(r#"(module (func (export "forever") (loop $again (br $again))))"#)?;
/// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&wasmtime::Module::new(&engine, module)?)?;
/// let options = InstanceOptions::default().running_timeout(Duration::from_millis(50));
/// let instance = Instance::with_options(&pre, options, || ())?;
/// let Err(Error::TimedOut(timed_out)) = instance.call::<(), ()>("forever", ())?.wait() else {
///     panic!("the call never ends")
/// };
/// assert_eq!(timed_out.limit, Timeout::Running);
/// assert!(timed_out.ran >= timed_out.after);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimedOut {
    /// What exceeded the limit, in words: a call of an export, or the making of an instance.
    pub name: Box<str>,
    /// The limit that was exceeded.
    pub limit: Timeout,
    /// The time that the limit allows.
    pub after: Duration,
    /// How long the call has run, over all its steps. Waiting and standing in a queue do not count.
    pub ran: Duration,
    /// Whether the guest had begun to run. A call that only stood in a queue, or that nobody resumed, had not.
    pub begun: bool,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, limit, after, ran, begun } = self;
        match limit {
            Timeout::Running => write!(
                f,
                "{name}: the guest has run for {ran:.1?}, more than its limit of {after:?} (`InstanceOptions::running_timeout`)"
            ),
            Timeout::Elapsed if *begun => write!(
                f,
                "{name}: it has not ended within {after:?} (`InstanceOptions::elapsed_timeout`), in which it ran for {ran:.1?}"
            ),
            Timeout::Begun => write!(
                f,
                "{name}: it has not ended within {after:?} of its first step (`InstanceOptions::begun_timeout`), in which it ran for {ran:.1?}"
            ),
            Timeout::Elapsed => write!(
                f,
                "{name}: it has not begun within {after:?} (`InstanceOptions::elapsed_timeout`): it stood in a queue, or was not resumed"
            ),
        }
    }
}

impl std::error::Error for TimedOut {}

/// A time limit of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// [`InstanceOptions::running_timeout`](crate::InstanceOptions::running_timeout): how long the call may run.
    Running,
    /// [`InstanceOptions::elapsed_timeout`](crate::InstanceOptions::elapsed_timeout): the time from making a call until it must
    /// have ended.
    Elapsed,
    /// [`InstanceOptions::begun_timeout`](crate::InstanceOptions::begun_timeout): the time from a call's first step until it must have
    /// ended.
    Begun,
}
