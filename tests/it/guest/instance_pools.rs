//! Instances that many callers share: `InstancePool`.

use super::{ENGINE, Host, compile, linker};
use crate::support::{Counter, Event, Way, a_thread_each, retry_timeouts, workers};
use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use wasm_jobs::wasmtime::InstancePre;
use wasm_jobs::{
    Error, Func, Future, Instance, InstanceOptions, InstancePool, Instances, IntoSend, JobPool,
    OnReturn, PoolStats, PooledInstance, SendFuture, Slice, Step,
};

/// Counts its calls, and ends a call in every way.
const GUEST: &str = r#"(module $counts
    (import "env" "wait" (func $wait))
    (import "env" "yield" (func $yield))
    (import "test" "block" (func $block))
    (memory (export "memory") 1)
    (global $calls (export "calls") (mut i32) (i32.const 0))
    (func $count (export "count") (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (global.get $calls))
    (func (export "double") (param i32) (result i32)
        (call $yield) (i32.shl (local.get 0) (i32.const 1)))
    (func (export "trap") (drop (call $count)) unreachable)
    (func (export "wait") (drop (call $count)) (call $wait))
    (func (export "block") (drop (call $count)) (call $block))
    (func (export "forever") (drop (call $count)) (loop $again (br $again))))"#;

/// Where `block` sends, and what it waits for.
type Gate = (Sender<()>, Receiver<()>);

/// What the guests of a pool share.
#[derive(Clone, Default)]
struct Shared {
    /// `wait` waits for this.
    event: Event,
    /// `block` sends here, and blocks until the other side answers.
    gate: Arc<Mutex<Option<Gate>>>,
    made: Counter,
}

fn pre(shared: &Shared) -> Result<InstancePre<Host>, Error> {
    let mut linker = linker(&ENGINE)?;
    let gate = shared.gate.clone();
    linker.func_wrap("test", "block", move || {
        let (begun, may_end) = gate.lock().unwrap().take().expect("the test has set the gate");
        begun.send(()).unwrap();
        may_end.recv().unwrap();
    })?;
    Ok(linker.instantiate_pre(&compile(&ENGINE, GUEST)?)?)
}

/// The function that makes the instances of a pool.
fn make(
    shared: &Shared,
    options: InstanceOptions,
) -> Result<impl Fn() -> Result<Instance<Host>, Error> + Send + Sync + 'static, Error> {
    let (pre, shared) = (pre(shared)?, shared.clone());
    Ok(move || {
        shared.made.add();
        let event = shared.event.clone();
        Instance::with_options(&pre, options.clone(), move || Host {
            event: event.clone(),
            ..Host::default()
        })
    })
}

fn pool_of(size: usize, shared: &Shared) -> Result<InstancePool<Host>, Error> {
    InstancePool::new(size, make(shared, InstanceOptions::default())?)
}

/// The instances that are idle, out, and waited for.
fn places(pool: &InstancePool<Host>) -> (usize, usize, usize) {
    let PoolStats { idle, out, waiting, .. } = pool.stats();
    (idle, out, waiting)
}

fn poll<F: std::future::Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn count(instance: &PooledInstance<Host>) -> Result<i32, Error> {
    instance.call::<(), i32>("count", ())?.wait()
}

/// Counts with an instance that is in the pool again after this.
fn count_once(pool: &InstancePool<Host>) -> Result<i32, Error> {
    let instance = pool.try_get()?;
    count(&instance)
}

#[test]
fn instances_are_made_as_they_are_needed_and_used_again() -> Result<(), Error> {
    let shared = Shared::default();
    let pool = pool_of(3, &shared)?;
    assert_eq!(
        (shared.made.get(), places(&pool)),
        (1, (1, 0, 0)),
        "the first, to see that it works"
    );
    for round in 1..=5 {
        assert_eq!(count_once(&pool)?, round, "the one that is there is used");
    }
    assert_eq!(shared.made.get(), 1);
    let instances = [pool.try_get()?, pool.try_get()?, pool.try_get()?];
    assert_eq!((shared.made.get(), places(&pool)), (3, (0, 3, 0)));
    drop(instances);
    assert_eq!((shared.made.get(), places(&pool)), (3, (3, 0, 0)));
    let PoolStats { size, made, resets, .. } = pool.stats();
    assert_eq!((size, made, resets), (3, 3, 0));
    Ok(())
}

