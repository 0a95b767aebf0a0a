//! Programs that others wrote, for WASI. SQLite is not part of the repository, and where it is missing its measures are skipped.

use super::compiled::Compiled;
use super::pool;
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::wasi::{self, MemoryInputPipe, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Linker, Module, Store};
use wasm_jobs::wasmtime_wasi::{self, I32Exit, p1::WasiP1Ctx};
use wasm_jobs::{Future, InstanceOptions, JobPool};

pub(super) const ROUNDS: usize = 15;

/// More than a program prints, in bytes.
pub(super) const OUTPUT: usize = 128 * 1024;

/// The speed test of SQLite.
pub(super) const SQLITE: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/guests/sqlite-speedtest1.wasm"),
    args: &["speedtest1", "--memdb", "--size", "2", "--verify"],
    input: None,
    prints: Output::Line(
        "Verification Hash: 244592 28e6676ac610b0067f7b48634a7665a3ccf4f1ef8d7fd374",
    ),
};

/// Lua's interpreter, with a script that calls a function which calls itself, and makes, sorts, joins and finds strings.
pub(super) const LUA: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/lua.wasm"),
    args: &["lua", "-e", LUA_SCRIPT],
    input: None,
    prints: Output::Line("317811\t108901\t450525"),
};

const LUA_SCRIPT: &str = "
    local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
    local t = {} for i = 1, 20000 do t[i] = tostring(i * 7919 % 20011) end
    table.sort(t)
    local text, sum = table.concat(t, ' '), 0
    for word in text:gmatch('%d+') do sum = (sum * 31 + tonumber(word)) % 1000003 end
    print(fib(28), #text, sum)";

/// An interpreter for JavaScript, with a script that computes with numbers, objects, closures, strings and expressions.
pub(super) const JS: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/js.wasm"),
    args: &["js", "-e", JS_SCRIPT],
    input: None,
    prints: Output::Line("17711 1.661359026 w106,25 34374"),
};

const JS_SCRIPT: &str = r"
    class Body { constructor(x, v, m) { this.x = x; this.v = v; this.m = m; } }
    const bodies = [];
    for (let i = 0; i < 12; i++) bodies.push(new Body(i * 1.5, (i * 7 % 5) / 10, 1 + i % 3));
    for (let step = 0; step < 400; step++) {
        for (const a of bodies) for (const b of bodies) {
            const d = b.x - a.x;
            a.v += 0.001 * b.m * d / (1 + Math.abs(d * d * d));
        }
        for (const b of bodies) b.x += b.v * 0.001;
    }
    const energy = bodies.reduce((sum, b) => sum + b.m * b.v * b.v / 2, 0);
    const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2);
    const words = [], counts = new Map();
    for (let i = 0, seed = 1; i < 12000; i++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        words.push('w' + (seed >>> 20) % 997);
    }
    for (const word of words.join(' ').split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1);
    const most = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    print(fib(22), energy.toFixed(9), most, words.join('').replace(/w(\d)/g, '$1').length);";

/// A program that packs a file.
pub(super) const BZIP2: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/bzip2.wasm"),
    args: &["bzip2", "-1", "-c"],
    input: Some(include_bytes!("../../../guests/wasi/sample1.ref")),
    prints: Output::Bytes(include_bytes!("../../../guests/wasi/sample1.bz2")),
};

/// The same program, which unpacks it again.
pub(super) const BUNZIP2: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/bzip2.wasm"),
    args: &["bzip2", "-d", "-c"],
    input: Some(include_bytes!("../../../guests/wasi/sample1.bz2")),
    prints: Output::Bytes(include_bytes!("../../../guests/wasi/sample1.ref")),
};

/// Three sorts.
pub(super) const SORT: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/sort.wasm"),
    args: &["sort", "3"],
    input: None,
    prints: Output::Line("words aaa cffd fffffef"),
};

/// Three hashes.
pub(super) const HASH: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/hash.wasm"),
    args: &["hash", "4"],
    input: None,
    prints: Output::Line(
        "bytes 8ffdf7e6cfde155ab118e1f70435db9efd0e96745e674854895edd173fc591ca 3a614401 c0f68319",
    ),
};

pub(super) struct Program {
    pub(super) path: &'static str,
    pub(super) args: &'static [&'static str],
    /// What it reads.
    pub(super) input: Option<&'static [u8]>,
    pub(super) prints: Output,
}

