//! `par_map`: one export, many inputs, several instances.

use super::{Host, Pre, compile, instance, link, linker, options_of_engines};
use crate::support::{
    Counter, Event, Queue, a_thread_each, at_once, block_on, poll_once, receives, workers,
};
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::wasmtime::Engine;
use wasm_jobs::{Error, Instance, InstanceOptions, Instances, Job, JobPool, ParMapJob};

/// `square(n)` yields if n is a multiple of 7; `picky(n)` traps if n is a multiple of 10, and has the host panic if n is another multiple of 25;
/// `wait(n)` waits for the event; `forever(n)` never ends.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (import "env" "panic" (func $panic))
    (import "env" "begins" (func $begins))
    (func $square (export "square") (param $n i32) (result i32)
        (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 7))) (then (call $yield)))
        (i32.mul (local.get $n) (local.get $n)))
    (func (export "picky") (param $n i32) (result i32)
        (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 10))) (then (unreachable)))
        (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 25))) (then (call $panic)))
        (call $square (local.get $n)))
    (func (export "wait") (param $n i32) (result i32)
        (call $begins) (call $wait) (local.get $n))
    (func (export "forever") (param $n i32) (result i32)
        (call $begins) (loop $again (br $again)) (local.get $n)))"#;

struct Guests {
    pre: Pre<Host>,
    event: Event,
    begun: Counter,
}

impl Guests {
    fn new() -> Result<Self, Error> {
        let engine: Engine = wasm_jobs::engine(&options_of_engines().pooling(10))?;
        let (event, begun) = (Event::default(), Counter::default());
        let mut linker = linker(&engine)?;
        linker
            .func_wrap("env", "panic", || -> () { std::panic::resume_unwind(Box::new("host")) })?;
        linker.func_wrap("env", "begins", {
            let begun = begun.clone();
            move || begun.add()
        })?;
        let pre = link(&linker, &compile(&engine, GUEST)?)?;
        Ok(Self { pre, event, begun })
    }

    fn host(&self) -> impl Fn() -> Host + Send + Sync + 'static + use<> {
        let event = self.event.clone();
        move || Host { event: event.clone(), ..Host::default() }
    }

    /// Instances that can be reset.
    fn renewable(&self, count: usize) -> Result<Vec<Instance<Host>>, Error> {
        let options = InstanceOptions::default;
        (0..count).map(|_| Instance::with_options(&self.pre, options(), self.host())).collect()
    }

    /// Instances that cannot be reset.
    fn fixed(&self, count: usize) -> Result<Vec<Instance<Host>>, Error> {
        (0..count).map(|_| Instance::new(&self.pre, self.host()())).collect()
    }
}

#[test]
fn results_come_in_the_order_of_the_inputs() -> Result<(), Error> {
    fn all(instances: &[Instance<Host>], pool: &impl JobPool) -> Result<(), Error> {
        for (inputs, min_batch) in [(0, 1), (1, 1), (7, 1), (500, 1), (500, 100), (3, 1000)] {
            let squares = instances.par_map::<i32, i32, _>(pool, 0..inputs, "square");
            let squares = squares.min_batch(min_batch).collect()?;
            assert_eq!(squares.len(), inputs as usize);
            for (n, square) in (0..).zip(squares) {
                assert_eq!(square?, n * n, "of {inputs} by {min_batch}");
            }
        }
        Ok(())
    }

    let guests = Guests::new()?;
    for count in [1, 2, 5] {
        let instances = guests.fixed(count)?;
        all(&instances, &workers(2))?;
        all(&instances, &a_thread_each)?;
        all(&instances, &at_once)?;
        #[cfg(feature = "rayon")]
        all(&instances, &wasm_jobs::RayonGlobal)?;
    }
    Ok(())
}

#[test]
fn a_call_that_fails_is_a_result_and_disturbs_no_other() -> Result<(), Error> {
    let guests = Guests::new()?;
    for count in [1, 3] {
        let instances = guests.renewable(count)?;
        for min_batch in [1, 50] {
            let pool = workers(2);
            let results = instances.par_map::<i32, i32, _>(&pool, 1..200, "picky");
            for (n, result) in (1..).zip(results.min_batch(min_batch).collect()?) {
                match n {
                    _ if n % 10 == 0 => assert!(matches!(result, Err(Error::Trap(_))), "{n}"),
                    _ if n % 25 == 0 => assert!(matches!(result, Err(Error::Panic(_))), "{n}"),
                    _ => assert_eq!(result?, n * n),
                }
            }
        }
    }
    Ok(())
}

