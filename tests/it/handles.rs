//! Waiting for jobs by their handles.

use crate::support::{Counter, Event, Queue, at_once, block_on, poll_once, workers};
use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Wake, Waker};
use std::thread;
use wasm_jobs::{Error, Future, JobHandle, JobPool, yield_now};

/// A call that waits for the event, submitted to a pool of one worker.
fn submitted(event: &Event) -> Result<(Future<u32>, JobHandle), Error> {
    let waits = event.happens();
    let mut future = Future::new(async {
        waits.await;
        Ok(42)
    });
    let handle = workers(1).submit(future.to_job()?);
    Ok((future, handle))
}

#[test]
fn a_handle_is_complete_when_its_job_is_over() -> Result<(), Error> {
    let queue = Queue::default();
    let mut future = Future::new(async { Ok(1) });
    let handle = queue.submit(future.to_job()?);
    assert!(!handle.is_complete());
    assert!(format!("{handle:?}").contains("is_complete: false"));
    queue.run();
    assert!(handle.is_complete());
    handle.wait();
    handle.wait();
    assert_eq!(future.try_get_result()?, Some(1));
    assert!(handle.is_complete());
    drop(future);
    assert!(handle.is_complete());
    Ok(())
}

#[test]
fn a_clone_is_a_handle_of_the_same_job() -> Result<(), Error> {
    let event = Event::default();
    let (_future, handle) = submitted(&event)?;
    let clone = handle.clone();
    assert!(!clone.is_complete());
    drop(handle);
    event.set();
    clone.wait();
    assert!(clone.is_complete() && clone.clone().is_complete());
    Ok(())
}

#[test]
fn several_threads_wait_for_one_job() -> Result<(), Error> {
    let event = Event::default();
    let (mut future, handle) = submitted(&event)?;
    let all_there = Barrier::new(5);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                all_there.wait();
                handle.wait();
                assert!(handle.is_complete());
            });
        }
        all_there.wait();
        event.set();
    });
    assert_eq!(future.try_get_result()?, Some(42));
    Ok(())
}

#[test]
fn a_handle_is_awaited_on_any_thread() -> Result<(), Error> {
    let event = Event::default();
    let (mut future, handle) = submitted(&event)?;
    let clone = handle.clone();
    let awaiting = thread::spawn(move || block_on(clone));
    event.set();
    block_on(handle);
    awaiting.join().expect("awaiting does not panic");
    assert_eq!(future.try_get_result()?, Some(42));
    Ok(())
}

#[test]
fn the_last_who_awaited_a_handle_is_woken_once() -> Result<(), Error> {
    let (event, queue) = (Event::default(), Queue::default());
    let mut future = Future::new(event.awaited());
    let mut handle = queue.submit(future.to_job()?);
    let mut clone = handle.clone();
    let [first, last, of_clone] = std::array::from_fn(|_| Arc::new(Counter::default()));
    assert!(poll_once(&mut handle, &first).is_pending());
    assert!(poll_once(&mut handle, &last).is_pending());
    assert!(poll_once(&mut handle, &last).is_pending());
    assert!(poll_once(&mut clone, &of_clone).is_pending());
    queue.run();
    event.set();
    queue.run();
    assert_eq!([first.get(), last.get(), of_clone.get()], [0, 1, 1]);
    assert!(poll_once(&mut handle, &first).is_ready());
    assert!(poll_once(&mut handle, &first).is_ready(), "a handle stays complete");
    Ok(())
}

#[test]
fn a_handle_that_was_polled_and_dropped_keeps_no_waker() -> Result<(), Error> {
    let event = Event::default();
    let (_future, handle) = submitted(&event)?;
    let wakes = Arc::new(Counter::default());
    for _ in 0..10 {
        let mut polled = handle.clone();
        assert!(poll_once(&mut polled, &wakes).is_pending());
        assert!(Arc::strong_count(&wakes) > 1);
        drop(polled);
        assert_eq!(Arc::strong_count(&wakes), 1);
    }
    event.set();
    handle.wait();
    assert_eq!(wakes.get(), 0);
    Ok(())
}

#[test]
fn a_handle_completes_when_its_future_is_dropped() -> Result<(), Error> {
    let (future, handle) = submitted(&Event::default())?;
    let clone = handle.clone();
    let waiting = thread::spawn(move || clone.wait());
    drop(future);
    handle.wait();
    assert!(waiting.join().is_ok());
    Ok(())
}

#[test]
fn a_handle_completes_when_its_call_fails() -> Result<(), Error> {
    let mut failing = Future::<()>::new(async { Err(Error::other("no")) });
    let mut panicking = Future::<()>::new(async { panic!("on a worker") });
    let pool = workers(1);
    let handles = [pool.submit(failing.to_job()?), pool.submit(panicking.to_job()?)];
    JobHandle::all(handles).wait();
    assert!(matches!(failing.try_get_result(), Err(Error::Other(_))));
    assert!(matches!(panicking.try_get_result(), Err(Error::Panic(_))));
    Ok(())
}

#[test]
fn all_of_none_is_complete() {
    let all = JobHandle::all([]);
    assert!(all.is_complete());
    all.wait();
    block_on(all);
}