/// What a program prints when it has done all of its work.
#[derive(Clone, Copy)]
pub(super) enum Output {
    /// A line among others.
    Line(&'static str),
    /// All of it.
    Bytes(&'static [u8]),
}

/// The speed test of SQLite as a job on rayon, beside wasmtime with wasmtime-wasi: from its instantiation to the end of its
/// output.
pub(crate) fn sqlite() -> Finding {
    let pool = pool(1);
    let ours = SQLITE.wasm().map(|wasm| {
        SQLITE.runs(&Compiled::as_it_is(&guests::ENGINE, &wasm), move |call| {
            pool.submit(call.to_job().expect("the call is ours")).wait();
        })
    });
    match (ours, SQLITE.by_hand()) {
        (Ok(ours), Ok(theirs)) => compare(Other::Peer("wasmtime_wasi"), ROUNDS, 1, ours, theirs),
        (Err(why), _) | (_, Err(why)) => Finding::Skipped { why },
    }
}

impl Program {
    /// `run` is given the call, and may have it run to its end.
    pub(super) fn runs<F: Fn(&mut Future<()>)>(
        &'static self,
        guest: &Compiled,
        run: F,
    ) -> impl FnMut() + use<F> {
        let mut linker = Linker::<WasiCtx>::new(guest.engine());
        wasi::add_to_linker(&mut linker, |ctx| ctx).expect("the linker is new");
        let linked = guest.link(&linker);
        move || {
            let stdout = MemoryOutputPipe::new(OUTPUT);
            let mut builder = WasiCtxBuilder::new().args(self.args).stdout(stdout.clone());
            if let Some(input) = self.input {
                builder = builder.stdin(MemoryInputPipe::new(input));
            }
            let ctx = builder.build().expect("it has no directories");
            let instance = linked.instance(InstanceOptions::default(), ctx);
            let mut call = instance.call::<(), ()>("_start", ()).expect("the guest exports it");
            run(&mut call);
            call.wait().expect("the guest succeeds");
            self.check(&stdout);
        }
    }

    /// The same with wasmtime and wasmtime-wasi.
    fn by_hand(&'static self) -> Result<impl FnMut(), String> {
        let module = Module::new(&guests::ENGINE, self.wasm()?).expect("the guest is valid");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("it takes no thread");
        let mut linker = Linker::<WasiP1Ctx>::new(&guests::ENGINE);
        wasmtime_wasi::p1::add_to_linker_async(&mut linker, |ctx| ctx).expect("the linker is new");
        let pre = linker.instantiate_pre(&module).expect("the guest imports WASI");
        Ok(move || {
            let stdout = MemoryOutputPipe::new(OUTPUT);
            let mut builder = wasmtime_wasi::WasiCtxBuilder::new();
            let ctx = builder.args(self.args).stdout(stdout.clone()).build_p1();
            let mut store = Store::new(&guests::ENGINE, ctx);
            store.epoch_deadline_async_yield_and_update(1);
            store.set_epoch_deadline(1);
            runtime.block_on(async {
                let instance = pre.instantiate_async(&mut store).await.expect("the pool has room");
                let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
                let start = start.expect("the guest exports it");
                succeeded(start.call_async(&mut store, ()).await);
            });
            self.check(&stdout);
        })
    }

    pub(super) fn wasm(&self) -> Result<Vec<u8>, String> {
        std::fs::read(self.path).map_err(|error| format!("{}: {error}", self.path))
    }

    /// Both sides must have done the same work, and all of it.
    pub(super) fn check(&self, stdout: &MemoryOutputPipe) {
        let stdout = stdout.contents();
        let text = String::from_utf8_lossy(&stdout);
        match self.prints {
            Output::Line(line) => {
                let printed = text.lines().any(|printed| printed == line);
                assert!(printed, "the guest did not print {line:?}:\n{text}");
            }
            Output::Bytes(bytes) => assert_eq!(*stdout, *bytes, "the guest printed something else"),
        }
    }
}

/// Checks that a program by hand has ended well. It returns, or exits with zero.
pub(super) fn succeeded(end: wasm_jobs::wasmtime::Result<()>) {
    if let Err(end) = end {
        let code = end.downcast_ref::<I32Exit>().map(|exit| exit.0);
        assert_eq!(code, Some(0), "the guest fails: {end:?}");
    }
}
