//! Waiting for events of the host.

use crate::support::{
    Counter, Queue, Way, at_once, notifying, ok, order_of_ends, poll_once, receives, run_beside,
};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use wasm_jobs::{Error, Event, Future, JobHandle, JobPool, Step};

fn waits_for(event: &Event) -> Future<()> {
    let wait = event.wait();
    Future::new(ok(wait))
}

#[test]
fn a_call_waits_until_the_event_is_set() -> Result<(), Error> {
    let event = Event::new();
    let mut future = waits_for(&event);
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    assert!(!event.is_set());
    event.clone().set();
    assert!(event.is_set());
    assert_eq!(future.resume()?, Step::Done);
    Ok(())
}

#[test]
fn an_event_that_is_set_lets_everybody_through_until_it_is_reset() -> Result<(), Error> {
    let event = Event::new();
    event.set();
    event.set();
    for _ in 0..3 {
        assert_eq!(waits_for(&event).resume()?, Step::Done);
    }
    event.reset();
    let mut late = waits_for(&event);
    assert_eq!(late.resume()?, Step::Waiting);
    event.set();
    assert_eq!(late.resume()?, Step::Done);
    Ok(())
}

#[test]
fn a_wait_that_has_begun_is_over_although_the_event_was_reset() -> Result<(), Error> {
    let event = Event::new();
    let (mut begun, mut not_begun) = (waits_for(&event), waits_for(&event));
    assert_eq!(begun.resume()?, Step::Waiting);
    event.set();
    event.reset();
    assert_eq!(begun.resume()?, Step::Done);
    assert_eq!(not_begun.resume()?, Step::Waiting);
    Ok(())
}

#[test]
fn an_event_ends_every_call_that_waits_for_it_in_every_way() -> Result<(), Error> {
    for &way in Way::ALL {
        let event = Event::new();
        let (waiting, waits) = channel();
        let setter = thread::spawn({
            let event = event.clone();
            move || {
                assert!(receives(&waits));
                event.set();
            }
        });
        let wait = event.wait();
        let work = notifying(move || waiting.send(()).unwrap(), wait);
        way.finish(&mut Future::new(ok(work)))?;
        setter.join().unwrap();
    }
    Ok(())
}

#[test]
fn calls_wake_in_the_order_in_which_they_began_to_wait() -> Result<(), Error> {
    let event = Event::new();
    let pool = Queue::default();
    let mut futures: Vec<_> = (0..10).map(|_| waits_for(&event)).collect();
    for at in [7, 2, 9, 0, 1, 8, 3, 6, 5, 4] {
        drop(pool.submit(futures[at].to_job()?));
    }
    pool.run();
    // Call 9 stops waiting, and a new call waits in its place.
    futures[9] = waits_for(&event);
    drop(pool.submit(futures[9].to_job()?));
    pool.run();
    event.set();
    let order = order_of_ends(&pool, &mut futures)?;
    assert_eq!(order, [7, 2, 0, 1, 8, 3, 6, 5, 4, 9]);
    Ok(())
}

#[test]
fn a_call_that_is_run_by_its_wake_waits_for_the_same_event_again() -> Result<(), Error> {
    let event = Event::new();
    let rounds = Arc::new(AtomicUsize::new(0));
    let mut future = Future::new({
        let (event, rounds) = (event.clone(), rounds.clone());
        async move {
            for _ in 0..3 {
                event.wait().await;
                event.reset();
                rounds.fetch_add(1, Relaxed);
            }
            Ok(())
        }
    });
    // This pool runs the job inside `set`.
    let job = at_once.submit(future.to_job()?);
    for round in 1..=3 {
        event.set();
        assert_eq!(rounds.load(Relaxed), round);
    }
    assert!(job.is_complete());
    Ok(())
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(PanickingPayload);
        }
    }

    struct PanickingPayload;

    impl Drop for PanickingPayload {
        fn drop(&mut self) {
            panic!("the destructor of the payload panics");
        }
    }

    let event = Event::new();
    let mut panics = pin!(event.wait());
    let waker = Waker::from(Arc::new(Panics));
    assert!(panics.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut wait = Box::pin(event.wait());
    let wakes = Arc::new(Counter::default());
    assert!(poll_once(&mut wait, &wakes).is_pending());
    event.set();
    assert_eq!(wakes.get(), 1);
    assert!(poll_once(&mut wait, &wakes).is_ready());
}

#[test]
fn a_wait_that_is_dropped_is_forgotten() {
    let event = Event::new();
    let wakes = Arc::new(Counter::default());
    for _ in 0..1000 {
        assert!(poll_once(&mut Box::pin(event.wait()), &wakes).is_pending());
    }
    assert_eq!(Arc::strong_count(&wakes), 1);
    event.set();
    assert_eq!(wakes.get(), 0);
}

