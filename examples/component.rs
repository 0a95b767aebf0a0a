//! Runs ten instances of a component, each of which greets the visitors at the gate of a village. The component was compiled from
//! C, `guests/greeter.c`, with the interface `guests/greeter.wit`. Wasmtime's `bindgen!` makes Rust functions of the interface, with
//! strings, records and lists as arguments. The greeters run on a rayon pool of two threads and pause after each visitor; a greeter
//! that pauses occupies no thread. Meanwhile the main thread runs 60 frames a second, as a game does.
//!
//! A day at a gate is one call of the instance, which calls many exports of the component: the greeter receives all visitors, then
//! asks the guard, a host function, about each. A visitor that the guard finds too hungry is fed and then admitted.
//!
//! The example prints what happened at each gate. That is the same in every run.
//!
//! ```sh
//! cargo run --release --features component-model --example component
//! ```

use interface::{Creature, Gift, Greeter, GreeterImports, GreeterPre};
use rayon::ThreadPoolBuilder;
use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::wasmtime::component::{Component, HasSelf, Linker};
use wasm_jobs::wasmtime::{self, StoreContextMut};
use wasm_jobs::{
    Clock, EngineOptions, Future, Instance, InstanceOptions, JobPool, RealtimeClock, engine,
};

/// What wasmtime makes of the interface: [`Greeter`] with the exports, the trait [`GreeterImports`], and their types.
mod interface {
    wasm_jobs::wasmtime::component::bindgen!({
        path: "guests/greeter.wit",
        wasmtime_crate: wasm_jobs::wasmtime,
        imports: { default: async },
        exports: { default: async },
    });
}

const GUEST: &[u8] = include_bytes!("../guests/greeter.wasm");
const GATES: usize = 10;
const WORKERS: usize = 2;

/// The number of creatures that come to each gate.
const VISITORS: usize = 5;

/// The core instances of a component: the guest, and two that pass strings between it and the host.
const CORE_INSTANCES: u32 = 3;

const FRAMES_PER_SECOND: u32 = 60;
const PAUSE: Duration = Duration::from_millis(60);

/// The state of an instance.
#[derive(Default)]
struct Gate {
    pauses: usize,
}

impl GreeterImports for Gate {
    async fn pause(&mut self) {
        self.pauses += 1;
        RealtimeClock.sleep(PAUSE).await;
    }

    async fn ask_guard(&mut self, who: Creature) -> Result<(), String> {
        match who {
            Creature { legs: 7.., .. } => Err(format!("{} legs are too many", who.legs)),
            Creature { hungry: true, .. } => Err("it would eat the hens".into()),
            _ => Ok(()),
        }
    }
}

/// What happened at a gate in a day.
#[derive(Default)]
struct Day {
    greetings: Vec<String>,
    berries: u32,
    admitted: Vec<Creature>,
    refused: Vec<String>,
    legs: u64,
}

/// A day at a gate: one call of the instance, which calls many exports of the guest.
async fn day(
    mut store: StoreContextMut<'_, Gate>,
    greeter: &Greeter,
    visitors: Vec<Creature>,
) -> wasmtime::Result<Day> {
    let greetings = greeter.call_receive(&mut store, &visitors).await?;
    let mut day = Day { greetings, ..Day::default() };
    for mut visitor in visitors {
        let mut answer = greeter.call_admit(&mut store, &visitor).await?;
        if let (Err(_), Gift::Berries(berries)) =
            (&answer, greeter.call_offer(&mut store, &visitor).await?)
        {
            day.berries += berries;
            visitor = greeter.call_feed(&mut store, &visitor).await?;
            answer = greeter.call_admit(&mut store, &visitor).await?;
        }
        match answer {
            Ok(()) => day.admitted.extend(greeter.call_last_admitted(&mut store).await?),
            Err(why) => day.refused.push(format!("{}: {why}", visitor.name)),
        }
    }
    let legs: Vec<_> = day.admitted.iter().map(|creature| creature.legs).collect();
    day.legs = greeter.call_total(&mut store, &legs).await?;
    Ok(day)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = EngineOptions::default().core_instances_per_component(CORE_INSTANCES);
    let engine = engine(&options)?;
    let mut linker = Linker::new(&engine);
    Greeter::add_to_linker::<_, HasSelf<_>>(&mut linker, |gate: &mut Gate| gate)?;
    let component = Component::new(&engine, GUEST)?;
    let guest = GreeterPre::new(linker.instantiate_pre(&component)?)?;
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(WORKERS).build()?);

    let (mut greeters, mut days) = (Vec::new(), Vec::new());
    for gate in 0..GATES {
        let guest = guest.clone();
        let options = InstanceOptions::default();
        let greeter = Instance::with_exports(&engine, options, Gate::default, move |store| {
            let guest = guest.clone();
            Box::pin(async move { guest.instantiate_async(store).await })
        })?;
        let visitors = visitors(gate);
        let mut future = greeter.start(|store, greeter| Box::pin(day(store, greeter, visitors)))?;
        pool.submit(future.to_job()?);
        greeters.push(greeter);
        days.push(future);
    }

    let (start, mut frames) = (Instant::now(), 0);
    while !days.iter().all(Future::has_result) {
        frames += 1;
        let next = start + Duration::from_secs(1) * frames / FRAMES_PER_SECOND;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    assert!(frames > 10, "the main thread ran too few frames meanwhile");

    for (gate, (greeter, future)) in greeters.iter().zip(&mut days).enumerate() {
        let day = future.try_get_result()?.expect("each day has a result");
        assert_eq!(greeter.store()?.data().pauses, VISITORS);
        print(gate + 1, &day);
    }
    println!("Meanwhile the main thread ran its frames.");
    Ok(())
}

/// The visitors of a gate.
fn visitors(gate: usize) -> Vec<Creature> {
    const NAMES: [&str; 11] = [
        "Ember", "Moss", "Pip", "Thorn", "Willow", "Ash", "Bramble", "Fern", "Gale", "Rook",
        "Tansy",
    ];
    const LEGS: [u32; 7] = [2, 4, 6, 2, 4, 8, 0];
    let visitor = |number: usize| Creature {
        name: NAMES[number % NAMES.len()].into(),
        legs: LEGS[number % LEGS.len()],
        hungry: number.is_multiple_of(3),
    };
    (0..VISITORS).map(|visitor| gate * VISITORS + visitor).map(visitor).collect()
}

fn print(gate: usize, day: &Day) {
    let names: Vec<_> = day.admitted.iter().map(|creature| creature.name.as_str()).collect();
    println!("gate {gate}: {}", day.greetings.join(" "));
    println!("  came in, on {} legs: {}", day.legs, names.join(", "));
    if day.berries > 0 {
        println!("  ate {} berries", day.berries);
    }
    for refused in &day.refused {
        println!("  stayed outside, {refused}");
    }
}
