//! Slices: limits on how much a guest computes in one step.

use super::{
    Host, LOOKING_TAKES_FUEL, ask_to_yield, compile, instance, instance_of, link, linker,
    options_of_engines, small_engine,
};
use crate::support::{Counter, Flag, Way, block_on, ok};
use std::time::{Duration, Instant};
use wasm_jobs::wasmtime::{Caller, Linker, Trap};
use wasm_jobs::{Clock, Error, Future, Instance, InstanceOptions, RealtimeClock, Slice, Step};

/// `forever()` never ends and never yields. The other exports count to n.
const LOOPS: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (import "env" "tick" (func $tick))
    (memory (export "memory") 1)
    (func (export "forever")
        (loop $again
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
            (br $again)))
    (func $count (export "count") (param $to i32) (result i32) (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $to))))
        (local.get $n))
    (func (export "count_and_tick") (param $to i32) (result i32) (local $n i32)
        (loop $again
            (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 1000))) (then (call $tick)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $to))))
        (local.get $n))
    (func (export "wait_and_count") (param $to i32) (result i32)
        (call $wait)
        (call $yield)
        (call $count (local.get $to))))"#;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_guest_that_never_yields_yields_at_the_end_of_its_slice() -> Result<(), Error> {
    let guest = instance(LOOPS)?;
    guest.set_slice(Slice::Time(MS))?;
    let mut future = guest.call::<(), ()>("forever", ())?;
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(future.resume()?, Step::Yielded);
        assert!(start.elapsed() >= MS, "the step ended before its slice");
    }
    Ok(())
}

#[test]
fn a_sliced_guest_comes_to_the_same_result() -> Result<(), Error> {
    for &way in Way::ALL {
        let guest = instance(LOOPS)?;
        for slice in [Slice::Time(MS), Slice::Time(Duration::ZERO), Slice::Unbounded] {
            guest.set_slice(slice)?;
            let mut future = guest.call::<i32, i32>("count", 2_000_000)?;
            assert_eq!(way.finish(&mut future)?, 2_000_000, "{way:?} {slice:?}");
        }
    }
    Ok(())
}

#[test]
fn a_slice_changes_between_steps() -> Result<(), Error> {
    let guest = instance(LOOPS)?;
    assert_eq!(guest.slice(), Slice::Unbounded);
    guest.set_slice(Slice::Time(2 * MS))?;
    assert_eq!(guest.slice(), Slice::Time(2 * MS));
    let mut future = guest.call::<i32, i32>("count", 300_000_000)?;
    assert_eq!(future.resume()?, Step::Yielded);
    guest.set_slice(Slice::Unbounded)?;
    assert_eq!(future.resume()?, Step::Done);
    Ok(())
}

#[test]
fn the_end_of_one_slice_stops_no_other_guest() -> Result<(), Error> {
    let engine = small_engine();
    let (sliced, other) = (
        instance_of(&engine, LOOPS, Host::default())?,
        instance_of(&engine, LOOPS, Host::default())?,
    );
    sliced.set_slice(Slice::Time(MS / 2))?;
    let mut forever = sliced.call::<(), ()>("forever", ())?;
    let mut runner = forever.to_job()?;
    let stepping = std::thread::spawn(move || {
        for _ in 0..100 {
            assert_eq!(runner.resume(), Step::Yielded);
        }
    });
    while !stepping.is_finished() {
        let mut count = other.call::<i32, i32>("count", 10_000_000)?;
        assert_eq!(count.resume()?, Step::Done);
    }
    stepping.join().unwrap();
    Ok(())
}

#[test]
fn a_slice_still_ends_after_many_short_steps() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (func (export "run") (local $n i32)
            (loop $again
                (call $yield)
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 100000))))
            (loop $forever (br $forever))))"#;
    let guest = instance(text)?;
    // Such slices share readings of the clock.
    guest.set_slice(Slice::Time(10 * MS))?;
    let mut call = guest.call::<(), ()>("run", ())?;
    // The last ones are in the endless loop.
    for _ in 0..100_003 {
        assert_eq!(call.resume()?, Step::Yielded);
    }
    Ok(())
}

