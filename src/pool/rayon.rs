//! [`JobPool`] for rayon's pools.
//!
//! A worker of rayon runs what it has spawned itself before it looks at what comes from outside, so a job that went
//! back to rayon after each turn would keep its worker for good. Therefore the jobs of a pool have a queue of their own, and
//! what rayon gets is tickets: "serve the queue". There are never fewer tickets, on their way or between two turns of being
//! served, than jobs in the queue, so that no job is left there while a worker sleeps.
//!
//! A worker that serves the queue lets rayon run something else after each turn, so that other work of the pool gets its
//! share. And it stops after a number of turns, with a new ticket in the place of the old: it may have got the ticket while it
//! was waiting for something in the pool, which has happened by now.

use super::{Job, JobPool};
use crate::task::inside_a_step;
use ::rayon::ThreadPool;
use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::{Arc, LazyLock, Weak};

/// Rayon's global pool, as a [`JobPool`]. `Arc<rayon::ThreadPool>` is one too.
///
/// # Host functions that use rayon
///
/// While a host function waits for its worker's pool, in `rayon::join` for one, rayon has the worker run other things.
///
/// - A job that is run meanwhile has a stack of its own, never that of the guest that called the host function. The host
///   function is held up for as long as a turn of that job lasts.
/// - The closures of a `join`, and what else rayon runs, do run on the stack of the guest. Leave room for it
///   (`EngineOptions::host_stack`): running out of it aborts the process.
/// - Do not hold a lock while waiting that another job's host functions take: that job may be run in between, by
///   this very thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayonGlobal;

/// The jobs of a pool that can have a turn, the one that has waited longest in front.
type Queue = SegQueue<Job>;

static GLOBAL: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);

/// The queues of the other pools.
static OTHERS: Mutex<Vec<(Weak<ThreadPool>, Arc<Queue>)>> = Mutex::new(Vec::new());

/// How many turns a ticket is good for: about a millisecond, if they are long ones.
const TURNS: u32 = 20;

thread_local! {
    /// Whether this worker serves a queue already, further out.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

impl JobPool for RayonGlobal {
    fn spawn(&self, job: Job) {
        put(self, GLOBAL.clone(), job);
    }
}

impl JobPool for Arc<ThreadPool> {
    fn spawn(&self, job: Job) {
        put(self, queue_of(self), job);
    }
}

trait Rayon: JobPool {
    fn send(&self, ticket: impl FnOnce() + Send + 'static);
}

impl Rayon for RayonGlobal {
    fn send(&self, ticket: impl FnOnce() + Send + 'static) {
        ::rayon::spawn_fifo(ticket);
    }
}

impl Rayon for Arc<ThreadPool> {
    fn send(&self, ticket: impl FnOnce() + Send + 'static) {
        self.spawn_fifo(ticket);
    }
}

fn queue_of(pool: &Arc<ThreadPool>) -> Arc<Queue> {
    let mut queues = OTHERS.lock();
    if let Some((_, queue)) = queues.iter().find(|(of, _)| of.as_ptr() == Arc::as_ptr(pool)) {
        return queue.clone();
    }
    queues.retain(|(of, _)| of.strong_count() > 0);
    let queue = Arc::<Queue>::default();
    queues.push((Arc::downgrade(pool), queue.clone()));
    queue
}

fn put(pool: &impl Rayon, queue: Arc<Queue>, job: Job) {
    queue.push(job);
    send_ticket(pool.clone(), queue);
}

fn send_ticket(pool: impl Rayon, queue: Arc<Queue>) {
    pool.clone().send(move || serve(pool, queue));
}

/// What a ticket does.
fn serve(pool: impl Rayon, queue: Arc<Queue>) {
    if SERVING.get() || inside_a_step() {
        // The worker waits for something that this holds up. A ticket for a turn, then.
        if let Some(job) = queue.pop().and_then(Job::turn) {
            put(&pool, queue, job);
        }
        return;
    }
    SERVING.set(true);
    for _ in 0..TURNS {
        let Some(job) = queue.pop() else { break };
        if let Some(job) = job.turn() {
            queue.push(job);
        }
        ::rayon::yield_now();
    }
    SERVING.set(false);
    if !queue.is_empty() {
        send_ticket(pool, queue);
    }
}
