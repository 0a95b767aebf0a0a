//! Cancelling: invariants 2, 6 and 7 when a call is cancelled through the handle of its job. Cancelling a call interrupts its step, whether a
//! handle or the owner cancels. The other models of an owner that cancels are in `nothing_lost.rs`.
#![cfg(wasm_jobs_loom)]

use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::model::{Interrupter, Interruptible, is_cancelled};
use wasm_jobs::{Error, Future, JobHandle, JobPool, Step};
use wasm_jobs_loom_tests::{Pool, Watch};

/// Interrupts all steps in progress, as the epoch of an engine interrupts all its guests.
#[derive(Default)]
struct Epoch {
    now: Mutex<usize>,
    has_advanced: Condvar,
    /// The call whose cancelling advanced the epoch.
    cancelled: Mutex<Option<Arc<dyn Interruptible>>>,
}

loom::lazy_static! {
    static ref EPOCH: Epoch = Epoch::default();
}

impl Epoch {
    fn now(&self) -> usize {
        *self.now.lock().unwrap()
    }

    fn advance(&self) {
        *self.now.lock().unwrap() += 1;
        self.has_advanced.notify_all();
    }

    /// Advances the epoch repeatedly until the cancelled call, if any, has ended.
    fn advance_until_ended(&self) {
        if let Some(call) = self.cancelled.lock().unwrap().take() {
            while !call.has_ended() {
                self.advance();
                thread::yield_now();
            }
        }
    }

    /// Blocks while the epoch is `seen`, and returns the new epoch.
    fn wait_beyond(&self, seen: usize) -> usize {
        let mut now = self.now.lock().unwrap();
        while *now == seen {
            now = self.has_advanced.wait(now).unwrap();
        }
        *now
    }
}

/// Advances the epoch once when a call is cancelled during a step.
struct EpochInterrupter;

impl Interrupter for EpochInterrupter {
    fn interrupt(&'static self, call: Arc<dyn Interruptible>) {
        *EPOCH.cancelled.lock().unwrap() = Some(call);
        EPOCH.advance();
    }
}

/// Makes calls whose steps the epoch interrupts.
fn watch() -> Watch {
    Watch::interrupted_by(&EpochInterrupter)
}

/// The body of a step that runs until it is interrupted and finds that its call was cancelled.
fn run_until_cancelled(mut seen: usize) {
    loop {
        seen = EPOCH.wait_beyond(seen);
        if is_cancelled() {
            return;
        }
    }
}

/// Spawns a thread that cancels `handle`.
fn spawn_canceller(handle: &JobHandle) -> thread::JoinHandle<()> {
    let handle = handle.clone();
    thread::spawn(move || handle.cancel())
}

/// Mistakes: a turn starts although the call was cancelled; a turn in progress does not end the call; the canceller ends the call during the
/// turn, or while it holds a lock that the end takes too; the handle completes before the call has ended.
#[test]
fn a_handle_is_cancelled_while_a_worker_takes_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (pool.spawn_worker(), spawn_canceller(&handle));

        handle.wait();
        assert!(watch.is_dropped());
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        worker.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a cancelled job is enqueued when it yields, and no thread ends its call; two threads end the call.
#[test]
fn a_handle_is_cancelled_while_its_job_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (pool.spawn_worker(), spawn_canceller(&handle));

        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        assert!(watch.is_dropped());
        worker.join().unwrap();
        other.join().unwrap();
        assert!(handle.is_complete());
        if let Some(job) = pool.try_take() {
            job.run();
        }
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the wake starts a step of a cancelled call; the canceller leaves the call to the wake, and does not end it.
#[test]
fn a_handle_is_cancelled_while_its_waiting_job_is_woken() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let (mut future, waker) = watch.waiting_call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                waker.wake();
                if let Some(job) = pool.try_take() {
                    job.run();
                }
            }
        });
        let other = spawn_canceller(&handle);

        handle.wait();
        assert!(watch.is_dropped());
        match future.try_get_result() {
            Ok(result) => drop(result.unwrap()),
            Err(error) => assert!(matches!(error, Error::Cancelled)),
        }
        worker.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a call that has ended is ended again and loses its result; a call that was cancelled first keeps its result.
#[test]
fn a_handle_is_cancelled_while_its_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();
        let other = thread::spawn({
            let handle = handle.clone();
            move || {
                let was_complete = handle.is_complete();
                handle.cancel();
                was_complete
            }
        });

        let result = future.wait();
        let was_complete = other.join().unwrap();
        match result {
            Ok(result) => drop(result),
            Err(error) => {
                assert!(matches!(error, Error::Cancelled));
                assert!(!was_complete, "a result was lost");
            }
        }
        worker.join().unwrap();
        assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: both threads end the call, and one of them completes the handle while the other still drops the work.
