//! `poll_oneoff`: reads the guest's subscriptions to times and descriptors, waits for the first of them, and writes the events of all
//! that have occurred. Times are those of the guest's clock (`clocks`); descriptors are wasmtime-wasi's (`descriptors`).

use crate::call::yield_now::yield_now;
#[cfg(feature = "freeze")]
use crate::guest::freeze::resumable::{self, cannot_be_frozen, pending_in, store_address};
use crate::guest::wasi::clocks::{Deadline, Times};
use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::descriptors::{has_file, poll_descriptors};
use crate::guest::wasi::failure::Failure;
use crate::guest::wasi::memory::{pointer, with_memory};
use crate::wait::clock::Clock;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use wasmtime::{AsContextMut, Caller};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{
    Errno, Event, EventFdReadwrite, Eventrwflags, Eventtype, Subscription, SubscriptionU,
};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestPtr, GuestType};

/// The module and the name that guests import this function by.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";
pub(crate) const POLL_ONEOFF: &str = "poll_oneoff";

/// The parameters as the guest gives them: the address of the subscriptions, the address of room for as many events, how many
/// subscriptions there are, and the address for the number of events.
pub(crate) type Parameters = (i32, i32, i32, i32);

/// Waits for the first of the guest's subscriptions. The guest has waited for some time already, if its call was frozen meanwhile.
pub(crate) async fn poll_oneoff<S: 'static>(
    caller: &mut Caller<'_, S>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
    parameters: Parameters,
    waited: Duration,
) -> Result<(), Failure> {
    let (subscriptions, events, count, occurred) = parameters;
    let count = count.cast_unsigned();
    if count == 0 {
        return Err(Errno::Inval.into());
    }
    // The store bounds how much the host copies for a guest.
    let fuel = caller.as_context_mut().hostcall_fuel();
    let each = Subscription::guest_size() + Event::guest_size();
    if u64::from(count) * u64::from(each) > fuel as u64 {
        return Err(Errno::Nomem.into());
    }
    let subscriptions = pointer::<Subscription>(subscriptions).as_array(count);
    let events = pointer::<Event>(events);
    let occurred = pointer::<u32>(occurred);
    let subscriptions = with_memory(caller, |memory| {
        // Reading them before the wait finds pointers to which nothing could be written after it.
        let bytes = count.checked_mul(Event::guest_size()).ok_or(Errno::Fault)?;
        memory.as_cow(GuestPtr::new((events.offset(), bytes)))?;
        memory.read(events.cast::<u64>())?;
        memory.read(occurred)?;
        let read = |at: Result<_, _>| Ok::<Subscription, Failure>(memory.read(at?)?);
        subscriptions.iter().map(read).collect::<Result<Vec<_>, _>>()
    })?;

    let ours = ctx(caller.data_mut());
    let clock = ours.clock().clone();
    ours.preview1().set_hostcall_fuel(fuel);
    let begun = clock.now();
    let polled = Polled::new(&subscriptions, begun, waited)?;
    let mut happened = if polled.descriptors.is_empty() {
        let waited = || waited.saturating_add(clock.now().saturating_sub(begun));
        match wait(caller, parameters, waited, polled.first_deadline(clock.clone())).await {
            Some(passed) => occurrences(Vec::new(), passed),
            None => return Ok(()),
        }
    } else {
        #[cfg(feature = "freeze")]
        let store = store_address(caller);
        let first = polled.first(&clock, ctx(caller.data_mut()).p1());
        #[cfg(feature = "freeze")]
        let first = cannot_be_frozen(store, (MODULE, POLL_ONEOFF), "a file or a stream", first);
        first.await?
    };

    with_memory(caller, |memory| {
        let mut count = 0;
        for (index, subscription) in (0..).zip(&subscriptions) {
            if let Some(event) = happened.remove(&index) {
                let event = Event { userdata: subscription.userdata, ..event };
                memory.write(events.add(count)?, event)?;
                count += 1;
            }
        }
        Ok(memory.write(occurred, count)?)
    })
}

/// The place of a subscription among those of the guest.
type Index = u64;

/// What one call of `poll_oneoff` waits for.
struct Polled {
    deadlines: Deadlines,
    /// With the index as user data, which comes back in the event.
    descriptors: Vec<Subscription>,
}

impl Polled {
    /// Time spans count from `now`, a time of [`Clock::now`]. The guest has `waited` for some time before that.
    fn new(
        subscriptions: &[Subscription],
        now: Duration,
        waited: Duration,
    ) -> Result<Self, Failure> {
        let (mut deadlines, mut descriptors) = (Vec::new(), Vec::new());
        for (index, subscription) in (0..).zip(subscriptions) {
            match &subscription.u {
                SubscriptionU::Clock(wait) => {
                    deadlines.push((index, Deadline::new(wait, now, waited)?));
                }
                SubscriptionU::FdRead(_) | SubscriptionU::FdWrite(_) => {
                    let u = subscription.u.clone();
                    descriptors.push(Subscription { userdata: index, u });
                }
            }
        }
        Ok(Self { deadlines: Deadlines(deadlines), descriptors })
    }

