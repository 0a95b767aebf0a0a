//! Taking the result of a call: a value, an error or a panic, once.

use crate::support::{Counter, Way, block_on};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use wasm_jobs::{Error, Future, JobPool, Panic, Step, yield_now};

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no bread left, {wanted} wanted")]
struct NoBread {
    wanted: u32,
}

/// Asserts that every way to ask for the result fails, because the result was given already.
fn assert_taken<T: Send + 'static>(future: &mut Future<T>) {
    assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
    assert!(matches!(future.resume(), Err(Error::ResultTaken)));
    assert!(matches!(future.wait(), Err(Error::ResultTaken)));
    assert!(matches!(block_on(&mut *future), Err(Error::ResultTaken)));
    assert!(matches!(future.to_job(), Err(Error::ResultTaken)));
    assert!(!future.has_result());
    assert!(future.is_disposed());
    future.cancel();
    assert!(matches!(future.try_get_result(), Err(Error::ResultTaken)));
}

fn panicking(panics: fn()) -> Future<()> {
    Future::new(async move {
        yield_now().await;
        panics();
        Ok(())
    })
}

fn panic_of<T: std::fmt::Debug>(result: Result<T, Error>) -> Panic {
    match result {
        Err(Error::Panic(panic)) => panic,
        other => panic!("not a panic: {other:?}"),
    }
}

#[test]
fn a_result_is_given_once_whichever_way_the_call_came_to_it() -> Result<(), Error> {
    for &way in Way::ALL {
        let mut future = Future::new(async {
            yield_now().await;
            Ok(String::from("once"))
        });
        assert!(!future.has_result() && !future.is_disposed());
        assert_eq!(way.finish(&mut future)?, "once", "{way:?}");
        assert_taken(&mut future);
    }
    Ok(())
}

#[test]
fn there_is_no_result_until_the_call_has_ended() -> Result<(), Error> {
    let mut future = Future::new(async {
        yield_now().await;
        Ok(5)
    });
    for step in [Step::Yielded, Step::Done] {
        assert!(!future.has_result());
        assert_eq!(future.try_get_result()?, None);
        assert_eq!(future.resume()?, step);
    }
    assert!(future.has_result());
    assert!(!future.is_disposed());
    assert_eq!(future.try_get_result()?, Some(5));
    assert!(!future.has_result());
    assert!(future.is_disposed());
    Ok(())
}

#[test]
fn a_failure_is_a_result_and_given_once() {
    for &way in Way::ALL {
        let mut future = Future::<u8>::new(async {
            yield_now().await;
            Err(Error::other(NoBread { wanted: 2 }))
        });
        match way.finish(&mut future) {
            Err(Error::Other(error)) => {
                assert_eq!(error.to_string(), "no bread left, 2 wanted");
                let error = error
                    .downcast::<NoBread>()
                    .expect("the error is the one that the work returned");
                assert_eq!(*error, NoBread { wanted: 2 });
            }
            other => panic!("{way:?}: {other:?}"),
        }
        assert_taken(&mut future);
    }
}

#[test]
fn a_failure_is_there_to_take_before_it_is_taken() -> Result<(), Error> {
    let mut future = Future::<u8>::new(async { Err(Error::other("no")) });
    assert_eq!(future.resume()?, Step::Done);
    assert!(future.has_result());
    assert!(!future.is_disposed());
    assert_eq!(future.resume()?, Step::Done, "a failure of the call is no misuse of `resume`");
    assert!(matches!(future.try_get_result(), Err(Error::Other(_))));
    assert_taken(&mut future);
    Ok(())
}

#[test]
fn a_panic_is_the_owners_whichever_way_the_call_came_to_it() {
    for &way in Way::ALL {
        let mut future = panicking(|| panic!("out of bread"));
        let panic = panic_of(way.finish(&mut future));
        assert_eq!(panic.message().as_deref(), Some("out of bread"), "{way:?}");
        assert_taken(&mut future);
    }
}

#[test]
fn a_panic_tells_its_message() {
    let loaves = 3;
    let mut formatted = Future::<()>::new(async move { panic!("{loaves} loaves missing") });
    let error = formatted.wait().expect_err("the call panics");
    assert_eq!(error.to_string(), "the host panicked inside the call: 3 loaves missing");
    assert_eq!(panic_of::<()>(Err(error)).message().as_deref(), Some("3 loaves missing"));

    let panic = panic_of(panicking(|| panic!("plain")).wait());
    assert_eq!(panic.to_string(), "plain");
    assert_eq!(format!("{panic:?}"), r#"Panic(Some("plain"))"#);
}

#[test]
fn a_panic_with_something_else_than_text_keeps_it() {
    let panic = panic_of(panicking(|| panic_any(NoBread { wanted: 7 })).wait());
    assert_eq!(panic.message(), None);
    assert!(!panic.to_string().is_empty());
    let payload =
        panic.into_payload().downcast::<NoBread>().expect("the payload is the one of the panic");
    assert_eq!(*payload, NoBread { wanted: 7 });
}

#[test]
fn the_owner_may_go_on_panicking() {
    let panic = panic_of(panicking(|| panic!("passed on")).wait());
    let again = catch_unwind(AssertUnwindSafe(|| resume_unwind(panic.into_payload())));
    let payload = again.expect_err("the owner panics with the payload");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"passed on"));
}

#[test]
fn a_result_need_not_be_sync() -> Result<(), Error> {
    for &way in Way::ALL {
        let mut future = Future::new(async {
            let cell = Cell::new(1);
            yield_now().await;
            cell.set(2);
            Ok(cell)
        });
        assert_eq!(way.finish(&mut future)?.get(), 2);
    }
    Ok(())
}

#[test]
fn a_result_may_be_nothing() -> Result<(), Error> {
    for &way in Way::ALL {
        let mut future: Future<()> = Future::new(async {
            yield_now().await;
            Ok(())
        });
        way.finish(&mut future)?;
        assert!(future.is_disposed());
    }
    Ok(())
}

#[test]
fn a_result_that_nobody_takes_is_dropped_once() -> Result<(), Error> {
    let drops = Counter::default();
    let gives_a_guard = || {
        let guard = drops.on_drop();
        Future::new(async {
            yield_now().await;
            Ok(guard)
        })
    };

    let mut stepped = gives_a_guard();
    while stepped.resume()? != Step::Done {}
    assert_eq!(drops.get(), 0);
    drop(stepped);
    assert_eq!(drops.get(), 1);

    let mut run_elsewhere = gives_a_guard();
    crate::support::a_thread_each.submit(run_elsewhere.to_job()?).wait();
    assert_eq!(drops.get(), 1);
    drop(run_elsewhere);
    assert_eq!(drops.get(), 2);

    let mut stepped_by_a_runner = gives_a_guard();
    let mut runner = stepped_by_a_runner.to_job()?;
    while runner.resume() != Step::Done {}
    drop(stepped_by_a_runner);
    assert_eq!(drops.get(), 3, "the remaining runner keeps the result");
    drop(runner);
    assert_eq!(drops.get(), 3);
    Ok(())
}

#[test]
fn a_result_that_is_taken_is_not_dropped() -> Result<(), Error> {
    for &way in Way::ALL {
        let drops = Counter::default();
        let guard = drops.on_drop();
        let mut future = Future::new(async { Ok(guard) });
        let guard = way.finish(&mut future)?;
        drop(future);
        assert_eq!(drops.get(), 0, "{way:?}");
        drop(guard);
        assert_eq!(drops.get(), 1, "{way:?}");
    }
    Ok(())
}
