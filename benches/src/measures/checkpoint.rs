//! Checkpoints, beside what a game does by hand: it copies all of the memory, and hashes the copy by XXH3. The copy has no globals and no tables.
//!
//! All pages of a guest's memory have contents, unless the measure says otherwise. Before each save or load, the guest writes some pages; only the
//! save or load is timed. In `checkpoint_save_4m_cold`, the host also reads more memory than the caches hold. The peer copies to memory that it
//! has used before.

use crate::rounds::{Finding, Other, compare, in_turn, of_values, time};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use twox_hash::XxHash3_64;
use wasm_jobs::wasmtime::{Engine, InstancePre, Linker, Module};
use wasm_jobs::{Checkpoint, EngineOptions, Func, Instance, Linked, PreparedPre, prepare};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const PAGE: usize = 4 * KIB;

/// How many frames a game rolls back at most, as is usual.
const WINDOW: usize = 8;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    wasm_jobs::engine(&EngineOptions::default().pooling(100))
        .expect("a machine that measures has room for a pool")
});

/// A guest that writes a word in every page, or in pages that are some bytes apart.
fn wat(memory: usize) -> String {
    format!(
        r#"(module
          (memory (export "memory") {})
          (global $frame (mut i64) (i64.const 0))
          (func (export "write") (param $from i32) (param $count i32) (param $stride i32)
            (global.set $frame (i64.add (global.get $frame) (i64.const 1)))
            loop $again
              (i64.store (local.get $from) (global.get $frame))
              (local.set $from (i32.add (local.get $from) (local.get $stride)))
              (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1))))
            end))"#,
        memory / (64 * KIB)
    )
}

fn prepared(wasm: impl AsRef<[u8]>) -> PreparedPre<()> {
    let module = prepare(&ENGINE, wasm).expect("the guest can be prepared");
    module.instantiate_pre(&Linker::new(&ENGINE)).expect("the guest imports nothing")
}

fn unprepared(wasm: impl AsRef<[u8]>) -> InstancePre<()> {
    let module = Module::new(&ENGINE, wasm).expect("the guest is valid");
    Linker::new(&ENGINE).instantiate_pre(&module).expect("the guest imports nothing")
}

struct Guest {
    instance: Instance<()>,
    write: Func<(i32, i32, i32), ()>,
    memory: usize,
    /// Where the next pages are written.
    next: usize,
}

impl Guest {
    fn new(pre: &impl Linked<()>, memory: usize, in_use: usize) -> Self {
        let instance = Instance::new(pre, ()).expect("the pool has room");
        let write = instance.func("write").expect("the guest exports it");
        let mut guest = Self { instance, write, memory: in_use, next: 0 };
        assert!(in_use <= memory, "the guest has as much memory as it uses");
        guest.write(0, in_use / PAGE, PAGE);
        guest
    }

    fn prepared(memory: usize, in_use: usize) -> Self {
        let wasm = wat::parse_str(wat(memory)).expect("the guest is well-formed");
        Self::new(&prepared(wasm), memory, in_use)
    }

    fn unprepared(memory: usize, in_use: usize) -> Self {
        let wasm = wat::parse_str(wat(memory)).expect("the guest is well-formed");
        Self::new(&unprepared(wasm), memory, in_use)
    }

    fn write(&mut self, from: usize, count: usize, stride: usize) {
        let [from, count, stride] = [from, count, stride].map(|number| number as i32);
        let call = self.write.call((from, count, stride));
        call.and_then(|mut call| call.wait()).expect("the guest returns");
    }

    /// Writes to as many pages, which are spread over the memory.
    fn frame(&mut self, pages: usize) {
        let stride = self.memory / pages / PAGE * PAGE;
        self.next = (self.next + PAGE) % stride.max(PAGE);
        self.write(self.next, pages, stride);
    }
}

/// What the peer has of a guest: copies that it uses again.
struct Copies {
    free: Vec<Vec<u8>>,
    kept: VecDeque<(Vec<u8>, u64)>,
}

impl Copies {
    fn new(memory: usize) -> Self {
        Self { free: (0..=WINDOW).map(|_| vec![1; memory]).collect(), kept: VecDeque::new() }
    }

    fn save(&mut self, instance: &Instance<()>) {
        let mut copy = self.free.pop().expect("there is one more than are kept");
        copy.copy_from_slice(instance.memory("memory").expect("the guest has one").data());
        let hash = XxHash3_64::oneshot(&copy);
        self.kept.push_back((copy, hash));
        if self.kept.len() > WINDOW {
            self.free.extend(self.kept.pop_front().map(|(copy, _)| copy));
        }
    }
}

/// The mean time of `something` that is done to a guest. The time of `before` is not counted.
fn mean(
    guest: &mut Guest,
    times: usize,
    before: impl Fn(&mut Guest),
    mut something: impl FnMut(&Instance<()>),
) -> f64 {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        before(guest);
        let start = Instant::now();
        something(&guest.instance);
        total += start.elapsed();
    }
    total.as_nanos() as f64 / times as f64
}

const PEER: Other = Other::Peer("copy_and_hash");

