//! [`JobPool`] for rayon's pools: which [`Queue`] is whose, and which worker is whose.

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
/// Other work of the pool gets its share while there are jobs, no matter how many: it waits for two milliseconds at the most, and for the
/// turns that are in progress then. One thread beside the pool's sees to that; while there are jobs all the time, it has something to do once
/// in a millisecond.
///
/// wasmtime compiles modules on rayon's global pool. A program that configures that pool, by `rayon::ThreadPoolBuilder::build_global`, does so
/// before it compiles the first module: afterwards the pool exists, and `build_global` fails.
///
/// # Host functions that use rayon
///
/// While a host function waits for its worker's pool, in `rayon::join` for instance, rayon has the worker run other things.
///
/// - A job that is run meanwhile has a stack of its own, never that of the guest that called the host function. The host
///   function is held up for as long as a turn of that job lasts.
/// - The closures of a `join`, and what else rayon runs, do run on the stack of the guest. Leave room for it
///   (`EngineOptions::host_stack`): running out of it aborts the process.
/// - Do not hold a lock while waiting that another job's host functions take: that job may be run in between, by
///   this very thread.
/// - Do not wait for a job there, but in an `async` host function, by awaiting its handle.
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

/// How long a worker serves the queue with one ticket, up to the last turn. Getting a new ticket costs some microseconds.
const SERVE_FOR: Duration = Duration::from_millis(1);

/// Rayon's own functions mean the pool of the worker that calls them, whichever that is, and the global one elsewhere.
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

/// The queues of the other pools.
static OTHERS: Mutex<Vec<Private>> = Mutex::new(Vec::new());

/// A pool that is not the global one, and its queue.
#[derive(Clone)]
struct Private {
    pool: Weak<ThreadPool>,
    queue: Arc<Queue>,
}

thread_local! {
    /// The queue that this thread was last asked for. Counting its references once more for each job would be felt by all threads
    /// that do.
    static LAST: Cell<Option<Private>> = const { Cell::new(None) };
}

fn with_queue_of(pool: &Arc<ThreadPool>, code: impl FnOnce(&Arc<Queue>)) {
    // Out of its place meanwhile: a queue that is asked for inside, or while the thread ends, is looked for among all.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let found = last
        .filter(|last| last.pool.as_ptr() == Arc::as_ptr(pool))
        .unwrap_or_else(|| private(pool));
    code(&found.queue);
    let _ = LAST.try_with(|last| last.set(Some(found)));
}

/// The pool, as it is known here from now on.
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

/// Which queue a worker serves, and so may help with: that of its own pool, and no other.
#[derive(Clone)]
enum Serves {
    /// It has not been found out.
    Unknown,
    /// Not the global one, and none of the others that were known so far.
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

/// Helps, once, or sleeps, if this thread is a worker of rayon's; false if it is not.
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
        // It has done something else meanwhile, and looks again.
        Some(Serves::Unknown) | None => {}
    }
    true
}

/// `None` if this worker had to do something of its pool's own to find out, and does not know yet.
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
            // On a worker of the global pool, its mark is among the work that was spawned on this very thread.
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

/// Workers that wait, and serve no queue that is known.
#[derive(Default)]
struct Strangers {
    sleepers: Waiters<()>,
    /// Has each worker of the global pool its mark among its work, or has had it?
    global_is_marked: bool,
}

static STRANGERS: LazyLock<Mutex<Strangers>> = LazyLock::new(Mutex::default);

/// Sleeps until the wait is over, or a queue becomes known, which may be this worker's.
fn sleep_as_a_stranger(sleeper: &Sleeper) {
    let key = STRANGERS.lock().sleepers.add((), sleeper.waker().clone());
    // A queue that has become known before this was added has woken others only.
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

/// Has each worker of the global pool know that it is one.
fn mark_global_workers() {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() {
        return;
    }
    ONCE.call_once(|| {
        // From outside of all pools, where rayon's functions mean the global one. Without the thread, its workers stay strangers.
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

/// A thread that is no worker, and so can put a ticket behind everything else that is spawned on a pool.
struct Requeuer(Option<Sender<Box<dyn FnOnce() + Send>>>);

static REQUEUER: LazyLock<Requeuer> = LazyLock::new(|| {
    let (sender, tasks) = channel::<Box<dyn FnOnce() + Send>>();
    let run = move || tasks.into_iter().for_each(|task| task());
    let thread = thread::Builder::new().name("wasm-jobs requeuer".into()).spawn(run);
    Requeuer(thread.ok().map(|_| sender))
});

impl Requeuer {
    /// Has a task run on the thread.
    fn send(&self, task: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(thread) => thread.send(Box::new(task)).unwrap_or_else(|unsent| unsent.0()),
            // No more threads are to be had. The pool still runs its jobs, and nothing else while they yield.
            None => task(),
        }
    }
}
