//! [`Coroutines`]: async blocks that a frame loop advances on its own thread, each by one step a frame. What comes in is any
//! std future; what goes out is a [`Coroutine`], the handle that gives its value.
//!
//! A coroutine is a task of `async-task`, whose runnable stands in the queue of its frame loop once it is woken, and nowhere
//! while it waits. A frame runs as many as stood there when it began, so that what is woken meanwhile has to wait
//! for the next one.

use crate::call::future::{YieldNow, yield_now};
use crate::error::{Error, Panic};
use crate::frame::run_within::step_end;
use crate::step::interrupt::with_deadline;
use crate::unwind::ignore_panic;
use crate::wait::alarm;
use crate::wait::clock::{Clock, Sleep};
use crate::wait::waiters::{Key, Waiters, wake_all};
use async_task::Runnable;
use crossbeam::queue::SegQueue;
use pin_project_lite::pin_project;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// Async blocks that a frame loop advances, one step a frame.
///
/// All of them run on the thread of the loop, and may hold what is not `Send`, [`Future`](crate::Future)s of calls first of all.
/// One that waits is not polled and costs nothing. What they await:
///
/// - [`next_frame`], [`frames`], [`sleep`];
/// - a [`Future`](crate::Future), which is resumed one step a frame, and gives its result;
/// - a [`JobHandle`](crate::JobHandle): a pool brings the call to its end, and the coroutine goes on in the frame after that;
/// - the [`Coroutine`] of another: of its own, or of one that awaits it, for ever;
/// - any other std future.
///
/// ```
/// use wasm_jobs::{Coroutines, Error, Future, JobPool, RayonGlobal, next_frame};
///
/// let coroutines = Coroutines::new();
/// let coroutine = coroutines.spawn(async {
///     for _ in 0..3 {
///         next_frame().await;
///     }
///     let mut thinking = Future::new(async { Ok(6 * 7) });
///     RayonGlobal.submit(thinking.to_job()?).await;
///     thinking.await
/// });
/// while !coroutine.is_finished() {
///     coroutines.tick(); // once a frame
/// }
/// # let mut coroutine = coroutine;
/// assert_eq!(coroutine.try_get_result()?.expect("it has finished")?, 42);
/// # Ok::<(), Error>(())
/// ```
///
/// Dropping it drops the coroutines that have not finished, on this thread; their handles give [`Error::Cancelled`].
///
/// To start coroutines from inside of one, keep this in an [`Rc`], and give the coroutine a [`Weak`](std::rc::Weak) of it.
#[derive(Default)]
pub struct Coroutines {
    woken: Arc<SegQueue<Runnable>>,
    alive: Alive,
    frames: Rc<FrameCount>,
    is_ticking: Cell<bool>,
}

/// The wakers of all coroutines that have not finished.
type Alive = Rc<RefCell<Slab<Waker>>>;

/// What a frame came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TickReport {
    /// How many coroutines were advanced.
    pub stepped: usize,
    /// How many could have gone on and were not come to, for want of budget. They are first the next time.
    pub unreached: usize,
}

impl Coroutines {
    /// A loop without coroutines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a coroutine: its first step is in the next frame.
    ///
    /// A panic in it ends it, and nothing else: the handle gives [`Error::Panic`].
    pub fn spawn<F>(&self, coroutine: F) -> Coroutine<F::Output>
    where
        F: std::future::Future + 'static,
    {
        let slot = Rc::new(Slot::default());
        let mut alive = self.alive.borrow_mut();
        let place = alive.vacant_entry();
        let body = Body {
            coroutine: Some(coroutine),
            slot: slot.clone(),
            alive: self.alive.clone(),
            key: place.key(),
        };
        let woken = self.woken.clone();
        let (runnable, task) = async_task::spawn_local(body, move |runnable| woken.push(runnable));
        task.detach();
        let waker = runnable.waker();
        place.insert(waker.clone());
        runnable.schedule();
        Coroutine { slot, waker }
    }

    /// A frame: advances each coroutine that can go on by one step, in the order in which they were woken. What is woken or
    /// spawned meanwhile runs in the next one.
    ///
    /// Inside a coroutine of its own, this does nothing.
    pub fn tick(&self) -> TickReport {
        self.frame(|runnables| {
            for runnable in runnables {
                runnable.run();
            }
        })
    }

