//! Programs that are frozen and thawed wherever they wait print, compute and leave behind what they do undisturbed. Their context goes with them: it is saved, and restored into another one.

use super::{args, captured, linker, printed};
use crate::guest::freezing::{Ended, When, deep, finish, tick};
use crate::input::Input;
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;
use wasm_jobs::wasi::{MemoryOutputPipe, WasiCtx, WasiCtxBuilder, WasiSaved};
use wasm_jobs::wasmtime::{Engine, WasmParams, WasmResults};
use wasm_jobs::{
    CannotFreeze, Clock, EngineOptions, Error, HostState, Instance, InstanceOptions, ManualClock,
    PrepareOptions, PreparedPre, Step, guest_kit, prepare_with,
};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| deep(&EngineOptions::default().fuel(true)));

const FUEL: u64 = 1 << 40;

fn linked(path: &str) -> Result<PreparedPre<WasiCtx>, Error> {
    let module =
        prepare_with(&ENGINE, fs::read(path).unwrap(), &PrepareOptions::default().freezable(true))?;
    assert!(module.is_freezable());
    module.instantiate_pre(&linker(&ENGINE)?)
}

#[derive(Debug, PartialEq)]
struct Seen<R> {
    result: Result<R, String>,
    stdout: String,
    suspensions: usize,
    time: Duration,
    hash: u128,
}

/// Runs an export after those of `before`, and gives what is seen of it, how often it was frozen, and the fuel that it has used.
fn run<P, R>(
    pre: &PreparedPre<WasiCtx>,
    ctx: &dyn Fn() -> WasiCtxBuilder,
    (name, params): (&'static str, P),
    when: When,
) -> Result<(Seen<R>, usize, u64), Error>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let (clock, stdout) = (ManualClock::new(), captured());
    let ctx = || ctx().clock(clock.clone()).stdout(stdout.clone()).build();
    let options = InstanceOptions::default().fuel(FUEL);
    let state = ctx()?;
    let instance = Instance::with_state(pre, options.clone(), state)?;
    let call = instance.call(name, params)?;
    let carry = |instance: &Instance<WasiCtx>| {
        let saved = instance.store()?.data_mut().save()?.to_bytes();
        let mut there = ctx()?;
        there.restore(&WasiSaved::from_bytes(&saved)?)?;
        Ok(there)
    };
    let ended: Ended<_, R> = finish(pre, &options, (instance, call), when, carry, || tick(&clock))?;
    let used = FUEL - ended.instance.fuel_remaining()?;
    let hash = ended.hash()?;
    let Ended { result, suspensions, frozen, .. } = ended;
    let result = result.map_err(|error| error.to_string());
    let seen = Seen { result, stdout: printed(&stdout), suspensions, time: clock.now(), hash };
    Ok((seen, frozen, used))
}

