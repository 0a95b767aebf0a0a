//! Components of WASI 0.3, whose functions are async in the guest.

use super::components::{by_hand, on, tick};
use super::{MONOTONIC_START, args, captured, files, printed};
use crate::support::{Flag, Way, block_on, ok, retry_timeouts, workers};
use futures_util::future::join;
use std::fs;
use std::iter;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant as RealInstant};
use wasm_jobs::wasi::{self, Command, CommandPre, FsPerms, WasiCtx};
use wasm_jobs::wasmtime::component::{Accessor, Component, HasSelf, Linker};
use wasm_jobs::wasmtime::{self, Engine, InstancePre, Module, Trap};
use wasm_jobs::{
    Clock, EngineOptions, Error, Future, Instance, InstanceOptions, InstancePool, IntoSend as _,
    JobHandle, JobPool, ManualClock, Slice, Step, engine,
};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    engine(&EngineOptions::default().pooling(1_000).component_async(true)).expect("an engine")
});

fn component(engine: &Engine, code: &str) -> Result<Component, Error> {
    let wat = include_str!("preview3.wat").replace(";; CODE", code);
    Ok(Component::new(engine, wat::parse_str(wat).expect("the text is correct"))?)
}

/// A program of WASI 0.3 whose `run` is this code.
fn program(code: &str) -> Result<CommandPre<WasiCtx>, Error> {
    program_of(&ENGINE, code)
}

fn program_of(engine: &Engine, code: &str) -> Result<CommandPre<WasiCtx>, Error> {
    let mut linker = Linker::<WasiCtx>::new(engine);
    wasi::p3::add_to_linker(&mut linker)?;
    CommandPre::new(linker.instantiate_pre(&component(engine, code)?)?)
}

/// The call of a new program whose `run` is this code.
fn started(code: &str, clock: &ManualClock) -> Result<Future<()>, Error> {
    Command::new(&program(code)?, args(["program"]).clock(clock.clone()).build()?)?.run()
}

/// A program whose `wait-for` runs this future.
fn waits_by<F>(
    code: &str,
    wait: impl Fn() -> F + Send + Sync + 'static,
) -> Result<CommandPre<WasiCtx>, Error>
where
    F: std::future::Future<Output = wasmtime::Result<()>> + Send + 'static,
{
    let mut linker = Linker::<WasiCtx>::new(&ENGINE);
    wasi::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.3.0")?;
    clock.func_wrap_concurrent("wait-for", move |_, (_,): (u64,)| Box::pin(wait()))?;
    CommandPre::new(linker.instantiate_pre(&component(&ENGINE, code)?)?)
}

const WAITS_ONCE: &str = "(call $wait-for (i64.const 0)) (i32.const 0)";
const WAITS_FOR_EVER: &str =
    "(loop $again (call $wait-for (i64.const 0)) (br $again)) (i32.const 0)";

const SLEEPS_FOR_A_MINUTE: &str = "(call $wait-for (i64.const 60000000000)) (i32.const 0)";
const LOOPS: &str = "(loop $forever (br $forever)) (i32.const 0)";

/// Two waits at once, of 20 and 30 milliseconds; it ends after the second. It fails if the shorter one does not end first.
const WAITS_FOR_TWO: &str = "
    (local.set $set (call $new-set))
    (local.set $task (i32.shr_u (call $begin-wait-for (i64.const 30000000)) (i32.const 4)))
    (call $join (local.get $task) (local.get $set))
    (local.set $n (i32.shr_u (call $begin-wait-for (i64.const 20000000)) (i32.const 4)))
    (call $join (local.get $n) (local.get $set))
    (drop (call $wait (local.get $set) (i32.const 0)))
    (if (i32.ne (i32.load (i32.const 0)) (local.get $n)) (then (return (i32.const 1))))
    (call $drop-task (local.get $n))
    (drop (call $wait (local.get $set) (i32.const 0)))
    (if (i32.ne (i32.load (i32.const 0)) (local.get $task)) (then (return (i32.const 1))))
    (call $drop-task (local.get $task))
    (i32.const 0)";

/// The same, but it does not look which of the two ends first: by real time on a busy machine, that may be either.
const WAITS_FOR_TWO_IN_ANY_ORDER: &str = "
    (local.set $set (call $new-set))
    (call $join (i32.shr_u (call $begin-wait-for (i64.const 30000000)) (i32.const 4)) (local.get $set))
    (call $join (i32.shr_u (call $begin-wait-for (i64.const 20000000)) (i32.const 4)) (local.get $set))
    (drop (call $wait (local.get $set) (i32.const 0)))
    (call $drop-task (i32.load (i32.const 0)))
    (drop (call $wait (local.get $set) (i32.const 0)))
    (call $drop-task (i32.load (i32.const 0)))
    (i32.const 0)";

#[test]
fn a_program_that_sleeps_waits_and_is_woken_by_a_tick() -> Result<(), Error> {
    let clock = ManualClock::new();
    let mut run = started(SLEEPS_FOR_A_MINUTE, &clock)?;
    for _ in 0..3 {
        assert_eq!(run.resume()?, Step::Waiting);
    }
    assert_eq!((clock.sleepers(), clock.next_deadline()), (1, Some(Duration::from_secs(60))));
    clock.tick(Duration::from_secs(60));
    assert_eq!(run.resume()?, Step::Done);
    assert_eq!(run.try_get_result()?, Some(()));
    Ok(())
}

