//! Outcomes: a handle tells whether its job succeeded, failed or was cancelled.

use crate::support::{
    Counter, Event, Flag, Queue, at_once, poll_once, receives, workers, yields_until,
};
use std::slice::from_ref;
use std::sync::{Arc, mpsc};
use std::thread;
use wasm_jobs::JobOutcome::{Cancelled, Failed, Succeeded};
use wasm_jobs::{Error, Future, Job, JobHandle, JobOutcome, JobPool, Step, yield_now};

fn succeeds() -> Future<()> {
    Future::new(async { Ok(()) })
}

fn fails() -> Future<()> {
    Future::new(async { Err(Error::other("it fails")) })
}

fn never_ends() -> Future<()> {
    Future::new(std::future::pending())
}

fn drops_its_jobs(job: Job) {
    drop(job);
}

/// Handles of calls and closures that are over, with the outcome of each.
fn one_of_each() -> Result<Vec<(JobHandle, JobOutcome)>, Error> {
    let cancelled = Queue::default().submit_fn(|| ());
    cancelled.cancel();
    let mut cancelled_call = never_ends();
    let of_cancelled_call = at_once.submit(cancelled_call.to_job()?);
    cancelled_call.cancel();
    Ok(vec![
        (at_once.submit_fn(|| ()), Succeeded),
        (at_once.submit(succeeds().to_job()?), Succeeded),
        (at_once.submit_fn(|| panic!("a closure")), Failed),
        (at_once.submit(fails().to_job()?), Failed),
        (cancelled, Cancelled),
        (of_cancelled_call, Cancelled),
    ])
}

#[test]
fn there_is_no_outcome_before_the_job_is_over() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let mut call = Future::new(event.awaited());
    let handle = queue.submit(call.to_job()?);
    let closure = queue.submit_fn(|| ());
    let after = queue.submit_after(|| (), from_ref(&handle));
    let all = JobHandle::all([handle.clone(), closure.clone()]);
    for handle in [&handle, &closure, &after, &all] {
        assert_eq!((handle.outcome(), handle.is_complete()), (None, false));
    }
    queue.run();
    assert_eq!(closure.outcome(), Some(Succeeded));
    for handle in [&handle, &after, &all] {
        assert_eq!((handle.outcome(), handle.is_complete()), (None, false));
    }
    event.set();
    queue.run();
    for handle in [&handle, &after, &all] {
        assert_eq!((handle.outcome(), handle.is_complete()), (Some(Succeeded), true));
    }
    // The outcome does not change when the result is taken or the future is dropped.
    call.wait()?;
    drop(call);
    handle.cancel();
    assert_eq!(handle.clone().outcome(), Some(Succeeded));
    Ok(())
}

#[test]
fn a_job_that_comes_to_a_value_has_succeeded() -> Result<(), Error> {
    let pool = workers(1);
    let mut call = Future::new(async {
        yield_now().await;
        Ok(42)
    });
    let handle = pool.submit(call.to_job()?);
    handle.wait();
    assert_eq!(handle.outcome(), Some(Succeeded));

    // This call ends before it is submitted.
    let mut ended = succeeds();
    assert_eq!(ended.resume()?, Step::Done);
    assert_eq!(pool.submit(ended.to_job()?).outcome(), Some(Succeeded));
    // If the value of a call is an `Err`, the job has still succeeded.
    let mut with_an_error = Future::new(async { Ok(Err::<(), _>("a value")) });
    let handle = pool.submit(with_an_error.to_job()?);
    handle.wait();
    assert_eq!(handle.outcome(), Some(Succeeded));
    Ok(())
}

#[test]
fn a_job_that_comes_to_an_error_or_panics_has_failed() -> Result<(), Error> {
    let pool = workers(1);
    let mut panics = Future::<()>::new(async { panic!("a call") });
    let mut error = fails();
    let mut ended = fails();
    assert_eq!(ended.resume()?, Step::Done);
    for handle in [
        pool.submit(panics.to_job()?),
        pool.submit(error.to_job()?),
        pool.submit(ended.to_job()?),
        pool.submit_fn(|| panic!("a closure")),
    ] {
        handle.wait();
        assert_eq!(handle.outcome(), Some(Failed));
    }
    Ok(())
}

