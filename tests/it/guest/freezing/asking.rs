//! When a call is asked to be frozen: while something else has it, before it has begun, where its slice ends, and where it ends in that step.

use super::{DEEP, Log, When, begin, deep, linked, run};
use crate::support::Queue;
use std::time::Duration;
use wasm_jobs::wasmtime::Caller;
use wasm_jobs::{
    CannotFreeze, EngineOptions, Error, Instance, InstanceOptions, JobPool, ManualClock,
    PreparedPre, Slice, Step, Timeout, prepare_with,
};

/// Computes for some time, and yields, three times. Gives a number that follows from all of that.
const WORKS: &str = r#"(module
    (import "env" "yield" (func $yield))
    (func $work (param $n i32) (param $state i32) (result i32)
        (loop $next
            (local.set $state (i32.add
                (i32.mul (local.get $state) (i32.const 1664525)) (i32.const 1013904223)))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $state))
    (func (export "run") (result i32) (local $turn i32) (local $state i32)
        (loop $next
            (local.set $state (call $work (i32.const 30000) (local.get $state)))
            (call $yield)
            (br_if $next (i32.lt_u
                (local.tee $turn (i32.add (local.get $turn) (i32.const 1))) (i32.const 3))))
        (local.get $state)))"#;

fn worked(turns: i32) -> i32 {
    (0..turns).fold(0_i32, |state, _| state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
}

fn thaw<T>(frozen: &wasm_jobs::Frozen<T>, pre: &PreparedPre<Log>) -> Result<T, Error>
where
    T: wasm_jobs::wasmtime::WasmResults + Sync + 'static,
{
    frozen.thaw(pre, InstanceOptions::default(), Log::default())?.wait()
}

#[test]
fn while_a_job_has_the_call() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let pool = Queue::default();
    let job = pool.submit(call.to_job()?);
    assert!(matches!(call.freeze(), Err(Error::InJob)));
    assert!(matches!(call.try_freeze(), Err(Error::InJob)));
    // Once it is dropped, the right to resume the call comes back.
    let in_pool = pool.pop().expect("the job is there");
    assert!(matches!(call.freeze(), Err(Error::InJob)));
    drop(in_pool);
    drop(job);
    assert_eq!(thaw(&call.freeze()?, &pre)?, worked(90_000));
    Ok(())
}

#[test]
fn after_a_job_has_ended_the_call() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let pool = Queue::default();
    let job = pool.submit(call.to_job()?);
    pool.run();
    job.wait();
    assert!(matches!(call.freeze(), Err(Error::CannotFreeze(CannotFreeze::Ended))));
    assert_eq!(call.try_get_result()?, Some(worked(90_000)));
    assert!(matches!(call.freeze(), Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn after_a_freeze_the_future_has_nothing_and_the_instance_is_free() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let instance = Instance::with_options(&pre, InstanceOptions::default(), Log::default)?;
    let before = instance.checkpoint()?;
    let mut call = instance.call::<(), i32>("run", ())?;
    let frozen = call.freeze()?;
    assert!(matches!(call.freeze(), Err(Error::ResultTaken)));
    assert!(matches!(call.try_get_result(), Err(Error::ResultTaken)));
    assert!(matches!(call.resume(), Err(Error::ResultTaken)));
    assert!(matches!(instance.call::<(), i32>("run", ()), Err(Error::Poisoned)));
    instance.rollback(&before)?;
    let mut call = instance.call::<(), i32>("run", ())?;
    assert_eq!(call.wait()?, worked(90_000));
    instance.reset()?;
    assert_eq!(instance.call::<(), i32>("run", ())?.wait()?, worked(90_000));
    assert_eq!(frozen.export(), "run");
    // It goes on in as many instances as one likes, on any thread.
    std::thread::scope(|threads| {
        let both = [(); 2].map(|()| threads.spawn(|| thaw(&frozen.clone(), &pre)));
        for thawed in both {
            assert_eq!(thawed.join().expect("no panic").expect("it goes on"), worked(90_000));
        }
    });
    Ok(())
}

#[test]
fn a_thawed_call_is_a_job_like_any_other() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let frozen = call.freeze()?;
    for way in crate::support::Way::ALL {
        let mut thawed = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
        assert_eq!(way.finish(&mut thawed)?, worked(90_000), "{way:?}");
    }
    let mut thawed = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
    thawed.cancel();
    assert!(matches!(thawed.wait(), Err(Error::Cancelled)));
    drop(frozen.thaw(&pre, InstanceOptions::default(), Log::default())?);
    Ok(())
}

