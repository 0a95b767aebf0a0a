//! Many calls within one budget of time.

use super::{Host, compile, instance_of, link, linker, options_of_engines, small_engine};
use crate::support::Counter;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wasm_jobs::{Error, Future, Instance, LocalOwner, run_within, yield_now};

const GUESTS: usize = 40;
const MS: Duration = Duration::from_millis(1);

/// `forever()` never yields; `yields(n)` yields `n` times; `waits()` waits for the event of its host.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (func (export "forever")
        (loop $again (br $again)))
    (func (export "yields") (param $times i32)
        (loop $again
            (call $yield)
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
    (func (export "waits") (call $wait)))"#;

fn guests(count: usize) -> Result<Vec<Instance<Host>>, Error> {
    let engine = wasm_jobs::engine(&options_of_engines().pooling(GUESTS as u32))?;
    (0..count).map(|_| instance_of(&engine, GUEST, Host::default())).collect()
}

#[test]
fn calls_that_never_yield_share_the_frames() -> Result<(), Error> {
    let begun = Counter::default();
    let engine = wasm_jobs::engine(&options_of_engines().pooling(GUESTS as u32))?;
    let mut linker = linker(&engine)?;
    linker.func_wrap("env", "begins", {
        let begun = begun.clone();
        move || begun.add()
    })?;
    let text = r#"(module
        (import "env" "begins" (func $begins))
        (func (export "forever") (call $begins) (loop $again (br $again))))"#;
    let pre = link(&linker, &compile(&engine, text)?)?;
    let guests = (0..GUESTS).map(|_| Instance::new(&pre, Host::default()));
    let guests = guests.collect::<Result<Vec<_>, _>>()?;
    let call = |guest: &Instance<Host>| guest.call::<(), ()>("forever", ());
    let mut futures = guests.iter().map(call).collect::<Result<Vec<_>, _>>()?;
    // A frame has room for at most 20 of the shortest steps. The next frame begins with the calls that it did not reach.
    let mut frames = 0;
    while begun.get() < GUESTS {
        let frame = run_within(&mut futures, 2 * MS);
        assert!(frame.elapsed >= 2 * MS, "there is always more to do");
        assert_eq!(frame.yielded + frame.unreached, GUESTS);
        assert!(frame.yielded > 0, "each frame steps at least one call");
        frames += 1;
        assert!(frames < 100_000, "every call gets a step");
    }
    assert!(frames > 1, "all calls fit into one frame");
    Ok(())
}

#[test]
fn calls_that_a_frame_did_not_reach_come_first_in_the_next_frame_of_their_list() {
    let log = Arc::new(Mutex::new(String::new()));
    // Each step of these calls takes a whole frame.
    let call = |name: char| {
        let log = log.clone();
        Future::<()>::new(async move {
            loop {
                log.lock().unwrap().push(name);
                let start = Instant::now();
                while start.elapsed() < MS {}
                yield_now().await;
            }
        })
    };
    let mut long: Vec<_> = "abcde".chars().map(call).collect();
    let mut short: Vec<_> = "xyz".chars().map(call).collect();
    for frame in 0..6 {
        for list in [&mut long, &mut short] {
            let report = run_within(&mut *list, MS);
            assert_eq!((report.yielded, report.unreached), (1, list.len() - 1), "{frame}");
        }
    }
    assert_eq!(*log.lock().unwrap(), "axbyczdxeyaz");
    // Adding and removing calls moves the others in the list. No call is passed over.
    drop(long.remove(0));
    long.push(call('f'));
    for _ in 0..5 {
        run_within(&mut long, MS);
    }
    assert_eq!(log.lock().unwrap()[12..], *"bcdef");
}

#[test]
fn one_call_that_never_yields_leaves_the_rest_their_share() -> Result<(), Error> {
    let guests = guests(5)?;
    let mut futures = vec![guests[0].call::<(), ()>("forever", ())?];
    for guest in &guests[1..] {
        futures.push(guest.call("yields", (50,))?);
    }
    let frame = run_within(&mut futures, 1000 * MS);
    assert_eq!((frame.done, frame.yielded, frame.unreached), (4, 1, 0));
    Ok(())
}

#[test]
fn a_frame_ends_when_nothing_can_go_on() -> Result<(), Error> {
    let guests = guests(4)?;
    let mut futures = vec![
        guests[0].call::<(), ()>("waits", ())?,
        guests[1].call("yields", (3,))?,
        guests[2].call("waits", ())?,
        guests[3].call("yields", (3,))?,
    ];
    let runner = futures[2].to_job()?;
    let hour = Duration::from_secs(3600);
    let frame = run_within(&mut futures, hour);
    assert_eq!((frame.waiting, frame.done, frame.in_job), (1, 2, 1));
    assert!(frame.elapsed < hour);
    drop(runner);
    futures[3].wait()?;
    let frame = run_within(&mut futures, hour);
    assert_eq!((frame.waiting, frame.done, frame.disposed), (2, 1, 1));
    Ok(())
}

#[test]
fn a_budget_of_zero_steps_nothing() -> Result<(), Error> {
    let guests = guests(2)?;
    let mut futures = vec![guests[0].call::<(), ()>("waits", ())?, guests[1].call("waits", ())?];
    let frame = run_within(&mut futures, Duration::ZERO);
    assert_eq!((frame.unreached, frame.waiting), (2, 0));
    assert_eq!(run_within(&mut futures, MS * 1000).waiting, 2);
    assert_eq!(run_within(&mut futures, Duration::ZERO).waiting, 2);
    let nobody = run_within::<(), LocalOwner>([], MS);
    assert_eq!(nobody.elapsed, Duration::ZERO, "{nobody:?}");
    Ok(())
}

#[test]
fn the_deadline_of_a_frame_does_not_apply_to_calls_inside_a_host_function() -> Result<(), Error> {
    // The work of a call in the frame steps another call to its end.
    let inner = instance_of(&small_engine(), GUEST, Host::default())?;
    let mut outer = Future::new(async move {
        let mut call = inner.call::<(i32,), ()>("yields", (3,))?;
        let mut steps = 0;
        while call.resume()? != wasm_jobs::Step::Done {
            steps += 1;
        }
        Ok(steps)
    });
    let frame = run_within([&mut outer], Duration::from_nanos(1));
    assert_eq!(frame.done, 1);
    assert_eq!(outer.wait()?, 3, "the inner call yields only where its guest does");
    Ok(())
}
