//! Job graphs: invariants 4, 5, 6 and 7 for a job that runs after others. The last of the others to end releases the job once, and the job sees
//! everything that they did. A job that runs only after success is refused if one of the others has failed.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::{Error, Future, Job, JobHandle, JobOutcome, JobPool};
use wasm_jobs_loom_tests::{CountingWaker, Owned, Pool, Token, Watch, poll};

/// The memory of two jobs. Each job writes its own word. The words are relaxed, so a thread sees both only if it was notified after both jobs.
#[derive(Clone, Default)]
struct Memory(Arc<[AtomicUsize; 2]>);

impl Memory {
    /// A closure that writes the word of a job.
    fn write(&self, job: usize) -> impl FnOnce() + Send + 'static {
        let memory = self.clone();
        move || memory.0[job].store(1, Relaxed)
    }

    fn assert_is_written(&self) {
        let written = [0, 1].map(|job| self.0[job].load(Relaxed));
        assert_eq!(written, [1, 1], "a job was released before the others were over");
    }
}

/// Submits two jobs, which write to `memory`, to a pool of their own.
fn submit_two_writers(memory: &Memory) -> (Pool, [JobHandle; 2]) {
    let pool = Pool::of_calls(2);
    let handles = [0, 1].map(|job| pool.submit_fn(memory.write(job)));
    (pool, handles)
}

fn join(workers: [thread::JoinHandle<()>; 2]) {
    for worker in workers {
        worker.join().unwrap();
    }
}

/// A call that asserts that the jobs before it wrote to `memory`.
fn read_back(watch: &Watch, memory: &Memory) -> Owned<Token> {
    let memory = memory.clone();
    watch.call(move |_| {
        memory.assert_is_written();
        Poll::Ready(())
    })
}

fn assert_has_result(mut future: Owned<Token>, watch: &Watch) {
    drop(future.try_get_result().unwrap().expect("the call has a result"));
    drop(future);
    watch.assert_is_over();
    assert_eq!(watch.steps(), 1);
}

/// Mistakes: the first job releases the third one, or both do, or neither; the third job does not see what one of them wrote.
#[test]
fn two_jobs_end_before_a_third_one() {
    loom::model(|| {
        // The third job has a pool of its own, whose queue has one place.
        let (memory, watch) = (Memory::default(), Watch::default());
        let (pool, before) = submit_two_writers(&memory);
        let pool_of_last = Pool::of_calls(1);
        let mut last = read_back(&watch, &memory);
        let handle = pool_of_last.submit_after(last.to_job().unwrap(), &before);
        assert!(
            pool_of_last.try_take().is_none(),
            "the third job was released before the others ran"
        );
        join([pool.spawn_worker(), pool.spawn_worker()]);

        pool_of_last.run_one();
        assert!(handle.is_complete());
        assert_has_result(last, &watch);
        drop(before);
        pool_of_last.assert_is_forgotten();
    });
}

/// Mistakes: the third job is released before it has subscribed to both jobs; it is never released if one of them ends before or during the
/// subscription; it is released twice.
#[test]
fn two_jobs_end_while_a_third_one_is_submitted_after_them() {
    loom::model(|| {
        let (memory, watch) = (Memory::default(), Watch::default());
        let (pool, before) = submit_two_writers(&memory);
        let pool_of_last = Pool::of_calls(1);
        let workers = [pool.spawn_worker(), pool.spawn_worker()];
        let mut last = read_back(&watch, &memory);
        let handle = pool_of_last.submit_after(last.to_job().unwrap(), &before);

        pool_of_last.work_until(handle);
        assert_has_result(last, &watch);
        join(workers);
        pool_of_last.assert_is_forgotten();
    });
}