    /// A frame within a budget: when that is used up, what is left waits for the next frame, and is first then.
    ///
    /// A step may take its share of what is left of the budget, and no less than 100 µs. Then a guest whose engine has epoch
    /// interruption, as by default, yields, as in [`run_within`](crate::run_within). What is no guest goes on to its own next
    /// stop.
    ///
    /// Inside a coroutine of its own, this does nothing.
    pub fn tick_within(&self, budget: Duration) -> TickReport {
        let mut now = alarm::now();
        let ends = now.saturating_add(budget);
        self.frame(|runnables| {
            while now < ends
                && let sharers = runnables.len()
                && let Some(runnable) = runnables.next()
            {
                with_deadline(step_end(now, ends, sharers), || runnable.run());
                now = alarm::now();
            }
        })
    }

    /// How many coroutines have not finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alive.borrow().len()
    }

    /// Have all coroutines finished?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn frame(&self, run: impl FnOnce(&mut Due<'_>)) -> TickReport {
        if self.is_ticking.replace(true) {
            return TickReport::default();
        }
        let _ticking = Ticking {
            is_ticking: &self.is_ticking,
            outer: CURRENT.replace(Some(self.frames.clone())),
        };
        self.frames.advance();
        let due = self.woken.len();
        let mut runnables = Due { woken: &self.woken, left: due };
        run(&mut runnables);
        let unreached = runnables.left;
        TickReport { stepped: due - unreached, unreached }
    }
}

impl Drop for Coroutines {
    fn drop(&mut self) {
        let wakers: Vec<_> = self.alive.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        wake_all(wakers.into_iter());
        // Each is in the queue now, or is just being put there by a thread that woke it before.
        while !self.is_empty() {
            while let Some(runnable) = self.woken.pop() {
                drop(runnable);
            }
            thread::yield_now();
        }
    }
}

impl fmt::Debug for Coroutines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutines").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The runnables of a frame, which stood in the queue when it began.
struct Due<'a> {
    woken: &'a SegQueue<Runnable>,
    left: usize,
}

impl Iterator for Due<'_> {
    type Item = Runnable;

    #[inline]
    fn next(&mut self) -> Option<Runnable> {
        self.left = self.left.checked_sub(1)?;
        self.woken.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Due<'_> {}

thread_local! {
    /// The frames of the loop that is ticking on this thread.
    static CURRENT: RefCell<Option<Rc<FrameCount>>> = const { RefCell::new(None) };
}

/// While a loop ticks.
struct Ticking<'a> {
    is_ticking: &'a Cell<bool>,
    outer: Option<Rc<FrameCount>>,
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
        self.is_ticking.set(false);
    }
}

/// The frames of a loop so far, and who waits for which.
#[derive(Default)]
struct FrameCount {
    now: Cell<u64>,
    waiters: RefCell<Waiters<u64>>,
}

impl FrameCount {
    fn advance(&self) {
        self.now.set(self.now.get() + 1);
        if self.waiters.borrow().len() > 0 {
            let released = self.waiters.borrow_mut().release(self.now.get());
            wake_all(released);
        }
    }
}

/// Goes on in the next frame. It is [`yield_now`], by the name that it has in a coroutine: in a job, it goes on when the job does.
#[must_use = "futures do nothing unless awaited"]
pub fn next_frame() -> YieldNow {
    yield_now()
}

/// Goes on in the `count`-th frame from now; at once if that is zero.
///
/// Frames are those of the [`Coroutines`] inside of which it is first polled. Outside of any, it yields `count` times. It stays
/// on their thread; a host function, which must not, awaits the sleep of a [`ManualClock`](crate::ManualClock) instead that
/// ticks with the frames.
pub fn frames(count: u64) -> Frames {
    Frames { waits: Waits::Frames(count) }
}

/// Waits for that long by this clock, counted from now.
pub fn sleep(clock: &(impl Clock + ?Sized), duration: Duration) -> Sleep {
    clock.sleep(duration)
}

/// The future of [`frames`].
#[must_use = "futures do nothing unless awaited"]
pub struct Frames {
    waits: Waits,
}

enum Waits {
    /// For so many frames, of nobody knows which loop.
    Frames(u64),
    /// For a frame of this loop.
    Frame(Rc<FrameCount>, Key<u64>),
}

