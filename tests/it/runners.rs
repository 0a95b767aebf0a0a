//! Finishing a call by its runner, without a pool.

use crate::support::{Counter, Event, counted, notifying};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use wasm_jobs::{Error, Future, FutureRunner, Step, yield_now};

#[test]
fn a_runner_is_resumed_by_hand_on_another_thread() -> Result<(), Error> {
    let ran_on = Arc::new(Mutex::new(Vec::new()));
    let mut future = Future::new({
        let ran_on = ran_on.clone();
        async move {
            for _ in 0..3 {
                ran_on.lock().unwrap().push(thread::current().id());
                yield_now().await;
            }
            Ok("there and back")
        }
    });
    let mut runner = future.to_job()?;
    let elsewhere = thread::spawn(move || {
        for _ in 0..3 {
            assert_eq!(runner.resume(), Step::Yielded);
        }
        assert_eq!(runner.resume(), Step::Done);
        assert_eq!(runner.resume(), Step::Done);
        thread::current().id()
    });
    let elsewhere = elsewhere.join().expect("the call takes four steps");
    assert!(future.has_result());
    assert_eq!(future.try_get_result()?, Some("there and back"));
    assert_eq!(*ran_on.lock().unwrap(), [elsewhere; 3]);
    Ok(())
}

#[test]
fn a_runner_travels_from_thread_to_thread() -> Result<(), Error> {
    let mut future = Future::new(async {
        let mut threads = Vec::new();
        for _ in 0..8 {
            threads.push(thread::current().id());
            yield_now().await;
        }
        Ok(threads)
    });
    fn pass_on(mut runner: FutureRunner<Vec<thread::ThreadId>>) {
        if runner.resume() != Step::Done {
            thread::spawn(|| pass_on(runner)).join().expect("no thread panics");
        }
    }
    pass_on(future.to_job()?);
    let mut threads = future.wait()?;
    threads.dedup();
    assert_eq!(threads.len(), 8);
    Ok(())
}

#[test]
fn a_runner_says_waiting_and_does_not_enter_the_call() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    let mut runner = future.to_job()?;
    for _ in 0..100 {
        assert_eq!(runner.resume(), Step::Waiting);
    }
    assert_eq!(polls.get(), 1);
    event.set();
    assert_eq!(runner.resume(), Step::Done);
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn running_sleeps_while_the_call_waits() -> Result<(), Error> {
    let polls = Counter::default();
    let (at_an_event, next_event) = mpsc::channel::<Event>();
    let mut future = Future::new(counted(&polls, async move {
        for _ in 0..3 {
            let event = Event::default();
            let happens = event.happens();
            notifying(|| at_an_event.send(event).expect("the test is receiving"), happens).await;
        }
        Ok("woken three times")
    }));
    let runner = future.to_job()?;
    let running = thread::spawn(move || runner.run());
    for event in next_event {
        assert!(!future.has_result());
        event.set();
    }
    running.join().expect("running does not panic");
    assert_eq!(future.try_get_result()?, Some("woken three times"));
    assert_eq!(polls.get(), 4, "one step before each event, and one after the last");
    Ok(())
}

#[test]
fn running_goes_on_while_the_call_yields() -> Result<(), Error> {
    let polls = Counter::default();
    let mut future = Future::new(counted(&polls, async {
        for _ in 0..10_000 {
            yield_now().await;
        }
        Ok(())
    }));
    future.to_job()?.run();
    assert_eq!(future.try_get_result()?, Some(()));
    assert_eq!(polls.get(), 10_001);
    Ok(())
}

#[test]
fn running_on_the_owners_own_thread() -> Result<(), Error> {
    let event = Event::default();
    let mut future = Future::new(event.awaited());
    let runner = future.to_job()?;
    thread::scope(|scope| {
        scope.spawn(|| event.set());
        runner.run();
    });
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn running_returns_when_the_owner_cancels() -> Result<(), Error> {
    let (waiting, is_waiting) = mpsc::channel();
    let never = Event::default().happens();
    let mut future = Future::new(async move {
        notifying(|| waiting.send(()).expect("the test is receiving"), never).await;
        Ok(())
    });
    let runner = future.to_job()?;
    let running = thread::spawn(move || runner.run());
    is_waiting.recv().expect("the call takes a step");
    future.cancel();
    running.join().expect("running does not panic");
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn running_returns_when_the_future_is_dropped() -> Result<(), Error> {
    let (waiting, is_waiting) = mpsc::channel();
    let never = Event::default().happens();
    let mut future = Future::new(async move {
        notifying(|| waiting.send(()).expect("the test is receiving"), never).await;
        Ok(())
    });
    let runner = future.to_job()?;
    let running = thread::spawn(move || runner.run());
    is_waiting.recv().expect("the call takes a step");
    drop(future);
    assert!(running.join().is_ok());
    Ok(())
}

#[test]
fn a_failure_is_done_for_the_runner() -> Result<(), Error> {
    let mut failing = Future::<()>::new(async { Err(Error::other("no")) });
    assert_eq!(failing.to_job()?.resume(), Step::Done);
    assert!(matches!(failing.try_get_result(), Err(Error::Other(_))));

    let mut panicking = Future::<()>::new(async { panic!("on a runner") });
    assert_eq!(panicking.to_job()?.resume(), Step::Done);
    assert!(matches!(panicking.try_get_result(), Err(Error::Panic(_))));
    Ok(())
}

#[test]
fn the_owner_sees_what_the_runner_did() -> Result<(), Error> {
    let mut future = Future::new(async {
        let mut bytes = vec![0_u8; 1 << 16];
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = n as u8;
        }
        Ok(bytes)
    });
    let mut runner = future.to_job()?;
    let stepping = thread::spawn(move || runner.resume());
    // This does not `join` the thread, because a join would synchronise too.
    while !future.has_result() {
        thread::yield_now();
    }
    let bytes = future.try_get_result()?.expect("the call has a result");
    assert!(bytes.iter().enumerate().all(|(n, &byte)| byte == n as u8));
    assert_eq!(stepping.join().expect("the step does not panic"), Step::Done);
    Ok(())
}

#[test]
fn running_misses_no_wake_at_whatever_moment_it_comes() -> Result<(), Error> {
    const STEPS: usize = 30_000;
    let (step, kept) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None::<Waker>)));
    let mut future = Future::new({
        let (step, kept) = (step.clone(), kept.clone());
        std::future::poll_fn(move |context| {
            kept.lock().unwrap().get_or_insert_with(|| context.waker().clone());
            match step.fetch_add(1, SeqCst) + 1 {
                STEPS => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            }
        })
    });
    let runner = future.to_job()?;
    let running = thread::spawn(move || runner.run());
    // Wakes the call once for each step, at varying delays: before the step ends, while the runner falls asleep, and while it sleeps.
    let mut seen = 0;
    while !running.is_finished() {
        let now = step.load(SeqCst);
        if now == seen {
            thread::yield_now();
            continue;
        }
        seen = now;
        for _ in 0..now % 50 {
            std::hint::spin_loop();
        }
        if let Some(waker) = &*kept.lock().unwrap() {
            waker.wake_by_ref();
        }
    }
    running.join().expect("running does not panic");
    assert_eq!(step.load(SeqCst), STEPS, "`run` returned before the call ended");
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}
