//! What guests have that are stopped by a flag of their own. How they are stopped is tested in `at_flags`, by the tests of guests that look at the
//! epoch.

use super::linker;
use crate::support::{Flag, Queue, a_thread_each, block_on, receives};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use wasm_jobs::wasmtime::{Engine, Linker, Module, Store};
use wasm_jobs::{
    EngineOptions, Error, Instance, InstanceOptions, InstancePool, Instances, JobPool, Prepared,
    PreparedPre, Slice, Step, Stops, engine, prepare, request_yields,
};

const MS: Duration = Duration::from_millis(1);

/// `forever` loops; `count(n)` counts to n; `fill` writes to all of its memories; `grow(n)` grows the first one.
const GUEST: &str = r#"(module $guest
    (memory 1 100)
    (memory $second 1)
    (func (export "forever") (loop $again (br $again)))
    (func (export "count") (param $to i32) (result i32) (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (local.get $to))))
        (local.get $n))
    (func (export "fill")
        (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 65536))
        (memory.fill $second (i32.const 0) (i32.const 0xff) (i32.const 65536)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

fn options() -> EngineOptions {
    EngineOptions::default().pooling(8).stop_flags(true).epoch_interruption(false)
}

/// An engine whose guests have two memories.
fn with_flags() -> Engine {
    on_demand(options())
}

fn on_demand(options: EngineOptions) -> Engine {
    engine(&options.on_demand()).expect("the options of an engine with flags")
}

fn prepared(engine: &Engine, text: &str) -> Result<Prepared, Error> {
    prepare(engine, wat::parse_str(text).expect("the text of a module"))
}

fn linked(engine: &Engine, text: &str) -> Result<PreparedPre<()>, Error> {
    prepared(engine, text)?.instantiate_pre(&Linker::new(engine))
}

fn sliced() -> InstanceOptions {
    InstanceOptions::default().slice(Slice::Time(MS))
}

/// Asserts that the guest is stopped at the end of each slice, and ended when its call is cancelled while it runs.
#[track_caller]
fn assert_stops(instance: &Instance<()>) -> Result<(), Error> {
    instance.set_slice(Slice::Time(MS))?;
    let mut future = instance.call::<(), ()>("forever", ())?;
    for _ in 0..2 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    instance.set_slice(Slice::Unbounded)?;
    let job = a_thread_each.submit(future.to_job()?);
    future.cancel();
    job.wait();
    assert!(matches!(future.wait(), Err(Error::Cancelled)));
    instance.clear_poison()
}

#[test]
fn a_prepared_module_says_what_stops_its_guests() -> Result<(), Error> {
    let flags = options();
    let epochs = EngineOptions::default();
    let both = options().epoch_interruption(true);
    let neither = EngineOptions::default().epoch_interruption(false);
    for (options, stops) in [
        (flags, Stops::AtFlags),
        (epochs, Stops::AtEpochs),
        (both, Stops::AtFlags),
        (neither, Stops::Never),
    ] {
        let engine = on_demand(options);
        let module = prepared(&engine, GUEST)?;
        assert_eq!(module.stops(), stops);
        let pre = module.instantiate_pre(&Linker::<()>::new(&engine))?;
        assert_eq!(pre.prepared().stops(), stops);
        assert_eq!(Instance::new(&pre, ())?.stops(), stops);
    }
    Ok(())
}

#[test]
fn an_engine_with_threads_has_flags_only_if_it_is_asked_to() -> Result<(), Error> {
    let threads = EngineOptions::default().on_demand().threads(true);
    let engine = on_demand(threads.clone());
    assert_eq!(prepared(&engine, GUEST)?.stops(), Stops::AtEpochs);
    assert_eq!(Instance::new(&linked(&engine, GUEST)?, ())?.stops(), Stops::AtEpochs);
    let engine = on_demand(threads.stop_flags(true));
    assert_eq!(prepared(&engine, GUEST)?.stops(), Stops::AtFlags);
    Ok(())
}

#[test]
fn an_engine_of_ones_own_configuration_has_flags_if_it_has_shared_memories() -> Result<(), Error> {
    let config = options().on_demand().config();
    let engine = Engine::new(&config)?;
    assert_stops(&Instance::new(&linked(&engine, GUEST)?, ())?)?;

    let mut without = config.clone();
    without.shared_memory(false);
    let engine = Engine::new(&without)?;
    assert_eq!(prepared(&engine, GUEST)?.stops(), Stops::Never);

    let one_memory = r#"(module (memory 1) (func (export "forever") (loop $again (br $again))))"#;
    let mut lacking = config.clone();
    lacking.wasm_multi_memory(false);
    let refusal = prepared(&Engine::new(&lacking)?, one_memory);
    let Err(Error::Unsupported { why, .. }) = refusal else { panic!("{refusal:?}") };
    assert!(why.contains("several memories"), "{why}");

    // It can do without.
    let engine = Engine::new(&lacking)?;
    let bytes = wasm_jobs::transform::transform(&wat::parse_str(one_memory).unwrap()).unwrap();
    let module = Prepared::from_module(Module::new(&engine, bytes.wasm)?)?;
    assert_eq!(module.stops(), Stops::Never);
    Ok(())
}

#[test]
fn a_linker_that_was_given_all_unknown_imports_does_not_define_the_flags() -> Result<(), Error> {
    let engine = with_flags();
    let module = prepared(&engine, GUEST)?;
    let mut linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    linker.define_unknown_imports_as_default_values(&mut store, module.module())?;
    let instance = Instance::new(&module.instantiate_pre(&linker)?, ())?;
    assert_eq!(instance.stops(), Stops::AtFlags);
    assert_stops(&instance)
}

#[test]
fn a_prepared_module_in_a_linker_of_wasmtimes_says_what_to_do() -> Result<(), Error> {
    let engine = with_flags();
    let module = prepared(&engine, GUEST)?;
    let linked = Linker::<()>::new(&engine).instantiate_pre(module.module());
    let refusal = linked.map_err(Error::from).err().expect("it has no flags");
    assert!(refusal.to_string().contains("Prepared::instantiate_pre"), "{refusal}");
    Ok(())
}

#[test]
fn a_full_pool_has_a_flag_for_each() -> Result<(), Error> {
    let engine = engine(&options().pooling(3))?;
    let pre = linked(&engine, r#"(module (func (export "forever") (loop $again (br $again))))"#)?;
    for _ in 0..3 {
        let instances = (0..3).map(|_| Instance::new(&pre, ())).collect::<Result<Vec<_>, _>>()?;
        let one_more = Instance::new(&pre, ());
        assert!(matches!(one_more, Err(Error::TooManyInstances { .. })), "{one_more:?}");
        instances.iter().try_for_each(assert_stops)?;
    }
    Ok(())
}

#[test]
fn on_one_engine_prepared_guests_look_at_flags_and_others_at_the_epoch() -> Result<(), Error> {
    let engine = on_demand(options().epoch_interruption(true));
    let by_flag = Instance::new(&linked(&engine, GUEST)?, ())?;
    let plain = Module::new(&engine, wat::parse_str(GUEST).unwrap())?;
    let by_epoch = Instance::new(&Linker::new(&engine).instantiate_pre(&plain)?, ())?;
    assert_eq!([by_flag.stops(), by_epoch.stops()], [Stops::AtFlags, Stops::AtEpochs]);
    for _ in 0..3 {
        assert_stops(&by_flag)?;
        assert_stops(&by_epoch)?;
    }
    // The epoch does not concern a guest that has a flag.
    let advancing = Flag::default();
    thread::scope(|threads| {
        threads.spawn(|| {
            while !advancing.is_set() {
                engine.increment_epoch();
            }
        });
        let mut counts = by_flag.call::<i32, i32>("count", 1_000_000)?;
        let step = counts.resume();
        advancing.set();
        assert_eq!(step?, Step::Done);
        assert_eq!(counts.wait()?, 1_000_000);
        Ok(())
    })
}

#[test]
fn a_module_that_would_reach_the_flags_is_refused() -> Result<(), Error> {
    let engine = with_flags();
    let linker = Linker::<()>::new(&engine);
    let neighbour = Instance::new(&prepared(&engine, GUEST)?.instantiate_pre(&linker)?, ())?;
    let text = r#"(module
        (import "__wasm_jobs" "flags" (memory 1 64 shared))
        (func (export "run") (i32.atomic.store (i32.const 64) (i32.const 1))))"#;
    // Prepared, it is refused.
    let refusal = prepared(&engine, text);
    assert!(matches!(refusal, Err(Error::Prepare(_))), "{refusal:?}");
    // Not prepared, nothing gives it the memory, not even the linker with which another module was prepared.
    let module = Module::new(&engine, wat::parse_str(text).unwrap())?;
    let refusal = linker.instantiate_pre(&module).map_err(Error::from);
    assert!(matches!(refusal.err(), Some(Error::MissingImport { .. })));
    assert_stops(&neighbour)
}

#[test]
fn a_guest_that_writes_to_all_of_its_memories_stops_nobody() -> Result<(), Error> {
    let engine = with_flags();
    let pre = linked(&engine, GUEST)?;
    let [writer, neighbour] = [Instance::new(&pre, ())?, Instance::new(&pre, ())?];
    let mut count = neighbour.call::<i32, i32>("count", 1000)?;
    writer.call::<(), ()>("fill", ())?.wait()?;
    assert_eq!(count.resume()?, Step::Done);
    assert_eq!(count.wait()?, 1000);
    assert_stops(&writer)?;
    assert_stops(&neighbour)
}

#[test]
fn a_module_that_only_claims_to_look_at_a_flag_is_stopped_by_the_epoch() -> Result<(), Error> {
    let engine = on_demand(options().epoch_interruption(true));
    let text = r#"(module
        (type $stop (func (param i32)))
        (global (export "__wasm_jobs_flag") (mut i32) (i32.const 0))
        (global (export "__wasm_jobs_stop") (mut (ref null $stop)) (ref.null $stop))
        (func (export "forever") (loop $again (br $again))))"#;
    let module = Module::new(&engine, wat::parse_str(text).unwrap())?;
    let instance = Instance::new(&Linker::new(&engine).instantiate_pre(&module)?, ())?;
    assert_eq!(instance.stops(), Stops::AtEpochs);
    assert_stops(&instance)?;
    assert!(matches!(Prepared::from_module(module), Err(Error::NotPrepared { .. })));
    Ok(())
}

