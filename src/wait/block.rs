//! How a thread blocks: a [`Sleeper`] parks it until a waker is woken, and [`help_or_sleep`] has the worker of a pool run jobs meanwhile.
//! A pool registers how its workers do that, by [`help_by`].

use crate::sync::{Parker, Unparker};
use crate::wait::ready::notify_all;
#[cfg(feature = "explore")]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

/// A thread that sleeps until its waker is woken. Each wait has its own, with its own parker: with the thread's, other code that parks the
/// thread could take a token that is meant for this wait, or find one that this wait left behind.
#[derive(Debug)]
pub(crate) struct Sleeper {
    parker: Parker,
    waker: Waker,
    #[cfg(feature = "explore")]
    was_woken: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Unpark {
    unparker: Unparker,
    #[cfg(feature = "explore")]
    was_woken: Arc<AtomicBool>,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        #[cfg(feature = "explore")]
        self.was_woken.store(true, Relaxed);
        self.unparker.unpark();
    }
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        let parker = Parker::new();
        #[cfg(feature = "explore")]
        let was_woken = Arc::new(AtomicBool::new(false));
        let waker = Waker::from(Arc::new(Unpark {
            unparker: parker.unparker().clone(),
            #[cfg(feature = "explore")]
            was_woken: was_woken.clone(),
        }));
        Self {
            parker,
            waker,
            #[cfg(feature = "explore")]
            was_woken,
        }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Blocks until the waker is woken; returns at once if it was woken since the last sleep. It may also return for no reason, so the
    /// caller checks again.
    pub(crate) fn sleep(&self) {
        self.parker.park();
    }
}

/// What the worker of a pool does while it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// It runs any job.
    Any,
    /// It runs any job, and preferably the one whose task has this address.
    #[cfg_attr(
        not(any(feature = "rayon", wasm_jobs_loom)),
        expect(dead_code, reason = "only rayon's workers look for it")
    )]
    Job(usize),
    /// It gives turns to calls only. A closure might wait for the same as this worker, on top of it, and keep it from what it is given.
    #[cfg(any(feature = "wasm", wasm_jobs_loom))]
    Turns,
}

impl Wanted {
    /// Does the worker run only turns of calls?
    #[cfg(any(feature = "explore", feature = "rayon", wasm_jobs_loom))]
    pub(crate) fn is_turns(self) -> bool {
        #[cfg(any(feature = "wasm", wasm_jobs_loom))]
        return matches!(self, Self::Turns);
        #[cfg(not(any(feature = "wasm", wasm_jobs_loom)))]
        false
    }
}

/// Gives one job a turn; or, if there is none, sleeps until there is one or the sleeper's waker is woken. Returns false, and does nothing,
/// if this thread is not a worker of the pool.
pub(crate) type Help = fn(&Sleeper, Wanted) -> bool;

static HELP: OnceLock<Help> = OnceLock::new();

/// Registers how the workers of pools help while they wait. The first registration stays.
#[cfg(feature = "rayon")]
pub(crate) fn help_by(help: Help) {
    HELP.get_or_init(|| help);
}

/// Waits for the sleeper's waker to be woken. A worker of a pool that has registered gives one job a turn instead, preferably the one that
/// is `wanted`. The caller then checks again whether its wait is over.
pub(crate) fn help_or_sleep(sleeper: &Sleeper, wanted: Wanted) {
    notify_all();
    #[cfg(feature = "explore")]
    if own_help::help(wanted, sleeper) {
        return;
    }
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
            Poll::Pending => {
                notify_all();
                #[cfg(feature = "explore")]
                if own_help::help(Wanted::Any, &sleeper) {
                    continue;
                }
                sleeper.sleep();
            }
        }
    }
}

/// Threads that help in a way of their own, in every wait.
#[cfg(feature = "explore")]
pub(crate) mod own_help {
    use super::{Relaxed, Sleeper, Wanted};
    use crate::sync::set_while;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// It is told what is wanted, and whether the wait was woken since the last time.
    type OwnHelp = Rc<dyn Fn(Wanted, bool)>;

    thread_local! {
        static OWN: RefCell<Option<OwnHelp>> = const { RefCell::new(None) };
    }

    /// Runs `code` on this thread, which calls `help` instead of sleeping, as often as a wait is not over.
    pub(crate) fn with<R>(help: OwnHelp, code: impl FnOnce() -> R) -> R {
        set_while(&OWN, help, code).0
    }

    /// Calls this thread's help. False if it has none.
    pub(super) fn help(wanted: Wanted, sleeper: &Sleeper) -> bool {
        // A thread that ends may still wait.
        let Ok(Some(help)) = OWN.try_with(|own| own.borrow().clone()) else { return false };
        help(wanted, sleeper.was_woken.swap(false, Relaxed));
        true
    }
}
