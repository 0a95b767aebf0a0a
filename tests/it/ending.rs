//! Ending a call early: cancelling it, and dropping its future, its runner or its job.

use crate::support::{
    Counter, Event, OnDrop, Queue, Way, a_thread_each, poll_once, receives, workers,
};
use std::cell::Cell;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use wasm_jobs::{Error, Future, JobPool, Step, yield_now};

/// A call with several stops: it yields, waits for the event, and yields again. Its work holds a guard, and its result is another guard.
struct Call {
    future: Future<OnDrop>,
    event: Event,
    /// Counts the drops of the work.
    works: Counter,
    /// Counts the drops of the result.
    results: Counter,
}

fn call() -> Call {
    let (works, results, event) = (Counter::default(), Counter::default(), Event::default());
    let (work, result, waits) = (works.on_drop(), results.on_drop(), event.happens());
    let future = Future::new(async move {
        let _work = work;
        yield_now().await;
        waits.await;
        yield_now().await;
        Ok(result)
    });
    Call { future, event, works, results }
}

impl Call {
    /// Cancels the call while no step is in progress. The call must end at once.
    fn ends_when_cancelled(mut self) -> Result<(), Error> {
        self.future.cancel();
        assert_eq!((self.works.get(), self.results.get()), (1, 1), "what the call held is dropped");
        self.future.cancel();
        assert!(self.future.has_result());
        assert_eq!(self.future.resume()?, Step::Done);
        assert!(matches!(self.future.try_get_result(), Err(Error::Cancelled)));
        assert!(matches!(self.future.try_get_result(), Err(Error::ResultTaken)));
        assert!(self.future.is_disposed());
        self.event.set();
        drop(self.future);
        assert_eq!((self.works.get(), self.results.get()), (1, 1));
        Ok(())
    }

    /// Drops the future while no step is in progress. The call must end at once.
    fn ends_when_dropped(self) {
        drop(self.future);
        assert_eq!((self.works.get(), self.results.get()), (1, 1), "what the call held is dropped");
        self.event.set();
        assert_eq!((self.works.get(), self.results.get()), (1, 1));
    }
}

/// A call with a step that lasts until the test lets it go on.
struct LongStep {
    future: Future<OnDrop>,
    works: Counter,
    results: Counter,
    /// The step sends a message here when it begins.
    is_inside: Receiver<()>,
    /// Lets the step go on. Dropping this lets it go on too.
    go_on: Sender<()>,
    /// The step sends here whether a message let it go on.
    went_on: Receiver<bool>,
}

/// If `then_yields`, the step ends with a yield, and otherwise with the call.
fn long_step(then_yields: bool) -> LongStep {
    let (works, results) = (Counter::default(), Counter::default());
    let (work, result) = (works.on_drop(), results.on_drop());
    let (inside, is_inside) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let (went, went_on) = mpsc::channel();
    let future = Future::new(async move {
        let _work = work;
        inside.send(()).expect("the test is receiving");
        went.send(receives(&goes_on)).expect("the test is receiving");
        if then_yields {
            yield_now().await;
        }
        Ok(result)
    });
    LongStep { future, works, results, is_inside, go_on, went_on }
}

#[test]
fn cancelling_a_call_that_was_not_started() -> Result<(), Error> {
    call().ends_when_cancelled()
}

#[test]
fn cancelling_a_call_that_has_yielded() -> Result<(), Error> {
    let mut call = call();
    assert_eq!(call.future.resume()?, Step::Yielded);
    call.ends_when_cancelled()
}

#[test]
fn cancelling_a_call_that_waits() -> Result<(), Error> {
    let mut call = call();
    assert_eq!(call.future.resume()?, Step::Yielded);
    assert_eq!(call.future.resume()?, Step::Waiting);
    call.ends_when_cancelled()
}

