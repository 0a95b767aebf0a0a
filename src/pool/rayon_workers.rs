//! Rayon's workers: which [`Queue`] belongs to which pool, which worker belongs to which pool, and how workers help while they wait.

use crate::call::turn::Job;
use crate::pool::tickets::{Queue, Workers};
use crate::step::stack::has_room;
use crate::wait::block::{Sleeper, Wanted, help_by};
use crate::wait::waiters::{Waiters, wake_all};
use parking_lot::Mutex;
use rayon::{ThreadPool, Yield};
use std::cell::{Cell, RefCell};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Once, Weak};
use std::thread;
use std::time::Duration;

/// How long a worker serves the queue with one ticket, until its last turn begins. A new ticket costs some microseconds.
const SERVE_FOR: Duration = Duration::from_millis(1);

/// The pool that rayon's functions mean where no worker calls them.
#[derive(Clone, Copy)]
struct GlobalPool;

/// `rayon::spawn_fifo` and its like spawn on the pool of the worker that calls them, and on the global one if no worker does. So a worker that
/// may be another pool's has the requeuer call them.
impl Workers for GlobalPool {
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

/// Puts a job into the queue of the global pool.
pub(crate) fn put_global(job: Job) {
    mark_global_workers();
    GLOBAL.put(job, &GlobalPool);
}

/// Puts a job into the queue of another pool.
pub(crate) fn put(job: Job, pool: &Arc<ThreadPool>) {
    with_queue_of(pool, |queue| queue.put(job, pool));
}

/// Has workers help while they wait. This comes before the first wait for a job.
#[inline]
pub(crate) fn help_while_waiting() {
    help_by(help);
}

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
    let (new, gone) = {
        let mut others = OTHERS.lock();
        if let Some(known) = others.iter().find(|known| known.pool.as_ptr() == Arc::as_ptr(pool)) {
            return known.clone();
        }
        let gone: Vec<_> = others.extract_if(.., |known| known.pool.strong_count() == 0).collect();
        let new = Private { pool: Arc::downgrade(pool), queue: Arc::default() };
        others.push(new.clone());
        (new, gone)
    };
    // Out of the lock: a job that is left in a queue goes back to its owner, who is foreign code.
    drop(gone);
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

/// If this thread is a worker of rayon's, gives one job of its pool a turn, or sleeps. False if it is not, or has no stack left for a turn.
fn help(sleeper: &Sleeper, wanted: Wanted) -> bool {
    if rayon::current_thread_index().is_none() || !has_room() {
        return false;
    }
    match find_out_what_this_serves() {
        Serves::Global => GLOBAL.help(&GlobalPool, sleeper, wanted),
        Serves::Private(own) => match own.pool.upgrade() {
            Some(pool) => own.queue.help(&pool, sleeper, wanted),
            None => sleeper.sleep(),
        },
        Serves::Stranger | Serves::Unknown => sleep_as_a_stranger(sleeper),
    }
    true
}

/// Finds out which queue this worker serves.
///
/// Rayon does not tell which pool a worker belongs to. One of the global pool has run the closure that marks it, or has it among the work that
/// was spawned on its thread. If all have run it, a worker without a mark is of another pool.
fn find_out_what_this_serves() -> Serves {
    let known = serves();
    if let Serves::Global | Serves::Private(_) = known {
        return known;
    }
    let own = OTHERS.lock().iter().find_map(|known| {
        let is_own = known.pool.upgrade()?.current_thread_index().is_some();
        is_own.then(|| Serves::Private(known.clone()))
    });
    let found = match (own, known) {
        (Some(own), _) => own,
        (None, Serves::Unknown) if STRANGERS.lock().global_is_marked => {
            if MARKED.load(Acquire) == GlobalPool.count()
                || rayon::current_num_threads() != GlobalPool.count()
            {
                Serves::Stranger
            } else if rayon_core::current_thread_has_pending_tasks() == Some(false) {
                // Of the work that was spawned on this thread, what is left are broadcasts, the mark among them.
                while matches!(serves(), Serves::Unknown)
                    && rayon::yield_local() == Some(Yield::Executed)
                {}
                match serves() {
                    Serves::Unknown => Serves::Stranger,
                    found => found,
                }
            } else {
                // The mark is behind other work, which is not to be run here. Until each worker of the global pool has been free once, this one is
                // taken for one of them: if it is, and nobody else is free, the job that it waits for is run by nobody else.
                return Serves::Global;
            }
        }
        // No job has come to the global pool yet; or this worker is known to be of another pool.
        (None, _) => return Serves::Stranger,
    };
    note_that_this_serves(found.clone());
    found
}

/// How many workers of the global pool know that they are.
static MARKED: AtomicUsize = AtomicUsize::new(0);

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
    if let Serves::Stranger = find_out_what_this_serves() {
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
            rayon::spawn_broadcast(|_| {
                note_that_this_serves(Serves::Global);
                // Release: a thread that reads the last mark has none itself.
                MARKED.fetch_add(1, Release);
            });
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
