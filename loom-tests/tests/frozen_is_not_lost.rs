//! Invariant 11, frozen is not lost: a call that its owner asks to become data, and that does not, goes on; and a parked call that is woken goes on once. What the owner does for that is to
//! take a step that nothing has woken. In these models the work itself stands for the guest: it becomes data, or moves what it waits for out of the guest.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasm_jobs::model::step_anyway;
use wasm_jobs::{Error, Event, JobPool, Step};
use wasm_jobs_loom_tests::{Pool, Watch};

/// Work that waits for an event.
fn waits(event: &Event) -> impl FnMut(&mut Context<'_>) -> Poll<()> + Send + Unpin + use<> {
    let mut waiting = Box::pin(event.wait());
    move |context| waiting.as_mut().poll(context)
}

/// Work that waits for an event, and is parked when it does. `thawed` counts how often it comes back.
fn parks(
    event: &Event,
    thawed: &Arc<AtomicUsize>,
) -> impl FnMut(&mut Context<'_>) -> Poll<()> + Send + Unpin + use<> {
    let (mut in_guest, mut parked) = (Some(Box::pin(event.wait())), None);
    let thawed = thawed.clone();
    move |context| {
        if let Some(mut waiting) = in_guest.take() {
            if waiting.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            // The guest is gone. What it waits for has the waker of this poll, and is polled again at once, as the library does.
            parked = Some(waiting);
        }
        let Some(waiting) = &mut parked else { panic!("it is not polled once it is done") };
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        thawed.fetch_add(1, Relaxed);
        parked = None;
        Poll::Ready(())
    }
}

/// Mistake: the step that nothing has woken takes a wake that comes during it.
#[test]
fn an_owner_asks_while_the_call_is_woken() {
    loom::model(|| {
        let (event, watch) = (Event::new(), Watch::default());
        let mut future = watch.call(waits(&event));
        assert_eq!(future.resume().unwrap(), Step::Waiting);
        let wake = thread::spawn(move || event.set());

        let _ = step_anyway(&mut future).unwrap();
        drop(future.wait().unwrap());
        wake.join().unwrap();
        watch.assert_is_over();
    });
}

/// Mistake: the step is not taken, because nothing has woken the call.
#[test]
fn an_owner_asks_a_call_that_waits() {
    loom::model(|| {
        let (is_asked, watch) = (Arc::new(AtomicBool::new(false)), Watch::default());
        let asked = is_asked.clone();
        let mut future = watch.call(move |_| match asked.load(Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        assert_eq!(future.resume().unwrap(), Step::Waiting);
        is_asked.store(true, Relaxed);
        assert_eq!(step_anyway(&mut future).unwrap(), Step::Done);
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
    });
}

/// The owner asks as soon as it has the right to resume again.
#[test]
fn an_owner_asks_while_a_pool_gives_the_call_back() {
    loom::model(|| {
        let (event, pool, watch) = (Event::new(), Pool::of_calls(1), Watch::default());
        let mut future = watch.call(waits(&event));
        let handle = pool.submit(future.to_job().unwrap());
        let other = thread::spawn({
            let pool = pool.clone();
            move || drop(pool.try_take())
        });
        let wake = thread::spawn(move || event.set());

        match step_anyway(&mut future) {
            Ok(_) | Err(Error::InJob) => {}
            Err(error) => panic!("{error}"),
        }
        other.join().unwrap();
        drop(future.wait().unwrap());
        wake.join().unwrap();
        handle.wait();
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

#[test]
fn a_parked_call_is_woken() {
    loom::model(|| {
        let (event, thawed) = (Event::new(), Arc::new(AtomicUsize::new(0)));
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(parks(&event, &thawed));
        let handle = pool.submit(future.to_job().unwrap());
        let wake = thread::spawn(move || event.set());

        pool.work_until(handle);
        wake.join().unwrap();
        drop(future.try_get_result().unwrap().unwrap());
        assert!(thawed.load(Relaxed) <= 1);
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}

#[test]
fn a_parked_call_is_cancelled_while_it_is_woken() {
    loom::model(|| {
        let (event, thawed) = (Event::new(), Arc::new(AtomicUsize::new(0)));
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let mut future = watch.call(parks(&event, &thawed));
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker();
        let wake = thread::spawn(move || event.set());

        future.cancel();
        match future.wait() {
            Ok(result) => drop(result),
            Err(Error::Cancelled) => {}
            Err(error) => panic!("{error}"),
        }
        handle.wait();
        wake.join().unwrap();
        worker.join().unwrap();
        // The wake may have come after the call was over, or before its end, when the job was to run once more.
        while let Some(job) = pool.try_take() {
            job.run();
        }
        assert!(thawed.load(Relaxed) <= 1);
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}
