//! [`Coroutines`]: the loop that advances async blocks on its own thread, each by one step a frame. Any std future comes in; a
//! [`Coroutine`] goes out, the handle that gives the future's result.
//!
//! A coroutine is a task of `async-task`. While it waits, it is in no queue. When it is woken, its runnable goes into the
//! [`ReadyQueue`]. A frame takes out all runnables that are there when it begins and runs them, so a coroutine that is woken during
//! a frame runs in the next one.

use crate::frame::coroutine::{Body, Coroutine, Live, Shared};
use crate::frame::frames::FrameCount;
use crate::frame::ready_queue::ReadyQueue;
use crate::frame::run_within::step_end;
use crate::step::interrupt::with_deadline;
use crate::wait::alarm;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use crate::wait::waiters::wake_all;
use async_task::Runnable;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Advances async blocks, each by one step a frame.
///
/// All of them run on the thread of the loop, so they may hold values that are not `Send`, such as the
/// [`Future`](crate::Future) of a call. A coroutine that waits is not polled and costs nothing. It may await:
///
/// - [`next_frame`](crate::next_frame), [`frames`](crate::frames) or [`sleep`](crate::sleep);
/// - a [`Future`](crate::Future): each frame resumes the call once, and the coroutine gets its result;
/// - a [`JobHandle`](crate::JobHandle): a pool brings the call to its end, and the coroutine goes on in the frame after that;
/// - the [`Coroutine`] of another coroutine. Coroutines that await each other in a ring wait for ever;
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
/// Dropping this drops, on this thread, all coroutines that have not finished. Their handles give [`Error::Cancelled`]. If another
/// thread is waking a coroutine at that moment, the drop sleeps until the wake is done.
///
/// To start coroutines from inside a coroutine, keep this in an [`Rc`] and give the coroutine a [`Weak`](std::rc::Weak) of it.
///
/// [`Error::Cancelled`]: crate::Error::Cancelled
#[derive(Default)]
pub struct Coroutines {
    /// The runnables of coroutines that were woken since the last frame began.
    ready: Arc<ReadyQueue>,
    /// The runnables of this frame, and those that earlier frames did not reach. Borrowed while a frame is in progress.
    due: RefCell<VecDeque<Runnable>>,
    live: Live,
    frames: Rc<FrameCount>,
}

/// What one frame of [`Coroutines`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TickReport {
    /// The number of coroutines that were advanced.
    pub stepped: usize,
    /// The number of coroutines that were ready and were not advanced, because the budget was used up. The next frame begins with
    /// them.
    pub unreached: usize,
}

impl Coroutines {
    /// Makes a loop without coroutines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a coroutine. The next frame takes its first step.
    ///
    /// If the coroutine panics, it ends, and its handle gives [`Error::Panic`](crate::Error::Panic). Nothing else is affected.
    pub fn spawn<F>(&self, coroutine: F) -> Coroutine<F::Output>
    where
        F: std::future::Future + 'static,
    {
        let shared = Rc::new(Shared::new());
        let mut live = self.live.borrow_mut();
        let entry = live.vacant_entry();
        let body = Body::new(coroutine, shared.clone(), self.live.clone(), entry.key());
        let ready = self.ready.clone();
        let (runnable, task) = async_task::spawn_local(body, move |runnable| ready.push(runnable));
        task.detach();
        let waker = runnable.waker();
        entry.insert(waker.clone());
        runnable.schedule();
        Coroutine::new(shared, waker)
    }

    /// Runs a frame: advances each ready coroutine by one step, in the order in which they were woken. Coroutines that are woken or
    /// spawned during the frame run in the next one.
    ///
    /// Inside a coroutine of this loop, this does nothing.
    pub fn tick(&self) -> TickReport {
        self.frame(|due| {
            while let Some(runnable) = due.pop_front() {
                runnable.run();
            }
        })
    }

    /// Runs a frame within a budget of time. Coroutines that it does not reach wait for the next frame, which begins with them.
    ///
    /// Each step may take an equal share of the time that is left, and at least 100 µs. At the end of its share, a guest yields, if its
    /// engine has epoch interruption, which is the default, or if it looks at a flag. Other code runs on to its own next await.
    ///
    /// Inside a coroutine of this loop, this does nothing.
    pub fn tick_within(&self, budget: Duration) -> TickReport {
        let mut now = alarm::now();
        let ends = now.saturating_add(budget);
        self.frame(|due| {
            while now < ends
                && let sharers = due.len()
                && let Some(runnable) = due.pop_front()
            {
                with_deadline(step_end(now, ends, sharers), || runnable.run());
                now = alarm::now();
            }
        })
    }

