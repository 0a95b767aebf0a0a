//! Limits on what a guest does in one call, and on its memory and tables.

use super::{Host, Pre, ask_to_yield, compile, link, linker, options_of_engines};
use crate::support::{Event, Queue, Way, a_thread_each, block_on, retry_timeouts};
use std::sync::LazyLock;
use std::time::Duration;
use wasm_jobs::wasmtime::{self, Engine, Memory, MemoryType, Ref, Val};
use wasm_jobs::{
    Clock, Error, Instance, InstanceOptions, JobPool, RealtimeClock, Slice, Step, Timeout,
};

/// An engine that counts fuel.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    wasm_jobs::engine(&options_of_engines().pooling(40).fuel(true))
        .expect("the options of an engine")
});

const MS: Duration = Duration::from_millis(1);

/// `forever` and `yields` never end, and `yields` yields; `grow` and `grow_table` return the results of the instructions; `deep` moves the stack
/// pointer, and then traps or waits; `stack` returns the stack pointer.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (memory (export "memory") 1 100)
    (table (export "table") 10 funcref)
    (global $stack (export "__stack_pointer") (mut i32) (i32.const 4096))
    (func (export "forever") (loop $again (br $again)))
    (func (export "yields") (loop $again (call $yield) (br $again)))
    (func (export "yield_once") (call $yield))
    (func (export "waits") (call $wait))
    (func (export "nothing"))
    (func (export "count") (param $to i32) (result i32) (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $to))))
        (local.get $n))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "grow_table") (param i32) (result i32)
        (table.grow (ref.null func) (local.get 0)))
    (func (export "stack") (result i32) (global.get $stack))
    (func (export "deep") (param $waits i32)
        (global.set $stack (i32.sub (global.get $stack) (i32.const 64)))
        (if (local.get $waits) (then (call $wait)) (else unreachable))
        (global.set $stack (i32.add (global.get $stack) (i32.const 64)))))"#;

fn pre_of(engine: &Engine, text: &str) -> Result<Pre<Host>, Error> {
    link(&linker(engine)?, &compile(engine, text)?)
}

fn limited(options: InstanceOptions) -> Result<Instance<Host>, Error> {
    let pre = pre_of(&ENGINE, GUEST)?;
    retry_timeouts(|| Instance::with_options(&pre, options.clone(), Host::default))
}

fn options() -> InstanceOptions {
    InstanceOptions::default()
}

#[test]
fn a_call_that_runs_for_too_long_has_timed_out() -> Result<(), Error> {
    for slice in [Slice::Unbounded, Slice::Time(MS), Slice::Fuel(10_000)] {
        for export in ["forever", "yields"] {
            for &way in Way::ALL {
                let guest = limited(options().running_timeout(5 * MS).slice(slice))?;
                let mut future = guest.call::<(), ()>(export, ())?;
                let end = way.finish(&mut future);
                assert!(
                    matches!(end, Err(Error::TimedOut(ref why)) if why.limit == Timeout::Running),
                    "{end:?}"
                );
                assert!(guest.time_used()? >= 5 * MS);
                assert!(guest.is_poisoned());
                let count = retry_timeouts(|| {
                    guest.reset()?;
                    guest.call::<i32, i32>("count", 10)?.wait()
                });
                assert_eq!(count?, 10);
                assert_eq!(guest.slice(), slice, "a new guest has the limits of the old");
            }
        }
    }
    Ok(())
}

