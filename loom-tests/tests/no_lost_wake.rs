//! Invariant 4, no lost wake: a wake at any moment, before, during or after a step, leads to another step. A wake that is
//! lost shows as a deadlock; so does one whose step does not see what was done before it, for the work then waits on.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use wasm_jobs::{Clock, Event, Future, JobPool, ManualClock, Step};
use wasm_jobs_loom_tests::{Pool, Token, Told, Watch, poll};

/// A call that waits until so many things have happened, and what tells it of one.
fn call_that_waits_for(things: usize, watch: &Watch) -> (Future<Token>, Thing) {
    let happened = Arc::new(AtomicUsize::new(0));
    let (future, waker) = watch.waiting_call({
        let happened = happened.clone();
        move |_| if happened.load(Relaxed) == things { Poll::Ready(()) } else { Poll::Pending }
    });
    (future, Thing { happened, waker })
}

#[derive(Clone)]
struct Thing {
    happened: Arc<AtomicUsize>,
    waker: Waker,
}

impl Thing {
    fn happens(self) {
        self.happened.fetch_add(1, Relaxed);
        self.waker.wake();
    }
}

/// Mistakes: the owner parks whatever the count of wakes; it parks before it has left its waker.
#[test]
fn the_owner_falls_asleep() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let event = thread::spawn(move || thing.happens());

        drop(future.wait().unwrap());
        event.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistakes: a job parks whatever the count of wakes; a step notes the count when it ends.
#[test]
fn a_job_parks() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || thing.happens());

        pool.work_until(handle);
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The second wake finds the job queued, or running, and must still hand over what it tells of.
///
/// Mistakes: a wake is a load if the call is not parked; it does not release; a step does not acquire.
#[test]
fn a_job_is_queued() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, thing) = call_that_waits_for(2, &watch);
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();
        let events = [thing.clone(), thing].map(|thing| thread::spawn(move || thing.happens()));

        pool.work_until(handle);
        for event in events {
            event.join().unwrap();
        }
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a turn that ends with a yield forgets the wakes of that step.
#[test]
fn a_job_yields() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let has_happened = Arc::new(AtomicBool::new(false));
        let (mut future, waker) = watch.waiting_call({
            let has_happened = has_happened.clone();
            let mut has_yielded = false;
            move |context| {
                if has_happened.load(Relaxed) {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut has_yielded, true) {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        });
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || {
            has_happened.store(true, Relaxed);
            waker.wake();
        });

        pool.work_until(handle);
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a call that changes hands starts with the wakes that it has.
#[test]
fn a_runner_gives_the_call_back() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let mut runner = future.to_job().unwrap();
        let event = thread::spawn(move || thing.happens());
        let other = thread::spawn(move || assert_ne!(runner.resume(), Step::Yielded));

        drop(future.wait().unwrap());
        event.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: the runner's thread sleeps between looking for a job and saying that it wants to be told.
#[test]
fn a_runner_runs_to_the_end() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, thing) = call_that_waits_for(1, &watch);
        let runner = future.to_job().unwrap();
        let event = thread::spawn(move || thing.happens());

        runner.run();
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
    });
}

/// Mistakes: the owner keeps the first waker that it was given, not the last; it looks before it leaves its waker.
#[test]
fn the_owner_awaits_with_another_waker() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        let (first, second) = (Told::default(), Told::default());
        let polled = poll(&mut future, &first).is_ready() || poll(&mut future, &second).is_ready();
        worker.join().unwrap();
        if !polled {
            assert!(second.is_told(), "the owner was not told");
            assert!(poll(&mut future, &second).is_ready());
        }
        drop(future);
        watch.assert_is_over();
    });
}

const TICK: Duration = Duration::from_secs(1);

/// A wait for an event, or for a time.
type Wait = Pin<Box<dyn std::future::Future<Output = ()> + Send>>;

fn call_that_awaits(mut wait: Wait, watch: &Watch) -> Future<Token> {
    watch.call(move |context| wait.as_mut().poll(context))
}

