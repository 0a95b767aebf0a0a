//! Components: calls of exports that `bindgen!` typed, and of exports that a user made in other ways.

use crate::support::{Counter, Queue, Way, a_thread_each, counted, receives, retry_timeouts};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use wasm_jobs::wasmtime::component::{Component, HasSelf, Linker, bindgen};
use wasm_jobs::wasmtime::{self, Engine, Trap, TypedFunc};
use wasm_jobs::{
    Coroutines, EngineOptions, Error, Event, Future, Instance, InstanceOptions, JobPool, Slice,
    Step, Timeout, engine, yield_now,
};

bindgen!({
    path: "guests/greeter.wit",
    wasmtime_crate: wasm_jobs::wasmtime,
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [PartialEq],
});

const WASM: &[u8] = include_bytes!("../../../guests/greeter.wasm");

/// The number of core instances in a greeter: itself, and two for the strings that it exchanges with the guard.
const PARTS: u32 = 3;

/// The engine of most tests.
static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| engine(&pool_of(40)).expect("the engine and its pool"));

/// The greeter, compiled for this engine.
static GREETER: LazyLock<GreeterPre<Village>> =
    LazyLock::new(|| compile_greeter(&ENGINE).expect("the component and its imports"));

fn pool_of(greeters: u32) -> EngineOptions {
    EngineOptions::default().pooling(greeters).core_instances_per_component(PARTS)
}

/// The host state of a greeter.
#[derive(Default)]
struct Village {
    /// `pause` waits for this event. Without an event, it yields once.
    event: Option<Event>,
    /// Counts the polls of a pause.
    looks: Counter,
    pauses: u32,
    guard: Guard,
}

#[derive(Clone, Copy, Default)]
enum Guard {
    #[default]
    Agrees,
    Refuses(&'static str),
    IsAway,
    Panics,
}

#[derive(Debug, thiserror::Error)]
#[error("the guard is away")]
struct Away;

impl GreeterImports for Village {
    async fn pause(&mut self) -> wasmtime::Result<()> {
        self.pauses += 1;
        match &self.event {
            Some(event) => counted(&self.looks, event.wait()).await,
            None => yield_now().await,
        }
        Ok(())
    }

    async fn ask_guard(&mut self, who: Creature) -> wasmtime::Result<Result<(), String>> {
        yield_now().await;
        match self.guard {
            Guard::Agrees => Ok(Ok(())),
            Guard::Refuses(why) => Ok(Err(format!("{}: {why}", who.name))),
            Guard::IsAway => Err(Away.into()),
            Guard::Panics => panic!("the guard has seen {} legs", who.legs),
        }
    }
}

type Guest = Instance<Village, Greeter>;

static_assertions::assert_impl_all!(Guest: Send, Sync);

fn compile_greeter(engine: &Engine) -> Result<GreeterPre<Village>, Error> {
    let mut linker = Linker::new(engine);
    Greeter::add_to_linker::<_, HasSelf<_>>(&mut linker, |village: &mut Village| village)?;
    Ok(GreeterPre::new(linker.instantiate_pre(&Component::new(engine, WASM)?)?)?)
}

fn greeter_of(
    pre: &GreeterPre<Village>,
    options: InstanceOptions,
    village: impl Fn() -> Village + Send + Sync + 'static,
) -> Result<Guest, Error> {
    let pre = pre.clone();
    Instance::with_exports(&pre.engine().clone(), options, village, move |store| {
        let pre = pre.clone();
        Box::pin(async move { pre.instantiate_async(store).await })
    })
}

fn greeter(village: impl Fn() -> Village + Send + Sync + 'static) -> Result<Guest, Error> {
    greeter_of(&GREETER, InstanceOptions::default(), village)
}

/// A greeter with an engine of its own.
fn greeter_with(engine_options: &EngineOptions, options: InstanceOptions) -> Result<Guest, Error> {
    greeter_of(&compile_greeter(&engine(engine_options)?)?, options, Village::default)
}

fn creature(name: &str, legs: u32, hungry: bool) -> Creature {
    Creature { name: name.into(), legs, hungry }
}

fn greet(guest: &Guest, name: &'static str) -> Result<Future<String>, Error> {
    guest.start(move |mut store, greeter| {
        Box::pin(async move { greeter.call_greet(&mut store, name).await })
    })
}

/// A call that pauses once for each visitor.
fn receive(guest: &Guest, visitors: &[&str]) -> Result<Future<Vec<String>>, Error> {
    let visitors: Vec<_> = visitors.iter().map(|name| creature(name, 2, false)).collect();
    guest.start(|mut store, greeter| {
        Box::pin(async move { greeter.call_receive(&mut store, &visitors).await })
    })
}

fn admit(guest: &Guest, who: Creature) -> Result<Future<Result<(), String>>, Error> {
    guest.start(|mut store, greeter| {
        Box::pin(async move { greeter.call_admit(&mut store, &who).await })
    })
}

fn learn(guest: &Guest, songs: u32) -> Result<Future<Result<u32, String>>, Error> {
    guest.start(move |mut store, greeter| {
        Box::pin(async move { greeter.call_learn(&mut store, songs).await })
    })
}

fn keep_watch(guest: &Guest) -> Result<Future<()>, Error> {
    guest.start(|mut store, greeter| {
        Box::pin(async move { greeter.call_keep_watch(&mut store).await })
    })
}

fn stumble(guest: &Guest) -> Result<Future<()>, Error> {
    guest
        .start(|mut store, greeter| Box::pin(async move { greeter.call_stumble(&mut store).await }))
}

/// Asserts that a poisoned guest refuses calls, and that its store can be read.
fn assert_poisoned(guest: &Guest) -> Result<(), Error> {
    assert!(guest.is_poisoned());
    assert!(matches!(greet(guest, "Ember"), Err(Error::Poisoned)));
    guest.store()?.exports()?;
    Ok(())
}

fn assert_well(guest: &Guest) -> Result<(), Error> {
    assert!(!guest.is_poisoned());
    assert_eq!(greet(guest, "Ember")?.wait()?, "Good day, Ember!");
    Ok(())
}

#[test]
fn a_string_goes_in_and_another_comes_out() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    for name in ["Ember", "", "Ästhil the Öld 🐉"] {
        assert_eq!(greet(&guest, name)?.wait()?, format!("Good day, {name}!"));
    }
    Ok(())
}

