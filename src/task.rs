//! What a [`Future`](crate::Future) and its runner share, and the [`Work`] that passes between them.
//!
//! The work of a call is owned by whoever may step it: by the `Future` itself until it is lent, then by the task's slot,
//! from where a turn takes it by holding the slot's lock. That lock is never waited for: only whoever the
//! [state](crate::state) says is in charge (a turn that has started, the canceller that ends the call, the owner once the
//! call is done or back) goes near it.
//!
//! The work always sees one waker, the task itself. Where a wake leads, to nobody yet, to the owner or to a pool's
//! queue, is decided here, when it comes. The waker is kept beside the work, so a lent, unfinished call is a cycle of
//! references; the `Future` breaks it, for it ends its call when it is dropped.

use crate::error::{Error, Panic};
use crate::pool::{Job, Quantum, Respawn, Submission, Turn};
use crate::runner::Step;
use crate::state::{Cancel, Finish, Lent, Park, Seen, Start, State, Stop, Wake};
use crate::sync::{Mutex, thread_local};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) struct Task<T> {
    state: State,
    slot: Mutex<Slot<T>>,
    /// The owner, if it waits: for a wake while it has the call, for the end while the call is lent.
    owner: Mutex<Option<Waker>>,
}

/// What the task holds of a lent call.
struct Slot<T> {
    /// There until the call ends or goes back to its owner.
    work: Option<Work<T>>,
    /// There once the call has ended, until its owner takes it.
    result: Option<Result<T, Error>>,
    /// There while the call is a job.
    submission: Option<Submission>,
}

/// A call that has not ended, with the exclusive right to step it.
pub(crate) struct Work<T> {
    future: Pin<Box<dyn std::future::Future<Output = Result<T, Error>> + Send>>,
    waker: Waker,
    seen: Seen,
}

/// What one step came to.
pub(crate) enum Progress<T> {
    Done(Result<T, Error>),
    Yielded,
    Waiting,
}

thread_local! {
    static INSIDE_A_STEP: Cell<bool> = Cell::new(false);
}

/// Is this thread inside a step of some call, and so perhaps on a guest's stack?
pub(crate) fn inside_a_step() -> bool {
    INSIDE_A_STEP.with(Cell::get)
}

/// Runs code of a call on this thread, marked as such. Unwind safety: what has panicked is dropped, and not used again.
pub(crate) fn enter<R>(code: impl FnOnce() -> R) -> std::thread::Result<R> {
    let outer = INSIDE_A_STEP.with(|inside| inside.replace(true));
    let outcome = catch_unwind(AssertUnwindSafe(code));
    INSIDE_A_STEP.with(|inside| inside.set(outer));
    outcome
}

/// Runs destructors of a call that has its result already, so that what they panic with is nobody's.
fn quietly(destructors: impl FnOnce()) {
    let _ = enter(destructors);
}

impl<T: Send + 'static> Work<T> {
    /// Polls the work, unless nothing has woken it since it was last polled.
    pub(crate) fn step(&mut self, task: &Task<T>) -> Progress<T> {
        let Some(seen) = task.state.woken_since(self.seen) else {
            return Progress::Waiting;
        };
        self.seen = seen;

        let mut context = Context::from_waker(&self.waker);
        match enter(|| self.future.as_mut().poll(&mut context)) {
            Ok(Poll::Pending) if task.state.woken_since(seen).is_some() => Progress::Yielded,
            Ok(Poll::Pending) => Progress::Waiting,
            Ok(Poll::Ready(result)) => Progress::Done(result),
            Err(payload) => Progress::Done(Err(Error::Panic(Panic::new(payload)))),
        }
    }

    /// Drops the work, with all that the call holds.
    pub(crate) fn discard(self) {
        quietly(|| drop(self));
    }
}

