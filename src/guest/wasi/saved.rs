//! [`WasiSaved`]: the state of a [`WasiCtx`] as data; and how a context is saved and restored. The data is a [`State`] (next file:
//! `saved_state`), which `saved_bytes` writes as bytes.

use crate::error::Error;
use crate::guest::checkpoint::host_state::HostState;
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::files::{Files, no_memory};
use crate::guest::wasi::generator::Generator;
use crate::guest::wasi::given::{cannot_restore, cannot_save};
use crate::guest::wasi::saved_bytes;
use crate::guest::wasi::saved_state::State;
use crate::guest::wasi::shifted::{Moment, Shifted};
use std::fmt;
use std::sync::Arc;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p1::types::Fd;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;

/// The state of a [`WasiCtx`] between two calls, as data. [`HostState::save`] makes it, and [`HostState::restore`] takes it.
///
/// | | at the save | at the restore |
/// |---|---|---|
/// | random numbers of a [`seed`](super::WasiCtxBuilder::seed) | their position | they go on from there, whatever the seed of the new context is; it must have one. The *insecure seed* of a component stays that of the new context |
/// | random numbers of the system | nothing | they stay the system's |
/// | time | what the guest's clocks show | the guest's clocks go on from there, and its sleeps follow them. The host's clock is not set, because many guests may use it. With the [`RealtimeClock`](crate::RealtimeClock), given by itself or in an `Arc`, the time of day stays the real one |
/// | [`Lines`](super::Lines) as standard output or standard error | the line that has no end yet | it is put back |
/// | arguments, environment, names of directories | all of them | the new context must have the same, because wasmtime-wasi cannot exchange them. The bytes contain the environment, which may have secrets |
/// | open files of preview 1 | refused; with [`reopen_files`](super::WasiCtxBuilder::reopen_files), their paths and offsets | opened again. All other files are closed. Streams and directories that were closed at the save are closed again |
/// | **contents** of files, of pipes and of other streams; how far standard input was read | nothing | they stay as they are |
/// | resources of components | refused | refused |
///
/// A rollback does not take output back. The reader of the output may see a part of it twice.
///
/// Files that the guest opens by other functions than those of [`add_to_linker`](super::add_to_linker) are not saved. Nor are streams and
/// directories that the host sets by [`WasiCtxBuilder::wasmtime`](super::WasiCtxBuilder::wasmtime), except directories set before the first save.
///
/// A clone is cheap.
///
/// ```
/// use std::time::Duration;
/// use wasm_jobs::wasi::{WasiCtxBuilder, WasiSaved};
/// use wasm_jobs::{Clock, HostState, ManualClock};
///
/// let clock = ManualClock::new();
/// clock.tick(Duration::from_secs(20));
/// let mut ctx = WasiCtxBuilder::new().args(["guest"]).clock(clock).seed(42).build()?;
/// let bytes = ctx.save()?.to_bytes();
///
/// // In another process, say:
/// let clock = ManualClock::new();
/// let mut ctx = WasiCtxBuilder::new().args(["guest"]).clock(clock.clone()).seed(0).build()?;
/// ctx.restore(&WasiSaved::from_bytes(&bytes)?)?;
/// clock.tick(Duration::from_secs(1));
/// assert_eq!(ctx.clock().now(), Duration::from_secs(21));
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[derive(Clone)]
pub struct WasiSaved {
    state: Arc<State>,
}

impl WasiSaved {
    /// The data as bytes. Equal data gives equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        saved_bytes::write(&self.state)
    }

    /// Reads bytes that [`to_bytes`](Self::to_bytes) has written, here or in another process. It uses no more memory than a small multiple of
    /// their length.
    ///
    /// The bytes have a checksum against damage, and no signature. Bytes from a stranger can set the guest's time, its random numbers and the
    /// beginning of its next line of output. They can name files, and the function given to
    /// [`reopen_files`](super::WasiCtxBuilder::reopen_files) decides about each.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCheckpoint`] if the bytes are damaged, cut off, or of another version of the library.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self { state: Arc::new(saved_bytes::read(bytes)?) })
    }
}

impl fmt::Debug for WasiSaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiSaved").finish_non_exhaustive()
    }
}

const STREAMS: [&str; 2] = ["standard output", "standard error"];

impl HostState for WasiCtx {
    type Saved = WasiSaved;