#[test]
fn a_call_that_has_not_ended_in_time_has_timed_out_whatever_it_does() -> Result<(), Error> {
    for export in ["forever", "yields", "waits"] {
        for &way in Way::ALL {
            let guest = limited(options().elapsed_timeout(5 * MS))?;
            let mut future = guest.call::<(), ()>(export, ())?;
            let end = way.finish(&mut future);
            assert!(
                matches!(end, Err(Error::TimedOut(ref why)) if why.limit == Timeout::Elapsed),
                "{export}: {end:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn waiting_does_not_count_as_running() -> Result<(), Error> {
    let event = Event::default();
    let state = {
        let event = event.clone();
        move || Host { event: event.clone(), ..Host::default() }
    };
    let pre = pre_of(&ENGINE, GUEST)?;
    let guest = Instance::with_options(&pre, options().measure_time(true), state)?;
    let mut future = guest.call::<(), ()>("waits", ())?;
    assert_eq!(future.resume()?, Step::Waiting);
    let used = guest.time_used()?;
    assert!(used > Duration::ZERO);
    block_on(RealtimeClock.sleep(2 * MS));
    assert_eq!(future.resume()?, Step::Waiting);
    assert_eq!(guest.time_used()?, used);
    event.set();
    future.wait()?;
    assert!(guest.time_used()? > used);
    Ok(())
}

#[test]
fn a_call_that_is_not_resumed_in_time_ends_at_its_next_step() -> Result<(), Error> {
    let guest = limited(options().elapsed_timeout(MS))?;
    let mut future = guest.call::<(), ()>("nothing", ())?;
    block_on(RealtimeClock.sleep(2 * MS));
    assert_eq!(future.resume()?, Step::Done);
    assert!(
        matches!(future.try_get_result(), Err(Error::TimedOut(ref why)) if why.limit == Timeout::Elapsed)
    );
    assert!(!guest.is_poisoned(), "nothing of the guest has run");
    Ok(())
}

#[test]
fn a_timeout_tells_which_call_of_what_limit_and_whether_it_had_begun() -> Result<(), Error> {
    let timed_out = |end: Result<(), Error>| match end {
        Err(Error::TimedOut(why)) => why,
        other => panic!("{other:?}"),
    };
    let guest = limited(options().running_timeout(5 * MS))?;
    let why = timed_out(guest.call::<(), ()>("forever", ())?.wait());
    assert_eq!((&*why.name, why.limit), (r#"export "forever""#, Timeout::Running));
    assert_eq!((why.after, why.begun), (5 * MS, true));
    assert!(why.ran >= 5 * MS, "{why:?}");
    let message = Error::TimedOut(why).to_string();
    assert!(message.starts_with(r#"export "forever": the guest has run for "#), "{message}");
    assert!(
        message.ends_with("ms, more than its limit of 5ms (`InstanceOptions::running_timeout`)"),
        "{message}"
    );

    let guest = limited(options().elapsed_timeout(500 * MS))?;
    let why = timed_out(guest.call::<(), ()>("waits", ())?.wait());
    assert_eq!((&*why.name, why.limit), (r#"export "waits""#, Timeout::Elapsed));
    assert_eq!((why.after, why.begun), (500 * MS, true));
    assert!(why.ran > Duration::ZERO && why.ran < 500 * MS, "{why:?}");
    let message = why.to_string();
    let expected =
        r#"export "waits": it has not ended within 500ms (`InstanceOptions::elapsed_timeout`)"#;
    assert!(message.starts_with(expected), "{message}");

    // This call times out while it stands in a queue.
    let guest = limited(options().elapsed_timeout(20 * MS))?;
    let queue = Queue::default();
    let mut future = guest.call::<(), ()>("nothing", ())?;
    let _job = queue.submit(future.to_job()?);
    block_on(RealtimeClock.sleep(21 * MS));
    queue.run();
    let why = timed_out(future.wait());
    assert_eq!((why.after, why.ran, why.begun), (20 * MS, Duration::ZERO, false));
    assert_eq!(
        why.to_string(),
        "export \"nothing\": it has not begun within 20ms (`InstanceOptions::elapsed_timeout`): it stood in a queue, or was not \
         resumed"
    );
    assert!(!guest.is_poisoned());
    Ok(())
}

#[test]
fn each_call_has_its_limits_to_itself() -> Result<(), Error> {
    let guest = limited(options().running_timeout(1000 * MS).fuel(150_000))?;
    for _ in 0..20 {
        assert_eq!(guest.call::<i32, i32>("count", 10_000)?.wait()?, 10_000);
    }
    let end = guest.call::<i32, i32>("count", 100_000)?.wait();
    assert!(matches!(end, Err(Error::Trap(trap)) if trap.code() == wasmtime::Trap::OutOfFuel));
    Ok(())
}

#[test]
fn the_fuel_that_is_left_and_the_time_used_are_told_while_a_call_is_suspended() -> Result<(), Error>
{
    let guest = limited(options().fuel(1_000_000).slice(Slice::Fuel(1_000)).measure_time(true))?;
    let mut future = guest.call::<i32, i32>("count", 10_000)?;
    assert_eq!(guest.fuel_remaining()?, 1_000_000);
    assert_eq!(guest.time_used()?, Duration::ZERO);
    let mut time = Duration::ZERO;
    for step in 1..=20 {
        assert_eq!(future.resume()?, Step::Yielded);
        let used = 1_000_000 - guest.fuel_remaining()?;
        // A step ends after the block of instructions that uses up its fuel.
        assert!((1_000 * step..1_000 * step + 100 * step).contains(&used), "{used} after {step}");
        assert!(guest.time_used()? > time);
        time = guest.time_used()?;
    }
    future.wait()?;
    let left = guest.fuel_remaining()?;
    assert_eq!(left, guest.store()?.fuel()?);

    guest.set_slice(Slice::Unbounded)?;
    let mut future = guest.call::<(), ()>("yield_once", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    let left = guest.fuel_remaining()?;
    assert!((999_900..1_000_000).contains(&left), "of this call: {left}");
    Ok(())
}

#[test]
fn what_is_not_measured_is_not_told() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1))?;
    let guest = Instance::new(&pre_of(&engine, GUEST)?, Host::default())?;
    assert!(matches!(guest.fuel_remaining(), Err(Error::Unsupported { .. })));
    assert!(matches!(guest.time_used(), Err(Error::Unsupported { .. })));
    assert!(matches!(guest.reset(), Err(Error::NoStateFactory)));
    guest.reset_with(Host::default())?;
    Ok(())
}

#[test]
fn memory_grows_to_its_limit_and_not_beyond() -> Result<(), Error> {
    let guest = limited(options().memory(10 << 16))?;
    for _ in 0..2 {
        let grow = guest.func::<i32, i32>("grow")?;
        for (pages, before) in [(4, 1), (6, -1), (5, 5), (0, 10), (1, -1), (i32::MAX, -1)] {
            assert_eq!(grow.call(pages)?.wait()?, before, "{pages}");
        }
        guest.reset()?;
    }
    Ok(())
}

#[test]
fn memory_that_the_module_forbids_is_not_counted() -> Result<(), Error> {
    let guest = limited(options().memory(120 << 16))?;
    let grow = guest.func::<i32, i32>("grow")?;
    for _ in 0..3 {
        assert_eq!(grow.call(100)?.wait()?, -1, "the module says 100 in all");
    }
    assert_eq!(grow.call(99)?.wait()?, 1);
    Ok(())
}

#[test]
fn the_host_grows_a_guest_within_the_same_limits() -> Result<(), Error> {
    let guest = limited(options().memory(10 << 16).table_elements(20))?;
    {
        let mut store = guest.store()?;
        let memory = store.memory("memory")?;
        assert!(memory.grow(&mut store, 10).is_err());
        assert_eq!(memory.grow(&mut store, 8)?, 1);
        let table = store.table("table")?;
        assert!(table.grow(&mut store, 11, Ref::Func(None)).is_err());
        assert_eq!(table.grow(&mut store, 10, Ref::Func(None))?, 10);
    }
    assert_eq!(guest.call::<i32, i32>("grow", 2)?.wait()?, -1);
    assert_eq!(guest.call::<i32, i32>("grow", 1)?.wait()?, 9);
    Ok(())
}

#[test]
fn a_table_grows_to_its_limit_and_not_beyond() -> Result<(), Error> {
    let guest = limited(options().table_elements(30))?;
    let grow = guest.func::<i32, i32>("grow_table")?;
    for (elements, before) in [(21, -1), (15, 10), (5, 25), (1, -1)] {
        assert_eq!(grow.call(elements)?.wait()?, before, "{elements}");
    }
    Ok(())
}

#[test]
fn several_memories_share_one_limit() -> Result<(), Error> {
    let engine = wasm_jobs::engine(&options_of_engines().on_demand())?;
    let text = r#"(module (memory 2) (memory 3)
        (func (export "grow") (param i32) (result i32) (memory.grow 1 (local.get 0))))"#;
    let pre = pre_of(&engine, text)?;
    let guest = Instance::with_options(&pre, options().memory(6 << 16), Host::default)?;
    assert_eq!(guest.call::<i32, i32>("grow", 2)?.wait()?, -1);
    assert_eq!(guest.call::<i32, i32>("grow", 1)?.wait()?, 3);
    let too_small = Instance::with_options(&pre, options().memory(4 << 16), Host::default);
    assert!(matches!(too_small, Err(Error::Wasmtime(_))), "{too_small:?}");
    let mut store = guest.store()?;
    assert!(Memory::new(&mut store, MemoryType::new(1, None)).is_err(), "one more of the host's");
    Ok(())
}

#[test]
fn guests_on_many_threads_keep_to_their_own_limits() -> Result<(), Error> {
    let pre = pre_of(&ENGINE, GUEST)?;
    let guests = (1..=20)
        .map(|pages| Instance::with_options(&pre, options().memory(pages << 16), Host::default));
    let guests = guests.collect::<Result<Vec<_>, _>>()?;
    for step in 1..=20 {
        let call = |guest: &Instance<Host>| guest.call::<i32, i32>("grow", 1);
        let mut futures = guests.iter().map(call).collect::<Result<Vec<_>, _>>()?;
        for future in &mut futures {
            a_thread_each.submit(future.to_job()?).wait();
        }
        for (mut future, pages) in futures.into_iter().zip(1..) {
            let expected = if step < pages { step } else { -1 };
            assert_eq!(future.wait()?, expected, "step {step}, {pages} pages");
        }
    }
    Ok(())
}

#[test]
fn an_endless_start_function_times_out() -> Result<(), Error> {
    let text = r#"(module (func $start (loop $again (br $again))) (start $start))"#;
    let pre = pre_of(&ENGINE, text)?;
    for (options, expected) in [
        (options().running_timeout(5 * MS), Timeout::Running),
        (options().elapsed_timeout(5 * MS), Timeout::Elapsed),
    ] {
        let made = Instance::with_options(&pre, options, Host::default);
        assert!(
            matches!(&made, Err(Error::TimedOut(why)) if why.limit == expected && why.begun),
            "{made:?}"
        );
    }
    let made = Instance::with_options(&pre, options().fuel(10_000), Host::default);
    assert!(matches!(made, Err(Error::Trap(trap)) if trap.code() == wasmtime::Trap::OutOfFuel));
    Ok(())
}

#[test]
fn a_trap_is_an_error_or_a_value_as_the_caller_likes() -> Result<(), Error> {
    let guest = limited(options().running_timeout(5 * MS))?;
    let end = retry_timeouts(|| {
        guest.reset()?;
        guest.try_call::<i32, ()>("deep", 0)?.wait()
    });
    let trap = end?.expect_err("the guest reaches unreachable code");
    assert_eq!(trap.code(), wasmtime::Trap::UnreachableCodeReached);
    assert!(guest.is_poisoned());
    assert!(matches!(guest.try_call::<i32, ()>("deep", 0), Err(Error::Poisoned)));
    let counted = retry_timeouts(|| {
        guest.reset()?;
        guest.func::<i32, i32>("count")?.try_call(10)?.wait()
    });
    assert_eq!(counted?.ok(), Some(10));
    let end = guest.try_call::<(), ()>("forever", ())?.wait();
    assert!(matches!(end, Err(Error::TimedOut(_))), "what is no trap is an error: {end:?}");
    Ok(())
}

#[test]
fn a_trap_has_a_backtrace_if_the_engine_collects_them() -> Result<(), Error> {
    for collects in [true, false] {
        let engine = wasm_jobs::engine(&options_of_engines().pooling(1).backtraces(collects))?;
        let guest = Instance::new(&pre_of(&engine, GUEST)?, Host::default())?;
        let trap = guest
            .try_call::<i32, ()>("deep", 0)?
            .wait()?
            .expect_err("the guest reaches unreachable code");
        let frames = trap.backtrace().map_or(0, |backtrace| backtrace.frames().len());
        assert_eq!(frames, usize::from(collects));
        assert_eq!(trap.code(), wasmtime::Trap::UnreachableCodeReached);
    }
    Ok(())
}

#[test]
fn a_guest_that_is_declared_fit_has_its_stack_pointer_back() -> Result<(), Error> {
    let guest = limited(options())?;
    for waits in [0, 1] {
        let mut future = guest.call::<i32, ()>("deep", waits)?;
        let _ = future.resume()?;
        drop(future);
        let mut store = guest.store()?;
        let stack = store.global("__stack_pointer")?.get(&mut store);
        assert!(matches!(stack, Val::I32(4032)), "{stack:?}");
        drop(store);
        guest.clear_poison()?;
        assert_eq!(guest.call::<(), i32>("stack", ())?.wait()?, 4096);
    }
    Ok(())
}

#[test]
fn the_handle_of_a_job_cancels_it_in_whichever_state_it_is() -> Result<(), Error> {
    let guest = limited(options())?;
    for export in ["forever", "yields", "waits"] {
        let mut future = guest.call::<(), ()>(export, ())?;
        let job = a_thread_each.submit(future.to_job()?);
        job.cancel();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        job.wait();
        job.cancel();
        guest.reset()?;
    }

    let queue = Queue::default();
    let mut future = guest.call::<(), ()>("nothing", ())?;
    let queued = queue.submit(future.to_job()?);
    queued.clone().cancel();
    assert!(queued.is_complete());
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    queue.run();
    assert!(!guest.is_poisoned(), "the call had not begun");
    Ok(())
}

#[test]
fn the_fuel_that_is_left_is_told_before_the_first_step_and_beside_a_guard() -> Result<(), Error> {
    let guest = limited(options())?;
    guest.store()?.set_fuel(5_000)?;
    let mut future = guest.call::<i32, i32>("count", 10)?;
    assert_eq!(guest.fuel_remaining()?, 5_000);
    future.wait()?;
    let left = guest.fuel_remaining()?;
    assert!((4_800..5_000).contains(&left), "{left}");
    let mut store = guest.store()?;
    assert_eq!(guest.fuel_remaining()?, left);
    store.set_fuel(123)?;
    assert_eq!(guest.fuel_remaining()?, 123);
    Ok(())
}

#[test]
fn an_engine_that_counts_fuel_leaves_a_store_to_its_owner_between_calls() -> Result<(), Error> {
    let text = r#"(module (func (export "one") (result i32) (i32.const 1)))"#;
    let guest =
        Instance::new(&link(&wasmtime::Linker::new(&ENGINE), &compile(&ENGINE, text)?)?, ())?;
    for _ in 0..2 {
        assert_eq!(guest.call::<(), i32>("one", ())?.wait()?, 1);
        let mut store = guest.store()?;
        let one = store.instance()?.get_typed_func::<(), i32>(&mut store, "one")?;
        assert_eq!(one.call(&mut store, ())?, 1, "the call did not become asynchronous");
    }
    Ok(())
}

#[test]
fn the_time_of_a_call_is_none_of_what_its_owner_does_afterwards() -> Result<(), Error> {
    let guest = retry_timeouts(|| {
        let guest = limited(options().elapsed_timeout(20 * MS).running_timeout(20 * MS))?;
        guest.call::<(), ()>("nothing", ())?.wait()?;
        Ok(guest)
    })?;
    block_on(RealtimeClock.sleep(40 * MS));
    ask_to_yield(&ENGINE);
    let mut store = guest.store()?;
    let count = store.instance()?.get_typed_func::<i32, i32>(&mut store, "count")?;
    assert_eq!(block_on(count.call_async(&mut store, 1_000))?, 1_000);
    Ok(())
}

#[test]
fn a_call_is_late_even_if_it_ends_right_after_the_host_function_that_took_the_time()
-> Result<(), Error> {
    let text = r#"(module
        (import "host" "takes_time" (func $takes_time))
        (func (export "run") (call $takes_time)))"#;
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("host", "takes_time", || block_on(RealtimeClock.sleep(60 * MS)))?;
    let pre = link(&linker, &compile(&ENGINE, text)?)?;
    for (options, expected) in [
        (options().running_timeout(10 * MS), Timeout::Running),
        (options().elapsed_timeout(10 * MS), Timeout::Elapsed),
    ] {
        let guest =
            retry_timeouts(|| Instance::with_options(&pre, options.clone(), Host::default))?;
        let end = guest.call::<(), ()>("run", ())?.wait();
        assert!(
            matches!(end, Err(Error::TimedOut(ref timed_out)) if timed_out.limit == expected),
            "{end:?}"
        );
        // On a slow machine, the call may time out before it has begun. Then its instance is not poisoned.
        guest.clear_poison()?;
        let end = guest
            .start(|mut store, instance| {
                Box::pin(async move {
                    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
                    run.call_async(&mut store, ()).await
                })
            })?
            .wait();
        assert!(
            matches!(end, Err(Error::TimedOut(ref timed_out)) if timed_out.limit == expected),
            "{end:?}"
        );
    }
    let guest = Instance::with_options(&pre, options().measure_time(true), Host::default)?;
    guest.call::<(), ()>("run", ())?.wait()?;
    assert!(guest.time_used()? >= 60 * MS, "measuring is no limit");
    Ok(())
}

#[test]
fn a_host_panic_takes_no_nesting_from_synchronous_calls() -> Result<(), Error> {
    let text = r#"(module
        (import "host" "panics" (func $panics))
        (func (export "panics") (call $panics))
        (func (export "one") (result i32) (i32.const 1)))"#;
    let engine = wasm_jobs::engine(&options_of_engines().pooling(1))?;
    let mut linker = wasmtime::Linker::<()>::new(&engine);
    linker.func_wrap("host", "panics", || -> () { panic!("a host function that panics") })?;
    let pre = link(&linker, &compile(&engine, text)?)?;
    let guest = Instance::with_options(&pre, options().nesting(1), || ())?;
    let end = guest.call::<(), ()>("panics", ())?.wait();
    assert!(matches!(end, Err(Error::Panic(_))), "{end:?}");
    guest.clear_poison()?;

    let mut store = guest.store()?;
    let one = store.instance()?.get_typed_func::<(), i32>(&mut store, "one")?;
    let (context, _) = store.parts()?;
    assert_eq!(one.call(context, ())?, 1);
    Ok(())
}