#[test]
fn a_job_whose_future_the_function_that_made_it_drops_is_cancelled() -> Result<(), Error> {
    fn submits(pool: &impl JobPool) -> Result<JobHandle, Error> {
        let mut call = never_ends();
        Ok(pool.submit(call.to_job()?))
    }

    let handle = submits(&workers(1))?;
    handle.wait();
    assert_eq!(handle.outcome(), Some(Cancelled));
    let handle = submits(&Queue::default())?;
    assert_eq!(handle.outcome(), Some(Cancelled));
    Ok(())
}

#[test]
fn a_job_that_its_owner_or_a_handle_cancels_is_cancelled() -> Result<(), Error> {
    let queue = Queue::default();
    for had_a_turn in [false, true] {
        for by_handle in [false, true] {
            let mut call = never_ends();
            let handle = queue.submit(call.to_job()?);
            if had_a_turn {
                queue.run();
            }
            if by_handle {
                handle.clone().cancel();
            } else {
                call.cancel();
            }
            assert_eq!(handle.outcome(), Some(Cancelled), "{had_a_turn} {by_handle}");
            assert!(matches!(call.wait(), Err(Error::Cancelled)));
            assert_eq!(handle.outcome(), Some(Cancelled));
        }
    }
    let closure = queue.submit_fn(|| ());
    closure.cancel();
    assert_eq!(closure.outcome(), Some(Cancelled));
    queue.run();
    assert_eq!(closure.outcome(), Some(Cancelled));

    // These calls are cancelled before they are submitted.
    let mut call = never_ends();
    call.cancel();
    assert_eq!(queue.submit(call.to_job()?).outcome(), Some(Cancelled));
    let mut call = never_ends();
    let runner = call.to_job()?;
    call.cancel();
    assert_eq!(queue.submit(runner).outcome(), Some(Cancelled));
    let mut call = never_ends();
    let runner = call.to_job()?;
    drop(call);
    assert_eq!(queue.submit(runner).outcome(), Some(Cancelled));
    Ok(())
}

#[test]
fn a_job_that_is_cancelled_during_its_last_step_is_cancelled_when_that_ends() -> Result<(), Error> {
    for comes_to_an_error in [false, true] {
        let ((inside, is_inside), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel::<()>());
        let mut call = Future::new(async move {
            inside.send(()).expect("the test is receiving");
            let _ = goes_on.recv();
            if comes_to_an_error { Err(Error::other("too late")) } else { Ok(()) }
        });
        let handle = workers(1).submit(call.to_job()?);
        assert!(receives(&is_inside));
        call.cancel();
        assert_eq!(handle.outcome(), None, "a step is in progress");
        go_on.send(()).expect("the step is receiving");
        handle.wait();
        assert_eq!(handle.outcome(), Some(Cancelled));
        assert!(matches!(call.wait(), Err(Error::Cancelled)));
    }
    Ok(())
}

#[test]
fn a_closure_that_cannot_be_cancelled_any_more_tells_what_came_of_it() {
    for panics in [false, true] {
        let ((inside, is_inside), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel::<()>());
        let handle = workers(1).submit_fn(move || {
            inside.send(()).expect("the test is receiving");
            let _ = goes_on.recv();
            assert!(!panics, "this closure must panic");
        });
        assert!(receives(&is_inside));
        handle.cancel();
        assert_eq!(handle.outcome(), None);
        go_on.send(()).expect("the closure is receiving");
        handle.wait();
        assert_eq!(handle.outcome(), Some(if panics { Failed } else { Succeeded }));
    }
}