    /// Brings all coroutines to their ends: runs frames, and sleeps without using the CPU while every coroutine waits. Coroutines that are
    /// spawned meanwhile count too. It is for a program without a frame loop, such as a tool or a test.
    ///
    /// Nothing paces the frames. A frame begins as soon as one coroutine is ready, so [`next_frame`](crate::next_frame) only lets the
    /// others have their turn; and frames in which nothing would happen are left out, so [`frames`](crate::frames) lasts until nothing
    /// else is ready.
    ///
    /// A worker of a rayon pool runs other jobs instead of sleeping, as with [`JobHandle::wait`](crate::JobHandle::wait).
    ///
    /// This sleeps for ever if a coroutine waits for something that never happens. Inside a coroutine of this loop, this does nothing.
    ///
    /// ```
    /// use wasm_jobs::{Coroutines, Error, Future, JobPool, RayonGlobal};
    ///
    /// let coroutines = Coroutines::new();
    /// let squares = (1..=3).map(|n| {
    ///     coroutines.spawn(async move {
    ///         let mut square = Future::new(async move { Ok(n * n) });
    ///         RayonGlobal.submit(square.to_job()?).await;
    ///         square.await
    ///     })
    /// });
    /// let mut squares: Vec<_> = squares.collect();
    /// coroutines.run();
    /// assert_eq!(squares[2].try_get_result()?.expect("all have finished")?, 9);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn run(&self) {
        if self.due.try_borrow_mut().is_err() {
            return;
        }
        let sleeper = Sleeper::new();
        while !self.is_empty() {
            if self.tick().stepped == 0
                && !self.frames.skip()
                && !self.ready.has_any_or_wakes(sleeper.waker())
            {
                help_or_sleep(&sleeper, Wanted::Any);
            }
        }
    }

    /// The number of coroutines that have not finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.borrow().len()
    }

    /// Have all coroutines finished?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn frame(&self, run: impl FnOnce(&mut VecDeque<Runnable>)) -> TickReport {
        let Ok(mut due) = self.due.try_borrow_mut() else {
            // A coroutine of this loop ticks it.
            return TickReport::default();
        };
        let _ticking = self.frames.begin();
        self.ready.drain_into(&mut due);
        let ready = due.len();
        run(&mut due);
        let unreached = due.len();
        TickReport { stepped: ready - unreached, unreached }
    }
}

impl Drop for Coroutines {
    fn drop(&mut self) {
        let wakers: Vec<_> = self.live.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        wake_all(wakers);
        // Every coroutine is scheduled now. Its runnable is in a queue, or another thread that has woken it is about to push it.
        // That thread is never this one: between the two, `async-task` runs no code but `push`.
        let mut due = self.due.take();
        loop {
            due.clear();
            if self.is_empty() {
                break;
            }
            self.ready.wait_and_drain_into(&mut due);
        }
    }
}

impl fmt::Debug for Coroutines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutines").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Coroutines;
    use std::collections::VecDeque;
    use std::path::Path;
    use std::sync::mpsc::{Sender, channel};
    use std::time::{Duration, Instant};
    use std::{fs, future, thread};

    /// Sends a message when it is dropped.
    struct Tells(Sender<()>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(()).expect("the other thread listens");
        }
    }

    #[test]
    fn a_loop_that_is_dropped_sleeps_until_another_thread_has_queued_what_it_woke() {
        let coroutines = Coroutines::new();
        let woken = coroutines.spawn(future::pending::<()>());
        // From here on, the coroutine is marked as scheduled and is not in the queue, as if a thread that woke it had been
        // preempted just before it queues it. Only this file can bring that about, so the test is here.
        let mut held = VecDeque::new();
        coroutines.ready.drain_into(&mut held);
        let (sender, drop_has_begun) = channel();
        let tells = Tells(sender);
        drop(coroutines.spawn(async move {
            let _tells = tells;
            future::pending::<()>().await;
        }));

        let owner = fs::read_link("/proc/thread-self").expect("Linux has it");
        let stat = Path::new("/proc").join(owner).join("stat");
        let ready = coroutines.ready.clone();
        let wakes = thread::spawn(move || {
            drop_has_begun.recv().expect("the other coroutine is dropped first");
            // With the limit, a hang is a failure.
            let limit = Instant::now() + Duration::from_secs(60);
            let mut sleeps = false;
            while !sleeps && Instant::now() < limit {
                // The state follows the name in brackets: proc(5).
                let stat = fs::read_to_string(&stat).expect("the owner's thread lives");
                sleeps = stat.contains(") S ");
                thread::yield_now();
            }
            held.into_iter().for_each(|runnable| ready.push(runnable));
            sleeps
        });
        drop(coroutines);
        assert!(wakes.join().expect("waking does not panic"), "the loop's thread spins");
        assert!(woken.is_finished());
    }
}
