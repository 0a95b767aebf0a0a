//! A game's frame loop in which a script moves each of 200 creatures. The scripts are guests that were compiled from C,
//! `guests/creature.c`. A script reads from top to bottom and takes many frames: its creature walks one step a frame, eats berries
//! and takes naps. Now and then it thinks for some milliseconds about the shortest way through the berries around it.
//!
//! The loop runs 60 frames a second and gives the scripts 2 ms of each. So a creature sends its thinking to rayon, and goes on in
//! the frame after the job is done. One creature in twenty thinks inside the frames instead, for its share of the 2 ms in each. A
//! thread of the library ends such a step; if all cores are busy, that thread may be late, and the frame is longer.
//!
//! The example draws the world as text: `o` is a creature, `z` a creature that naps, `?` a creature that thinks, `*` a berry and `#`
//! a rock. On a terminal it draws every frame; elsewhere it draws two. After five seconds it prints what has happened and how long
//! the frames took, and writes a histogram of the frame times to `target/frame_times.png`.
//!
//! ```sh
//! cargo run --release --example frame_loop
//! ```
//!
//! With the feature `tracing`, it can write a trace that [Perfetto](https://ui.perfetto.dev) opens. The trace has a track for each
//! thread, with the frames, the steps of the scripts, and the moves of jobs between threads.
//!
//! ```sh
//! cargo run --release --features tracing --example frame_loop -- --trace target/frame_loop.json
//! ```

mod frame_times;
#[cfg(feature = "tracing")]
mod trace;
mod world;

use frame_times::FrameTimes;
use parking_lot::Mutex;
use rayon::ThreadPoolBuilder;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::wasmtime::{self, Caller, Extern, InstancePre, Linker};
use wasm_jobs::{
    Clock, Coroutines, EngineOptions, Instance, InstanceOptions, JobPool, ManualClock, RayonGlobal,
    engine, next_frame,
};
use world::{Looks, Screen, World};

wasm_jobs::wrapper! {
    /// The script of a creature.
    struct Script<Creature> in "guests/creature.wasm";
}

const FRAME: Duration = Duration::from_micros(1_000_000 / 60);
const FRAMES: u32 = 300;

/// The time in each frame that the scripts may take.
const BUDGET: Duration = Duration::from_millis(2);

const CREATURES: usize = 200;

/// The seed decides what the world looks like at first. What happens then differs from run to run, because thoughts on other
/// threads end in another frame each time.
const SEED: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "tracing")]
    let _trace = trace::start()?;

    // One core is left to the frames.
    let workers = (thread::available_parallelism()?.get() - 1).max(1);
    ThreadPoolBuilder::new().num_threads(workers).build_global()?;

    let world = Arc::new(Mutex::new(World::new(CREATURES, SEED)));
    let clock = ManualClock::new();
    let script = load_script(&clock)?;

    let coroutines = Coroutines::new();
    let mut creatures = Vec::new();
    for index in 0..CREATURES {
        let creature = Creature { world: world.clone(), index };
        creatures.push(coroutines.spawn(live(creature, script.clone())));
    }

    let mut screen = Screen::default();
    let mut times = FrameTimes::default();
    let (mut steps, mut put_off) = (0, 0);
    let start = Instant::now();
    for frame in 1..=FRAMES {
        #[cfg(feature = "tracing")]
        let span = tracing::info_span!("frame", frame).entered();
        let begin = Instant::now();
        clock.tick(FRAME);
        let tick = coroutines.tick_within(BUDGET);
        times.ticks.push(begin.elapsed());
        screen.draw(&world.lock(), frame % (FRAMES / 2) == 0)?;
        times.frames.push(begin.elapsed());
        #[cfg(feature = "tracing")]
        drop(span);

        steps += tick.stepped;
        put_off += tick.unreached;
        // Counted from the start, so that one late frame does not delay all later ones.
        thread::sleep((start + FRAME * frame).saturating_duration_since(Instant::now()));
    }

    // The scripts sleep by the game's clock, so the rest of the day can pass faster than real time.
    world.lock().is_evening = true;
    while !coroutines.is_empty() {
        clock.tick(FRAME);
        coroutines.tick();
        thread::sleep(Duration::from_millis(1));
    }

    let mut lives = Vec::new();
    for mut creature in creatures {
        lives.push(creature.try_get_result()?.expect("all coroutines have finished")?);
    }
    let eaten: i32 = lives.iter().map(|life| life.eaten).sum();
    let (in_frames, on_rayon): (Vec<_>, Vec<_>) =
        lives.iter().partition(|life| life.thinks_in_frames);
    assert!(lives.iter().all(|life| life.thoughts > 0), "a creature has never thought");
    assert!(world.lock().are_all_awake(), "a creature has not come back");
    assert!(eaten > 0, "no creature has found a berry");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/frame_times.png");
    times.write_histogram(BUDGET, &path)?;

    println!("creatures:  {CREATURES}, which ate {eaten} berries");
    println!(
        "thoughts:   {} on rayon, {} in the frames",
        thoughts(&on_rayon),
        thoughts(&in_frames)
    );
    println!("steps:      {steps} in {FRAMES} frames; {put_off} were put off to the next frame");
    println!("scripts:    {}, with a budget of {BUDGET:?}", frame_times::percentiles(&times.ticks));
    println!("frames:     {}", frame_times::percentiles(&times.frames));
    println!("written to: {}", path.display());
    Ok(())
}