/// The model above, with a closure as the third job.
///
/// Mistakes: those of the model above; the closure keeps its pool for as long as its handle lives.
#[test]
fn two_jobs_end_while_a_closure_is_submitted_after_them() {
    loom::model(|| {
        let (memory, ran) = (Memory::default(), counter());
        let (pool, before) = submit_two_writers(&memory);
        let pool_of_last = Pool::of_calls(1);
        let workers = [pool.spawn_worker(), pool.spawn_worker()];
        let last = {
            let (memory, ran) = (memory.clone(), ran.clone());
            move || {
                memory.assert_is_written();
                ran.fetch_add(1, Relaxed);
            }
        };
        let handle = pool_of_last.submit_after(last, &before);

        pool_of_last.work_until(handle.clone());
        assert_eq!(ran.load(Relaxed), 1);
        join(workers);
        pool_of_last.assert_is_forgotten();
        assert!(handle.is_complete());
    });
}

/// One of the jobs is over when the third one is submitted. So the submitting thread may have to release the third job.
///
/// Mistakes: the job that is over releases the third one alone; no thread releases it; it is refused although both succeeded.
#[test]
fn a_job_ends_while_another_one_is_submitted_after_it_and_after_one_that_is_over() {
    loom::model(|| {
        let (pool, pool_of_last) = (Pool::of_calls(1), Pool::of_calls(1));
        let (memory, watch) = (Memory::default(), Watch::default());
        let over = pool.submit_fn(memory.write(0));
        pool.run_one();
        let before = [pool.submit_fn(memory.write(1)), over];
        let worker = pool.spawn_worker();
        let mut last = read_back(&watch, &memory);
        let handle = pool_of_last.submit_after_ok(last.to_job().unwrap(), &before);

        pool_of_last.work_until(handle);
        assert_has_result(last, &watch);
        worker.join().unwrap();
        pool_of_last.assert_is_forgotten();
    });
}

/// Mistakes: the third job runs although one job failed, in whichever order the two ended; the handle of the third job does not complete, or
/// completes before the call has ended.
#[test]
fn one_of_two_jobs_fails_before_one_that_comes_after_their_success() {
    loom::model(|| {
        let (pool, pool_of_last) = (Pool::of_calls(2), Pool::of_calls(1));
        let (memory, watches) = (Memory::default(), [Watch::default(), Watch::default()]);
        let mut fails = Future::<()>::new(async { Err(Error::DependencyFailed) });
        let before = [pool.submit(fails.to_job().unwrap()), pool.submit_fn(memory.write(0))];
        let workers = [pool.spawn_worker(), pool.spawn_worker()];
        let mut last = watches[0].call(|_| Poll::Ready(()));
        let handle = pool_of_last.submit_after_ok(last.to_job().unwrap(), &before);
        // A fourth job depends on the success of the third.
        let mut later = watches[1].call(|_| Poll::Ready(()));
        let handle_of_later =
            pool_of_last.submit_after_ok(later.to_job().unwrap(), &[handle.clone()]);

        handle_of_later.wait();
        assert!(handle.is_complete());
        assert_eq!(memory.0[0].load(Relaxed), 1, "one of the jobs is not over");
        assert!(matches!(last.try_get_result(), Err(Error::DependencyFailed)));
        assert!(matches!(later.try_get_result(), Err(Error::DependencyFailed)));
        for watch in &watches {
            watch.assert_is_over();
            assert_eq!(watch.steps(), 0, "a refused job ran");
        }
        join(workers);
        assert!(pool_of_last.try_take().is_none(), "a refused job was released");
    });
}