#[test]
fn when_all_are_out_a_caller_is_told_how_many() -> Result<(), Error> {
    let pool = pool_of(2, &Shared::default())?;
    let out = [pool.try_get()?, pool.try_get()?];
    let mut waits = pin!(pool.get());
    assert!(poll(waits.as_mut()).is_pending());
    let error = pool.try_get().expect_err("none is left");
    assert!(matches!(error, Error::AllInstancesOut { out: 2, waiting: 1, .. }), "{error}");
    assert!(error.to_string().starts_with("all instances of the pool (2) are out"), "{error}");

    let bounded = pool.get_within(Duration::from_millis(20));
    let error = Future::new(bounded).wait().expect_err("none came back");
    let Error::AllInstancesOut { out: 2, waiting: 1, waited } = error else { panic!("{error}") };
    assert!(waited >= Duration::from_millis(20));
    assert_eq!(places(&pool), (0, 2, 1), "who gave up has left the line");
    drop(out);
    Ok(())
}

#[test]
fn callers_are_served_in_the_order_in_which_they_came() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    let first = pool.try_get()?;
    let mut waits: Vec<_> = (0..5).map(|_| Box::pin(pool.get())).collect();
    for wait in &mut waits {
        assert!(poll(wait.as_mut()).is_pending());
    }
    drop(first);
    // The third gives up when it has its turn, and loses nothing to the fourth.
    for (number, mut wait) in waits.into_iter().enumerate() {
        assert_eq!(places(&pool), (0, 1, 4 - number));
        assert!(pool.try_get().is_err(), "nobody overtakes");
        if number == 2 {
            continue;
        }
        let Poll::Ready(instance) = poll(wait.as_mut()) else { panic!("it is this one's turn") };
        drop(instance?);
    }
    assert_eq!(places(&pool), (1, 0, 0));
    Ok(())
}

#[test]
fn a_thread_sleeps_until_an_instance_comes_back() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    let first = pool.try_get()?;
    let waits = thread::spawn({
        let pool = pool.clone();
        move || count(&pool.get_blocking()?)
    });
    while pool.stats().waiting == 0 {
        thread::yield_now();
    }
    drop(first);
    assert_eq!(waits.join().unwrap()?, 1);
    let within = Future::new(pool.get_within(Duration::from_secs(60))).wait()?;
    assert_eq!(count(&within)?, 2);
    Ok(())
}

#[test]
fn a_call_is_a_whole_request() -> Result<(), Error> {
    let pool = pool_of(4, &Shared::default())?;
    let jobs = workers(2);
    let requests = (0..50).map(|number| {
        let (pool, jobs) = (pool.clone(), jobs.clone());
        Future::new(async move { pool.call::<i32, i32>(&jobs, "double", number).await })
    });
    for (number, mut request) in requests.enumerate() {
        assert_eq!(request.wait()?, 2 * i32::try_from(number).unwrap());
    }
    let started = pool.start(&jobs, |mut store, instance| {
        Box::pin(async move {
            let double = instance.get_typed_func::<i32, i32>(&mut store, "double")?;
            let four = double.call_async(&mut store, 2).await?;
            double.call_async(&mut store, four).await
        })
    });
    assert_eq!(pin_and_wait(started)?, 8);
    assert_eq!(pool.stats().out, 0);
    Ok(())
}

/// Runs a future that may borrow to its end.
fn pin_and_wait<F: std::future::Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        match poll(future.as_mut()) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::yield_now(),
        }
    }
}

#[test]
fn an_instance_with_a_call_in_progress_comes_back_when_the_call_ends() -> Result<(), Error> {
    let shared = Shared::default();
    let pool = pool_of(1, &shared)?;
    for &way in Way::ALL {
        let instance = pool.try_get()?;
        let mut future = instance.call::<i32, i32>("double", 4)?;
        drop(instance);
        assert_eq!(places(&pool), (0, 1, 0), "{way:?}");
        assert_eq!(way.finish(&mut future)?, 8);
        assert_eq!(places(&pool), (1, 0, 0), "{way:?}: before the result is taken by anyone else");
    }
    assert_eq!(shared.made.get(), 1);
    Ok(())
}