    /// # Errors
    ///
    /// [`Error::CannotSave`]:
    ///
    /// - if the guest has a file open, and [`reopen_files`](super::WasiCtxBuilder::reopen_files) was not called;
    /// - if the guest has moved a stream or a directory to another descriptor;
    /// - if a component holds a resource of WASI.
    fn save(&mut self) -> Result<WasiSaved, Error> {
        if self.has_resources() {
            let why = "handles of components are not saved: have the component drop it";
            return Err(cannot_save("a resource of WASI 0.2", why));
        }
        let given = self.sources.given(&mut self.p1)?;
        let sources = &self.sources;
        let reopen = sources.reopen.as_deref();
        let files = Files::save(&mut self.p1, &sources.opened, &given, reopen)?;
        let generators = sources.generators.as_ref();
        let state = State {
            generators: generators.map(|both| both.each_ref().map(Generator::position)),
            moment: Moment::read(&self.clock),
            lines: sources.distinct_lines().map(|lines| lines.map(|lines| lines.unfinished())),
            given,
            files,
        };
        Ok(WasiSaved { state: Arc::new(state) })
    }

    /// # Errors
    ///
    /// [`Error::CannotRestore`], which leaves the context as it was:
    ///
    /// - if the arguments, the environment or the directories are not those of the save;
    /// - if random numbers or an unfinished line were saved, and this context has no [`seed`](super::WasiCtxBuilder::seed) or no
    ///   [`Lines`](super::Lines);
    /// - if a file cannot or may not be opened again;
    /// - if a component holds a resource of WASI.
    fn restore(&mut self, saved: &WasiSaved) -> Result<(), Error> {
        let state = &*saved.state;
        self.check(state)?;
        let sources = &mut self.sources;
        let reopen = sources.reopen.as_deref();
        let former =
            state.files.restore(&mut self.p1, &mut sources.opened, &state.given, reopen)?;
        // The files that were reopened are the guest's, and not a component's.
        sources.is_preview1 |= !sources.opened.slots().is_empty();

        // The former streams give an unfinished line when they close. The text since the save must not come as a line.
        for lines in sources.distinct_lines().into_iter().flatten() {
            lines.set_unfinished(&[]);
        }
        drop(former);
        for (lines, text) in sources.distinct_lines().iter().zip(&state.lines) {
            if let (Some(lines), Some(text)) = (lines, text) {
                lines.set_unfinished(text);
            }
        }
        if state.lines.iter().flatten().any(|text| !text.is_empty()) {
            // Opens the streams, whose end gives the text if the guest writes no more.
            sources.is_preview1 = true;
            let _ = self.p1.fd_tell(&mut no_memory(), Fd::from(0));
        }

        if let (Some(generators), Some(positions)) = (&sources.generators, &state.generators) {
            for (generator, position) in generators.iter().zip(positions) {
                generator.set_position(position);
            }
        }
        let shifted = Shifted::new(sources.clock.clone(), state.moment, sources.is_real_time);
        self.clock = Arc::new(shifted);
        Ok(())
    }
}

impl WasiCtx {
    /// Does a component hold resources? Those of preview 1 are known by their descriptors.
    fn has_resources(&mut self) -> bool {
        !self.sources.is_preview1 && !self.p1.ctx().table.is_empty()
    }

    /// Refuses a state that does not fit this context. The files are not looked at.
    fn check(&mut self, state: &State) -> Result<(), Error> {
        if self.has_resources() {
            let why = "handles of components are not restored: have the component drop it";
            return Err(cannot_restore("a resource of WASI 0.2", why));
        }
        let here = self.sources.given(&mut self.p1)?;
        if !Arc::ptr_eq(&state.given, &here) {
            state.given.check(&here)?;
        }
        if state.generators.is_some() && self.sources.generators.is_none() {
            let why = "they followed from a seed, and the context has none: \
                       build it with any `WasiCtxBuilder::seed`";
            return Err(cannot_restore("the random numbers", why));
        }
        let lines = self.sources.distinct_lines();
        for ((stream, text), lines) in STREAMS.iter().zip(&state.lines).zip(lines) {
            if lines.is_none() && text.as_ref().is_some_and(|text| !text.is_empty()) {
                let why =
                    "the context has no `Lines` of its own for this stream: set one by the builder";
                return Err(cannot_restore(format!("the unfinished line of {stream}"), why));
            }
        }
        Ok(())
    }
}
