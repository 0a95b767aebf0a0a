//! 1,000 calls of 200 yields each, from the first call to the last result: jobs on rayon, beside a task for each call. The time of one
//! yield.
//!
//! There are three peers. A task on tokio's multi-thread runtime gives its worker up at each yield, as tasks do. Two others poll on
//! for 50 us before they give it up, as our jobs do: a task on tokio, and one of `async-task` on rayon. They poll on whether or not
//! the guest was woken, which is the fastest for guests that only yield, and costs those that wait 50 us each time.

use super::countdown::Countdown;
use super::{poll_to_end, pool, runtime};
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use async_task::Runnable;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tokio::task::JoinHandle;
use wasm_jobs::wasmtime::{Store, TypedFunc};
use wasm_jobs::{Instance, Job, JobHandle, JobPool};

const CALLS: usize = 1_000;
const YIELDS: usize = 200;

/// For `throughput`, and the same for other numbers of workers.
pub(crate) fn beside_tokio<const WORKERS: usize>() -> Finding {
    let rounds = if WORKERS == 2 { 31 } else { 15 };
    let runtime = runtime(WORKERS);
    let theirs = by_hand(|round, kept| joined(runtime.spawn(call(round, kept))));
    beside("tokio", rounds, WORKERS, theirs)
}

pub(crate) fn beside_tokio_that_polls_on() -> Finding {
    let runtime = runtime(2);
    let theirs = by_hand(|round, kept| joined(runtime.spawn(poll_on(call(round, kept)))));
    beside("tokio_polls_on", 31, 2, theirs)
}

pub(crate) fn beside_async_task_that_polls_on() -> Finding {
    let pool = pool(2);
    let theirs = by_hand(move |round, kept| {
        let pool = pool.clone();
        // At the back of the queue, as ours.
        let schedule = move |runnable: Runnable| {
            pool.spawn_fifo(move || {
                runnable.run();
            });
        };
        let (runnable, task) = async_task::spawn(poll_on(call(round, kept)), schedule);
        runnable.schedule();
        task
    });
    beside("async_task_polls_on", 31, 2, theirs)
}

fn beside(peer: &'static str, rounds: usize, workers: usize, theirs: impl FnMut()) -> Finding {
    let pool = pool(workers);
    let pre = guests::ours();
    let instances: Vec<_> =
        (0..CALLS).map(|_| Instance::new(&pre, ()).expect("the pool has room")).collect();
    let funcs: Vec<_> = instances
        .iter()
        .map(|instance| instance.func::<i32, ()>("yields").expect("the guest exports it"))
        .collect();
    let ours = || {
        let mut futures: Vec<_> = funcs
            .iter()
            .map(|func| func.call(YIELDS as i32).expect("the instance is free"))
            .collect();
        let jobs = futures
            .iter_mut()
            .map(|future| pool.submit(future.to_job().expect("the call is ours")));
        JobHandle::all(jobs).wait();
        for future in &mut futures {
            future.try_get_result().expect("the guest returns").expect("it is done");
        }
    };
    compare(Other::Peer(peer), rounds, (CALLS * YIELDS) as u64, ours, theirs)
}

type StoreAndFunc = (Store<()>, TypedFunc<i32, ()>);

/// A round of calls by hand, each started by `spawn`, which gives a future of its end. The round sleeps until all have ended, and is
/// woken once, as by our `JobHandle::all`.
fn by_hand<T: Future<Output = StoreAndFunc>>(
    spawn: impl Fn(Arc<Countdown>, StoreAndFunc) -> T,
) -> impl FnMut() {
    let pre = guests::theirs();
    let export = |_| poll_to_end(guests::export(&pre, "yields"));
    let mut kept: Vec<StoreAndFunc> = (0..CALLS).map(export).collect();
    move || {
        let round = Countdown::new(CALLS);
        let calls: Vec<_> = kept.drain(..).map(|kept| spawn(round.clone(), kept)).collect();
        round.wait();
        // They have ended, or are about to.
        kept.extend(calls.into_iter().map(poll_to_end));
    }
}

async fn call(round: Arc<Countdown>, (mut store, func): StoreAndFunc) -> StoreAndFunc {
    store.set_epoch_deadline(1);
    func.call_async(&mut store, YIELDS as i32).await.expect("the guest returns");
    round.count();
    (store, func)
}

async fn joined(task: JoinHandle<StoreAndFunc>) -> StoreAndFunc {
    task.await.expect("the task does not panic")
}

/// Polls a future on for as long as a job of ours goes on, and looks at the clock as rarely. A future that yields has woken the task, which then
/// is queued again when its worker is given up.
async fn poll_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let start = Instant::now();
        loop {
            for _ in 0..8 {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(output);
                }
            }
            if start.elapsed() >= Job::QUANTUM {
                return Poll::Pending;
            }
        }
    })
    .await
}