#[test]
fn cancelling_a_call_that_has_ended_leaves_its_result() -> Result<(), Error> {
    let Call { mut future, event, works, results } = call();
    event.set();
    while future.resume()? != Step::Done {}
    assert_eq!((works.get(), results.get()), (1, 0));
    future.cancel();
    assert_eq!(results.get(), 0);
    assert!(future.try_get_result()?.is_some());
    assert_eq!(results.get(), 1);
    future.cancel();
    assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn cancelling_a_job_that_has_ended_leaves_its_result() -> Result<(), Error> {
    let Call { mut future, event, works, results } = call();
    event.set();
    a_thread_each.submit(future.to_job()?).wait();
    future.cancel();
    assert_eq!((works.get(), results.get()), (1, 0));
    assert!(future.try_get_result()?.is_some());
    Ok(())
}

#[test]
fn cancelling_a_call_that_a_runner_has() -> Result<(), Error> {
    for steps in 0..3 {
        let mut call = call();
        let mut runner = call.future.to_job()?;
        for _ in 0..steps {
            assert_ne!(runner.resume(), Step::Done);
        }
        call.ends_when_cancelled()?;
        assert_eq!(runner.resume(), Step::Done, "there is nothing left to do");
    }
    Ok(())
}

#[test]
fn cancelling_a_call_whose_runner_is_then_submitted() -> Result<(), Error> {
    for &way in Way::ALL {
        let mut call = call();
        let runner = call.future.to_job()?;
        call.future.cancel();
        let handle = workers(1).submit(runner);
        handle.wait();
        assert_eq!(call.works.get(), 1);
        assert!(matches!(way.finish(&mut call.future), Err(Error::Cancelled)), "{way:?}");
    }
    Ok(())
}

#[test]
fn cancelling_a_job_that_stands_in_its_pools_queue() -> Result<(), Error> {
    let (queue, mut call) = (Queue::default(), call());
    let handle = queue.submit(call.future.to_job()?);
    call.ends_when_cancelled()?;
    assert!(handle.is_complete());
    assert_eq!(queue.len(), 1);
    queue.run();
    assert_eq!(queue.len(), 0);
    Ok(())
}

#[test]
fn cancelling_a_job_that_waits() -> Result<(), Error> {
    let (queue, mut call) = (Queue::default(), call());
    let handle = queue.submit(call.future.to_job()?);
    queue.run();
    call.ends_when_cancelled()?;
    assert!(handle.is_complete());
    assert_eq!(queue.len(), 0, "a wake after the end enqueued the job");
    Ok(())
}

#[test]
fn cancelling_a_job_that_was_woken() -> Result<(), Error> {
    let (queue, mut call) = (Queue::default(), call());
    let handle = queue.submit(call.future.to_job()?);
    queue.run();
    call.event.set();
    assert_eq!(queue.len(), 1);
    call.ends_when_cancelled()?;
    assert!(handle.is_complete());
    queue.run();
    assert_eq!(queue.len(), 0);
    Ok(())
}

#[test]
fn cancelling_a_call_that_came_back() -> Result<(), Error> {
    let mut call = call();
    let mut runner = call.future.to_job()?;
    assert_eq!(runner.resume(), Step::Yielded);
    drop(runner);
    call.ends_when_cancelled()
}

#[test]
fn cancelling_during_a_step_ends_the_call_at_the_end_of_the_step() -> Result<(), Error> {
    for then_yields in [true, false] {
        let LongStep { mut future, works, results, is_inside, go_on, went_on } =
            long_step(then_yields);
        let handle = workers(1).submit(future.to_job()?);
        assert!(receives(&is_inside));
        future.cancel();
        assert!(!handle.is_complete() && !future.has_result());
        assert!(matches!(future.resume(), Err(Error::InJob)));
        assert_eq!(works.get(), 0, "a step is in progress");

        go_on.send(()).expect("the step is receiving");
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        assert!(went_on.recv().expect("the step sends a message"));
        handle.wait();
        assert_eq!((works.get(), results.get()), (1, 1), "the late result is dropped");
    }
    Ok(())
}

#[test]
fn cancelling_during_a_step_of_a_runner_in_somebodys_hands() -> Result<(), Error> {
    for then_yields in [true, false] {
        let LongStep { mut future, works, results, is_inside, go_on, went_on } =
            long_step(then_yields);
        let mut runner = future.to_job()?;
        let stepping = thread::spawn(move || runner.resume());
        assert!(receives(&is_inside));
        future.cancel();
        assert_eq!(works.get(), 0, "a step is in progress");
        go_on.send(()).expect("the step is receiving");
        assert_eq!(stepping.join().expect("the step does not panic"), Step::Done);
        assert!(went_on.recv().expect("the step sends a message"));
        assert_eq!((works.get(), results.get()), (1, 1));
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    }
    Ok(())
}

#[test]
fn nothing_that_the_owner_does_during_a_step_waits_for_the_step() -> Result<(), Error> {
    let LongStep { mut future, is_inside, go_on, went_on, .. } = long_step(false);
    workers(1).submit(future.to_job()?);
    assert!(receives(&is_inside));
    assert!(!future.has_result() && !future.is_disposed());
    assert!(future.try_get_result()?.is_none());
    assert!(matches!(future.resume(), Err(Error::InJob)));
    assert!(matches!(future.to_job(), Err(Error::InJob)));
    assert!(format!("{future:?}").contains("Future"));
    future.cancel();
    let _ = go_on.send(());
    assert!(
        went_on.recv().expect("the step sends a message"),
        "the owner was blocked until the step gave up"
    );
    assert!(matches!(future.wait(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn dropping_a_call_that_was_not_started() {
    call().ends_when_dropped();
}

#[test]
fn dropping_a_call_that_has_yielded() -> Result<(), Error> {
    let mut call = call();
    assert_eq!(call.future.resume()?, Step::Yielded);
    call.ends_when_dropped();
    Ok(())
}

#[test]
fn dropping_a_call_that_waits() -> Result<(), Error> {
    let mut call = call();
    assert_eq!(call.future.resume()?, Step::Yielded);
    assert_eq!(call.future.resume()?, Step::Waiting);
    call.ends_when_dropped();
    Ok(())
}

#[test]
fn dropping_a_call_that_has_ended() -> Result<(), Error> {
    let mut call = call();
    call.event.set();
    while call.future.resume()? != Step::Done {}
    assert_eq!(
        (call.works.get(), call.results.get()),
        (1, 0),
        "the work is dropped when the call ends"
    );
    call.ends_when_dropped();
    Ok(())
}

#[test]
fn dropping_a_call_that_a_runner_has() -> Result<(), Error> {
    for steps in 0..3 {
        let mut call = call();
        let mut runner = call.future.to_job()?;
        for _ in 0..steps {
            assert_ne!(runner.resume(), Step::Done);
        }
        let works = call.works.clone();
        call.ends_when_dropped();
        assert_eq!(runner.resume(), Step::Done);
        runner.run();
        assert_eq!(works.get(), 1);
    }
    Ok(())
}

#[test]
fn dropping_a_call_whose_runner_is_then_submitted() -> Result<(), Error> {
    let mut call = call();
    let runner = call.future.to_job()?;
    call.ends_when_dropped();
    let handle = workers(1).submit(runner);
    handle.wait();
    assert!(handle.is_complete());
    Ok(())
}

#[test]
fn dropping_a_call_after_its_runner() -> Result<(), Error> {
    let mut call = call();
    let mut runner = call.future.to_job()?;
    assert_eq!(runner.resume(), Step::Yielded);
    drop(runner);
    assert_eq!(call.works.get(), 0, "the call came back and did not end");
    call.ends_when_dropped();
    Ok(())
}

#[test]
fn dropping_a_call_that_stands_in_its_pools_queue() -> Result<(), Error> {
    let (queue, mut call) = (Queue::default(), call());
    let handle = queue.submit(call.future.to_job()?);
    call.ends_when_dropped();
    assert!(handle.is_complete());
    queue.run();
    assert_eq!(queue.len(), 0);
    Ok(())
}

#[test]
fn dropping_a_call_whose_job_waits() -> Result<(), Error> {
    let (queue, mut call) = (Queue::default(), call());
    let handle = queue.submit(call.future.to_job()?);
    queue.run();
    call.ends_when_dropped();
    assert!(handle.is_complete());
    assert_eq!(queue.len(), 0);
    Ok(())
}

#[test]
fn dropping_a_call_whose_job_was_woken() -> Result<(), Error> {
    let (queue, mut call) = (Queue::default(), call());
    let handle = queue.submit(call.future.to_job()?);
    queue.run();
    call.event.set();
    call.ends_when_dropped();
    assert!(handle.is_complete());
    drop(queue.pop());
    assert!(handle.is_complete());
    Ok(())
}

#[test]
fn dropping_a_call_whose_job_has_ended() -> Result<(), Error> {
    let mut call = call();
    call.event.set();
    a_thread_each.submit(call.future.to_job()?).wait();
    assert_eq!((call.works.get(), call.results.get()), (1, 0));
    call.ends_when_dropped();
    Ok(())
}

#[test]
fn dropping_a_call_during_a_step_does_not_wait_for_the_step() -> Result<(), Error> {
    for then_yields in [true, false] {
        let LongStep { mut future, works, results, is_inside, go_on, went_on } =
            long_step(then_yields);
        let handle = workers(1).submit(future.to_job()?);
        assert!(receives(&is_inside));
        drop(future);
        let _ = go_on.send(());
        assert!(
            went_on.recv().expect("the step sends a message"),
            "the drop blocked this thread until the step gave up"
        );
        handle.wait();
        assert_eq!((works.get(), results.get()), (1, 1));
    }
    Ok(())
}

#[test]
fn dropping_a_call_during_a_step_of_a_runner_in_somebodys_hands() -> Result<(), Error> {
    for then_yields in [true, false] {
        let LongStep { mut future, works, results, is_inside, go_on, went_on } =
            long_step(then_yields);
        let mut runner = future.to_job()?;
        let stepping = thread::spawn(move || runner.resume());
        assert!(receives(&is_inside));
        drop(future);
        let _ = go_on.send(());
        assert!(
            went_on.recv().expect("the step sends a message"),
            "the drop blocked this thread until the step gave up"
        );
        assert_eq!(stepping.join().expect("the step does not panic"), Step::Done);
        assert_eq!((works.get(), results.get()), (1, 1));
    }
    Ok(())
}

#[test]
fn dropping_everything_in_any_order_drops_the_work_once() -> Result<(), Error> {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for is_waiting in [false, true] {
            let mut call = call();
            let queue = Queue::default();
            let handle = queue.submit(call.future.to_job()?);
            if is_waiting {
                queue.run();
            }
            let (mut future, mut queue, mut handle) =
                (Some(call.future), Some(queue), Some(handle));
            for which in order {
                match which {
                    0 => drop(future.take()),
                    1 => drop(queue.take()),
                    _ => drop(handle.take()),
                }
            }
            assert_eq!((call.works.get(), call.results.get()), (1, 1), "{order:?} {is_waiting}");
        }
    }
    Ok(())
}

/// Its destructor counts and panics.
struct PanicsWhenDropped(Counter);

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        self.0.add();
        panic!("a destructor that panics");
    }
}

/// A call with work whose destructor panics.
fn with_a_panicking_destructor(drops: &Counter) -> Future<&'static str> {
    let panics = PanicsWhenDropped(drops.clone());
    // This is no `async` block, because the last step of a block drops its locals. Here the destructor of the work itself panics.
    let mut first = true;
    Future::new(std::future::poll_fn(move |context| {
        let _panics = &panics;
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Ok("done all the same"))
    }))
}

