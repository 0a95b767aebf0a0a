//! [`JobPool`] for rayon's pools.
//!
//! A worker of rayon runs what was spawned on it before it looks at what comes from outside. A job that went back to rayon
//! after each turn would keep its worker for good, and whatever else the pool is to do would have to wait. Therefore the
//! jobs of a pool have a [`Queue`] of their own, and what rayon gets is tickets, as many as it has workers at most: a
//! worker with a ticket serves the queue for a while, and has then to queue up with its ticket like everybody else. It
//! must do so from outside the pool, and that is what the [`OFFICE`] is for.

use crate::pool::handle::Over;
use crate::pool::{Job, JobPool};
use crate::step::interrupt::is_in_step;
use crate::sync::Sleeper;
use crate::wait::waiters::wake_all;
use ::rayon::ThreadPool;
use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use std::cell::Cell;
use std::hint;
use std::mem;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, fence};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// Rayon's global pool, as a [`JobPool`]. `Arc<rayon::ThreadPool>` is one too.
///
/// Other work of the pool gets its share while there are jobs, no matter how many: it waits for a millisecond, and for the
/// turns that are in progress then. One thread beside the pool's sees to that, which has something to do once in a
/// millisecond while there are jobs all the time.
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
/// - Do not wait for a job there, but in an `async` host function, by awaiting its handle.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayonGlobal;

impl JobPool for RayonGlobal {
    fn enqueue(&self, job: Job) {
        GLOBAL.put(job, self);
    }
}

impl JobPool for Arc<ThreadPool> {
    fn enqueue(&self, job: Job) {
        with_queue_of(self, |queue| queue.put(job, self));
    }
}

trait Rayon: JobPool {
    fn send(&self, ticket: impl FnOnce() + Send + 'static);
    fn workers(&self) -> usize;
    fn is_on_worker(&self) -> bool;
}

thread_local! {
    /// Whether this is known to be a worker of the global pool: it has served its queue.
    static IS_GLOBAL: Cell<bool> = const { Cell::new(false) };
}

/// Rayon's own functions mean the pool of the worker that calls them, whichever that is, and the global one elsewhere.
impl Rayon for RayonGlobal {
    fn send(&self, ticket: impl FnOnce() + Send + 'static) {
        let ticket = || {
            IS_GLOBAL.set(true);
            ticket();
        };
        if IS_GLOBAL.get() || ::rayon::current_thread_index().is_none() {
            ::rayon::spawn_fifo(ticket);
        } else {
            OFFICE.send(|| ::rayon::spawn_fifo(ticket));
        }
    }

    fn workers(&self) -> usize {
        static WORKERS: LazyLock<usize> = LazyLock::new(|| {
            let count = thread::Builder::new().spawn(::rayon::current_num_threads);
            count.ok().and_then(|count| count.join().ok()).unwrap_or(1)
        });
        *WORKERS
    }

    fn is_on_worker(&self) -> bool {
        ::rayon::current_thread_index().is_some()
    }
}

impl Rayon for Arc<ThreadPool> {
    fn send(&self, ticket: impl FnOnce() + Send + 'static) {
        self.spawn_fifo(ticket);
    }

    fn workers(&self) -> usize {
        self.current_num_threads()
    }

    fn is_on_worker(&self) -> bool {
        self.current_thread_index().is_some()
    }
}

/// The jobs of a pool that can have a turn.
#[derive(Default)]
struct Queue {
    jobs: SegQueue<Job>,
    /// If this is true, all tickets are out, and nobody sleeps who could run a job: there is nothing to do for a job that is put
    /// here, and no lock to take. It changes under that of the tickets.
    is_served: AtomicBool,
    tickets: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    /// How many there are, with rayon, in the office, or with a worker that will look for another job: as many as there are jobs
    /// here, or as there are workers.
    count: usize,
    /// Workers that sleep although they could run a job: they wait for one.
    helpers: Vec<Waker>,
}

static GLOBAL: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);

