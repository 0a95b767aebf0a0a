//! WASI 0.3, feature `wasi-p3-preview`: [`add_to_linker`] defines its interfaces in the linker of a component. A program is run as a
//! [`Command`](super::Command), as one of WASI 0.2 is.
//!
//! **This is a preview.** wasmtime-wasi calls its implementation experimental, unstable and incomplete, and does not patch its bugs,
//! security bugs among them. Do not give it guests that you do not trust.
//!
//! The functions of WASI 0.3 are async in the guest: one task of the guest waits while another goes on. All tasks of a call are one
//! [`Future`](crate::Future):
//!
//! - The call is [`Waiting`](crate::Step::Waiting) while all of its tasks wait. It costs nothing then.
//! - `thread.yield` yields: the call's step ends as [`Step::Yielded`](crate::Step::Yielded), when no other task of the guest can run. So does `wait-for`
//!   with zero, and `wait-until` with a time that has come.
//! - All times are read from the guest's own [`Clock`](crate::Clock), as those of [the other versions](super).
//! - A call that ends early, by cancelling, a limit or a trap, poisons the instance. A reset drops all tasks, and makes a new store.
//! - A [`Command`](super::Command) ends when none of its tasks is left. A call of [`start_concurrent`](crate::Instance::start_concurrent) ends
//!   when its closure does. If tasks of the guest are left then, the instance is poisoned.
//! - A guest that waits for what cannot come, such as an empty set of waitables, waits until it is cancelled or a timeout ends it.
//!
//! The engine needs [`EngineOptions::component_async`](crate::EngineOptions::component_async).

use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::guest::concurrent;
use crate::guest::wasi::clocks::{MONOTONIC_START, since_1970};
use crate::guest::wasi::common::define_common;
use crate::guest::wasi::preview2::{ClockView, HasClock, WasiView, clock, nanoseconds};
use crate::guest::wasi::tokio_runtime;
use crate::wait::clock::Clock;
use std::future;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p3::bindings::clocks::monotonic_clock::{self, Mark};
use wasmtime_wasi::p3::bindings::clocks::system_clock::{self, Instant};
use wasmtime_wasi::p3::bindings::clocks::types;
use wasmtime_wasi::p3::bindings::{self, cli, filesystem, random, sockets};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};

/// Defines WASI 0.3 in the linker of a component: all interfaces of `wasi:cli/command`. The context is that of preview 1. The linker
/// may have [WASI 0.2](super::add_to_component_linker) too; a component takes what it imports.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker has one of the interfaces already, and does not allow shadowing.
pub fn add_to_linker<S: WasiView>(linker: &mut Linker<S>) -> Result<(), Error> {
    tokio_runtime::files_are_linked();
    Ok(define(linker)?)
}

fn define<S: WasiView>(l: &mut Linker<S>) -> wasmtime::Result<()> {
    types::add_to_linker::<S, HasClock>(l, clock)?;
    monotonic_clock::add_to_linker::<S, HasClock>(l, clock)?;
    system_clock::add_to_linker::<S, HasClock>(l, clock)?;

    define_common!(l, S);

    // The context lets a guest connect to nothing.
    sockets::ip_name_lookup::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    sockets::types::add_to_linker::<S, WasiSockets>(l, |s| s.wasi().p1().sockets())?;
    Ok(())
}

impl types::Host for ClockView<'_> {}

impl<S> monotonic_clock::HostWithStore<S> for HasClock {
    async fn wait_until(store: &Accessor<S, Self>, when: Mark) -> wasmtime::Result<()> {
        let clock = store.with(|mut access| access.get().clock.clone());
        // A deadline before the clock's start has passed at the start.
        sleep_until(&clock, Duration::from_nanos(when).saturating_sub(MONOTONIC_START)).await;
        Ok(())
    }

    async fn wait_for(store: &Accessor<S, Self>, how_long: u64) -> wasmtime::Result<()> {
        let clock = store.with(|mut access| access.get().clock.clone());
        sleep_until(&clock, clock.now().saturating_add(Duration::from_nanos(how_long))).await;
        Ok(())
    }
}

/// Waits for a time of [`Clock::now`]. If it has come already, yields, so that no guest can keep its worker by sleeping for no time.
async fn sleep_until(clock: &Arc<dyn Clock>, deadline: Duration) {
    if clock.now() < deadline {
        clock.sleep_until(deadline).await;
    } else {
        yield_now().await;
    }
}

impl monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<Mark> {
        nanoseconds(self.clock.now().saturating_add(MONOTONIC_START))
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        nanoseconds(self.clock.resolution())
    }
}

impl system_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        let time = since_1970(self.clock);
        Ok(Instant { seconds: time.as_secs().try_into()?, nanoseconds: time.subsec_nanos() })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<u64> {
        nanoseconds(self.clock.resolution())
    }
}

/// Runs a program until `run` has returned and none of its tasks is left.
pub(super) async fn run<S: WasiView>(
    command: &bindings::Command,
    store: StoreContextMut<'_, S>,
) -> wasmtime::Result<Result<(), ()>> {
    let run = concurrent::run(store, command, |store, command| {
        Box::pin(async move {
            let ended = command.wasi_cli_run().call_run(store).await?;
            future::poll_fn(|context| store.poll_no_interesting_tasks(context)).await;
            Ok(ended)
        })
    });
    Ok(run.await?.result)
}