#[cfg(feature = "checkpoint")]
#[test]
fn a_restored_program_sleeps_by_its_own_time() -> Result<(), Error> {
    use wasm_jobs::HostState as _;

    let clock = ManualClock::new();
    let new = |code| Command::new(&program(code)?, args(["program"]).clock(clock.clone()).build()?);
    let saved = new(SLEEPS_FOR_A_MINUTE)?.store()?.data_mut().save()?;
    clock.tick(Duration::from_secs(7));
    // The guest's time begins at one second.
    let until_a_minute = "(call $wait-until (i64.const 61000000000))
        (i64.ne (call $now) (i64.const 61000000000))";
    for code in [SLEEPS_FOR_A_MINUTE, until_a_minute] {
        let guest = new(code)?;
        guest.store()?.data_mut().restore(&saved)?;
        let mut run = guest.run()?;
        let before = clock.now();
        assert_eq!(run.resume()?, Step::Waiting);
        assert_eq!(clock.next_deadline(), Some(before + Duration::from_secs(60)));
        clock.tick(Duration::from_secs(60));
        run.wait()?;
    }
    Ok(())
}

#[test]
fn two_tasks_of_one_guest_wait_at_once() -> Result<(), Error> {
    let clock = ManualClock::new();
    let mut run = started(WAITS_FOR_TWO, &clock)?;
    assert_eq!(run.resume()?, Step::Waiting);
    assert_eq!((clock.sleepers(), clock.next_deadline()), (2, Some(Duration::from_millis(20))));
    clock.tick(Duration::from_millis(20));
    assert_eq!(run.resume()?, Step::Waiting);
    assert_eq!((clock.sleepers(), clock.next_deadline()), (1, Some(Duration::from_millis(30))));
    clock.tick(Duration::from_millis(10));
    assert_eq!(run.resume()?, Step::Done);
    assert_eq!(run.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn each_yield_of_the_guest_ends_a_step() -> Result<(), Error> {
    for code in [
        "(drop (call $yield)) (drop (call $yield)) (drop (call $yield)) (i32.const 0)",
        "(call $wait-for (i64.const 0)) (call $wait-until (i64.const 5)) (drop (call $yield)) (i32.const 0)",
    ] {
        let mut run = started(code, &ManualClock::new())?;
        for _ in 0..3 {
            assert_eq!(run.resume()?, Step::Yielded, "{code}");
        }
        assert_eq!(run.resume()?, Step::Done, "{code}");
        assert_eq!(run.try_get_result()?, Some(()));
    }
    Ok(())
}

#[test]
fn a_task_yields_while_another_waits() -> Result<(), Error> {
    let clock = ManualClock::new();
    let code = "
        (local.set $task (call $begin-wait-for (i64.const 1000)))
        (drop (call $yield)) (drop (call $yield)) (drop (call $yield)) (i32.const 0)";
    let ctx = args(["yields"]).clock(clock.clone()).build()?;
    let yields = Command::new(&program(code)?, ctx)?;
    let mut run = yields.run()?;
    for _ in 0..3 {
        assert_eq!(run.resume()?, Step::Yielded);
        assert_eq!(clock.sleepers(), 1);
    }
    assert_eq!(run.resume()?, Step::Done);
    assert_eq!(run.try_get_result()?, Some(()));
    drop(yields);
    assert_eq!(clock.sleepers(), 0, "the task ends with its store");
    Ok(())
}

#[test]
fn a_guest_reads_its_own_clock() -> Result<(), Error> {
    let clock = ManualClock::new();
    clock.tick(Duration::from_millis(250));
    let now = MONOTONIC_START + Duration::from_millis(250);
    let code = format!("(i64.ne (call $now) (i64.const {}))", now.as_nanos());
    started(&code, &clock)?.wait()
}

#[test]
fn exits_are_results_and_errors() -> Result<(), Error> {
    for (code, succeeds) in [
        ("(i32.const 0)", true),
        ("(i32.const 1)", false),
        ("(call $exit (i32.const 0)) (i32.const 1)", true),
        ("(call $exit (i32.const 1)) (i32.const 0)", false),
        ("(drop (call $yield)) (call $exit (i32.const 1)) (i32.const 0)", false),
    ] {
        for &way in Way::ALL {
            let ends = Command::new(&program(code)?, args(["ends"]).build()?)?;
            match way.finish(&mut ends.run()?) {
                Ok(()) => assert!(succeeds, "{way:?}: {code}"),
                Err(Error::Exit(1)) => assert!(!succeeds, "{way:?}: {code}"),
                Err(other) => panic!("{way:?}: {code}: {other:?}"),
            }
        }
    }
    Ok(())
}

#[test]
fn a_program_waits_by_real_time_in_every_way() -> Result<(), Error> {
    let pre = program(WAITS_FOR_TWO_IN_ANY_ORDER)?;
    for &way in Way::ALL {
        let began = RealInstant::now();
        way.finish(&mut Command::new(&pre, args(["two"]).build()?)?.run()?)?;
        assert!(began.elapsed() >= Duration::from_millis(30), "{way:?}");
    }
    Ok(())
}

#[test]
fn many_programs_share_a_clock_on_many_workers() -> Result<(), Error> {
    let pre = program(WAITS_FOR_TWO)?;
    for count in iter::repeat_n([1, 2, 8], 3).flatten() {
        let clock = ManualClock::new();
        let mut runs = (0..50)
            .map(|_| Command::new(&pre, args(["two"]).clock(clock.clone()).build()?)?.run())
            .collect::<Result<Vec<Future<()>>, Error>>()?;
        let pool = workers(count);
        let jobs = runs.iter_mut().map(|run| Ok(pool.submit(run.to_job()?)));
        let jobs = JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?);
        let mut ticks = Vec::new();
        while !jobs.is_complete() {
            jobs.wait_until_idle();
            if let Some(next) = clock.next_deadline() {
                ticks.push((clock.sleepers(), next.as_millis()));
                clock.tick(next - clock.now());
            }
        }
        assert_eq!(ticks, [(100, 20), (50, 30)]);
        for mut run in runs {
            assert_eq!(run.try_get_result()?, Some(()));
        }
    }
    Ok(())
}

#[test]
fn a_call_that_waits_is_cancelled_and_all_its_tasks_with_it() -> Result<(), Error> {
    let pre = program(WAITS_FOR_TWO)?;
    let clock = ManualClock::new();
    let make = {
        let clock = clock.clone();
        move || args(["two"]).clock(clock.clone()).build().expect("nothing is opened")
    };
    let two = Command::with_options(&pre, InstanceOptions::default(), make)?;
    for is_dropped in [false, true] {
        let mut run = two.run()?;
        assert_eq!(run.resume()?, Step::Waiting);
        assert_eq!(clock.sleepers(), 2);
        if is_dropped {
            drop(run);
        } else {
            run.cancel();
            assert!(matches!(run.wait(), Err(Error::Cancelled)));
        }
        assert!(two.is_poisoned());
        assert!(matches!(two.run(), Err(Error::Poisoned)));
        two.reset()?;
        assert_eq!(clock.sleepers(), 0);
    }
    let mut run = two.run()?;
    assert_eq!(run.resume()?, Step::Waiting);
    clock.tick(Duration::from_millis(30));
    assert_eq!(run.resume()?, Step::Done);
    Ok(())
}

#[test]
fn a_trap_in_a_fiber_is_the_error_of_the_call() -> Result<(), Error> {
    for (code, trap) in [
        ("unreachable", Trap::UnreachableCodeReached),
        ("(drop (call $yield)) unreachable", Trap::UnreachableCodeReached),
        ("(call $wait-for (i64.const 1000)) unreachable", Trap::UnreachableCodeReached),
        ("(call $recurse) (i32.const 0)", Trap::StackOverflow),
        ("(drop (call $yield)) (call $recurse) (i32.const 0)", Trap::StackOverflow),
    ] {
        for &way in Way::ALL {
            let traps = Command::new(&program(code)?, args(["traps"]).build()?)?;
            match way.finish(&mut traps.run()?) {
                Err(Error::Trap(error)) => assert_eq!(error.code(), trap, "{way:?}: {code}"),
                other => panic!("{way:?}: {code}: {other:?}"),
            }
            assert!(traps.is_poisoned());
        }
    }
    Ok(())
}

#[test]
fn a_guest_that_loops_is_stopped_by_each_limit_in_time() -> Result<(), Error> {
    let make = || args(["loops"]).build().expect("nothing is opened");
    for code in [LOOPS, &format!("(drop (call $yield)) {LOOPS}")] {
        let pre = program(code)?;
        let slices = InstanceOptions::default().slice(Slice::Time(Duration::from_millis(1)));
        for options in [
            slices.clone().elapsed_timeout(Duration::from_millis(20)),
            InstanceOptions::default().begun_timeout(Duration::from_millis(20)),
        ] {
            for &way in Way::ALL {
                let loops = retry_timeouts(|| Command::with_options(&pre, options.clone(), make))?;
                let ended = way.finish(&mut loops.run()?);
                assert!(matches!(ended, Err(Error::TimedOut(_))), "{way:?}: {ended:?}");
            }
        }
        let loops = Command::with_options(&pre, slices, make)?;
        let mut run = loops.run()?;
        for _ in 0..5 {
            assert_eq!(run.resume()?, Step::Yielded);
        }
        run.cancel();
        assert!(matches!(run.wait(), Err(Error::Cancelled)));
    }
    Ok(())
}

#[test]
fn a_guest_that_loops_on_a_worker_is_cancelled() -> Result<(), Error> {
    for code in [LOOPS, &format!("(drop (call $yield)) {LOOPS}")] {
        let begun = Flag::default();
        let pre = {
            let begun = begun.clone();
            waits_by(&format!("(call $wait-for (i64.const 0)) {code}"), move || {
                begun.set();
                async { Ok(()) }
            })?
        };
        let mut run = Command::new(&pre, args(["loops"]).build()?)?.run()?;
        let job = workers(1).submit(run.to_job()?);
        while !begun.is_set() {
            thread::yield_now();
        }
        run.cancel();
        job.wait();
        assert!(matches!(run.try_get_result(), Err(Error::Cancelled)));
    }
    Ok(())
}

#[test]
fn fuel_is_counted_in_fibers() -> Result<(), Error> {
    let options = EngineOptions::default().pooling(20).component_async(true).fuel(true);
    let engine = engine(&options)?;
    let make = || args(["loops"]).build().expect("nothing is opened");
    for code in [LOOPS, &format!("(drop (call $yield)) {LOOPS}")] {
        let pre = program_of(&engine, code)?;
        let limited = InstanceOptions::default().fuel(100_000);
        let loops = Command::with_options(&pre, limited, make)?;
        match loops.run()?.wait() {
            Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::OutOfFuel),
            other => panic!("{other:?}"),
        }
        let sliced = InstanceOptions::default().slice(Slice::Fuel(10_000));
        let loops = Command::with_options(&pre, sliced, make)?;
        let mut run = loops.run()?;
        for _ in 0..5 {
            assert_eq!(run.resume()?, Step::Yielded);
        }
    }
    Ok(())
}