impl std::future::Future for Frames {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker();
        match &mut self.waits {
            Waits::Frames(0) => return Poll::Ready(()),
            Waits::Frames(count) => match CURRENT.with_borrow(Clone::clone) {
                Some(frames) => {
                    let (at, waker) = (frames.now.get().saturating_add(*count), waker.clone());
                    let ticket = frames.waiters.borrow_mut().add(at, waker);
                    self.waits = Waits::Frame(frames, ticket);
                }
                None => {
                    *count -= 1;
                    waker.wake_by_ref();
                }
            },
            Waits::Frame(frames, ticket) => {
                // Whoever is not among those who wait was released.
                let waker = waker.clone();
                let replaced = frames.waiters.borrow_mut().replace(*ticket, waker);
                if replaced.is_err() {
                    self.waits = Waits::Frames(0);
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Waits::Frame(frames, ticket) = &self.waits {
            let forgotten = frames.waiters.borrow_mut().remove(*ticket);
            drop(forgotten);
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

/// The handle of a coroutine, which gives what it comes to.
///
/// It is a std future too: `coroutine.await` in another coroutine, or in whatever runs on this thread.
///
/// Dropping it detaches the coroutine, which goes on; [`cancel`](Self::cancel) stops it.
pub struct Coroutine<T> {
    slot: Rc<Slot<T>>,
    waker: Waker,
}

/// What a coroutine and its handle share.
struct Slot<T> {
    outcome: RefCell<Outcome<T>>,
    /// Who awaits the handle.
    awaiter: RefCell<Option<Waker>>,
    is_cancelled: Cell<bool>,
}

enum Outcome<T> {
    None,
    Some(Result<T, Error>),
    Taken,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            outcome: RefCell::new(Outcome::None),
            awaiter: RefCell::default(),
            is_cancelled: Cell::new(false),
        }
    }
}

impl<T> Slot<T> {
    fn take(&self) -> Option<Result<T, Error>> {
        match self.outcome.replace(Outcome::Taken) {
            Outcome::Some(outcome) => Some(outcome),
            Outcome::Taken => Some(Err(Error::ResultTaken)),
            Outcome::None => {
                self.outcome.replace(Outcome::None);
                None
            }
        }
    }
}

impl<T> Coroutine<T> {
    /// The value, once, as soon as there is one; `None` before.
    ///
    /// # Errors
    ///
    /// [`Error::Panic`] if the coroutine panicked, and [`Error::Cancelled`] if it was stopped, or dropped with its
    /// [`Coroutines`], each once; and [`Error::ResultTaken`] after value or error was given.
    pub fn try_get_result(&mut self) -> Result<Option<T>, Error> {
        self.slot.take().transpose()
    }

    /// Has the coroutine come to its end?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !matches!(*self.slot.outcome.borrow(), Outcome::None)
    }

    /// Stops the coroutine, unless it has finished: when a frame next comes to it, what it holds is dropped instead of its being
    /// advanced, and it gives [`Error::Cancelled`].
    pub fn cancel(&self) {
        if !self.is_finished() {
            self.slot.is_cancelled.set(true);
            self.waker.wake_by_ref();
        }
    }
}

impl<T> std::future::Future for Coroutine<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.slot.take() {
            return Poll::Ready(outcome);
        }
        let other = self.slot.awaiter.replace(Some(context.waker().clone()));
        drop(other);
        Poll::Pending
    }
}

impl<T> fmt::Debug for Coroutine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutine").field("is_finished", &self.is_finished()).finish()
    }
}

pin_project! {
    /// What `async-task` runs: a coroutine of which nothing panics, not even its destructor.
    struct Body<F: std::future::Future> {
        #[pin]
        coroutine: Option<F>,
        slot: Rc<Slot<F::Output>>,
        alive: Alive,
        key: usize,
    }

    impl<F: std::future::Future> PinnedDrop for Body<F> {
        fn drop(this: Pin<&mut Self>) {
            this.end(Err(Error::Cancelled));
        }
    }
}

impl<F: std::future::Future> Body<F> {
    /// Drops the coroutine, which comes to this, if it has not ended already.
    fn end(self: Pin<&mut Self>, outcome: Result<F::Output, Error>) {
        let mut this = self.project();
        if this.coroutine.is_none() {
            return;
        }
        ignore_panic(|| this.coroutine.set(None));
        let waker = this.alive.borrow_mut().try_remove(*this.key);
        drop(waker);
        let awaiter = this.slot.awaiter.take();
        if Rc::strong_count(this.slot) > 1 {
            this.slot.outcome.replace(Outcome::Some(outcome));
        } else {
            // It is nobody's.
            ignore_panic(|| drop(outcome));
        }
        if let Some(awaiter) = awaiter {
            ignore_panic(|| awaiter.wake());
        }
        // Whoever was woken may have dropped the handle.
        if Rc::strong_count(this.slot) == 1 {
            ignore_panic(|| drop(this.slot.outcome.replace(Outcome::Taken)));
        }
    }
}

impl<F: std::future::Future> std::future::Future for Body<F> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        if this.slot.is_cancelled.get() {
            self.end(Err(Error::Cancelled));
            return Poll::Ready(());
        }
        let Some(coroutine) = this.coroutine.as_pin_mut() else { return Poll::Ready(()) };
        let outcome = match catch_unwind(AssertUnwindSafe(|| coroutine.poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(Error::Panic(Panic::new(payload))),
        };
        self.end(outcome);
        Poll::Ready(())
    }
}