#[test]
fn a_job_that_its_pool_drops_is_cancelled_and_its_call_goes_on() -> Result<(), Error> {
    let mut call = succeeds();
    let dropped = drops_its_jobs.submit(call.to_job()?);
    assert_eq!(dropped.outcome(), Some(Cancelled));
    assert_eq!(drops_its_jobs.submit_fn(|| ()).outcome(), Some(Cancelled));

    // An outcome belongs to a job and not to its call. This is another job of the same call.
    let again = at_once.submit(call.to_job()?);
    assert_eq!((dropped.outcome(), again.outcome()), (Some(Cancelled), Some(Succeeded)));
    assert_eq!(call.try_get_result()?, Some(()));

    // The pool drops a job between two turns.
    let (queue, may_stop) = (Queue::default(), Flag::default());
    let mut yields = yields_until(&may_stop, &Flag::default());
    let handle = queue.submit(yields.to_job()?);
    drop(queue.pop().and_then(Job::turn).expect("the job has only yielded"));
    assert_eq!(handle.outcome(), Some(Cancelled));
    may_stop.set();
    assert!(yields.wait()?);
    assert_eq!(handle.outcome(), Some(Cancelled));

    // The pool drops a job that was woken.
    let event = Event::default();
    let mut waits = Future::new(event.awaited());
    let handle = {
        let queue = Queue::default();
        let handle = queue.submit(waits.to_job()?);
        queue.run();
        event.set();
        assert_eq!(handle.outcome(), None);
        drop(queue.pop());
        handle
    };
    assert_eq!(handle.outcome(), Some(Cancelled));
    waits.wait()
}

#[test]
fn a_job_that_is_refused_because_another_has_not_succeeded_has_failed() -> Result<(), Error> {
    for (before, outcome) in one_of_each()? {
        let pool = Queue::default();
        let mut call = succeeds();
        let of_call = pool.submit_after_ok(call.to_job()?, from_ref(&before));
        let of_closure = pool.submit_after_ok(|| (), from_ref(&before));
        let in_any_case = pool.submit_after(|| (), from_ref(&before));
        // A dependent of a refused job is refused too.
        let last = pool.submit_after_ok(|| (), from_ref(&of_closure));
        pool.run();
        let expected = if outcome == Succeeded { Succeeded } else { Failed };
        assert_eq!(of_call.outcome(), Some(expected), "after {outcome:?}");
        assert_eq!(of_closure.outcome(), Some(expected), "after {outcome:?}");
        assert_eq!(last.outcome(), Some(expected), "after {outcome:?}");
        assert_eq!(in_any_case.outcome(), Some(Succeeded), "after {outcome:?}");
        match call.wait() {
            Ok(()) => assert_eq!(outcome, Succeeded),
            Err(Error::DependencyFailed) => assert_ne!(outcome, Succeeded),
            Err(other) => panic!("{other}"),
        }
    }
    Ok(())
}

#[test]
fn a_job_that_is_refused_later_has_failed_and_one_that_is_cancelled_before_that_is_cancelled()
-> Result<(), Error> {
    let pool = Queue::default();
    let before = pool.submit_fn(|| panic!("the first"));
    let mut call = succeeds();
    let of_call = pool.submit_after_ok(call.to_job()?, from_ref(&before));
    let [refused, cancelled] = [(); 2].map(|()| pool.submit_after_ok(|| (), from_ref(&before)));
    let mut given_up = succeeds();
    let of_given_up = pool.submit_after_ok(given_up.to_job()?, from_ref(&before));
    cancelled.cancel();
    drop(given_up);
    assert_eq!((cancelled.outcome(), of_given_up.outcome()), (Some(Cancelled), Some(Cancelled)));
    assert_eq!((of_call.outcome(), refused.outcome()), (None, None));
    pool.run();
    assert_eq!((of_call.outcome(), refused.outcome()), (Some(Failed), Some(Failed)));
    assert_eq!((cancelled.outcome(), of_given_up.outcome()), (Some(Cancelled), Some(Cancelled)));
    assert!(matches!(call.wait(), Err(Error::DependencyFailed)));
    Ok(())
}