#[test]
fn waiting_is_no_part_of_a_slice() -> Result<(), Error> {
    let guest = instance(LOOPS)?;
    let event = guest.store()?.data().event.clone();
    guest.set_slice(Slice::Time(Duration::from_secs(3600)))?;
    let mut future = guest.call::<i32, i32>("wait_and_count", 1000)?;
    assert_eq!(future.resume()?, Step::Waiting);
    const SLICE: Duration = Duration::from_millis(20);
    guest.set_slice(Slice::Time(SLICE))?;
    Future::new(ok(RealtimeClock.sleep(2 * SLICE))).wait()?;
    event.set();
    // A step that yields before the end of its slice is at the guest's own yield.
    let mut yields = 0;
    loop {
        let start = Instant::now();
        match future.resume()? {
            Step::Done => break,
            Step::Yielded => yields += u32::from(start.elapsed() < SLICE),
            Step::Waiting => unreachable!("the event is set"),
        }
    }
    assert!(yields <= 1, "{yields}");
    Ok(())
}

#[test]
fn the_epoch_still_makes_every_guest_yield() -> Result<(), Error> {
    let engine = small_engine();
    let guest = instance_of(&engine, LOOPS, Host::default())?;
    for slice in [Slice::Unbounded, Slice::Time(Duration::from_secs(3600))] {
        guest.set_slice(slice)?;
        let mut future = guest.call::<(), ()>("forever", ())?;
        let stepped = Flag::default();
        let advancing = std::thread::spawn({
            let (engine, stepped) = (engine.clone(), stepped.clone());
            move || {
                while !stepped.is_set() {
                    ask_to_yield(&engine);
                    std::thread::yield_now();
                }
            }
        });
        for _ in 0..3 {
            assert_eq!(future.resume()?, Step::Yielded);
        }
        stepped.set();
        advancing.join().unwrap();
        drop(future);
        guest.clear_poison()?;
    }
    Ok(())
}

/// Runs a guest with the given slices, and returns its count at the end of each step.
fn counts(slices: &[Slice], yields: bool) -> Result<Vec<usize>, Error> {
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1).fuel(true))?;
    let counter = Counter::default();
    let mut linker = linker(&engine)?;
    linker.allow_shadowing(true);
    let ticks = counter.clone();
    linker.func_wrap("env", "tick", move || ticks.add())?;
    let text = format!(
        r#"(module
            (import "env" "tick" (func $tick))
            (import "env" "yield" (func $yield))
            (func (export "run") (local $n i32)
                (loop $again
                    (call $tick)
                    {}
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $n) (i32.const 10000))))))"#,
        if yields {
            "(if (i32.eqz (i32.rem_u (local.get $n) (i32.const 70))) (then (call $yield)))"
        } else {
            ""
        }
    );
    let pre = link(&linker, &compile(&engine, &text)?)?;
    let guest = Instance::new(&pre, Host::default())?;
    let mut slices = slices.iter().copied();
    guest.set_slice(slices.next().unwrap_or_default())?;
    let mut future = guest.call::<(), ()>("run", ())?;
    let mut counts = Vec::new();
    while future.resume()? != Step::Done {
        counts.push(counter.get());
        if let Some(slice) = slices.next() {
            guest.set_slice(slice)?;
        }
    }
    assert_eq!(counter.get(), 10_000);
    future.try_get_result()?;
    Ok(counts)
}

#[test]
fn a_slice_of_fuel_ends_at_the_same_places_every_time() -> Result<(), Error> {
    let first = counts(&[Slice::Fuel(1000)], false)?;
    assert!(first.len() > 20, "{first:?}");
    for _ in 0..3 {
        assert_eq!(counts(&[Slice::Fuel(1000)], false)?, first);
    }
    // A round of the loop has about nine instructions.
    let lengths: Vec<_> = first.windows(2).map(|two| two[1] - two[0]).collect();
    let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    assert!(most - least <= 1, "{lengths:?}");
    assert_eq!(counts(&[Slice::Unbounded], false)?, [0; 0]);
    Ok(())
}

#[test]
fn a_slice_of_fuel_begins_with_the_step() -> Result<(), Error> {
    let rounds = counts(&[Slice::Fuel(1000)], false)?[0];
    assert!(rounds > 70, "{rounds}");
    // The guest yields by itself in every 70th round. That is before the end of the slice, because each step begins a new slice.
    let yields: Vec<_> = (0..10_000).step_by(70).map(|n| n + 1).collect();
    assert_eq!(counts(&[Slice::Fuel(2000)], true)?, yields);
    Ok(())
}

