//! Runs a test many times, each time in another order of the steps of its guests and jobs: in all orders, or in a sample of them.
//!
//! What varies is the order of steps. What two threads do inside one host function that does not await, weak memory orderings, and a guest's
//! `memory.atomic.wait` do not: everything runs on one thread.
//!
//! Several guests that share something of the host's (a market, a mailbox, a world) can meet there in many orders, and a test that runs them on a
//! pool sees one of these. Here a [`World`] is the pool: all jobs run on the test's own thread, one [step](crate::Step) at a time, and a
//! strategy chooses which job takes the next step. The test runs again and again, each time in another order, until one fails. The
//! [`Failure`] is made shorter, and says which steps led to it. Its schedule is a short text, and [`replay`] of that runs the same
//! steps.
//!
//! - [`random`] chooses each step at random.
//! - [`pct`] chooses at random so that bugs which need few preemptions are found with a known probability.
//! - [`dfs`] tries all schedules, if there are not too many.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
//! use wasm_jobs::explore::{self, World};
//! use wasm_jobs::{Error, Future, JobPool, yield_now};
//!
//! // Two buyers look at the stock, and then each takes one.
//! let shop = |world: &World| -> Result<(), Error> {
//!     let stock = Arc::new(AtomicI32::new(1));
//!     let buyer = || {
//!         let stock = stock.clone();
//!         Future::new(async move {
//!             if stock.load(Relaxed) > 0 {
//!                 yield_now().await;
//!                 stock.fetch_sub(1, Relaxed);
//!             }
//!             Ok(())
//!         })
//!     };
//!     let mut buyers = [buyer().named("ann"), buyer().named("bob")];
//!     for buyer in &mut buyers {
//!         world.pool().submit(buyer.to_job()?);
//!     }
//!     world.run_all();
//!     assert!(stock.load(Relaxed) >= 0, "sold what was not there");
//!     Ok(())
//! };
//! let failure = explore::dfs(1_000).check(shop).unwrap_err();
//! assert!(failure.message().ends_with("sold what was not there"));
//! assert_eq!(failure.schedule(), "0.1");
//! assert_eq!(
//!     failure.steps(),
//!     [
//!         "ann#0 step 1, submitted: yields",
//!         "bob#1 step 1, submitted: yields",
//!         "bob#1 step 2, goes on: done",
//!         "ann#0 step 2, goes on: done",
//!     ]
//! );
//! # Ok::<(), Error>(())
//! ```
//!
//! # What a step is
//!
//! A job takes one step, from a stop to its next one, and no other job runs meanwhile. A guest that [`World::instance`] makes stops before
//! each call of the host, so guests meet in every order of their host calls, whether or not those are asynchronous. Native calls stop where
//! they await something that is not ready, such as [`yield_now`](crate::yield_now). The closure of a job is one step.
//!
//! A job that blocks in a wait of this library, such as [`JobHandle::wait`](crate::JobHandle::wait), has other jobs run on top of it until the wait is over, as a
//! worker of rayon's pools does; while it blocks for an instance of a pool, no closure begins unless nothing else can go on. To let others go on
//! in every order, await instead. Any other block, such as a lock of std that a stopped call holds, blocks the test for ever, without a message.
//!
//! The test itself is no job: it goes on as soon as what it waits for is there. What is to race has to be a job.
//!
//! # What to use inside
//!
//! The same schedule has to lead to the same steps. So use the world's [pool](World::pool), its [clock](World::clock) instead of
//! [`RealtimeClock`](crate::RealtimeClock), and slices of fuel instead of slices of time; and make everything that the test changes inside
//! of it. A `static` or a `thread_local!` keeps what the run before has left in it.
//!
//! Slices and timeouts that end by the machine's clock are refused. A wake by another thread is a failure, and so is a wait that nothing in the
//! world ends. What else differs from run to run (a read of the machine's clock, of random numbers, of the order of a `HashMap`) is noticed if
//! a run goes another way when it is repeated: one in 128 is.
//!
//! If a run is stopped, because no job can go on for example, whatever waits in it does not return, but unwinds to the explorer. Destructors run.

mod arrivals;
mod choice;
mod crossings;
mod deadlock;
mod dfs;
mod explorer;
mod failure;
mod footprint;
mod guest;
mod host_names;
mod job;
mod lanes;
mod line;
mod method;
mod outcome;
mod pct;
mod pool;
mod progress;
mod quiet;
mod random;
mod report;
mod run;
mod settings;
mod shrink;
mod state;
mod steps;
mod strategy;
mod verdict;
mod world;

pub use explorer::Explorer;
pub use failure::Failure;
pub use pool::WorldPool;
pub use report::Report;
pub use verdict::Verdict;
pub use world::World;

use crate::explore::choice::parse;
use crate::explore::method::Method;