#[test]
fn before_the_call_has_begun_and_before_a_thawed_one_has_gone_on() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    let mut frozen = call.freeze()?;
    let first = frozen.to_bytes();
    for _ in 0..5 {
        let mut thawed = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
        frozen = thawed.freeze()?;
        assert!(frozen.to_bytes() == first, "it has not gone on");
    }
    assert_eq!(thaw(&frozen, &pre)?, worked(90_000));
    Ok(())
}

/// Asks after so many steps, and once more in the functions' twins. `None` if the call ends before that.
fn after_so_many_steps(
    pre: &PreparedPre<Log>,
    slice: Slice,
    steps: usize,
) -> Result<Option<i32>, Error> {
    let options = InstanceOptions::default().slice(slice);
    let instance = Instance::with_options(pre, options.clone(), Log::default)?;
    let mut call = instance.call::<(), i32>("run", ())?;
    for asked_at in [steps, steps % 20] {
        for _ in 0..asked_at {
            if call.resume()? == Step::Done {
                return Ok(None);
            }
        }
        match call.freeze() {
            Ok(frozen) => call = frozen.thaw(pre, options.clone(), Log::default())?,
            Err(Error::CannotFreeze(CannotFreeze::Ended)) => break,
            Err(error) => return Err(error),
        }
    }
    call.wait().map(Some)
}

#[test]
fn at_the_ends_of_slices() -> Result<(), Error> {
    let check = |engine: &EngineOptions, slice| -> Result<usize, Error> {
        let pre = linked(&deep(engine), WORKS)?;
        let mut asked = 0;
        for steps in 0..10 {
            if let Some(result) = after_so_many_steps(&pre, slice, steps)? {
                assert_eq!(result, worked(90_000), "{slice:?}, asked after {steps} steps");
                asked += 1;
            }
        }
        Ok(asked)
    };
    let fuel = EngineOptions::default().fuel(true);
    assert_eq!(check(&fuel, Slice::Fuel(20_000))?, 10);
    assert_eq!(check(&fuel, Slice::Fuel(1_000))?, 10);
    // How many slices of time there are depends on the machine.
    let tiny = Slice::Time(Duration::from_micros(50));
    assert!(check(&EngineOptions::default(), tiny)? >= 3);
    let flags = EngineOptions::default().stop_flags(true).epoch_interruption(false);
    assert!(check(&flags, tiny)? >= 3);
    assert!(check(&flags, Slice::Unbounded)? >= 3);
    Ok(())
}

/// Slices so small that the guest yields wherever it can, also while it saves itself.
#[test]
fn at_the_end_of_each_slice_that_there_can_be() -> Result<(), Error> {
    let text = WORKS.replace("30000", "5");
    let pre = linked(&deep(&EngineOptions::default().fuel(true)), &text)?;
    for fuel in [1, 2, 5, 9] {
        let mut asked = 0;
        for steps in 0..500 {
            match after_so_many_steps(&pre, Slice::Fuel(fuel), steps)? {
                Some(result) => assert_eq!(result, worked(15), "{fuel}, after {steps} steps"),
                None if steps > 30 => break,
                None => {}
            }
            asked = steps;
        }
        assert!((10..499).contains(&asked), "{fuel}: {asked}");
    }
    // By single steps, in twins.
    let options = InstanceOptions::default().slice(Slice::Fuel(1));
    let (_instance, mut call) = begin::<_, i32>(&pre, "run", ())?;
    for _ in 0..4 {
        call = call.freeze()?.thaw(&pre, options.clone(), Log::default())?;
        let (mut frozen, mut steps) = (call.try_freeze(), 1);
        while let Err(Error::CannotFreeze(CannotFreeze::Running)) = frozen {
            (frozen, steps) = (call.try_freeze(), steps + 1);
        }
        assert!(steps > 1);
        call = frozen?.thaw(&pre, options.clone(), Log::default())?;
    }
    assert_eq!(call.wait()?, worked(15));
    Ok(())
}

#[test]
fn with_flags_at_each_suspension() -> Result<(), Error> {
    let flags = EngineOptions::default().stop_flags(true).epoch_interruption(false);
    let pre = linked(&deep(&flags), WORKS)?;
    let (.., expected) = run::<i32>(&pre, When::Never)?;
    for when in [When::At(1), When::At(2), When::At(3), When::Always] {
        let (result, _, suspensions, hash) = run::<i32>(&pre, when)?;
        assert_eq!((result?, suspensions, hash), (worked(90_000), 3, expected), "{when:?}");
    }
    Ok(())
}

