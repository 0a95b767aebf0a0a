//! Finishing calls on rayon's pools, beside other work of rayon.

use crate::support::{
    Counter, Event, Flag, alarm_clock, assert_ends, counted, ok, receives, stack_pointer,
    yields_until,
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use wasm_jobs::{Error, Future, FutureRunner, Job, JobHandle, JobPool, RayonGlobal, yield_now};

/// A pool that no other test uses.
pub(crate) fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(
        ThreadPoolBuilder::new().num_threads(threads).build().expect("rayon starts the threads"),
    )
}

/// No two frames on one stack are further apart than this in a test.
#[cfg(feature = "wasm")]
pub(crate) const FAR_AWAY: usize = 1 << 20;

#[test]
fn calls_are_finished_on_rayons_global_pool() -> Result<(), Error> {
    let mut futures: Vec<_> = (0..100_u64)
        .map(|n| {
            Future::new(async move {
                yield_now().await;
                assert!(rayon::current_thread_index().is_some());
                Ok(n * n)
            })
        })
        .collect();
    let jobs = futures.iter_mut().map(|future| Ok(RayonGlobal.submit(future.to_job()?)));
    JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?).wait();
    for (n, future) in (0..).zip(&mut futures) {
        assert_eq!(future.try_get_result()?, Some(n * n));
    }
    Ok(())
}

#[test]
fn calls_are_finished_on_a_pool_of_ones_own() -> Result<(), Error> {
    for threads in [1, 2] {
        let pool = pool(threads);
        let (alarm, clock) = alarm_clock();
        let mut futures: Vec<_> = (0..50)
            .map(|n| {
                let alarm = alarm.clone();
                Future::new(async move {
                    for _ in 0..n {
                        yield_now().await;
                    }
                    alarm.rings().await;
                    assert!(rayon::current_thread_index().is_some_and(|index| index < threads));
                    assert_eq!(rayon::current_num_threads(), threads);
                    Ok(n)
                })
            })
            .collect();
        let jobs = futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
        JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?).wait();
        for (n, future) in futures.iter_mut().enumerate() {
            assert_eq!(future.try_get_result()?, Some(n));
        }
        drop((alarm, futures));
        clock.join().expect("the thread ends with its last sender");
    }
    Ok(())
}

#[test]
fn jobs_of_two_pools_stay_on_their_own() -> Result<(), Error> {
    let (one, two) = (pool(1), pool(2));
    for (pool, threads) in [(&one, 1), (&two, 2), (&one, 1)] {
        let mut future = Future::new(async {
            yield_now().await;
            Ok(rayon::current_num_threads())
        });
        pool.submit(future.to_job()?);
        assert_eq!(future.wait()?, threads);
    }
    Ok(())
}

#[test]
fn a_job_that_yields_does_not_keep_the_only_worker_from_later_jobs() -> Result<(), Error> {
    for yielding in [1, 2, 5] {
        let (pool, may_stop, should_stop) = (pool(1), Flag::default(), Flag::default());
        let mut futures: Vec<_> =
            (0..yielding).map(|_| yields_until(&may_stop, &should_stop)).collect();
        let jobs = futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
        let jobs = JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?);
        let mut later = Future::new(async move {
            may_stop.set();
            Ok(())
        });
        pool.submit(later.to_job()?);
        should_stop.set();
        jobs.wait();
        later.wait()?;
        for future in &mut futures {
            assert!(
                future.wait()?,
                "one of {yielding} jobs gave up before the later job had a turn"
            );
        }
    }
    Ok(())
}

/// Jobs that yield on the only worker of a pool until `may_stop` is set. Each has had turns.
struct Yielding {
    pool: Arc<ThreadPool>,
    may_stop: Flag,
    /// After this is set, the jobs give up after a limited number of yields.
    should_stop: Flag,
    futures: Vec<Future<bool>>,
}

fn yielding(jobs: usize) -> Result<Yielding, Error> {
    let (pool, may_stop, should_stop) = (pool(1), Flag::default(), Flag::default());
    let mut futures: Vec<_> = (0..jobs).map(|_| yields_until(&may_stop, &should_stop)).collect();
    for future in &mut futures {
        pool.submit(future.to_job()?);
    }
    let mut last = Future::new(async {
        for _ in 0..10_000 {
            yield_now().await;
        }
        Ok(())
    });
    pool.submit(last.to_job()?);
    last.wait()?;
    Ok(Yielding { pool, may_stop, should_stop, futures })
}