/// Runs a test `schedules` times, and chooses among the jobs that can go on at random, with equal probability.
///
/// The seed is 0 unless [`Explorer::seed`] or the variable `WASM_JOBS_SEED` of the environment sets another one. With the same seed, all schedules
/// are the same again.
///
/// # Panics
///
/// If `schedules` is zero.
///
/// ```
/// use wasm_jobs::explore::{self, World};
/// use wasm_jobs::JobPool;
///
/// let report = explore::random(100).run(|world: &World| {
///     let (a, b) = (world.pool().submit_fn(|| ()), world.pool().submit_fn(|| ()));
///     a.wait();
///     b.wait();
/// });
/// assert_eq!((report.schedules, report.steps), (100, 200));
/// ```
pub fn random(schedules: u64) -> Explorer {
    assert!(schedules > 0, "no schedule explores nothing");
    Explorer::new(Method::Random { schedules })
}

/// Runs a test `schedules` times by probabilistic concurrency testing, PCT (Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized
/// Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
///
/// Each job has a random priority, the job of the highest one takes the next step, and `depth - 1` times, at random steps, the job that would go on
/// gets the lowest priority. A bug that needs `depth` orderings between steps of different jobs is found by one schedule with a probability of at
/// least 1 / (n · kᵈ⁻¹), if there are n jobs and k steps. Most bugs need one or two orderings: a deadlock of two locks has a depth of 2,
/// and so has a lost update.
///
/// The number k is that of the longest schedule so far, so the bound holds from the second schedule on if all schedules are equally long. It does not
/// hold with [`Explorer::preempt`], which adds steps. For the seed, see [`random`].
///
/// # Panics
///
/// If `schedules` or `depth` is zero.
///
/// ```
/// use wasm_jobs::explore::{self, World};
/// # use wasm_jobs::JobPool;
///
/// explore::pct(100, 2).run(|world: &World| {
///     world.pool().submit_fn(|| ());
///     world.run_all();
/// });
/// ```
pub fn pct(schedules: u64, depth: u32) -> Explorer {
    assert!(schedules > 0, "no schedule explores nothing");
    assert!(depth > 0, "a bug has a depth of at least one");
    Explorer::new(Method::Pct { schedules, depth })
}

/// Runs a test once for each of its schedules, but for `limit` schedules at most. To reach the limit is no failure, unless the explorer is to be
/// [exhaustive](Explorer::exhaustive).
///
/// Two guests of m and n steps have (m + n)! / (m! · n!) schedules. [`Explorer::reduce`] makes them fewer; then the limit counts redundant runs,
/// too.
///
/// # Panics
///
/// If `limit` is zero.
///
/// ```
/// use wasm_jobs::explore::{self, World};
/// # use wasm_jobs::JobPool;
///
/// let report = explore::dfs(1_000).run(|world: &World| {
///     for _ in 0..4 {
///         world.pool().submit_fn(|| ());
///     }
///     world.run_all();
/// });
/// assert!(report.is_exhaustive);
/// assert_eq!(report.schedules, 4 * 3 * 2);
/// ```
pub fn dfs(limit: u64) -> Explorer {
    assert!(limit > 0, "no schedule explores nothing");
    Explorer::new(Method::Dfs { limit })
}

/// Runs a test once, in the order of a schedule that a [`Failure`] has printed.
///
/// `WASM_JOBS_SCHEDULE` in the environment makes any other explorer do the same, with its own settings. A schedule that does not fit the test, because that
/// was changed, is a failure.
///
/// The schedule is a list of numbers, with dots between them. Each is one choice: what [`World::choose`] gave, or which of the jobs that can go on
/// takes the next step. Zero is the job that took the last step, if it can go on; the others follow by their numbers, and last the clock, if
/// [steps take time](Explorer::steps_take_time). Where there is one possibility, there is no choice. After the end of the list, every choice is zero.
/// `1x20` stands for 20 choices of one, and `0+35` for a step that a slice of 35 units of fuel ends.
///
/// # Panics
///
/// If the text is no schedule.
///
/// ```
/// use wasm_jobs::explore::{self, World};
/// # use wasm_jobs::JobPool;
///
/// let failure = explore::replay("1").check(|world: &World| {
///     let jobs = ["a", "b"].map(|_| world.pool().submit_fn(|| ()));
///     world.run_all();
///     Err::<(), _>("to see the steps")
/// });
/// assert_eq!(
///     failure.unwrap_err().steps(),
///     ["job#1 step 1, submitted: done", "job#0 step 1, submitted: done"]
/// );
/// ```
pub fn replay(schedule: &str) -> Explorer {
    match parse(schedule) {
        Some(choices) => Explorer::new(Method::Replay { choices }),
        None => panic!(
            "{schedule:?} is no schedule: a schedule is what a failure has printed, such as 1.0x3.2"
        ),
    }
}
