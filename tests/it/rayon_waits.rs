//! Waiting for jobs on rayon's workers: the threads on which jobs run during the wait, and the end of the wait.

use crate::rayon_pools::pool;
use crate::support::{Event, Flag, assert_ends, receives};
use rayon::{ThreadPool, Yield};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;
use wasm_jobs::{Error, Future, JobHandle, JobPool, RayonGlobal, yield_now};

/// The threads on which jobs have run.
#[derive(Clone, Default)]
struct Ran(Arc<Mutex<Vec<ThreadId>>>);

impl Ran {
    /// A closure that adds its thread.
    fn notes(&self) -> impl FnOnce() + Send + 'static {
        let ran = self.clone();
        move || ran.0.lock().unwrap().push(thread::current().id())
    }

    fn call(&self) -> Future<()> {
        let (first, second) = (self.notes(), self.notes());
        Future::new(async {
            first();
            yield_now().await;
            second();
            Ok(())
        })
    }

    /// Asserts that at least `least` jobs have run, and all of them on `threads`.
    fn assert_among(&self, threads: &[ThreadId], least: usize) {
        let ran = self.0.lock().unwrap();
        assert!(ran.len() >= least, "{} of {least} jobs have run", ran.len());
        let elsewhere = ran.iter().filter(|thread| !threads.contains(thread)).count();
        assert_eq!(elsewhere, 0, "jobs of {} that ran on the threads of another pool", ran.len());
    }
}

fn threads_of(pool: &ThreadPool) -> Vec<ThreadId> {
    pool.broadcast(|_| thread::current().id())
}

fn threads_of_the_global_pool() -> Vec<ThreadId> {
    rayon::broadcast(|_| thread::current().id())
}

/// Private pools with one and two threads, each with and without earlier jobs.
fn private_pools() -> impl Iterator<Item = Arc<ThreadPool>> {
    [(1, false), (1, true), (2, false), (2, true)].into_iter().map(|(threads, has_had_jobs)| {
        let pool = pool(threads);
        if has_had_jobs {
            pool.submit_fn(|| ()).wait();
        }
        pool
    })
}

// The threads on which jobs run.

#[test]
fn a_global_job_that_a_worker_of_another_pool_waits_for_is_not_run_by_that_worker() {
    let global = threads_of_the_global_pool();
    for private in private_pools() {
        let ran = Ran::default();
        for _ in 0..300 {
            let notes = ran.notes();
            private.install(|| RayonGlobal.submit_fn(notes).wait());
        }
        ran.assert_among(&global, 300);
    }
}

#[test]
fn a_global_call_that_a_worker_of_another_pool_waits_for_is_not_run_by_that_worker()
-> Result<(), Error> {
    let global = threads_of_the_global_pool();
    for private in private_pools() {
        let ran = Ran::default();
        for by_handle in [true, false].repeat(100) {
            // The owner of the second call below is the worker of the private pool.
            let mut call = ran.call();
            let runner = call.to_job()?;
            let handle = private.install(|| {
                let handle = RayonGlobal.submit(runner);
                if by_handle {
                    handle.wait();
                }
                handle
            });
            handle.wait();
            call.wait()?;

            let ran = ran.clone();
            private.install(move || {
                let mut call = ran.call();
                drop(RayonGlobal.submit(call.to_job()?));
                call.wait()
            })?;
        }
        ran.assert_among(&global, 800);
    }
    Ok(())
}

#[test]
fn what_a_global_job_joins_is_not_on_the_pool_whose_worker_waits_for_it() {
    let global = threads_of_the_global_pool();
    for private in private_pools() {
        let ran = Ran::default();
        for _ in 0..100 {
            let (one, two, three) = (ran.notes(), ran.notes(), ran.notes());
            let joins = move || {
                rayon::join(one, two);
                rayon::scope(|scope| scope.spawn(|_| three()));
            };
            private.install(|| RayonGlobal.submit_fn(joins).wait());
        }
        ran.assert_among(&global, 300);
    }
}