#[test]
fn dropping_a_request_cancels_it_and_brings_its_instance_back() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    for export in ["wait", "forever"] {
        let jobs = workers(1);
        let mut request = Box::pin(pool.call::<(), ()>(&jobs, export, ()));
        assert!(poll(request.as_mut()).is_pending());
        assert_eq!(pool.stats().out, 1);
        drop(request);
        // The guest stops at its next loop iteration, on the worker.
        drop(pool.get_blocking()?);
    }
    let PoolStats { resets, made, .. } = pool.stats();
    assert!(resets <= 2 && made == 1 + resets, "a call that had begun has left the guest half-way");
    assert_eq!(count_once(&pool)?, 1);
    Ok(())
}

#[test]
fn a_guest_that_stays_in_its_host_function_holds_up_nobody_else() -> Result<(), Error> {
    let shared = Shared::default();
    let pool = pool_of(2, &shared)?;
    let ((begun, has_begun), (may_end, waits)) = (channel(), channel());
    *shared.gate.lock().unwrap() = Some((begun, waits));
    let instance = pool.try_get()?;
    let mut future = instance.call::<(), ()>("block", ())?;
    let job = a_thread_each.submit(future.to_job()?);
    drop(instance);
    has_begun.recv().unwrap();
    drop(future);
    assert_eq!(places(&pool), (0, 1, 0));
    for _ in 0..10 {
        assert!(count_once(&pool)? > 0, "the other instance serves");
    }
    may_end.send(()).unwrap();
    job.wait();
    assert_eq!(pool.stats().out, 0, "it came back when the host function returned");
    Ok(())
}

#[test]
fn what_happens_to_an_instance_that_comes_back_is_chosen() -> Result<(), Error> {
    let shared = Shared::default();
    let make = || make(&shared, InstanceOptions::default());
    let trap = |pool: &InstancePool<Host>| -> Result<(), Error> {
        let instance = pool.try_get()?;
        assert!(matches!(instance.call::<(), ()>("trap", ())?.wait(), Err(Error::Trap(_))));
        Ok(())
    };

    // By default, one that is poisoned is not kept.
    let pool = InstancePool::new(1, make()?)?;
    assert_eq!((count_once(&pool)?, count_once(&pool)?), (1, 2));
    trap(&pool)?;
    assert_eq!((places(&pool), pool.stats().resets), ((0, 0, 0), 1));
    assert_eq!(count_once(&pool)?, 1);

    let keep = InstancePool::with_on_return(1, make()?, |_| OnReturn::Keep)?;
    trap(&keep)?;
    let instance = keep.try_get()?;
    assert!(instance.is_poisoned() && matches!(count(&instance), Err(Error::Poisoned)));
    instance.clear_poison()?;
    assert_eq!(count(&instance)?, 2, "it is the same guest");

    let fresh = InstancePool::with_on_return(1, make()?, |_| OnReturn::Reset)?;
    assert_eq!((count_once(&fresh)?, count_once(&fresh)?), (1, 1));
    assert_eq!((fresh.stats().made, fresh.stats().resets), (2, 2));

    // A closure looks at the guest: each serves two calls.
    let two = InstancePool::with_on_return(1, make()?, |instance| {
        let mut store = instance.store().expect("nobody else has it");
        let calls = store.global("calls").expect("it is exported");
        if calls.get(&mut store).i32() < Some(2) { OnReturn::Keep } else { OnReturn::Reset }
    })?;
    let counts: Vec<_> = (0..5).map(|_| count_once(&two)).collect::<Result<_, Error>>()?;
    assert_eq!(counts, [1, 2, 1, 2, 1]);

    // One that panics decides nothing, and the guest is not trusted.
    let panics = InstancePool::with_on_return(1, make()?, |_| panic!("on purpose"))?;
    assert_eq!((count_once(&panics)?, count_once(&panics)?), (1, 1));
    assert_eq!(panics.stats().out, 0);
    Ok(())
}

#[test]
fn a_function_of_an_instance_is_of_no_use_once_that_went_back() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    let instance = pool.try_get()?;
    let stale = instance.func::<(), i32>("count")?;
    assert_eq!(stale.call(())?.wait()?, 1);
    drop(instance);
    let next = pool.try_get()?;
    let error = stale.call(()).expect_err("the guest is another caller's now");
    assert!(matches!(error, Error::GivenBack), "{error}");
    assert_eq!(count(&next)?, 2);
    Ok(())
}

