//! [`WasiCtx`]: what the host gives to a WASI guest. The host builds it with a [`WasiCtxBuilder`] and owns it as the state of the
//! guest's store, where the functions of WASI find it.

use crate::error::Error;
#[cfg(feature = "checkpoint")]
use crate::guest::wasi::files::OpenFile;
#[cfg(feature = "checkpoint")]
use crate::guest::wasi::generator::Generator;
#[cfg(feature = "checkpoint")]
use crate::guest::wasi::opened::Opened;
#[cfg(feature = "checkpoint")]
use crate::guest::wasi::sources::{self, Sources};
#[cfg(feature = "wasi-p3-preview")]
use crate::guest::wasi::tokio_runtime;
use crate::wait::clock::{Clock, RealtimeClock};
use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime_wasi::cli::{StdinStream, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiView as _};

/// The context of a WASI guest: its arguments, its files, its clock. It is the state of the guest's store, or part of it, in the place
/// of wasmtime-wasi's own `WasiCtx`.
///
/// Each guest needs its own, and a new one for each [`reset`](crate::Instance::reset).
pub struct WasiCtx {
    pub(crate) p1: WasiP1Ctx,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(feature = "checkpoint")]
    pub(crate) sources: Sources,
}

impl WasiCtx {
    /// The clock from which the guest's times are read. A restored context has another clock than the builder was given: it goes on from the
    /// times of the save.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// wasmtime-wasi's part of the context, for a linker with other functions than those of
    /// [`add_to_linker`](super::add_to_linker).
    pub fn p1(&mut self) -> &mut WasiP1Ctx {
        &mut self.p1
    }
}

impl WasiCtx {
    /// The table of the guest's resources, and the clock.
    pub(crate) fn table_and_clock(&mut self) -> (&mut ResourceTable, &Arc<dyn Clock>) {
        (self.p1.ctx().table, &self.clock)
    }

    /// wasmtime-wasi's part, for a function of preview 1 that the guest has called.
    pub(crate) fn preview1(&mut self) -> &mut WasiP1Ctx {
        #[cfg(feature = "checkpoint")]
        {
            self.sources.is_preview1 = true;
        }
        &mut self.p1
    }

    /// As [`preview1`](Self::preview1), with the record of what the guest has opened.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn p1_and_opened(&mut self) -> (&mut WasiP1Ctx, &mut Opened) {
        self.sources.is_preview1 = true;
        (&mut self.p1, &mut self.sources.opened)
    }
}

impl fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiCtx").finish_non_exhaustive()
    }
}

/// Makes a [`WasiCtx`].
///
/// A guest has access to nothing but what it is given here. By default it has no arguments, no environment, no directories, empty
/// input, output that goes nowhere, the [`RealtimeClock`], and random numbers from the system.
///
/// ```
/// use wasm_jobs::ManualClock;
/// use wasm_jobs::wasi::{FsPerms, Lines, MemoryInputPipe, WasiCtxBuilder};
///
/// let ctx = WasiCtxBuilder::new()
///     .args(["guest", "--verbose"])
///     .env("LANG", "C.UTF-8")
///     .stdin(MemoryInputPipe::new("what the guest reads"))
///     .stdout(Lines::new(|line| println!("guest: {line}")))
///     .inherit_stderr()
///     .preopened_dir("guests", "/data", FsPerms::ReadOnly)
///     .clock(ManualClock::new())
///     .seed(42)
///     .build()?;
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[must_use]
pub struct WasiCtxBuilder {
    wasmtime: wasmtime_wasi::WasiCtxBuilder,
    directories: Vec<(PathBuf, String, FsPerms)>,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "checkpoint")]
    sources: Sources,
}

impl WasiCtxBuilder {
    /// A builder with the defaults above.
    pub fn new() -> Self {
        Self {
            wasmtime: wasmtime_wasi::WasiCtxBuilder::new(),
            directories: Vec::new(),
            clock: Arc::new(RealtimeClock),
            #[cfg(feature = "checkpoint")]
            sources: Sources::new(),
        }
    }

    /// Adds an argument. The guest's first argument is the program's name.
    pub fn arg(mut self, arg: impl AsRef<str>) -> Self {
        self.wasmtime.arg(arg);
        self
    }

    /// Adds arguments. The guest's first argument is the program's name.
    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Adds the arguments of this process, the first of which is its own name.
    pub fn inherit_args(mut self) -> Self {
        self.wasmtime.inherit_args();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.wasmtime.env(name, value);
        self
    }