/// Runs a program undisturbed, frozen at each suspension alone (of more than `most`, at some), and frozen at all of them. Returns what it does undisturbed.
fn check<P, R>(
    path: &str,
    ctx: &dyn Fn() -> WasiCtxBuilder,
    (name, params): (&'static str, P),
    most: usize,
) -> Result<Seen<R>, Error>
where
    P: WasmParams + Sync + Clone + 'static,
    R: WasmResults + Sync + PartialEq + std::fmt::Debug + 'static,
{
    let pre = linked(path)?;
    let (expected, _, fuel) = run::<P, R>(&pre, ctx, (name, params.clone()), When::Never)?;
    let every = expected.suspensions.div_ceil(most).max(1);
    let alone = (1..=expected.suspensions).step_by(every).map(When::At);
    for when in alone.chain([When::Always]) {
        let (found, frozen, used) = run::<P, R>(&pre, ctx, (name, params.clone()), when)?;
        assert_eq!(found, expected, "{path}, {when:?}");
        let times = if let When::At(_) = when { 1 } else { expected.suspensions };
        assert_eq!(frozen, times, "{path}, {when:?}");
        assert_eq!(used, fuel, "{path} {name}, {when:?}");
    }
    Ok(expected)
}

#[test]
fn a_nap() -> Result<(), Error> {
    let seen = check::<_, ()>("guests/wasi/nap.wasm", &|| args(["nap", "70"]), ("_start", ()), 10)?;
    assert_eq!((seen.result, &seen.stdout[..]), (Ok(()), "slept for 70 ms\n"));
    assert_eq!((seen.suspensions, seen.time), (1, Duration::from_millis(70)));
    Ok(())
}

#[test]
fn beats_at_absolute_times() -> Result<(), Error> {
    let ctx = || args(["metronome"]);
    let seen = check::<_, ()>("guests/wasi/metronome.wasm", &ctx, ("_start", ()), 10)?;
    let beats: String =
        (1..=4).map(|beat| format!("beat {beat} after {beat}0000000 ns\n")).collect();
    assert_eq!((seen.result, seen.stdout), (Ok(()), beats));
    assert_eq!(seen.suspensions, 4);
    Ok(())
}

#[test]
fn sleeps_of_random_lengths() -> Result<(), Error> {
    let ctx = || args(["sleeper"]).seed(3);
    let seen = check::<_, ()>("guests/wasi/sleeper.wasm", &ctx, ("_start", ()), 10)?;
    assert_eq!((seen.result, &seen.stdout[..]), (Ok(()), &"0\n".repeat(10)[..]));
    assert_eq!(seen.suspensions, 10);
    assert!(seen.time >= Duration::from_millis(10), "{:?}", seen.time);
    Ok(())
}

#[test]
fn yields_and_naps_of_exported_functions() -> Result<(), Error> {
    let path = "guests/wasi/sleepy.wasm";
    let ctx = || args(["sleepy"]);
    let seen = check::<_, i32>(path, &ctx, ("work", 30), 30)?;
    assert_eq!((seen.result, seen.suspensions), (Ok(29 * 30 / 2), 30));
    let seen = check::<_, i32>(path, &ctx, ("nap", 1_250), 5)?;
    assert_eq!((seen.result, seen.time), (Ok(0), Duration::from_millis(1_250)));
    Ok(())
}

/// A program that also polls its standard input, which has ended, so that the poll waits for nothing.
#[test]
fn a_program_that_sleeps_yields_and_polls() -> Result<(), Error> {
    let ctx = || args(["sleepy"]);
    let seen = check::<_, ()>("guests/wasi/sleepy.wasm", &ctx, ("_start", ()), 20)?;
    assert_eq!(seen.result, Ok(()));
    assert_eq!(seen.stdout, "yield=0 work=45 poll=1 errno=0 slept_ok=1\n");
    assert_eq!(seen.time, Duration::from_millis(1_050));
    Ok(())
}

#[test]
fn a_program_that_computes_draws_random_numbers_and_tells_the_time() -> Result<(), Error> {
    for seed in 0..4 {
        let ctx = || args(["wanderer", "77"]).seed(seed);
        let seen = check::<_, ()>("guests/wasi/wanderer.wasm", &ctx, ("_start", ()), 12)?;
        assert_eq!(seen.stdout.lines().count(), 21, "{}", seen.stdout);
        let last = seen.stdout.lines().last().unwrap();
        let status = u32::from_str_radix(last, 16).unwrap() % 5;
        let expected = match status {
            0 => Ok(()),
            _ => Err(Error::Exit(status.try_into().unwrap()).to_string()),
        };
        assert_eq!(seen.result, expected);
        assert!(seen.suspensions >= 5, "{}", seen.suspensions);
    }
    Ok(())
}

/// Guests of the kit's, in several languages, that import `env.yield` and `env.sleep`, or WASI's functions.
#[test]
fn guests_of_the_kit() -> Result<(), Error> {
    for name in ["c", "rust", "assemblyscript", "zig", "c-wasi", "rust-wasi"] {
        let wasm = fs::read(format!("guests/kit/{name}.wasm")).unwrap();
        let module = prepare_with(&ENGINE, wasm, &PrepareOptions::default().freezable(true))?;
        let options = InstanceOptions::default().fuel(FUEL);
        let run = |when: When| -> Result<_, Error> {
            let clock = ManualClock::new();
            let ctx = || WasiCtxBuilder::new().clock(clock.clone()).build();
            let mut linker = linker(&ENGINE)?;
            guest_kit::add_to_linker(&mut linker, clock.clone())?;
            let pre = module.instantiate_pre(&linker)?;
            let state = ctx()?;
            let instance = Instance::with_state(&pre, options.clone(), state)?;
            if instance.func::<(), ()>("_initialize").is_ok() {
                instance.call::<(), ()>("_initialize", ())?.wait()?;
            }
            let carry = |_: &Instance<WasiCtx>| ctx();
            let call = instance.call::<i32, i64>("sum", 12)?;
            let sum = finish(&pre, &options, (instance, call), when, carry, || tick(&clock))?;
            let used = FUEL - sum.instance.fuel_remaining()?;
            // The next call is of the instance in which the first one ended.
            let hash = sum.hash()?;
            let nap = sum.instance.call::<i32, ()>("nap", 40)?;
            let nap = finish(&pre, &options, (sum.instance, nap), when, carry, || tick(&clock))?;
            nap.result?;
            let seen = (sum.result?, sum.suspensions, hash, nap.suspensions, clock.now());
            Ok((seen, sum.frozen + nap.frozen, used))
        };
        let (expected, _, fuel) = run(When::Never)?;
        let (sum, suspensions, _, naps, time) = expected;
        assert_eq!((sum, suspensions), (78, 12), "{name}");
        assert_eq!((naps, time), (1, Duration::from_millis(40)), "{name}");
        for when in [When::At(1), When::At(6), When::At(12), When::Always] {
            let (found, frozen, used) = run(when)?;
            assert_eq!(found, expected, "{name}, {when:?}");
            assert_eq!(used, fuel, "{name}, {when:?}");
            let times = match when {
                When::At(1) => 2,
                When::At(_) => 1,
                _ => 13,
            };
            assert_eq!(frozen, times, "{name}, {when:?}");
        }
    }
    Ok(())
}

/// A guest that yields before each call of the host's runs on from there to where it waits, or to its end.
#[test]
fn asked_before_each_call_of_the_host() -> Result<(), Error> {
    let pre = linked("guests/wasi/metronome.wasm")?;
    let options = InstanceOptions::default().fuel(FUEL).yield_before_host_calls(true);
    let clock = ManualClock::new();
    let new = |stdout: &MemoryOutputPipe| {
        args(["metronome"]).clock(clock.clone()).stdout(stdout.clone()).build()
    };
    let (mut frozen_times, mut ended) = (0, 0);
    for asked_at in 1.. {
        let stdout = captured();
        let state = new(&stdout)?;
        let mut instance = Instance::with_state(&pre, options.clone(), state)?;
        let mut call = instance.call::<(), ()>("_start", ())?;
        let (mut steps, mut is_asked) = (0, false);
        loop {
            match call.resume()? {
                Step::Done => break,
                Step::Waiting => tick(&clock),
                Step::Yielded => {}
            }
            steps += 1;
            if steps == asked_at {
                is_asked = true;
                match call.freeze() {
                    Ok(frozen) => {
                        frozen_times += 1;
                        let saved = instance.store()?.data_mut().save()?;
                        let mut state = new(&stdout)?;
                        state.restore(&saved)?;
                        (instance, call) =
                            frozen.thaw_with_instance(&pre, options.clone(), state)?;
                    }
                    Err(Error::CannotFreeze(CannotFreeze::Ended)) => {
                        ended += 1;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        assert_eq!(call.try_get_result()?, Some(()));
        let printed = printed(&stdout);
        assert_eq!(printed.lines().count(), 4, "asked at step {asked_at}: {printed}");
        for (beat, line) in (1..).zip(printed.lines()) {
            assert_eq!(line, format!("beat {beat} after {beat}0000000 ns"), "{asked_at}");
        }
        if !is_asked {
            break;
        }
    }
    assert!(frozen_times > 10 && ended > 1, "{frozen_times}, {ended}");
    Ok(())
}

/// A poll of standard input, which has neither come nor ended, is no data. The call goes on.
#[test]
fn a_poll_of_a_stream_is_refused_and_goes_on() -> Result<(), Error> {
    let pre = linked("guests/wasi/sleepy.wasm")?;
    let clock = ManualClock::new();
    let stdout = captured();
    let ctx = args(["sleepy"])
        .clock(clock.clone())
        .stdin(Input::default())
        .stdout(stdout.clone())
        .build()?;
    let instance = Instance::with_state(&pre, InstanceOptions::default().fuel(FUEL), ctx)?;
    let mut call = instance.call::<(), ()>("_start", ())?;
    let mut refused = 0;
    loop {
        match call.resume()? {
            Step::Done => break,
            Step::Yielded => {}
            Step::Waiting => {
                // The sleeps last 50 ms and a second; the poll waits for 20 ms.
                let left = clock.next_deadline().unwrap() - clock.now();
                if left == Duration::from_millis(20) {
                    match call.freeze() {
                        Err(Error::CannotFreeze(CannotFreeze::Waiting { import, what })) => {
                            assert_eq!(&*import, "wasi_snapshot_preview1.poll_oneoff");
                            assert_eq!(what, "a file or a stream");
                            refused += 1;
                        }
                        other => panic!("{other:?}"),
                    }
                    assert_eq!(call.resume()?, Step::Waiting, "it is as it was");
                }
                tick(&clock);
            }
        }
    }
    assert_eq!(call.try_get_result()?, Some(()));
    assert_eq!(refused, 1);
    assert_eq!(printed(&stdout), "yield=0 work=45 poll=0 errno=0 slept_ok=1\n");
    Ok(())
}
