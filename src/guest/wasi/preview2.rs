//! WASI 0.2: [`add_to_component_linker`] defines its interfaces in the linker of a component, and [`Command`] is a component that is a
//! program. All is wasmtime-wasi's, except the two clocks, which are here, and `pollable.ready`, which is in `pollables`.

use crate::call::future::Future;
use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::origin::BoxFuture;
use crate::guest::wasi::clocks::{MONOTONIC_START, since_1970};
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::pollables::{HasPollables, Pollables};
use crate::wait::clock::Clock;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::bindings::{self, cli, filesystem, random, sockets};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{I32Exit, ResourceTable, WasiView as _, async_trait};
use wasmtime_wasi_io::bindings::wasi::io;

pub use bindings::CommandPre;

/// The state of a store in which the functions of WASI 0.2 find the context of their guest.
///
/// ```
/// use wasm_jobs::wasi::{WasiCtx, WasiView};
///
/// struct Plugin {
///     wasi: WasiCtx,
///     requests: u32,
/// }
///
/// impl WasiView for Plugin {
///     fn wasi(&mut self) -> &mut WasiCtx {
///         &mut self.wasi
///     }
/// }
/// ```
pub trait WasiView: Send + 'static {
    /// The context.
    fn wasi(&mut self) -> &mut WasiCtx;
}

impl WasiView for WasiCtx {
    fn wasi(&mut self) -> &mut WasiCtx {
        self
    }
}

/// wasmtime-wasi's input and output, for stores of any state.
struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

fn table<S: WasiView>(state: &mut S) -> &mut ResourceTable {
    state.wasi().p1().ctx().table
}

/// Defines WASI 0.2 in the linker of a component: all interfaces of `wasi:cli/command`. The context is that of preview 1, with the same
/// promises about [time and yielding](super).
///
/// A component may import other interfaces, too. Their functions come from wasmtime's `bindgen!`, into the same linker.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has one of the interfaces already, and does not allow shadowing.
pub fn add_to_component_linker<S: WasiView>(linker: &mut Linker<S>) -> Result<(), Error> {
    Ok(define(linker)?)
}

fn define<S: WasiView>(l: &mut Linker<S>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<S, HasClock>(l, clock)?;
    wall_clock::add_to_linker::<S, HasClock>(l, clock)?;

    io::error::add_to_linker::<S, HasIo>(l, table)?;
    io::poll::add_to_linker::<S, HasPollables>(l, |s| Pollables(table(s)))?;
    io::streams::add_to_linker::<S, HasIo>(l, table)?;

    random::random::add_to_linker::<S, WasiRandom>(l, |s| s.wasi().p1().random())?;
    random::insecure::add_to_linker::<S, WasiRandom>(l, |s| s.wasi().p1().random())?;
    random::insecure_seed::add_to_linker::<S, WasiRandom>(l, |s| s.wasi().p1().random())?;

    cli::environment::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::exit::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::stdin::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::stdout::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::stderr::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::terminal_input::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::terminal_output::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::terminal_stdin::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::terminal_stdout::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;
    cli::terminal_stderr::add_to_linker::<S, WasiCli>(l, |s| s.wasi().p1().cli())?;

    filesystem::preopens::add_to_linker::<S, WasiFilesystem>(l, |s| s.wasi().p1().filesystem())?;
    filesystem::types::add_to_linker::<S, WasiFilesystem>(l, |s| s.wasi().p1().filesystem())?;

    // Every program of a current toolchain imports sockets. The context lets it connect to nothing.
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<S, WasiSockets>(l, &options, |s| s.wasi().p1().sockets())?;
    sockets::instance_network::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    sockets::ip_name_lookup::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    sockets::tcp::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    sockets::tcp_create_socket::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    sockets::udp::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    sockets::udp_create_socket::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    Ok(())
}

/// The guest's clock, for its functions.
struct HasClock;