#[test]
fn a_work_whose_destructor_panics_has_given_its_result() {
    for &way in Way::ALL {
        let drops = Counter::default();
        let mut future = with_a_panicking_destructor(&drops);
        let result = way.finish(&mut future);
        assert_eq!(drops.get(), 1, "{way:?}");
        match result {
            Ok(result) => assert_eq!(result, "done all the same", "{way:?}"),
            Err(Error::Panic(panic)) => {
                assert_eq!(panic.message().as_deref(), Some("a destructor that panics"), "{way:?}");
            }
            Err(other) => panic!("{way:?}: {other}"),
        }
        assert!(future.is_disposed());
    }
}

#[test]
fn a_work_whose_destructor_panics_can_be_cancelled() -> Result<(), Error> {
    let drops = Counter::default();
    let mut future = with_a_panicking_destructor(&drops);
    assert_eq!(future.resume()?, Step::Yielded);
    future.cancel();
    assert_eq!(drops.get(), 1);
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));

    let drops = Counter::default();
    let mut future = with_a_panicking_destructor(&drops);
    let runner = future.to_job()?;
    future.cancel();
    assert_eq!(drops.get(), 1);
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    drop(runner);
    Ok(())
}

#[test]
fn a_work_whose_destructor_panics_can_be_dropped() -> Result<(), Error> {
    let drops = Counter::default();
    drop(with_a_panicking_destructor(&drops));
    assert_eq!(drops.get(), 1);

    let mut future = with_a_panicking_destructor(&drops);
    assert_eq!(future.resume()?, Step::Yielded);
    drop(future);
    assert_eq!(drops.get(), 2);

    let (queue, mut future) = (Queue::default(), with_a_panicking_destructor(&drops));
    let handle = queue.submit(future.to_job()?);
    drop(future);
    assert_eq!(drops.get(), 3);
    assert!(handle.is_complete());
    Ok(())
}

