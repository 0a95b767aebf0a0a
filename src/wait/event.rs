//! [`Event`]: something in the host that calls wait for. It is a [`Latch`] that can be reset.

use crate::wait::latch::{Latch, Wait};
use std::fmt;
use std::sync::Arc;

/// Something that happens in the host, and that any number of calls may wait for.
///
/// An event is set or not. [`set`](Self::set) ends all the waits that have begun. While the event is set, a wait is over at once. It
/// stays set until it is [`reset`](Self::reset).
///
/// A clone is the same event.
///
/// ```
/// use wasm_jobs::{Event, Future, Step};
///
/// let click = Event::new();
/// let mut future = Future::new({
///     let click = click.clone();
///     async move { Ok(click.wait().await) }
/// });
/// assert_eq!(future.resume()?, Step::Waiting);
/// click.set();
/// assert_eq!(future.resume()?, Step::Done);
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
///
/// A guest waits for it in a host function:
///
/// ```
/// # #[cfg(feature = "wasm")] {
/// # use wasm_jobs::{EngineOptions, Event, Instance, Step, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let mut linker = wasmtime::Linker::<()>::new(&engine);
/// let click = Event::new();
/// let event = click.clone();
/// linker.func_wrap_async("game", "wait_for_click", move |_, ()| Box::new(event.wait()))?;
/// # let wasm = wat::parse_str(r#"(module (import "game" "wait_for_click" (func $wait))
/// #     (func (export "run") call $wait))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
/// # let mut future = instance.call::<(), ()>("run", ())?;
/// # assert_eq!(future.resume()?, Step::Waiting);
/// # click.set();
/// # assert_eq!(future.resume()?, Step::Done);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Event {
    latch: Arc<Latch>,
}

impl Event {
    /// An event that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the event, from any thread, and wakes the calls that wait for it, in the order in which they began to wait. They see
    /// everything that this thread wrote before.
    pub fn set(&self) {
        self.latch.set();
    }

    /// Makes the event not set: waits that begin from now on last until the next [`set`](Self::set). Waits that the last `set` ended
    /// stay ended, even if their calls have not been resumed since.
    pub fn reset(&self) {
        self.latch.reset();
    }

    /// Is the event set?
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.latch.is_set()
    }

    /// Waits until the event is set. The wait begins when this is first polled.
    pub fn wait(&self) -> impl std::future::Future<Output = ()> + Send + 'static + use<> {
        Wait::new(self.latch.clone())
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
