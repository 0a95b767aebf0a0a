//! Calling exports.

use super::{ENGINE, Host, PRIMES, TOTAL, compile, instance, instance_of, linker};
use crate::support::{Event, Way, a_thread_each, workers};
use std::sync::{Arc, Barrier};
use std::thread;
use wasm_jobs::wasmtime::{ExternRef, Rooted};
use wasm_jobs::{EngineOptions, Error, Func, Instance, JobHandle, JobPool, Step, engine};

#[cfg(feature = "rayon")]
#[test]
fn from_a_module_to_a_result_on_rayon() -> Result<(), Error> {
    use wasm_jobs::wasmtime::{Linker, Module};
    use wasm_jobs::{RayonGlobal, add_yield};

    let engine = engine(&EngineOptions::default().pooling(10))?;
    let module = Module::new(&engine, wat::parse_str(PRIMES).expect("the text of a module"))?;
    let mut linker = Linker::<()>::new(&engine);
    add_yield(&mut linker, "env", "yield")?;
    let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;

    let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 10_000))?;
    let job = RayonGlobal.submit(future.to_job()?);
    job.wait();
    assert_eq!(future.try_get_result()?, Some(1229));
    Ok(())
}

#[test]
fn a_call_is_finished_in_every_way() -> Result<(), Error> {
    let instance = instance(PRIMES)?;
    for &way in Way::ALL {
        let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 1_000))?;
        assert_eq!(way.finish(&mut future)?, 168, "{way:?}");
        assert!(future.is_disposed());
    }
    Ok(())
}

#[test]
fn a_step_ends_where_the_guest_yields() -> Result<(), Error> {
    let instance = instance(PRIMES)?;
    let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 30))?;
    for _ in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29] {
        assert_eq!(future.try_get_result()?, None);
        assert_eq!(future.resume()?, Step::Yielded);
    }
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(10));
    Ok(())
}

#[test]
fn nothing_of_the_guest_runs_before_the_first_step() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (import "env" "tick" (func $tick))
            (func (export "run") (call $tick)))"#,
    )?;
    drop(instance.call::<(), ()>("run", ())?);
    assert_eq!(instance.store()?.data().ticks, 0);
    instance.call::<(), ()>("run", ())?.wait()?;
    assert_eq!(instance.store()?.data().ticks, 1);
    Ok(())
}

#[test]
fn a_second_call_is_refused_and_the_first_goes_on() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    let mut first = instance.call::<i32, i32>("add", 5)?;
    for step in [Step::Yielded, Step::Done] {
        assert!(matches!(instance.call::<i32, i32>("add", 7), Err(Error::CallInProgress)));
        assert!(matches!(instance.call::<i32, i32>("no such", 7), Err(Error::CallInProgress)));
        assert!(matches!(add.call(7), Err(Error::CallInProgress)));
        assert!(matches!(instance.func::<i32, i32>("add"), Err(Error::CallInProgress)));
        assert!(matches!(instance.store(), Err(Error::CallInProgress)));
        assert!(matches!(instance.reset_with(Host::default()), Err(Error::CallInProgress)));
        assert!(!instance.is_poisoned(), "this can be asked at any time");
        assert!(matches!(instance.clear_poison(), Err(Error::CallInProgress)));
        assert_eq!(first.resume()?, step);
    }
    assert_eq!(first.try_get_result()?, Some(5));
    assert_eq!(add.call(7)?.wait()?, 12);
    Ok(())
}

#[test]
fn a_call_refused_while_a_job_has_the_first() -> Result<(), Error> {
    let event = Event::default();
    let host = Host { event: event.clone(), ..Host::default() };
    let instance = instance_of(&ENGINE, TOTAL, host)?;
    let mut first = instance.call::<i32, i32>("add_when_it_happens", 5)?;
    let handle = workers(1).submit(first.to_job()?);
    assert!(matches!(instance.call::<i32, i32>("add", 7), Err(Error::CallInProgress)));
    assert!(matches!(instance.store(), Err(Error::CallInProgress)));
    event.set();
    handle.wait();
    assert_eq!(instance.call::<i32, i32>("add", 7)?.wait()?, 12, "the instance is free already");
    assert_eq!(first.try_get_result()?, Some(5));
    Ok(())
}

