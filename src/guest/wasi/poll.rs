//! `poll_oneoff`: waits for the first of some times and descriptors. The times are the guest's clock's. The descriptors are
//! wasmtime-wasi's, whose own `poll_oneoff` gets the subscriptions to them, in a memory that is made for that.

use super::{Failure, WasiCtx, pointer, since_1970, with_memory};
use crate::call::yield_now::yield_now;
use crate::wait::clock::Clock;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use wasmtime::{AsContextMut, Caller};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{
    Clockid, Errno, Event, EventFdReadwrite, Eventrwflags, Eventtype, Filetype, Subclockflags,
    Subscription, SubscriptionU,
};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self, WasiSnapshotPreview1};
use wiggle::{GuestMemory, GuestPtr, GuestType};

/// The parameters, as the guest gives them: subscriptions, room for events, how many of either, and where to write how
/// many have occurred.
pub(crate) type Parameters = (i32, i32, i32, i32);

pub(crate) async fn poll_oneoff<S>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    (subscriptions, events, count, occurred): Parameters,
) -> Result<(), Failure> {
    let count = count.cast_unsigned();
    if count == 0 {
        return Err(Errno::Inval.into());
    }
    // What the host copies for a guest is bounded, by the store.
    let fuel = caller.as_context_mut().hostcall_fuel();
    let each = Subscription::guest_size() + Event::guest_size();
    if u64::from(count) * u64::from(each) > fuel as u64 {
        return Err(Errno::Nomem.into());
    }
    let subscriptions = pointer::<Subscription>(subscriptions).as_array(count);
    let events = pointer::<Event>(events);
    let occurred = pointer::<u32>(occurred);
    let subscriptions = with_memory(caller, |memory| {
        // Before the wait: what there is no place for after it.
        let bytes = count.checked_mul(Event::guest_size()).ok_or(Errno::Fault)?;
        memory.as_cow(GuestPtr::new((events.offset(), bytes)))?;
        memory.read(events.cast::<u64>())?;
        memory.read(occurred)?;
        let read = |at: Result<_, _>| Ok::<Subscription, Failure>(memory.read(at?)?);
        subscriptions.iter().map(read).collect::<Result<Vec<_>, _>>()
    })?;

    let ctx = ctx(caller.data_mut());
    let clock = ctx.clock().clone();
    ctx.p1().set_hostcall_fuel(fuel);
    let happened = first(&subscriptions, &clock, ctx.p1()).await?;

    with_memory(caller, |memory| {
        let mut count = 0;
        for event in happened {
            memory.write(events.add(count)?, event)?;
            count += 1;
        }
        Ok(memory.write(occurred, count)?)
    })
}

