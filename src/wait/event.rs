//! [`Event`]: something in the host that calls wait for. It is a [`Latch`] that can be reset.

use crate::wait::latch::{Latch, Wait};
#[cfg(feature = "explore")]
use crate::wait::waits_for::{MadeEvent, WaitsFor, note};
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "explore")]
use std::{
    pin::Pin,
    task::{Context, Poll},
};

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
#[derive(Clone)]
pub struct Event {
    latch: Arc<Latch>,
    #[cfg(feature = "explore")]
    made: MadeEvent,
}

impl Event {
    /// An event that is not set.
    #[must_use]
    #[cfg_attr(feature = "explore", track_caller)]
    pub fn new() -> Self {
        Self {
            latch: Arc::default(),
            #[cfg(feature = "explore")]
            made: MadeEvent::new(),
        }
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
        let wait = Wait::new(self.latch.clone());
        #[cfg(feature = "explore")]
        let wait = Noted { wait, made: self.made };
        wait
    }
}

impl Default for Event {
    #[cfg_attr(feature = "explore", track_caller)]
    fn default() -> Self {
        Self::new()
    }
}

/// A wait that notes which event it is for.
#[cfg(feature = "explore")]
struct Noted {
    wait: Wait,
    made: MadeEvent,
}

#[cfg(feature = "explore")]
impl std::future::Future for Noted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let polled = Pin::new(&mut self.wait).poll(context);
        if polled.is_pending() {
            note(|| WaitsFor::Event(self.made));
        }
        polled
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
