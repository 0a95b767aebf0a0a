//! A standard input of WASI's that waits for an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::AsyncRead;
use wasm_jobs::Event;
use wasm_jobs::wasmtime_wasi::async_trait;
use wasm_jobs::wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasm_jobs::wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// An empty standard input. It can be read once `has_come` is set.
#[derive(Clone, Default)]
pub(crate) struct Input {
    pub(crate) has_come: Event,
    /// How many waits for it are over or were dropped.
    pub(crate) ended: Arc<AtomicUsize>,
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        unreachable!("preview 1 has no such streams")
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl InputStream for Input {
    fn read(&mut self, _: usize) -> StreamResult<bytes::Bytes> {
        Err(StreamError::Closed)
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        let _wait = Wait(&self.ended);
        self.has_come.wait().await;
    }
}

struct Wait<'a>(&'a AtomicUsize);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}