#[test]
fn a_job_that_yields_does_not_keep_the_only_worker_from_what_others_spawn() -> Result<(), Error> {
    let Yielding { pool, may_stop, should_stop, mut futures } = yielding(1)?;
    ThreadPool::spawn(&pool, move || may_stop.set());
    should_stop.set();
    assert!(futures[0].wait()?, "what was spawned has not run");
    Ok(())
}

#[test]
fn jobs_that_yield_do_not_keep_the_only_worker_from_what_others_spawn() -> Result<(), Error> {
    for jobs in [2, 3, 10] {
        let Yielding { pool, may_stop, should_stop, futures } = yielding(jobs)?;
        ThreadPool::spawn_fifo(&pool, move || may_stop.set());
        should_stop.set();
        for mut future in futures {
            assert!(future.wait()?, "{jobs} jobs yield, and what was spawned has not run");
        }
    }
    Ok(())
}

#[test]
fn jobs_that_yield_do_not_keep_the_only_worker_from_what_others_install() -> Result<(), Error> {
    for jobs in [1, 2, 10] {
        let Yielding { pool, may_stop, futures, .. } = yielding(jobs)?;
        let (installed, is_installed) = mpsc::channel();
        let installing = thread::spawn(move || {
            let (one, two) = pool.install(|| rayon::join(|| 1, || 2));
            installed.send(one + two).expect("the test is receiving");
        });
        let is_done = receives(&is_installed);
        may_stop.set();
        for mut future in futures {
            assert!(future.wait()?);
        }
        assert!(installing.join().is_ok());
        assert!(is_done, "{jobs} jobs yield, and what was installed has not run");
    }
    Ok(())
}

#[test]
fn jobs_that_wait_occupy_no_worker() -> Result<(), Error> {
    let (pool, event) = (pool(1), Event::default());
    let polls = Counter::default();
    let mut waiting: Vec<_> = (0..100)
        .map(|n| {
            let waits = event.happens();
            Future::new(counted(&polls, async move {
                waits.await;
                Ok(n)
            }))
        })
        .collect();
    let jobs = waiting.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
    let all = JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?);
    assert_eq!(pool.install(|| 6 * 7), 42, "the worker is free for other work of rayon");
    let mut setting = Future::new(async move {
        event.set();
        Ok(())
    });
    pool.submit(setting.to_job()?);
    all.wait();
    setting.wait()?;
    for (n, future) in waiting.iter_mut().enumerate() {
        assert_eq!(future.try_get_result()?, Some(n));
    }
    assert!(polls.get() <= 200, "a call took more than one step before the event and one after it");
    Ok(())
}

#[test]
fn a_pool_that_only_its_jobs_have_finishes_them() -> Result<(), Error> {
    let event = Event::default();
    let waits = event.happens();
    let mut future = Future::new(async {
        waits.await;
        yield_now().await;
        Ok("on a pool that only the job has")
    });
    let handle = pool(1).submit(future.to_job()?);
    event.set();
    handle.wait();
    assert_eq!(future.try_get_result()?, Some("on a pool that only the job has"));
    Ok(())
}

#[test]
fn jobs_that_fail_take_down_no_worker() -> Result<(), Error> {
    let pool = pool(1);
    let worker = pool.install(|| thread::current().id());
    for n in 0..10 {
        let mut panicking = Future::<()>::new(async move { panic!("number {n}") });
        pool.submit(panicking.to_job()?).wait();
        assert!(matches!(panicking.try_get_result(), Err(Error::Panic(_))));
    }
    assert_eq!(pool.install(|| thread::current().id()), worker);
    Ok(())
}

/// A user's type around a pool of rayon. Its destructor panics if a worker runs it, which happens when the last job is over.
#[derive(Clone)]
struct PanicsWhenDropped(Arc<ThreadPool>);

impl JobPool for PanicsWhenDropped {
    fn enqueue(&self, job: Job) {
        self.0.enqueue(job);
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        let is_worker = rayon::current_thread_index().is_some();
        assert!(!is_worker || thread::panicking(), "the destructor of a pool panics");
    }
}