#[test]
fn nothing_keeps_an_engine_that_is_gone() -> Result<(), Error> {
    let engine = with_flags();
    let weak = engine.weak();
    let prepared = prepared(&engine, GUEST)?;
    let pre = prepared.instantiate_pre(&Linker::new(&engine))?;
    let instance = Instance::with_options(&pre, sliced(), || ())?;
    assert_stops(&instance)?;
    request_yields(&engine);
    drop((engine, prepared, pre));
    assert!(weak.upgrade().is_some(), "the instance has it");
    drop(instance);
    assert!(weak.upgrade().is_none());
    Ok(())
}

#[test]
fn a_linked_module_is_enough_to_stop_its_guests() -> Result<(), Error> {
    // Neither the prepared module nor an instance keeps the flags meanwhile.
    let engine = with_flags();
    let pre = linked(&engine, GUEST)?;
    drop(Instance::new(&pre, ())?);
    let other = linked(&engine, GUEST)?;
    assert_stops(&Instance::new(&pre, ())?)?;
    assert_stops(&Instance::new(&other, ())?)
}

#[test]
fn the_flag_of_an_instance_that_is_gone_stops_nobody() -> Result<(), Error> {
    let engine = with_flags();
    let pre = linked(&engine, GUEST)?;
    for _ in 0..20 {
        let gone = Instance::new(&pre, ())?;
        let mut future = gone.call::<(), ()>("forever", ())?;
        let job = a_thread_each.submit(future.to_job()?);
        // The call is cancelled, and the schedule repeats the stop until it has ended.
        drop((future, gone));
        job.wait();
        let next = Instance::new(&pre, ())?;
        let mut count = next.call::<i32, i32>("count", 10_000)?;
        assert_eq!(count.resume()?, Step::Done, "the call did not even yield");
        assert_eq!(count.wait()?, 10_000);
    }
    Ok(())
}