#[test]
fn a_record_goes_in_and_comes_back_changed() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut fed = guest.start(|mut store, greeter| {
        Box::pin(async move { greeter.call_feed(&mut store, &creature("Ember", 4, true)).await })
    })?;
    assert_eq!(fed.wait()?, creature("Ember", 4, false));
    Ok(())
}

#[test]
fn a_list_goes_in() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let total = |numbers: Vec<u32>| {
        guest.start(|mut store, greeter| {
            Box::pin(async move { greeter.call_total(&mut store, &numbers).await })
        })
    };
    assert_eq!(total(vec![])?.wait()?, 0);
    assert_eq!(total(vec![u32::MAX; 10_000])?.wait()?, 10_000 * u64::from(u32::MAX));
    assert_eq!(total((1..=100).collect())?.wait()?, 5050);
    Ok(())
}

#[test]
fn each_case_of_a_variant_comes_out() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let offer = |hungry| {
        guest.start(move |mut store, greeter| {
            Box::pin(
                async move { greeter.call_offer(&mut store, &creature("Ember", 4, hungry)).await },
            )
        })
    };
    assert_eq!(offer(false)?.wait()?, Gift::Nothing);
    assert_eq!(offer(true)?.wait()?, Gift::Berries(12));
    learn(&guest, 1)?.wait()?.expect("there is room for a song");
    assert_eq!(offer(false)?.wait()?, Gift::Song("O Ember, how you walk!".into()));
    Ok(())
}

#[test]
fn an_option_comes_out_and_the_guest_remembers() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let last = || {
        guest.start(|mut store, greeter| {
            Box::pin(async move { greeter.call_last_admitted(&mut store).await })
        })
    };
    assert_eq!(last()?.wait()?, None);
    admit(&guest, creature("Ember", 4, true))?.wait()?.expect("the guard agrees");
    greet(&guest, "Somebody Else")?.wait()?;
    assert_eq!(last()?.wait()?, Some(creature("Ember", 4, true)));
    guest.reset()?;
    assert_eq!(last()?.wait()?, None, "this is another guest");
    Ok(())
}

#[test]
fn an_error_that_the_guest_returns_is_a_value_and_poisons_nothing() -> Result<(), Error> {
    let guest = greeter(|| Village { guard: Guard::Refuses("not today"), ..Village::default() })?;
    // The first error comes from the host and passes through the guest. The second is the guest's own.
    assert_eq!(admit(&guest, creature("Ember", 4, true))?.wait()?, Err("Ember: not today".into()));
    let endless = creature(&"Em".repeat(100), 4, true);
    assert_eq!(admit(&guest, endless)?.wait()?, Err("nobody can remember such a name".into()));
    assert_well(&guest)?;
    guest.store()?.data_mut().guard = Guard::Agrees;
    assert_eq!(admit(&guest, creature("Ember", 4, true))?.wait()?, Ok(()));
    Ok(())
}

#[test]
fn a_call_stops_at_each_pause() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut future = receive(&guest, &["Ember", "Moss", "Pip"])?;
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Yielded);
        assert_eq!(future.try_get_result()?, None);
    }
    assert_eq!(future.resume()?, Step::Done);
    let greetings = future.try_get_result()?.expect("the call is done");
    assert_eq!(greetings, ["Good day, Ember!", "Good day, Moss!", "Good day, Pip!"]);
    assert_eq!(guest.store()?.data().pauses, 3);
    Ok(())
}

