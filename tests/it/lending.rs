//! Lending a call to a runner and getting it back. At any time, one side has the right to resume.

use crate::support::{Counter, Event, Queue, a_thread_each, counted, workers};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use wasm_jobs::{Error, Future, JobPool, Step, yield_now};

fn yields(times: usize) -> Future<usize> {
    Future::new(async move {
        for _ in 0..times {
            yield_now().await;
        }
        Ok(times)
    })
}

#[test]
fn while_a_runner_has_the_call_its_owner_cannot_resume_it() -> Result<(), Error> {
    let mut future = yields(2);
    let mut runner = future.to_job()?;
    assert!(matches!(future.resume(), Err(Error::InJob)));
    assert_eq!(runner.resume(), Step::Yielded);
    assert!(matches!(future.resume(), Err(Error::InJob)));
    assert!(!future.has_result() && !future.is_disposed());
    assert_eq!(future.try_get_result()?, None);
    assert_eq!(runner.resume(), Step::Yielded);
    assert_eq!(runner.resume(), Step::Done);
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(2));
    Ok(())
}

#[test]
fn a_call_has_one_runner_at_a_time() -> Result<(), Error> {
    let mut future = yields(0);
    let runner = future.to_job()?;
    assert!(matches!(future.to_job(), Err(Error::InJob)));
    drop(runner);
    let runner = future.to_job()?;
    let queue = Queue::default();
    let handle = queue.submit(runner);
    assert!(matches!(future.to_job(), Err(Error::InJob)));
    assert!(matches!(future.resume(), Err(Error::InJob)));
    queue.run();
    assert!(handle.is_complete());
    assert_eq!(future.wait()?, 0);
    Ok(())
}

#[test]
fn a_waiting_job_has_the_right_to_resume_although_it_is_nowhere_in_its_pool() -> Result<(), Error> {
    let (event, queue) = (Event::default(), Queue::default());
    let mut future = Future::new(event.awaited());
    queue.submit(future.to_job()?);
    queue.run();
    assert!(matches!(future.resume(), Err(Error::InJob)));
    assert!(matches!(future.to_job(), Err(Error::InJob)));
    event.set();
    queue.run();
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_runner_dropped_unfinished_gives_the_right_back() -> Result<(), Error> {
    let polls = Counter::default();
    let mut future = Future::new(counted(&polls, async {
        for _ in 0..4 {
            yield_now().await;
        }
        Ok("all steps, by turns")
    }));
    assert_eq!(future.resume()?, Step::Yielded);
    let mut runner = future.to_job()?;
    assert_eq!(runner.resume(), Step::Yielded);
    drop(runner);
    assert_eq!(future.resume()?, Step::Yielded);
    let mut runner = future.to_job()?;
    assert_eq!(runner.resume(), Step::Yielded);
    thread::spawn(move || drop(runner)).join().expect("dropping the runner does not panic");
    assert!(!future.has_result());
    assert_eq!(future.try_get_result()?, None);
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(polls.get(), 5);
    assert_eq!(future.try_get_result()?, Some("all steps, by turns"));
    Ok(())
}

#[test]
fn a_runner_that_never_ran_gives_the_right_back() -> Result<(), Error> {
    let mut future = yields(1);
    drop(future.to_job()?);
    drop(future.to_job()?);
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.wait()?, 1);
    Ok(())
}

#[test]
fn a_call_that_waits_goes_on_waiting_when_it_is_lent_and_when_it_is_back() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    assert_eq!(future.resume()?, Step::Waiting);
    let mut runner = future.to_job()?;
    assert_eq!(runner.resume(), Step::Waiting);
    drop(runner);
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(polls.get(), 1, "the call was polled without a wake");
    event.set();
    let mut runner = future.to_job()?;
    assert_eq!(runner.resume(), Step::Done);
    assert_eq!(polls.get(), 2);
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_waker_from_the_owners_step_leads_to_the_pool_later() -> Result<(), Error> {
    let (kept, event) = (Arc::new(Mutex::new(None::<Waker>)), Event::default());
    let mut future = Future::new({
        let (kept, event) = (kept.clone(), event.clone());
        let mut first = true;
        // This keeps only the waker of the first step.
        std::future::poll_fn(move |context| {
            if std::mem::take(&mut first) {
                *kept.lock().unwrap() = Some(context.waker().clone());
            }
            if event.has_happened() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
    });
    assert_eq!(future.resume()?, Step::Waiting);
    let queue = Queue::default();
    let handle = queue.submit(future.to_job()?);
    queue.run();
    assert_eq!(queue.len(), 0);

    event.set();
    kept.lock().unwrap().take().expect("the call was stepped").wake();
    assert_eq!(queue.len(), 1, "the wake has put the job into its pool");
    queue.run();
    assert!(handle.is_complete());
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_waker_from_a_job_leads_to_the_owner_later() -> Result<(), Error> {
    let (event, queue) = (Event::default(), Queue::default());
    let mut future = Future::new(event.awaited());
    let handle = queue.submit(future.to_job()?);
    queue.run();
    event.wake_for_nothing();
    drop(queue.pop());
    assert!(handle.is_complete(), "the job is over, although the call is not");

    thread::scope(|scope| {
        scope.spawn(|| event.set());
        future.wait()
    })?;
    assert_eq!(queue.len(), 0);
    Ok(())
}

#[test]
fn a_call_may_change_pools_at_every_stop() -> Result<(), Error> {
    let event = Event::default();
    let waits = event.happens();
    let mut future = Future::new(async {
        yield_now().await;
        waits.await;
        yield_now().await;
        Ok("been around")
    });
    assert_eq!(future.resume()?, Step::Yielded);
    let queue = Queue::default();
    let first = queue.submit(future.to_job()?);
    queue.run();
    event.set();
    assert!(queue.pop().is_some(), "dropping the job takes the call out of its pool");
    assert!(first.is_complete());

    let second = workers(1).submit(future.to_job()?);
    second.wait();
    assert_eq!(future.try_get_result()?, Some("been around"));
    Ok(())
}

#[test]
fn a_call_that_has_ended_has_a_runner_with_nothing_to_do() -> Result<(), Error> {
    let mut future = yields(0);
    assert_eq!(future.resume()?, Step::Done);

    let mut runner = future.to_job()?;
    assert!(future.has_result());
    assert_eq!(runner.resume(), Step::Done);
    drop(runner);
    assert!(future.has_result());
    assert_eq!(future.resume()?, Step::Done);

    future.to_job()?.run();
    assert!(future.has_result());

    let handle = workers(1).submit(future.to_job()?);
    handle.wait();
    assert!(future.has_result());

    let left_over = future.to_job()?;
    assert_eq!(future.try_get_result()?, Some(0));
    assert!(matches!(future.to_job(), Err(Error::ResultTaken)));
    drop(left_over);
    assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn a_call_that_has_ended_on_a_pool_may_be_lent_again() -> Result<(), Error> {
    let mut future = yields(3);
    a_thread_each.submit(future.to_job()?).wait();
    let again = future.to_job()?;
    a_thread_each.submit(again).wait();
    assert_eq!(future.wait()?, 3);
    Ok(())
}

#[test]
fn a_runner_left_over_from_an_ended_call_is_no_obstacle() -> Result<(), Error> {
    let mut future = yields(0);
    let mut first = future.to_job()?;
    assert_eq!(first.resume(), Step::Done);
    let second = future.to_job()?;
    drop(first);
    let handle = workers(1).submit(second);
    handle.wait();
    assert_eq!(future.try_get_result()?, Some(0));
    Ok(())
}
