//! [`Work`]: guests that compute, for the measures of what checks cost them.

use super::compiled::Compiled;
use super::wasi;
use crate::guests::{BARE_LOOP, FIB, GUEST, INTERPRETER, KERNELS, MEMORY_LOOP};
use std::fmt::Debug;
use std::path::Path;
use wasm_jobs::InstanceOptions;
use wasm_jobs::wasmtime::{self, Caller, Extern, Linker, WasmParams, WasmResults};

/// Runs of a guest.
pub(super) type Runs = Box<dyn FnMut()>;

/// A guest, and what a run of it is.
#[derive(Clone, Copy)]
pub(super) struct Work {
    /// The module, or why there is none.
    pub(super) wasm: fn() -> Result<Vec<u8>, String>,
    pub(super) runs: fn(&Compiled) -> Runs,
}

/// It does little else than check.
pub(super) const LOOP: Work = Work { wasm: || Ok(binary(BARE_LOOP)), runs: bare_loop };

/// It adds bytes up.
pub(super) const MEMORY: Work = Work { wasm: || Ok(binary(MEMORY_LOOP)), runs: memory_loop };

/// It calls itself.
pub(super) const CALLS: Work = Work { wasm: || Ok(binary(FIB)), runs: fib };

/// It computes much between two checks.
pub(super) const PICTURE: Work = Work { wasm: || read("mandelbrot.wasm"), runs: picture };

pub(super) const SQLITE: Work = Work { wasm: || wasi::SQLITE.wasm(), runs: sqlite };
pub(super) const LUA: Work = Work { wasm: || wasi::LUA.wasm(), runs: lua };

/// Programs of several kinds.
pub(super) const PROGRAMS: [Work; 6] = [
    SQLITE,
    LUA,
    Work { wasm: || wasi::JS.wasm(), runs: |guest| program(&wasi::JS, guest) },
    Work { wasm: || wasi::BZIP2.wasm(), runs: |guest| program(&wasi::BZIP2, guest) },
    Work { wasm: || wasi::SORT.wasm(), runs: |guest| program(&wasi::SORT, guest) },
    Work { wasm: || wasi::HASH.wasm(), runs: |guest| program(&wasi::HASH, guest) },
];

/// Guests of many kinds, with their names. All of them may wait.
pub(super) const MANY: [(&str, Work); 17] = [
    ("sqlite", SQLITE),
    ("lua", LUA),
    ("js", PROGRAMS[2]),
    ("bzip2", PROGRAMS[3]),
    (
        "bunzip2",
        Work { wasm: || wasi::BUNZIP2.wasm(), runs: |guest| program(&wasi::BUNZIP2, guest) },
    ),
    ("sort", PROGRAMS[4]),
    ("hash", PROGRAMS[5]),
    ("picture", PICTURE),
    ("primes", Work { wasm: || read("primes.wasm"), runs: primes }),
    ("creature", Work { wasm: || read("creature.wasm"), runs: creature }),
    ("interpreter", Work { wasm: || Ok(binary(INTERPRETER)), runs: interpreter }),
    ("tak", Work { wasm: || Ok(binary(KERNELS)), runs: tak }),
    ("queens", Work { wasm: || Ok(binary(KERNELS)), runs: queens }),
    ("sorts", Work { wasm: || Ok(binary(KERNELS)), runs: sorts }),
    ("multiplies", Work { wasm: || Ok(binary(KERNELS)), runs: multiplies }),
    ("sieves", Work { wasm: || Ok(binary(KERNELS)), runs: sieves }),
    ("counts", Work { wasm: || Ok(binary(GUEST)), runs: counts }),
];

/// How many times the [interpreter](INTERPRETER) goes round its program, and what it ends with.
pub(super) const TURNS: i64 = 300_000;

fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest is well-formed")
}

fn read(name: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests").join(name);
    std::fs::read(path).map_err(|error| format!("{name}: {error}"))
}

fn primes(guest: &Compiled) -> Runs {
    export(guest, "count_primes", (0, 40_000), Some(4_203))
}

fn interpreter(guest: &Compiled) -> Runs {
    export::<_, i64>(guest, "interprets", TURNS, None)
}

fn tak(guest: &Compiled) -> Runs {
    export(guest, "tak", (18, 12, 6), Some(7))
}

fn queens(guest: &Compiled) -> Runs {
    export(guest, "queens", 9, Some(352))
}

fn sorts(guest: &Compiled) -> Runs {
    export::<_, i32>(guest, "sorts", (40_000, 1), None)
}