#[test]
fn a_request_to_one_guest_disturbs_no_other() -> Result<(), Error> {
    let engine = with_flags();
    let pre = linked(&engine, GUEST)?;
    let [asked, other] = [Instance::new(&pre, ())?, Instance::new(&pre, ())?];
    asked.request_yield(); // No call runs.
    let mut count = asked.call::<i32, i32>("count", 1000)?;
    assert_eq!(count.resume()?, Step::Done, "the request was made before");
    assert_eq!(count.wait()?, 1000);

    let mut forever = asked.call::<(), ()>("forever", ())?;
    let mut runner = forever.to_job()?;
    let step = thread::spawn(move || runner.resume());
    let mut count = other.call::<i32, i32>("count", 1_000_000)?;
    let counting = {
        let mut runner = count.to_job()?;
        thread::spawn(move || runner.resume())
    };
    while !step.is_finished() || !counting.is_finished() {
        asked.request_yield();
    }
    assert_eq!(step.join().unwrap(), Step::Yielded);
    assert_eq!(counting.join().unwrap(), Step::Done);
    Ok(())
}

#[test]
fn the_owner_calls_a_guest_synchronously_and_nothing_stops_it() -> Result<(), Error> {
    let engine = with_flags();
    let instance = Instance::with_options(&linked(&engine, GUEST)?, sliced(), || ())?;
    let over = Flag::default();
    thread::scope(|threads| {
        threads.spawn(|| {
            while !over.is_set() {
                request_yields(&engine);
                instance.request_yield();
            }
        });
        let counts = || -> Result<(), Error> {
            let mut store = instance.store()?;
            let count = store.instance()?.get_typed_func::<i32, i32>(&mut store, "count")?;
            assert_eq!(count.call(&mut store, 1_000_000)?, 1_000_000);
            let (context, _) = store.parts()?;
            assert_eq!(block_on(count.call_async(context, 1_000_000))?, 1_000_000);
            Ok(())
        };
        let counted = counts();
        over.set();
        counted
    })?;
    assert_stops(&instance)
}

