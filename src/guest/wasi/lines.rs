//! [`Lines`]: a guest's output, line by line, for a log. The guest writes to a [`Stream`], and the host's closure gets the lines.

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

/// An output stream that gives each line, without its end, to a closure, on the thread that runs the guest.
///
/// Bytes that are not UTF-8 are replaced by U+FFFD. A line of more than [`LONGEST`](Self::LONGEST) bytes comes in pieces of about
/// that length. A last line without an end comes when the guest has closed the stream, or is dropped or reset.
///
/// A clone writes to the same closure, and continues the same line: use clones for standard output and standard error together. If
/// several guests write to clones, a line without an end comes when the last of the guests goes.
///
/// While the closure runs, other threads that write to the same `Lines` block. So the closure must not resume, drop or wait for a
/// guest that writes there.
///
/// With the feature `checkpoint`, the beginning of an unfinished line is saved with the guest, and is put back when the guest is restored. If
/// several guests write to clones, restoring one of them sets the line of all: give each such guest `Lines` of its own.
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
    log: Arc<Mutex<Log>>,
}

struct Log {
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    /// How many [`Stream`]s of guests are open.
    streams: usize,
    give: Box<dyn FnMut(&str) + Send>,
}

impl Lines {
    /// The greatest length in bytes at which a line comes in one piece. It bounds how much of the host's memory a guest can fill that
    /// never ends its line.
    pub const LONGEST: usize = 64 * 1024;

    /// A stream that gives its lines to this closure.
    pub fn new(give: impl FnMut(&str) + Send + 'static) -> Self {
        let log = Log { line: Vec::new(), streams: 0, give: Box::new(give) };
        Self { log: Arc::new(Mutex::new(log)) }
    }
}

#[cfg(feature = "checkpoint")]
impl Lines {
    /// Do both write to the same closure?
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.log, &other.log)
    }

    /// The beginning of a line that has not ended.
    pub(crate) fn unfinished(&self) -> Vec<u8> {
        self.log.lock().line.clone()
    }

    /// Exchanges the beginning of the line for another.
    pub(crate) fn set_unfinished(&self, text: &[u8]) {
        let mut log = self.log.lock();
        log.line.clear();
        log.line.extend_from_slice(text);
    }
}

impl Log {
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

    /// Gives the first `length` bytes of the line, and keeps the rest.
    fn give(&mut self, length: usize) {
        let rest = self.line.split_off(length);
        let line = mem::replace(&mut self.line, rest);
        (self.give)(&String::from_utf8_lossy(&line));
    }
}

/// The last position up to `at` that is not inside a character; `at` if the text is not UTF-8 there.
fn character_boundary(text: &[u8], at: usize) -> usize {
    let is_inside_a_character = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    (at - 3..=at).rev().find(|&at| !is_inside_a_character(text[at])).unwrap_or(at)
}

/// An open stream of a guest. The last one to be dropped ends the line, so that the next guest that writes to the log starts a new
/// line, even if the host has kept the [`Lines`].
struct Stream {
    log: Arc<Mutex<Log>>,
}

impl Stream {
    fn open(log: &Arc<Mutex<Log>>) -> Self {
        log.lock().streams += 1;
        Self { log: log.clone() }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut log = self.log.lock();
        log.streams -= 1;
        if log.streams == 0 && !log.line.is_empty() {
            ignore_panic(|| {
                let length = log.line.len();
                log.give(length);
            });
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
        Box::new(Stream::open(&self.log))
    }

    /// For components of WASI 0.3. The other versions do not call it.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Stream::open(&self.log))
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.log.lock().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(Lines::LONGEST)
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.log.lock().write(bytes);
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