#[test]
fn a_pool_whose_destructor_panics_goes_on_serving() {
    let escaped = assert_ends(|_| {
        let escaped = Counter::default();
        let escapes = escaped.clone();
        // Without this handler, a panic that escapes from a job ends the process.
        let builder = ThreadPoolBuilder::new().num_threads(1).panic_handler(move |_| escapes.add());
        let inner = Arc::new(builder.build().expect("rayon starts the threads"));
        for _ in 0..5 {
            let mut call = Future::new(ok(yield_now()));
            let runner = call.to_job().expect("the call is new");
            PanicsWhenDropped(inner.clone()).submit(runner).wait();
            assert!(matches!(call.try_get_result(), Ok(Some(()))));
            inner.submit_fn(|| ()).wait();
        }
        escaped.get()
    });
    assert_eq!(escaped, 0, "a panic of a destructor escaped from the job");
}

/// The owner steps a call on the only worker of a pool. The step submits `runner` to that pool, and lets rayon run it.
fn run_inside_a_step<T: Send + 'static>(
    runner: FutureRunner<T>,
) -> Result<(bool, ThreadId, usize), Error> {
    let pool = pool(1);
    let submitting = pool.clone();
    pool.install(move || {
        let mut outer = Future::new(async move {
            let handle = submitting.submit(runner);
            while rayon::yield_now() == Some(rayon::Yield::Executed) {}
            Ok((handle.is_complete(), thread::current().id(), stack_pointer()))
        });
        outer.wait()
    })
}

// Stacks are small only with guests. Only then do nested jobs get stacks of their own.
#[cfg(feature = "wasm")]
#[test]
fn a_job_run_while_a_step_lets_rayon_work_is_not_on_its_stack() -> Result<(), Error> {
    let mut inner = Future::new(async { Ok((thread::current().id(), stack_pointer())) });
    let (ran_meanwhile, thread, at) = run_inside_a_step(inner.to_job()?)?;
    let (thread_of_inner, at_inner) = inner.wait()?;
    assert!(ran_meanwhile);
    assert_eq!(thread_of_inner, thread);
    assert!(at_inner.abs_diff(at) > FAR_AWAY, "{at_inner:#x} is on the stack of {at:#x}");
    Ok(())
}

#[test]
fn a_job_that_panics_while_a_step_lets_rayon_work_is_its_own_failure() -> Result<(), Error> {
    let mut inner = Future::<()>::new(async { panic!("inside another") });
    let (ran_meanwhile, ..) = run_inside_a_step(inner.to_job()?)?;
    assert!(ran_meanwhile);
    assert!(matches!(inner.wait(), Err(Error::Panic(_))));
    Ok(())
}

// Stacks are small only with guests. Only then do nested jobs get stacks of their own.
#[cfg(feature = "wasm")]
#[test]
fn a_job_run_while_another_one_joins_is_not_on_its_stack() -> Result<(), Error> {
    let pool = pool(2);
    let (ends, has_ended) = mpsc::channel();
    let mut inner = Future::new(async move {
        yield_now().await;
        ends.send(()).expect("the other worker is receiving");
        Ok((thread::current().id(), stack_pointer()))
    });
    let runner = inner.to_job()?;
    let mut outer = Future::new({
        let pool = pool.clone();
        async move {
            let (stolen, is_stolen) = mpsc::channel();
            rayon::join(
                move || {
                    // The other worker has taken the other closure. Both workers are busy, so this one will run the job.
                    is_stolen.recv().expect("the other worker sends a message");
                    pool.submit(runner);
                },
                move || {
                    stolen.send(()).expect("this worker is receiving");
                    // This does not wait for the handle of the job, because then this worker would run the job itself.
                    has_ended.recv().expect("the job runs");
                },
            );
            Ok((thread::current().id(), stack_pointer()))
        }
    });
    pool.submit(outer.to_job()?);
    let (thread, at) = outer.wait()?;
    let (thread_of_inner, at_inner) = inner.wait()?;
    assert_eq!(thread_of_inner, thread);
    assert!(at_inner.abs_diff(at) > FAR_AWAY, "{at_inner:#x} is on the stack of {at:#x}");
    Ok(())
}