#[test]
fn a_new_guest_of_the_instance_has_its_flag() -> Result<(), Error> {
    let engine = with_flags();
    let pre = linked(&engine, GUEST)?;
    let instance = Instance::with_options(&pre, sliced(), || ())?;
    for _ in 0..3 {
        assert_stops(&instance)?;
        instance.reset()?;
    }
    instance.reset_to(&linked(&engine, GUEST)?)?;
    assert_stops(&instance)
}

#[test]
fn an_instance_goes_from_a_guest_with_a_flag_to_one_without_and_back() -> Result<(), Error> {
    let engine = on_demand(options().epoch_interruption(true));
    let plain = Module::new(&engine, wat::parse_str(GUEST).unwrap())?;
    let plain = Linker::new(&engine).instantiate_pre(&plain)?;
    let pre = linked(&engine, GUEST)?;
    let instance = Instance::with_options(&plain, sliced(), || ())?;
    for _ in 0..2 {
        assert_eq!(instance.stops(), Stops::AtEpochs);
        assert_stops(&instance)?;
        instance.reset_to(&pre)?;
        assert_eq!(instance.stops(), Stops::AtFlags);
        assert_stops(&instance)?;
        instance.reset_to(&plain)?;
    }
    Ok(())
}

#[test]
fn a_job_whose_instance_got_another_guest_meanwhile_is_cancelled() -> Result<(), Error> {
    const TEXT: &str = r#"(module (import "env" "begin" (func $begin))
        (func (export "forever") (call $begin) (loop $again (br $again))))"#;
    let engine = on_demand(options().epoch_interruption(true));
    let (begins, began) = channel();
    let mut linker = Linker::new(&engine);
    linker.func_wrap("env", "begin", move || begins.send(()).unwrap())?;
    let plain = linker.instantiate_pre(&Module::new(&engine, wat::parse_str(TEXT).unwrap())?)?;
    let prepared = prepared(&engine, TEXT)?.instantiate_pre(&linker)?;
    for begins_prepared in [false, true] {
        let no_options = InstanceOptions::default;
        let instances = [match begins_prepared {
            true => Instance::with_options(&prepared, no_options(), || ())?,
            false => Instance::with_options(&plain, no_options(), || ())?,
        }];
        let queue = Queue::default();
        let job = instances.par_map::<(), (), _>(&queue, [()], "forever").submit()?;
        match begins_prepared {
            true => instances[0].reset_to(&plain)?,
            false => instances[0].reset_to(&prepared)?,
        }
        let (ends, ended) = channel();
        let worker = thread::spawn(move || {
            queue.run();
            ends.send(()).unwrap();
        });
        assert!(receives(&began));
        job.handle().cancel();
        assert!(receives(&ended), "the guest goes on: {begins_prepared}");
        worker.join().expect("nothing panics");
    }
    Ok(())
}