impl<T: Send + 'static> Task<T> {
    /// A new task, and the work that its owner has.
    pub(crate) fn new(
        future: Pin<Box<dyn std::future::Future<Output = Result<T, Error>> + Send>>,
    ) -> (Arc<Self>, Work<T>) {
        let task = Arc::new(Self {
            state: State::new(),
            slot: Mutex::new(Slot {
                work: None,
                result: None,
                submission: None,
            }),
            owner: Mutex::new(None),
        });
        let waker = Waker::from(task.clone());
        (
            task,
            Work {
                future,
                waker,
                seen: Seen::NOTHING,
            },
        )
    }

    // The owner's side, while it has the call.

    /// The owner will sleep until `waker` is woken. False if it must not: a wake has come.
    pub(crate) fn park_owner(&self, work: &Work<T>, waker: &Waker) -> bool {
        self.register_owner(waker);
        self.state.park(work.seen) == Park::Parked
    }

    /// Puts the work here for a runner.
    pub(crate) fn lend(&self, work: Work<T>) {
        *self.owner.lock() = None;
        self.slot.lock().work = Some(work);
        self.state.lend();
    }

    /// The same for a call that has ended: its runner has nothing to do.
    pub(crate) fn lend_ended(&self, result: Result<T, Error>) {
        self.state.lend();
        self.end(result);
    }

    // The owner's side, while the call is lent.

    pub(crate) fn lent(&self) -> Lent {
        self.state.lent()
    }

    /// The owner will sleep until the call is done or back, of which `waker` is told. The caller looks again after this.
    pub(crate) fn register_owner(&self, waker: &Waker) {
        *self.owner.lock() = Some(waker.clone());
    }

    /// The work of a call that came back.
    pub(crate) fn take_back(&self) -> Option<Work<T>> {
        self.slot.lock().work.take()
    }

    /// The result of a call that is done.
    pub(crate) fn take_result(&self) -> Option<Result<T, Error>> {
        self.slot.lock().result.take()
    }

    /// Ends a lent call, at once or at the next stop of the turn that is in progress.
    pub(crate) fn cancel(&self) {
        match self.state.cancel() {
            Cancel::End => self.end_cancelled(),
            Cancel::EndsAtNextStop | Cancel::Over => {}
        }
    }

    // The runner's side.

    /// One step of a runner in its holder's hands. It never parks: its holder comes back, or drops it.
    pub(crate) fn step(&self) -> Step {
        let Start::Run = self.state.try_start() else {
            return Step::Done;
        };
        let progress = match &mut self.slot.lock().work {
            Some(work) => work.step(self),
            None => unreachable!("a call that may start has its work"),
        };
        let step = match progress {
            Progress::Done(result) => {
                self.end(result);
                return Step::Done;
            }
            Progress::Yielded => Step::Yielded,
            Progress::Waiting => Step::Waiting,
        };
        match self.state.stop() {
            Stop::Stopped => step,
            Stop::Cancelled => {
                self.end_cancelled();
                Step::Done
            }
        }
    }

    /// Makes a lent call a job.
    pub(crate) fn submit(&self, submission: Submission) {
        let mut slot = self.slot.lock();
        if self.state.lent() == Lent::Done {
            // Its owner cancelled it while the runner was in somebody's hands.
            drop(slot);
            submission.complete();
        } else {
            slot.submission = Some(submission);
        }
    }

    /// The work stays in the slot; the owner, if it waits, goes on with it itself.
    pub(crate) fn give_back(&self) {
        let submission = self.slot.lock().submission.take();
        self.state.give_back();
        self.wake_owner();
        if let Some(submission) = submission {
            submission.complete();
        }
    }

    fn end_cancelled(&self) {
        self.end(Err(Error::Cancelled));
    }

    /// Ends a lent call. Only whoever is in charge of it calls this, once.
    pub(crate) fn end(&self, result: Result<T, Error>) {
        // Before anyone is told: whatever the call held, an instance for one, is free by then.
        let work = self.slot.lock().work.take();
        if let Some(work) = work {
            work.discard();
        }
        let (submission, unwanted) = {
            let mut slot = self.slot.lock();
            let (result, unwanted) = match self.state.finish() {
                Finish::Delivered => (result, None),
                Finish::Cancelled => (Err(Error::Cancelled), Some(result)),
            };
            slot.result = Some(result);
            (slot.submission.take(), unwanted)
        };
        quietly(|| drop(unwanted));
        self.wake_owner();
        if let Some(submission) = submission {
            submission.complete();
        }
    }

    fn wake_owner(&self) {
        let owner = self.owner.lock().take();
        if let Some(waker) = owner {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> Turn for Task<T> {
    /// Steps while the call yields and its quantum lasts.
    fn turn(self: Arc<Self>) -> Option<Respawn> {
        let Start::Run = self.state.try_start() else {
            return None;
        };
        let mut quantum = Quantum::default();
        loop {
            let mut slot = self.slot.lock();
            let Slot {
                work: Some(work),
                submission: Some(submission),
                ..
            } = &mut *slot
            else {
                unreachable!("a job that may start has both");
            };
            let progress = loop {
                match work.step(&self) {
                    Progress::Yielded if quantum.lasts() && !self.state.is_cancelled() => {}
                    progress => break progress,
                }
            };
            let seen = work.seen;
            let spawn = submission.spawn();
            // Out of the slot before the transition: from then on, somebody else may be in charge.
            drop(slot);
            match progress {
                Progress::Done(result) => self.end(result),
                Progress::Yielded => match self.state.stop() {
                    Stop::Stopped => {
                        return Some(Respawn {
                            spawn,
                            job: Job::new(self),
                        });
                    }
                    Stop::Cancelled => self.end_cancelled(),
                },
                Progress::Waiting => match self.state.park(seen) {
                    Park::Parked => {}
                    Park::Woken => continue,
                    Park::Cancelled => self.end_cancelled(),
                },
            }
            return None;
        }
    }

    fn give_back(&self) {
        self.give_back();
    }
}

impl<T: Send + 'static> std::task::Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.wake() {
            Wake::Noted => {}
            Wake::Owner => self.wake_owner(),
            Wake::Enqueue => {
                // None: its owner cancelled it meanwhile, and has ended it.
                let spawn = self.slot.lock().submission.as_ref().map(Submission::spawn);
                if let Some(spawn) = spawn {
                    spawn(Job::new(self.clone()));
                }
            }
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