#[test]
fn a_slice_of_fuel_changes_between_steps() -> Result<(), Error> {
    let short = counts(&[Slice::Fuel(500)], false)?;
    let long = counts(&[Slice::Fuel(2000)], false)?;
    let mixed = counts(&[Slice::Fuel(500), Slice::Fuel(2000), Slice::Unbounded], false)?;
    assert_eq!(mixed.len(), 2);
    assert_eq!(mixed[0], short[0]);
    assert!((mixed[1] - mixed[0]).abs_diff(long[1] - long[0]) <= 1, "{mixed:?} {long:?}");
    Ok(())
}

#[test]
fn a_slice_of_fuel_takes_nothing_from_the_whole() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1).fuel(true))?;
    let mut left = Vec::new();
    for slice in [Slice::Unbounded, Slice::Fuel(1000), Slice::Fuel(7), Slice::Time(MS)] {
        let guest = instance_of(&engine, LOOPS, Host::default())?;
        guest.set_slice(slice)?;
        guest.store()?.set_fuel(1_000_000)?;
        assert_eq!(guest.call::<i32, i32>("count", 10_000)?.wait()?, 10_000);
        left.push(guest.store()?.fuel()?);
    }
    if LOOKING_TAKES_FUEL {
        // At the end of a slice of time, the guest runs instructions of its check that it does not run otherwise.
        assert!(left.pop() <= Some(left[0]));
    }
    assert!(left.iter().all(|fuel| *fuel == left[0] && *fuel < 990_000), "{left:?}");

    let guest = instance_of(&engine, LOOPS, Host::default())?;
    guest.set_slice(Slice::Fuel(1000))?;
    guest.store()?.set_fuel(50_000)?;
    let failure = guest.call::<(), ()>("forever", ())?.wait().unwrap_err();
    assert!(matches!(&failure, Error::Trap(trap) if trap.code() == Trap::OutOfFuel), "{failure}");
    Ok(())
}

#[test]
fn the_epoch_leaves_the_fuel_as_it_is() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1).fuel(true))?;
    let used = |advance: bool| -> Result<u64, Error> {
        let guest = instance_of(&engine, LOOPS, Host::default())?;
        guest.set_slice(Slice::Fuel(100_000))?;
        guest.store()?.set_fuel(1_000_000_000)?;
        let over = Flag::default();
        let advancing = std::thread::spawn({
            let (engine, over) = (engine.clone(), over.clone());
            move || {
                while advance && !over.is_set() {
                    ask_to_yield(&engine);
                }
            }
        });
        assert_eq!(guest.call::<i32, i32>("count_and_tick", 3_000_000)?.wait()?, 3_000_000);
        over.set();
        advancing.join().unwrap();
        Ok(1_000_000_000 - guest.store()?.fuel()?)
    };
    let (asked, alone) = (used(true)?, used(false)?);
    assert!(if LOOKING_TAKES_FUEL { asked >= alone } else { asked == alone }, "{asked} {alone}");
    Ok(())
}

/// Counts for so long that many slices of fuel end in it, and each time that it calls the host, that asks all guests to yield if `is_stopped`
/// says so. Returns the fuel at each call of the host, how often it was stopped, and how many steps there were.
fn fuel_at_host_calls(is_stopped: fn(u64) -> bool) -> Result<(Vec<u64>, u64, u64), Error> {
    let text = r#"(module
        (import "env" "tell" (func $tell))
        (func (export "run") (local $calls i32) (local $n i32)
            (loop $again
                (call $tell)
                (local.set $n (i32.const 0))
                (loop $count
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if $count (i32.lt_u (local.get $n) (i32.const 100))))
                (local.set $calls (i32.add (local.get $calls) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $calls) (i32.const 1000))))))"#;
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1).fuel(true))?;
    let mut linker = Linker::<(Vec<u64>, u64)>::new(&engine);
    let asked = engine.clone();
    linker.func_wrap("env", "tell", move |mut caller: Caller<'_, (Vec<u64>, u64)>| {
        let fuel = caller.get_fuel().expect("the engine counts fuel");
        let (fuels, stops) = caller.data_mut();
        if is_stopped(fuels.len() as u64) {
            *stops += 1;
            ask_to_yield(&asked);
        }
        fuels.push(fuel);
    })?;
    let guest = Instance::new(&link(&linker, &compile(&engine, text)?)?, (Vec::new(), 0))?;
    guest.set_slice(Slice::Fuel(20_000))?;
    let mut steps = 1;
    let mut call = guest.call::<(), ()>("run", ())?;
    while call.resume()? == Step::Yielded {
        steps += 1;
    }
    call.wait()?;
    let (fuels, stops) = guest.store()?.data().clone();
    Ok((fuels, stops, steps))
}

