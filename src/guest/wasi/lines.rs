//! [`Lines`]: a guest's output, line by line, for a log.

use crate::unwind::ignore_panic;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A stream that gives each line to a closure, without its end, on the thread that runs the guest.
///
/// What is not UTF-8 is replaced by U+FFFD. A line of more than [`LONGEST`](Self::LONGEST) bytes comes in pieces of about
/// that length. A last line that the guest has not ended comes when the guest is dropped, or reset.
///
/// A clone writes to the same closure, and goes on with the same line: for standard output and messages together. While the
/// closure runs, whoever else writes there waits; so it must not wait for a guest that may, nor resume one.
///
/// ```
/// use wasm_jobs::wasi::{Lines, WasiCtxBuilder};
///
/// let log = Lines::new(|line| println!("[creature 7] {line}"));
/// let ctx = WasiCtxBuilder::new().stdout(log.clone()).stderr(log).build()?;
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    line: Vec<u8>,
    give: Box<dyn FnMut(&str) + Send>,
}

impl Lines {
    /// In bytes. It bounds what a guest that never ends its line can make the host keep.
    pub const LONGEST: usize = 64 * 1024;

    /// A stream whose lines this closure gets.
    pub fn new(give: impl FnMut(&str) + Send + 'static) -> Self {
        let shared = Shared { line: Vec::new(), give: Box::new(give) };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }
}

impl Shared {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.line.extend_from_slice(text);
            while self.line.len() > Lines::LONGEST {
                self.give(character_boundary(&self.line, Lines::LONGEST));
            }
            if ends {
                self.give(self.line.len());
            }
        }
    }

    /// Gives the beginning of the line.
    fn give(&mut self, length: usize) {
        let rest = self.line.split_off(length);
        let line = mem::replace(&mut self.line, rest);
        (self.give)(&String::from_utf8_lossy(&line));
    }
}

/// Where text can be cut, at a position or a bit before that.
fn character_boundary(text: &[u8], at: usize) -> usize {
    let is_inside_a_character = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    (at - 3..=at).rev().find(|&at| !is_inside_a_character(text[at])).unwrap_or(at)
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            ignore_panic(|| self.give(self.line.len()));
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// For components; the functions of preview 1 do not come here.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.shared.lock().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(Self::LONGEST)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Lines {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.lock().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}