/// The handle of a job is cancelled while the job before it ends.
///
/// Mistakes: cancelling waits for the job before; the work is dropped twice, or not at all; the job is enqueued twice.
#[test]
fn a_job_is_given_up_while_the_one_before_it_ends() {
    loom::model(|| {
        let (pool, pool_of_last) = (Pool::of_calls(1), Pool::of_calls(1));
        let (memory, watch) = (Memory::default(), Watch::default());
        let before = pool.submit_fn(memory.write(0));
        let mut last = watch.call(|_| Poll::Ready(()));
        let handle = pool_of_last.submit_after_ok(last.to_job().unwrap(), &[before]);
        let worker = pool.spawn_worker();

        handle.cancel();
        assert!(
            handle.is_complete(),
            "cancelling ends the job at once, because no step of it is in progress"
        );
        worker.join().unwrap();
        // If the job was released first, it is in the queue and has nothing left to do.
        if let Some(job) = pool_of_last.try_take() {
            job.run();
        }
        assert!(matches!(last.try_get_result(), Err(Error::Cancelled)));
        watch.assert_is_over();
        assert_eq!(watch.steps(), 0);
        pool_of_last.assert_is_forgotten();
    });
}

/// The owner cancels a job while the job before it fails.
///
/// Mistake: the job is refused while its owner ends the call. Then its handle completes before the call has ended.
#[test]
fn a_job_is_given_up_while_the_one_before_it_fails() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut fails = Future::<()>::new(async { Err(Error::Cancelled) });
        let before = pool.submit(fails.to_job().unwrap());
        let mut last = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit_after_ok(last.to_job().unwrap(), &[before]);
        let worker = thread::spawn({
            let (pool, handle, watch) = (pool.clone(), handle.clone(), watch.clone());
            move || {
                pool.run_one();
                let is_complete = handle.is_complete();
                assert!(
                    !is_complete || watch.is_dropped(),
                    "the handle completed before the call ended"
                );
            }
        });

        last.cancel();
        handle.wait();
        let result = last.try_get_result();
        assert!(matches!(result, Err(Error::Cancelled | Error::DependencyFailed)));
        worker.join().unwrap();
        watch.assert_is_over();
        assert_eq!(watch.steps(), 0);
        pool.assert_is_forgotten();
    });
}

/// Either the worker runs the closure, or the canceller drops it. After that its handle is complete.
///
/// Mistakes: the handle completes before the closure is gone; both threads take the closure, or neither does.
#[test]
fn a_closure_is_cancelled_while_a_worker_takes_it() {
    loom::model(|| {
        let (pool, ran, drops) = (Pool::of_calls(1), counter(), counter());
        let handle = pool.submit_fn(count_run_and_drop(&ran, &drops));
        let worker = thread::spawn({
            let (pool, handle, drops) = (pool.clone(), handle.clone(), drops.clone());
            move || {
                pool.run_one();
                let is_complete = handle.is_complete();
                assert!(!is_complete || drops.load(Relaxed) == 1, "the closure is not gone");
            }
        });

        handle.cancel();
        handle.wait();
        assert_eq!(drops.load(Relaxed), 1, "the closure was not dropped exactly once");
        let ran_by_then = ran.load(Relaxed);
        worker.join().unwrap();
        assert_eq!((ran.load(Relaxed), drops.load(Relaxed)), (ran_by_then, 1));
        pool.assert_is_forgotten();
    });
}

fn counter() -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(0))
}

/// Counts its drop.
struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A closure that counts its run.
fn count_run(ran: &Arc<AtomicUsize>) -> impl FnOnce() + Send + use<> {
    let ran = ran.clone();
    move || {
        ran.fetch_add(1, Relaxed);
    }
}

/// A closure that counts its run and its drop.
fn count_run_and_drop(
    ran: &Arc<AtomicUsize>,
    drops: &Arc<AtomicUsize>,
) -> impl FnOnce() + Send + use<> {
    let (count_run, on_drop) = (count_run(ran), OnDrop(drops.clone()));
    move || {
        count_run();
        drop(on_drop);
    }
}