#[test]
fn an_instance_that_cannot_be_made_is_an_error_at_the_first_moment() -> Result<(), Error> {
    let shared = Shared::default();
    let made = make(&shared, InstanceOptions::default())?;
    let error = InstancePool::new(0, made).expect_err("nobody can be served");
    assert!(matches!(error, Error::EmptyPool), "{error}");

    let too_small = InstanceOptions::default().memory(1);
    let error = InstancePool::new(5, make(&shared, too_small)?).expect_err("it needs a page");
    assert!(error.to_string().contains("counts"), "it names the module: {error}");

    let other = super::small_engine();
    let pre = pre(&shared)?;
    let wrong = move || {
        Instance::with_store(&pre, wasm_jobs::wasmtime::Store::new(&other, Host::default()))
    };
    let error = InstancePool::new(5, wrong).expect_err("the module has another engine");
    assert!(
        matches!(&error, Error::OtherEngine { module } if module.contains("counts")),
        "{error}"
    );

    let pool = pool_of(1, &shared)?;
    pool.require::<(), i32>("count")?;
    let error = pool.require::<(), i32>("cuont").expect_err("it is spelled wrong");
    assert!(matches!(&error, Error::ExportNotFound { export } if &**export == "cuont"), "{error}");
    let error = pool.require::<i32, i32>("count").expect_err("it has no parameter");
    assert!(matches!(error, Error::Signature(_)), "{error}");
    assert_eq!(places(&pool), (1, 0, 0), "looking has cost nothing");
    Ok(())
}

#[test]
fn an_instance_that_cannot_be_made_later_is_the_callers_error_and_loses_no_room()
-> Result<(), Error> {
    for way in ["an error", "a panic"] {
        let shared = Shared::default();
        let makes = AtomicUsize::new(0);
        let works = make(&shared, InstanceOptions::default())?;
        let pool = InstancePool::new(2, move || match makes.fetch_add(1, SeqCst) {
            1 if way == "a panic" => panic!("on purpose"),
            1 => Err(Error::other("on purpose")),
            _ => works(),
        })?;
        let first = pool.try_get()?;
        let mut waits = Vec::new();
        let error = pool.try_get().expect_err("the second cannot be made");
        assert!(error.to_string().contains("on purpose"), "{error}");
        assert_eq!(places(&pool), (0, 1, 0), "{way}");
        let second = pool.try_get()?;
        waits.push(Box::pin(pool.get()));
        assert!(poll(waits[0].as_mut()).is_pending());
        drop((first, second));
        assert!(poll(waits[0].as_mut()).is_ready());
    }
    Ok(())
}

#[test]
fn the_pool_may_go_before_its_instances() -> Result<(), Error> {
    let pool = pool_of(2, &Shared::default())?;
    let instance = pool.try_get()?;
    let mut future = instance.call::<i32, i32>("double", 3)?.into_send();
    let mut waits = Box::pin(pool.get());
    drop((pool, instance));
    assert!(poll(waits.as_mut()).is_ready());
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.wait()?, 6);
    Ok(())
}

