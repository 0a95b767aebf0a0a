//! [`JobPool`] for rayon's pools.
//!
//! A worker of rayon runs what it has spawned itself before it looks at what comes from outside, so a job that went
//! back to rayon after each turn would keep its worker for good. Therefore the jobs of a pool have a queue of their own, and
//! what rayon gets is tickets: "serve the queue". There are never fewer tickets, on their way or being served between two
//! turns, than jobs in the queue, so that no job is left there while a worker sleeps; and a worker that serves the queue
//! lets rayon run something else after each turn, so that other work of the pool gets its share.

use super::{Job, JobPool};
use ::rayon::ThreadPool;
use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::{Arc, Weak};

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

static GLOBAL: Queue = Queue::new();

/// The queues of the other pools.
static OTHERS: Mutex<Vec<(Weak<ThreadPool>, Arc<Queue>)>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this worker serves a queue already, further out.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

impl JobPool for RayonGlobal {
    fn spawn(&self, job: Job) {
        GLOBAL.push(job);
        ::rayon::spawn_fifo(|| serve(&GLOBAL, &RayonGlobal));
    }
}

impl JobPool for Arc<ThreadPool> {
    fn spawn(&self, job: Job) {
        let (pool, queue) = (self.clone(), queue_of(self));
        queue.push(job);
        self.spawn_fifo(move || serve(&queue, &pool));
    }
}

fn queue_of(pool: &Arc<ThreadPool>) -> Arc<Queue> {
    let mut queues = OTHERS.lock();
    if let Some((_, queue)) = queues.iter().find(|(of, _)| of.as_ptr() == Arc::as_ptr(pool)) {
        return queue.clone();
    }
    queues.retain(|(of, _)| of.strong_count() > 0);
    let queue = Arc::new(Queue::new());
    queues.push((Arc::downgrade(pool), queue.clone()));
    queue
}

/// What a ticket does.
fn serve(queue: &Queue, pool: &impl JobPool) {
    let nested = SERVING.replace(true);
    while let Some(job) = queue.pop() {
        let again = job.turn();
        if nested {
            // A ticket for a turn: who knows when the worker gets back to where it serves the queue.
            if let Some(job) = again {
                pool.spawn(job);
            }
            break;
        }
        if let Some(job) = again {
            queue.push(job);
        }
        ::rayon::yield_now();
    }
    SERVING.set(nested);
}
