//! [`Work`]: guests that compute, for the measures of what checks cost them.

use super::compiled::Compiled;
use super::wasi;
use crate::guests::{BARE_LOOP, FIB, MEMORY_LOOP};
use std::path::Path;
use wasm_jobs::InstanceOptions;

/// Runs of a guest.
pub(super) type Runs = Box<dyn FnMut()>;

/// A guest, and what a run of it is.
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

fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest is well-formed")
}

fn read(name: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests").join(name);
    std::fs::read(path).map_err(|error| format!("{name}: {error}"))
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