#[test]
fn an_instance_that_cannot_be_reset_leaves_the_rest_to_the_others() -> Result<(), Error> {
    let guests = Guests::new()?;
    for min_batch in [1, 30] {
        // One of these inputs fails. The instance that gets it takes no more inputs.
        let instances = guests.fixed(2)?;
        let pool = workers(2);
        let results = instances.par_map::<i32, i32, _>(&pool, 1..20, "picky");
        for (n, result) in (1..).zip(results.min_batch(min_batch).collect()?) {
            match n {
                10 => assert!(matches!(result, Err(Error::Trap(_)))),
                _ => assert_eq!(result?, n * n),
            }
        }
        // The other instance takes inputs until one fails.
        let results = instances.par_map::<i32, i32, _>(&pool, 10..20, "picky").collect()?;
        for (n, result) in (10..).zip(results) {
            match result {
                Err(Error::Trap(_)) => assert_eq!(n, 10),
                Err(Error::Poisoned) => assert_ne!(n, 10),
                result => assert_eq!(result?, n * n),
            }
        }
    }
    Ok(())
}

#[test]
fn an_instance_that_was_poisoned_before_is_reset() -> Result<(), Error> {
    let guests = Guests::new()?;
    let instances = guests.renewable(2)?;
    for instance in &instances {
        assert!(instance.call::<i32, i32>("picky", 10)?.wait().is_err());
        assert!(instance.is_poisoned());
    }
    for (n, square) in
        (0..).zip(instances.par_map::<i32, i32, _>(&at_once, 0..50, "square").collect()?)
    {
        assert_eq!(square?, n * n);
    }
    Ok(())
}

#[test]
fn an_instance_that_is_in_use_leaves_its_inputs_to_the_others() -> Result<(), Error> {
    let guests = Guests::new()?;
    let instances = guests.renewable(2)?;
    let queue = Queue::default();
    let mapped = instances.par_map::<i32, i32, _>(&queue, 0..50, "square").submit()?;
    let in_use = instances[0].store()?;
    queue.run();
    for (n, square) in (0..).zip(mapped.wait()) {
        assert_eq!(square?, n * n);
    }
    drop(in_use);

    let mapped = instances.par_map::<i32, i32, _>(&queue, 0..50, "square").submit()?;
    let all_in_use = (instances[0].store()?, instances[1].store()?);
    queue.run();
    let results = mapped.wait();
    assert!(results.iter().all(|result| matches!(result, Err(Error::CallInProgress))));
    drop(all_in_use);

    let call = instances[0].call::<i32, i32>("square", 3)?;
    let refused = instances.par_map::<i32, i32, _>(&queue, 0..50, "square").submit();
    assert!(matches!(refused, Err(Error::CallInProgress)), "{refused:?}");
    drop(call);
    Ok(())
}

#[test]
fn as_many_calls_wait_at_once_as_there_are_instances() -> Result<(), Error> {
    let guests = Guests::new()?;
    let instances = guests.fixed(4)?;
    let queue = Queue::default();
    let mut mapped = instances.par_map::<i32, i32, _>(&queue, 0..20, "wait").submit()?;
    queue.run();
    assert_eq!(guests.begun.get(), 4);
    assert!(!mapped.handle().is_complete());
    let wakes = Arc::new(Counter::default());
    assert!(poll_once(&mut mapped, &wakes).is_pending());
    guests.event.set();
    queue.run();
    assert!(mapped.handle().is_complete());
    assert!(wakes.get() > 0);
    let Poll::Ready(results) = poll_once(&mut mapped, &wakes) else {
        panic!("the map is complete")
    };
    for (n, result) in (0..).zip(results) {
        assert_eq!(result?, n);
    }
    let Poll::Ready(again) = poll_once(&mut mapped, &wakes) else { panic!("the map is complete") };
    assert!(again.iter().all(Result::is_err), "results are given once");
    Ok(())
}

