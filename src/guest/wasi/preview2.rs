//! WASI 0.2: [`add_to_component_linker`] defines its interfaces in the linker of a component. All are wasmtime-wasi's, except the two
//! clocks, which are here, and `pollable.ready`, which is in `pollables`.

use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::guest::wasi::clocks::{MONOTONIC_START, since_1970};
use crate::guest::wasi::common::define_common;
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::pollables::{HasPollables, Pollables};
use crate::wait::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Instant};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random, sockets};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{ResourceTable, WasiView as _, async_trait};
use wasmtime_wasi_io::bindings::wasi::io;

/// The state of a store in which WASI 0.2 and 0.3 find the context of their guest.
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

    define_common!(l, S);

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
pub(super) struct HasClock;

impl HasData for HasClock {
    type Data<'a> = ClockView<'a>;
}

pub(super) struct ClockView<'a> {
    table: &'a mut ResourceTable,
    pub(super) clock: &'a Arc<dyn Clock>,
}

pub(super) fn clock<S: WasiView>(state: &mut S) -> ClockView<'_> {
    let (table, clock) = state.wasi().table_and_clock();
    ClockView { table, clock }
}

impl ClockView<'_> {
    /// Makes what the guest polls to wait for this time of [`Clock::now`].
    fn subscribe(&mut self, deadline: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let yields = deadline <= self.clock.now();
        let sleep = self.table.push(Deadline { clock: self.clock.clone(), deadline, yields })?;
        subscribe(self.table, sleep)
    }
}

impl monotonic_clock::Host for ClockView<'_> {
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

impl wall_clock::Host for ClockView<'_> {
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
pub(super) fn nanoseconds(time: Duration) -> wasmtime::Result<u64> {
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