#[test]
fn memory_is_limited_in_fibers() -> Result<(), Error> {
    let make = || args(["grows"]).build().expect("nothing is opened");
    // It succeeds if its memory grows by 100 pages.
    let grows = "(drop (call $yield)) (i32.eq (memory.grow (i32.const 100)) (i32.const -1))";
    let pre = program(grows)?;
    for (pages, succeeds) in [(100, false), (101, true)] {
        let options = InstanceOptions::default().memory(pages * 65_536);
        let ended = Command::with_options(&pre, options, make)?.run()?.wait();
        assert_eq!(ended.is_ok(), succeeds, "{pages} pages: {ended:?}");
    }
    Ok(())
}

#[test]
fn a_limit_of_nesting_does_not_count_the_tasks_of_a_guest() -> Result<(), Error> {
    let clock = ManualClock::new();
    let options = InstanceOptions::default().nesting(1);
    let tasks = tasks_with(options, &clock)?;
    for n in 1..3 {
        let mut naps = tasks.start_concurrent(move |store, tasks| {
            Box::pin(async move {
                let (one, two) = join(tasks.call_nap(store, n), tasks.call_sum(store, n)).await;
                Ok((one?, two?))
            })
        })?;
        while naps.resume()? != Step::Done {
            tick(&clock);
        }
        assert_eq!(naps.try_get_result()?, Some((n, n * (n + 1) / 2)));
    }
    Ok(())
}