#[test]
fn an_instance_is_free_as_soon_as_its_call_has_ended() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut future = instance.call::<i32, i32>("add", 1)?;
    while future.resume()? != Step::Done {}
    let mut next = instance.call::<i32, i32>("add", 2)?;
    assert_eq!(next.resume()?, Step::Yielded);
    assert_eq!(
        future.try_get_result()?,
        Some(1),
        "a result that was not taken does not hold the instance"
    );
    assert_eq!(next.wait()?, 3);
    Ok(())
}

#[test]
fn an_instance_is_called_again_and_again() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    for round in 1..=50 {
        assert_eq!(instance.call::<i32, i32>("add", 2)?.wait()?, 2 * round);
    }
    assert!(!instance.is_poisoned());
    Ok(())
}

#[test]
fn params_and_results_of_every_type() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (func (export "nothing"))
            (func (export "turn_around") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
                (local.get 3) (local.get 2) (local.get 1) (local.get 0))
            (func (export "negate") (param i64) (result i64)
                (i64.sub (i64.const 0) (local.get 0)))
            (func (export "halve") (param f32) (result f32)
                (f32.div (local.get 0) (f32.const 2)))
            (func (export "square_root") (param f64) (result f64)
                (f64.sqrt (local.get 0)))
            (func (export "sum")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (i32.add (local.get 0) (i32.add (local.get 1) (i32.add (local.get 2)
                (i32.add (local.get 3) (i32.add (local.get 4) (i32.add (local.get 5)
                (i32.add (local.get 6) (i32.add (local.get 7) (i32.add (local.get 8)
                (i32.add (local.get 9) (i32.add (local.get 10) (local.get 11)))))))))))))
            (func (export "sign") (param i32) (result i32)
                (if (result i32) (i32.lt_s (local.get 0) (i32.const 0))
                    (then (i32.const -1))
                    (else (i32.gt_s (local.get 0) (i32.const 0)))))
            (func (export "is_null") (param externref) (result i32)
                (ref.is_null (local.get 0))))"#,
    )?;
    instance.call::<(), ()>("nothing", ())?.wait()?;
    assert_eq!(
        instance
            .call::<(i32, i64, f32, f64), (f64, f32, i64, i32)>("turn_around", (-1, 2, 0.5, 0.25))?
            .wait()?,
        (0.25, 0.5, 2, -1)
    );
    assert_eq!(instance.call::<i64, i64>("negate", 1 << 40)?.wait()?, -(1 << 40));
    assert_eq!(instance.call::<f32, f32>("halve", 3.0)?.wait()?, 1.5);
    assert_eq!(instance.call::<f64, f64>("square_root", 2.25)?.wait()?, 1.5);
    assert_eq!(instance.call::<(f64,), (f64,)>("square_root", (2.25,))?.wait()?, (1.5,));
    type Twelve = (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32);
    let twelve = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    assert_eq!(instance.call::<Twelve, i32>("sum", twelve)?.wait()?, 78);
    assert_eq!(instance.call::<u32, u32>("sign", u32::MAX)?.wait()?, u32::MAX);
    assert_eq!(instance.call::<Option<Rooted<ExternRef>>, i32>("is_null", None)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_function_looked_up_once_is_called_often() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add: Func<i32, i32, Host> = instance.func("add")?;
    assert_eq!(add.name(), "add");
    let clone = add.clone();
    for round in 1..=100 {
        assert_eq!(add.call(1)?.wait()?, 2 * round - 1);
        let mut by_a_job = clone.call(1)?;
        a_thread_each.submit(by_a_job.to_job()?).wait();
        assert_eq!(by_a_job.try_get_result()?, Some(2 * round));
    }
    Ok(())
}

#[test]
fn a_function_outlives_its_instance() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let add = instance.func::<i32, i32>("add")?;
    assert_eq!(add.call(1)?.wait()?, 1);
    drop(instance);
    assert_eq!(add.call(1)?.wait()?, 2);
    Ok(())
}

#[test]
fn an_instance_dropped_while_its_call_goes_on_by_hand() -> Result<(), Error> {
    let instance = instance(TOTAL)?;
    let mut future = instance.call::<i32, i32>("add", 5)?;
    assert_eq!(future.resume()?, Step::Yielded);
    drop(instance);
    assert_eq!(future.wait()?, 5);
    Ok(())
}

