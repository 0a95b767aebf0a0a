//! [`Command`]: a component that is a program, of WASI 0.2 or 0.3, as a guest.

use crate::call::future::Future;
use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::origin::BoxFuture;
use crate::guest::wasi::ctx::WasiCtx;
#[cfg(feature = "wasi-p3-preview")]
use crate::guest::wasi::p3;
use crate::guest::wasi::preview2::WasiView;
use std::fmt;
use std::ops::Deref;
use wasmtime::component::InstancePre;
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings as wasi02;
#[cfg(feature = "wasi-p3-preview")]
use wasmtime_wasi::p3::bindings as wasi03;

/// A component that is a program, linked: what a [`Command`] is made of. It is made once for many guests, and is cheap to clone.
pub struct CommandPre<S: 'static> {
    entry: EntryPre<S>,
}

/// Which version of `wasi:cli/run` a program exports.
enum EntryPre<S: 'static> {
    Wasi02(wasi02::CommandPre<S>),
    #[cfg(feature = "wasi-p3-preview")]
    Wasi03(wasi03::CommandPre<S>),
}

impl<S: WasiView> CommandPre<S> {
    /// Finds the program's `wasi:cli/run`: that of WASI 0.2 or, with the feature `wasi-p3-preview`, that of WASI 0.3.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if the component has none.
    pub fn new(pre: InstancePre<S>) -> Result<Self, Error> {
        #[cfg(feature = "wasi-p3-preview")]
        if let Ok(pre) = wasi03::CommandPre::new(pre.clone()) {
            return Ok(Self { entry: EntryPre::Wasi03(pre) });
        }
        Ok(Self { entry: EntryPre::Wasi02(wasi02::CommandPre::new(pre)?) })
    }

    /// The engine that the program was compiled for.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        match &self.entry {
            EntryPre::Wasi02(pre) => pre.engine(),
            #[cfg(feature = "wasi-p3-preview")]
            EntryPre::Wasi03(pre) => pre.engine(),
        }
    }

    /// Instantiates the program, with its entry.
    fn instantiate(
        &self,
    ) -> impl for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, Program> + Send + Sync + 'static
    {
        let pre = self.clone();
        move |store| {
            let pre = pre.clone();
            Box::pin(async move {
                let entry = match &pre.entry {
                    EntryPre::Wasi02(pre) => Entry::Wasi02(pre.instantiate_async(store).await?),
                    #[cfg(feature = "wasi-p3-preview")]
                    EntryPre::Wasi03(pre) => Entry::Wasi03(pre.instantiate_async(store).await?),
                };
                Ok(Program { entry })
            })
        }
    }
}

impl<S> Clone for CommandPre<S> {
    fn clone(&self) -> Self {
        let entry = match &self.entry {
            EntryPre::Wasi02(pre) => EntryPre::Wasi02(pre.clone()),
            #[cfg(feature = "wasi-p3-preview")]
            EntryPre::Wasi03(pre) => EntryPre::Wasi03(pre.clone()),
        };
        Self { entry }
    }
}

impl<S> fmt::Debug for CommandPre<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandPre").finish_non_exhaustive()
    }
}

/// The exports of an instance that is a [`Command`]: its `wasi:cli/run`.
pub struct Program {
    entry: Entry,
}

enum Entry {
    Wasi02(wasi02::Command),
    #[cfg(feature = "wasi-p3-preview")]
    Wasi03(wasi03::Command),
}

