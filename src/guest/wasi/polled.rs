//! What a guest waits for in `poll_oneoff`: reads its subscriptions to times and descriptors, waits for the first of them, and writes the events of all that have
//! occurred. Times are those of the guest's clock (`clocks`); descriptors are wasmtime-wasi's (`descriptors`).

use crate::call::yield_now::yield_now;
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
use std::sync::Arc;
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

/// What a guest has asked for.
pub(crate) struct Request {
    parameters: Parameters,
    subscriptions: Vec<Subscription>,
    clock: Arc<dyn Clock>,
    /// When the wait began, and how long the guest had waited before that.
    #[cfg_attr(not(feature = "freeze"), expect(dead_code, reason = "for frozen calls"))]
    begun: Duration,
    #[cfg_attr(not(feature = "freeze"), expect(dead_code, reason = "for frozen calls"))]
    waited: Duration,
}

impl Request {
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    #[cfg(feature = "freeze")]
    pub(crate) fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// How long the guest has waited.
    #[cfg(feature = "freeze")]
    pub(crate) fn waited(&self) -> Duration {
        self.waited.saturating_add(self.clock.now().saturating_sub(self.begun))
    }

    /// Tells the guest which times have passed.
    pub(crate) fn write_passed<S: 'static>(
        &self,
        caller: &mut Caller<'_, S>,
        passed: Vec<Index>,
    ) -> Result<(), Failure> {
        self.write(caller, occurrences(Vec::new(), passed))
    }

    /// Tells the guest what has happened.
    pub(crate) fn write<S: 'static>(
        &self,
        caller: &mut Caller<'_, S>,
        mut happened: BTreeMap<Index, Event>,
    ) -> Result<(), Failure> {
        let (_, events, _, occurred) = self.parameters;
        with_memory(caller, |memory| {
            let events = pointer::<Event>(events);
            let mut count = 0;
            for (index, subscription) in (0..).zip(&self.subscriptions) {
                if let Some(event) = happened.remove(&index) {
                    let event = Event { userdata: subscription.userdata, ..event };
                    memory.write(events.add(count)?, event)?;
                    count += 1;
                }
            }
            Ok(memory.write(pointer::<u32>(occurred), count)?)
        })
    }
}

/// The place of a subscription among those of the guest.
type Index = u64;

/// What one call of `poll_oneoff` waits for.
pub(crate) struct Polled {
    deadlines: Deadlines,
    /// With the index as user data, which comes back in the event.
    descriptors: Vec<Subscription>,
}

impl Polled {
    /// Begins to wait, for a guest that has waited for some time already, if its call was frozen meanwhile.
    pub(crate) fn begin<S: 'static>(
        caller: &mut Caller<'_, S>,
        ctx: &impl Fn(&mut S) -> &mut WasiCtx,
        parameters: Parameters,
        waited: Duration,
    ) -> Result<(Request, Self), Failure> {
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
        let ctx = ctx(caller.data_mut());
        let clock = ctx.clock().clone();
        ctx.preview1().set_hostcall_fuel(fuel);
        let begun = clock.now();
        let polled = Self::new(&subscriptions, begun, waited)?;
        Ok((Request { parameters, subscriptions, clock, begun, waited }, polled))
    }

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

    /// Whether there is no descriptor to wait for.
    pub(crate) fn waits_for_times(&self) -> bool {
        self.descriptors.is_empty()
    }

    /// Whether one of the times has passed already. Then the guest only yields.
    #[cfg(feature = "freeze")]
    pub(crate) fn has_passed(&self, clock: &impl Clock) -> bool {
        !self.deadlines.passed(clock).is_empty()
    }

    /// Waits for times alone: until one has passed. Gives all that have passed then.
    pub(crate) async fn first_time(self, clock: Arc<dyn Clock>) -> Vec<Index> {
        self.deadlines.first_of(&clock, pin!(pending::<Infallible>())).await.1
    }

    /// Waits until a descriptor is ready or a deadline has passed, and gives the events of all that are ready or have passed then.
    pub(crate) async fn first(
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
