//! Cancelling: invariants 2, 6 and 7 when a call is given up by somebody else than its owner, through the handle of its job; and
//! by whomever it is given up during a step, the step is interrupted. What the owner alone gives up is in `nothing_lost.rs`.
#![cfg(wasm_jobs_loom)]

use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::model::{Interrupter, Interruptible, is_cancelled};
use wasm_jobs::{Error, Future, JobHandle, JobPool, Step};
use wasm_jobs_loom_tests::{Pool, Watch};

/// What interrupts work that runs, as the epoch of an engine interrupts its guests: all of them, whosever step it is for.
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

    /// Advances until that call has ended for which it was advanced, if there is one.
    fn advance_on(&self) {
        if let Some(call) = self.cancelled.lock().unwrap().take() {
            while !call.has_ended() {
                self.advance();
                thread::yield_now();
            }
        }
    }

    /// Blocks until it has advanced, and gives what it is then.
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

/// What a step does that goes on until it is interrupted, and then asks, and is told that its call was given up.
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

/// A worker that takes one job, which is there.
fn worker(pool: &Pool) -> thread::JoinHandle<()> {
    let pool = pool.clone();
    thread::spawn(move || pool.run_one())
}

/// Mistakes: a turn starts although the call was cancelled; one that is in progress does not end it; whoever cancels ends it
/// meanwhile, or holds a lock that this takes; the handle is complete before the call has ended.
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

/// Mistakes: a job that yields is enqueued although it was cancelled, and ended by nobody; it is ended twice.
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

/// Mistakes: a wake starts a step of a call that was cancelled; cancelling leaves it to the wake to end the call.
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

/// Mistakes: a call that has ended is ended again, over its result; a result that comes too late is kept.
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
                assert!(!was_complete, "a result was given up");
            }
        }
        worker.join().unwrap();
        assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: both end the call, and one of them tells everyone while the other still drops the work.
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

/// Mistake: the same, for two who are not the owner.
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

/// Mistakes: both end the call; a result that nobody wants is kept.
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

/// Mistakes: giving back completes the handle of a call that was cancelled, and is not ended yet; cancelling ends a call that its
/// owner has back.
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

/// Mistakes: the handle of one job cancels another of the same call; it looks whether it is that of the job, and cancels
/// when it may be another, or none.
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
                    assert!(had_ended, "it was cancelled by the handle of another job");
                }
            }
        } else {
            // It was cancelled before it came back, and has not ended yet.
            assert!(matches!(future.wait(), Err(Error::Cancelled)));
        }
        other.join().unwrap();
        assert!(first.is_complete());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistakes: the same, for a call that its owner goes on with.
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
            // It was cancelled before it came back, and has not ended yet.
            Err(_) => assert!(matches!(future.wait(), Err(Error::Cancelled))),
        }
        other.join().unwrap();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// As a job does that fails, and cancels all that were to succeed together.
///
/// Mistake: whoever cancels waits for the end of the step, which is its own.
#[test]
fn a_job_cancels_itself_while_the_owner_cancels() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), watch());
        let own = Arc::new(std::sync::Mutex::new(None::<JobHandle>));
        let mut future = watch.call({
            let own = own.clone();
            move |_| {
                let own = own.lock().unwrap().take();
                own.expect("it is one step").cancel();
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

/// Mistake: the handle of all cancels some.
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

/// Mistakes: cancelling through a handle does not interrupt, or does before the call is cancelled; the step is not told that it
/// is its call.
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

/// Mistakes: the same, for the owner who cancels.
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

/// Mistakes: the same, for a runner in somebody's hands.
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

/// A guest takes its deadline from the epoch as it is when its step begins, and so may overlook an advance.
///
/// Mistakes: a call that was cancelled has ended as far as its interrupter knows, though its step goes on; it never ends.
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

/// A thread that is in steps of two calls, one inside the other, is asked for the inner one's.
///
/// Mistakes: the step of a call that the owner has is taken for that of the job around it; the step around it is no longer known
/// for one when that inside it has ended.
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

/// Mistakes: the step inside another is not told that it is its call that was cancelled; the step around it is.
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

/// Mistake: a thread takes the next call that it steps, its own, for the job before.
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