fn save(memory: usize, in_use: usize, pages: usize, times: usize, between: impl Fn()) -> Finding {
    let mut ours = Guest::prepared(memory, in_use);
    let mut theirs = Guest::unprepared(memory, in_use);
    let mut kept = VecDeque::new();
    let mut copies = Copies::new(memory);
    let before = |guest: &mut Guest| {
        guest.frame(pages);
        between();
    };
    in_turn(
        "ns",
        PEER,
        15,
        || {
            mean(&mut ours, times, before, |instance| {
                let here = instance.checkpoint().expect("there is no call");
                black_box(here.hash());
                kept.push_back(here);
                if kept.len() > WINDOW {
                    kept.pop_front();
                }
            })
        },
        || mean(&mut theirs, times, before, |instance| copies.save(instance)),
    )
}

pub(crate) fn save_4m() -> Finding {
    save(4 * MIB, 4 * MIB, 64, 100, || {})
}

/// As [`save_4m`]. Between two saves, the host reads more memory than the caches hold.
pub(crate) fn save_4m_cold() -> Finding {
    let other = vec![1_u8; 256 * MIB];
    save(4 * MIB, 4 * MIB, 64, 5, || {
        black_box(other.chunks(64).fold(0_u8, |sum, line| sum.wrapping_add(line[0])));
    })
}

pub(crate) fn save_64m() -> Finding {
    save(64 * MIB, 64 * MIB, 164, 5, || {})
}

/// A save of a guest that has never written to most of its memory.
pub(crate) fn save_64m_untouched() -> Finding {
    save(64 * MIB, 2 * MIB, 164, 5, || {})
}

/// Back to a checkpoint. The guest has written to 64 pages since.
pub(crate) fn load_4m() -> Finding {
    const MEMORY: usize = 4 * MIB;
    let mut ours = Guest::prepared(MEMORY, MEMORY);
    let mut theirs = Guest::unprepared(MEMORY, MEMORY);
    let here = ours.instance.checkpoint().expect("there is no call");
    let copy = theirs.instance.memory("memory").expect("the guest has one").data().to_vec();
    in_turn(
        "ns",
        Other::Peer("copy"),
        15,
        || {
            mean(
                &mut ours,
                100,
                |guest| guest.frame(64),
                |instance| {
                    instance.rollback(&here).expect("there is no call");
                },
            )
        },
        || {
            mean(
                &mut theirs,
                100,
                |guest| guest.frame(64),
                |instance| {
                    let mut memory = instance.memory("memory").expect("the guest has one");
                    memory.data_mut().copy_from_slice(&copy);
                },
            )
        },
    )
}

/// Another instance in the same state, and its end.
pub(crate) fn clone() -> Finding {
    const CLONES: usize = 100;
    let wasm = wat::parse_str(wat(MIB)).expect("the guest is well-formed");
    let prepared = prepared(&wasm);
    let unprepared = unprepared(&wasm);
    let here = Guest::new(&prepared, MIB, MIB).instance.checkpoint().expect("there is no call");
    let original = Guest::new(&unprepared, MIB, MIB);
    let copy = original.instance.memory("memory").expect("the guest has one").data().to_vec();
    compare(
        Other::Peer("instantiate_and_copy"),
        15,
        CLONES as u64,
        || {
            for _ in 0..CLONES {
                black_box(here.instantiate(&prepared, ()).expect("the pool has room"));
            }
        },
        || {
            for _ in 0..CLONES {
                let twin = Instance::new(&unprepared, ()).expect("the pool has room");
                let mut memory = twin.memory("memory").expect("the guest has one");
                memory.data_mut().copy_from_slice(&copy);
                drop(memory);
                black_box(twin);
            }
        },
    )
}

/// A frame of a game that rolls back as far as it may, on all processors: each of 60 guests goes back by 8 frames, and for each frame runs, and is saved and
/// hashed again. A guest has 256 KiB, uses 64 of them, and writes to 4 pages a frame. The guests' own time counts too.
pub(crate) fn rollback_60_guests() -> Finding {
    let mut guests = rolling_back();
    of_values(
        "ms",
        (0..60).map(|_| milliseconds(|| guests.par_iter_mut().for_each(RollingBack::frame))),
    )
}

/// The same on one thread.
pub(crate) fn rollback_60_guests_1() -> Finding {
    let mut guests = rolling_back();
    of_values(
        "ms",
        (0..60).map(|_| milliseconds(|| guests.iter_mut().for_each(RollingBack::frame))),
    )
}

fn milliseconds(mut something: impl FnMut()) -> f64 {
    time(&mut something).as_secs_f64() * 1e3
}

/// A guest with the checkpoints of its last frames, the oldest first.
struct RollingBack {
    guest: Guest,
    window: VecDeque<Checkpoint>,
}

fn rolling_back() -> Vec<RollingBack> {
    let wasm = wat::parse_str(wat(256 * KIB)).expect("the guest is well-formed");
    let module = prepared(wasm);
    let guests = (0..60).map(|_| {
        let guest = Guest::new(&module, 256 * KIB, 64 * KIB);
        let mut guest = RollingBack { guest, window: VecDeque::new() };
        (0..=WINDOW).for_each(|_| guest.advance());
        guest
    });
    guests.collect()
}

impl RollingBack {
    fn frame(&mut self) {
        let first = self.window.front().expect("a window is saved");
        self.guest.instance.rollback(first).expect("there is no call");
        self.window.truncate(1);
        (0..WINDOW).for_each(|_| self.advance());
    }

    fn advance(&mut self) {
        self.guest.frame(4);
        let here = self.guest.instance.checkpoint().expect("there is no call");
        black_box(here.hash());
        self.window.push_back(here);
    }
}