#[test]
fn a_guest_yields_before_its_host_calls_in_each_task() -> Result<(), Error> {
    let clock = ManualClock::new();
    let options = InstanceOptions::default().yield_before_host_calls(true);
    let make = {
        let clock = clock.clone();
        move || args(["two"]).clock(clock.clone()).build().expect("nothing is opened")
    };
    let two = Command::with_options(&program(WAITS_FOR_TWO)?, options, make)?;
    let mut run = two.run()?;
    let mut yields = 0;
    loop {
        match run.resume()? {
            Step::Yielded => yields += 1,
            Step::Waiting => tick(&clock),
            Step::Done => break,
        }
    }
    assert_eq!(run.try_get_result()?, Some(()));
    assert!(yields >= 2, "it calls `wait-for` twice: {yields}");
    Ok(())
}

#[test]
fn an_engine_without_async_components_refuses_one() -> Result<(), Error> {
    let plain = engine(&EngineOptions::default().pooling(2))?;
    let error = component(&plain, "(i32.const 0)").expect_err("it has async functions");
    assert!(format!("{error:?}").contains("async"), "{error:?}");
    Ok(())
}

/// What a host function does that finishes another guest's call on the same thread.
fn finish_another(pre: &CommandPre<WasiCtx>, finished: &AtomicU32) -> wasmtime::Result<()> {
    Command::new(pre, args(["inner"]).build()?)?.run()?.wait()?;
    finished.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[test]
fn a_host_function_waits_for_another_guest_on_its_thread() -> Result<(), Error> {
    let inner = program(WAITS_FOR_TWO_IN_ANY_ORDER)?;
    let outer = "
        (call $exit (i32.const 0)) (drop (call $yield)) (call $exit (i32.const 0)) (i32.const 0)";
    let outer = component(&ENGINE, outer)?;
    let finished = Arc::new(AtomicU32::new(0));
    for is_async in [false, true] {
        let mut linker = Linker::<WasiCtx>::new(&ENGINE);
        wasi::p3::add_to_linker(&mut linker)?;
        linker.allow_shadowing(true);
        let mut exit = linker.instance("wasi:cli/exit@0.3.0")?;
        let (pre, count) = (inner.clone(), finished.clone());
        if is_async {
            exit.func_wrap_async("exit", move |_, (_,): (Result<(), ()>,)| {
                let (pre, count) = (pre.clone(), count.clone());
                Box::new(async move { finish_another(&pre, &count) })
            })?;
        } else {
            exit.func_wrap("exit", move |_, (_,): (Result<(), ()>,)| finish_another(&pre, &count))?;
        }
        let pre = CommandPre::new(linker.instantiate_pre(&outer)?)?;
        for &way in Way::ALL {
            finished.store(0, Ordering::Relaxed);
            way.finish(&mut Command::new(&pre, args(["outer"]).build()?)?.run()?)?;
            assert_eq!(finished.load(Ordering::Relaxed), 2, "{way:?}, async: {is_async}");
        }
    }
    Ok(())
}

/// A program whose `wait-for` finishes a call of the guest `inner`, by awaiting or by blocking.
fn waits_by_another(
    inner: &CommandPre<WasiCtx>,
    blocks: bool,
) -> Result<CommandPre<WasiCtx>, Error> {
    let inner = inner.clone();
    waits_by(WAITS_ONCE, move || {
        let inner = inner.clone();
        async move {
            let mut run = Command::new(&inner, args(["inner"]).build()?)?.run().into_send()?;
            if blocks {
                run.wait()?
            } else {
                run.await?
            }
            Ok(())
        }
    })
}

#[test]
fn a_concurrent_host_function_runs_another_guest_on_its_thread() -> Result<(), Error> {
    let inner = program(WAITS_FOR_TWO_IN_ANY_ORDER)?;
    let fails = program("(call $wait-for (i64.const 1000000)) (i32.const 1)")?;
    for blocks in [false, true] {
        for &way in Way::ALL {
            let began = RealInstant::now();
            let outer = Command::new(&waits_by_another(&inner, blocks)?, args(["outer"]).build()?)?;
            way.finish(&mut outer.run()?)?;
            assert!(began.elapsed() >= Duration::from_millis(30), "{way:?}");

            let outer = Command::new(&waits_by_another(&fails, blocks)?, args(["outer"]).build()?)?;
            let error = way.finish(&mut outer.run()?).expect_err("the inner program fails");
            assert!(format!("{error:?}").contains("exited with code 1"), "{way:?}: {error:?}");
        }
    }
    Ok(())
}

#[test]
fn a_guest_inside_another_is_stopped_at_its_own_limits() -> Result<(), Error> {
    let loops = program(LOOPS)?;
    let make = || args(["inner"]).build().expect("nothing is opened");
    let pre = waits_by(WAITS_ONCE, move || {
        let loops = loops.clone();
        async move {
            let options = InstanceOptions::default().begun_timeout(Duration::from_millis(500));
            let loops = Command::with_options(&loops, options, make)?;
            let ended = loops.run().into_send()?.await;
            assert!(matches!(ended, Err(Error::TimedOut(_))), "{ended:?}");
            Ok(())
        }
    })?;
    for &way in Way::ALL {
        way.finish(&mut Command::new(&pre, args(["outer"]).build()?)?.run()?)?;
    }
    Ok(())
}

/// WASI 0.2 keeps its promises on an engine for async components.
#[test]
fn a_component_of_wasi_0_2_yields_and_waits_as_ever() -> Result<(), Error> {
    let mut linker = Linker::<WasiCtx>::new(&ENGINE);
    wasi::add_to_component_linker(&mut linker)?;
    wasi::p3::add_to_linker(&mut linker)?;
    let nap = Component::from_file(&ENGINE, "guests/wasi2/nap.wasm")?;
    let nap = CommandPre::new(linker.instantiate_pre(&nap)?)?;
    let clock = ManualClock::new();
    for (milliseconds, step) in [("0", Step::Yielded), ("20", Step::Waiting)] {
        let ctx = args(["nap", milliseconds]).clock(clock.clone()).build()?;
        let mut run = Command::new(&nap, ctx)?.run()?;
        assert_eq!(run.resume()?, step);
        clock.tick(Duration::from_millis(20));
        assert_eq!(run.resume()?, Step::Done);
        assert_eq!(run.try_get_result()?, Some(()));
    }
    Ok(())
}

/// The guest `errand`, which waits for 10 and for 30 milliseconds and then copies a file to its output, if it is given one.
fn errand() -> Result<CommandPre<WasiCtx>, Error> {
    static ERRAND: LazyLock<Component> = LazyLock::new(|| {
        Component::from_file(&ENGINE, "guests/wasi3/errand.wasm").expect("it is in the repository")
    });
    let mut linker = Linker::<WasiCtx>::new(&ENGINE);
    wasi::p3::add_to_linker(&mut linker)?;
    CommandPre::new(linker.instantiate_pre(&ERRAND)?)
}

const ERRAND_PRINTS: &str = "waiting\nwaited for 10 ms\nwaited for 30 ms\n";

#[test]
fn a_program_in_c_prints_what_it_should_by_hand_and_on_many_workers() -> Result<(), Error> {
    let errand = errand()?;
    for count in iter::repeat_n([0, 1, 2, 8], 3).flatten() {
        let clock = ManualClock::new();
        let start = |_| {
            let stdout = captured();
            let ctx = args(["errand"]).clock(clock.clone()).stdout(stdout.clone()).build()?;
            Ok((Command::new(&errand, ctx)?.run()?, stdout))
        };
        let runs = (0..20).map(start).collect::<Result<Vec<_>, Error>>()?;
        let outcomes = match count {
            0 => by_hand(&clock, runs)?,
            count => on(workers(count), &clock, runs)?,
        };
        assert_eq!(clock.now(), Duration::from_millis(30));
        assert_eq!(outcomes, vec![("Ok(Some(()))".to_owned(), ERRAND_PRINTS.to_owned()); 20]);
    }
    Ok(())
}

#[test]
fn a_file_is_read_in_every_way_inside_and_outside_tokio_and_only_where_it_may_be()
-> Result<(), Error> {
    let errand = errand()?;
    let path = files::directory("a_file_is_read_by_a_component_of_wasi_0_3");
    let content: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    fs::write(path.join("file"), &content).unwrap();
    let started = |file: &'static str| -> Result<_, Error> {
        let stdout = captured();
        let ctx = args(["errand", file])
            .preopened_dir(&path, "/dir", FsPerms::ReadOnly)
            .stdout(stdout.clone());
        Ok((Command::new(&errand, ctx.build()?)?.run()?, stdout))
    };
    for &way in Way::ALL {
        let (mut run, stdout) = started("file")?;
        way.finish(&mut run)?;
        assert!(printed(&stdout) == format!("{ERRAND_PRINTS}{content}"), "{way:?}");
    }
    for runtime in [
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap(),
        tokio::runtime::Builder::new_current_thread().build().unwrap(),
    ] {
        let (mut run, stdout) = started("file")?;
        runtime.block_on(&mut run)?;
        assert!(printed(&stdout) == format!("{ERRAND_PRINTS}{content}"));
    }
    for file in ["missing", "../it.rs", "/etc/passwd"] {
        let (mut run, stdout) = started(file)?;
        assert!(matches!(run.wait(), Err(Error::Exit(1))));
        assert_eq!(printed(&stdout), format!("{ERRAND_PRINTS}there is no such file\n"), "{file}");
    }
    Ok(())
}