#[test]
fn nine_hundred_jobs_wait_and_two_workers_run_them_all() -> Result<(), Error> {
    let pool = crate::support::workers(2);
    let event = Event::new();
    let arrived = Counter::default();
    let mut futures: Vec<_> = (0..900)
        .map(|_| {
            let (wait, arrived) = (event.wait(), arrived.clone());
            let work = notifying(move || arrived.add(), wait);
            Future::new(ok(work))
        })
        .collect();
    let jobs: Result<Vec<_>, Error> =
        futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?))).collect();
    let all = JobHandle::all(jobs?);
    while arrived.get() < 900 {
        thread::yield_now();
    }
    assert!(!all.is_complete());
    event.set();
    all.wait();
    assert!(futures.iter().all(Future::has_result));
    Ok(())
}

#[test]
fn an_event_is_set_while_calls_begin_to_wait() -> Result<(), Error> {
    for _ in 0..200 {
        let event = Event::new();
        let mut futures: Vec<_> = (0..4).map(|_| waits_for(&event)).collect();
        run_beside(&mut futures, || event.set())?;
    }
    Ok(())
}

/// The numbers of the wakers that were woken, in order.
#[derive(Clone, Default)]
struct WakeLog(Arc<Mutex<Vec<usize>>>);

/// A waker that adds its number to the log.
struct NumberedWaker(usize, WakeLog);

impl Wake for NumberedWaker {
    fn wake(self: Arc<Self>) {
        self.1.0.lock().unwrap().push(self.0);
    }
}

impl WakeLog {
    fn waker(&self, number: usize) -> Waker {
        Waker::from(Arc::new(NumberedWaker(number, self.clone())))
    }

    /// Polls a wait with the waker of this number. The wait must be pending.
    fn poll(&self, wait: &mut (impl std::future::Future<Output = ()> + Unpin), number: usize) {
        let waker = self.waker(number);
        let polled = std::pin::Pin::new(wait).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn waits_dropped_from_the_middle_leave_the_others_in_the_order_of_their_arrival() {
    // The dropped waits are at the front, at the back, or in between.
    let dropped: [fn(usize) -> bool; 5] =
        [|n| n < 40, |n| n >= 60, |n| n % 3 == 1, |n| n != 50, |n| (20..80).contains(&n)];
    for is_dropped in dropped {
        let (event, woken) = (Event::new(), WakeLog::default());
        let mut waits: Vec<_> = (0..100).map(|_| Some(Box::pin(event.wait()))).collect();
        for (n, wait) in waits.iter_mut().enumerate() {
            woken.poll(wait.as_mut().expect("the wait is new"), n);
        }
        for (n, wait) in waits.iter_mut().enumerate() {
            if is_dropped(n) {
                *wait = None;
            }
        }
        // New waits come behind the others, and do not take the places of dropped waits.
        let mut late: Vec<_> = (0..5).map(|_| Box::pin(event.wait())).collect();
        for (n, wait) in (100..).zip(&mut late) {
            woken.poll(wait, n);
        }
        event.set();
        let expected: Vec<_> = (0..105).filter(|&n| n >= 100 || !is_dropped(n)).collect();
        assert_eq!(woken.take(), expected);
    }
}

#[test]
fn a_wait_that_is_polled_with_another_waker_keeps_its_place() {
    let (event, woken) = (Event::new(), WakeLog::default());
    let mut waits: Vec<_> = (0..5).map(|_| Box::pin(event.wait())).collect();
    for (n, wait) in waits.iter_mut().enumerate() {
        woken.poll(wait, n);
    }
    woken.poll(&mut waits[3], 30);
    woken.poll(&mut waits[0], 10);
    woken.poll(&mut waits[3], 33);
    drop(waits.remove(1));
    woken.poll(&mut waits[1], 20);
    event.set();
    assert_eq!(woken.take(), [10, 20, 33, 4]);
    event.reset();
    woken.poll(&mut Box::pin(event.wait()), 5);
    event.set();
    assert!(woken.take().is_empty(), "each was woken once, and the last was dropped");
}

#[test]
fn a_million_waits_are_dropped_in_the_order_in_which_they_began() {
    // This test asserts no time. If each removal moved the waiters behind it, this would move 16 TB under the lock of the latch: 80,000 waits
    // took 0.9 s that way, and a million would take more than two minutes.
    const WAITS: usize = 1_000_000;
    let (event, wakes) = (Event::new(), Arc::new(Counter::default()));
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    let mut waits: Vec<_> = (0..WAITS).map(|_| Box::pin(event.wait())).collect();
    for wait in &mut waits {
        assert!(wait.as_mut().poll(&mut context).is_pending());
    }
    let last = waits.pop();
    waits.into_iter().for_each(drop);
    assert_eq!(Arc::strong_count(&wakes), 3, "only the last wait is left");
    event.set();
    assert_eq!(wakes.get(), 1);
    drop(last);
}
