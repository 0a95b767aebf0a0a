//! `wasi:io/poll`: what a component waits for, or asks whether it is ready. It is wasmtime-wasi's, except that asking never yields.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::ResourceTable;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host, HostPollable};

/// Pollables of stores of any state.
pub(super) struct HasPollables;

impl HasData for HasPollables {
    type Data<'a> = Pollables<'a>;
}

/// The table that the pollables of a guest are in.
pub(super) struct Pollables<'a>(pub(super) &'a mut ResourceTable);

impl Host for Pollables<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        Host::poll(self.0, pollables).await
    }
}

impl HostPollable for Pollables<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.0.block(pollable).await
    }

    /// Asks twice. A deadline that had passed when the guest subscribed is pending at the first poll, so that `block` and `poll` yield.
    /// `ready` must answer at once.
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let again = Resource::new_borrow(pollable.rep());
        Ok(is_ready(self.0, pollable)? || is_ready(self.0, again)?)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.0.drop(pollable)
    }
}

/// Whether it is ready now. It wakes nobody later.
fn is_ready(table: &mut ResourceTable, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
    let asked = pin!(table.ready(pollable));
    match asked.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => ready,
        Poll::Pending => Ok(false),
    }
}