#[test]
fn nothing_of_the_guest_runs_before_the_first_step() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let begun = Counter::default();
    let counts = begun.clone();
    let mut future = guest.start(move |mut store, greeter| {
        counts.add();
        Box::pin(async move { greeter.call_greet(&mut store, "Ember").await })
    })?;
    assert_eq!(begun.get(), 0);
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(begun.get(), 1);
    assert_eq!(future.wait()?, "Good day, Ember!");
    Ok(())
}

#[test]
fn a_call_comes_to_its_end_whichever_way_it_is_brought_there() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    for &way in Way::ALL {
        let greetings = way.finish(&mut receive(&guest, &["Ember", "Moss"])?)?;
        assert_eq!(greetings, ["Good day, Ember!", "Good day, Moss!"], "{way:?}");
        let refused = way.finish(&mut stumble(&guest)?);
        assert!(matches!(refused, Err(Error::Trap(_))), "{way:?}");
        guest.reset()?;
    }
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn many_greeters_are_at_work_on_rayon() -> Result<(), Error> {
    const NAMES: [&str; 5] = ["Ember", "Moss", "Pip", "Thorn", "Willow"];
    let guests: Vec<_> =
        (0..10).map(|_| greeter(Village::default)).collect::<Result<_, Error>>()?;
    let mut calls =
        guests.iter().map(|guest| receive(guest, &NAMES)).collect::<Result<Vec<_>, _>>()?;
    let jobs: Result<Vec<_>, Error> =
        calls.iter_mut().map(|call| Ok(wasm_jobs::RayonGlobal.submit(call.to_job()?))).collect();
    wasm_jobs::JobHandle::all(jobs?).wait();
    for (call, guest) in calls.iter_mut().zip(&guests) {
        let greetings = call.try_get_result()?.expect("the job of the call is complete");
        assert_eq!(greetings, NAMES.map(|name| format!("Good day, {name}!")));
        assert_eq!(guest.store()?.data().pauses, 5);
    }
    Ok(())
}

#[test]
fn a_coroutine_awaits_a_call_with_a_pause_a_frame() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let guest = greeter(Village::default)?;
    let mut coroutine = coroutines.spawn(async move {
        let greetings = receive(&guest, &["Ember", "Moss"])?.await?;
        let fallen = stumble(&guest)?.await;
        assert!(matches!(fallen, Err(Error::Trap(_))), "{fallen:?}");
        guest.reset()?;
        Ok::<_, Error>(greetings.len() + receive(&guest, &["Pip"])?.await?.len())
    });
    for _ in 0..3 {
        coroutines.tick();
        assert!(!coroutine.is_finished());
    }
    coroutines.tick();
    assert_eq!(coroutine.try_get_result()?.expect("the coroutine has finished")?, 3);
    Ok(())
}

#[test]
fn a_call_that_waits_for_an_event_takes_no_step_until_then() -> Result<(), Error> {
    let (event, looks) = (Event::default(), Counter::default());
    let village = {
        let (event, looks) = (event.clone(), looks.clone());
        move || Village { event: Some(event.clone()), looks: looks.clone(), ..Village::default() }
    };
    let guest = greeter(village)?;
    let mut future = receive(&guest, &["Ember"])?;
    for _ in 0..10 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    assert_eq!(looks.get(), 1);

    let pool = Queue::default();
    let job = pool.submit(future.to_job()?);
    pool.run();
    assert_eq!(pool.len(), 0, "nothing is to be done");
    assert!(!job.is_complete());
    assert_eq!(looks.get(), 1);
    event.set();
    assert_eq!(pool.len(), 1);
    pool.run();
    assert!(job.is_complete());
    assert_eq!(looks.get(), 2);
    assert_eq!(future.wait()?, ["Good day, Ember!"]);
    Ok(())
}

#[test]
fn a_second_call_is_refused_and_the_first_goes_on() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut first = receive(&guest, &["Ember"])?;
    assert!(matches!(greet(&guest, "Moss"), Err(Error::CallInProgress)));
    assert_eq!(first.resume()?, Step::Yielded);
    assert!(matches!(greet(&guest, "Moss"), Err(Error::CallInProgress)));
    assert!(matches!(guest.store(), Err(Error::CallInProgress)));
    assert!(matches!(guest.reset(), Err(Error::CallInProgress)));
    assert_eq!(first.wait()?, ["Good day, Ember!"]);
    assert_eq!(greet(&guest, "Moss")?.wait()?, "Good day, Moss!");
    Ok(())
}