/// A task awaits the handle of all while two jobs end. When the task is woken, it sees what both jobs did.
///
/// Mistakes: the task is not woken; the first job wakes it; the task does not see what the first job did.
#[test]
fn another_thread_awaits_all_while_two_jobs_end() {
    loom::model(|| {
        let memory = Memory::default();
        let (pool, handles) = submit_two_writers(&memory);
        let mut all = JobHandle::all(handles);
        let workers = [pool.spawn_worker(), pool.spawn_worker()];

        let waker = CountingWaker::default();
        let is_ready = poll(&mut all, &waker).is_ready();
        if is_ready {
            memory.assert_is_written();
        }
        join(workers);
        assert!(is_ready || waker.is_woken(), "the task was not woken");
        assert!(poll(&mut all, &waker).is_ready());
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the outcome of a closure can be read before the closure is dropped; reading it does not acquire.
#[test]
fn a_thread_asks_for_the_outcome_while_a_closure_ends() {
    loom::model(|| {
        let (pool, ran, drops) = (Pool::of_calls(1), counter(), counter());
        let handle = pool.submit_fn(count_run_and_drop(&ran, &drops));
        let worker = pool.spawn_worker();

        if let Some(outcome) = handle.outcome() {
            assert_eq!(outcome, JobOutcome::Succeeded);
            assert_eq!((ran.load(Relaxed), drops.load(Relaxed)), (1, 1), "the closure is not gone");
        }
        worker.join().unwrap();
        assert_eq!(handle.outcome(), Some(JobOutcome::Succeeded));
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the outcome of all is that of the last job; a failing job counts before it stores its failure; the handle completes with the first
/// job.
#[test]
fn a_thread_asks_for_the_outcome_of_all_while_one_fails() {
    loom::model(|| {
        let (pool, memory) = (Pool::of_calls(2), Memory::default());
        let mut fails = Future::<()>::new({
            let write = memory.write(0);
            let fails = async move {
                write();
                Err(Error::DependencyFailed)
            };
            fails
        });
        let all =
            JobHandle::all([pool.submit(fails.to_job().unwrap()), pool.submit_fn(memory.write(1))]);
        let workers = [pool.spawn_worker(), pool.spawn_worker()];

        if let Some(outcome) = all.outcome() {
            assert_eq!(outcome, JobOutcome::Failed);
            memory.assert_is_written();
        }
        join(workers);
        assert_eq!(all.outcome(), Some(JobOutcome::Failed));
    });
}

/// A pool without a queue: it runs a job inside `enqueue`.
fn run_at_once(job: Job) {
    job.run();
}

/// A pool without a queue runs a job on the thread that ends the job before it. Here such a job cancels another job, and then waits for the
/// dependent of that one.
///
/// Mistake: a thread blocks before it has notified the dependents that are ready.
#[test]
fn a_job_waits_for_one_that_it_has_made_ready() {
    loom::model(|| {
        let (pool, pool_of_cancelled) = (Pool::of_calls(1), Pool::of_calls(1));
        let (ran, pool_at_once) = (counter(), run_at_once as fn(Job));
        let first = pool.submit_fn(|| ());
        let cancelled = pool_of_cancelled.submit_fn(|| ());
        let later = pool_at_once.submit_after(count_run(&ran), std::slice::from_ref(&cancelled));
        let waits = {
            let ran = ran.clone();
            move || {
                cancelled.cancel();
                later.wait();
                assert_eq!(ran.load(Relaxed), 1);
            }
        };
        let worker = pool.spawn_worker();

        let waits = pool_at_once.submit_after(waits, &[first]);
        waits.wait();
        assert_eq!(waits.outcome(), Some(JobOutcome::Succeeded));
        worker.join().unwrap();
        pool_of_cancelled.run_one();
        pool_of_cancelled.assert_is_forgotten();
    });
}

/// Two threads end the first jobs of three chains of jobs: one thread ends two of them, and the other ends one.
///
/// Mistakes: a ready dependent is queued, and no thread notifies it; a thread notifies only one of several dependents; a thread goes on queueing
/// dependents after it has notified all, and no longer notifies any.
#[test]
fn chains_end_on_the_threads_that_end_their_first_jobs() {
    loom::model(|| {
        let (pool, ran) = (Pool::of_calls(3), counter());
        let pool_at_once = run_at_once as fn(Job);
        let chain = |length: usize| {
            (0..length).fold(pool.submit_fn(|| ()), |before, _| {
                pool_at_once.submit_after(count_run(&ran), &[before])
            })
        };
        let chains = [chain(2), chain(1), chain(1)];
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.run_one();
                pool.run_one();
            }
        });

        pool.run_one();
        for last in &chains {
            last.wait();
        }
        worker.join().unwrap();
        assert_eq!(ran.load(Relaxed), 4);
        pool.assert_is_forgotten();
    });
}

/// Adding a waiter to a latch prunes the cancelled waiters of the latch. Here a cancelled job is pruned and dropped while other threads cancel it
/// and end the job before it.
///
/// Mistakes: a job that still waits is pruned; a cancelled job runs; a cancelled job is dropped twice.
#[test]
fn a_cancelled_job_is_pruned_while_the_one_before_it_ends() {
    loom::model(|| {
        let (pool, pool_of_last) = (Pool::of_calls(1), Pool::of_calls(2));
        let (watch, ran) = (Watch::default(), counter());
        let first = pool.submit_fn(|| ());
        let mut future = watch.call(|_| Poll::Ready(()));
        let cancelled =
            pool_of_last.submit_after(future.to_job().unwrap(), std::slice::from_ref(&first));
        let worker = pool.spawn_worker();
        let canceller = thread::spawn({
            let cancelled = cancelled.clone();
            move || cancelled.cancel()
        });

        let last = pool_of_last.submit_after(count_run(&ran), &[first]);
        pool_of_last.work_until(last);
        assert_eq!(ran.load(Relaxed), 1);
        canceller.join().unwrap();
        worker.join().unwrap();
        if let Some(job) = pool_of_last.try_take() {
            job.run();
        }
        match future.try_get_result() {
            Ok(result) => drop(result.unwrap()),
            Err(error) => {
                assert!(matches!(error, Error::Cancelled));
                assert_eq!(cancelled.outcome(), Some(JobOutcome::Cancelled));
            }
        }
        watch.assert_is_over();
        pool_of_last.assert_is_forgotten();
    });
}

/// Mistakes: both jobs complete the handle, the second one with another outcome; the handle forgets a job that is over when it is asked.
#[test]
fn two_jobs_end_while_a_thread_waits_for_the_first_of_them() {
    loom::model(|| {
        let pool = Pool::of_calls(2);
        let succeeds = pool.submit_fn(|| ());
        let mut call = Future::new(std::future::ready(Err::<(), _>(Error::other("no"))));
        let fails = pool.submit(call.to_job().unwrap());
        let jobs = [succeeds, fails];
        let worker = pool.spawn_worker();
        let any = JobHandle::any(jobs.clone());
        let waiter = thread::spawn({
            let any = any.clone();
            move || {
                any.wait();
                any.outcome().expect("the thread has waited for the handle")
            }
        });

        pool.run_one();
        let outcome = waiter.join().unwrap();
        assert!(jobs.iter().any(|job| job.outcome() == Some(outcome)), "no job is over");
        worker.join().unwrap();
        assert_eq!(any.outcome(), Some(outcome), "the outcome has changed");
        drop((any, jobs, call));
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the handle asks the first job alone; it forgets a job that is over when it is asked.
#[test]
fn the_second_job_ends_while_a_handle_of_any_is_made_and_waited_for() {
    loom::model(|| {
        let (pool, pool_of_second) = (Pool::of_calls(1), Pool::of_calls(1));
        let jobs = [pool.submit_fn(|| ()), pool_of_second.submit_fn(|| ())];
        let worker = pool_of_second.spawn_worker();

        let any = JobHandle::any(jobs.clone());
        any.wait();
        assert!(jobs[1].is_complete());
        pool.run_one();
        worker.join().unwrap();
        drop((any, jobs));
        pool.assert_is_forgotten();
    });
}
