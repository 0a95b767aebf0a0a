//! What a [`Future`](crate::Future) and its runner share, and the [`Work`] that passes between them.
//!
//! The work of a call is owned by whoever may step it: by the `Future` itself until it is lent, then by the task's slot,
//! from where a turn takes it by holding the slot's lock. Only whoever the [state](crate::call::state) says is in charge goes near
//! that lock (a turn that has started, the canceller that ends the call, the owner once the call is done or back), so nobody
//! waits for it for longer than it takes to move a result.
//!
//! The work always sees one waker, the task itself. Where a wake leads, to nobody yet, to the owner or to a pool's
//! queue, is decided here, when it comes.

use crate::call::state::{
    Cancel, Finish, GiveBack, Lent, Park, Start, State, Stop, Wake, WakeCount,
};
use crate::call::step::Step;
use crate::error::{Error, Outcome, Panic};
use crate::pool::handle::Submitted;
use crate::pool::{Job, Quantum, Spawn, Submission, Turn};
use crate::step::interrupt::{Interrupter, Interruptible, in_step, with_current_call};
use crate::sync::Mutex;
use crate::trace::{Ending, Traced};
use crate::unwind::{drop_payload, ignore_panic};
use futures_task::{ArcWake, waker_ref};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) struct Task<T> {
    state: State,
    slot: Mutex<Slot<T>>,
    /// The owner, if it waits: for a wake while it has the call, for the end while the call is lent.
    owner: Mutex<Option<Waker>>,
    /// There while the call is a job. Locked before the slot, where both are.
    submission: Mutex<Option<Submission>>,
    interrupter: Option<&'static dyn Interrupter>,
    pub(crate) traced: Traced,
}

/// What the task holds of a lent call.
struct Slot<T> {
    /// There until the call ends or goes back to its owner.
    work: Option<Work<T>>,
    /// There once the call has ended, until its owner takes it.
    result: Option<Outcome<T>>,
    /// Whether that is or was a failure.
    has_failed: bool,
}

impl<T> Slot<T> {
    fn put_result(&mut self, result: Outcome<T>) {
        self.has_failed = result.is_err();
        self.result = Some(result);
    }
}

/// A call that has not ended, with the exclusive right to step it.
pub(crate) struct Work<T> {
    future: Pin<Box<dyn std::future::Future<Output = Outcome<T>> + Send>>,
    seen: WakeCount,
}

/// What one step came to.
pub(crate) enum Progress<T> {
    Done(Outcome<T>),
    Yielded,
    Waiting,
}

pin_project_lite::pin_project! {
    /// Work that may panic, as work that gives the panic as its error, and that holds nothing any more once it is ready.
    struct CatchUnwind<F> {
        #[pin]
        work: Option<F>,
    }
}

impl<T, F: std::future::Future<Output = Result<T, Error>>> std::future::Future for CatchUnwind<F> {
    type Output = Outcome<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let mut work = self.project().work;
        let polled = in_step(|| {
            let polled = work.as_mut().as_pin_mut()?.poll(context);
            if polled.is_ready() {
                work.set(None);
            }
            Some(polled)
        });
        match polled {
            Ok(Some(polled)) => polled.map_err(Box::new),
            Ok(None) => unreachable!("it is not polled again when it is ready"),
            Err(payload) => {
                drop_payload(in_step(|| work.set(None)));
                Poll::Ready(Err(Box::new(Error::Panic(Panic::new(payload)))))
            }
        }
    }
}

impl<T: Send + 'static> Work<T> {
    // A guest's stack is entered and left below this, which the processor's prediction of returns does not survive: each
    // frame from here to there costs a misprediction, more than what the frame does. Hence the inlining from `resume` to the
    // guest, with one dynamic call between.
    /// Polls the work, unless nothing has woken it since it was last polled.
    #[inline]
    pub(crate) fn step(&mut self, task: &Arc<Task<T>>) -> Progress<T> {
        let Some(seen) = task.state.woken_since(self.seen) else {
            return Progress::Waiting;
        };
        self.seen = seen;

        // Borrowed: making it costs nothing, and only whoever keeps it counts a reference.
        let waker = waker_ref(task);
        let mut context = Context::from_waker(&waker);
        match task.traced.step(|| self.future.as_mut().poll(&mut context)) {
            Poll::Pending if task.state.woken_since(seen).is_some() => Progress::Yielded,
            Poll::Pending => Progress::Waiting,
            Poll::Ready(outcome) => Progress::Done(outcome),
        }
    }

    /// Has nothing woken it since it was last polled?
    pub(crate) fn is_waiting(&self, task: &Task<T>) -> bool {
        task.state.woken_since(self.seen).is_none()
    }

    /// Drops the work, with all that the call holds.
    pub(crate) fn discard(self) {
        drop_payload(in_step(|| drop(self)));
    }
}