#[test]
fn one_call_may_be_several_of_the_guest() -> Result<(), Error> {
    let guest = greeter(|| Village { guard: Guard::Refuses("no"), ..Village::default() })?;
    let mut day = guest.start(|mut store, greeter| {
        Box::pin(async move {
            let mut told = greeter.call_receive(&mut store, &[creature("Moss", 2, true)]).await?;
            store.data_mut().guard = Guard::Agrees;
            yield_now().await;
            let fed = greeter.call_feed(&mut store, &creature("Ember", 4, true)).await?;
            if greeter.call_admit(&mut store, &fed).await?.is_ok() {
                told.push(greeter.call_greet(&mut store, &fed.name).await?);
            }
            Ok((told, greeter.call_last_admitted(&mut store).await?))
        })
    })?;
    // The call yields at the pause, in the closure, and at the guard.
    for _ in 0..3 {
        assert_eq!(day.resume()?, Step::Yielded);
    }
    assert_eq!(day.resume()?, Step::Done);
    let (told, last) = day.wait()?;
    assert_eq!(told, ["Good day, Moss!", "Good day, Ember!"]);
    assert_eq!(last, Some(creature("Ember", 4, false)));
    Ok(())
}

#[test]
fn what_is_exported_can_be_looked_at_between_calls() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut store = guest.store()?;
    store.data_mut().pauses = 7;
    assert!(matches!(greet(&guest, "Ember"), Err(Error::CallInProgress)));
    let _: &Greeter = store.exports()?;
    drop(store);
    receive(&guest, &["Ember"])?.wait()?;
    assert_eq!(guest.store()?.data().pauses, 8);
    Ok(())
}

#[test]
fn a_trap_poisons_and_a_reset_makes_another_guest_in_another_state() -> Result<(), Error> {
    let states = Counter::default();
    let guest = greeter({
        let states = states.clone();
        move || {
            states.add();
            Village::default()
        }
    })?;
    for round in 1..4 {
        assert_eq!(states.get(), round);
        receive(&guest, &["Moss"])?.wait()?;
        match stumble(&guest)?.wait() {
            Err(Error::Trap(trap)) => {
                assert_eq!(trap.code(), Trap::UnreachableCodeReached);
                assert!(trap.backtrace().is_some());
            }
            other => panic!("{other:?}"),
        }
        assert_poisoned(&guest)?;
        assert_eq!(guest.store()?.data().pauses, 1);
        guest.reset()?;
        assert_eq!(guest.store()?.data().pauses, 0);
        assert_well(&guest)?;
    }
    Ok(())
}

#[test]
fn a_component_that_was_left_half_way_is_not_entered_again_even_if_it_is_declared_fit()
-> Result<(), Error> {
    type Leave = fn(&Guest) -> Result<(), Error>;
    let guest = greeter(Village::default)?;
    let leaves: [Leave; 3] = [
        |guest| {
            assert!(matches!(stumble(guest)?.wait(), Err(Error::Trap(_))));
            Ok(())
        },
        |guest| {
            assert_eq!(receive(guest, &["Moss"])?.resume()?, Step::Yielded);
            Ok(())
        },
        |guest| {
            guest.store()?.data_mut().guard = Guard::IsAway;
            assert!(matches!(admit(guest, creature("Moss", 2, true))?.wait(), Err(Error::Host(_))));
            Ok(())
        },
    ];
    for leave in leaves {
        leave(&guest)?;
        assert_poisoned(&guest)?;
        guest.clear_poison()?;
        match greet(&guest, "Ember")?.wait() {
            Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::CannotEnterComponent),
            other => panic!("{other:?}"),
        }
        guest.reset()?;
        assert_well(&guest)?;
    }
    Ok(())
}

#[test]
fn an_error_of_the_closure_ends_the_call_and_poisons() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut future = guest.start(|mut store, greeter| {
        Box::pin(async move {
            greeter.call_greet(&mut store, "Ember").await?;
            Err::<(), _>(Away.into())
        })
    })?;
    match future.wait() {
        Err(Error::Host(error)) => assert!(error.is::<Away>()),
        other => panic!("{other:?}"),
    }
    assert_poisoned(&guest)?;
    // No function of the guest was in progress.
    guest.clear_poison()?;
    assert_well(&guest)
}

#[test]
fn an_error_of_a_host_function_ends_the_call_and_poisons() -> Result<(), Error> {
    let guest = greeter(|| Village { guard: Guard::IsAway, ..Village::default() })?;
    match admit(&guest, creature("Ember", 4, false))?.wait() {
        Err(Error::Host(error)) => assert!(error.is::<Away>()),
        other => panic!("{other:?}"),
    }
    assert_poisoned(&guest)?;
    guest.reset()?;
    assert_well(&guest)
}

#[test]
fn a_panic_of_a_host_function_is_the_callers() -> Result<(), Error> {
    let guest = greeter(|| Village { guard: Guard::Panics, ..Village::default() })?;
    for &way in Way::ALL {
        match way.finish(&mut admit(&guest, creature("Ember", 6, false))?) {
            Err(Error::Panic(panic)) => {
                assert_eq!(panic.message().as_deref(), Some("the guard has seen 6 legs"));
            }
            other => panic!("{way:?}: {other:?}"),
        }
        assert_poisoned(&guest)?;
        guest.reset()?;
        assert_well(&guest)?;
    }
    Ok(())
}

