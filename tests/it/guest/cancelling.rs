//! Cancelling calls of guests that run and do not stop by themselves.

use super::{compile, link, small_engine};
use crate::support::{Queue, a_thread_each, receives, workers};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use wasm_jobs::wasmtime::{Engine, Linker};
use wasm_jobs::{Error, Instance, JobPool, Slice, Step};

/// `forever()` calls `started`, and then loops; `count(n)` counts to n.
const FOREVER: &str = r#"(module
    (import "env" "started" (func $started))
    (func (export "forever")
        (call $started)
        (loop $again (br $again)))
    (func (export "count") (param $to i32) (result i32) (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $to))))
        (local.get $n)))"#;

/// A guest, and the receiver of a message for each start of `forever`.
fn guest(engine: &Engine) -> Result<(Instance<()>, Receiver<()>), Error> {
    let (sender, started) = channel();
    let mut linker = Linker::new(engine);
    linker.func_wrap("env", "started", move || {
        // The receiver may be dropped.
        let _ = sender.send(());
    })?;
    let pre = link(&linker, &compile(engine, FOREVER)?)?;
    Ok((Instance::new(&pre, ())?, started))
}

#[test]
fn an_endless_loop_ends_when_its_owner_cancels() -> Result<(), Error> {
    let (guest, started) = guest(&small_engine())?;
    for slice in [Slice::Unbounded, Slice::Time(std::time::Duration::from_secs(3600))] {
        guest.set_slice(slice)?;
        let mut future = guest.call::<(), ()>("forever", ())?;
        let job = a_thread_each.submit(future.to_job()?);
        assert!(receives(&started));
        future.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        job.wait();
        assert!(guest.is_poisoned(), "the call was stopped half-way");
        guest.clear_poison()?;
        assert_eq!(guest.call::<i32, i32>("count", 1000)?.wait()?, 1000);
    }
    Ok(())
}

#[test]
fn an_endless_loop_ends_when_its_future_is_dropped() -> Result<(), Error> {
    let (guest, started) = guest(&small_engine())?;
    let mut future = guest.call::<(), ()>("forever", ())?;
    let runner = future.to_job()?;
    let running = thread::spawn(move || runner.run());
    assert!(receives(&started));
    drop(future);
    running.join().unwrap();
    assert!(guest.is_poisoned());
    Ok(())
}

#[test]
fn a_runner_that_is_resumed_by_hand_is_stopped() -> Result<(), Error> {
    let (guest, started) = guest(&small_engine())?;
    let mut future = guest.call::<(), ()>("forever", ())?;
    let mut runner = future.to_job()?;
    let resuming = thread::spawn(move || runner.resume());
    assert!(receives(&started));
    future.cancel();
    assert_eq!(resuming.join().unwrap(), Step::Done);
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn a_call_that_was_stepped_by_its_owner_first_is_stopped_too() -> Result<(), Error> {
    let engine = small_engine();
    let (guest, started) = guest(&engine)?;
    guest.set_slice(Slice::Time(std::time::Duration::from_millis(1)))?;
    let mut future = guest.call::<(), ()>("forever", ())?;
    while started.try_recv().is_err() {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    guest.set_slice(Slice::Unbounded)?;
    let mut runner = future.to_job()?;
    let (entering, entered) = channel();
    let resuming = thread::spawn(move || {
        entering.send(()).unwrap();
        runner.resume()
    });
    assert!(receives(&entered));
    future.cancel();
    assert_eq!(resuming.join().unwrap(), Step::Done);
    Ok(())
}

#[test]
fn a_cancelled_guest_stops_at_whichever_moment_that_comes() -> Result<(), Error> {
    let engine = small_engine();
    let pool = workers(1);
    let (guest, started) = guest(&engine)?;
    for round in 0..300 {
        let mut future = guest.call::<(), ()>("forever", ())?;
        let job = pool.submit(future.to_job()?);
        if round % 3 == 0 {
            assert!(receives(&started));
        }
        for _ in 0..round {
            std::hint::spin_loop();
        }
        future.cancel();
        job.wait();
        assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
        while started.try_recv().is_ok() {}
        guest.clear_poison()?;
    }
    Ok(())
}

#[test]
fn cancelling_one_guest_disturbs_no_other() -> Result<(), Error> {
    let engine = small_engine();
    let (endless, started) = guest(&engine)?;
    let (other, _) = guest(&engine)?;
    for _ in 0..20 {
        let mut future = endless.call::<(), ()>("forever", ())?;
        let job = a_thread_each.submit(future.to_job()?);
        assert!(receives(&started));
        let mut count = other.call::<i32, i32>("count", 3_000_000)?;
        let counting = count.to_job()?;
        let counting = thread::spawn(move || {
            let mut counting = counting;
            counting.resume()
        });
        future.cancel();
        job.wait();
        assert_eq!(counting.join().unwrap(), Step::Done, "the call did not even yield");
        assert_eq!(count.try_get_result()?, Some(3_000_000));
        endless.clear_poison()?;
    }
    Ok(())
}

#[test]
fn the_next_call_of_an_instance_is_not_cancelled_with_the_last() -> Result<(), Error> {
    let (guest, started) = guest(&small_engine())?;
    for _ in 0..50 {
        let mut future = guest.call::<(), ()>("forever", ())?;
        let job = a_thread_each.submit(future.to_job()?);
        assert!(receives(&started));
        future.cancel();
        job.wait();
        guest.clear_poison()?;
        let queue = Queue::default();
        let mut count = guest.call::<i32, i32>("count", 500_000)?;
        let job = queue.submit(count.to_job()?);
        queue.run();
        assert!(job.is_complete());
        assert_eq!(count.try_get_result()?, Some(500_000));
    }
    Ok(())
}