impl Program {
    /// Runs the program to its end, as the work of a call that [`Instance::start`] makes.
    ///
    /// # Errors
    ///
    /// wasmtime's, and [`I32Exit`] if the program ends with another code than zero. The call then fails with [`Error::Exit`].
    pub async fn run<S: WasiView>(&self, store: StoreContextMut<'_, S>) -> wasmtime::Result<()> {
        let ended = match &self.entry {
            Entry::Wasi02(command) => command.wasi_cli_run().call_run(store).await?,
            #[cfg(feature = "wasi-p3-preview")]
            Entry::Wasi03(command) => p3::run(command, store).await?,
        };
        ended.map_err(|()| I32Exit(1).into())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

/// A component that is a program, as a guest: it exports `wasi:cli/run`.
///
/// ```
/// use wasm_jobs::wasi::{self, Command, CommandPre, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
/// use wasm_jobs::wasmtime::component::{Component, Linker};
/// use wasm_jobs::{EngineOptions, JobPool, RayonGlobal, engine};
///
/// let engine = engine(&EngineOptions::default())?;
/// let mut linker = Linker::<WasiCtx>::new(&engine);
/// wasi::add_to_component_linker(&mut linker)?;
/// let component = Component::from_file(&engine, "guests/wasi2/nap.wasm")?;
/// let nap = CommandPre::new(linker.instantiate_pre(&component)?)?; // once for many guests
///
/// let stdout = MemoryOutputPipe::new(64 * 1024);
/// let ctx = WasiCtxBuilder::new().args(["nap", "20"]).stdout(stdout.clone()).build()?;
/// let mut run = Command::new(&nap, ctx)?.run()?;
/// RayonGlobal.submit(run.to_job()?).wait(); // no thread of rayon sleeps with the guest
/// run.try_get_result()?;
/// assert_eq!(stdout.contents(), "slept for 20 ms\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is an [`Instance`], and like a process it runs once. A component with exports of its own is no program: it is driven by
/// [`Instance::with_exports`] and `bindgen!`.
///
/// An [`InstancePool`](crate::InstancePool) lends programs as plain instances:
///
/// ```
/// # use wasm_jobs::wasi::{self, Command, CommandPre, WasiCtx, WasiCtxBuilder};
/// # use wasm_jobs::wasmtime::component::{Component, Linker};
/// # use wasm_jobs::{EngineOptions, Error, Future, InstanceOptions, InstancePool, OnReturn, RayonGlobal, engine};
/// # let engine = engine(&EngineOptions::default())?;
/// # let mut linker = Linker::<WasiCtx>::new(&engine);
/// # wasi::add_to_component_linker(&mut linker)?;
/// # let component = Component::from_file(&engine, "guests/wasi2/nap.wasm")?;
/// # let nap = CommandPre::new(linker.instantiate_pre(&component)?)?;
/// let state = || WasiCtxBuilder::new().args(["nap", "1"]).build().expect("it has no directories");
/// let make = move || Ok(Command::with_options(&nap, InstanceOptions::default(), state)?.into_instance());
/// let pool = InstancePool::with_on_return(10, make, |_| OnReturn::Reset)?; // each request gets a new guest
/// # let requests = async move {
/// pool.start(&RayonGlobal, |store, program| Box::pin(program.run(store))).await?;
/// # Ok::<(), Error>(())
/// # };
/// # Future::new(requests).wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Command<S: WasiView = WasiCtx> {
    instance: Instance<S, Program>,
}

impl<S: WasiView> Command<S> {
    /// Instantiates a program with this state.
    ///
    /// # Errors
    ///
    /// As [`Instance::new`].
    pub fn new(pre: &CommandPre<S>, state: S) -> Result<Self, Error> {
        let instance = Instance::with_exports_and_state(pre.engine(), state, pre.instantiate())?;
        Ok(Self { instance })
    }

    /// Instantiates a program within limits. `state` makes the state, for this guest and for each that a [reset](Instance::reset) makes.
    ///
    /// # Errors
    ///
    /// As [`Instance::with_options`].
    pub fn with_options(
        pre: &CommandPre<S>,
        options: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let instance = Instance::with_exports(pre.engine(), options, state, pre.instantiate())?;
        Ok(Self { instance })
    }

    /// Runs the program. The call ends when its `main` returns, or when it exits; that of a program of WASI 0.3 ends when none of its tasks
    /// is left.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] and [`Error::Poisoned`], as [`Instance::start`]. The call fails with [`Error::Exit`] if the program ends
    /// with another code than zero; a `main` that returns an error ends it with one.
    pub fn run(&self) -> Result<Future<()>, Error> {
        self.instance.start(|store, program| Box::pin(program.run(store)))
    }

    /// The program as a plain instance, for what takes an [`Instance`], such as an [`InstancePool`](crate::InstancePool).
    #[must_use]
    pub fn into_instance(self) -> Instance<S, Program> {
        self.instance
    }
}

impl<S: WasiView> Deref for Command<S> {
    type Target = Instance<S, Program>;

    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}

impl<S: WasiView> fmt::Debug for Command<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.instance).finish()
    }
}