#[test]
fn a_panic_of_the_closure_is_the_callers() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut at_once = guest.start::<()>(|_, _| panic!("no work today"))?;
    assert!(matches!(at_once.wait(), Err(Error::Panic(_))));
    assert_poisoned(&guest)?;
    guest.reset()?;
    assert_well(&guest)
}

#[test]
fn a_call_dropped_half_way_poisons_and_frees_its_instance() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut future = receive(&guest, &["Ember", "Moss"])?;
    assert_eq!(future.resume()?, Step::Yielded);
    drop(future);
    assert_poisoned(&guest)?;
    assert_eq!(guest.store()?.data().pauses, 1);
    guest.reset()?;
    assert_well(&guest)?;

    let mut cancelled = receive(&guest, &["Ember", "Moss"])?;
    assert_eq!(cancelled.resume()?, Step::Yielded);
    cancelled.cancel();
    assert!(matches!(cancelled.wait(), Err(Error::Cancelled)));
    assert_poisoned(&guest)?;
    guest.reset()?;
    assert_well(&guest)
}

#[test]
fn a_call_dropped_before_its_first_step_poisons_nothing() -> Result<(), Error> {
    let (guest, held) = (greeter(Village::default)?, Counter::default());
    let holds = held.on_drop();
    let future = guest.start(move |_, _| {
        Box::pin(async move {
            drop(holds);
            Ok(())
        })
    })?;
    drop(future);
    assert_eq!(held.get(), 1, "the captures of the closure are dropped");
    assert_well(&guest)
}

#[test]
fn the_work_of_a_call_outlives_its_instance() -> Result<(), Error> {
    let guest = greeter(Village::default)?;
    let mut future = receive(&guest, &["Ember"])?;
    drop(guest);
    assert_eq!(future.wait()?, ["Good day, Ember!"]);
    Ok(())
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_endless_loop_yields_at_the_end_of_its_slice_and_is_cancelled() -> Result<(), Error> {
    let options = InstanceOptions::default().slice(Slice::Time(MS));
    let guest = greeter_with(&pool_of(1), options)?;
    let mut future = keep_watch(&guest)?;
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    future.cancel();
    assert!(matches!(future.wait(), Err(Error::Cancelled)));
    assert_poisoned(&guest)?;
    guest.reset()?;
    assert_well(&guest)
}

/// A call that sends a message when it begins, and then keeps watch.
fn notify_and_keep_watch(guest: &Guest) -> Result<(Future<()>, Receiver<()>), Error> {
    let (sender, begun): (Sender<()>, _) = channel();
    let future = guest.start(move |mut store, greeter| {
        Box::pin(async move {
            sender.send(()).expect("the test is receiving");
            greeter.call_keep_watch(&mut store).await
        })
    })?;
    Ok((future, begun))
}

#[test]
fn an_endless_loop_that_runs_elsewhere_is_cancelled() -> Result<(), Error> {
    let guest = greeter_with(&pool_of(1), InstanceOptions::default())?;
    for _ in 0..20 {
        let (mut future, begun) = notify_and_keep_watch(&guest)?;
        let job = a_thread_each.submit(future.to_job()?);
        assert!(receives(&begun));
        future.cancel();
        job.wait();
        assert!(matches!(future.wait(), Err(Error::Cancelled)));
        assert_poisoned(&guest)?;
        guest.reset()?;
    }
    assert_well(&guest)
}

#[test]
fn an_endless_loop_ends_when_it_has_run_for_its_time() -> Result<(), Error> {
    let options = InstanceOptions::default().running_timeout(20 * MS);
    let guest = retry_timeouts(|| greeter_of(&GREETER, options.clone(), Village::default))?;
    assert!(
        matches!(keep_watch(&guest)?.wait(), Err(Error::TimedOut(ref why)) if why.limit == Timeout::Running)
    );
    assert_poisoned(&guest)?;
    assert!(guest.time_used()? >= 20 * MS);
    retry_timeouts(|| guest.reset())?;
    assert!(!guest.is_poisoned());
    Ok(())
}

#[test]
fn time_that_is_up_ends_a_call_although_its_closure_makes_a_value_of_it() -> Result<(), Error> {
    let options = InstanceOptions::default().running_timeout(20 * MS);
    let guest = retry_timeouts(|| greeter_of(&GREETER, options.clone(), Village::default))?;
    let mut future = guest.start(|mut store, greeter| {
        Box::pin(async move { Ok(greeter.call_keep_watch(&mut store).await.is_err()) })
    })?;
    assert!(
        matches!(future.wait(), Err(Error::TimedOut(ref why)) if why.limit == Timeout::Running)
    );
    assert!(guest.is_poisoned());
    Ok(())
}

#[test]
fn a_wait_ends_when_the_time_has_passed() -> Result<(), Error> {
    let options = InstanceOptions::default().elapsed_timeout(20 * MS);
    let never = || Village { event: Some(Event::default()), ..Village::default() };
    let guest = retry_timeouts(|| greeter_of(&GREETER, options.clone(), never))?;
    let end = receive(&guest, &["Ember"])?.wait();
    assert!(
        matches!(end, Err(Error::TimedOut(ref why)) if why.limit == Timeout::Elapsed),
        "{end:?}"
    );
    assert!(guest.is_poisoned());
    Ok(())
}

#[test]
fn an_endless_loop_ends_when_its_fuel_is_used_up() -> Result<(), Error> {
    let options = InstanceOptions::default().fuel(100_000);
    let guest = greeter_with(&pool_of(1).fuel(true), options)?;
    for _ in 0..2 {
        match keep_watch(&guest)?.wait() {
            Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::OutOfFuel),
            other => panic!("{other:?}"),
        }
        assert_poisoned(&guest)?;
        assert_eq!(guest.fuel_remaining()?, 0);
        guest.reset()?;
    }
    // Each call has fuel of its own.
    for _ in 0..2 {
        assert_well(&guest)?;
        assert!((1..100_000).contains(&guest.fuel_remaining()?));
    }
    Ok(())
}