wasmtime::component::bindgen!({
    inline: "
        package test:tasks;
        world tasks {
            import wait: async func(n: u32);
            export sum: async func(n: u32) -> u32;
            export nap: async func(n: u32) -> u32;
            export trap: async func();
        }",
    wasmtime_crate: wasm_jobs::wasmtime,
    imports: { default: async | store },
    exports: { default: async | store },
});

/// `sum` adds up the numbers from `n` down, waiting for each on a stack of its own. `nap` waits for `n` and returns it, without a stack.
const TASKS: &str = r#"(component
    (import "wait" (func $wait async (param "n" u32)))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (core func $begin-wait (canon lower (func $wait) async (memory $memory "memory")))
    (core func $wait (canon lower (func $wait)))
    (core func $new-set (canon waitable-set.new))
    (core func $join (canon waitable.join))
    (core func $get (canon context.get i32 0))
    (core func $set (canon context.set i32 0))
    (core func $return (canon task.return (result u32)))
    (core module $m
        (import "host" "wait" (func $wait (param i32)))
        (import "host" "begin-wait" (func $begin-wait (param i32) (result i32)))
        (import "host" "new-set" (func $new-set (result i32)))
        (import "host" "join" (func $join (param i32 i32)))
        (import "host" "get" (func $get (result i32)))
        (import "host" "set" (func $set (param i32)))
        (import "host" "return" (func $return (param i32)))
        (func (export "sum") (param $n i32) (result i32) (local $sum i32)
            (loop $next
                (call $wait (local.get $n))
                (local.set $sum (i32.add (local.get $sum) (local.get $n)))
                (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $sum))
        (func (export "nap") (param $n i32) (result i32) (local $waits i32)
            (call $set (local.get $n))
            (local.set $waits (call $new-set))
            (local.set $n (call $begin-wait (local.get $n)))
            (if (i32.eq (i32.and (local.get $n) (i32.const 15)) (i32.const 2)) ;; it has returned at once
                (then (call $return (call $get)) (return (i32.const 0))))
            (call $join (i32.shr_u (local.get $n) (i32.const 4)) (local.get $waits))
            (i32.or (i32.const 2) (i32.shl (local.get $waits) (i32.const 4)))) ;; to wait for the set
        (func (export "nap-goes-on") (param i32 i32 i32) (result i32)
            (call $return (call $get))
            (i32.const 0)) ;; to exit
        (func (export "trap") unreachable))
    (core instance $i (instantiate $m (with "host" (instance
        (export "wait" (func $wait))
        (export "begin-wait" (func $begin-wait))
        (export "new-set" (func $new-set))
        (export "join" (func $join))
        (export "get" (func $get))
        (export "set" (func $set))
        (export "return" (func $return))))))
    (func (export "sum") async (param "n" u32) (result u32) (canon lift (core func $i "sum")))
    (func (export "nap") async (param "n" u32) (result u32)
        (canon lift (core func $i "nap") async (callback (func $i "nap-goes-on"))))
    (func (export "trap") async (canon lift (core func $i "trap"))))"#;