    /// Waits until a deadline has passed, and gives all that have passed then.
    fn first_deadline(
        self,
        clock: impl Clock + Clone,
    ) -> impl Future<Output = Vec<Index>> + Send + 'static {
        async move { self.deadlines.first_of(&clock, pin!(pending::<Infallible>())).await.1 }
    }

    /// Waits until a descriptor is ready or a deadline has passed, and gives the events of all that are ready or have passed then.
    async fn first(
        &self,
        clock: &impl Clock,
        p1: &mut WasiP1Ctx,
    ) -> Result<BTreeMap<Index, Event>, Failure> {
        // A regular file is always ready, but another thread has to say so. This waits for that thread, whatever the time.
        let waits_for_descriptors =
            self.deadlines.0.is_empty() || has_file(&self.descriptors, p1).await;
        let mut descriptors = pin!(poll_descriptors(&self.descriptors, p1));
        if waits_for_descriptors {
            let ready = descriptors.await?;
            return Ok(occurrences(ready, self.deadlines.passed(clock)));
        }
        let (ready, passed) = self.deadlines.first_of(clock, descriptors.as_mut()).await;
        Ok(occurrences(ready.transpose()?.unwrap_or_default(), passed))
    }
}

/// The times that a call of `poll_oneoff` waits for.
struct Deadlines(Vec<(Index, Deadline)>);

impl Deadlines {
    /// Waits until descriptors are ready or a deadline has passed. Gives the output of the descriptors, if they are ready, and all deadlines that have passed.
    async fn first_of<F: Future>(
        &self,
        clock: &impl Clock,
        mut descriptors: Pin<&mut F>,
    ) -> (Option<F::Output>, Vec<Index>) {
        let mut ready = poll_once(descriptors.as_mut()).await;
        let mut passed = self.passed(clock);
        if ready.is_none() && !passed.is_empty() {
            // A guest that asks for times that have passed again and again must not keep its worker.
            yield_now().await;
            ready = poll_once(descriptors.as_mut()).await;
            // The time of day may have been set back meanwhile: a deadline that had passed before counts.
            passed.extend(self.passed(clock));
        }
        while ready.is_none() && passed.is_empty() {
            ready = self.sleep(clock, descriptors.as_mut()).await;
            passed = self.passed(clock);
            if ready.is_none() && passed.is_empty() {
                // The sleep ended too early. A clock whose sleeps always do must not keep the worker either.
                yield_now().await;
            }
        }
        (ready, passed)
    }

    /// The subscriptions whose deadline has passed, by one reading of the clock, because it may be set between two readings.
    fn passed(&self, clock: &impl Clock) -> Vec<Index> {
        let times = Times::read(clock);
        let have_passed = self.0.iter().filter(|(_, deadline)| times.have_reached(*deadline));
        have_passed.map(|(index, _)| *index).collect()
    }

    /// Waits for the first deadline or for the descriptors. `None` if the deadline came first, else the output of the descriptors.
    async fn sleep<F: Future>(
        &self,
        clock: &impl Clock,
        mut descriptors: Pin<&mut F>,
    ) -> Option<F::Output> {
        let deadlines = self.0.iter().map(|(_, deadline)| deadline.look_again_at(clock));
        let mut sleep = clock.sleep_until(deadlines.min().unwrap_or_default());
        poll_fn(|context| match descriptors.as_mut().poll(context) {
            Poll::Ready(events) => Poll::Ready(Some(events)),
            Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
        })
        .await
    }
}

/// The events of descriptors, and those of deadlines, by the index of their subscription.
fn occurrences(descriptors: Vec<Event>, passed: Vec<Index>) -> BTreeMap<Index, Event> {
    let descriptors = descriptors.into_iter().map(|event| (event.userdata, event));
    let deadlines = passed.into_iter().map(|index| {
        let fd_readwrite = EventFdReadwrite { nbytes: 0, flags: Eventrwflags::empty() };
        let (error, type_) = (Errno::Success, Eventtype::Clock);
        (index, Event { userdata: index, error, type_, fd_readwrite })
    });
    descriptors.chain(deadlines).collect()
}

/// Polls a future once. `None` if it is not ready.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Waits, for a call that can be frozen meanwhile. `None` says that it is being frozen.
#[cfg(feature = "freeze")]
async fn wait<S: 'static, F: Future>(
    caller: &mut Caller<'_, S>,
    parameters: Parameters,
    waited: impl Fn() -> Duration,
    future: F,
) -> Option<F::Output> {
    let pending = || pending_in((MODULE, POLL_ONEOFF), parameters, waited());
    resumable::wait(caller, pending, future).await
}

#[cfg(not(feature = "freeze"))]
async fn wait<S: 'static, F: Future>(
    _: &mut Caller<'_, S>,
    _: Parameters,
    _: impl Fn() -> Duration,
    future: F,
) -> Option<F::Output> {
    Some(future.await)
}
