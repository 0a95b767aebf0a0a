//! [`Task`]: what a [`Future`](crate::Future) and its runner share. The [`Work`] of a call passes between the two.
//!
//! The `Future` owns the work until it lends the call. Then the work is in the task's slot, where each turn finds it. Only the thread that
//! the [state](crate::call::state) puts in charge touches the slot: a turn that has started, the canceller that ends the call, or the owner
//! once the call is done or back.
//!
//! The work always has the same waker, the task. When a wake comes, the task passes it on: to the owner, to the pool's queue, or to nobody,
//! if a step is due anyway.

use crate::call::spare::{self, SpareArc};
use crate::call::state::{
    Cancelling, Custody, Finish, GiveBack, Park, Start, State, Stop, Wake, WakeCount,
};
use crate::call::step::Step;
use crate::call::turn::{Cancel, Job, Quantum, Runnable, Schedule};
use crate::call::work::{Progress, Steps, Work};
use crate::error::Error;
use crate::outcome::{JobOutcome, Outcome};
use crate::step::interrupt::{Interrupter, Interruptible, with_current_call};
use crate::step::stack::StackScope;
use crate::sync::{Exclusive, Mutex};
use crate::trace::{Ending, Traced};
use crate::unwind::ignore_panic;
use crate::wait::latch::Latch;
use crate::wait::ready::run_foreign;
use futures_task::{ArcWake, waker_ref};
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

pub(crate) struct Task<T> {
    pub(super) state: State,
    slot: Exclusive<Slot<T>>,
    /// The owner's waker, while the owner waits: for a wake of its call, or for a lent call to end or come back.
    owner: Mutex<Option<Waker>>,
    /// `Some` while the call is a job. Under this lock, a call stops being a job at the moment that it ends or goes back to its owner.
    pub(super) schedule: Mutex<Option<Arc<dyn Schedule>>>,
    interrupter: Option<&'static dyn Interrupter>,
    pub(crate) traced: Traced,
}

/// What the task holds of a lent call.
struct Slot<T> {
    /// `Some` until the call ends or its owner takes it back.
    work: Option<Work<T>>,
    /// `Some` once the call has ended, until its owner takes it.
    result: Option<Outcome<T>>,
}

