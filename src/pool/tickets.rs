//! [`Queue`]: the jobs of a pool whose workers have other work too, and the tickets that bring workers to it.
//!
//! Such a pool runs what is spawned on it in an order of its own, which may be last in, first out. A job that was spawned again after each
//! turn could keep its worker for good. Therefore jobs have a queue of their own, and only *tickets* are spawned on the pool: a worker that
//! runs a ticket serves the queue for a while, and then has its ticket spawned again, behind everything else.
//!
//! # The protocol
//!
//! A **permit** is the right to a ticket. Each permit is in one place: in the pool as a ticket, with the requeuer on its way there, or
//! with a worker that serves. There are at most `workers + 1`. When every worker serves with a permit, the last one, the *spare*, is still
//! in the pool. A worker in a turn may block in a way that only the pool knows of (a host function calls `rayon::join`, or waits for another
//! pool). While it does, the pool has it run what is spawned: the spare.
//!
//! What must hold: **a job in the queue is found**, even if every worker that is in a turn is blocked until that job is run. Either some permit
//! will still look at the queue, or a worker that waits for a job and sleeps, a *helper*, is woken for it. Three parties decide on what they
//! read of each other:
//!
//! | party | writes | fence | then reads |
//! |---|---|---|---|
//! | `put` | the job, into `jobs` | SeqCst | `is_served`: if false, takes the lock, wakes the helpers, sends a ticket if not all are out |
//! | a server that gives its permit up | `is_served = false`, under the lock | SeqCst | `jobs`: if there is one, it keeps the permit |
//! | a helper that goes to sleep | itself into `helpers`, `is_served = false`, under the lock | SeqCst | `jobs`: if there is one, it does not sleep |
//!
//! While `is_served` is true, all permits are out and no helper is registered. To keep that true, a thread that changes the flag, the number of
//! permits that are out or the helpers holds the lock from the write of the flag to the change that goes with it. `put` reads the flag without
//! the lock, and may read an old value; that is what the fences are for.
//!
//! Take a `put`, and another party that gives its permit up or falls asleep. Of their fences, one comes first in the order of all SeqCst
//! fences.
//!
//! - If `put`'s is first, the other party finds the job, or another thread has taken it.
//! - If the other party's is first, `put` reads its `false`, or a later value.
//!   - If `put` reads `false`, it takes the lock. It wakes the helpers that are registered, and the permit that was given up is sent again, unless
//!     others have sent it.
//!   - If it reads `true`, that was written by another `put`, under the lock, after the other party had let go of the lock. That `put` has woken
//!     the helper, and has sent the permit again. The ticket looks at the queue when it is run, and finds the job that was there by then; for a
//!     job that comes later, the argument begins anew at the ticket's own giving up.
//!
//! A helper that is woken may leave, because what it waits for is over, without a look at the queue. So `put` wakes all helpers, and those
//! that stay look. A helper that has taken a job which yields puts it back by a `put`, because it may leave then; so does a server in the last turn
//! of its ticket, because it has no permit any more. A server with a permit pushes the job back, and looks again.
//!
//! A permit is not lost with its ticket. If a server panics, its permit is given up, and the queue is served as after a `put`. If the pool drops a
//! ticket, the permit is given up alone: such a pool has ended, or is served again by the next `put`.
//!
//! The models in `loom-tests/tests/tickets.rs` run this on one and two workers, and each rule above was seen to fail there when it is broken.

use crate::call::turn::Job;
use crate::step::interrupt::is_in_step;
use crate::sync::{AtomicBool, Mutex, SegQueue, Stopwatch, fence};
use crate::wait::block::{Sleeper, Wanted};
use crate::wait::waiters::{Waiters, wake_all};
use std::fmt;
use std::hint;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::Duration;

