//! Calls that become data, and go on in another instance: what that takes beyond the same call, resumed without it. A guest has 64 KiB, of which it writes to one page,
//! and ten functions on the stack that have three values each. The old instance ends, and the new one is made in its place in the pool; both are timed. So is the first step of the new
//! call, in which it comes back to where it waits.
//!
//! `freeze_thaw` is with a pool whose pages stay resident, and `freeze_thaw_cold` with one that gives them back. In `freeze_thaw_kept`, the call is thawed in the instance that it was in.
//! A frame's time is the difference of calls with a hundred and with ten functions. Nothing becomes bytes there; in `freeze_bytes`, the frozen call is written, read, thawed and resumed.

use super::compiled::freezable;
use super::wasi::OUTPUT;
use crate::rounds::{Finding, of_values};
use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant};
use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{
    Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig, WasmParams,
};
use wasm_jobs::{
    EngineOptions, Frozen, Future, Instance, InstanceOptions, PreparedPre, RealtimeClock, Step,
    add_yield, guest_kit,
};

const GUEST: &str = r#"
    (module
      (import "env" "yield" (func $yield))
      (memory (export "memory") 1)
      (func $descends (export "descends") (param $depth i32) (param $a i64) (result i64) (local $b i64)
        (local.set $b (i64.mul (local.get $a) (i64.const 3)))
        (if (result i64) (i32.eqz (local.get $depth))
          (then (call $waits (local.get $a)))
          (else
            (i64.add (local.get $b) (i64.mul (local.get $a) (i64.add (i64.extend_i32_u (local.get $depth))
              (call $descends (i32.sub (local.get $depth) (i32.const 1)) (i64.add (local.get $a) (i64.const 1)))))))))
      (func $waits (param $a i64) (result i64)
        loop $again
          (i64.store (i32.const 1024) (i64.add (i64.load (i32.const 1024)) (local.get $a)))
          call $yield
          br $again
        end
        unreachable))
"#;

const ROUNDS: usize = 31;
const CYCLES: u32 = 500;
const CALLS: usize = 10;
/// How many functions a backtrace of the default engine has.
const FUNCTIONS: usize = 20;