impl<T: Send + 'static> Task<T> {
    /// A new task, and the work that its owner has.
    #[inline]
    pub(crate) fn new<F>(
        work: F,
        interrupter: Option<&'static dyn Interrupter>,
        traced: Traced,
    ) -> (Arc<Self>, Work<T>)
    where
        F: std::future::Future<Output = Result<T, Error>> + Send + 'static,
    {
        let task = Arc::new(Self {
            state: State::new(),
            slot: Mutex::new(Slot { work: None, result: None, has_failed: false }),
            owner: Mutex::new(None),
            submission: Mutex::new(None),
            interrupter,
            traced,
        });
        // Straight into the box: a guest's call is some hundred bytes.
        let mut future = Box::pin(CatchUnwind { work: None });
        future.as_mut().project().work.set(Some(work));
        (task, Work { future, seen: WakeCount::NOTHING })
    }

    // The owner's side, while it has the call.

    /// The owner will sleep until `waker` is woken. False if it must not: a wake has come.
    pub(crate) fn park_owner(&self, work: &Work<T>, waker: &Waker) -> bool {
        self.register_owner(waker);
        self.state.park(work.seen) == Park::Parked
    }

    /// Puts the work here for a runner.
    pub(crate) fn lend(&self, work: Work<T>) {
        let waker = self.owner.lock().take();
        drop(waker);
        self.slot.lock().work = Some(work);
        self.state.lend();
    }

    /// The same for a call that has ended: its runner has nothing to do.
    pub(crate) fn lend_ended(&self, result: Outcome<T>) {
        self.slot.lock().put_result(result);
        self.state.lend_done();
    }

    // The owner's side, while the call is lent.

    pub(crate) fn lent(&self) -> Lent {
        self.state.lent()
    }

    /// The owner will sleep until the call is done or back, of which `waker` is told. The caller looks again after this.
    pub(crate) fn register_owner(&self, waker: &Waker) {
        // Out of the lock before it is dropped: it may be the last reference to anything.
        let other = self.owner.lock().replace(waker.clone());
        drop(other);
    }

    /// The work of a call that came back.
    pub(crate) fn take_back(&self) -> Option<Work<T>> {
        self.slot.lock().work.take()
    }

    /// The result of a call that is done.
    pub(crate) fn take_result(&self) -> Option<Outcome<T>> {
        self.slot.lock().result.take()
    }

    /// Ends a lent call, at once or at the next stop of the step that is in progress, which is made to come soon.
    pub(crate) fn cancel(self: &Arc<Self>) {
        self.cancelled(self.state.cancel());
    }

    fn cancelled(self: &Arc<Self>, cancel: Cancel) {
        match cancel {
            Cancel::End => self.end_cancelled(),
            Cancel::EndsAtNextStop => {
                if let Some(interrupter) = self.interrupter {
                    ignore_panic(|| interrupter.interrupt(self.clone()));
                }
            }
            Cancel::Over => {}
        }
    }

    // The runner's side.

    /// One step of a runner in its holder's hands. It never parks: its holder comes back, or drops it.
    pub(crate) fn step(self: &Arc<Self>) -> Step {
        let Start::Run = self.state.try_start() else {
            return Step::Done;
        };
        let progress = match &mut self.slot.lock().work {
            Some(work) => with_current_call(self.clone(), || work.step(self)),
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
        let mut place = self.submission.lock();
        if self.state.lent() == Lent::Done {
            // It had ended when it was lent, or was cancelled while the runner was in somebody's hands.
            drop(place);
            let has_failed = self.slot.lock().has_failed;
            submission.complete(has_failed);
        } else {
            *place = Some(submission);
        }
    }

    /// The work stays in the slot; the owner, if it waits, goes on with it itself.
    pub(crate) fn give_back(&self) {
        let submission = {
            let mut submission = self.submission.lock();
            // Under the lock: the handle of a job that is over cancels nothing.
            match self.state.give_back() {
                GiveBack::Back => submission.take(),
                GiveBack::Cancelled => return,
            }
        };
        self.wake_owner();
        if let Some(submission) = submission {
            submission.complete(true);
        }
    }

    fn end_cancelled(&self) {
        self.end(Err(Box::new(Error::Cancelled)));
    }

    /// Ends a lent call. Only whoever is in charge of it calls this, once.
    pub(crate) fn end(&self, result: Outcome<T>) {
        // Before anyone is told: whatever the call held, an instance for one, is free by then.
        let work = self.slot.lock().work.take();
        if let Some(work) = work {
            work.discard();
        }
        let ending = Ending::of(&result);
        let (submission, has_failed, unwanted, ending) = {
            let mut submission = self.submission.lock();
            let mut slot = self.slot.lock();
            let (result, unwanted, ending) = match self.state.finish() {
                Finish::Delivered => (result, None, ending),
                Finish::Cancelled => {
                    (Err(Box::new(Error::Cancelled)), Some(result), Ending::cancelled())
                }
            };
            slot.put_result(result);
            (submission.take(), slot.has_failed, unwanted, ending)
        };
        self.traced.ended(ending);
        ignore_panic(|| drop(unwanted));
        self.wake_owner();
        if let Some(submission) = submission {
            submission.complete(has_failed);
        }
    }

    fn wake_owner(&self) {
        let owner = self.owner.lock().take();
        if let Some(waker) = owner {
            ignore_panic(|| waker.wake());
        }
    }
}