#[test]
fn all_of_some_jobs_have_failed_if_one_has_and_else_are_cancelled_if_one_is() -> Result<(), Error> {
    let expected = |outcomes: &[JobOutcome]| {
        if outcomes.contains(&Failed) {
            Failed
        } else if outcomes.contains(&Cancelled) {
            Cancelled
        } else {
            Succeeded
        }
    };
    let jobs = one_of_each()?;
    assert_eq!(JobHandle::all([]).outcome(), Some(Succeeded));
    for (one, of_one) in &jobs {
        assert_eq!(JobHandle::all([one.clone()]).outcome(), Some(*of_one));
        for (two, of_two) in &jobs {
            let both = [one, two].map(JobHandle::clone);
            let expected_of_both = expected(&[*of_one, *of_two]);
            assert_eq!(JobHandle::all(both.clone()).outcome(), Some(expected_of_both));

            // Adds a third job that is not over when the handle is made.
            for (third, of_third) in [(Succeeded, false), (Failed, true)] {
                let queue = Queue::default();
                let last = queue.submit_fn(move || assert!(!of_third, "this closure must panic"));
                let [one, two] = both.clone();
                let all = JobHandle::all([last, one, JobHandle::all([two])]);
                assert_eq!(all.outcome(), None);
                queue.run();
                assert_eq!(all.outcome(), Some(expected(&[*of_one, *of_two, third])));
            }
        }
    }
    Ok(())
}

#[test]
fn all_of_some_jobs_tell_of_those_that_end_while_it_waits_in_any_order() -> Result<(), Error> {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for has_a_failure in [true, false] {
            let events = [(); 2].map(|()| Event::default());
            let waits = events[0].happens();
            let mut first = Future::new(async move {
                waits.await;
                if has_a_failure { Err(Error::other("it fails")) } else { Ok(()) }
            });
            let mut second = Future::new(events[1].awaited());
            let mut third = never_ends();
            let handles = [
                at_once.submit(first.to_job()?),
                at_once.submit(second.to_job()?),
                at_once.submit(third.to_job()?),
            ];
            let all = JobHandle::all(handles.clone());
            for which in order {
                assert_eq!(all.outcome(), None);
                match which {
                    2 => third.cancel(),
                    which => events[which].set(),
                }
                assert!(handles[which].is_complete());
            }
            let expected = if has_a_failure { Failed } else { Cancelled };
            assert_eq!(all.outcome(), Some(expected), "{order:?}");
        }
    }
    Ok(())
}

#[test]
fn all_of_some_jobs_that_are_cancelled_by_their_handle_are_cancelled() -> Result<(), Error> {
    let queue = Queue::default();
    let mut calls = [never_ends(), never_ends()];
    let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    let all = JobHandle::all([queue.submit_all(runners), queue.submit_fn(|| ())]);
    queue.run();
    assert_eq!(all.outcome(), None);
    all.cancel();
    assert_eq!(all.outcome(), Some(Cancelled));
    Ok(())
}

#[test]
fn whoever_is_told_that_a_job_is_over_finds_its_outcome() -> Result<(), Error> {
    let pool = workers(2);
    for n in 0..300 {
        let mut call = match n % 3 {
            0 => succeeds(),
            1 => fails(),
            _ => never_ends(),
        };
        let handle = pool.submit(call.to_job()?);
        let expected = [Succeeded, Failed, Cancelled][n % 3];
        let waiting = thread::spawn({
            let handle = handle.clone();
            move || {
                handle.wait();
                handle.outcome()
            }
        });
        if n % 3 == 2 {
            handle.cancel();
        }
        while !handle.is_complete() {
            thread::yield_now();
        }
        assert_eq!(handle.outcome(), Some(expected));
        assert_eq!(waiting.join().expect("waiting does not panic"), Some(expected));
    }

    let (queue, wakes) = (Queue::default(), Arc::new(Counter::default()));
    let mut handle = queue.submit_fn(|| panic!("a closure"));
    assert!(poll_once(&mut handle, &wakes).is_pending());
    queue.run();
    assert_eq!((wakes.get(), handle.outcome()), (1, Some(Failed)));
    Ok(())
}