/// What a test's host function waits by.
#[derive(Clone)]
struct Waits {
    clock: ManualClock,
}

impl TasksImports for Waits {}

impl<T> TasksImportsWithStore<T> for HasSelf<Waits>
where
    T: AsMut<Waits> + 'static,
{
    async fn wait(store: &Accessor<T, Self>, n: u32) {
        let clock = store.with(|mut access| access.get().clock.clone());
        clock.sleep(Duration::from_secs(n.into())).await;
    }
}

impl AsMut<Waits> for Waits {
    fn as_mut(&mut self) -> &mut Waits {
        self
    }
}

fn tasks(clock: &ManualClock) -> Result<Instance<Waits, Tasks>, Error> {
    tasks_with(InstanceOptions::default(), clock)
}

fn tasks_with(
    options: InstanceOptions,
    clock: &ManualClock,
) -> Result<Instance<Waits, Tasks>, Error> {
    let component = Component::new(&ENGINE, wat::parse_str(TASKS).expect("the text is correct"))?;
    let mut linker = Linker::<Waits>::new(&ENGINE);
    Tasks::add_to_linker::<_, HasSelf<Waits>>(&mut linker, |waits| waits)?;
    let pre = TasksPre::new(linker.instantiate_pre(&component)?)?;
    let waits = Waits { clock: clock.clone() };
    Instance::with_exports(
        &ENGINE,
        options,
        move || waits.clone(),
        move |store| {
            let pre = pre.clone();
            Box::pin(async move { pre.instantiate_async(store).await })
        },
    )
}

