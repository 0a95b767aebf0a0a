//! Programs that others wrote, for WASI. SQLite is not part of the repository, and where it is missing its measures are skipped.

use super::pool;
use crate::guests;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Engine, Linker, Module, Store};
use wasm_jobs::wasmtime_wasi::{self, I32Exit, p1::WasiP1Ctx};
use wasm_jobs::{Future, Instance, JobPool, prepare};

pub(super) const ROUNDS: usize = 15;

/// More than a program prints, in bytes.
pub(super) const OUTPUT: usize = 64 * 1024;

/// The speed test of SQLite.
pub(super) const SQLITE: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/guests/sqlite-speedtest1.wasm"),
    args: &["speedtest1", "--memdb", "--size", "2", "--verify"],
    prints: "Verification Hash: 244592 28e6676ac610b0067f7b48634a7665a3ccf4f1ef8d7fd374",
};

/// Lua's interpreter, with a script that calls a function which calls itself, and makes, sorts, joins and finds strings.
pub(super) const LUA: Program = Program {
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi/lua.wasm"),
    args: &["lua", "-e", SCRIPT],
    prints: "317811\t108901\t450525",
};

const SCRIPT: &str = "
    local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
    local t = {} for i = 1, 20000 do t[i] = tostring(i * 7919 % 20011) end
    table.sort(t)
    local text, sum = table.concat(t, ' '), 0
    for word in text:gmatch('%d+') do sum = (sum * 31 + tonumber(word)) % 1000003 end
    print(fib(28), #text, sum)";

pub(super) struct Program {
    pub(super) path: &'static str,
    pub(super) args: &'static [&'static str],
    /// A line that it prints when it has done all of its work.
    pub(super) prints: &'static str,
}

/// The speed test of SQLite as a job on rayon, beside wasmtime with wasmtime-wasi: from its instantiation to the end of its
/// output.
pub(crate) fn sqlite() -> Finding {
    let pool = pool(1);
    let ours = SQLITE.module(&guests::ENGINE).map(|module| {
        SQLITE.runs(&module, move |call| {
            pool.submit(call.to_job().expect("the call is ours")).wait();
        })
    });
    match (ours, SQLITE.by_hand()) {
        (Ok(ours), Ok(theirs)) => compare(Other::Peer("wasmtime_wasi"), ROUNDS, 1, ours, theirs),
        (Err(why), _) | (_, Err(why)) => Finding::Skipped { why },
    }
}

impl Program {
    /// Runs of the program on the thread that asks for them, or why there are none.
    pub(super) fn on(&'static self, engine: &Engine) -> Result<impl FnMut() + use<>, String> {
        Ok(self.runs(&self.module(engine)?, |_| ()))
    }

    /// Runs of the program, which is prepared for checkpoints.
    pub(super) fn prepared(&'static self, engine: &Engine) -> Result<impl FnMut() + use<>, String> {
        let module = prepare(engine, self.wasm()?).expect("the guest can be prepared");
        Ok(self.runs(&module, |_| ()))
    }

    /// `run` is given the call, and may have it run to its end.
    fn runs<F: Fn(&mut Future<()>)>(
        &'static self,
        module: &Module,
        run: F,
    ) -> impl FnMut() + use<F> {
        let mut linker = Linker::<WasiCtx>::new(module.engine());
        wasi::add_to_linker(&mut linker, |ctx| ctx).expect("the linker is new");
        let pre = linker.instantiate_pre(module).expect("the guest imports WASI");
        move || {
            let stdout = MemoryOutputPipe::new(OUTPUT);
            let ctx = WasiCtxBuilder::new().args(self.args).stdout(stdout.clone()).build();
            let ctx = ctx.expect("it has no directories");
            let instance = Instance::new(&pre, ctx).expect("the pool has room");
            let mut call = instance.call::<(), ()>("_start", ()).expect("the guest exports it");
            run(&mut call);
            call.wait().expect("the guest succeeds");
            self.check(&stdout);
        }
    }

    /// The same with wasmtime and wasmtime-wasi.
    fn by_hand(&'static self) -> Result<impl FnMut(), String> {
        let module = self.module(&guests::ENGINE)?;
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

    fn module(&self, engine: &Engine) -> Result<Module, String> {
        Ok(Module::new(engine, self.wasm()?).expect("the guest is valid"))
    }

    fn wasm(&self) -> Result<Vec<u8>, String> {
        std::fs::read(self.path).map_err(|error| format!("{}: {error}", self.path))
    }

    /// Both sides must have done the same work, and all of it.
    pub(super) fn check(&self, stdout: &MemoryOutputPipe) {
        let stdout = stdout.contents();
        let stdout = String::from_utf8_lossy(&stdout);
        let (line, mut lines) = (self.prints, stdout.lines());
        assert!(
            lines.any(|printed| printed == line),
            "the guest did not print {line:?}:\n{stdout}"
        );
    }
}

/// Checks that a program by hand has ended well. It returns, or exits with zero.
pub(super) fn succeeded(end: wasm_jobs::wasmtime::Result<()>) {
    if let Err(end) = end {
        let code = end.downcast_ref::<I32Exit>().map(|exit| exit.0);
        assert_eq!(code, Some(0), "the guest fails: {end:?}");
    }
}