#[test]
fn an_endless_loop_yields_at_the_end_of_a_slice_of_fuel() -> Result<(), Error> {
    let options = InstanceOptions::default().slice(Slice::Fuel(10_000));
    let guest = greeter_with(&pool_of(1).fuel(true), options)?;
    let mut future = keep_watch(&guest)?;
    for _ in 0..5 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    drop(future);
    assert_poisoned(&guest)
}

#[test]
fn a_guest_has_no_more_memory_than_it_may() -> Result<(), Error> {
    const PAGE: usize = 65_536;
    let options = |pages| InstanceOptions::default().memory(pages * PAGE);
    let guest = greeter_of(&GREETER, options(50), Village::default)?;
    assert_eq!(learn(&guest, 20)?.wait()?, Ok(20));
    assert_eq!(learn(&guest, 20)?.wait()?, Err("my head is full".into()));
    assert_eq!(learn(&guest, 1)?.wait()?, Ok(21));
    assert_well(&guest)?;
    guest.reset()?;
    assert_eq!(learn(&guest, 20)?.wait()?, Ok(20), "a reset gives the guest a new memory");

    let made = greeter_of(&GREETER, options(5), Village::default);
    assert!(matches!(made, Err(Error::Wasmtime(_))), "{made:?}");
    Ok(())
}

#[test]
fn a_pool_holds_as_many_components_as_it_says() -> Result<(), Error> {
    let pre = compile_greeter(&engine(&pool_of(2))?)?;
    let make = || greeter_of(&pre, InstanceOptions::default(), Village::default);
    let mut guests = vec![make()?, make()?];
    for _ in 0..5 {
        match make() {
            Err(Error::TooManyInstances { instances, .. }) => assert_eq!(instances, 2),
            other => panic!("{other:?}"),
        }
        guests.remove(0);
        guests.push(make()?);
        for guest in &guests {
            assert_well(guest)?;
        }
    }
    // A reset works in a full pool too.
    guests[0].reset()?;
    assert_well(&guests[0])
}

#[test]
fn a_component_that_is_one_core_instance_takes_one_place_of_the_pool() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(2))?;
    let make = || picky(&engine, InstanceOptions::default(), || STARTS);
    let guests = [make()?, make()?];
    let made = make();
    assert!(matches!(made, Err(Error::TooManyInstances { instances: 2, .. })), "{made:?}");
    drop(guests);
    assert_eq!(double(&make()?, 3)?.wait()?, 6);
    Ok(())
}

#[test]
fn without_a_word_about_components_one_of_several_core_instances_takes_several_places()
-> Result<(), Error> {
    let pre = compile_greeter(&engine(&EngineOptions::default().pooling(2 * PARTS))?)?;
    let make = || greeter_of(&pre, InstanceOptions::default(), Village::default);
    let guests = [make()?, make()?];
    let made = make();
    assert!(matches!(made, Err(Error::TooManyInstances { instances: 6, .. })), "{made:?}");
    guests.iter().try_for_each(assert_well)
}

