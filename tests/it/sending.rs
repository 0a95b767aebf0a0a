//! An owner that travels: `Future::into_send`.

use crate::support::{Counter, Event, Flag, Way, a_thread_each, ok};
use std::thread;
use wasm_jobs::{Error, Future, JobPool, SendFuture, Step, yield_now};

fn two_steps() -> SendFuture<&'static str> {
    Future::new(async {
        yield_now().await;
        Ok("done")
    })
    .into_send()
}

#[test]
fn each_step_is_on_another_thread_and_the_last_takes_the_result() -> Result<(), Error> {
    let mut future = two_steps();
    for step in [Step::Yielded, Step::Done] {
        future = thread::spawn(move || {
            assert_eq!(future.resume().unwrap(), step);
            future
        })
        .join()
        .unwrap();
    }
    let taken = thread::spawn(move || (future.try_get_result().unwrap(), future)).join().unwrap();
    assert_eq!(taken.0, Some("done"));
    let mut future = taken.1;
    assert!(future.is_disposed());
    assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
    assert!(matches!(future.resume(), Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn every_way_to_finish_a_call_works_from_another_thread() {
    for &way in Way::ALL {
        let future = two_steps();
        let end = thread::spawn(move || way.finish(&mut { future })).join().unwrap();
        assert_eq!(end.unwrap(), "done", "{way:?}");
    }
}

#[test]
fn a_call_becomes_its_travelling_owners_in_any_state() -> Result<(), Error> {
    // In a job.
    let (event, begun) = (Event::default(), Flag::default());
    let mut future = Future::new({
        let (happens, begun) = (event.happens(), begun.clone());
        ok(async move {
            begun.set();
            happens.await;
            5
        })
    });
    let handle = a_thread_each.submit(future.to_job()?);
    let mut future = future.into_send();
    assert!(matches!(future.resume(), Err(Error::InJob)));
    assert!(matches!(future.to_job(), Err(Error::InJob)));
    event.set();
    handle.wait();
    assert!(future.has_result());
    assert_eq!(future.into_send().try_get_result()?, Some(5));

    // Ended, and taken.
    let mut future = Future::new(async { Ok(6) });
    assert_eq!(future.resume()?, Step::Done);
    let mut future = future.into_send();
    assert_eq!(future.try_get_result()?, Some(6));
    assert!(future.into_send().is_disposed());
    Ok(())
}

#[test]
fn nothing_of_the_call_is_dropped_when_its_owner_begins_to_travel() -> Result<(), Error> {
    let dropped = Counter::default();
    let guard = dropped.on_drop();
    let mut future = Future::new(async move {
        let _guard = guard;
        yield_now().await;
        Ok(())
    });
    assert_eq!(future.resume()?, Step::Yielded);
    let future = future.into_send();
    assert_eq!(dropped.get(), 0);
    thread::spawn(move || drop(future)).join().unwrap();
    assert_eq!(dropped.get(), 1);
    Ok(())
}

#[test]
fn a_result_that_is_not_sync_is_asked_for_by_reference_and_taken_by_its_owner() -> Result<(), Error>
{
    let mut future = Future::new(async { Ok(std::cell::Cell::new(1)) }).into_send();
    assert_eq!(future.resume()?, Step::Done);
    thread::scope(|scope| {
        let asks = [(); 4].map(|()| scope.spawn(|| future.has_result() && !future.is_disposed()));
        assert!(asks.map(|ask| ask.join().unwrap()).iter().all(|&has| has));
    });
    assert_eq!(future.try_get_result()?.map(|cell| cell.get()), Some(1));
    Ok(())
}

#[test]
fn tasks_of_tokio_await_calls_that_pools_run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            runtime.spawn(async move {
                let mut future = Future::new(async move {
                    yield_now().await;
                    Ok(number)
                })
                .into_send();
                if number % 2 == 0 {
                    a_thread_each.submit(future.to_job()?);
                }
                future.await
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(runtime.block_on(task).unwrap().unwrap(), number);
    }
}