#[test]
fn an_instance_dropped_while_its_call_goes_on_as_a_job() -> Result<(), Error> {
    let event = Event::default();
    let host = Host { event: event.clone(), ..Host::default() };
    let instance = instance_of(&ENGINE, TOTAL, host)?;
    let mut future = instance.call::<i32, i32>("add_when_it_happens", 5)?;
    let handle = workers(1).submit(future.to_job()?);
    drop(instance);
    event.set();
    handle.wait();
    assert_eq!(future.try_get_result()?, Some(5));
    Ok(())
}

#[test]
fn of_several_threads_that_call_one_instance_one_gets_it() -> Result<(), Error> {
    const THREADS: usize = 4;
    let instance = Arc::new(instance(TOTAL)?);
    let (begin, all_have_tried) = (Barrier::new(THREADS), Barrier::new(THREADS));
    for round in 1..=50 {
        let winners: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        let call = instance.call::<i32, i32>("add", 1);
                        all_have_tried.wait();
                        match call {
                            Ok(mut future) => {
                                assert_eq!(future.wait().expect("the call does not fail"), round);
                                1
                            }
                            Err(Error::CallInProgress) => 0,
                            Err(error) => panic!("{error}"),
                        }
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("the thread does not panic"))
                .sum()
        });
        assert_eq!(winners, 1);
    }
    Ok(())
}

#[test]
fn a_call_goes_from_thread_to_thread() -> Result<(), Error> {
    // At each stop, the guest has a deep stack, and numbers in several kinds of registers.
    let instance = instance(
        r#"(module
            (import "env" "yield" (func $yield))
            (func $tree (export "tree") (param $depth i32) (param $by f64) (result f64)
                (local $sum f64)
                (if (i32.eqz (local.get $depth)) (then (return (local.get $by))))
                (local.set $sum
                    (call $tree
                        (i32.sub (local.get $depth) (i32.const 1))
                        (f64.mul (local.get $by) (f64.const 0.5))))
                (call $yield)
                (f64.add
                    (local.get $sum)
                    (call $tree
                        (i32.sub (local.get $depth) (i32.const 1))
                        (f64.mul (local.get $by) (f64.const 1.5))))))"#,
    )?;
    let mut future = instance.call::<(i32, f64), f64>("tree", (6, 1.0))?;
    let (mut runner, mut steps) = (future.to_job()?, 0);
    loop {
        let stepping = thread::spawn(move || (runner.resume(), runner));
        let step;
        (step, runner) = stepping.join().expect("the step does not panic");
        if step == Step::Done {
            break;
        }
        steps += 1;
    }
    assert_eq!(steps, 63);
    assert_eq!(future.try_get_result()?, Some(64.0));
    Ok(())
}

#[test]
fn many_instances_at_once_on_one_worker() -> Result<(), Error> {
    let pre = linker(&ENGINE)?.instantiate_pre(&compile(&ENGINE, PRIMES)?)?;
    let instances =
        (0..50).map(|_| Instance::new(&pre, Host::default())).collect::<Result<Vec<_>, _>>()?;
    let pool = workers(1);
    let mut futures = instances
        .iter()
        .map(|instance| instance.call::<(i32, i32), i32>("count_primes", (0, 500)))
        .collect::<Result<Vec<_>, _>>()?;
    let jobs = futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
    JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?).wait();
    for future in &mut futures {
        assert_eq!(future.try_get_result()?, Some(95));
    }
    Ok(())
}

#[test]
fn calls_of_an_engine_with_other_options() -> Result<(), Error> {
    for options in [
        EngineOptions::default().on_demand(),
        EngineOptions::default().on_demand().threads(true),
        EngineOptions::default().pooling(2).epoch_interruption(false),
        EngineOptions::default().pooling(2).fuel(true),
        EngineOptions::default().pooling(2).wasm_stack(64 * 1024).host_stack(256 * 1024),
        EngineOptions::default().pooling(2).exceptions(false).simd(false),
    ] {
        let engine = engine(&options)?;
        let instance = instance_of(&engine, PRIMES, Host::default())?;
        for &way in Way::ALL {
            let mut future = instance.call::<(i32, i32), i32>("count_primes", (0, 100))?;
            assert_eq!(way.finish(&mut future)?, 25, "{options:?} {way:?}");
        }
    }
    Ok(())
}