/// The wait begins after the reset: it is over if the event is set after that, and only then.
///
/// Mistakes: the event is set, and releases those who wait, in two, and so ends a wait that began after the reset; it looks
/// whether it is set, and registers who waits, in two; it looks without acquiring.
#[test]
fn the_owner_resets_an_event_and_waits_for_it_while_it_is_set() {
    loom::model(|| {
        let (watch, event) = (Watch::default(), Event::new());
        let is_written = Arc::new(AtomicBool::new(false));
        let mut future = watch.call({
            let (mut wait, is_written) = (Box::pin(event.wait()), is_written.clone());
            move |context| {
                let waited = wait.as_mut().poll(context);
                assert!(waited.is_pending() || is_written.load(Relaxed), "it is over too early");
                waited
            }
        });
        let setter = thread::spawn({
            let event = event.clone();
            move || {
                is_written.store(true, Relaxed);
                event.set();
            }
        });

        event.reset();
        let _ = future.resume().unwrap();
        setter.join().unwrap();
        let is_done = future.resume().unwrap() == Step::Done;
        assert_eq!(is_done, event.is_set());
        drop(future.try_get_result().unwrap());
        drop(future);
        watch.assert_is_over();
    });
}

/// Whichever comes first, the wait has begun before both.
///
/// Mistakes: a reset forgets those who wait; a wait that was released, and finds the event reset, goes on waiting.
#[test]
fn an_event_is_set_and_reset_while_a_job_waits_for_it() {
    loom::model(|| {
        let (pool, watch, event) = (Pool::of_calls(1), Watch::default(), Event::new());
        let mut future = call_that_awaits(Box::pin(event.wait()), &watch);
        assert_eq!(future.resume().unwrap(), Step::Waiting);
        let handle = pool.submit(future.to_job().unwrap());
        let setter = thread::spawn({
            let event = event.clone();
            move || event.set()
        });
        let resetter = thread::spawn(move || event.reset());

        pool.work_until(handle);
        setter.join().unwrap();
        resetter.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// A wait for what is about to happen is polled with one waker, and with another while it happens.
fn assert_the_last_waker_is_told(mut wait: Wait, happens: impl FnOnce() + 'static) {
    let (first, last) = (Told::default(), Told::default());
    assert!(poll(&mut wait, &first).is_pending());
    let other = thread::spawn(happens);

    let is_over = poll(&mut wait, &last).is_ready();
    other.join().unwrap();
    if !is_over {
        assert!(last.is_told(), "the last waker was not told");
        assert!(poll(&mut wait, &last).is_ready());
    }
}

/// Mistakes: a wait keeps its first waker; one that was released registers again.
#[test]
fn a_wait_gets_another_waker_while_its_event_is_set_and_reset() {
    loom::model(|| {
        let event = Event::new();
        assert_the_last_waker_is_told(Box::pin(event.wait()), move || {
            event.set();
            event.reset();
        });
    });
}

/// Mistakes: a sleeper keeps its first waker; it does not look at the clock after it has left another.
#[test]
fn a_sleeper_gets_another_waker_while_its_clock_ticks() {
    loom::model(|| {
        let clock = ManualClock::new();
        assert_the_last_waker_is_told(clock.sleep_until(TICK), move || clock.tick(TICK));
    });
}

/// Mistakes: a tick wakes one of those whose time has come, or not those whose time it is just now, or before it moves the
/// clock; a sleeper does not look at the clock after it has registered.
#[test]
fn a_clock_ticks_while_the_owner_and_a_job_fall_asleep() {
    loom::model(|| {
        let (pool, watches) = (Pool::of_calls(1), [Watch::default(), Watch::default()]);
        let clock = ManualClock::new();
        let [mut mine, mut lent] =
            [0, 1].map(|n| call_that_awaits(clock.sleep_until(TICK), &watches[n]));
        let handle = pool.submit(lent.to_job().unwrap());
        let worker = thread::spawn({
            let pool = pool.clone();
            move || pool.work_until(handle)
        });
        let ticker = thread::spawn(move || clock.tick(TICK));

        drop(mine.wait().unwrap());
        ticker.join().unwrap();
        worker.join().unwrap();
        drop(lent.try_get_result().unwrap().unwrap());
        watches.iter().for_each(Watch::assert_is_over);
        pool.assert_is_forgotten();
    });
}

/// Mistakes: a tick reads the clock and moves it in two; it forgets those whose time has not come, or releases them too.
#[test]
fn two_threads_tick_while_the_owner_falls_asleep() {
    loom::model(|| {
        let (watch, clock) = (Watch::default(), ManualClock::new());
        let mut future = call_that_awaits(clock.sleep_until(2 * TICK), &watch);
        let tickers = [0, 1].map(|_| {
            let clock = clock.clone();
            thread::spawn(move || clock.tick(TICK))
        });

        drop(future.wait().unwrap());
        for ticker in tickers {
            ticker.join().unwrap();
        }
        watch.assert_is_over();
    });
}