#[test]
fn two_calls_of_one_component_go_on_at_once_in_one_call_of_its_instance() -> Result<(), Error> {
    let clock = ManualClock::new();
    let tasks = tasks(&clock)?;
    let mut naps = tasks.start_concurrent(|store, tasks| {
        Box::pin(async move {
            let (three, two) = join(tasks.call_nap(store, 3), tasks.call_nap(store, 2)).await;
            Ok((three?, two?))
        })
    })?;
    let mut waited = Vec::new();
    loop {
        match naps.resume()? {
            Step::Waiting => {
                let next = clock.next_deadline().expect("a task sleeps");
                waited.push((clock.sleepers(), next.as_secs()));
                clock.tick(next - clock.now());
            }
            // The first of the two has woken the call by its end.
            Step::Yielded => assert_eq!(clock.sleepers(), 1),
            Step::Done => break,
        }
    }
    assert_eq!(naps.try_get_result()?, Some((3, 2)));
    assert_eq!(waited, [(2, 2), (1, 3)]);
    Ok(())
}

#[test]
fn one_call_after_another_in_one_store() -> Result<(), Error> {
    let clock = ManualClock::new();
    let tasks = tasks(&clock)?;
    for n in 1..5 {
        let mut call = tasks.start_concurrent(move |store, tasks| {
            Box::pin(async move { tasks.call_sum(store, n).await })
        })?;
        assert!(matches!(
            tasks.start_concurrent(|_, _| Box::pin(async { Ok(()) })),
            Err(Error::CallInProgress)
        ));
        for _ in 0..n {
            assert_eq!(call.resume()?, Step::Waiting);
            clock.tick(Duration::from_secs(5));
        }
        assert_eq!(call.resume()?, Step::Done);
        assert_eq!(call.try_get_result()?, Some(n * (n + 1) / 2));
    }
    let traps = tasks
        .start_concurrent(|store, tasks| Box::pin(async move { tasks.call_trap(store).await }))?;
    assert!(matches!({ traps }.wait(), Err(Error::Trap(_))));
    assert!(tasks.is_poisoned());
    tasks.reset()?;
    let mut call = tasks
        .start_concurrent(|store, tasks| Box::pin(async move { tasks.call_sum(store, 1).await }))?;
    assert_eq!(call.resume()?, Step::Waiting);
    clock.tick(Duration::from_secs(1));
    assert_eq!(call.wait()?, 1);
    Ok(())
}