    /// Adds environment variables.
    pub fn envs(
        self,
        variables: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Self {
        variables.into_iter().fold(self, |builder, (name, value)| builder.env(name, value))
    }

    /// Adds the environment variables of this process.
    pub fn inherit_env(mut self) -> Self {
        self.wasmtime.inherit_env();
        self
    }

    /// Sets standard input: a [`MemoryInputPipe`](super::MemoryInputPipe), or any other stream of wasmtime-wasi.
    pub fn stdin(mut self, stdin: impl StdinStream + 'static) -> Self {
        self.wasmtime.stdin(stdin);
        self
    }

    /// Sets standard output: a [`MemoryOutputPipe`](super::MemoryOutputPipe) to capture it, [`Lines`](super::Lines), or any other
    /// stream of wasmtime-wasi.
    pub fn stdout(mut self, stdout: impl StdoutStream + 'static) -> Self {
        #[cfg(feature = "checkpoint")]
        self.sources.set_stdout(&stdout);
        self.wasmtime.stdout(stdout);
        self
    }

    /// Sets standard error, to a stream as for [`stdout`](Self::stdout).
    pub fn stderr(mut self, stderr: impl StdoutStream + 'static) -> Self {
        #[cfg(feature = "checkpoint")]
        self.sources.set_stderr(&stderr);
        self.wasmtime.stderr(stderr);
        self
    }

    /// Connects standard input to this process's.
    pub fn inherit_stdin(mut self) -> Self {
        self.wasmtime.inherit_stdin();
        self
    }

    /// Connects standard output to this process's.
    pub fn inherit_stdout(mut self) -> Self {
        #[cfg(feature = "checkpoint")]
        self.sources.set_stdout(&());
        self.wasmtime.inherit_stdout();
        self
    }

    /// Connects standard error to this process's.
    pub fn inherit_stderr(mut self) -> Self {
        #[cfg(feature = "checkpoint")]
        self.sources.set_stderr(&());
        self.wasmtime.inherit_stderr();
        self
    }

    /// Connects all three standard streams to this process's.
    pub fn inherit_stdio(self) -> Self {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Gives the guest a directory of the host, under the name `guest_path`. [`build`](Self::build) opens it.
    pub fn preopened_dir(
        mut self,
        host_path: impl Into<PathBuf>,
        guest_path: impl Into<String>,
        perms: FsPerms,
    ) -> Self {
        self.directories.push((host_path.into(), guest_path.into(), perms));
        self
    }

    /// Sets the clock that the guest reads and sleeps by, in place of the [`RealtimeClock`]. The guest's monotonic clock starts
    /// at [`MONOTONIC_START`](super::MONOTONIC_START).
    ///
    /// The times of files stay the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        #[cfg(feature = "checkpoint")]
        let is_real_time = sources::is_real_time(&clock);
        self.clock = Arc::new(clock);
        #[cfg(feature = "checkpoint")]
        self.sources.set_clock(self.clock.clone(), is_real_time);
        self
    }

    /// Makes the guest's random numbers from this seed, by ChaCha12, in place of the system's. They are the same in each run and
    /// on each machine, and can be predicted from the seed. So are those that a component calls insecure.
    pub fn seed(mut self, seed: u64) -> Self {
        let secure = ChaCha12Rng::seed_from_u64(seed);
        let mut insecure = ChaCha12Rng::seed_from_u64(seed);
        insecure.set_stream(1);
        let [high, low] = [insecure.next_u64(), insecure.next_u64()].map(u128::from);
        self.wasmtime.insecure_random_seed(high << 64 | low);
        #[cfg(feature = "checkpoint")]
        let [secure, insecure] =
            self.sources.generators.insert([secure, insecure].map(Generator::new)).clone();
        self.wasmtime.secure_random(secure).insecure_random(insecure);
        self
    }

    /// Saves open files, too: those that a guest of preview 1 has opened in the directories that it was given. Without this option, a guest with
    /// open files [cannot be saved](crate::Error::CannotSave).
    ///
    /// A file is saved by its path and its offset, and not by its contents. A guest that has opened and closed nothing since the save keeps its
    /// files open when it is rolled back, and their offsets are set back. In every other case, restoring closes all files, and opens those of the
    /// save again. It first asks `may_reopen` about each; if that refuses one, restoring fails and changes nothing.
    ///
    /// A path is opened in the directory that the context has *now* under the same name, with the permissions of that directory. A file is neither
    /// created nor truncated. A file that was moved or deleted since the save is not found, and restoring fails. Restoring blocks the thread until
    /// the files are open.
    ///
    /// ```
    /// use wasm_jobs::wasi::{FsPerms, WasiCtxBuilder};
    ///
    /// let ctx = WasiCtxBuilder::new()
    ///     .preopened_dir("guests", "/data", FsPerms::ReadOnly)
    ///     .reopen_files(|file| file.path().starts_with("/data/levels/") && !file.is_writable())
    ///     .build()?;
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    #[cfg(feature = "checkpoint")]
    pub fn reopen_files(
        mut self,
        may_reopen: impl Fn(&OpenFile<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.sources.reopen = Some(Box::new(may_reopen));
        self
    }

    /// wasmtime-wasi's own builder, for settings that have no function here. Its clocks have no effect on the guest. With the feature
    /// `wasi-p3-preview`, later calls of components with async functions enter a tokio runtime, because the settings may be a directory.
    pub fn wasmtime(&mut self) -> &mut wasmtime_wasi::WasiCtxBuilder {
        // They may be a directory.
        #[cfg(feature = "wasi-p3-preview")]
        tokio_runtime::has_directory();
        &mut self.wasmtime
    }

    /// Makes the context.
    ///
    /// # Errors
    ///
    /// [`Error::Directory`] if a directory cannot be opened.
    pub fn build(mut self) -> Result<WasiCtx, Error> {
        #[cfg(feature = "wasi-p3-preview")]
        if !self.directories.is_empty() {
            tokio_runtime::has_directory();
        }
        for (path, guest_path, perms) in self.directories {
            if let Err(source) = self.wasmtime.preopened_dir(&path, guest_path, perms) {
                return Err(Error::Directory { path, source });
            }
        }
        Ok(WasiCtx {
            p1: self.wasmtime.build_p1(),
            clock: self.clock,
            #[cfg(feature = "checkpoint")]
            sources: self.sources,
        })
    }
}

impl Default for WasiCtxBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WasiCtxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiCtxBuilder")
            .field("directories", &self.directories)
            .finish_non_exhaustive()
    }
}