#[test]
fn a_component_of_more_core_instances_than_there_may_be_is_refused() -> Result<(), Error> {
    let options = EngineOptions::default().pooling(2).core_instances_per_component(PARTS - 1);
    match greeter_with(&options, InstanceOptions::default()) {
        Err(Error::Wasmtime(error)) => {
            let message = error.root_cause().to_string();
            assert!(message.contains("3 core module instances"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// A component with one core instance. It asks the host whether it may start. It traps on the answer 0, and loops for ever on the answer 2.
const PICKY: &str = r#"(component
    (import "may-start" (func $may_start (result u32)))
    (core func $may_start (canon lower (func $may_start)))
    (core module $guest
        (import "host" "may-start" (func $may_start (result i32)))
        (func $start (local $answer i32)
            (local.set $answer (call $may_start))
            (if (i32.eq (local.get $answer) (i32.const 0)) (then (unreachable)))
            (if (i32.eq (local.get $answer) (i32.const 2)) (then (loop $again (br $again)))))
        (func (export "double") (param i32) (result i32)
            (i32.mul (local.get 0) (i32.const 2)))
        (start $start))
    (core instance $host (export "may-start" (func $may_start)))
    (core instance $guest (instantiate $guest (with "host" (instance $host))))
    (func (export "double") (param "n" u32) (result u32)
        (canon lift (core func $guest "double"))))"#;

const TRAPS: u32 = 0;
const STARTS: u32 = 1;
const LOOPS: u32 = 2;
const FAILS: u32 = 3;
const PANICS: u32 = 4;

/// The host state is the answer to the question of the guest.
fn picky(
    engine: &Engine,
    options: InstanceOptions,
    answer: impl Fn() -> u32 + Send + Sync + 'static,
) -> Result<Instance<u32, wasmtime::component::Instance>, Error> {
    let component =
        Component::new(engine, wat::parse_str(PICKY).expect("the text of a component"))?;
    let mut linker = Linker::<u32>::new(engine);
    linker.root().func_wrap_async("may-start", |store, ()| {
        Box::new(async move {
            yield_now().await;
            match *store.data() {
                FAILS => Err(Away.into()),
                PANICS => panic!("this host cannot answer"),
                answer => Ok((answer,)),
            }
        })
    })?;
    let pre = linker.instantiate_pre(&component)?;
    Instance::with_exports(engine, options, answer, move |store| {
        let pre = pre.clone();
        Box::pin(async move { pre.instantiate_async(store).await })
    })
}

fn double(
    guest: &Instance<u32, wasmtime::component::Instance>,
    number: u32,
) -> Result<Future<u32>, Error> {
    guest.start(move |mut store, exports| {
        Box::pin(async move {
            let double = exports.get_typed_func::<(u32,), (u32,)>(&mut store, "double")?;
            Ok(double.call_async(&mut store, (number,)).await?.0)
        })
    })
}

#[test]
fn what_fails_while_a_component_is_made_is_told() -> Result<(), Error> {
    let make = |answer| picky(&ENGINE, InstanceOptions::default(), move || answer);
    assert_eq!(double(&make(STARTS)?, 21)?.wait()?, 42);
    match make(TRAPS) {
        Err(Error::Trap(trap)) => assert_eq!(trap.code(), Trap::UnreachableCodeReached),
        other => panic!("{other:?}"),
    }
    match make(FAILS) {
        Err(Error::Host(error)) => assert!(error.is::<Away>()),
        other => panic!("{other:?}"),
    }
    match make(PANICS) {
        Err(Error::Panic(panic)) => {
            assert_eq!(panic.message().as_deref(), Some("this host cannot answer"));
        }
        other => panic!("{other:?}"),
    }
    let options = InstanceOptions::default().running_timeout(20 * MS);
    let made = picky(&ENGINE, options, || LOOPS);
    assert!(
        matches!(made, Err(Error::TimedOut(ref why)) if why.limit == Timeout::Running),
        "{made:?}"
    );
    Ok(())
}

#[test]
fn components_that_fail_to_start_leave_their_room_to_others() -> Result<(), Error> {
    let engine = engine(&EngineOptions::default().pooling(1))?;
    for answer in [TRAPS, FAILS, PANICS, TRAPS] {
        let made = picky(&engine, InstanceOptions::default(), move || answer);
        assert!(!matches!(made, Ok(_) | Err(Error::TooManyInstances { .. })), "{made:?}");
    }
    let guest = picky(&engine, InstanceOptions::default(), || STARTS)?;
    assert_eq!(double(&guest, 4)?.wait()?, 8);
    Ok(())
}

#[test]
fn a_reset_that_fails_leaves_the_instance_poisoned_until_one_succeeds() -> Result<(), Error> {
    let guest = picky(&ENGINE, InstanceOptions::default(), || STARTS)?;
    assert_eq!(double(&guest, 4)?.wait()?, 8);
    for _ in 0..2 {
        assert!(matches!(guest.reset_with(TRAPS), Err(Error::Trap(_))));
        assert!(guest.is_poisoned());
        assert!(matches!(double(&guest, 4), Err(Error::Poisoned)));
        assert!(matches!(guest.clear_poison(), Err(Error::Poisoned)));
        let store = guest.store()?;
        assert_eq!(*store.data(), TRAPS);
        assert!(matches!(store.exports(), Err(Error::Poisoned)));
    }
    guest.reset()?;
    assert_eq!(double(&guest, 5)?.wait()?, 10);
    Ok(())
}

#[test]
fn a_component_without_its_imports_is_refused() -> Result<(), Error> {
    let (component, linker) = (Component::new(&ENGINE, WASM)?, Linker::<()>::new(&ENGINE));
    let made = Instance::with_exports(
        &ENGINE,
        InstanceOptions::default(),
        || (),
        move |store| {
            let (component, linker) = (component.clone(), linker.clone());
            Box::pin(async move { linker.instantiate_async(store, &component).await })
        },
    );
    match made {
        Err(Error::Wasmtime(error)) => {
            let message = format!("{error:#}");
            assert!(message.contains("ask-guard") || message.contains("pause"), "{message}");
        }
        other => panic!("{:?}", other.map(drop)),
    }
    Ok(())
}

#[test]
fn a_component_of_another_engine_is_refused() -> Result<(), Error> {
    let other = engine(&pool_of(1))?;
    let made =
        Instance::with_exports(&other, InstanceOptions::default(), Village::default, |store| {
            Box::pin(GREETER.instantiate_async(store))
        });
    assert!(matches!(made, Err(Error::Wasmtime(_))), "{made:?}");
    Ok(())
}

#[test]
fn an_export_of_another_type_is_an_error_of_the_closure() -> Result<(), Error> {
    let guest = picky(&ENGINE, InstanceOptions::default(), || STARTS)?;
    let mut future = guest.start(|mut store, exports| {
        Box::pin(async move {
            exports.get_typed_func::<(String,), (u32,)>(&mut store, "double")?;
            Ok(())
        })
    })?;
    assert!(matches!(future.wait(), Err(Error::Host(_))));
    assert!(guest.is_poisoned());
    Ok(())
}

/// Functions of a core module that are looked up once.
struct Door {
    knock: TypedFunc<u32, u32>,
    open: TypedFunc<(), ()>,
}

#[test]
fn exports_may_be_functions_of_a_module_in_a_struct() -> Result<(), Error> {
    let text = r#"(module
        (import "env" "yield" (func $yield))
        (global $knocks (mut i32) (i32.const 0))
        (func (export "knock") (param i32) (result i32)
            (call $yield)
            (global.set $knocks (i32.add (global.get $knocks) (local.get 0)))
            (global.get $knocks))
        (func (export "open")
            (if (i32.lt_u (global.get $knocks) (i32.const 3)) (then (unreachable)))))"#;
    let module = super::compile(&ENGINE, text)?;
    let mut linker = wasmtime::Linker::<()>::new(&ENGINE);
    wasm_jobs::add_yield(&mut linker, "env", "yield")?;
    let door = Instance::with_exports(
        &ENGINE,
        InstanceOptions::default(),
        || (),
        move |mut store| {
            let (linker, module) = (linker.clone(), module.clone());
            Box::pin(async move {
                let instance = linker.instantiate_async(&mut store, &module).await?;
                let knock = instance.get_typed_func(&mut store, "knock")?;
                Ok(Door { knock, open: instance.get_typed_func(&mut store, "open")? })
            })
        },
    )?;
    let knock_and_open = |times| {
        door.start(move |mut store, door| {
            Box::pin(async move {
                let knocks = door.knock.call_async(&mut store, times).await?;
                door.open.call_async(&mut store, ()).await?;
                Ok(knocks)
            })
        })
    };
    let mut future = knock_and_open(3)?;
    assert_eq!(future.resume()?, Step::Yielded);
    assert!(matches!(knock_and_open(1), Err(Error::CallInProgress)));
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.wait()?, 3);

    door.reset()?;
    assert!(matches!(knock_and_open(2)?.wait(), Err(Error::Trap(_))), "a reset forgets the knocks");
    assert!(matches!(knock_and_open(2), Err(Error::Poisoned)));
    // A module may be entered again after a trap.
    door.clear_poison()?;
    assert_eq!(knock_and_open(2)?.wait()?, 4);
    Ok(())
}

#[test]
fn the_exports_are_dropped_with_their_instance_and_made_anew_by_a_reset() -> Result<(), Error> {
    let (made, gone) = (Counter::default(), Counter::default());
    let instance = Instance::with_exports(&ENGINE, InstanceOptions::default(), || (), {
        let (made, gone) = (made.clone(), gone.clone());
        move |_| {
            made.add();
            let export = Arc::new(gone.on_drop());
            Box::pin(async move { Ok(export) })
        }
    })?;
    assert_eq!((made.get(), gone.get()), (1, 0));
    instance.reset()?;
    assert_eq!((made.get(), gone.get()), (2, 1));
    let kept = instance.store()?.exports()?.clone();
    drop(instance);
    assert_eq!(gone.get(), 1, "a clone of the exports is left");
    drop(kept);
    assert_eq!((made.get(), gone.get()), (2, 2));
    Ok(())
}

#[test]
fn a_reset_goes_on_although_the_destructor_of_the_exports_panics() -> Result<(), Error> {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }
    let made = Counter::default();
    let instance = Instance::with_exports(&ENGINE, InstanceOptions::default(), || (), {
        let made = made.clone();
        move |_| {
            made.add();
            // The drop of the first exports panics.
            let panics = (made.get() == 1).then(|| Panics);
            Box::pin(async move { Ok(panics) })
        }
    })?;
    instance.reset()?;
    assert_eq!(made.get(), 2);
    assert!(!instance.is_poisoned());
    assert!(instance.start(|_, exports| Box::pin(async { Ok(exports.is_none()) }))?.wait()?);
    Ok(())
}