#[test]
fn with_yields_before_each_call_of_the_host() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let options = InstanceOptions::default().yield_before_host_calls(true);
    for asked_at in 1..=6 {
        let instance = Instance::with_options(&pre, options.clone(), Log::default)?;
        let mut call = instance.call::<(), i32>("run", ())?;
        for _ in 0..asked_at {
            assert_eq!(call.resume()?, Step::Yielded, "before the yield, and at it, three times");
        }
        let frozen = call.freeze()?;
        let mut thawed = frozen.thaw(&pre, options.clone(), Log::default())?;
        let mut steps = 0;
        while thawed.resume()? != Step::Done {
            steps += 1;
        }
        assert_eq!(thawed.try_get_result()?, Some(worked(90_000)), "asked at {asked_at}");
        assert!(steps >= 1);
    }
    Ok(())
}

#[test]
fn a_timeout_is_that_of_the_instance_in_which_the_call_goes_on() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (func (export "run") (param i32) (result i32)
            (call $yield)
            (loop $again (br_if $again (local.get 0)))
            (i32.const 3)))"#;
    let pre = linked(&DEEP, text)?;
    let long = InstanceOptions::default()
        .elapsed_timeout(Duration::from_secs(600))
        .running_timeout(Duration::from_secs(600))
        .begun_timeout(Duration::from_secs(600));
    let freeze = |n: i32| -> Result<_, Error> {
        let instance = Instance::with_options(&pre, long.clone(), Log::default)?;
        instance.call::<i32, i32>("run", n)?.freeze()
    };
    let ends = freeze(0)?;
    assert_eq!(ends.thaw(&pre, long.clone(), Log::default())?.wait()?, 3);
    let runs_for_ever = freeze(1)?;
    for (limit, options) in [
        (Timeout::Running, InstanceOptions::default().running_timeout(Duration::from_millis(300))),
        (Timeout::Elapsed, InstanceOptions::default().elapsed_timeout(Duration::from_millis(300))),
        (Timeout::Begun, InstanceOptions::default().begun_timeout(Duration::from_millis(300))),
    ] {
        let mut thawed = runs_for_ever.thaw(&pre, options, Log::default())?;
        match thawed.wait() {
            Err(Error::TimedOut(why)) => assert_eq!(why.limit, limit),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_call_whose_time_has_passed_has_ended() -> Result<(), Error> {
    let pre = linked(&DEEP, WORKS)?;
    let timeout = Duration::from_secs(1);
    let options = InstanceOptions::default().elapsed_timeout(timeout);
    let instance = Instance::with_options(&pre, options, Log::default)?;
    let mut call = instance.call::<(), i32>("run", ())?;
    // The first step may be too late already, on a machine that is busy.
    let _ = call.resume()?;
    // Its time passes.
    std::thread::sleep(timeout);
    assert!(matches!(call.freeze(), Err(Error::CannotFreeze(CannotFreeze::Ended))));
    match call.wait() {
        Err(Error::TimedOut(why)) => assert_eq!(why.limit, Timeout::Elapsed),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn a_trap_or_a_panic_in_the_step_in_which_it_is_asked() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (import "host" "panic" (func $panic))
        (func (export "trap") (unreachable))
        (func (export "panic") (call $panic))
        (func (export "run") (result i32) (call $yield) (i32.const 6)))"#;
    let mut linker = super::linker(&DEEP, &ManualClock::new())?;
    linker.func_wrap("host", "panic", |_: Caller<'_, Log>| -> () { panic!("as it should") })?;
    let wasm = wat::parse_str(text).unwrap();
    let pre = prepare_with(&DEEP, wasm, &super::freezable())?.instantiate_pre(&linker)?;
    let instance = Instance::with_options(&pre, InstanceOptions::default(), Log::default)?;
    let works = || -> Result<(), Error> {
        instance.reset()?;
        let mut call = instance.call::<(), i32>("run", ())?;
        assert_eq!(call.resume()?, Step::Yielded);
        assert_eq!(call.resume()?, Step::Done, "nobody asks this call");
        assert_eq!(call.try_get_result()?, Some(6));
        let frozen = instance.call::<(), i32>("run", ())?.freeze()?;
        assert_eq!(thaw(&frozen, &pre)?, 6);
        Ok(())
    };
    works()?;
    instance.reset()?;
    let mut call = instance.call::<(), ()>("trap", ())?;
    assert!(matches!(call.freeze(), Err(Error::CannotFreeze(CannotFreeze::Ended))));
    assert!(matches!(call.wait(), Err(Error::Trap(_))));
    works()?;
    instance.reset()?;
    let mut call = instance.call::<(), ()>("panic", ())?;
    assert!(matches!(call.freeze(), Err(Error::CannotFreeze(CannotFreeze::Ended))));
    match call.wait() {
        Err(Error::Panic(panic)) => assert_eq!(panic.message().as_deref(), Some("as it should")),
        other => panic!("{other:?}"),
    }
    drop(call);
    assert!(instance.is_poisoned());
    works()
}