#[test]
fn all_is_complete_with_the_last_job() -> Result<(), Error> {
    let events: Vec<_> = (0..20).map(|_| Event::default()).collect();
    let jobs: Vec<_> = events.iter().map(submitted).collect::<Result<_, _>>()?;
    let all = JobHandle::all(jobs.iter().map(|(_, handle)| handle.clone()));
    let (last, others) = events.split_last().expect("there are several events");
    for (event, (_, handle)) in others.iter().zip(&jobs) {
        event.set();
        handle.wait();
        assert!(!all.is_complete());
    }
    last.set();
    all.wait();
    assert!(jobs.iter().all(|(future, handle)| future.has_result() && handle.is_complete()));
    Ok(())
}

#[test]
fn all_of_complete_jobs_is_complete() -> Result<(), Error> {
    let event = Event::default();
    event.set();
    let (_future, handle) = submitted(&event)?;
    handle.wait();
    assert!(JobHandle::all([handle.clone(), handle.clone()]).is_complete());

    let pending = Event::default();
    let (_other, unfinished) = submitted(&pending)?;
    let all = JobHandle::all([handle, unfinished]);
    assert!(!all.is_complete());
    pending.set();
    all.wait();
    Ok(())
}

#[test]
fn all_may_be_of_the_same_job_twice_and_of_others_of_its_kind() -> Result<(), Error> {
    let [one, two] = [Event::default(), Event::default()];
    let ((_first, first), (_second, second)) = (submitted(&one)?, submitted(&two)?);
    let inner = JobHandle::all([first.clone(), first]);
    let mut outer = JobHandle::all([inner.clone(), second]);
    let wakes = Arc::new(Counter::default());
    assert!(poll_once(&mut outer, &wakes).is_pending());
    one.set();
    inner.wait();
    assert!(!outer.is_complete());
    two.set();
    outer.wait();
    Ok(())
}

#[test]
fn a_handle_may_be_made_of_the_last_one_again_and_again() -> Result<(), Error> {
    const TIMES: usize = 20_000;

    // The jobs are over, so the handles keep nothing.
    let mut all = JobHandle::all([]);
    for _ in 0..TIMES {
        let mut call = Future::new(async { Ok(()) });
        all = JobHandle::all([all, at_once.submit(call.to_job()?)]);
        assert!(all.is_complete());
    }

    // The jobs are not over. The last handle cancels them all, or the event ends them all.
    for is_cancelled in [true, false] {
        let event = Event::default();
        let first = || Future::new(event.awaited());
        let mut calls = vec![first(), first()];
        let mut all = at_once.submit(calls[0].to_job()?);
        let other = at_once.submit(calls[1].to_job()?);
        for _ in 0..TIMES {
            all = JobHandle::all([all, other.clone()]);
        }
        assert!(!all.is_complete());
        if is_cancelled {
            all.cancel();
        } else {
            event.set();
        }
        assert!(all.is_complete());
        for mut call in calls {
            assert_eq!(call.wait().is_err(), is_cancelled);
        }
    }
    let event = Event::default();
    let mut call = Future::new(event.awaited());
    let first = at_once.submit(call.to_job()?);
    let all = (0..TIMES).fold(first.clone(), |all, _| JobHandle::all([all, first.clone()]));
    drop(all);
    Ok(())
}

#[test]
fn all_may_be_dropped_before_its_jobs_are_over() -> Result<(), Error> {
    let event = Event::default();
    let (mut future, handle) = submitted(&event)?;
    drop(JobHandle::all([handle.clone()]));
    event.set();
    handle.wait();
    assert_eq!(future.try_get_result()?, Some(42));
    Ok(())
}

#[test]
fn a_job_awaits_another_job_on_the_same_worker() -> Result<(), Error> {
    let pool = workers(1);
    let event = Event::default();
    let waits = event.happens();
    let mut before = Future::new(async {
        waits.await;
        yield_now().await;
        Ok(())
    });
    let before_is_over = pool.submit(before.to_job()?);
    let mut after = Future::new(async move {
        before_is_over.clone().await;
        Ok(before_is_over.is_complete())
    });
    let after_is_over = pool.submit(after.to_job()?);
    assert!(!after_is_over.is_complete());
    event.set();
    after_is_over.wait();
    assert_eq!(after.try_get_result()?, Some(true));
    assert_eq!(before.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn what_a_handle_says_is_true_of_the_future() -> Result<(), Error> {
    let pool = workers(2);
    for n in 0..200 {
        let mut future = Future::new(async move {
            yield_now().await;
            Ok(n)
        });
        pool.submit(future.to_job()?).wait();
        assert!(future.has_result());
        assert_eq!(future.try_get_result()?, Some(n));
    }
    Ok(())
}

/// A waker that panics.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_being_told() -> Result<(), Error> {
    let (event, queue) = (Event::default(), Queue::default());
    let mut future = Future::new(event.awaited());
    let handle = queue.submit(future.to_job()?);
    let panics = Waker::from(Arc::new(PanickingWaker));
    let mut first = handle.clone();
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&panics)).is_pending());
    assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&panics)).is_pending());
    let (mut last, wakes) = (handle.clone(), Arc::new(Counter::default()));
    assert!(poll_once(&mut last, &wakes).is_pending());
    event.set();
    queue.run();
    assert_eq!(wakes.get(), 1);
    assert!(handle.is_complete());
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}