#[test]
fn later_global_jobs_are_not_run_by_a_worker_of_another_pool_that_waits_for_an_earlier_one()
-> Result<(), Error> {
    let global = threads_of_the_global_pool();
    for private in private_pools() {
        let (event, ran) = (Event::default(), Ran::default());
        let mut earlier = Future::new(event.awaited());
        let handle = RayonGlobal.submit(earlier.to_job()?);
        let (tell, told) = mpsc::channel();
        ThreadPool::spawn(&private, move || {
            tell.send(()).expect("the test is receiving");
            handle.wait();
            tell.send(()).expect("the test is receiving");
        });
        assert!(receives(&told), "the worker is about to wait");
        for _ in 0..200 {
            let jobs: Vec<_> = (0..4).map(|_| RayonGlobal.submit_fn(ran.notes())).collect();
            JobHandle::all(jobs).wait();
        }
        event.set();
        assert!(receives(&told), "the wait ends with the earlier job");
        ran.assert_among(&global, 800);
        earlier.wait()?;
    }
    Ok(())
}

#[test]
fn a_job_of_another_pool_that_a_global_worker_waits_for_is_run_there() -> Result<(), Error> {
    for private in private_pools() {
        let (own, ran) = (threads_of(&private), Ran::default());
        for _ in 0..100 {
            let (pool, ran) = (private.clone(), ran.clone());
            let (tell, told) = mpsc::channel();
            rayon::spawn(move || {
                pool.submit_fn(ran.notes()).wait();
                let mut call = ran.call();
                let outcome = call.to_job().and_then(|runner| {
                    pool.submit(runner);
                    call.wait()
                });
                tell.send(outcome).expect("the test is receiving");
            });
            told.recv_timeout(Duration::from_secs(60)).expect("the wait ends")?;
        }
        ran.assert_among(&own, 300);
    }
    Ok(())
}

#[test]
fn jobs_of_two_private_pools_whose_workers_wait_for_each_others_stay_on_their_own() {
    for _ in 0..20 {
        let (one, two) = (pool(1), pool(2));
        let (ran_on_one, ran_on_two) = (Ran::default(), Ran::default());
        for _ in 0..20 {
            let notes = ran_on_one.notes();
            two.install(|| one.submit_fn(notes).wait());
            let notes = ran_on_two.notes();
            one.install(|| two.submit_fn(notes).wait());
        }
        ran_on_one.assert_among(&threads_of(&one), 20);
        ran_on_two.assert_among(&threads_of(&two), 20);
    }
}

// Jobs that let rayon run other work until another job is over.

/// How a job waits for another job of its pool.
type WaitFor = fn(&JobHandle, &Elsewhere);

struct Elsewhere {
    /// Has as many threads as there are waits.
    pool: ThreadPool,
    gives_up: Flag,
}

impl Elsewhere {
    fn new(threads: usize, gives_up: Flag) -> Arc<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Arc::new(Self { pool: pool.expect("rayon starts the threads"), gives_up })
    }
}

/// Has a thread of another pool wait for the job. Meanwhile, the worker runs closures that are spawned on its own pool.
fn wait_in_another_pool(job: &JobHandle, elsewhere: &Elsewhere) {
    elsewhere.pool.install(|| job.wait());
}

/// Yields to rayon until the job is over.
fn yield_to_rayon(job: &JobHandle, elsewhere: &Elsewhere) {
    while !job.is_complete() && !elsewhere.gives_up.is_set() {
        if rayon::yield_now() != Some(Yield::Executed) {
            thread::yield_now();
        }
    }
}

const WAYS: [WaitFor; 2] = [wait_in_another_pool, yield_to_rayon];

#[test]
fn a_job_waits_in_another_pool_for_one_of_its_own_pool() {
    assert_ends_in_jobs_and_calls(wait_in_another_pool);
}

#[test]
fn a_job_yields_to_rayon_until_another_job_of_its_pool_is_complete() {
    assert_ends_in_jobs_and_calls(yield_to_rayon);
}

