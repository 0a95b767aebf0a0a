//! Serves the plugins of the folder `plugins` and some of the gallery's, at the address that is given or at 127.0.0.1:3000.
//!
//! `cargo run --release -p wasm-jobs-server`, and then `curl --data 'hello' localhost:3000/plugins/upper`, or a browser.

use std::sync::Arc;
use wasm_jobs::{EngineOptions, engine};
use wasm_jobs_server::{Plugins, app};

/// The most instances of a plugin.
const SIZE: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut plugins = Plugins::new(&engine(&EngineOptions::default())?, Plugins::limits())?;
    plugins.add("upper", SIZE, include_bytes!("../plugins/upper.wat"), &[])?;
    plugins.add("echo", SIZE, include_bytes!("../plugins/echo.wat"), &[])?;
    plugins.add("loop", SIZE, include_bytes!("../plugins/loop.wat"), &[])?;
    plugins.add("hog", SIZE, include_bytes!("../plugins/hog.wat"), &[])?;
    plugins.add("trap", SIZE, include_bytes!("../plugins/trap.wat"), &[])?;
    plugins.add("nap", SIZE, include_bytes!("../../../guests/wasi/nap.wasm"), &["1000"])?;
    let bzip2 = include_bytes!("../../../guests/wasi/bzip2.wasm");
    plugins.add("bzip2", SIZE, bzip2, &["-1", "-c"])?;

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&address).await?;
        println!("http://{}", listener.local_addr()?);
        axum::serve(listener, app(Arc::new(plugins))).await?;
        Ok(())
    })
}