#[test]
fn a_handle_is_cancelled_while_the_owner_cancels() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let other = spawn_canceller(&handle);

        future.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        assert!(watch.is_dropped());
        handle.wait();
        other.join().unwrap();
        pool.run_one();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: both cancellers end the call, and one of them completes the handle while the other still drops the work.
#[test]
fn two_threads_cancel_a_handle_while_a_worker_takes_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (pool.spawn_worker(), spawn_canceller(&handle));

        handle.cancel();
        handle.wait();
        assert!(watch.is_dropped());
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        worker.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the owner and the handle both end the call; the task keeps the result of a call whose future was dropped.
#[test]
fn a_handle_is_cancelled_while_the_future_is_dropped() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (pool.spawn_worker(), spawn_canceller(&handle));

        drop(future);
        handle.wait();
        assert!(watch.is_dropped());
        worker.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: giving the call back completes the handle although the call was cancelled and has not ended; cancelling ends a call that is
/// back with its owner.
#[test]
fn a_handle_is_cancelled_while_the_pool_drops_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let dropper = thread::spawn({
            let pool = pool.clone();
            move || drop(pool.try_take().unwrap())
        });
        let other = spawn_canceller(&handle);

        handle.wait();
        assert_eq!(future.resume().unwrap(), Step::Done);
        assert!(watch.is_dropped());
        match future.try_get_result() {
            Ok(result) => {
                drop(result.unwrap());
                assert_eq!(watch.steps(), 1);
            }
            Err(error) => {
                assert!(matches!(error, Error::Cancelled));
                assert_eq!(watch.steps(), 0);
            }
        }
        dropper.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the handle of the first job cancels the second job of the same call; cancelling first compares the handles, and then cancels,
/// when the call may be another job or no job.
#[test]
fn a_handle_is_cancelled_while_its_call_is_submitted_again() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Ready(()));
        let first = pool.submit(future.to_job().unwrap());
        let job = pool.try_take().unwrap();
        let other = spawn_canceller(&first);

        drop(job);
        if let Ok(runner) = future.to_job() {
            let second = pool.submit(runner);
            let had_ended = second.is_complete();
            let worker = pool.spawn_worker();
            second.wait();
            worker.join().unwrap();
            match future.try_get_result() {
                Ok(result) => drop(result.unwrap()),
                Err(error) => {
                    assert!(matches!(error, Error::Cancelled));
                    assert!(had_ended, "the handle of the first job cancelled the second");
                }
            }
        } else {
            // The call was cancelled before it came back, and has not ended yet.
            assert!(matches!(future.wait(), Err(Error::Cancelled)));
        }
        other.join().unwrap();
        assert!(first.is_complete());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the handle of the job cancels the call after the call is back with its owner.
#[test]
fn a_handle_is_cancelled_while_the_owner_has_its_call_back() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call({
            let mut has_yielded = false;
            move |context| {
                if std::mem::replace(&mut has_yielded, true) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }
        });
        let handle = pool.submit(future.to_job().unwrap());
        let other = spawn_canceller(&handle);

        drop(pool.try_take().unwrap());
        match future.resume() {
            Ok(Step::Yielded) => {
                let mut runner = future.to_job().unwrap();
                let runs = thread::spawn(move || assert_eq!(runner.resume(), Step::Done));
                drop(future.wait().unwrap());
                runs.join().unwrap();
            }
            Ok(step) => {
                assert_eq!(step, Step::Done);
                assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
            }
            // The call was cancelled before it came back, and has not ended yet.
            Err(_) => assert!(matches!(future.wait(), Err(Error::Cancelled))),
        }
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// A job cancels itself. This happens to a job that cancels its whole group when it fails.
///
/// Mistake: the canceller waits for the end of the step. Here it is inside that step.
#[test]
fn a_job_cancels_itself_while_the_owner_cancels() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let own = Arc::new(std::sync::Mutex::new(None::<JobHandle>));
        let mut future = watch.call({
            let own = own.clone();
            move |_| {
                let own = own.lock().unwrap().take();
                own.expect("the call has one step").cancel();
                assert!(is_cancelled());
                Poll::Ready(())
            }
        });
        let handle = pool.submit(future.to_job().unwrap());
        *own.lock().unwrap() = Some(handle.clone());
        let worker = pool.spawn_worker();

        future.cancel();
        handle.wait();
        assert!(watch.is_dropped());
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: the handle of all cancels only some of the jobs.
#[test]
fn the_handle_of_all_is_cancelled_while_a_worker_takes_a_job() {
    loom::model(|| {
        let (pool, watches) = (Pool::of_calls(2), [watch(), watch()]);
        let mut futures = watches.each_ref().map(|watch| watch.call(|_| Poll::Pending));
        let handles = futures.each_mut().map(|future| pool.submit(future.to_job().unwrap()));
        let all = JobHandle::all(handles);
        let (worker, other) = (pool.spawn_worker(), spawn_canceller(&all));

        all.wait();
        for (future, watch) in futures.iter_mut().zip(&watches) {
            assert!(watch.is_dropped());
            assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        }
        worker.join().unwrap();
        other.join().unwrap();
        pool.run_one();
        watches.iter().for_each(Watch::assert_is_over);
        pool.assert_is_forgotten();
    });
}