fn thoughts(lives: &[&Life]) -> String {
    let count: u32 = lives.iter().map(|life| life.thoughts).sum();
    let time: Duration = lives.iter().map(|life| life.thinking).sum();
    format!("{count} (mean {:.1?})", time / count.max(1))
}

/// What a creature has done by the evening.
struct Life {
    eaten: i32,
    thoughts: u32,
    thinks_in_frames: bool,
    /// The time that its thoughts took, on all threads.
    thinking: Duration,
}

/// The life of a creature: it carries out a plan, thinks of another, and so on.
async fn live(creature: Creature, guest: InstancePre<Creature>) -> Result<Life, wasm_jobs::Error> {
    let options = InstanceOptions::default().measure_time(true);
    let state = creature.clone();
    let instance = Instance::with_options(&guest, options, move || state.clone())?;
    let script = Script::from_instance(instance)?;

    let thinks_in_frames = creature.index.is_multiple_of(20);
    let mut life = Life { eaten: 0, thoughts: 0, thinks_in_frames, thinking: Duration::ZERO };
    while !creature.world.lock().is_evening {
        life.eaten += script.act()?.await?;

        creature.looks(Looks::Thinking);
        let mut thought = script.think()?;
        if !thinks_in_frames {
            RayonGlobal.submit(thought.to_job()?).await;
        }
        thought.await?;
        creature.looks(Looks::Awake);
        life.thoughts += 1;
        life.thinking += script.time_used()?;
    }
    Ok(life)
}

/// The state of a guest: the world, and which of its creatures the guest moves.
#[derive(Clone)]
struct Creature {
    world: Arc<Mutex<World>>,
    index: usize,
}

impl Creature {
    fn looks(&self, looks: Looks) {
        self.world.lock().creatures[self.index].looks = looks;
    }
}

/// Compiles the script and links the functions that it imports from its world.
fn load_script(clock: &ManualClock) -> Result<InstancePre<Creature>, Box<dyn Error>> {
    let engine = engine(&EngineOptions::default())?;
    let module = Script::module(&engine)?;
    let mut linker = Linker::new(&engine);

    linker.func_wrap("world", "look", |mut caller: Caller<'_, Creature>, to: u32| {
        let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
            return Err(wasmtime::Error::msg("the script has no memory"));
        };
        let Creature { world, index } = caller.data().clone();
        let world = world.lock();
        memory.write(&mut caller, to as usize, &world.cells)?;
        Ok(world.creatures[index].at as u32)
    })?;
    linker.func_wrap_async(
        "world",
        "walk",
        |caller: Caller<'_, Creature>, (direction,): (u32,)| {
            let Creature { world, index } = caller.data();
            let at = world.lock().walk(*index, direction);
            Box::new(async move {
                next_frame().await;
                at as u32
            })
        },
    )?;
    linker.func_wrap("world", "eat", |caller: Caller<'_, Creature>| {
        let Creature { world, index } = caller.data();
        u32::from(world.lock().eat(*index))
    })?;
    let clock = clock.clone();
    linker.func_wrap_async(
        "world",
        "nap",
        move |caller: Caller<'_, Creature>, (ms,): (u32,)| {
            let creature = caller.data().clone();
            let nap = clock.sleep(Duration::from_millis(ms.into()));
            Box::new(async move {
                creature.looks(Looks::Asleep);
                nap.await;
                creature.looks(Looks::Awake);
            })
        },
    )?;
    linker.func_wrap("world", "chance", |caller: Caller<'_, Creature>, below: u32| {
        caller.data().world.lock().random.below(below)
    })?;
    Ok(linker.instantiate_pre(&module)?)
}
