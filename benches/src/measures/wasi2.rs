//! The programs of `wasi` as components of WASI 0.2. SQLite is not part of the repository, and where it is missing its measure is skipped.

use super::pool;
use super::wasi::{LUA, OUTPUT, Program, ROUNDS, SQLITE};
use crate::guests::ENGINE;
use crate::rounds::{Finding, Other, compare};
use wasm_jobs::JobPool;
use wasm_jobs::wasi::{self, Command, CommandPre, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::component::{Component, Linker};
use wasm_jobs::wasmtime::{Engine, Store};
use wasm_jobs::wasmtime_wasi::p2::bindings;
use wasm_jobs::wasmtime_wasi::{self, ResourceTable, WasiCtxView, WasiView};

/// The speed test of SQLite as a job on rayon, beside wasmtime with wasmtime-wasi: from its instantiation to the end of its output.
pub(crate) fn sqlite() -> Finding {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sqlite-speedtest1.component.wasm");
    measure(&Program { path, ..SQLITE })
}

/// Lua's interpreter in the same way.
pub(crate) fn lua() -> Finding {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/wasi2/lua.wasm");
    measure(&Program { path, ..LUA })
}

fn measure(program: &Program) -> Finding {
    let component = match std::fs::read(program.path) {
        Ok(wasm) => Component::new(&ENGINE, wasm).expect("the guest is valid"),
        Err(error) => return Finding::Skipped { why: format!("{}: {error}", program.path) },
    };

    let pool = pool(1);
    let pre = ours(&component);
    let ours = || {
        let stdout = MemoryOutputPipe::new(OUTPUT);
        let ctx = WasiCtxBuilder::new().args(program.args).stdout(stdout.clone()).build();
        let ctx = ctx.expect("it has no directories");
        let mut run = Command::new(&pre, ctx).and_then(|guest| guest.run()).expect("there is room");
        pool.submit(run.to_job().expect("the call is ours")).wait();
        run.try_get_result().expect("the guest succeeds").expect("it is done");
        program.check(&stdout);
    };

    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("it takes no thread");
    let pre = theirs(&component);
    let theirs = || {
        let stdout = MemoryOutputPipe::new(OUTPUT);
        let mut store = store(&ENGINE, program.args, stdout.clone());
        runtime.block_on(async {
            let guest = pre.instantiate_async(&mut store).await.expect("there is room");
            let end = guest.wasi_cli_run().call_run(&mut store).await;
            end.expect("the guest does not trap").expect("the guest succeeds");
        });
        program.check(&stdout);
    };

    compare(Other::Peer("wasmtime_wasi"), ROUNDS, 1, ours, theirs)
}

/// The program as a user of this library links it.
pub(super) fn ours(component: &Component) -> CommandPre<WasiCtx> {
    let mut linker = Linker::new(component.engine());
    wasi::add_to_component_linker(&mut linker).expect("the linker is new");
    let pre = linker.instantiate_pre(component).expect("the guest imports WASI");
    CommandPre::new(pre).expect("the guest is a program")
}

/// The program as a user of wasmtime-wasi links it.
pub(super) fn theirs(component: &Component) -> bindings::CommandPre<State> {
    let mut linker = Linker::new(component.engine());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("the linker is new");
    let pre = linker.instantiate_pre(component).expect("the guest imports WASI");
    bindings::CommandPre::new(pre).expect("the guest is a program")
}

/// A store for such a program. It yields when the epoch changes, as an instance of this library does.
pub(super) fn store(engine: &Engine, args: &[&str], stdout: MemoryOutputPipe) -> Store<State> {
    let ctx = wasmtime_wasi::WasiCtxBuilder::new().args(args).stdout(stdout).build();
    let mut store = Store::new(engine, State { ctx, table: ResourceTable::new() });
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    store
}

/// The state of the stores of the peers.
pub(super) struct State {
    ctx: wasmtime_wasi::WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}