/// The queues of the other pools.
static OTHERS: Mutex<Vec<(Weak<ThreadPool>, Arc<Queue>)>> = Mutex::new(Vec::new());

thread_local! {
    /// The queue that this thread was last asked for. Counting its references once more for each job would be felt by all threads
    /// that do.
    static LAST: Cell<Option<(Weak<ThreadPool>, Arc<Queue>)>> = const { Cell::new(None) };
}

fn with_queue_of(pool: &Arc<ThreadPool>, code: impl FnOnce(&Arc<Queue>)) {
    // Out of its place meanwhile: what is asked for inside, or while the thread ends, is looked for among all.
    let last = LAST.try_with(Cell::take).ok().flatten();
    let found = last
        .filter(|(of, _)| of.as_ptr() == Arc::as_ptr(pool))
        .unwrap_or_else(|| (Arc::downgrade(pool), queue_of(pool)));
    code(&found.1);
    let _ = LAST.try_with(|last| last.set(Some(found)));
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

/// If this thread is a worker of rayon's, it helps its pool, or sleeps until there is something to help with; false if not.
pub(crate) fn help(sleeper: &Sleeper, wanted: Option<&dyn Over>) -> bool {
    if ::rayon::current_thread_index().is_none() {
        return false;
    }
    let own = OTHERS.lock().iter().find_map(|(pool, queue)| {
        let pool = pool.upgrade().filter(|pool| pool.is_on_worker())?;
        Some((pool, queue.clone()))
    });
    match own {
        Some((pool, queue)) => queue.help(&pool, sleeper, wanted),
        None => GLOBAL.help(&RayonGlobal, sleeper, wanted),
    }
    true
}

/// How far a worker that waits for a job looks for it in the queue.
const SEARCHED: usize = 32;

/// How long a worker serves the queue with a ticket, up to the last turn. Getting a new one costs some microseconds.
const SHIFT: Duration = Duration::from_millis(1);

/// How often a worker that finds no job looks again before it gives up its ticket, and how many instructions that do nothing it
/// spends before each of these looks: some microseconds in all. The next job is often about to come, from a thread that submits one
/// after another, and a new ticket costs that thread more than making a job does. Looking all the time would slow it down as well,
/// for it writes where the worker looks.
const LOOKS: u32 = 4;
const PAUSES: u32 = 64;

impl Queue {
    fn put(self: &Arc<Self>, job: Job, pool: &impl Rayon) {
        self.jobs.push(job);
        // Either this finds that a ticket is given up or a helper sleeps, or that one finds the job.
        fence(SeqCst);
        if !self.is_served.load(Relaxed) {
            self.have_it_served(pool);
        }
    }

    fn have_it_served(self: &Arc<Self>, pool: &impl Rayon) {
        let mut tickets = self.tickets.lock();
        let helpers = mem::take(&mut tickets.helpers);
        let (before, workers) = (tickets.count, pool.workers());
        if before < workers {
            tickets.count += 1;
        }
        self.is_served.store(tickets.count >= workers, Relaxed);
        drop(tickets);
        wake_all(helpers.into_iter());
        if before < workers {
            pool.send(self.ticket(pool));
            // A worker that rayon wakes wakes others before it does what it was woken for, and in a pool of two that is as
            // long again as its own waking took. An empty job has this thread wake the other one meanwhile.
            if before == 0 && workers == 2 && !pool.is_on_worker() {
                pool.send(|| {});
            }
        }
    }

    fn ticket<R: Rayon>(self: &Arc<Self>, pool: &R) -> impl FnOnce() + Send + 'static + use<R> {
        let (queue, pool) = (self.clone(), pool.clone());
        move || queue.serve(&pool)
    }

    /// What a worker does with a ticket.
    fn serve<R: Rayon>(self: Arc<Self>, pool: &R) {
        let start = Instant::now();
        // Inside a step, a host function waits for its pool, and is held up no longer than it must be.
        let is_urgent = is_in_step();
        loop {
            let Some(job) = self.next(is_urgent) else { return };
            if is_urgent || start.elapsed() >= SHIFT {
                // The ticket goes before the last turn rather than after it, to be with rayon when the worker is. It may
                // have been given up by the time that the job is put back.
                let (ticket, to) = (self.ticket(pool), pool.clone());
                OFFICE.send(move || to.send(ticket));
                if let Some(job) = job.turn() {
                    self.put(job, pool);
                }
                return;
            }
            if let Some(job) = job.turn() {
                self.jobs.push(job);
            }
        }
    }

    /// The next job, or none, and then the ticket is given up.
    fn next(&self, is_urgent: bool) -> Option<Job> {
        let mut looks = if is_urgent { 0 } else { LOOKS };
        loop {
            match self.jobs.pop() {
                Some(job) => return Some(job),
                None if looks > 0 => {
                    looks -= 1;
                    (0..PAUSES).for_each(|_| hint::spin_loop());
                }
                None if self.give_up_ticket() => return None,
                None => {}
            }
        }
    }

    /// False if a job has come, for which no ticket was made because there is this one.
    fn give_up_ticket(&self) -> bool {
        let mut tickets = self.tickets.lock();
        let give_up = self.is_empty_from_now_on(&tickets);
        tickets.count -= usize::from(give_up);
        give_up
    }

    /// Is there no job? Whoever puts one here after this has it served.
    fn is_empty_from_now_on(&self, _: &Tickets) -> bool {
        self.is_served.store(false, Relaxed);
        fence(SeqCst);
        self.jobs.is_empty()
    }

    /// What a worker does that waits: gives a job a turn, the one that it waits for if that is here. If there is none, it
    /// sleeps, until it is woken for what it waits for or for a job.
    fn help<R: Rayon>(self: &Arc<Self>, pool: &R, sleeper: &Sleeper, wanted: Option<&dyn Over>) {
        match self.take(wanted).or_else(|| self.jobs.pop()) {
            Some(job) => {
                if let Some(job) = job.turn() {
                    self.put(job, pool);
                }
            }
            None => {
                let is_empty = {
                    let mut tickets = self.tickets.lock();
                    tickets.helpers.push(sleeper.waker().clone());
                    self.is_empty_from_now_on(&tickets)
                };
                if is_empty {
                    sleeper.sleep();
                }
                self.tickets.lock().helpers.retain(|helper| !helper.will_wake(sleeper.waker()));
            }
        }
    }

    fn take(&self, wanted: Option<&dyn Over>) -> Option<Job> {
        let wanted = wanted.filter(|wanted| wanted.parts().is_empty())?;
        // Under the lock: meanwhile, nobody takes the queue for empty and gives up the ticket of a job that is put back.
        let _tickets = self.tickets.lock();
        // Not all of a long queue: what is passed over goes to its back.
        for _ in 0..self.jobs.len().min(SEARCHED) {
            let job = self.jobs.pop()?;
            if job.is_of(wanted) {
                return Some(job);
            }
            self.jobs.push(job);
        }
        None
    }
}

/// A thread that is no worker, and so can put a ticket at the back of rayon's queue.
struct Office(Option<Sender<Box<dyn FnOnce() + Send>>>);

static OFFICE: LazyLock<Office> = LazyLock::new(|| {
    let (sender, tickets) = channel::<Box<dyn FnOnce() + Send>>();
    let office = move || tickets.into_iter().for_each(|send| send());
    let thread = thread::Builder::new().name("wasm-jobs office".into()).spawn(office);
    Office(thread.ok().map(|_| sender))
});

impl Office {
    /// Has `send` called on the thread.
    fn send(&self, send: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(office) => office.send(Box::new(send)).unwrap_or_else(|unsent| unsent.0()),
            // No more threads are to be had. The pool still runs its jobs, and nothing else while they yield.
            None => send(),
        }
    }
}
