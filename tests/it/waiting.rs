//! Waiting for a call or awaiting it, through its future.

use crate::support::{Counter, Event, block_on, counted, notifying, poll_once, workers};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread::{self, ThreadId};
use wasm_jobs::{Error, Future, JobPool, Step, yield_now};

/// Work that waits for the event, and sends a message when it begins to wait.
fn waits_for(
    event: &Event,
) -> (impl std::future::Future<Output = Result<u32, Error>> + Send + use<>, mpsc::Receiver<()>) {
    let (waiting, is_waiting) = mpsc::channel();
    let happens = event.happens();
    let work = async {
        notifying(move || waiting.send(()).expect("the test is receiving"), happens).await;
        Ok(42)
    };
    (work, is_waiting)
}

/// Work of `steps` steps that records the thread of each.
fn record_threads(
    steps: usize,
) -> (
    impl std::future::Future<Output = Result<usize, Error>> + Send + use<>,
    Arc<Mutex<Vec<ThreadId>>>,
) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let recorded = threads.clone();
    let work = async move {
        for _ in 1..steps {
            recorded.lock().unwrap().push(thread::current().id());
            yield_now().await;
        }
        recorded.lock().unwrap().push(thread::current().id());
        Ok(steps)
    };
    (work, threads)
}

#[test]
fn waiting_steps_the_call_to_its_end_on_the_owners_thread() -> Result<(), Error> {
    let (work, threads) = record_threads(10);
    assert_eq!(Future::new(work).wait()?, 10);
    assert_eq!(*threads.lock().unwrap(), [thread::current().id(); 10]);
    Ok(())
}

#[test]
fn waiting_sleeps_until_another_thread_wakes_the_call() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let (work, is_waiting) = waits_for(&event);
    let mut future = Future::new(counted(&polls, work));
    thread::scope(|scope| {
        scope.spawn(move || {
            is_waiting.recv().expect("the call takes a step");
            event.set();
        });
        assert_eq!(future.wait()?, 42);
        assert_eq!(polls.get(), 2, "one step before the wait, and one after it");
        Ok(())
    })
}

#[test]
fn waiting_goes_on_where_resuming_stopped() -> Result<(), Error> {
    let polls = Counter::default();
    let mut future = Future::new(counted(&polls, record_threads(4).0));
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.wait()?, 4);
    assert_eq!(polls.get(), 4);
    Ok(())
}

#[test]
fn waiting_for_a_job_only_sleeps() -> Result<(), Error> {
    let (work, threads) = record_threads(100);
    let mut future = Future::new(work);
    workers(1).submit(future.to_job()?);
    assert_eq!(future.wait()?, 100);
    let threads = threads.lock().unwrap();
    assert_eq!(threads.len(), 100);
    assert!(!threads.contains(&thread::current().id()));
    Ok(())
}

#[test]
fn waiting_for_a_job_that_has_ended_returns_at_once() -> Result<(), Error> {
    let mut future = Future::new(async { Ok(1) });
    workers(1).submit(future.to_job()?).wait();
    assert_eq!(future.wait()?, 1);
    Ok(())
}

#[test]
fn awaiting_steps_the_call_to_its_end() -> Result<(), Error> {
    let event = Event::default();
    let (work, is_waiting) = waits_for(&event);
    thread::scope(|scope| {
        scope.spawn(move || {
            is_waiting.recv().expect("the call takes a step");
            event.set();
        });
        assert_eq!(block_on(Future::new(work))?, 42);
        Ok(())
    })
}

#[test]
fn each_poll_of_an_awaited_call_is_one_step() {
    let (work, threads) = record_threads(3);
    let (mut future, wakes) = (Future::new(work), Arc::new(Counter::default()));
    for step in 1..=2 {
        assert!(poll_once(&mut future, &wakes).is_pending());
        assert_eq!(threads.lock().unwrap().len(), step);
        assert_eq!(wakes.get(), step, "a call that yields wakes its task");
    }
    assert!(matches!(poll_once(&mut future, &wakes), Poll::Ready(Ok(3))));
    assert_eq!(wakes.get(), 2);
}

