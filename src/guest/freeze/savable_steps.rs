//! [`SavableSteps`]: the steps of a call that can be saved. Each accepts a request that is made to it, for its own store; and one of its own, when the call has waited for so
//! long that it is to be parked.

use crate::error::Error;
use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::{Purpose, Saved};
use crate::guest::freeze::freezable_module::SavingPlan;
use crate::guest::freeze::request::{self, Encodes, SavingStep, Target, Waits};
use crate::guest::guest::Guest;
use crate::guest::limit::control::Control;
use crate::guest::origin::Origin;
use crate::guest::prepared::pre::PreparedPre;
use crate::wait::alarm;
use crate::wait::clock::{Clock, RealtimeClock, Sleep};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The guest of a call, if the call can be saved.
pub(crate) struct SavableCall<S: 'static> {
    of: Option<Arc<SavingPlan>>,
    /// What the guest was made of.
    pre: Option<PreparedPre<S>>,
    encodes: Option<Arc<Encodes>>,
    /// The address of the store's data.
    store: usize,
}

impl<S: Send + 'static> SavableCall<S> {
    #[inline]
    pub(crate) fn of(guest: &Guest<S>) -> Self {
        Self {
            of: guest.saving_plan.clone(),
            pre: guest.pre.clone(),
            encodes: guest.saves.codec.clone().map(|codec| -> Arc<Encodes> {
                Arc::new(move |object| codec.encode(object).is_some())
            }),
            store: ptr::from_ref(guest.store.data()).addr(),
        }
    }

    /// Begins a step that is to save the call, if it is.
    #[inline]
    fn begin_step(&self, control: &Arc<Control>, parking: Option<&Parking>) -> Option<SavingStep> {
        let Some(of) = &self.of else {
            if request::accept_wanted().is_some() {
                request::answer_refused(CannotFreeze::NotPrepared);
            }
            return None;
        };
        let purpose =
            request::accept_wanted().or_else(|| parking?.is_due().then_some(Purpose::Park));
        purpose.and_then(|purpose| self.begin_step_for(purpose, of, control))
    }

    #[cold]
    fn begin_step_for(
        &self,
        purpose: Purpose,
        of: &Arc<SavingPlan>,
        control: &Arc<Control>,
    ) -> Option<SavingStep> {
        if purpose == Purpose::Checkpoint
            && let Some(pre) = &self.pre
            && let Err(error) = can_go_on(pre)
        {
            let why = error.to_string().into();
            request::answer_refused(CannotFreeze::CannotGoOn { why });
            return None;
        }
        let (of, control, encodes) = (of.clone(), control.clone(), self.encodes.clone());
        Some(request::begin_step(self.store, Target { purpose, of, control, encodes }))
    }
}

/// Whether a call that is saved can go on in an instance with twins.
fn can_go_on<S: Send + 'static>(pre: &PreparedPre<S>) -> Result<(), Error> {
    Origin::module(pre.twins()?).check_instantiable_anew("going on in another instance")
}

/// When a call is to be parked.
struct Parking {
    after: Duration,
    /// When the wait began that the call is in.
    since: Option<Duration>,
    /// Wakes the call when it is to be parked.
    alarm: Option<Sleep>,
    /// Whether the wait that the call is in was refused: it is not tried again.
    is_refused: bool,
}

impl Parking {
    fn is_due(&self) -> bool {
        let has_waited = |since: Duration| alarm::now() >= since.saturating_add(self.after);
        !self.is_refused && (self.after.is_zero() || self.since.is_some_and(has_waited))
    }

    /// A step has ended, and the call has not. `was_due` says that it was to be parked, and was not.
    fn step_ended(&mut self, store: usize, was_due: bool, context: &mut Context<'_>) {
        match request::waits(store) {
            Waits::Still => self.is_refused |= was_due,
            Waits::No => (self.since, self.alarm, self.is_refused) = (None, None, false),
            Waits::Begins if self.after.is_zero() => self.is_refused = was_due,
            Waits::Begins => {
                let now = alarm::now();
                let mut sleep = RealtimeClock.sleep_until(now.saturating_add(self.after));
                if sleep.as_mut().poll(context).is_ready() {
                    context.waker().wake_by_ref();
                }
                (self.since, self.alarm, self.is_refused) = (Some(now), Some(sleep), false);
            }
        }
    }
}

pin_project! {
    /// Gives what the call gives, and what its functions have saved, if they have.
    pub(crate) struct SavableSteps<'a, S: 'static, F> {
        #[pin]
        call: F,
        savable: &'a SavableCall<S>,
        control: &'a Arc<Control>,
        parking: Option<Parking>,
    }
}

impl<'a, S: 'static, F> SavableSteps<'a, S, F> {
    #[inline]
    pub(crate) fn new(call: F, savable: &'a SavableCall<S>, control: &'a Arc<Control>) -> Self {
        let new = |after| Parking { after, since: None, alarm: None, is_refused: false };
        let parking = control.park_after().map(new);
        Self { call, savable, control, parking }
    }
}

impl<S: Send + 'static, F: std::future::Future> std::future::Future for SavableSteps<'_, S, F> {
    type Output = (F::Output, Option<Saved>);

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let step = this.savable.begin_step(this.control, this.parking.as_ref());
        if this.parking.is_some() {
            request::begin_watching();
        }
        let mut call = this.call;
        let polled = loop {
            let polled = call.as_mut().poll(context);
            // The slice of a guest that saves itself may end. It goes on, or the call would be lost.
            if polled.is_ready() || !step.as_ref().is_some_and(SavingStep::is_saving) {
                break polled;
            }
        };
        let was_to_save = step.is_some();
        let saved = step.and_then(SavingStep::end);
        if let (Poll::Pending, Some(parking)) = (&polled, this.parking) {
            parking.step_ended(this.savable.store, was_to_save, context);
        }
        polled.map(|output| (output, saved))
    }
}