impl HasData for HasClock {
    type Data<'a> = GuestClock<'a>;
}

struct GuestClock<'a> {
    table: &'a mut ResourceTable,
    clock: &'a Arc<dyn Clock>,
}

fn clock<S: WasiView>(state: &mut S) -> GuestClock<'_> {
    let (table, clock) = state.wasi().table_and_clock();
    GuestClock { table, clock }
}

impl GuestClock<'_> {
    /// Makes what the guest polls to wait for this time of [`Clock::now`].
    fn subscribe(&mut self, deadline: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let yields = deadline <= self.clock.now();
        let sleep = self.table.push(Deadline { clock: self.clock.clone(), deadline, yields })?;
        subscribe(self.table, sleep)
    }
}

impl monotonic_clock::Host for GuestClock<'_> {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        nanoseconds(self.clock.now().saturating_add(MONOTONIC_START))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        nanoseconds(self.clock.resolution())
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        // A deadline before the clock's start has passed at the start.
        self.subscribe(Duration::from_nanos(when).saturating_sub(MONOTONIC_START))
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe(self.clock.now().saturating_add(Duration::from_nanos(when)))
    }
}

impl wall_clock::Host for GuestClock<'_> {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        Ok(datetime(since_1970(self.clock)))
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(datetime(self.clock.resolution()))
    }
}

fn datetime(time: Duration) -> Datetime {
    Datetime { seconds: time.as_secs(), nanoseconds: time.subsec_nanos() }
}

/// WASI has no error for a time that does not fit.
fn nanoseconds(time: Duration) -> wasmtime::Result<u64> {
    Ok(u64::try_from(time.as_nanos())?)
}

/// A time of [`Clock::now`] that a guest waits for.
struct Deadline {
    clock: Arc<dyn Clock>,
    deadline: Duration,
    /// Whether the time had come when the guest asked for it, and the guest has not yielded for that yet.
    yields: bool,
}

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        if self.yields {
            self.yields = false;
            yield_now().await;
        } else if self.clock.now() < self.deadline {
            self.clock.sleep_until(self.deadline).await;
        }
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
/// It is an [`Instance`], and like a process it runs once. `start` calls its other exports, if it has any.
pub struct Command<S: WasiView = WasiCtx> {
    instance: Instance<S, bindings::Command>,
}

impl<S: WasiView> Command<S> {
    /// Instantiates a program with this state.
    ///
    /// # Errors
    ///
    /// As [`Instance::new`].
    pub fn new(pre: &CommandPre<S>, state: S) -> Result<Self, Error> {
        let instance = Instance::with_exports_and_state(pre.engine(), state, instantiate(pre))?;
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
        let instance = Instance::with_exports(pre.engine(), options, state, instantiate(pre))?;
        Ok(Self { instance })
    }

    /// Runs the program: the call ends when its `main` returns, or when it exits.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] and [`Error::Poisoned`], as [`Instance::start`]. The call fails with [`Error::Exit`] if the program ends
    /// with another code than zero; a `main` that returns an error ends it with one.
    pub fn run(&self) -> Result<Future<()>, Error> {
        self.instance.start(|store, command| {
            Box::pin(async move {
                let ended = command.wasi_cli_run().call_run(store).await?;
                ended.map_err(|()| I32Exit(1).into())
            })
        })
    }
}

/// Instantiates the program, with what it exports.
fn instantiate<S: WasiView>(
    pre: &CommandPre<S>,
) -> impl for<'a> Fn(StoreContextMut<'a, S>) -> BoxFuture<'a, bindings::Command> + Send + Sync + 'static
{
    let pre = pre.clone();
    move |store| {
        let pre = pre.clone();
        Box::pin(async move { pre.instantiate_async(store).await })
    }
}

impl<S: WasiView> Deref for Command<S> {
    type Target = Instance<S, bindings::Command>;

    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}

impl<S: WasiView> fmt::Debug for Command<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.instance).finish()
    }
}