/// A call that returns while a task of its guest still waits.
fn leaves_a_task(tasks: &Instance<Waits, Tasks>) -> Result<(), Error> {
    let mut call = tasks.start_concurrent(|store, tasks| {
        Box::pin(async move {
            let mut nap = Box::pin(tasks.call_nap(store, 1));
            std::future::poll_fn(|context| {
                assert!(nap.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            Ok(())
        })
    })?;
    assert_eq!(call.resume()?, Step::Done);
    assert_eq!(call.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_task_that_is_left_behind_poisons_and_a_reset_drops_it() -> Result<(), Error> {
    let clock = ManualClock::new();
    let tasks = tasks(&clock)?;
    leaves_a_task(&tasks)?;
    assert!(tasks.is_poisoned());
    assert_eq!(clock.sleepers(), 1);
    tasks.reset()?;
    assert_eq!(clock.sleepers(), 0);
    let mut nap = tasks.start_concurrent(|store, tasks| Box::pin(tasks.call_nap(store, 2)))?;
    assert_eq!(nap.resume()?, Step::Waiting);
    tick(&clock);
    assert_eq!(nap.wait()?, 2);
    assert!(!tasks.is_poisoned(), "a task that has finished does not poison");

    // After `clear_poison`, the next call goes on with what is left.
    leaves_a_task(&tasks)?;
    tasks.clear_poison()?;
    let mut nap = tasks.start_concurrent(|store, tasks| Box::pin(tasks.call_nap(store, 2)))?;
    assert_eq!(nap.resume()?, Step::Waiting);
    assert_eq!(clock.sleepers(), 2);
    while nap.resume()? != Step::Done {
        tick(&clock);
    }
    assert_eq!(nap.try_get_result()?, Some(2));
    Ok(())
}

/// A module that yields once, in `run` and in its start function.
fn yields_once() -> Result<InstancePre<()>, Error> {
    let wat = r#"(module
        (import "env" "yield" (func $yield))
        (func $start (call $yield))
        (start $start)
        (func (export "run") (call $yield)))"#;
    let module = Module::new(&ENGINE, wat::parse_str(wat).expect("the text is correct"))?;
    let mut linker = wasmtime::Linker::<()>::new(&ENGINE);
    wasm_jobs::add_yield(&mut linker, "env", "yield")?;
    Ok(linker.instantiate_pre(&module)?)
}

#[test]
fn a_host_function_blocks_on_what_yields() -> Result<(), Error> {
    let module = yields_once()?;
    let pre = waits_by(WAITS_ONCE, move || {
        let module = module.clone();
        async move {
            Instance::new(&module, ())?.call::<(), ()>("run", ())?.wait()?;
            Future::new(ok(wasm_jobs::yield_now())).wait()?;
            Ok(())
        }
    })?;
    for &way in Way::ALL {
        way.finish(&mut Command::new(&pre, args(["outer"]).build()?)?.run()?)?;
    }
    Ok(())
}

#[test]
fn a_step_ends_where_a_concurrent_host_function_yields_or_awaits_a_guest_that_yields()
-> Result<(), Error> {
    let inner = program("(drop (call $yield)) (i32.const 0)")?;
    let yields = waits_by(WAITS_FOR_EVER, || async {
        wasm_jobs::yield_now().await;
        Ok(())
    })?;
    let awaits = waits_by(WAITS_FOR_EVER, move || {
        let inner = inner.clone();
        async move {
            let mut run = Command::new(&inner, args(["inner"]).build()?)?.run().into_send()?;
            (&mut run).await?;
            Ok(())
        }
    })?;
    for pre in [yields, awaits] {
        let mut run = Command::new(&pre, args(["outer"]).build()?)?.run()?;
        for _ in 0..10 {
            assert_eq!(run.resume()?, Step::Yielded);
        }
    }
    Ok(())
}

/// wasmtime's own event loop, by `call_async`, keeps what `start_concurrent` promises.
#[test]
fn a_step_of_start_ends_where_its_guest_sleeps_for_no_time() -> Result<(), Error> {
    let component = component(&ENGINE, WAITS_FOR_EVER)?;
    let mut linker = Linker::<WasiCtx>::new(&ENGINE);
    wasi::p3::add_to_linker(&mut linker)?;
    let pre = linker.instantiate_pre(&component)?;
    let state = || args(["waits"]).build().expect("nothing is opened");
    let options = InstanceOptions::default();
    let instance = Instance::with_exports(&ENGINE, options, state, move |mut store| {
        let pre = pre.clone();
        Box::pin(async move {
            let instance = pre.instantiate_async(&mut store).await?;
            let cli = instance.get_export_index(&mut store, None, "wasi:cli/run@0.3.0");
            let run = instance.get_export_index(&mut store, cli.as_ref(), "run");
            let run = run.expect("it exports `run`");
            instance.get_typed_func::<(), (Result<(), ()>,)>(&mut store, run)
        })
    })?;
    let mut call = instance.start(|store, run| Box::pin(run.call_async(store, ())))?;
    for _ in 0..10 {
        assert_eq!(call.resume()?, Step::Yielded);
    }
    Ok(())
}

/// An inner guest's host function waits for a job of the only worker, whose step the outer guest is in.
#[cfg(feature = "rayon")]
#[test]
fn a_guest_inside_another_waits_for_a_job_of_its_only_worker() -> Result<(), Error> {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool"));
    let jobs = pool.clone();
    let inner = waits_by(WAITS_ONCE, move || {
        let jobs = jobs.clone();
        async move {
            jobs.submit_fn(|| ()).wait();
            Ok(())
        }
    })?;
    let outer = waits_by_another(&inner, false)?;
    let mut run = Command::new(&outer, args(["outer"]).build()?)?.run()?;
    pool.submit(run.to_job()?).wait();
    assert_eq!(run.try_get_result()?, Some(()));
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn a_pool_lends_instances_with_async_functions() -> Result<(), Error> {
    let clock = ManualClock::new();
    let pool = {
        let clock = clock.clone();
        InstancePool::new(2, move || tasks(&clock))?
    };
    let rayon = wasm_jobs::RayonGlobal;
    let nap = |n| {
        pool.start_concurrent(&rayon, move |store, tasks| {
            Box::pin(async move { tasks.call_nap(store, n).await })
        })
    };
    let naps = async { join(join(nap(1), nap(2)), join(nap(3), nap(4))).await };
    let is_over = Flag::default();
    let ticking = {
        let is_over = is_over.clone();
        thread::spawn(move || {
            while !is_over.is_set() {
                assert!(clock.sleepers() <= 2, "the pool has two instances");
                match clock.next_deadline() {
                    Some(next) => clock.tick(next.saturating_sub(clock.now())),
                    None => thread::yield_now(),
                }
            }
        })
    };
    let ((one, two), (three, four)) = block_on(naps);
    is_over.set();
    ticking.join().expect("the clock ticks");
    assert_eq!((one?, two?, three?, four?), (1, 2, 3, 4));
    assert_eq!((pool.stats().out, pool.stats().made), (0, 2));
    Ok(())
}