#[test]
fn calls_that_never_end_are_cancelled_with_the_handle_or_by_dropping() -> Result<(), Error> {
    fn wait_until_begun(begun: &Counter, calls: usize) {
        while begun.get() < calls {
            std::thread::yield_now();
        }
    }

    let guests = Guests::new()?;
    let instances = guests.renewable(2)?;
    let mapped = instances.par_map::<i32, i32, _>(&a_thread_each, 0..10, "forever").submit()?;
    wait_until_begun(&guests.begun, 2);
    mapped.handle().cancel();
    let results = mapped.wait();
    assert_eq!(results.len(), 10);
    assert!(results.iter().all(|result| matches!(result, Err(Error::Cancelled))), "{results:?}");

    let mapped: ParMapJob<i32> = {
        instances.iter().try_for_each(Instance::reset)?;
        instances.par_map(&a_thread_each, 0..10, "forever").submit()?
    };
    wait_until_begun(&guests.begun, 4);
    let job = mapped.handle().clone();
    drop(mapped);
    job.wait();
    for instance in &instances {
        assert!(instance.is_poisoned(), "the instance is free, and was stopped half-way");
    }
    Ok(())
}

#[test]
fn a_pool_that_drops_its_jobs_leaves_the_calls_to_who_awaits_them() -> Result<(), Error> {
    let guests = Guests::new()?;
    let instances = guests.fixed(3)?;
    let drops = |job: Job| drop(job);
    let results = block_on(instances.par_map::<i32, i32, _>(&drops, 0..50, "square").submit()?);
    for (n, square) in (0..).zip(results) {
        assert_eq!(square?, n * n);
    }
    for (n, square) in
        (0..).zip(instances.par_map::<i32, i32, _>(&drops, 0..50, "square").collect()?)
    {
        assert_eq!(square?, n * n);
    }
    Ok(())
}

/// `slow(n)` yields 20,000 times and returns n. That takes much longer than a turn.
const SLOW: &str = r#"(module
    (import "env" "yield" (func $yield))
    (func (export "slow") (param $n i32) (result i32) (local $left i32)
        (local.set $left (i32.const 20000))
        (loop $again
            (call $yield)
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
        (local.get $n)))"#;

/// Two instances are half-way through one input each. Then a pool drops `drops` of their jobs, and runs the others.
fn wait_after_drops(
    drops: usize,
    wait: fn(ParMapJob<i32>) -> Vec<Result<i32, Error>>,
) -> Result<(), Error> {
    let (tell, ends) = std::sync::mpsc::channel();
    let owner = std::thread::spawn(move || {
        let instances = [instance(SLOW)?, instance(SLOW)?];
        let (queue, given) = (Queue::default(), Counter::default());
        let pool = {
            let queue = queue.clone();
            move |job: Job| {
                given.add();
                // The test runs the first job of each instance by hand, and threads run the later jobs.
                if given.get() <= 2 { queue.enqueue(job) } else { a_thread_each(job) }
            }
        };
        let mapped = instances.par_map::<i32, i32, _>(&pool, [10, 20], "slow").submit()?;
        let mut jobs = Vec::new();
        while let Some(job) = queue.pop() {
            jobs.push(job.turn().expect("a turn is shorter than the call"));
        }
        assert_eq!(jobs.len(), 2);
        jobs.drain(..drops).for_each(drop);
        let running: Vec<_> =
            jobs.into_iter().map(|job| std::thread::spawn(|| job.run())).collect();
        let results: Result<Vec<_>, _> = wait(mapped).into_iter().collect();
        assert_eq!(results?, [10, 20]);
        running.into_iter().for_each(|thread| thread.join().expect("running does not panic"));
        tell.send(()).expect("the test is receiving");
        Ok(())
    });
    let has_ended = receives(&ends);
    assert!(has_ended || owner.is_finished(), "the owner waits for ever with {drops} jobs dropped");
    owner.join().expect("the owner does not panic")
}

#[test]
fn waiting_for_calls_whose_jobs_a_pool_has_dropped_half_way_brings_them_to_their_ends()
-> Result<(), Error> {
    for drops in [0, 1, 2] {
        wait_after_drops(drops, ParMapJob::wait)?;
        wait_after_drops(drops, block_on)?;
    }
    Ok(())
}

#[test]
fn without_instances_there_is_nothing_to_call() -> Result<(), Error> {
    let none: [Instance<Host>; 0] = [];
    let refused = none.par_map::<i32, i32, _>(&at_once, 0..5, "square").collect();
    assert!(matches!(refused, Err(Error::NoInstances)), "{refused:?}");
    assert!(none.par_map::<i32, i32, _>(&at_once, [], "square").collect()?.is_empty());
    let guests = Guests::new()?;
    let instances = guests.fixed(1)?;
    let refused = instances.par_map::<i32, i32, _>(&at_once, 0..5, "cube").collect();
    assert!(matches!(refused, Err(Error::ExportNotFound { .. })), "{refused:?}");
    Ok(())
}