impl<T: Send + 'static> Task<T> {
    /// Makes a task, and the work, which its owner keeps.
    #[inline]
    pub(crate) fn new<E, F>(
        work: F,
        interrupter: Option<&'static dyn Interrupter>,
        traced: Traced,
    ) -> (SpareArc<Self>, Work<T>)
    where
        E: Into<Box<Error>> + 'static,
        F: std::future::Future<Output = Result<T, E>> + Send + 'static,
    {
        let task = Self::renewed(interrupter).unwrap_or_else(|| {
            Arc::new(Self {
                state: State::new(),
                slot: Exclusive::new(Slot { work: None, result: None }),
                owner: Mutex::new(None),
                schedule: Mutex::new(None),
                interrupter,
                traced,
            })
        });
        (SpareArc::new(task), Work::new(work))
    }

    /// The spare task of this thread, as good as new. The slot is empty, and so are the places of the owner's waker and the schedule:
    /// see [`Future`](crate::Future)'s destructor.
    #[inline]
    fn renewed(interrupter: Option<&'static dyn Interrupter>) -> Option<Arc<Self>> {
        // A task keeps the name that the trace gave it.
        let is_kept =
            spare::is_kept::<Self>() && !cfg!(any(feature = "explore", feature = "tracing"));
        let task: Arc<Self> = if is_kept { spare::take()? } else { return None };
        let address = |of: Option<&'static dyn Interrupter>| of.map(|of| ptr::from_ref(of).addr());
        let is_alike = address(task.interrupter) == address(interrupter);
        is_alike.then(|| {
            task.state.renew();
            task
        })
    }

    /// Takes a step of the call's work, or those of a turn, unless nothing has woken it since its last step.
    #[inline(always)]
    pub(crate) fn step_work(
        self: &Arc<Self>,
        work: &mut Work<T>,
        quantum: Option<&mut Quantum>,
    ) -> Progress<T> {
        if !work.note_wakes(&self.state) {
            return Progress::Waiting;
        }
        // A borrowed waker costs nothing: only a clone of it counts a reference.
        let waker = waker_ref(self);
        work.step(Steps { state: &self.state, traced: &self.traced, waker: &waker, quantum })
    }

    // The owner's side, while it has the call.

    /// Has nothing woken the call since its last step?
    pub(crate) fn is_waiting(&self, work: &Work<T>) -> bool {
        work.is_waiting(&self.state)
    }

    /// The owner is about to sleep until `waker` is woken. False if it must not sleep, because a wake has come.
    pub(crate) fn park_owner(&self, work: &Work<T>, waker: &Waker) -> bool {
        self.register_owner(waker);
        matches!(self.state.park(work.seen()), Park::Parked | Park::Watched)
    }

    /// Puts the work here for a runner.
    pub(crate) fn lend(&self, work: Work<T>) {
        self.forget_owner();
        self.slot.access().work = Some(work);
        self.state.lend();
    }

    /// Puts the result of a call that has ended here. Its runner will have nothing to do.
    pub(crate) fn lend_ended(&self, result: Outcome<T>) {
        let outcome = JobOutcome::of(&result);
        self.slot.access().result = Some(result);
        self.state.lend_done(outcome);
    }

    // The owner's side, while the call is lent.

    pub(crate) fn custody(&self) -> Custody {
        self.state.custody()
    }

    /// Wakes `waker` once the call is done or back. The caller checks again after this whether it already is.
    pub(crate) fn register_owner(&self, waker: &Waker) {
        // Cloned and dropped without the lock, because both are foreign code.
        let waker = waker.clone();
        let other = self.owner.lock().replace(waker);
        drop(other);
    }

    /// The owner no longer waits.
    pub(crate) fn forget_owner(&self) {
        let waker = self.owner.lock().take();
        drop(waker);
    }

    /// Takes the work of a call that came back.
    pub(crate) fn take_back(&self) -> Option<Work<T>> {
        self.slot.access().work.take()
    }

    /// Takes the result of a call that is done.
    pub(crate) fn take_result(&self) -> Option<Outcome<T>> {
        self.slot.access().result.take()
    }

    /// Cancels a lent call. It ends at once, or at the end of the step in progress, which is interrupted.
    pub(crate) fn cancel_lent(self: &Arc<Self>) {
        self.follow_up(self.state.cancel());
    }

    /// Does what is left to do after the state has been cancelled.
    fn follow_up(self: &Arc<Self>, cancelling: Cancelling) {
        match cancelling {
            Cancelling::End => self.end_cancelled(),
            Cancelling::EndsAtNextStop => {
                if let Some(interrupter) = self.interrupter {
                    ignore_panic(|| interrupter.interrupt(self.clone()));
                }
            }
            Cancelling::Over => {}
        }
    }

    // The runner's side.

    /// Takes one step for a runner that is resumed by hand. It never parks, because the runner's holder resumes it again or drops it.
    pub(crate) fn step(self: &Arc<Self>) -> Step {
        let Start::Run = self.state.try_start() else {
            return Step::Done;
        };
        let step = match self.take_steps(None).0 {
            Progress::Done(result) => {
                self.end(result);
                return Step::Done;
            }
            Progress::Yielded => Step::Yielded,
            Progress::Waiting => Step::Waiting,
        };
        if self.stop_or_end() { step } else { Step::Done }
    }

    /// Takes a step of a call that has started, or those of a turn.
    fn take_steps(self: &Arc<Self>, quantum: Option<&mut Quantum>) -> (Progress<T>, WakeCount) {
        let mut slot = self.slot.access();
        let Some(work) = &mut slot.work else {
            unreachable!("a call that may start has its work");
        };
        let progress = with_current_call(self.clone(), || self.step_work(work, quantum));
        (progress, work.seen())
    }

    /// Stops a call that has started. If it was cancelled meanwhile, ends it and returns false.
    fn stop_or_end(&self) -> bool {
        match self.state.stop() {
            Stop::Stopped => true,
            Stop::Cancelled => {
                self.end_cancelled();
                false
            }
        }
    }

    /// Makes a lent call a job.
    pub(crate) fn submit(&self, schedule: Arc<dyn Schedule>) {
        let mut place = self.schedule.lock();
        if let Some(outcome) = self.state.outcome() {
            // The call ended before it was lent, or was cancelled before its runner was submitted.
            drop(place);
            complete(schedule, outcome);
        } else {
            *place = Some(schedule);
        }
    }

    /// Gives the call back to its owner, and wakes the owner. The work stays in the slot until the owner takes it back.
    pub(crate) fn return_to_owner(&self) {
        let schedule = {
            let mut schedule = self.schedule.lock();
            // Under the lock, so that the handle of this job, which is over now, cannot cancel the call.
            match self.state.give_back() {
                GiveBack::Back => schedule.take(),
                GiveBack::Cancelled => return,
            }
        };
        self.wake_owner();
        if let Some(schedule) = schedule {
            complete(schedule, JobOutcome::Cancelled);
        }
    }

    fn end_cancelled(&self) {
        self.end(Err(Box::new(Error::Cancelled)));
    }

    /// Ends a lent call. Only the thread that is in charge calls this, once.
    fn end(&self, result: Outcome<T>) {
        let outcome = JobOutcome::of(&result);
        let ending = Ending::of(&result);
        // The work is dropped before anything is notified, so that what the call held, such as an instance, is free by then.
        let work = {
            let mut slot = self.slot.access();
            slot.result = Some(result);
            slot.work.take()
        };
        if let Some(work) = work {
            work.discard();
        }
        let (schedule, unwanted) = {
            let mut schedule = self.schedule.lock();
            let unwanted = match self.state.finish(outcome) {
                Finish::Delivered => None,
                Finish::Cancelled => {
                    let cancelled = Err(Box::new(Error::Cancelled));
                    let unwanted = self.slot.access().result.replace(cancelled);
                    self.state.finish_cancelled();
                    unwanted
                }
            };
            (schedule.take(), unwanted)
        };
        let (outcome, ending) = match unwanted {
            Some(_) => (JobOutcome::Cancelled, Ending::cancelled()),
            None => (outcome, ending),
        };
        self.traced.ended(ending);
        run_foreign(|| drop(unwanted));
        self.wake_owner();
        if let Some(schedule) = schedule {
            complete(schedule, outcome);
        }
    }

    fn wake_owner(&self) {
        let owner = self.owner.lock().take();
        if let Some(waker) = owner {
            run_foreign(|| waker.wake());
        }
    }
}