#[test]
fn a_work_whose_destructor_panics_takes_down_no_worker() -> Result<(), Error> {
    let (pool, drops) = (workers(1), Counter::default());
    for _ in 0..3 {
        let mut future = with_a_panicking_destructor(&drops);
        pool.submit(future.to_job()?).wait();
        assert!(future.has_result());
    }
    let mut after = Future::new(async { Ok(1) });
    pool.submit(after.to_job()?).wait();
    assert_eq!(after.try_get_result()?, Some(1));
    assert_eq!(drops.get(), 3);
    Ok(())
}

#[test]
fn a_work_that_panics_drops_what_it_holds_once() {
    for &way in Way::ALL {
        let drops = Counter::default();
        let guard = drops.on_drop();
        let mut future = Future::<()>::new(async move {
            let _guard = guard;
            yield_now().await;
            panic!("with a guard in hand");
        });
        assert!(matches!(way.finish(&mut future), Err(Error::Panic(_))), "{way:?}");
        assert_eq!(drops.get(), 1, "{way:?}");
        drop(future);
        assert_eq!(drops.get(), 1, "{way:?}");
    }
}

#[test]
fn a_call_may_drop_its_own_future() -> Result<(), Error> {
    thread_local! {
        static FUTURE: Cell<Option<Future<()>>> = const { Cell::new(None) };
    }
    let drops = Counter::default();
    let guard = drops.on_drop();
    let mut future = Future::new(async move {
        let guard = guard;
        FUTURE.take();
        assert_eq!(guard.count(), 0, "a step is in progress");
        yield_now().await;
        Ok(())
    });
    let mut runner = future.to_job()?;
    FUTURE.set(Some(future));
    assert_eq!(runner.resume(), Step::Done);
    assert!(FUTURE.take().is_none());
    assert_eq!(drops.get(), 1);
    Ok(())
}

