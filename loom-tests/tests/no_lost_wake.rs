//! Invariant 4, no lost wake: a wake before, during or after a step leads to another step. A lost wake shows as a deadlock. So does a wake whose
//! step does not see what was written before the wake, because the work then waits on.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use wasm_jobs::{Clock, Event, JobPool, ManualClock, Step};
use wasm_jobs_loom_tests::{CountingWaker, Owned, Pool, Token, Watch, poll};

/// A call that waits for `count` occurrences, and the means to make one occur.
fn call_that_waits_for(count: usize, watch: &Watch) -> (Owned<Token>, Occurrence) {
    let happened = Arc::new(AtomicUsize::new(0));
    let (future, waker) = watch.waiting_call({
        let happened = happened.clone();
        move |_| if happened.load(Relaxed) == count { Poll::Ready(()) } else { Poll::Pending }
    });
    (future, Occurrence { happened, waker })
}

#[derive(Clone)]
struct Occurrence {
    happened: Arc<AtomicUsize>,
    waker: Waker,
}

impl Occurrence {
    fn occur(self) {
        self.happened.fetch_add(1, Relaxed);
        self.waker.wake();
    }
}

/// Mistakes: the owner parks without comparing the count of wakes; it parks before it has stored its waker.
#[test]
fn the_owner_falls_asleep() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, occurrence) = call_that_waits_for(1, &watch);
        let event = thread::spawn(move || occurrence.occur());

        drop(future.wait().unwrap());
        event.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistakes: a job parks without comparing the count of wakes; a step reads the count when it ends, and not when it starts.
#[test]
fn a_job_parks() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, occurrence) = call_that_waits_for(1, &watch);
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || occurrence.occur());

        pool.work_until(handle);
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// The second wake may find the job queued or running. The next step must still see what happened before that wake.
///
/// Mistakes: a wake of a call that is not parked is only a load; a wake does not release; a step does not acquire.
#[test]
fn a_job_is_queued() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let (mut future, occurrence) = call_that_waits_for(2, &watch);
        let handle = pool.submit(future.to_job().unwrap());
        pool.run_one();
        let events = [occurrence.clone(), occurrence]
            .map(|occurrence| thread::spawn(move || occurrence.occur()));

        pool.work_until(handle);
        for event in events {
            event.join().unwrap();
        }
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

/// Mistake: a turn that ends with a yield forgets the wakes of its step.
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

/// Mistake: when a call changes hands, its count of wakes counts as seen.
#[test]
fn a_runner_gives_the_call_back() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, occurrence) = call_that_waits_for(1, &watch);
        let mut runner = future.to_job().unwrap();
        let event = thread::spawn(move || occurrence.occur());
        let other = thread::spawn(move || assert_ne!(runner.resume(), Step::Yielded));

        drop(future.wait().unwrap());
        event.join().unwrap();
        other.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: the thread of the runner looks for a wake before it registers its waker, and then sleeps.
#[test]
fn a_runner_runs_to_the_end() {
    loom::model(|| {
        let watch = Watch::default();
        let (mut future, occurrence) = call_that_waits_for(1, &watch);
        let runner = future.to_job().unwrap();
        let event = thread::spawn(move || occurrence.occur());

        runner.run();
        event.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
    });
}

/// Mistakes: the call keeps the first waker that polled it, and not the last; a poll looks for the end before it stores its waker.
#[test]
fn the_owner_awaits_with_another_waker() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(|_| Poll::Ready(()));
        let _handle = pool.submit(future.to_job().unwrap());
        let worker = thread::spawn(move || pool.run_one());

        let (first, second) = (CountingWaker::default(), CountingWaker::default());
        let polled = poll(&mut future, &first).is_ready() || poll(&mut future, &second).is_ready();
        worker.join().unwrap();
        if !polled {
            assert!(second.is_woken(), "the last waker was not woken");
            assert!(poll(&mut future, &second).is_ready());
        }
        drop(future);
        watch.assert_is_over();
    });
}

const TICK: Duration = Duration::from_secs(1);

/// A wait for an event, or for a time.
type Wait = Pin<Box<dyn std::future::Future<Output = ()> + Send>>;

fn call_that_awaits(mut wait: Wait, watch: &Watch) -> Owned<Token> {
    watch.call(move |context| wait.as_mut().poll(context))
}

/// The wait begins after the reset. It ends if the event is set after that, and only then.
///
/// Mistakes: `set` does not store the flag and release the waiters under one lock, and so may end a wait that began after the reset; a wait does
/// not read the flag and register under one lock; a wait reads the flag without acquiring.
#[test]
fn the_owner_resets_an_event_and_waits_for_it_while_it_is_set() {
    loom::model(|| {
        let (watch, event) = (Watch::default(), Event::new());
        let is_written = Arc::new(AtomicBool::new(false));
        let mut future = watch.call({
            let (mut wait, is_written) = (Box::pin(event.wait()), is_written.clone());
            move |context| {
                let waited = wait.as_mut().poll(context);
                assert!(
                    waited.is_pending() || is_written.load(Relaxed),
                    "the wait ended before the event was set"
                );
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

/// The wait begins before the set and the reset, in whichever order these come.
///
/// Mistakes: a reset forgets the waiters; a released wait that finds the event reset goes on waiting.
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

/// Polls a wait with one waker, and then with another one while `end_wait` runs on another thread. The last waker must be woken.
fn assert_the_last_waker_is_woken(mut wait: Wait, end_wait: impl FnOnce() + 'static) {
    let (first, last) = (CountingWaker::default(), CountingWaker::default());
    assert!(poll(&mut wait, &first).is_pending());
    let other = thread::spawn(end_wait);

    let is_over = poll(&mut wait, &last).is_ready();
    other.join().unwrap();
    if !is_over {
        assert!(last.is_woken(), "the last waker was not woken");
        assert!(poll(&mut wait, &last).is_ready());
    }
}

/// Mistakes: a wait keeps its first waker; a released wait registers again.
#[test]
fn a_wait_gets_another_waker_while_its_event_is_set_and_reset() {
    loom::model(|| {
        let event = Event::new();
        assert_the_last_waker_is_woken(Box::pin(event.wait()), move || {
            event.set();
            event.reset();
        });
    });
}

/// Mistakes: a sleeper keeps its first waker; it does not read the clock after it has stored another waker.
#[test]
fn a_sleeper_gets_another_waker_while_its_clock_ticks() {
    loom::model(|| {
        let clock = ManualClock::new();
        assert_the_last_waker_is_woken(clock.sleep_until(TICK), move || clock.tick(TICK));
    });
}

/// Mistakes: a tick wakes only one of the sleepers whose deadline has come, or leaves out those whose deadline is exactly now, or wakes them before
/// it moves the clock; a sleeper does not read the clock after it has registered.
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

/// Mistakes: a tick reads the clock and moves it in two accesses; it forgets the sleepers whose deadline has not come, or releases them too.
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