#[test]
fn ten_thousand_requests_of_which_some_trap_time_out_or_are_cancelled() -> Result<(), Error> {
    const TASKS: usize = 200;
    const REQUESTS: usize = 10_000 / TASKS;
    const INSTANCES: usize = 100;

    let shared = Shared::default();
    let options = InstanceOptions::default().running_timeout(Duration::from_secs(1));
    let pool = InstancePool::new(INSTANCES, make(&shared, options)?)?;
    let jobs = workers(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let most_out = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (pool, jobs, most_out) = (pool.clone(), jobs.clone(), most_out.clone());
            runtime.spawn(async move {
                let mut ends = [0; 4];
                for request in 0..REQUESTS {
                    most_out.fetch_max(pool.stats().out, SeqCst);
                    // One in a hundred of each, at a time of its own in each task.
                    match (task * REQUESTS + request + 31 * task) % 100 {
                        0 => {
                            let end = pool.call::<(), ()>(&jobs, "trap", ()).await;
                            assert!(matches!(end, Err(Error::Trap(_))), "{end:?}");
                            ends[0] += 1;
                        }
                        1 => {
                            let end = pool.call::<(), ()>(&jobs, "wait", ());
                            let mut end = Box::pin(end);
                            // Polled until it has an instance, and then dropped.
                            let polled = std::future::poll_fn(|context| {
                                Poll::Ready(end.as_mut().poll(context).is_ready())
                            });
                            assert!(!polled.await, "nobody sets the event");
                            drop(end);
                            ends[1] += 1;
                        }
                        2 if request % 14 == 0 => {
                            let end = pool.call::<(), ()>(&jobs, "forever", ()).await;
                            assert!(matches!(end, Err(Error::TimedOut(_))), "{end:?}");
                            ends[2] += 1;
                        }
                        _ => {
                            let number = i32::try_from(request).unwrap();
                            let end = pool.call::<i32, i32>(&jobs, "double", number).await;
                            assert_eq!(end.unwrap(), 2 * number);
                            ends[3] += 1;
                        }
                    }
                }
                ends
            })
        })
        .collect();
    let mut ends = [0; 4];
    for task in tasks {
        for (sum, end) in ends.iter_mut().zip(runtime.block_on(task).expect("no task panics")) {
            *sum += end;
        }
    }
    assert_eq!(ends.iter().sum::<usize>(), TASKS * REQUESTS);
    assert!(ends[0] >= 50 && ends[1] >= 50 && ends[2] >= 4, "{ends:?}");
    assert!(most_out.load(SeqCst) <= INSTANCES);
    // A call that was cancelled may still be in a worker's hands.
    let all: Vec<_> = (0..INSTANCES).map(|_| pool.get_blocking()).collect::<Result<_, _>>()?;
    assert_eq!(places(&pool), (0, INSTANCES, 0));
    drop(all);
    assert_eq!(places(&pool), (INSTANCES, 0, 0));
    Ok(())
}

#[test]
fn a_request_with_too_little_time_is_told_so_and_its_instance_is_replaced() -> Result<(), Error> {
    let options = InstanceOptions::default().running_timeout(Duration::from_millis(5));
    let shared = Shared::default();
    let pool = retry_timeouts(|| InstancePool::new(1, make(&shared, options.clone())?))?;
    let end = pin_and_wait(pool.call::<(), ()>(&workers(1), "forever", ()));
    assert!(matches!(end, Err(Error::TimedOut(_))), "{end:?}");
    assert_eq!((places(&pool), pool.stats().resets), ((0, 0, 0), 1));
    Ok(())
}

#[test]
fn a_pool_makes_instances_in_advance_and_changes_how_it_makes_them() -> Result<(), Error> {
    let shared = Shared::default();
    let pool = pool_of(3, &shared)?;
    pool.prewarm(2)?;
    assert_eq!((shared.made.get(), places(&pool)), (2, (2, 0, 0)));
    pool.prewarm(9)?;
    assert_eq!((shared.made.get(), places(&pool)), (3, (3, 0, 0)));

    let out = pool.try_get()?;
    assert_eq!((count(&out)?, count_once(&pool)?), (1, 1));
    let bad = || Err(Error::other("on purpose"));
    assert!(pool.replace(bad).is_err());
    assert_eq!((count_once(&pool)?, places(&pool)), (2, (2, 1, 0)), "nothing has changed");

    let other = Shared::default();
    pool.replace(make(&other, InstanceOptions::default())?)?;
    assert_eq!((other.made.get(), places(&pool)), (1, (1, 1, 0)));
    assert_eq!(count(&out)?, 2, "what is out goes on");
    drop(out);
    assert_eq!((places(&pool), pool.stats().resets), ((1, 0, 0), 3));
    let new = [pool.try_get()?, pool.try_get()?, pool.try_get()?];
    assert_eq!((other.made.get(), shared.made.get()), (3, 3));
    drop(new);
    Ok(())
}

#[test]
fn an_instance_is_discarded_by_its_caller_and_a_changed_one_is_not_lent_again() -> Result<(), Error>
{
    let shared = Shared::default();
    let pool = InstancePool::with_on_return(1, make(&shared, InstanceOptions::default())?, |_| {
        OnReturn::Keep
    })?;
    assert_eq!(count_once(&pool)?, 1);
    pool.try_get()?.discard();
    assert_eq!((count_once(&pool)?, pool.stats().resets), (1, 1));

    let instance = pool.try_get()?;
    instance.reset_to(&pre(&shared)?)?;
    assert_eq!(count(&instance)?, 1);
    drop(instance);
    assert_eq!(
        (count_once(&pool)?, pool.stats().resets),
        (1, 2),
        "another module may be another plugin"
    );

    let instance = pool.try_get()?;
    instance.set_slice(Slice::Time(Duration::from_millis(3)))?;
    drop(instance);
    let instance = pool.try_get()?;
    assert_eq!((instance.slice(), count(&instance)?), (Slice::Unbounded, 2));
    Ok(())
}