#[test]
fn a_guest_at_the_end_of_its_stack_times_out() -> Result<(), Error> {
    const TEXT: &str = r#"(module (func $down (export "down") (param $depth i32) (param $forever i32)
        (local $a i32) (local $b i32) (local $c i32) (local $d i32)
        (if (local.get $depth)
            (then (call $down (i32.sub (local.get $depth) (i32.const 1)) (local.get $forever)))
            (else (if (local.get $forever) (then (loop $again
                (local.set $a (i32.add (local.get $b) (i32.const 1)))
                (local.set $b (i32.mul (local.get $c) (local.get $a)))
                (local.set $c (i32.xor (local.get $d) (local.get $b)))
                (local.set $d (i32.sub (local.get $a) (local.get $c)))
                (br $again)))))))) "#;
    let engine = with_flags();
    let options = InstanceOptions::default().running_timeout(20 * MS);
    let instance = Instance::with_options(&linked(&engine, TEXT)?, options, || ())?;
    let goes_down = |depth: i32| {
        let end = instance.call::<(i32, i32), ()>("down", (depth, 0))?.wait();
        match end {
            Err(_) => instance.reset().map(|()| false),
            Ok(()) => Ok(true),
        }
    };
    let (mut deepest, mut too_deep) = (1, 10_000_000);
    while too_deep - deepest > 1 {
        let middle = deepest + (too_deep - deepest) / 2;
        match goes_down(middle)? {
            true => deepest = middle,
            false => too_deep = middle,
        }
    }
    for depth in (deepest - 3..=deepest).rev() {
        let end = instance.call::<(i32, i32), ()>("down", (depth, 1))?.wait();
        assert!(matches!(end, Err(Error::TimedOut(_))), "{depth} of {deepest}: {end:?}");
        instance.reset()?;
    }
    Ok(())
}

#[test]
fn a_guest_that_nothing_stops_does_not_follow_one_with_a_slice_of_time() -> Result<(), Error> {
    let engine = with_flags();
    let plain = Module::new(&engine, wat::parse_str(GUEST).unwrap())?;
    let plain = Linker::new(&engine).instantiate_pre(&plain)?;
    let instance = Instance::with_options(&linked(&engine, GUEST)?, sliced(), || ())?;
    assert!(matches!(instance.reset_to(&plain), Err(Error::Unsupported { .. })));
    assert_stops(&instance)?; // which leaves no slice
    instance.reset_to(&plain)?;
    assert_eq!(instance.stops(), Stops::Never);
    let timed = InstanceOptions::default().running_timeout(1000 * MS);
    let instance = Instance::with_options(&linked(&engine, GUEST)?, timed, || ())?;
    assert!(matches!(instance.reset_to(&plain), Err(Error::Unsupported { .. })));
    Ok(())
}