#[test]
fn a_step_that_lets_rayon_work_is_held_up_for_a_turn_at_most() -> Result<(), Error> {
    let (pool, may_stop, has_begun) = (pool(1), Flag::default(), Flag::default());
    has_begun.set();
    let mut yielding = yields_until(&may_stop, &has_begun);
    let runner = yielding.to_job()?;
    let mut outer = Future::new({
        let pool = pool.clone();
        async move {
            pool.submit(runner);
            rayon::yield_now();
            may_stop.set();
            Ok(())
        }
    });
    pool.submit(outer.to_job()?);
    outer.wait()?;
    assert!(yielding.wait()?, "the other job gave up before the step went on");
    Ok(())
}

#[test]
fn a_step_of_an_owner_on_a_worker_is_held_up_for_a_turn_at_most() -> Result<(), Error> {
    let pool = pool(1);
    let submitting = pool.clone();
    let went_on = pool.install(move || {
        let (may_stop, has_begun) = (Flag::default(), Flag::default());
        has_begun.set();
        let mut yielding = yields_until(&may_stop, &has_begun);
        let handle = submitting.submit(yielding.to_job()?);
        // This call is no job. Its owner steps it, on a thread that is a worker.
        let mut outer = Future::new(async move {
            rayon::yield_now();
            may_stop.set();
            Ok(())
        });
        outer.wait()?;
        while !handle.is_complete() {
            rayon::yield_now();
        }
        yielding.wait()
    });
    assert!(went_on?, "the other job gave up before the step went on");
    Ok(())
}

#[test]
fn a_step_that_lets_rayon_work_once_is_held_up_by_one_job_of_many() -> Result<(), Error> {
    let pool = pool(1);
    let mut futures: Vec<_> = (0..5).map(|n| Future::new(async move { Ok(n) })).collect();
    let runners = futures.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    let submitting = pool.clone();
    let ran_meanwhile = pool.install(move || {
        let mut outer = Future::new(async move {
            let jobs: Vec<_> =
                runners.into_iter().map(|runner| submitting.submit(runner)).collect();
            rayon::yield_now();
            Ok(jobs.iter().filter(|job| job.is_complete()).count())
        });
        outer.wait()
    })?;
    assert_eq!(ran_meanwhile, 1);
    for (n, future) in futures.iter_mut().enumerate() {
        assert_eq!(future.wait()?, n);
    }
    Ok(())
}

#[test]
fn a_call_submitted_to_the_global_pool_from_a_worker_of_another_runs_on_the_global_one()
-> Result<(), Error> {
    let global = rayon::broadcast(|_| thread::current().id());
    let (other, event) = (pool(1), Event::default());
    for _ in 0..3 {
        let happens = event.happens();
        let mut future = Future::new(async {
            let first = thread::current().id();
            happens.await;
            Ok([first, thread::current().id()])
        });
        let runner = future.to_job()?;
        let handle = other.install(|| RayonGlobal.submit(runner));
        // The wake comes from a worker of the other pool too.
        other.install(|| event.set());
        handle.wait();
        let threads = future.try_get_result()?.expect("the job is over");
        assert!(threads.iter().all(|thread| global.contains(thread)), "{threads:?}");
    }
    Ok(())
}

#[test]
fn a_call_submitted_to_another_pool_from_a_worker_of_the_global_one_runs_on_the_other()
-> Result<(), Error> {
    let other = pool(1);
    let worker = other.install(|| thread::current().id());
    let mut future = Future::new(async {
        yield_now().await;
        Ok(thread::current().id())
    });
    let (runner, (sender, submitted)) = (future.to_job()?, mpsc::channel());
    rayon::spawn(move || sender.send(other.submit(runner)).expect("the test is receiving"));
    submitted.recv().expect("the job is submitted").wait();
    assert_eq!(future.try_get_result()?, Some(worker));
    Ok(())
}

#[test]
fn a_job_waits_for_another_on_the_only_worker() {
    let pool = pool(1);
    let outer = pool.submit_fn({
        let pool = pool.clone();
        move || {
            let inner = pool.submit_fn(|| ());
            inner.wait();
            assert!(inner.is_complete());
        }
    });
    outer.wait();
    let succeeded = Counter::default();
    let after = pool.submit_after_ok(
        {
            let succeeded = succeeded.clone();
            move || succeeded.add()
        },
        &[outer],
    );
    after.wait();
    assert_eq!(succeeded.get(), 1);
}