#[test]
fn a_poll_of_an_awaited_call_that_waits_does_not_enter_it() {
    let (polls, event, wakes) =
        (Counter::default(), Event::default(), Arc::new(Counter::default()));
    let mut future = Future::new(counted(&polls, event.awaited()));
    for _ in 0..5 {
        assert!(poll_once(&mut future, &wakes).is_pending());
    }
    assert_eq!((polls.get(), wakes.get()), (1, 0));
    event.set();
    assert_eq!((polls.get(), wakes.get()), (1, 1));
    assert!(matches!(poll_once(&mut future, &wakes), Poll::Ready(Ok(()))));
}

#[test]
fn the_last_who_awaited_a_call_is_woken() {
    let event = Event::default();
    let mut future = Future::new(event.awaited());
    let (first, last) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    assert!(poll_once(&mut future, &first).is_pending());
    assert!(poll_once(&mut future, &last).is_pending());
    event.set();
    assert_eq!((first.get(), last.get()), (0, 1));
}

#[test]
fn awaiting_a_job_is_told_of_its_end() -> Result<(), Error> {
    let event = Event::default();
    let waits = event.happens();
    let mut future = Future::new(async {
        waits.await;
        Ok("woken on a worker")
    });
    let handle = workers(1).submit(future.to_job()?);
    let (first, last) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    assert!(poll_once(&mut future, &first).is_pending());
    assert!(poll_once(&mut future, &last).is_pending());
    event.set();
    handle.wait();
    assert_eq!((first.get(), last.get()), (0, 1));
    assert!(matches!(poll_once(&mut future, &last), Poll::Ready(Ok("woken on a worker"))));
    assert!(matches!(poll_once(&mut future, &last), Poll::Ready(Err(Error::ResultTaken))));
    Ok(())
}

#[test]
fn awaiting_several_jobs_one_after_the_other_gives_all_results() -> Result<(), Error> {
    let pool = workers(2);
    let mut futures: Vec<_> = (0..50).map(|n| Future::new(async move { Ok(n) })).collect();
    for future in &mut futures {
        pool.submit(future.to_job()?);
    }
    let sum = block_on(async {
        let mut sum = 0;
        for future in futures {
            sum += future.await?;
        }
        Ok::<_, Error>(sum)
    })?;
    assert_eq!(sum, 49 * 50 / 2);
    Ok(())
}

#[test]
fn a_runner_dropped_on_another_thread_lets_the_waiting_owner_go_on_itself() -> Result<(), Error> {
    let (work, threads) = record_threads(5);
    let mut future = Future::new(work);
    let mut runner = future.to_job()?;
    let other = thread::spawn(move || {
        assert_eq!(runner.resume(), Step::Yielded);
        assert_eq!(runner.resume(), Step::Yielded);
        drop(runner);
    });
    assert_eq!(future.wait()?, 5);
    let [other, owner] = [other.thread().id(), thread::current().id()];
    assert_eq!(*threads.lock().unwrap(), [other, other, owner, owner, owner]);
    Ok(())
}

#[test]
fn a_runner_dropped_unfinished_wakes_whoever_awaits_the_call() -> Result<(), Error> {
    let wakes = Arc::new(Counter::default());
    let mut future = Future::new(async { Ok(1) });
    let runner = future.to_job()?;
    assert!(poll_once(&mut future, &wakes).is_pending());
    assert_eq!(wakes.get(), 0);
    thread::spawn(move || drop(runner)).join().expect("dropping the runner does not panic");
    assert_eq!(wakes.get(), 1);
    assert!(matches!(poll_once(&mut future, &wakes), Poll::Ready(Ok(1))));
    Ok(())
}

#[test]
fn a_call_awaited_and_then_lent_tells_its_pool_and_not_who_awaited() -> Result<(), Error> {
    let (event, wakes) = (Event::default(), Arc::new(Counter::default()));
    let mut future = Future::new(event.awaited());
    assert!(poll_once(&mut future, &wakes).is_pending());
    let handle = workers(1).submit(future.to_job()?);
    event.set();
    handle.wait();
    assert_eq!(wakes.get(), 0, "an earlier waker was woken");
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn an_awaited_call_may_be_dropped() {
    let (event, drops) = (Event::default(), Counter::default());
    let (waits, guard) = (event.happens(), drops.on_drop());
    let mut future = Future::new(async {
        waits.await;
        drop(guard);
        Ok(())
    });
    let wakes = Arc::new(Counter::default());
    assert!(poll_once(&mut future, &wakes).is_pending());
    drop(future);
    assert_eq!(drops.get(), 1);
    event.set();
    assert_eq!(drops.get(), 1);
}