#[test]
fn a_plain_instance_goes_back_when_it_is_dropped() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    let instance: Instance<Host> = pool.try_get()?.into_instance();
    let mut future: Future<i32> = instance.call::<i32, i32>("double", 2)?;
    assert_eq!(places(&pool), (0, 1, 0));
    drop(instance);
    assert_eq!((future.wait()?, places(&pool)), (4, (1, 0, 0)));
    Ok(())
}

#[test]
fn what_on_return_keeps_of_an_instance_is_of_no_use() -> Result<(), Error> {
    type Kept = Arc<Mutex<Vec<(Func<(), i32, Host>, Option<SendFuture<()>>)>>>;
    let kept = Kept::default();
    let keep = kept.clone();
    let made = make(&Shared::default(), InstanceOptions::default())?;
    let pool = InstancePool::with_on_return(1, made, move |instance| {
        let func = instance.func::<(), i32>("count").expect("it is exported");
        let mut kept = keep.lock().unwrap();
        let call = || instance.call::<(), ()>("wait", ()).into_send().expect("it is free");
        let call = kept.is_empty().then(call);
        kept.push((func, call));
        OnReturn::Keep
    })?;
    assert_eq!(count_once(&pool)?, 1);
    assert_eq!((places(&pool), pool.stats().resets), ((0, 0, 0), 1), "a call has the guest");
    assert_eq!(count_once(&pool)?, 1, "the next caller gets another");
    assert_eq!(count_once(&pool)?, 2, "and that one stays");
    let entries: Vec<_> = kept.lock().unwrap().drain(..).collect();
    for (func, call) in entries {
        drop(call);
        let error = func.call(()).expect_err("the guest is the pool's, or gone");
        assert!(matches!(error, Error::GivenBack), "{error}");
    }
    assert_eq!(count_once(&pool)?, 3);
    Ok(())
}

#[test]
fn on_return_panics_with_a_payload_that_panics() -> Result<(), Error> {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let pool = InstancePool::with_on_return(
        1,
        make(&Shared::default(), InstanceOptions::default())?,
        |_| std::panic::panic_any(Bomb),
    )?;
    for _ in 0..3 {
        assert_eq!(count_once(&pool)?, 1);
    }
    assert_eq!((places(&pool), pool.stats().resets), ((0, 0, 0), 3));
    Ok(())
}

#[test]
fn a_state_whose_destructor_panics_costs_no_place_in_the_engine() -> Result<(), Error> {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let engine = wasm_jobs::engine(&wasm_jobs::EngineOptions::default().pooling(1))?;
    let pre = wasm_jobs::wasmtime::Linker::new(&engine)
        .instantiate_pre(&compile(&engine, "(module)")?)?;
    let make = move || Instance::with_options(&pre, InstanceOptions::default(), || Bomb);
    let pool = InstancePool::with_on_return(1, make, |_| OnReturn::Reset)?;
    for _ in 0..3 {
        let instance = pool.try_get()?;
        instance.reset()?;
    }
    assert_eq!(pool.stats().resets, 3);
    std::mem::forget(pool);
    Ok(())
}