/// Mistakes: cancelling through a handle does not interrupt the step, or interrupts it before the call is cancelled; the step does not
/// find that its call was cancelled.
#[test]
fn a_handle_is_cancelled_while_its_job_goes_on_until_it_is_interrupted() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            run_until_cancelled(0);
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (pool.spawn_worker(), spawn_canceller(&handle));

        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        assert!(watch.is_dropped());
        worker.join().unwrap();
        other.join().unwrap();
        assert!(handle.is_complete());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: cancelling by the owner does not interrupt the step, or interrupts it before the call is cancelled; the step does not find
/// that its call was cancelled.
#[test]
fn the_future_is_cancelled_while_its_job_goes_on_until_it_is_interrupted() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            run_until_cancelled(0);
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

        future.cancel();
        handle.wait();
        assert!(watch.is_dropped());
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: dropping the future does not interrupt the step of a runner, or interrupts it before the call is cancelled; the step does
/// not find that its call was cancelled.
#[test]
fn the_future_is_dropped_while_its_runner_goes_on_until_it_is_interrupted() {
    loom::model(|| {
        let watch = watch();
        let mut future = watch.call(|_| {
            run_until_cancelled(0);
            Poll::Ready(())
        });
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || assert_eq!(runner.resume(), Step::Done));

        drop(future);
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// A guest computes its deadline from the epoch when its step begins, so it may miss an advance. The interrupter advances the epoch until the
/// call has ended.
///
/// Mistakes: `has_ended` is true as soon as the call was cancelled, while its step goes on; `has_ended` is never true.
#[test]
fn a_step_overlooks_that_it_is_interrupted() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            run_until_cancelled(EPOCH.now());
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

        handle.cancel();
        EPOCH.advance_until_ended();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The thread is in steps of two calls, one inside the other. Only the outer call was cancelled.
///
/// Mistakes: the step of the inner call counts as a step of the job around it; after the inner step, the outer step no longer finds that its
/// call was cancelled.
#[test]
fn a_handle_is_cancelled_while_its_job_steps_other_calls() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            run_until_cancelled(0);
            let ask = || Future::new(async { Ok(is_cancelled()) });
            let (mut owned, mut lent) = (ask(), ask());
            assert!(!owned.wait().unwrap());
            assert_eq!(lent.to_job().unwrap().resume(), Step::Done);
            assert!(!lent.wait().unwrap());
            assert!(is_cancelled());
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();

        handle.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The thread is in steps of two calls, one inside the other. Only the inner call was cancelled.
///
/// Mistakes: the inner step does not find that its call was cancelled; the outer step finds that its call was cancelled.
#[test]
fn the_future_is_cancelled_while_its_runner_is_in_a_step_of_another_call() {
    loom::model(|| {
        let (pool, inner, outer) = (Pool::of_calls(1), watch(), watch());
        let mut inner_future = inner.call(|_| {
            run_until_cancelled(0);
            Poll::Ready(())
        });
        let mut runner = inner_future.to_job().unwrap();
        let mut outer_future = outer.call(move |_| {
            assert_eq!(runner.resume(), Step::Done);
            assert!(!is_cancelled());
            Poll::Ready(())
        });
        let handle = pool.submit(outer_future.to_job().unwrap());
        let worker = pool.spawn_worker();

        inner_future.cancel();
        assert!(matches!(inner_future.wait(), Err(Error::Cancelled)));
        assert!(inner.is_dropped());
        handle.wait();
        drop(outer_future.try_get_result().unwrap().unwrap());
        worker.join().unwrap();
        inner.assert_is_over();
        outer.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: after the job, a step of another call on the same thread counts as a step of that job.
#[test]
fn a_handle_is_cancelled_before_its_worker_steps_a_call_of_its_own() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            run_until_cancelled(0);
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.run_one();
                assert!(!is_cancelled());
                let mut own = Future::new(async { Ok(is_cancelled()) });
                assert!(!own.wait().unwrap());
            }
        });

        handle.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}
