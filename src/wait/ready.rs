//! What has become ready on this thread. A dependent that becomes ready may complete a latch, which makes another dependent ready, and so
//! on: by recursion, a long chain would overflow the stack. So a thread queues what becomes ready on it, and notifies one after another.
//!
//! Only such chains are queued. What a step or other foreign code makes ready is notified at once, because that code may block, and what it
//! waits for may be just that.

use crate::outcome::JobOutcome;
use crate::step::interrupt::depth;
use crate::sync::const_thread_local;
use crate::unwind::ignore_panic;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// Something that can become ready.
pub(crate) trait Ready: Send + Sync + 'static {
    /// All that this waited for is over, and `worst` is the worst of the outcomes. It is called once.
    fn ready(self: Arc<Self>, worst: JobOutcome);
}

const_thread_local! {
    /// What is ready on this thread and was not notified yet.
    static QUEUE: RefCell<VecDeque<(Arc<dyn Ready>, JobOutcome)>> = RefCell::new(VecDeque::new());
}

const_thread_local! {
    /// One more than the [`level`] at which a caller further up this thread's stack will empty the queue; zero if none will.
    static GATHERS_AT: Cell<u32> = Cell::new(0);
}

const_thread_local! {
    /// In how many calls of [`run_foreign`] this thread is.
    static FOREIGN: Cell<u32> = Cell::new(0);
}

/// How many steps and other foreign calls are on this thread's stack. At equal level, there is none in between.
fn level() -> u32 {
    depth() + FOREIGN.with(Cell::get)
}

/// Runs foreign code (a waker, a destructor) and swallows its panic. What it makes ready is notified before it goes on.
pub(crate) fn run_foreign(code: impl FnOnce()) {
    FOREIGN.with(|foreign| foreign.set(foreign.get() + 1));
    ignore_panic(code);
    FOREIGN.with(|foreign| foreign.set(foreign.get() - 1));
}

/// Notifies what is ready, or has a caller do so that [gathers](gather).
pub(crate) fn notify(ready: Arc<dyn Ready>, worst: JobOutcome) {
    let mut entry = Some((ready, worst));
    gather(|| {
        let _ = QUEUE.try_with(|queue| queue.borrow_mut().extend(entry.take()));
    });
    // This thread is ending, and its queue is gone.
    entry.into_iter().for_each(|(ready, worst)| ready.ready(worst));
}

/// Runs code that does not panic, and then notifies what it has made ready; unless this is inside another `gather` of the same level, which
/// does so.
#[inline]
pub(crate) fn gather(code: impl FnOnce()) {
    let here = level() + 1;
    let outer = GATHERS_AT.with(|at| at.replace(here));
    code();
    if outer != here {
        notify_all();
        GATHERS_AT.with(|at| at.set(outer));
    }
}

/// Notifies all that is ready on this thread.
///
/// A thread does so before it blocks, because what it waits for may be among that: a pool without a queue runs a job, which may
/// block, on the thread that made it ready.
pub(crate) fn notify_all() {
    while let Ok(Some((ready, worst))) = QUEUE.try_with(|queue| queue.borrow_mut().pop_front()) {
        // It may call a pool.
        ignore_panic(|| ready.ready(worst));
    }
}