#[test]
fn a_guest_that_nothing_stops_gets_no_slice_of_time_while_it_is_made() -> Result<(), Error> {
    let engine = with_flags();
    let plain = Module::new(&engine, wat::parse_str(GUEST).unwrap())?;
    let plain = Linker::new(&engine).instantiate_pre(&plain)?;
    let pre = linked(&engine, GUEST)?;
    let instance = Instance::with_options(&pre, InstanceOptions::default(), || ())?;
    let over = Flag::default();
    thread::scope(|threads| {
        threads.spawn(|| {
            while !over.is_set() {
                let _ = instance.set_slice(Slice::Time(MS)); // refused while nothing stops the guest
            }
        });
        let resets = || -> Result<_, Error> {
            for _ in 0..1_000 {
                instance.set_slice(Slice::Unbounded)?;
                if instance.reset_to(&plain).is_ok() {
                    for _ in 0..20 {
                        let now = (instance.stops(), instance.slice());
                        if now != (Stops::Never, Slice::Unbounded) {
                            return Ok(Some(now));
                        }
                        thread::yield_now();
                    }
                    instance.reset_to(&pre)?;
                }
            }
            Ok(None)
        };
        let wrong = resets();
        over.set();
        assert_eq!(wrong?, None);
        Ok(())
    })
}

#[test]
fn a_pool_of_instances_stops_its_guests() -> Result<(), Error> {
    let engine = with_flags();
    let pre = linked(&engine, GUEST)?;
    let pool = InstancePool::new(2, move || Instance::with_options(&pre, sliced(), || ()))?;
    for _ in 0..3 {
        let [first, second] = [block_on(pool.get())?, block_on(pool.get())?];
        assert_stops(&first)?;
        assert_stops(&second)?;
    }
    Ok(())
}

#[test]
fn a_module_that_was_serialised_has_its_flags() -> Result<(), Error> {
    let engine = with_flags();
    let wasm = wasm_jobs::transform::transform_with(
        &wat::parse_str(GUEST).unwrap(),
        &wasm_jobs::transform::Options::default().stops(true),
    );
    let module = Module::new(&engine, wasm.expect("it can be transformed").wasm)?;
    let prepared = Prepared::from_module(module)?;
    assert_eq!(prepared.stops(), Stops::AtFlags);
    let instance = Instance::new(&prepared.instantiate_pre(&Linker::new(&engine))?, ())?;
    assert_stops(&instance)
}

#[test]
fn what_the_linker_lacks_is_named_when_the_module_is_linked() -> Result<(), Error> {
    let engine = with_flags();
    let module = prepared(&engine, r#"(module (import "env" "gone" (func)) (memory 1))"#)?;
    match module.instantiate_pre(&linker(&engine)?) {
        Err(Error::MissingImport { module, name }) => {
            assert_eq!((&*module, &*name), ("env", "gone"));
        }
        other => panic!("{other:?}"),
    }
    let other = with_flags();
    let refusal = module.instantiate_pre(&linker(&other)?);
    assert!(matches!(refusal, Err(Error::OtherEngine { .. })));
    Ok(())
}

#[test]
fn an_endless_start_function_is_stopped() -> Result<(), Error> {
    let engine = with_flags();
    let pre = linked(&engine, "(module (func $start (loop $again (br $again))) (start $start))")?;
    let options = InstanceOptions::default().running_timeout(MS);
    let made = Instance::with_options(&pre, options, || ());
    assert!(matches!(made, Err(Error::TimedOut(_))), "{made:?}");
    Ok(())
}

#[test]
fn requests_slices_and_cancellations_meet_in_any_order() -> Result<(), Error> {
    let engine = with_flags();
    let mut linker = Linker::<()>::new(&engine);
    let (begun, has_begun) = channel();
    linker.func_wrap("env", "begun", move || {
        let _ = begun.send(());
    })?;
    let text = r#"(module
        (import "env" "begun" (func $begun))
        (func (export "forever") (call $begun) (loop $again (br $again))))"#;
    let pre = prepared(&engine, text)?.instantiate_pre(&linker)?;
    let instance = Instance::new(&pre, ())?;
    for round in 0..200 {
        let slice = [Slice::Unbounded, Slice::Time(Duration::from_micros(50))][round % 2];
        instance.set_slice(slice)?;
        let mut future = instance.call::<(), ()>("forever", ())?;
        let job = a_thread_each.submit(future.to_job()?);
        assert!(receives(&has_begun));
        for _ in 0..round % 7 {
            instance.request_yield();
            request_yields(&engine);
        }
        future.cancel();
        job.wait();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        instance.clear_poison()?;
    }
    Ok(())
}

