//! Cancelling: invariants 2, 6 and 7 when a call is cancelled through the handle of its job. And a step is interrupted if its call is
//! cancelled, by a handle or by the owner. The other models of an owner that cancels are in `nothing_lost.rs`.
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
    /// The call for which it was advanced.
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

    /// Advances again and again until the cancelled call has ended, if there is one.
    fn advance_on(&self) {
        if let Some(call) = self.cancelled.lock().unwrap().take() {
            while !call.has_ended() {
                self.advance();
                thread::yield_now();
            }
        }
    }

    /// Blocks until the epoch is not `seen` any more, and returns it.
    fn pass(&self, seen: usize) -> usize {
        let mut now = self.now.lock().unwrap();
        while *now == seen {
            now = self.has_advanced.wait(now).unwrap();
        }
        *now
    }
}

/// Advances the epoch, once, when a call is cancelled during a step.
struct AdvancesTheEpoch;

impl Interrupter for AdvancesTheEpoch {
    fn interrupt(&'static self, call: Arc<dyn Interruptible>) {
        *EPOCH.cancelled.lock().unwrap() = Some(call);
        EPOCH.advance();
    }
}

/// Watched calls whose steps are interrupted by the epoch.
fn watch() -> Watch {
    Watch::interrupted_by(&AdvancesTheEpoch)
}

/// The code of a step that goes on until it is interrupted and finds that its call was cancelled.
fn go_on(mut seen: usize) {
    loop {
        seen = EPOCH.pass(seen);
        if is_cancelled() {
            return;
        }
    }
}

/// Another thread that cancels.
fn cancel(handle: &JobHandle) -> thread::JoinHandle<()> {
    let handle = handle.clone();
    thread::spawn(move || handle.cancel())
}

/// A worker that runs one job, which is in the queue already.
fn worker(pool: &Pool) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || pool.run_one())
}

/// Mistakes: a turn starts although the call was cancelled; a turn in progress does not end the call; the canceller ends the call during
/// the turn, or ends it while it holds a lock that ending takes; the handle completes before the call has ended.
#[test]
fn a_handle_is_cancelled_while_a_worker_takes_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (worker(&pool), cancel(&handle));

        handle.wait();
        assert!(watch.is_dropped());
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        worker.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a job that was cancelled is enqueued when it yields, and nobody ends it; the call is ended twice.
#[test]
fn a_handle_is_cancelled_while_its_job_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (worker(&pool), cancel(&handle));

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

/// Mistakes: the wake starts a step of a call that was cancelled; the canceller leaves it to the wake to end the call.
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
        let other = cancel(&handle);

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

/// Mistakes: a call that has ended is ended again, and loses its result; the result of a call that was cancelled first is kept.
#[test]
fn a_handle_is_cancelled_while_its_job_finishes() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Ready(()));
        let handle = pool.submit(future.to_job().unwrap());
        let worker = worker(&pool);
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
        let other = cancel(&handle);

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

/// Mistake: both cancelling threads end the call, and one of them completes the handle while the other still drops the work.
#[test]
fn two_threads_cancel_a_handle_while_a_worker_takes_its_job() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Pending);
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (worker(&pool), cancel(&handle));

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
        let (worker, other) = (worker(&pool), cancel(&handle));

        drop(future);
        handle.wait();
        assert!(watch.is_dropped());
        worker.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: giving the call back completes the handle although the call was cancelled and has not ended; cancelling ends a call that
/// its owner has back.
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
        let other = cancel(&handle);

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

/// Mistakes: the handle of the first job cancels the second job of the same call; cancelling compares the handles, then cancels when
/// the call may be another job, or none.
#[test]
fn a_handle_is_cancelled_while_its_call_is_submitted_again() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| Poll::Ready(()));
        let first = pool.submit(future.to_job().unwrap());
        let job = pool.try_take().unwrap();
        let other = cancel(&first);

        drop(job);
        if let Ok(runner) = future.to_job() {
            let second = pool.submit(runner);
            let had_ended = second.is_complete();
            let worker = worker(&pool);
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

/// Mistake: the handle of the job cancels the call after its owner has it back.
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
        let other = cancel(&handle);

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

/// A job cancels itself, as a job does that cancels a whole group when it fails.
///
/// Mistake: the canceller waits for the end of the step. Here the step is its own.
#[test]
fn a_job_cancels_itself_while_the_owner_cancels() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let own = Arc::new(std::sync::Mutex::new(None::<JobHandle>));
        let mut future = watch.call({
            let own = own.clone();
            move |_| {
                let own = own.lock().unwrap().take();
                own.expect("there is one step").cancel();
                assert!(is_cancelled());
                Poll::Ready(())
            }
        });
        let handle = pool.submit(future.to_job().unwrap());
        *own.lock().unwrap() = Some(handle.clone());
        let worker = worker(&pool);

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
        let (worker, other) = (worker(&pool), cancel(&all));

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
            go_on(0);
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let (worker, other) = (worker(&pool), cancel(&handle));

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
            go_on(0);
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = worker(&pool);

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
            go_on(0);
            Poll::Ready(())
        });
        let mut runner = future.to_job().unwrap();
        let other = thread::spawn(move || assert_eq!(runner.resume(), Step::Done));

        drop(future);
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// A guest takes its deadline from the epoch at the beginning of its step, and so may overlook an advance. The interrupter advances the
/// epoch until the call has ended.
///
/// Mistakes: the call says that it has ended as soon as it was cancelled, while its step goes on; it never says so.
#[test]
fn a_step_overlooks_that_it_is_interrupted() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            go_on(EPOCH.now());
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = worker(&pool);

        handle.cancel();
        EPOCH.advance_on();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The thread is in steps of two calls, one inside the other. Only the outer call was cancelled.
///
/// Mistakes: the step of an inner call is taken for a step of the job around it; when the inner step is over, the outer step does not
/// find any more that its call was cancelled.
#[test]
fn a_handle_is_cancelled_while_its_job_steps_other_calls() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            go_on(0);
            let ask = || Future::new(async { Ok(is_cancelled()) });
            let (mut owned, mut lent) = (ask(), ask());
            assert!(!owned.wait().unwrap());
            assert_eq!(lent.to_job().unwrap().resume(), Step::Done);
            assert!(!lent.wait().unwrap());
            assert!(is_cancelled());
            Poll::Ready(())
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = worker(&pool);

        handle.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        worker.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The thread is in steps of two calls, one inside the other. Only the inner call was cancelled.
///
/// Mistakes: the inner step does not find that its call was cancelled; the outer step takes itself for cancelled.
#[test]
fn the_future_is_cancelled_while_its_runner_is_in_a_step_of_another_call() {
    loom::model(|| {
        let (pool, inner, outer) = (Pool::of_calls(1), watch(), watch());
        let mut inner_future = inner.call(|_| {
            go_on(0);
            Poll::Ready(())
        });
        let mut runner = inner_future.to_job().unwrap();
        let mut outer_future = outer.call(move |_| {
            assert_eq!(runner.resume(), Step::Done);
            assert!(!is_cancelled());
            Poll::Ready(())
        });
        let handle = pool.submit(outer_future.to_job().unwrap());
        let worker = worker(&pool);

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

/// Mistake: after the job, the thread takes a step of its own call for a step of that job.
#[test]
fn a_handle_is_cancelled_before_its_worker_steps_a_call_of_its_own() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let mut future = watch.call(|_| {
            go_on(0);
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
