//! [`JobPool`] for rayon's pools: finds the [`Queue`] of a pool, and the pool of a worker.

use crate::call::turn::Job;
use crate::pool::JobPool;
use crate::pool::tickets::{Queue, Workers};
use crate::wait::block::{Sleeper, Wanted, help_by};
use crate::wait::waiters::{Waiters, wake_all};
use parking_lot::Mutex;
use rayon::{ThreadPool, Yield};
use std::cell::{Cell, RefCell};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Once, Weak};
use std::thread;
use std::time::Duration;

/// Rayon's global pool, as a [`JobPool`]. `Arc<rayon::ThreadPool>` is one too.
///
/// Other work of the pool gets its share, however many jobs there are: it waits for two milliseconds at most, and for the turns that are in
/// progress then. One extra thread sees to this; while there are always jobs, it wakes about once in a millisecond.
///
/// wasmtime compiles modules on rayon's global pool. To configure that pool, call `rayon::ThreadPoolBuilder::build_global` before you compile
/// the first module. Afterwards the pool exists, and `build_global` fails.
///
/// # Host functions that use rayon
///
/// While a host function waits for its worker's pool, in `rayon::join` for instance, rayon has the worker run other work of the pool.
///
/// - A job that is run meanwhile has a stack of its own, never that of the guest that called the host function. It holds the host
///   function up for one turn.
/// - The closures of a `join`, and other work of rayon's, run on the stack of the guest. Leave room for them
///   (`EngineOptions::host_stack`): running out of it aborts the process.
/// - While waiting, do not hold a lock that the host functions of other jobs take: this very thread may run such a job.
/// - Do not block on a job's handle in a host function. Make the host function async, and await the handle.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayonGlobal;

impl JobPool for RayonGlobal {
    fn enqueue(&self, job: Job) {
        help_by(help);
        mark_global_workers();
        GLOBAL.put(job, self);
    }
}

impl JobPool for Arc<ThreadPool> {
    fn enqueue(&self, job: Job) {
        help_by(help);
        with_queue_of(self, |queue| queue.put(job, self));
    }
}

/// How long a worker serves the queue with one ticket, until its last turn begins. A new ticket costs some microseconds.
const SERVE_FOR: Duration = Duration::from_millis(1);

/// `rayon::spawn_fifo` and its like spawn on the pool of the worker that calls them, and on the global one if no worker does. So a worker that
/// may be another pool's has the requeuer call them.
impl Workers for RayonGlobal {
    fn spawn(&self, ticket: impl FnOnce() + Send + 'static) {
        let ticket = || {
            note_that_this_serves(Serves::Global);
            ticket();
        };
        if rayon::current_thread_index().is_none() || matches!(serves(), Serves::Global) {
            rayon::spawn_fifo(ticket);
        } else {
            REQUEUER.send(|| rayon::spawn_fifo(ticket));
        }
    }

    fn spawn_again(&self, ticket: impl FnOnce() + Send + 'static) {
        REQUEUER.send(|| rayon::spawn_fifo(ticket));
    }

    fn count(&self) -> usize {
        static WORKERS: LazyLock<usize> = LazyLock::new(|| {
            let count = thread::Builder::new().spawn(rayon::current_num_threads);
            count.ok().and_then(|count| count.join().ok()).unwrap_or(1)
        });
        *WORKERS
    }

    fn serves_on(&self, time: Duration) -> bool {
        time < SERVE_FOR
    }
}

impl Workers for Arc<ThreadPool> {
    fn spawn(&self, ticket: impl FnOnce() + Send + 'static) {
        self.spawn_fifo(ticket);
    }

    fn spawn_again(&self, ticket: impl FnOnce() + Send + 'static) {
        let pool = self.clone();
        REQUEUER.send(move || pool.spawn_fifo(ticket));
    }

    fn count(&self) -> usize {
        self.current_num_threads()
    }

    fn serves_on(&self, time: Duration) -> bool {
        time < SERVE_FOR
    }
}

static GLOBAL: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);

/// The pools other than the global one, and their queues.
static OTHERS: Mutex<Vec<Private>> = Mutex::new(Vec::new());

/// A pool other than the global one, and its queue.
#[derive(Clone)]
struct Private {
    pool: Weak<ThreadPool>,
    queue: Arc<Queue>,
}

thread_local! {
    /// The queue that this thread used last. With a reference to it counted for each job, all threads that submit would contend for the
    /// count.
    static LAST: Cell<Option<Private>> = const { Cell::new(None) };
}

fn with_queue_of(pool: &Arc<ThreadPool>, code: impl FnOnce(&Arc<Queue>)) {
    // `code` runs while the place is empty. A call of this inside it, or while the thread ends, searches all pools.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let found = last
        .filter(|last| last.pool.as_ptr() == Arc::as_ptr(pool))
        .unwrap_or_else(|| private(pool));
    code(&found.queue);
    let _ = LAST.try_with(|last| last.set(Some(found)));
}