/// At least as many jobs as the pool has workers wait for other jobs of the pool. The jobs are closures, and calls that wait inside a step.
fn assert_ends_in_jobs_and_calls(wait_for: WaitFor) {
    for (threads, jobs) in [(1, 1), (2, 2), (1, 3), (2, 5)] {
        let outcomes = assert_ends(move |gives_up| {
            let (pool, elsewhere) = (pool(threads), Elsewhere::new(2 * jobs, gives_up));
            let waits = || {
                let (pool, elsewhere) = (pool.clone(), elsewhere.clone());
                move || {
                    let inner = pool.submit_fn(|| ());
                    wait_for(&inner, &elsewhere);
                    assert!(inner.is_complete());
                }
            };
            let closures: Vec<_> = (0..jobs).map(|_| pool.submit_fn(waits())).collect();
            let mut calls: Vec<_> = (0..jobs)
                .map(|_| {
                    let waits = waits();
                    Future::new(async move {
                        yield_now().await;
                        waits();
                        yield_now().await;
                        Ok(())
                    })
                })
                .collect();
            for call in &mut calls {
                pool.submit(call.to_job().expect("the call is new"));
            }
            JobHandle::all(closures).wait();
            calls.iter_mut().map(Future::wait).collect::<Vec<_>>()
        });
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

#[test]
fn a_job_waits_inside_rayon_for_a_call_that_yields_and_is_woken() {
    for wait_for in WAYS {
        let outcome = assert_ends(move |gives_up| {
            let (pool, elsewhere) = (pool(1), Elsewhere::new(1, gives_up));
            let (event, inner_pool) = (Event::default(), pool.clone());
            let outer = pool.submit_fn(move || {
                let waits = event.happens();
                let mut call = Future::new(async {
                    for _ in 0..3 {
                        yield_now().await;
                    }
                    waits.await;
                    Ok(())
                });
                let handle = inner_pool.submit(call.to_job().expect("the call is new"));
                let sets = inner_pool.submit_fn(move || event.set());
                wait_for(&sets, &elsewhere);
                wait_for(&handle, &elsewhere);
                assert!(matches!(call.try_get_result(), Ok(Some(()))));
            });
            outer.wait();
            // This closure runs only if `outer` did not panic.
            let succeeded = Flag::default();
            let sets = succeeded.clone();
            pool.submit_after_ok(move || sets.set(), &[outer]).wait();
            succeeded.is_set()
        });
        assert!(outcome, "the call has its result when the wait is over");
    }
}

#[test]
fn a_tree_of_jobs_that_wait_inside_rayon() {
    fn leaves(
        pool: &Arc<ThreadPool>,
        elsewhere: &Arc<Elsewhere>,
        wait_for: WaitFor,
        depth: u32,
    ) -> usize {
        if depth == 0 {
            return 1;
        }
        let (sender, left) = mpsc::channel();
        let job = pool.submit_fn({
            let (pool, elsewhere) = (pool.clone(), elsewhere.clone());
            move || {
                let leaves = leaves(&pool, &elsewhere, wait_for, depth - 1);
                sender.send(leaves).expect("the submitter is receiving");
            }
        });
        let right = leaves(pool, elsewhere, wait_for, depth - 1);
        wait_for(&job, elsewhere);
        right + left.try_recv().unwrap_or(0)
    }

    const DEPTH: u32 = 5;
    for (threads, wait_for) in [(1, WAYS[0]), (2, WAYS[0]), (1, WAYS[1]), (2, WAYS[1])] {
        for _ in 0..3 {
            let leaves = assert_ends(move |gives_up| {
                // The other pool has a thread for each wait, because each wait blocks one.
                let (pool, elsewhere) = (pool(threads), Elsewhere::new(1 << DEPTH, gives_up));
                let (sender, count) = mpsc::channel();
                let root = pool.submit_fn({
                    let pool = pool.clone();
                    move || {
                        let leaves = leaves(&pool, &elsewhere, wait_for, DEPTH);
                        sender.send(leaves).expect("the test is receiving");
                    }
                });
                root.wait();
                count.recv()
            });
            assert_eq!(leaves, Ok(1 << DEPTH), "on {threads} threads");
        }
    }
}

#[test]
fn a_pool_whose_jobs_have_waited_inside_rayon_goes_on_serving() {
    for wait_for in WAYS {
        let served = assert_ends(move |gives_up| {
            let (pool, elsewhere) = (pool(1), Elsewhere::new(1, gives_up));
            for _ in 0..50 {
                let (inner_pool, elsewhere) = (pool.clone(), elsewhere.clone());
                let waits = pool.submit_fn(move || {
                    wait_for(&inner_pool.submit_fn(|| ()), &elsewhere);
                });
                // This job is submitted from outside, before, during or after the wait.
                let beside = pool.submit_fn(|| ());
                JobHandle::all([waits, beside]).wait();
            }
            let (sender, served) = mpsc::channel();
            for n in 0..100 {
                let sender = sender.clone();
                pool.submit_fn(move || sender.send(n).expect("the test is receiving"));
            }
            drop(sender);
            served.into_iter().collect::<Vec<_>>()
        });
        assert_eq!(
            served,
            (0..100).collect::<Vec<_>>(),
            "the jobs did not run once each, in order"
        );
    }
}
