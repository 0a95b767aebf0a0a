//! The server as a user of wasmtime writes it: `call_async` in the task of the connection, and a thread that advances the epoch. Its
//! limits, its answers and its counts are those of `examples/server`.

use super::SIZE;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wasm_jobs::wasmtime::{
    Engine, InstancePre, Linker, Module, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline,
};
use wasm_jobs::wasmtime_wasi::WasiCtxBuilder;
use wasm_jobs::wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_async};
use wasm_jobs::wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasm_jobs_server::{BODY, Failure, Health};

struct Server {
    plugins: HashMap<String, Plugin>,
    health: Health,
}

struct Plugin {
    pre: InstancePre<Guest>,
    room: Semaphore,
}

struct Guest {
    wasi: WasiP1Ctx,
    limits: StoreLimits,
    /// How many milliseconds it has run.
    ticks: u32,
}

pub(super) fn app(plugins: &[(&str, &[u8])]) -> Router {
    let engine = crate::guests::engine_of_their_own(1_000);
    let mut linker = Linker::new(&engine);
    add_to_linker_async(&mut linker, |guest: &mut Guest| &mut guest.wasi).expect("it is new");
    let plugin = |(name, text): &(&str, &[u8])| {
        let wasm = wat::parse_bytes(text).expect("the plugin is well-formed");
        let module = Module::new(&engine, wasm).expect("the plugin is valid");
        let pre = linker.instantiate_pre(&module).expect("the plugin imports WASI");
        ((*name).to_owned(), Plugin { pre, room: Semaphore::new(SIZE) })
    };
    let plugins = plugins.iter().map(plugin).collect();
    tick(engine);
    Router::new()
        .route("/plugins/{name}", post(answer))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(Arc::new(Server { plugins, health: Health::new() }))
}

/// Ends with the process.
fn tick(engine: Engine) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(1));
            engine.increment_epoch();
        }
    });
}

async fn answer(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Bytes, Failure> {
    let request = server.health.request(&name);
    let answer = match server.plugins.get(&name) {
        Some(plugin) => run(plugin, &name, body).await,
        None => Err(Failure::NoPlugin(name.clone())),
    };
    request.end(answer.as_ref().err());
    answer
}

async fn run(plugin: &Plugin, name: &str, body: Bytes) -> Result<Bytes, Failure> {
    let Ok(_permit) = timeout(Duration::from_secs(1), plugin.room.acquire()).await else {
        return Err(failed(StatusCode::SERVICE_UNAVAILABLE, "all instances are out"));
    };
    let output = MemoryOutputPipe::new(1 << 20);
    let input = MemoryInputPipe::new(body);
    let wasi = WasiCtxBuilder::new().arg(name).stdin(input).stdout(output.clone()).build_p1();
    let limits = StoreLimitsBuilder::new().memory_size(32 << 20).build();
    let mut store = Store::new(plugin.pre.module().engine(), Guest { wasi, limits, ticks: 0 });
    store.limiter(|guest| &mut guest.limits);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        store.data_mut().ticks += 1;
        Ok(match store.data().ticks {
            ..50 => UpdateDeadline::Yield(1),
            _ => UpdateDeadline::Interrupt,
        })
    });
    let call = async {
        let instance = plugin.pre.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call_async(&mut store, ()).await
    };
    match timeout(Duration::from_secs(2), call).await {
        Ok(Ok(())) => Ok(output.contents()),
        Ok(Err(error)) if error.is::<wasm_jobs::wasmtime::Trap>() && store.data().ticks >= 50 => {
            Err(failed(StatusCode::GATEWAY_TIMEOUT, "it ran for too long"))
        }
        Ok(Err(error)) => Err(failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:?}"))),
        Err(_) => Err(failed(StatusCode::GATEWAY_TIMEOUT, "it took too long")),
    }
}

fn failed(status: StatusCode, why: &str) -> Failure {
    Failure::Refused(status, why.into())
}