/// An engine whose backtraces have so many functions. As many are not frozen.
fn engine(keeps_pages: bool, functions: usize) -> Engine {
    let mut config = EngineOptions::default().pooling(CALLS as u32).config();
    config.wasm_backtrace_max_frames(NonZero::new(functions));
    if keeps_pages {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(CALLS as u32)
            .total_memories(2 * CALLS as u32)
            .total_tables(CALLS as u32)
            .total_gc_heaps(CALLS as u32)
            .total_stacks(CALLS as u32)
            .linear_memory_keep_resident(64 * 1024)
            .table_keep_resident(64 * 1024);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    Engine::new(&config).expect("a machine that measures has room for a pool")
}

/// A call that is suspended.
struct Suspended {
    pre: PreparedPre<()>,
    call: Option<(Instance<()>, Future<i64>)>,
}

impl Suspended {
    fn new(engine: &Engine, functions: i32) -> Self {
        let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
        let mut linker = Linker::new(engine);
        add_yield(&mut linker, "env", "yield").expect("the linker is new");
        let pre = freezable(engine, &wasm).instantiate_pre(&linker);
        let pre = pre.expect("the guest imports what is linked");
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        // The outermost one has the number zero, and the innermost one waits.
        let call = instance.call("descends", (functions - 2, 1_i64)).expect("it is free");
        let mut suspended = Self { pre, call: Some((instance, call)) };
        suspended.resume();
        suspended
    }

    fn resume(&mut self) {
        let (_, call) = self.call.as_mut().expect("it was thawed");
        assert_eq!(call.resume().expect("the call is ours"), Step::Yielded);
    }

    /// The instance is gone then.
    fn freeze(&mut self) -> Frozen<i64> {
        let (_instance, mut call) = self.call.take().expect("it was thawed");
        call.freeze().expect("it has yielded")
    }

    /// It waits in the same place then.
    fn thaw(&mut self, frozen: &Frozen<i64>) {
        let call = frozen.thaw_with_instance(&self.pre, InstanceOptions::default(), ());
        self.call = Some(call.expect("the call is ours"));
        self.resume();
    }

    /// It is frozen, and waits in the same place of the same instance then.
    fn thaw_kept(&mut self) {
        let (instance, call) = self.call.as_mut().expect("it was thawed");
        let frozen = call.freeze().expect("it has yielded");
        *call = instance.thaw(&frozen).expect("the call is ours");
        self.resume();
    }

    /// Freezes and thaws the call many times, and gives the mean times of both, in nanoseconds. The call goes on between them.
    fn cycles(&mut self) -> [f64; 2] {
        let mut times = [Duration::ZERO; 2];
        for _ in 0..CYCLES {
            let start = Instant::now();
            let frozen = self.freeze();
            let between = Instant::now();
            self.thaw(&frozen);
            drop(frozen);
            times[1] += between.elapsed();
            times[0] += between - start;
            self.resume();
        }
        times.map(|time| time.as_nanos() as f64 / f64::from(CYCLES))
    }
}

pub(crate) fn resident() -> Finding {
    cycle(&engine(true, FUNCTIONS))
}

pub(crate) fn cold() -> Finding {
    cycle(&engine(false, FUNCTIONS))
}

pub(crate) fn kept() -> Finding {
    let mut call = Suspended::new(&engine(true, FUNCTIONS), 10);
    let rounds = (0..=ROUNDS).map(|_| {
        let mut time = Duration::ZERO;
        for _ in 0..CYCLES {
            let start = Instant::now();
            call.thaw_kept();
            time += start.elapsed();
            call.resume();
        }
        time.as_nanos() as f64 / 1e3 / f64::from(CYCLES)
    });
    of_values("us", rounds.skip(1))
}

/// The step between two cycles is in neither side.
fn cycle(engine: &Engine) -> Finding {
    let mut call = Suspended::new(engine, 10);
    let rounds = (0..=ROUNDS).map(|_| call.cycles());
    let rounds: Vec<_> = rounds.skip(1).collect();
    eprintln!(
        "# frozen: {}; thawed: {}",
        of_values("ns", rounds.iter().map(|times| times[0])),
        of_values("ns", rounds.iter().map(|times| times[1])),
    );
    of_values("us", rounds.iter().map(|[frozen, thawed]| (frozen + thawed) / 1e3))
}

pub(crate) fn frame_frozen() -> Finding {
    of_values("ns", frames().map(|times| times[0]))
}

pub(crate) fn frame_thawed() -> Finding {
    of_values("ns", frames().map(|times| times[1]))
}

/// What a function more takes, to freeze and to thaw.
fn frames() -> impl Iterator<Item = [f64; 2]> {
    let engine = engine(true, 200);
    let (mut few, mut many) = (Suspended::new(&engine, 10), Suspended::new(&engine, 100));
    let rounds = (0..=ROUNDS).map(move |_| (few.cycles(), many.cycles()));
    rounds.skip(1).map(|(few, many)| [0, 1].map(|half| (many[half] - few[half]) / 90.0))
}

pub(crate) fn bytes() -> Finding {
    let mut call = Suspended::new(&engine(false, FUNCTIONS), 10);
    let rounds = (0..=ROUNDS).map(|_| {
        let mut time = Duration::ZERO;
        for _ in 0..CYCLES {
            let frozen = call.freeze();
            let start = Instant::now();
            let bytes = frozen.to_bytes();
            drop(frozen);
            let frozen = Frozen::from_bytes(&call.pre, &bytes).expect("the bytes are ours");
            call.thaw(&frozen);
            time += start.elapsed();
            call.resume();
        }
        time.as_nanos() as f64 / 1e3 / f64::from(CYCLES)
    });
    of_values("us", rounds.skip(1))
}

/// A guest of the kit, in C, that naps.
pub(crate) fn sleeping() -> Finding {
    sleeper(
        "kit/c.wasm",
        ("nap", 1_000),
        || (),
        |linker| {
            guest_kit::add_to_linker(linker, RealtimeClock).expect("the linker is new");
        },
    )
}

/// A program of WASI's that sleeps.
pub(crate) fn sleeping_wasi() -> Finding {
    let state = || {
        let builder = WasiCtxBuilder::new().stdout(MemoryOutputPipe::new(OUTPUT));
        builder.build().expect("it has no directories")
    };
    sleeper("wasi/sleepy.wasm", ("_start", ()), state, |linker: &mut Linker<WasiCtx>| {
        wasi::add_to_linker(linker, |ctx| ctx).expect("the linker is new");
    })
}

/// The bytes of a call that sleeps, without those of its guest's memory that are not as in a new guest.
fn sleeper<S: Send + 'static, P: WasmParams + Sync + 'static>(
    guest: &str,
    (export, params): (&str, P),
    state: impl Fn() -> S,
    link: impl Fn(&mut Linker<S>),
) -> Finding {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests").join(guest);
    let wasm = std::fs::read(path).expect("the guest is in the repository");
    let engine = engine(false, FUNCTIONS);
    let mut linker = Linker::new(&engine);
    link(&mut linker);
    let pre = freezable(&engine, &wasm).instantiate_pre(&linker);
    let pre = pre.expect("the guest imports what is linked");
    let new = || Instance::with_state(&pre, InstanceOptions::default(), state());
    let asleep = new().expect("the pool has room");
    let mut call = asleep.call::<P, ()>(export, params).expect("the guest exports it");
    while call.resume().expect("the call is ours") != Step::Waiting {}
    let frozen = call.freeze().expect("it sleeps");
    let before = new().expect("the pool has room");
    let after = frozen.guest().instantiate(&pre, state()).expect("the pool has room");
    let [before, after] = [&before, &after]
        .map(|guest| guest.memory("memory").expect("the guest exports it").data().to_vec());
    let written = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    let bytes = frozen.to_bytes().len();
    eprintln!("# {guest}: {bytes} bytes, of which it has written {written}");
    of_values("bytes", std::iter::once(bytes as f64 - written as f64))
}