#[test]
fn a_stop_by_the_clock_leaves_the_ends_of_slices_of_fuel_where_they_are() -> Result<(), Error> {
    /// The most that a guest uses to take its flag.
    const TAKING: u64 = if LOOKING_TAKES_FUEL { 100 } else { 0 };
    let (fuels, _, steps) = fuel_at_host_calls(|_| false)?;
    assert!(steps > 10, "{steps} steps");
    // Far more often than a slice ends, so none would end if each stop began one anew.
    for is_stopped in [|call| call % 7 == 0, |call| call < 500, |_| true] {
        let (with_stops, stops, more_steps) = fuel_at_host_calls(is_stopped)?;
        assert_eq!(with_stops.len(), fuels.len());
        let mut so_far = 0;
        for (call, (with_stops, without)) in with_stops.iter().zip(&fuels).enumerate() {
            let taken = without - with_stops;
            assert!(taken <= so_far * TAKING, "call {call}: {taken} for {so_far} stops");
            so_far += u64::from(is_stopped(call as u64));
        }
        let by_fuel = more_steps - stops;
        let more_at_most = (stops * TAKING).div_ceil(20_000);
        assert!((steps..=steps + more_at_most).contains(&by_fuel), "{by_fuel} beside {steps}");
    }
    Ok(())
}

#[test]
fn a_slice_of_fuel_needs_fuel() -> Result<(), Error> {
    let guest = instance(LOOPS)?;
    let refusal = guest.set_slice(Slice::Fuel(1)).unwrap_err();
    assert!(matches!(refusal, Error::Unsupported { .. }), "{refusal}");
    assert_eq!(guest.slice(), Slice::Unbounded);
    Ok(())
}

#[test]
fn a_slice_stays_when_the_instance_is_reset() -> Result<(), Error> {
    let guest = instance(LOOPS)?;
    guest.set_slice(Slice::Time(MS))?;
    guest.reset_with(Host::default())?;
    let mut future = guest.call::<(), ()>("forever", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    Ok(())
}

#[test]
fn a_slice_of_fuel_that_is_set_after_the_end_of_one_of_time_ends_too() -> Result<(), Error> {
    fn ends<R: Send + 'static>(
        guest: &Instance<Host>,
        call: Result<Future<R>, Error>,
    ) -> Result<(), Error> {
        guest.set_slice(Slice::Time(MS))?;
        let mut future = call?;
        assert_eq!(future.resume()?, Step::Yielded);
        guest.set_slice(Slice::Fuel(10_000))?;
        for _ in 0..5 {
            assert_eq!(future.resume()?, Step::Yielded);
        }
        drop(future);
        guest.clear_poison()
    }

    let engine = wasm_jobs::engine(&options_of_engines().pooling(1).fuel(true))?;
    let guest = instance_of(&engine, LOOPS, Host::default())?;
    ends(&guest, guest.call::<(), ()>("forever", ()))?;
    ends(&guest, guest.call::<i32, i32>("count_and_tick", i32::MAX))
}

#[test]
fn after_a_slice_of_fuel_a_guard_makes_asynchronous_calls_alone() -> Result<(), Error> {
    let text = r#"(module (func (export "one") (result i32) (i32.const 1)))"#;
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1).fuel(true))?;
    let module = compile(&engine, text)?;
    let pre = link(&Linker::<()>::new(&engine), &module)?;
    let guest = Instance::with_options(&pre, InstanceOptions::default(), || ())?;
    let calls = |synchronous_succeeds: bool| -> Result<(), Error> {
        let mut store = guest.store()?;
        let one = store.instance()?.get_typed_func::<(), i32>(&mut store, "one")?;
        assert_eq!(one.call(&mut store, ()).is_ok(), synchronous_succeeds);
        assert_eq!(block_on(one.call_async(&mut store, ()))?, 1);
        Ok(())
    };
    calls(true)?;
    guest.set_slice(Slice::Fuel(1_000))?;
    calls(true)?;
    assert_eq!(guest.call::<(), i32>("one", ())?.wait()?, 1);
    calls(false)?;
    guest.set_slice(Slice::Unbounded)?;
    assert_eq!(guest.call::<(), i32>("one", ())?.wait()?, 1);
    calls(false)?;
    guest.reset()?;
    calls(true)
}