/// Finds a pool among the known ones, or makes it known.
fn private(pool: &Arc<ThreadPool>) -> Private {
    let new = {
        let mut others = OTHERS.lock();
        if let Some(known) = others.iter().find(|known| known.pool.as_ptr() == Arc::as_ptr(pool)) {
            return known.clone();
        }
        others.retain(|known| known.pool.strong_count() > 0);
        let new = Private { pool: Arc::downgrade(pool), queue: Arc::default() };
        others.push(new.clone());
        new
    };
    wake_strangers();
    new
}

/// The queue that a worker serves, and may help with while it waits: that of its own pool, and no other.
#[derive(Clone)]
enum Serves {
    /// Not found out yet.
    Unknown,
    /// The worker's pool is neither the global one nor any that was known so far.
    Stranger,
    Global,
    Private(Private),
}

thread_local! {
    static SERVES: RefCell<Serves> = const { RefCell::new(Serves::Unknown) };
}

fn serves() -> Serves {
    SERVES.try_with(|serves| serves.borrow().clone()).unwrap_or(Serves::Stranger)
}

fn note_that_this_serves(queue: Serves) {
    let _ = SERVES.try_with(|serves| serves.replace(queue));
}

/// If this thread is a worker of rayon's, gives one job of its pool a turn, or sleeps. False if it is not.
fn help(sleeper: &Sleeper, wanted: Wanted) -> bool {
    if rayon::current_thread_index().is_none() {
        return false;
    }
    match find_out_what_this_serves() {
        Some(Serves::Global) => GLOBAL.help(&RayonGlobal, sleeper, wanted),
        Some(Serves::Private(own)) => match own.pool.upgrade() {
            Some(pool) => own.queue.help(&pool, sleeper, wanted),
            None => sleeper.sleep(),
        },
        Some(Serves::Stranger) => sleep_as_a_stranger(sleeper),
        // This worker has run other work of its pool. The caller checks again.
        Some(Serves::Unknown) | None => {}
    }
    true
}

/// Finds out which queue this worker serves. `None` if it had to run other work of its pool for that, and does not know yet.
fn find_out_what_this_serves() -> Option<Serves> {
    let known = serves();
    if let Serves::Global | Serves::Private(_) = known {
        return Some(known);
    }
    let own = OTHERS.lock().iter().find_map(|known| {
        let is_own = known.pool.upgrade()?.current_thread_index().is_some();
        is_own.then(|| Serves::Private(known.clone()))
    });
    let found = match (own, known) {
        (Some(own), _) => own,
        (None, Serves::Unknown) if STRANGERS.lock().global_is_marked => {
            // On a worker of the global pool, the closure that marks it is among the work spawned on this very thread.
            match rayon::yield_local() {
                Some(Yield::Executed) => return None,
                _ => Serves::Stranger,
            }
        }
        // No job has come to the global pool yet.
        (None, _) => return Some(Serves::Stranger),
    };
    note_that_this_serves(found.clone());
    Some(found)
}

/// Workers that wait, and whose pool is not known.
#[derive(Default)]
struct Strangers {
    sleepers: Waiters<()>,
    /// Does each worker of the global pool have the closure that marks it among its work, or has it run that?
    global_is_marked: bool,
}

static STRANGERS: LazyLock<Mutex<Strangers>> = LazyLock::new(Mutex::default);

/// Sleeps until the wait is over, or a pool becomes known, which may be this worker's.
fn sleep_as_a_stranger(sleeper: &Sleeper) {
    let key = STRANGERS.lock().sleepers.add((), sleeper.waker().clone());
    // Checked again, because a pool that became known before the sleeper was added has not woken it.
    if let Some(Serves::Stranger) = find_out_what_this_serves() {
        sleeper.sleep();
    }
    let sleeper = STRANGERS.lock().sleepers.remove(key);
    drop(sleeper);
}

fn wake_strangers() {
    let sleepers = STRANGERS.lock().sleepers.release(());
    wake_all(sleepers);
}

/// Marks each worker of the global pool as one, the first time.
fn mark_global_workers() {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() {
        return;
    }
    ONCE.call_once(|| {
        // On the requeuer, which is no worker, so that rayon's functions use the global pool. Without that thread, global workers stay
        // strangers.
        if REQUEUER.0.is_none() {
            return;
        }
        REQUEUER.send(|| {
            rayon::spawn_broadcast(|_| note_that_this_serves(Serves::Global));
            STRANGERS.lock().global_is_marked = true;
            wake_strangers();
        });
    });
}

/// A thread that is no worker. What it spawns on a pool goes behind everything else there, which a worker cannot do for its own pool.
struct Requeuer(Option<Sender<Box<dyn FnOnce() + Send>>>);

static REQUEUER: LazyLock<Requeuer> = LazyLock::new(|| {
    let (sender, tasks) = channel::<Box<dyn FnOnce() + Send>>();
    let run = move || tasks.into_iter().for_each(|task| task());
    let thread = thread::Builder::new().name("wasm-jobs requeuer".into()).spawn(run);
    Requeuer(thread.ok().map(|_| sender))
});

impl Requeuer {
    /// Runs a task on the thread.
    fn send(&self, task: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(thread) => thread.send(Box::new(task)).unwrap_or_else(|unsent| unsent.0()),
            // The thread could not be started. The pool still runs its jobs, but no other work while they yield.
            None => task(),
        }
    }
}
