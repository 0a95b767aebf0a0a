//! [`frames`], [`next_frame`] and [`sleep`]: what coroutines await in order to go on later. [`FrameCount`] counts the frames of a
//! loop and wakes the coroutines that wait for the current one; [`coroutines`](crate::frame::coroutines) owns it.

use crate::call::yield_now::{YieldNow, yield_now};
use crate::wait::clock::{Clock, Sleep};
use crate::wait::waiters::{Key, Waiters, wake_all};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Suspends the coroutine until the next frame.
///
/// This is [`yield_now`] under another name. In a call, it suspends the call until its next step.
#[must_use = "futures do nothing unless awaited"]
pub fn next_frame() -> YieldNow {
    yield_now()
}

/// Suspends the coroutine for `count` frames. Zero frames are over at once.
///
/// The frames are those of the [`Coroutines`](crate::Coroutines) that first polls this. If no loop is ticking on the thread, this yields
/// `count` times instead. The future is not `Send`, so a host function cannot await it. A host function awaits the sleep of a
/// [`ManualClock`](crate::ManualClock) that is ticked once a frame.
pub fn frames(count: u64) -> Frames {
    Frames { wait: Wait::Unbound(count) }
}

/// Suspends the coroutine, or the call, until `duration` from now has passed on `clock`.
pub fn sleep(clock: &(impl Clock + ?Sized), duration: Duration) -> Sleep {
    clock.sleep(duration)
}

/// The future of [`frames`].
#[must_use = "futures do nothing unless awaited"]
pub struct Frames {
    wait: Wait,
}

enum Wait {
    /// For this many frames. No loop has polled it yet, so it is not known whose frames count.
    Unbound(u64),
    /// For one frame of this loop.
    Bound(Rc<FrameCount>, Key<u64>),
}

impl std::future::Future for Frames {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker();
        match &mut self.wait {
            Wait::Unbound(0) => return Poll::Ready(()),
            Wait::Unbound(count) => match CURRENT.with_borrow(Clone::clone) {
                Some(frames) => {
                    let (at, waker) = (frames.now.get().saturating_add(*count), waker.clone());
                    let key = frames.waiters.borrow_mut().add(at, waker);
                    self.wait = Wait::Bound(frames, key);
                }
                None => {
                    *count -= 1;
                    waker.wake_by_ref();
                }
            },
            Wait::Bound(frames, key) => {
                // A waiter that is no longer in the list was released: its frame has come.
                let waker = waker.clone();
                let replaced = frames.waiters.borrow_mut().replace(*key, waker);
                if replaced.is_err() {
                    self.wait = Wait::Unbound(0);
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Wait::Bound(frames, key) = &self.wait {
            let removed = frames.waiters.borrow_mut().remove(*key);
            drop(removed);
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

thread_local! {
    /// The frame count of the loop that is ticking on this thread.
    static CURRENT: RefCell<Option<Rc<FrameCount>>> = const { RefCell::new(None) };
}

/// How many frames a loop has begun, and the wakers of the coroutines that wait for a later one.
#[derive(Default)]
pub(crate) struct FrameCount {
    now: Cell<u64>,
    waiters: RefCell<Waiters<u64>>,
}

impl FrameCount {
    /// Counts a frame and wakes the coroutines that wait for it. Until the guard is dropped, [`frames`] on this thread counts the
    /// frames of this loop.
    #[inline]
    pub(crate) fn begin(self: &Rc<Self>) -> TickGuard {
        let guard = TickGuard { outer: CURRENT.replace(Some(self.clone())) };
        self.now.set(self.now.get() + 1);
        if self.waiters.borrow().len() > 0 {
            let released = self.waiters.borrow_mut().release(self.now.get());
            wake_all(released);
        }
        guard
    }

    /// Leaves out the frames in which nothing would happen, so that the next frame is the first one that a coroutine waits for. False if
    /// none waits for a frame.
    pub(crate) fn skip(&self) -> bool {
        // The last frame of all never comes.
        match self.waiters.borrow().first() {
            None | Some(u64::MAX) => false,
            Some(first) => {
                self.now.set(self.now.get().max(first.saturating_sub(1)));
                true
            }
        }
    }
}

/// Held while a loop ticks. A coroutine may tick another loop; dropping the guard makes the outer loop the current one again.
pub(crate) struct TickGuard {
    outer: Option<Rc<FrameCount>>,
}

impl Drop for TickGuard {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}
