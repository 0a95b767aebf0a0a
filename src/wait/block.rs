//! How a thread blocks: a [`Sleeper`] parks it until a waker is woken, and [`help_or_sleep`] has the worker of a pool do something useful
//! meanwhile. What "useful" is, the pool says, by [`help_by`].

use crate::sync::{Parker, Unparker};
use crate::wait::countdown::settle_debts;
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

/// A thread that sleeps until its waker is woken. There is one for each wait, not one for each thread: a token that was meant for this wait
/// can then neither be taken by other code that parks the thread, nor be left behind for such code.
#[derive(Debug)]
pub(crate) struct Sleeper {
    parker: Parker,
    waker: Waker,
}

#[derive(Debug)]
struct Unpark(Unparker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        let parker = Parker::new();
        let waker = Waker::from(Arc::new(Unpark(parker.unparker().clone())));
        Self { parker, waker }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Blocks until the waker is woken; returns at once if it was woken since the last sleep. It may also return for no reason, so the
    /// caller looks again at what it waits for.
    pub(crate) fn sleep(&self) {
        self.parker.park();
    }
}

/// What a thread waits for, by the address of its task.
pub(crate) type Wanted = Option<usize>;

/// Helps instead of sleeping, once, or sleeps until there is something to help with. False if this thread is no worker that can help.
pub(crate) type Help = fn(&Sleeper, Wanted) -> bool;

static HELP: OnceLock<Help> = OnceLock::new();

/// Registers how the workers of pools help while they wait. The first registration stays.
#[cfg(feature = "rayon")]
pub(crate) fn help_by(help: Help) {
    HELP.get_or_init(|| help);
}

/// Waits for the sleeper's waker to be woken; the worker of a pool that knows how to help takes a job meanwhile, best the one that is
/// `wanted`. The caller then looks again at what it waits for.
pub(crate) fn help_or_sleep(sleeper: &Sleeper, wanted: Wanted) {
    settle_debts();
    if !HELP.get().is_some_and(|help| help(sleeper, wanted)) {
        sleeper.sleep();
    }
}

/// Runs a future to its end on this thread, which sleeps while the future waits.
#[cfg(feature = "wasm")]
pub(crate) fn block_on<F: std::future::Future>(future: F) -> F::Output {
    use std::task::{Context, Poll};

    let mut future = std::pin::pin!(future);
    // Most futures are ready at once, and making a sleeper takes two allocations. One that is pending is polled again with a waker.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let sleeper = Sleeper::new();
    let mut context = Context::from_waker(sleeper.waker());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}