/// What a queue needs of its pool.
pub trait Workers: Clone + Send + Sync + 'static {
    /// Has a worker run a ticket, after what was spawned before. Any thread calls this.
    fn spawn(&self, ticket: impl FnOnce() + Send + 'static);

    /// Spawns a ticket that this worker of the pool has held until now, behind everything else. It does not wait for that.
    fn spawn_again(&self, ticket: impl FnOnce() + Send + 'static);

    /// How many workers there are.
    fn count(&self) -> usize;

    /// May a worker that has served for this time take another job with the same ticket?
    fn serves_on(&self, time: Duration) -> bool;
}

/// The jobs of a pool that wait for a turn.
#[derive(Default)]
pub struct Queue {
    jobs: SegQueue<Job>,
    /// True only if all permits are out and no helper is registered. Then there is nothing to do for a job that is put here, and no lock to
    /// take. It changes under the lock of the permits.
    is_served: AtomicBool,
    permits: Mutex<Permits>,
}

#[derive(Default)]
struct Permits {
    /// The number of permits that are out.
    out: usize,
    /// Workers that wait for a job, and sleep because the queue is empty. They could run a job that is put there.
    helpers: Waiters<()>,
}

/// The right to a ticket. Dropping it gives it up.
struct Permit<W: Workers> {
    queue: Arc<Queue>,
    workers: W,
    /// False once the permit was given up.
    is_held: bool,
}

/// The number of jobs at the front of the queue among which a worker looks for the one that it waits for.
const SEARCHED: usize = 32;

/// How often a server that finds no job looks again before it gives its permit up, and how many spin-loop hints it spends before each
/// look: some microseconds in all. The next job often comes soon, from a thread that submits one after another, and a new ticket would cost
/// that thread more than making the job does. Looking without pauses would slow that thread down too, because it writes where the server
/// looks.
const LOOKS: u32 = if cfg!(wasm_jobs_loom) { 0 } else { 4 };
const PAUSES: u32 = 64;

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl Queue {
    /// Puts a job at the back.
    pub fn put<W: Workers>(self: &Arc<Self>, job: Job, workers: &W) {
        self.jobs.push(job);
        fence(SeqCst);
        // Relaxed, like every access to it, because the fences order them: see the table above.
        if !self.is_served.load(Relaxed) {
            self.send_ticket(workers);
        }
    }

    /// Wakes the helpers, and sends a ticket if a permit is left.
    fn send_ticket<W: Workers>(self: &Arc<Self>, workers: &W) {
        let most = workers.count() + 1;
        let mut permits = self.permits.lock();
        let helpers = permits.helpers.release(());
        let is_left = permits.out < most;
        permits.out += usize::from(is_left);
        self.is_served.store(permits.out == most, Relaxed);
        drop(permits);
        wake_all(helpers);
        if is_left {
            let permit = Permit { queue: self.clone(), workers: workers.clone(), is_held: true };
            workers.spawn(|| permit.serve());
        }
    }

    /// Makes later `put`s take the lock, and then returns whether the queue is empty. The caller holds the lock.
    fn unmark_served_and_is_empty(&self, _: &Permits) -> bool {
        self.is_served.store(false, Relaxed);
        fence(SeqCst);
        self.jobs.is_empty()
    }

    /// Called by a worker that waits. It gives a job that is [`Wanted`] a turn. If there is none, it sleeps until its wait is over or a job
    /// comes.
    pub(crate) fn help<W: Workers>(
        self: &Arc<Self>,
        workers: &W,
        sleeper: &Sleeper,
        wanted: Wanted,
    ) {
        if let Some(job) = self.take(wanted) {
            return self.take_turn(job, workers);
        }
        let (is_empty, key) = {
            let mut permits = self.permits.lock();
            let key = permits.helpers.add((), sleeper.waker().clone());
            (self.unmark_served_and_is_empty(&permits), key)
        };
        // A queue of closures is as good as empty for a worker that wants turns.
        let job = if is_empty { None } else { self.take_turns(wanted) };
        if is_empty || (job.is_none() && wanted.is_turns()) {
            sleeper.sleep();
        }
        let helper = self.permits.lock().helpers.remove(key);
        drop(helper);
        if let Some(job) = job {
            self.take_turn(job, workers);
        }
    }

    fn take_turn<W: Workers>(self: &Arc<Self>, job: Job, workers: &W) {
        if let Some(job) = job.turn() {
            self.put(job, workers);
        }
    }

    fn take(&self, wanted: Wanted) -> Option<Job> {
        match wanted {
            Wanted::Any => self.jobs.pop(),
            Wanted::Job(address) => {
                let found = self.find(SEARCHED, |job| job.address() == Some(address));
                found.or_else(|| self.jobs.pop())
            }
            #[cfg(any(feature = "wasm", wasm_jobs_loom))]
            Wanted::Turns => self.find(usize::MAX, Job::is_of_a_call),
        }
    }

    /// Takes a job for a worker that wants turns only.
    fn take_turns(&self, wanted: Wanted) -> Option<Job> {
        if wanted.is_turns() { self.take(wanted) } else { None }
    }

    /// Takes the first of the first `most` jobs that `is_wanted`.
    fn find(&self, most: usize, is_wanted: impl Fn(&Job) -> bool) -> Option<Job> {
        // Under the lock, so that the queue is not taken for empty while a job is out that will be pushed back. (It would be found all the same,
        // because each helper that has a job out takes one after that.)
        let _permits = self.permits.lock();
        // Each job that is passed over goes to the back.
        for _ in 0..self.jobs.len().min(most) {
            let job = self.jobs.pop()?;
            if is_wanted(&job) {
                return Some(job);
            }
            self.jobs.push(job);
        }
        None
    }
}

impl<W: Workers> Permit<W> {
    /// Serves the queue: what a worker does with a ticket.
    fn serve(mut self) {
        let since = Stopwatch::start();
        // Inside a step, a host function is waiting for this pool. One turn, so that it is not held up for longer.
        let is_nested = is_in_step();
        while let Some(job) = self.next(if is_nested { 0 } else { LOOKS }) {
            if is_nested || !self.workers.serves_on(since.elapsed()) {
                // The ticket is sent before the last turn and not after it, so that it is in the pool when this worker returns there.
                let (queue, workers) = (self.queue.clone(), self.workers.clone());
                workers.spawn_again(|| self.serve());
                if let Some(job) = job.turn() {
                    queue.put(job, &workers);
                }
                return;
            }
            if let Some(job) = job.turn() {
                self.queue.jobs.push(job);
            }
        }
    }

    /// Takes the next job. If there is none, gives the permit up and returns `None`.
    fn next(&mut self, mut looks: u32) -> Option<Job> {
        loop {
            match self.queue.jobs.pop() {
                Some(job) => return Some(job),
                None if looks > 0 => {
                    looks -= 1;
                    (0..PAUSES).for_each(|_| hint::spin_loop());
                }
                None if self.try_give_up() => return None,
                None => {}
            }
        }
    }

    /// Gives the permit up and returns true, unless a job has come: its `put` may have sent no ticket, because this permit was out.
    fn try_give_up(&mut self) -> bool {
        let mut permits = self.queue.permits.lock();
        if self.queue.unmark_served_and_is_empty(&permits) {
            permits.out -= 1;
            self.is_held = false;
        }
        !self.is_held
    }
}

/// Gives the permit up if a ticket panics, or if the pool drops it.
impl<W: Workers> Drop for Permit<W> {
    fn drop(&mut self) {
        if mem::take(&mut self.is_held) {
            let mut permits = self.queue.permits.lock();
            permits.out -= 1;
            let is_empty = self.queue.unmark_served_and_is_empty(&permits);
            drop(permits);
            // Only after a panic: a pool that drops tickets has ended, and serves nothing.
            if !is_empty && thread::panicking() {
                self.queue.send_ticket(&self.workers);
            }
        }
    }
}