/// Completes the handle of a job, and drops its way into the pool.
fn complete(schedule: Arc<dyn Schedule>, outcome: JobOutcome) {
    schedule.latch().complete(outcome);
    run_foreign(|| drop(schedule));
}

impl<T: Send + 'static> Runnable for Task<T> {
    /// Steps while the call yields and its quantum lasts.
    fn turn(self: Arc<Self>) -> Option<Job> {
        let Start::Run = self.state.try_start() else { return None };
        // Its steps may be on a guest's stack, where no other job is to run.
        let _scope = StackScope::end();
        self.traced.turned();
        let mut quantum = Quantum::default();
        loop {
            // `take_steps` releases the slot before the transition, because after it another thread may be in charge.
            let (progress, seen) = self.take_steps(Some(&mut quantum));
            match progress {
                Progress::Done(outcome) => {
                    self.end(outcome);
                    return None;
                }
                Progress::Yielded => return self.stop_or_end().then(|| Job::new(self)),
                Progress::Waiting => match self.state.park(seen) {
                    Park::Parked => return None,
                    Park::Watched => return self.notify_observers(),
                    // Such a wake counts as a yield. Otherwise a call that is woken all the time would keep its worker.
                    Park::Woken if quantum.lasts() => {}
                    Park::Woken => return self.stop_or_end().then(|| Job::new(self)),
                    Park::Cancelled => {
                        self.end_cancelled();
                        return None;
                    }
                },
            }
        }
    }

    fn give_back(&self) {
        self.return_to_owner();
    }

    fn refuse(self: Arc<Self>) {
        if let Start::Run = self.state.try_start() {
            self.end(Err(Box::new(Error::DependencyFailed)));
        }
    }

    #[cfg(feature = "explore")]
    fn name(&self) -> Option<String> {
        self.traced.name()
    }

    fn schedule(&self) -> Option<Arc<dyn Schedule>> {
        self.schedule.lock().clone()
    }
}

impl<T: Send + 'static> Cancel for Task<T> {
    fn cancel(self: Arc<Self>, latch: &Latch) {
        if let Some(cancelling) = self.look_as(latch, State::cancel) {
            self.follow_up(cancelling);
        }
    }
}

impl<T: Send + 'static> Interruptible for Task<T> {
    fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    fn has_ended(&self) -> bool {
        self.state.custody() == Custody::Done
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
                if let Some(schedule) = task.schedule() {
                    // If `enqueue` panics, the job is dropped, and so given back.
                    ignore_panic(move || schedule.enqueue(Job::new(task.clone())));
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