impl<T: Send + 'static> Turn for Task<T> {
    /// Steps while the call yields and its quantum lasts.
    fn turn(self: Arc<Self>) -> Option<Job> {
        let Start::Run = self.state.try_start() else { return None };
        self.traced.turned();
        let mut quantum = Quantum::default();
        loop {
            let mut slot = self.slot.lock();
            let Some(work) = &mut slot.work else {
                unreachable!("a call that may start has its work");
            };
            let progress = with_current_call(self.clone(), || {
                loop {
                    match work.step(&self) {
                        Progress::Yielded if quantum.lasts() && !self.state.is_cancelled() => {}
                        progress => break progress,
                    }
                }
            });
            let seen = work.seen;
            // Out of the slot before the transition: from then on, somebody else may be in charge.
            drop(slot);
            match progress {
                Progress::Done(outcome) => self.end(outcome),
                Progress::Yielded => match self.state.stop() {
                    Stop::Stopped => return Some(Job::new(self)),
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

    fn spawn(&self) -> Option<Spawn> {
        self.submission.lock().as_ref().map(Submission::spawn)
    }

    fn cancel(self: Arc<Self>, job: &Submitted) {
        let cancel = {
            let submission = self.submission.lock();
            match &*submission {
                Some(submission) if submission.is_of(job) => self.state.cancel(),
                _ => Cancel::Over,
            }
        };
        self.cancelled(cancel);
    }

    fn refuse(self: Arc<Self>) {
        if let Start::Run = self.state.try_start() {
            self.end(Err(Box::new(Error::DependencyFailed)));
        }
    }

    fn give_back(&self) {
        self.give_back();
    }
}

impl<T: Send + 'static> Interruptible for Task<T> {
    fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    fn has_ended(&self) -> bool {
        self.state.lent() == Lent::Done
    }
}

impl<T: Send + 'static> ArcWake for Task<T> {
    #[inline]
    fn wake_by_ref(task: &Arc<Self>) {
        match task.state.wake() {
            Wake::Noted => {}
            Wake::Owner => {
                task.traced.woken();
                task.wake_owner();
            }
            Wake::Enqueue => {
                task.traced.woken();
                if let Some(spawn) = Turn::spawn(&**task) {
                    // If that panics, the job is dropped, and so given back.
                    ignore_panic(|| spawn(Job::new(task.clone())));
                }
            }
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("state", &self.state).finish_non_exhaustive()
    }
}