/// A call that waits for ever, and its own waker.
fn keeps_its_waker() -> (Future<()>, Arc<Mutex<Option<Waker>>>) {
    let kept = Arc::new(Mutex::new(None));
    let keeps = kept.clone();
    let future = Future::new(std::future::poll_fn(move |context| {
        *keeps.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    }));
    (future, kept)
}

#[test]
fn a_future_that_is_dropped_keeps_no_waker_of_who_awaited_it() -> Result<(), Error> {
    // The call is with its owner, lent to a runner, or a waiting job.
    for lent in [None, Some(false), Some(true)] {
        let ((mut future, kept), executors) = (keeps_its_waker(), Arc::new(Counter::default()));
        let (mut runner, mut handle) = (None, None);
        match lent {
            None => {}
            Some(false) => runner = Some(future.to_job()?),
            Some(true) => {
                let queue = Queue::default();
                handle = Some(queue.submit(future.to_job()?));
                queue.run();
            }
        }
        if let Some(runner) = &mut runner {
            assert_eq!(runner.resume(), Step::Waiting);
        }
        assert!(poll_once(&mut future, &executors).is_pending());
        let own = kept.lock().unwrap().clone().expect("the call was polled");
        assert_eq!(Arc::strong_count(&executors), 2, "the call has the executor's waker");

        drop(future);
        assert_eq!(
            Arc::strong_count(&executors),
            1,
            "lent: {lent:?}; the call still has the executor's waker"
        );
        own.wake();
        assert_eq!(Arc::strong_count(&executors), 1);
        assert!(handle.is_none_or(|handle| handle.is_complete()));
    }
    Ok(())
}

#[test]
fn a_future_that_is_dropped_during_a_step_keeps_no_waker_of_who_awaited_it() -> Result<(), Error> {
    let LongStep { mut future, is_inside, go_on, went_on, .. } = long_step(false);
    let handle = workers(1).submit(future.to_job()?);
    assert!(receives(&is_inside));
    let executors = Arc::new(Counter::default());
    assert!(poll_once(&mut future, &executors).is_pending());
    assert_eq!(Arc::strong_count(&executors), 2);
    drop(future);
    let left = Arc::strong_count(&executors);
    go_on.send(()).expect("the step is receiving");
    assert!(went_on.recv().expect("the step sends a message"));
    handle.wait();
    assert_eq!(left, 1, "the call still has the executor's waker during its step");
    assert_eq!(executors.get(), 0, "a waker was woken after the future was dropped");
    Ok(())
}

#[test]
fn a_future_that_was_awaited_by_several_keeps_no_waker_when_it_is_dropped() {
    let ((mut future, kept), executors) = (keeps_its_waker(), Arc::new(Counter::default()));
    let others = Arc::new(Counter::default());
    for counter in [&others, &executors, &others, &executors] {
        assert!(poll_once(&mut future, counter).is_pending());
    }
    drop(future);
    assert_eq!((Arc::strong_count(&others), Arc::strong_count(&executors)), (1, 1));
    assert!(kept.lock().unwrap().is_some(), "the call's own waker is still there");
}