fn multiplies(guest: &Compiled) -> Runs {
    export(guest, "multiplies", 20, Some(1.0))
}

fn sieves(guest: &Compiled) -> Runs {
    export(guest, "sieves", 200_000, Some(17_984))
}

fn counts(guest: &Compiled) -> Runs {
    export::<_, i64>(guest, "counts_and_yields", 5_000_000_i64, None)
}

/// Calls of an export, which give this result; or any, as long as it is always the same.
fn export<P, R>(guest: &Compiled, name: &'static str, params: P, mut result: Option<R>) -> Runs
where
    P: WasmParams + Copy + Sync + 'static,
    R: WasmResults + PartialEq + Copy + Debug + Sync + 'static,
{
    let guest = guest.instance(InstanceOptions::default());
    Box::new(move || {
        let call = guest.call::<P, R>(name, params);
        let given = call.and_then(|mut call| call.wait()).expect("the guest returns");
        assert_eq!(given, *result.get_or_insert(given));
    })
}

/// A creature that plans its way through nine berries.
fn creature(guest: &Compiled) -> Runs {
    const WIDTH: usize = 80;
    const HEIGHT: usize = 22;
    let mut cells = vec![b'.'; WIDTH * HEIGHT];
    for (index, cell) in cells.iter_mut().enumerate() {
        match (index % WIDTH, index / WIDTH) {
            (0, _) | (_, 0) => *cell = b'#',
            (x, y) if x == WIDTH - 1 || y == HEIGHT - 1 => *cell = b'#',
            (x, y) if x % 8 == 3 && y % 5 == 4 => *cell = b'*',
            _ => {}
        }
    }
    let mut linker = Linker::<()>::new(guest.engine());
    let look = move |mut caller: Caller<'_, ()>, address: u32| {
        let memory = caller.get_export("memory").and_then(Extern::into_memory);
        let memory = memory.expect("the guest exports it");
        memory.write(&mut caller, address as usize, &cells).expect("the guest has room");
        (WIDTH * HEIGHT / 2 + WIDTH / 2) as i32
    };
    linker.func_wrap("world", "look", look).expect("the linker is new");
    let mut linked = || -> wasmtime::Result<()> {
        linker.func_wrap("world", "walk", |direction: i32| direction)?;
        linker.func_wrap("world", "eat", || 0_i32)?;
        linker.func_wrap("world", "nap", |_: i32| {})?;
        linker.func_wrap("world", "chance", |_: i32| 0_i32)?;
        Ok(())
    };
    linked().expect("there is none of these names");
    let guest = guest.link(&linker).instance(InstanceOptions::default(), ());
    Box::new(move || {
        let think = guest.call::<(), ()>("think", ());
        think.and_then(|mut think| think.wait()).expect("the guest returns");
    })
}

fn bare_loop(guest: &Compiled) -> Runs {
    const COUNT: i64 = 50_000_000;
    let guest = guest.instance(InstanceOptions::default());
    Box::new(move || {
        let count = guest.call::<i64, i64>("counts", COUNT);
        let count = count.and_then(|mut count| count.wait()).expect("the guest returns");
        assert_eq!(count, COUNT);
    })
}

fn memory_loop(guest: &Compiled) -> Runs {
    let guest = guest.instance(InstanceOptions::default());
    Box::new(move || {
        let sum = guest.call::<i32, i32>("sums", 500);
        let sum = sum.and_then(|mut sum| sum.wait()).expect("the guest returns");
        assert_eq!(sum, 500 * i32::from(b'x'));
    })
}

fn fib(guest: &Compiled) -> Runs {
    let guest = guest.instance(InstanceOptions::default());
    Box::new(move || {
        let number = guest.call::<i32, i32>("fib", 30);
        let number = number.and_then(|mut number| number.wait()).expect("the guest returns");
        assert_eq!(number, 832_040);
    })
}

fn picture(guest: &Compiled) -> Runs {
    let guest = guest.instance(InstanceOptions::default());
    Box::new(move || {
        let tile = guest.call::<(f64, f64, f64), i32>("render", (-0.745, 0.132, 1e-6));
        tile.and_then(|mut tile| tile.wait()).expect("the guest draws");
    })
}

fn sqlite(guest: &Compiled) -> Runs {
    program(&wasi::SQLITE, guest)
}

fn lua(guest: &Compiled) -> Runs {
    program(&wasi::LUA, guest)
}

fn program(program: &'static wasi::Program, guest: &Compiled) -> Runs {
    Box::new(program.runs(guest, |_| ()))
}
