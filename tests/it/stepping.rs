//! Resuming a call by hand, one step at a time.

use crate::support::{Counter, Event, counted};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use wasm_jobs::{Error, Future, Step, yield_now};

#[test]
fn nothing_runs_before_the_first_step() -> Result<(), Error> {
    let polls = Counter::default();
    let mut future = Future::new(counted(&polls, async { Ok(()) }));
    assert_eq!(future.try_get_result()?, None);
    assert_eq!(polls.get(), 0);
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(polls.get(), 1);
    Ok(())
}

#[test]
fn a_call_that_yields_goes_on_where_it_stopped() -> Result<(), Error> {
    let stops = Counter::default();
    let mut future = Future::new({
        let stops = stops.clone();
        async move {
            for _ in 0..3 {
                stops.add();
                yield_now().await;
            }
            Ok(stops.get())
        }
    });
    for stop in 1..=3 {
        assert_eq!(future.resume()?, Step::Yielded);
        assert_eq!(stops.get(), stop);
    }
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(3));
    Ok(())
}

#[test]
fn a_waiting_call_is_not_polled_until_it_is_woken() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    for _ in 0..1_000 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    assert_eq!(polls.get(), 1);

    event.set();
    assert_eq!(polls.get(), 1, "a wake does not run the call");
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(polls.get(), 2);
    Ok(())
}

#[test]
fn a_wake_for_nothing_is_one_more_step() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    assert_eq!(future.resume()?, Step::Waiting);
    event.wake_for_nothing();
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(polls.get(), 2);
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(polls.get(), 2);
    Ok(())
}

#[test]
fn many_wakes_between_two_steps_are_one_step() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    assert_eq!(future.resume()?, Step::Waiting);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| event.wake_for_nothing()));
        }
    });
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(polls.get(), 2);
    Ok(())
}

#[test]
fn a_wake_from_another_thread_during_the_step_is_not_lost() -> Result<(), Error> {
    let (wakers, waker) = mpsc::channel::<Waker>();
    let (woken, is_woken) = mpsc::channel();
    let waking = thread::spawn(move || {
        waker.into_iter().for_each(|waker| {
            waker.wake();
            woken.send(()).expect("the call waits for this");
        });
    });
    let mut steps = 0;
    let mut future = Future::new(std::future::poll_fn(move |context| {
        steps += 1;
        if steps > 10 {
            return Poll::Ready(Ok(steps));
        }
        wakers.send(context.waker().clone()).expect("the other thread is receiving");
        is_woken.recv().expect("the other thread wakes the call");
        Poll::Pending
    }));
    for _ in 0..10 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(11));
    drop(future);
    waking.join().expect("the thread ends with the call's sender");
    Ok(())
}

#[test]
fn a_call_that_has_ended_is_done_until_its_result_is_taken() -> Result<(), Error> {
    let polls = Counter::default();
    let mut future = Future::new(counted(&polls, async { Ok(1) }));
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Done);
    }
    assert_eq!(polls.get(), 1);
    assert_eq!(future.try_get_result()?, Some(1));
    assert!(matches!(future.resume(), Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn the_work_sees_the_same_waker_in_every_step() -> Result<(), Error> {
    let seen = Arc::new(Mutex::new(Vec::<Waker>::new()));
    let mut future = Future::new({
        let seen = seen.clone();
        std::future::poll_fn(move |context| {
            let mut seen = seen.lock().unwrap();
            seen.push(context.waker().clone());
            context.waker().wake_by_ref();
            if seen.len() < 6 { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
    });
    assert_eq!(future.resume()?, Step::Yielded);
    let mut runner = future.to_job()?;
    assert_eq!(runner.resume(), Step::Yielded);
    let elsewhere = thread::spawn(move || {
        assert_eq!(runner.resume(), Step::Yielded);
        runner
    });
    drop(elsewhere.join().expect("the step yields"));
    future.wait()?;

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 6);
    // Not `will_wake`, which compares addresses of code too, and optimised code may be there twice.
    assert!(seen.iter().all(|waker| waker.data() == seen[0].data()));
    Ok(())
}

#[test]
fn a_waker_may_be_used_after_the_call_has_ended() -> Result<(), Error> {
    let (event, kept) = (Event::default(), Arc::new(Mutex::new(None::<Waker>)));
    let mut future = Future::new({
        let (kept, waits) = (kept.clone(), event.happens());
        async move {
            std::future::poll_fn(|context| {
                *kept.lock().unwrap() = Some(context.waker().clone());
                Poll::Ready(())
            })
            .await;
            waits.await;
            Ok(())
        }
    });
    assert_eq!(future.resume()?, Step::Waiting);
    event.set();
    assert_eq!(future.resume()?, Step::Done);
    let waker = kept.lock().unwrap().take().expect("the call was polled");
    waker.wake_by_ref();
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(()));
    waker.wake_by_ref();
    assert!(matches!(future.resume(), Err(Error::ResultTaken)));
    drop(future);
    waker.wake();
    Ok(())
}

#[test]
fn a_call_may_step_another_call() -> Result<(), Error> {
    let mut outer = Future::new(async {
        let mut sum = 0;
        for n in 1..=3 {
            // The inner call ends within one step of the outer call, because a future cannot move to another thread.
            sum += Future::new(async move {
                yield_now().await;
                Ok(n)
            })
            .wait()?;
            yield_now().await;
        }
        Ok(sum)
    });
    for _ in 0..3 {
        assert_eq!(outer.resume()?, Step::Yielded);
    }
    assert_eq!(outer.wait()?, 6);
    Ok(())
}