#[cfg(feature = "checkpoint")]
mod checkpoints {
    use super::{
        GUEST, Instance, Linker, Slice, Stops, assert_stops, linked, on_demand, options, prepared,
        sliced, with_flags,
    };
    use wasm_jobs::{EngineOptions, Error};

    #[test]
    fn a_guest_that_is_rolled_back_or_cloned_has_its_flag() -> Result<(), Error> {
        let engine = with_flags();
        let pre = linked(&engine, GUEST)?;
        let instance = Instance::with_options(&pre, sliced(), || ())?;
        let begin = instance.checkpoint()?;
        instance.call::<(), ()>("fill", ())?.wait()?;
        instance.rollback(&begin)?;
        assert_stops(&instance)?;
        // It gets another store, because its memory has grown.
        assert_eq!(instance.call::<i32, i32>("grow", 3)?.wait()?, 1);
        instance.rollback(&begin)?;
        assert_stops(&instance)?;
        assert_eq!(instance.call::<i32, i32>("grow", 3)?.wait()?, 1);

        let clone = instance.checkpoint()?.instantiate_with_options(&pre, sliced(), || ())?;
        assert_eq!(clone.slice(), Slice::Time(super::MS));
        assert_stops(&clone)?;
        assert_eq!(clone.call::<i32, i32>("grow", 0)?.wait()?, 4);
        Ok(())
    }

    #[test]
    fn a_checkpoint_goes_between_guests_with_flags_and_without() -> Result<(), Error> {
        let engines = [with_flags(), on_demand(EngineOptions::default()), on_demand(options())];
        let pres = engines.each_ref().map(|engine| linked(engine, GUEST));
        let [with, without, other] = pres;
        let (with, without, other) = (with?, without?, other?);
        let instance = Instance::new(&with, ())?;
        instance.call::<(), ()>("fill", ())?.wait()?;
        let saved = instance.checkpoint()?;
        let at_epochs = saved.instantiate(&without, ())?;
        assert_eq!(at_epochs.stops(), Stops::AtEpochs);
        assert_stops(&at_epochs)?;
        let again = at_epochs.checkpoint()?;
        assert_eq!(again.hash(), saved.hash());
        let at_flags = again.instantiate(&other, ())?;
        assert_eq!(at_flags.stops(), Stops::AtFlags);
        assert_stops(&at_flags)?;
        assert_eq!(at_flags.checkpoint()?.hash(), saved.hash());
        Ok(())
    }

    #[test]
    fn the_flag_is_no_state_of_a_guest() -> Result<(), Error> {
        let engine = with_flags();
        let pre = prepared(&engine, GUEST)?.instantiate_pre(&Linker::new(&engine))?;
        let [first, second] = [Instance::new(&pre, ())?, Instance::new(&pre, ())?];
        assert_eq!(first.checkpoint()?.hash(), second.checkpoint()?.hash());
        second.rollback(&first.checkpoint()?)?;
        // Each still has its own.
        drop(first);
        assert_stops(&second)
    }
}

#[cfg(all(feature = "checkpoint", feature = "macros"))]
mod wrapped {
    use super::{Linker, Slice, Stops, engine, options, sliced};
    use wasm_jobs::{Error, wrapper};

    wrapper! {
        struct Counter in "macros/tests/guests/counter.wat" { checkpoints: true }
    }

    #[test]
    fn a_wrapper_with_checkpoints_has_guests_with_flags() -> Result<(), Error> {
        let engine = engine(&options())?;
        let linker = Linker::new(&engine);
        let module = Counter::module(&engine)?;
        for counter in [
            Counter::with_options(&module, &linker, sliced(), || ())?,
            Counter::with_options(&engine, &linker, sliced(), || ())?,
        ] {
            assert_eq!(counter.stops(), Stops::AtFlags);
            assert_eq!(counter.slice(), Slice::Time(super::MS));
            assert_eq!(counter.increment(2)?.wait()?, 2);
            counter.rollback(&counter.checkpoint()?)?;
            assert_eq!(counter.increment(1)?.wait()?, 3);
        }
        Ok(())
    }
}