/// What has happened, in the order of the subscriptions, once anything has.
async fn first(
    subscriptions: &[Subscription],
    clock: &impl Clock,
    p1: &mut WasiP1Ctx,
) -> Result<Vec<Event>, Failure> {
    let now = clock.now();
    let mut times = Vec::new();
    let mut descriptors = Vec::new();
    for (index, subscription) in (0..).zip(subscriptions) {
        match &subscription.u {
            SubscriptionU::Clock(wait) => {
                let absolute = wait.flags.contains(Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
                let timeout = Duration::from_nanos(wait.timeout);
                let time = match wait.id {
                    Clockid::Realtime if absolute => Time::OfDay(timeout),
                    Clockid::Monotonic if absolute => Time::Monotonic(timeout),
                    Clockid::Realtime | Clockid::Monotonic => {
                        Time::Monotonic(now.saturating_add(timeout))
                    }
                    Clockid::ProcessCputimeId | Clockid::ThreadCputimeId => {
                        return Err(Errno::Inval.into());
                    }
                };
                times.push((index, time));
            }
            SubscriptionU::FdRead(_) | SubscriptionU::FdWrite(_) => {
                let u = subscription.u.clone();
                descriptors.push(Subscription { userdata: index, u });
            }
        }
    }

    // A file is always ready, but it takes another thread to say so.
    let waits_for_descriptors = times.is_empty() || has_file(&descriptors, p1).await;
    let mut descriptors = pin!(poll_descriptors(&descriptors, p1));
    let mut ready = if waits_for_descriptors {
        Some(descriptors.as_mut().await)
    } else {
        look(descriptors.as_mut()).await
    };
    // What has come is looked up once a round: a clock may go anywhere in between.
    let mut come = has_come(&times, clock);
    if ready.is_none() && !come.is_empty() {
        // A guest that asks again and again must not keep its worker.
        yield_now().await;
        ready = look(descriptors.as_mut()).await;
        come.extend(has_come(&times, clock));
    }
    while ready.is_none() && come.is_empty() {
        let next = times.iter().map(|(_, time)| time.deadline(clock)).min().unwrap_or_default();
        let mut sleep = clock.sleep_until(next);
        ready = poll_fn(|context| match descriptors.as_mut().poll(context) {
            Poll::Ready(events) => Poll::Ready(Some(events)),
            Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
        })
        .await;
        come = has_come(&times, clock);
        if ready.is_none() && come.is_empty() {
            // It was woken too early. A clock that does that all the time must not keep the worker either.
            yield_now().await;
        }
    }

    let descriptors = ready.transpose()?.unwrap_or_default();
    let mut happened: BTreeMap<u64, Event> =
        descriptors.into_iter().map(|event| (event.userdata, event)).collect();
    happened.extend(come.into_iter().map(|index| {
        let fd_readwrite = EventFdReadwrite { nbytes: 0, flags: Eventrwflags::empty() };
        let (error, type_) = (Errno::Success, Eventtype::Clock);
        (index, Event { userdata: index, error, type_, fd_readwrite })
    }));
    let in_order = (0..).zip(subscriptions).filter_map(|(index, subscription)| {
        let event = happened.remove(&index)?;
        Some(Event { userdata: subscription.userdata, ..event })
    });
    Ok(in_order.collect())
}

/// The subscriptions whose time has come.
fn has_come(times: &[(u64, Time)], clock: &impl Clock) -> Vec<u64> {
    let (now, of_day) = (clock.now(), since_1970(clock.wall_time()));
    let has_come = |time: &Time| match *time {
        Time::Monotonic(deadline) => now >= deadline,
        Time::OfDay(deadline) => of_day >= deadline,
    };
    times.iter().filter(|(_, time)| has_come(time)).map(|(index, _)| *index).collect()
}

/// Polls once.
async fn look<F: std::future::Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// When a subscription to a clock is due.
enum Time {
    /// By [`Clock::now`].
    Monotonic(Duration),
    /// By [`Clock::wall_time`], since 1970.
    OfDay(Duration),
}

impl Time {
    /// When to look again, by [`Clock::now`]: the time of day may be set meanwhile.
    fn deadline(&self, clock: &impl Clock) -> Duration {
        match *self {
            Self::Monotonic(deadline) => deadline,
            Self::OfDay(deadline) => {
                // In this order, so that a clock which moves in between makes this too early, and not too late.
                let now = clock.now();
                now.saturating_add(deadline.saturating_sub(since_1970(clock.wall_time())))
            }
        }
    }
}

/// Waits for descriptors alone. With none, it is never ready.
async fn poll_descriptors(
    subscriptions: &[Subscription],
    p1: &mut WasiP1Ctx,
) -> Result<Vec<Event>, Failure> {
    if subscriptions.is_empty() {
        return std::future::pending().await;
    }
    // A memory, with the subscriptions, the events, and how many of these there are.
    let layout = || {
        let count = u32::try_from(subscriptions.len()).ok()?;
        let events = count.checked_mul(Subscription::guest_size())?;
        let occurred = events.checked_add(count.checked_mul(Event::guest_size())?)?;
        let size = occurred.checked_add(u32::guest_size())?;
        Some((count, events, occurred, usize::try_from(size).ok()?))
    };
    let (count, events, occurred, size) = layout().ok_or(Errno::Nomem)?;
    let mut bytes = vec![0; size + Subscription::guest_align()];
    let aligned = bytes.as_ptr().align_offset(Subscription::guest_align());
    let mut memory = GuestMemory::Unshared(&mut bytes[aligned..][..size]);
    let events = GuestPtr::<Event>::new(events);
    let occurred = GuestPtr::<u32>::new(occurred);
    for (subscription, index) in subscriptions.iter().zip(0..) {
        memory.write(GuestPtr::<Subscription>::new(0).add(index)?, subscription.clone())?;
    }
    let parameters = [0, events.offset(), count, occurred.offset()].map(u32::cast_signed);
    let [subscriptions, events_at, count, occurred_at] = parameters;
    let errno = wasi_snapshot_preview1::poll_oneoff(
        p1,
        &mut memory,
        subscriptions,
        events_at,
        count,
        occurred_at,
    );
    match Errno::try_from(errno.await.map_err(Failure::Host)?)? {
        Errno::Success => {}
        errno => return Err(errno.into()),
    }
    (0..memory.read(occurred)?).map(|index| Ok(memory.read(events.add(index)?)?)).collect()
}

async fn has_file(subscriptions: &[Subscription], p1: &mut WasiP1Ctx) -> bool {
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