#[test]
fn guests_go_with_the_pool_although_a_function_of_them_stays() -> Result<(), Error> {
    let dropped = Counter::default();
    let pre = wasm_jobs::wasmtime::Linker::new(&ENGINE)
        .instantiate_pre(&compile(&ENGINE, r#"(module (func (export "run")))"#)?)?;
    let guard = dropped.clone();
    let make = move || {
        let guard = guard.clone();
        Instance::with_options(&pre, InstanceOptions::default(), move || guard.on_drop())
    };
    let pool = InstancePool::new(3, make)?;
    let instances = [pool.try_get()?, pool.try_get()?, pool.try_get()?];
    let stale = instances[0].func::<(), ()>("run")?;
    drop(instances);
    assert_eq!(dropped.get(), 0);
    drop(pool);
    assert_eq!(dropped.get(), 3);
    assert!(matches!(stale.call(()), Err(Error::GivenBack)));
    Ok(())
}

#[test]
fn a_long_line_of_callers_is_dropped_by_the_wake_of_the_first() -> Result<(), Error> {
    /// A caller's task, which its waker drops.
    #[derive(Default)]
    struct Task(Mutex<Option<Pin<Box<dyn std::future::Future<Output = bool> + Send>>>>);
    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {
            let task = self.0.lock().unwrap().take();
            drop(task);
        }
    }
    let pool = pool_of(1, &Shared::default())?;
    let first = pool.try_get()?;
    for _ in 0..50_000 {
        let get = pool.get();
        let task = Arc::new(Task::default());
        let waker = Waker::from(task.clone());
        let mut get: Pin<Box<dyn std::future::Future<Output = bool> + Send>> =
            Box::pin(async { get.await.is_ok() });
        assert!(get.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        *task.0.lock().unwrap() = Some(get);
    }
    assert_eq!(pool.stats().waiting, 50_000);
    drop(first);
    assert_eq!(places(&pool), (1, 0, 0));
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn closures_of_rayon_wait_for_the_only_instance_on_the_only_worker() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    let rayon = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let first = pool.try_get()?;
    let jobs = [(); 3].map(|()| {
        let pool = pool.clone();
        rayon.submit_fn(move || drop(pool.get_blocking().expect("it comes back")))
    });
    while pool.stats().waiting == 0 {
        thread::yield_now();
    }
    drop(first);
    wasm_jobs::JobHandle::all(jobs).wait();
    assert_eq!(places(&pool), (1, 0, 0));

    // The instance is with a call that this worker has to run.
    let instance = pool.try_get()?;
    let mut future = instance.call::<i32, i32>("double", 1)?;
    drop(instance);
    let waits = {
        let pool = pool.clone();
        rayon.submit_fn(move || drop(pool.get_blocking().expect("it comes back")))
    };
    rayon.submit(future.to_job()?).wait();
    waits.wait();
    assert_eq!(future.wait()?, 2);
    Ok(())
}

#[test]
fn tasks_that_travel_make_calls_in_one_expression() -> Result<(), Error> {
    fn is_send<F: std::future::Future + Send>(future: F) -> F {
        future
    }
    let pool = pool_of(2, &Shared::default())?;
    let calls = pool.clone();
    let by_pool = is_send(async move {
        let instance = calls.get().await?;
        instance.call::<i32, i32>("double", 1)?.await
    });
    assert_eq!(Future::new(by_pool).wait()?, 2);

    let instance = pool.try_get()?.into_instance();
    let by_word = is_send(async move {
        let func = instance.func::<i32, i32>("double")?;
        let one = instance.call::<i32, i32>("double", 1).into_send()?.await?;
        let two = func.call(one).into_send()?.await?;
        let three = instance.try_call::<i32, i32>("double", two).into_send()?.await?;
        let start = instance.start(|_, _| Box::pin(async { Ok(1) })).into_send()?.await?;
        let inputs = vec![1, 2, 3];
        let jobs = workers(1);
        let mapped = std::slice::from_ref(&instance).par_map(&jobs, inputs, "double");
        let mapped: Vec<Result<i32, Error>> = mapped.submit().into_send()?.await;
        Ok((three.unwrap(), start, mapped.into_iter().map(Result::unwrap).sum::<i32>()))
    });
    assert_eq!(Future::new(by_word).wait()?, (8, 1, 12));
    let sent: wasm_jobs::SendFuture<i32> = Future::new(async { Ok(1) }).into();
    drop(sent);
    Ok(())
}

#[test]
fn par_map_tells_that_its_instance_went_back() -> Result<(), Error> {
    let pool = pool_of(1, &Shared::default())?;
    let instance = pool.try_get()?;
    let jobs = crate::support::Queue::default();
    let plain: &Instance<Host> = &instance;
    let mapped = std::slice::from_ref(plain).par_map(&jobs, vec![1, 2], "double").submit()?;
    drop(instance);
    jobs.run();
    let results: Vec<Result<i32, Error>> = mapped.wait();
    assert!(results.iter().all(|result| matches!(result, Err(Error::GivenBack))), "{results:?}");
    Ok(())
}
