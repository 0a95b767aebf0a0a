//! [`Walk`]: the walkers, their clock and their workers.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::error::Error;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wasm_jobs::wasmtime::Linker;
use wasm_jobs::{
    EngineOptions, Instance, InstanceOptions, ManualClock, PrepareOptions, PreparedPre, SendFuture,
    Step, engine, guest_kit, prepare_with,
};

const WORKERS: usize = 2;

/// How often each walker steps.
const STEPS: i32 = 10;

/// How far a tick moves the clock.
const TICK: Duration = Duration::from_millis(100);

pub(crate) struct Walk {
    pub(crate) clock: ManualClock,
    pub(crate) pre: PreparedPre<()>,
    workers: ThreadPool,
    pub(crate) walkers: Vec<Walker>,
    arrived: usize,
    awake: usize,
}

pub(crate) enum Walker {
    OnTheWay(SendFuture<i64>),
    Arrived(i64),
}

/// A walker is parked as soon as it sleeps.
pub(crate) fn options() -> InstanceOptions {
    InstanceOptions::default().park_after(Duration::ZERO)
}

impl Walk {
    /// A walk without walkers.
    pub(crate) fn empty() -> Result<Self, Box<dyn Error>> {
        // There are never more guests than workers, and one that is being made.
        let engine = engine(&EngineOptions::default().pooling(16).epoch_interruption(false))?;
        let clock = ManualClock::new();
        let mut linker = Linker::new(&engine);
        guest_kit::add_to_linker(&mut linker, clock.clone())?;
        let wasm = wat::parse_str(include_str!("walker.wat"))?;
        let module = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?;
        let pre = module.instantiate_pre(&linker)?;
        let workers = ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
        Ok(Self { clock, pre, workers, walkers: Vec::new(), arrived: 0, awake: 0 })
    }

    /// A walk of so many, all of whom have fallen asleep.
    pub(crate) fn begin(walkers: usize) -> Result<Self, Box<dyn Error>> {
        let mut walk = Self::empty()?;
        for seed in 1..=walkers as i64 {
            let instance = Instance::with_options(&walk.pre, options(), || ())?;
            let call = instance.call::<(i64, i32), i64>("walk", (seed, STEPS))?;
            walk.add(call.into_send())?;
        }
        Ok(walk)
    }

    /// Adds a walker, and lets it fall asleep.
    pub(crate) fn add(&mut self, mut call: SendFuture<i64>) -> Result<(), Box<dyn Error>> {
        let walker = match call.resume()? {
            Step::Done => Walker::Arrived(call.try_get_result()?.ok_or("it is done")?),
            Step::Yielded | Step::Waiting => Walker::OnTheWay(call),
        };
        self.arrived += usize::from(matches!(walker, Walker::Arrived(_)));
        self.walkers.push(walker);
        Ok(())
    }

    /// Adds one that has arrived.
    pub(crate) fn add_arrived(&mut self, where_to: i64) {
        self.arrived += 1;
        self.walkers.push(Walker::Arrived(where_to));
    }

    /// Lets some time pass. Those who wake take their next step, on the workers.
    pub(crate) fn tick(&mut self) -> Result<(), wasm_jobs::Error> {
        self.clock.tick(TICK);
        let (arrived, awake) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let wake = |walker: &mut Walker| -> Result<(), wasm_jobs::Error> {
            let Walker::OnTheWay(call) = walker else { return Ok(()) };
            loop {
                match call.resume()? {
                    Step::Waiting => return Ok(()),
                    Step::Yielded => awake.fetch_add(1, Relaxed),
                    Step::Done => break,
                };
            }
            if let Some(where_to) = call.try_get_result()? {
                *walker = Walker::Arrived(where_to);
                arrived.fetch_add(1, Relaxed);
            }
            Ok(())
        };
        let walkers = &mut self.walkers;
        self.workers.install(|| walkers.par_iter_mut().with_min_len(1_000).try_for_each(wake))?;
        self.arrived += arrived.into_inner();
        self.awake = awake.into_inner();
        Ok(())
    }

    pub(crate) fn walkers(&self) -> usize {
        self.walkers.len()
    }

    pub(crate) fn arrived(&self) -> usize {
        self.arrived
    }

    pub(crate) fn parked(&self) -> usize {
        self.clock.sleepers()
    }

    /// A hash of where all have arrived.
    pub(crate) fn hash(&self) -> u64 {
        let arrived = self.walkers.iter().map(|walker| match walker {
            Walker::Arrived(where_to) => where_to.cast_unsigned(),
            Walker::OnTheWay(_) => 0,
        });
        arrived.fold(0, |hash: u64, where_to| {
            (hash ^ where_to).wrapping_mul(0x0100_0000_01b3).rotate_left(5)
        })
    }
}
