//! Waiting for descriptors. They are wasmtime-wasi's, so its own `poll_oneoff` gets the subscriptions to them, in a memory that is made
//! for that one call.

use crate::guest::wasi::failure::Failure;
use std::future::pending;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{Errno, Event, Filetype, Subscription, SubscriptionU};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self, WasiSnapshotPreview1};
use wiggle::{GuestMemory, GuestPtr, GuestType};

/// Waits until one of these descriptors is ready, and gives the events of all that are. Without subscriptions it waits for ever.
pub(crate) async fn poll_descriptors(
    subscriptions: &[Subscription],
    p1: &mut WasiP1Ctx,
) -> Result<Vec<Event>, Failure> {
    if subscriptions.is_empty() {
        return pending().await;
    }
    let Layout { count, events, occurred, size } =
        Layout::new(subscriptions.len()).ok_or(Errno::Nomem)?;
    let mut bytes = vec![0; size + Subscription::guest_align()];
    let aligned = bytes.as_ptr().align_offset(Subscription::guest_align());
    let mut memory = GuestMemory::Unshared(&mut bytes[aligned..][..size]);
    for (subscription, index) in subscriptions.iter().zip(0..) {
        memory.write(GuestPtr::<Subscription>::new(0).add(index)?, subscription.clone())?;
    }
    let errno = wasi_snapshot_preview1::poll_oneoff(
        p1,
        &mut memory,
        0,
        events.offset().cast_signed(),
        count.cast_signed(),
        occurred.offset().cast_signed(),
    );
    match Errno::try_from(errno.await.map_err(Failure::Host)?)? {
        Errno::Success => {}
        errno => return Err(errno.into()),
    }
    (0..memory.read(occurred)?).map(|index| Ok(memory.read(events.add(index)?)?)).collect()
}

/// Where things are in the memory of one poll: the subscriptions at zero, then room for the events, then the number of events.
struct Layout {
    count: u32,
    events: GuestPtr<Event>,
    occurred: GuestPtr<u32>,
    /// In bytes.
    size: usize,
}

impl Layout {
    /// `None` if so many subscriptions do not fit into a memory of 32 bits.
    fn new(subscriptions: usize) -> Option<Self> {
        let count = u32::try_from(subscriptions).ok()?;
        let events = count.checked_mul(Subscription::guest_size())?;
        let occurred = events.checked_add(count.checked_mul(Event::guest_size())?)?;
        let size = usize::try_from(occurred.checked_add(u32::guest_size())?).ok()?;
        Some(Self { count, events: GuestPtr::new(events), occurred: GuestPtr::new(occurred), size })
    }
}

/// Whether a subscription is to a regular file.
pub(crate) async fn has_file(subscriptions: &[Subscription], p1: &mut WasiP1Ctx) -> bool {
    let memory = &mut GuestMemory::Unshared(&mut []);
    for subscription in subscriptions {
        if let SubscriptionU::FdRead(wait) | SubscriptionU::FdWrite(wait) = &subscription.u
            && let Ok(status) = p1.fd_fdstat_get(memory, wait.file_descriptor).await
            && status.fs_filetype == Filetype::RegularFile
        {
            return true;
        }
    }
    false
}
