//! The handle of the first of several jobs.

use crate::support::{Counter, Event, Queue, at_once, block_on, poll_once, workers};
use std::sync::{Arc, Barrier};
use std::thread;
use wasm_jobs::{Error, Future, JobHandle, JobOutcome, JobPool};

/// Calls that wait for an event each, submitted to the queue and parked.
fn waiting(queue: &Queue, events: &[Event]) -> Result<(Vec<Future<()>>, Vec<JobHandle>), Error> {
    let mut calls: Vec<_> = events.iter().map(|event| Future::new(event.awaited())).collect();
    let jobs = calls.iter_mut().map(|call| Ok(queue.submit(call.to_job()?)));
    let jobs = jobs.collect::<Result<Vec<_>, Error>>()?;
    queue.run();
    Ok((calls, jobs))
}

#[test]
fn the_first_job_to_end_completes_the_handle_of_any_and_the_others_go_on() -> Result<(), Error> {
    for first in 0..3 {
        let (queue, events) = (Queue::default(), [(); 3].map(|()| Event::default()));
        let (mut calls, jobs) = waiting(&queue, &events)?;
        let any = JobHandle::any(jobs.clone());
        assert!(!any.is_complete() && any.outcome().is_none());
        events[first].set();
        queue.run();
        assert_eq!(any.outcome(), Some(JobOutcome::Succeeded));
        any.wait();
        block_on(any.clone());
        for (call, job) in jobs.iter().enumerate() {
            assert_eq!(job.is_complete(), call == first);
        }
        events.iter().for_each(Event::set);
        queue.run();
        for call in &mut calls {
            assert_eq!(call.try_get_result()?, Some(()));
        }
    }
    Ok(())
}

#[test]
fn the_outcome_of_any_is_that_of_the_first_job_and_does_not_change() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_calls, jobs) = waiting(&queue, std::slice::from_ref(&event))?;
    let mut fails = Future::new(async { Err::<(), _>(Error::other("no")) });
    let failing = queue.submit(fails.to_job()?);
    let any = JobHandle::any([jobs[0].clone(), failing]);
    queue.run();
    assert_eq!(any.outcome(), Some(JobOutcome::Failed));
    event.set();
    queue.run();
    assert_eq!(jobs[0].outcome(), Some(JobOutcome::Succeeded));
    assert_eq!(any.outcome(), Some(JobOutcome::Failed));
    Ok(())
}

#[test]
fn any_of_jobs_that_are_over_is_complete_at_once_as_the_first_in_the_list() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_calls, jobs) = waiting(&queue, &[event])?;
    let failed = at_once.submit_fn(|| panic!("this job fails"));
    let succeeded = at_once.submit_fn(|| ());
    let any = JobHandle::any([jobs[0].clone(), succeeded.clone(), failed.clone()]);
    assert_eq!(any.outcome(), Some(JobOutcome::Succeeded));
    let any = JobHandle::any([jobs[0].clone(), failed, succeeded]);
    assert_eq!(any.outcome(), Some(JobOutcome::Failed));
    Ok(())
}

#[test]
fn any_of_no_jobs_is_complete_at_once_and_is_no_success() {
    let any = JobHandle::any([]);
    any.wait();
    assert_eq!(any.outcome(), Some(JobOutcome::Cancelled));
    let after =
        at_once.submit_after_ok(|| unreachable!("it is refused"), std::slice::from_ref(&any));
    assert_eq!(after.outcome(), Some(JobOutcome::Failed));
    any.cancel();
}

#[test]
fn cancelling_the_handle_of_any_ends_those_that_have_lost() -> Result<(), Error> {
    let (queue, events) = (Queue::default(), [(); 3].map(|()| Event::default()));
    let (mut calls, jobs) = waiting(&queue, &events)?;
    // Nested, and with a job twice.
    let pair = JobHandle::any([jobs[0].clone(), jobs[1].clone()]);
    let any = JobHandle::any([pair.clone(), jobs[1].clone(), JobHandle::all([jobs[2].clone()])]);
    events[1].set();
    queue.run();
    assert!(any.is_complete() && pair.is_complete());
    any.cancel();
    assert_eq!(jobs[0].outcome(), Some(JobOutcome::Cancelled));
    assert_eq!(jobs[2].outcome(), Some(JobOutcome::Cancelled));
    assert_eq!(any.outcome(), Some(JobOutcome::Succeeded));
    assert_eq!(calls[1].try_get_result()?, Some(()));
    assert!(matches!(calls[0].try_get_result(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn cancelling_the_handle_of_any_before_one_is_over_ends_all() -> Result<(), Error> {
    let (queue, events) = (Queue::default(), [(); 2].map(|()| Event::default()));
    let (_calls, jobs) = waiting(&queue, &events)?;
    let any = JobHandle::any(jobs.clone());
    any.cancel();
    assert_eq!(any.outcome(), Some(JobOutcome::Cancelled));
    assert!(jobs.iter().all(JobHandle::is_complete));
    Ok(())
}

#[test]
fn a_job_runs_after_the_first_of_others() -> Result<(), Error> {
    let (queue, events, runs) =
        (Queue::default(), [(); 2].map(|()| Event::default()), Counter::default());
    let (_calls, jobs) = waiting(&queue, &events)?;
    let counts = runs.clone();
    let after = queue.submit_after(move || counts.add(), &[JobHandle::any(jobs)]);
    queue.run();
    assert_eq!(runs.get(), 0);
    for event in &events {
        event.set();
        queue.run();
        assert!(after.is_complete());
        assert_eq!(runs.get(), 1);
    }
    Ok(())
}

#[test]
fn a_long_chain_of_any_handles_needs_no_stack() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_calls, jobs) = waiting(&queue, std::slice::from_ref(&event))?;
    let mut any = jobs[0].clone();
    for _ in 0..100_000 {
        any = JobHandle::any([any]);
    }
    event.set();
    queue.run();
    assert_eq!(any.outcome(), Some(JobOutcome::Succeeded));
    Ok(())
}

#[test]
fn an_awaited_handle_of_any_is_woken_once() -> Result<(), Error> {
    let (queue, events) = (Queue::default(), [(); 2].map(|()| Event::default()));
    let (_calls, jobs) = waiting(&queue, &events)?;
    let (mut any, wakes) = (JobHandle::any(jobs), Arc::new(Counter::default()));
    assert!(poll_once(&mut any, &wakes).is_pending());
    for event in &events {
        event.set();
        queue.run();
        assert_eq!(wakes.get(), 1);
    }
    assert!(poll_once(&mut any, &wakes).is_ready());
    Ok(())
}

#[test]
fn jobs_that_end_at_one_moment_complete_their_handle_of_any_with_one_outcome() -> Result<(), Error>
{
    let pool = workers(2);
    for _ in 0..200 {
        let begin = Arc::new(Barrier::new(3));
        let job = |fails: bool| {
            let begin = begin.clone();
            pool.submit_fn(move || {
                begin.wait();
                assert!(!fails, "this job fails");
            })
        };
        let jobs = [job(false), job(true)];
        let any = JobHandle::any(jobs.clone());
        let waits = any.clone();
        let waiting = thread::spawn(move || {
            waits.wait();
            waits.outcome()
        });
        begin.wait();
        let outcome = waiting.join().expect("it waits");
        assert!(outcome.is_some());
        JobHandle::all(jobs).wait();
        assert_eq!(any.outcome(), outcome);
    }
    Ok(())
}
