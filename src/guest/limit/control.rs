//! [`Control`]: what stops the guest of one instance. Its store goes by it, and asks it when the epoch has advanced, when its
//! memory grows, and at each of its calls of the host; [`Controlled`] is a call that goes by it in each of its steps.

use crate::error::Timeout;
use crate::guest::limit::growth::{Grown, limit};
use crate::guest::limit::options::InstanceOptions;
use crate::guest::limit::slice::{Slice, UNBOUNDED};
use crate::guest::limit::ticker::{Ticker, Timed};
use crate::step::interrupt::{Interrupter, NEVER, is_cancelled, nanoseconds, step_deadline};
use crate::trace::{InstanceId, burning, counts_fuel};
use crate::wait::alarm;
use crate::wait::clock::{Clock, RealtimeClock, Sleep};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::{CallHook, Engine, Store, StoreContextMut, Trap, UpdateDeadline};

/// How long the steps are of a guest that is to be sliced by fuel and was stopped at the epoch, until its store can be told.
const UNTOLD: Duration = Duration::from_millis(1);

/// It is set from any thread, and asked by the thread that steps the guest.
pub(crate) struct Control {
    ticker: &'static Ticker,
    options: InstanceOptions,
    /// Whether there is something to be set at the beginning of each call.
    limits_calls: bool,
    /// Whether there is something to be looked at in each step, whatever the slice.
    limits_steps: bool,
    has_epochs: bool,
    /// As a word.
    slice: AtomicU64,
    /// The slice that the store was last told of, if it is one of fuel.
    told: AtomicU64,
    /// Whether the store has not been told of the slice of this step.
    is_to_be_told: AtomicBool,
    /// When the step in progress is to yield, in nanoseconds of [`alarm::now`].
    step_ends: AtomicU64,
    /// How many ticks of the ticker there were when the store's deadline was last set.
    ticks: AtomicU64,
    /// Whether the guest is looking at the epoch.
    is_at_epoch: AtomicBool,
    /// Whether the guest has yielded there, so that the store sets its deadline when it goes on.
    yields_at_epoch: AtomicBool,
    /// Whether it has yielded there since it last called the host: compiled code keeps the count of fuel to itself.
    keeps_count: AtomicBool,
    /// What was left when the guest last called the host.
    fuel: AtomicU64,
    /// How many calls of the guest are inside each other.
    nesting: AtomicU32,
    time: Mutex<Time>,
    grown: Mutex<Grown>,
    number: InstanceId,
}

/// The time of a call. All times are those of [`alarm::now`].
#[derive(Default)]
struct Time {
    /// Whether there is a call that has begun. Its limits are none of what the host does with the store by itself.
    is_in_call: bool,
    /// In the steps that have ended.
    used: Duration,
    /// When the step in progress began.
    step_began: Option<Duration>,
    /// When the call may no longer run, whatever it does.
    deadline: Option<Duration>,
    /// Wakes the call then, once it waits.
    alarm: Option<Sleep>,
    timed_out: Option<Timeout>,
}

impl Control {
    pub(crate) fn new(engine: &Engine, options: InstanceOptions) -> Arc<Self> {
        let ticker = Ticker::of(engine);
        let limits_steps = options.limits_time() || options.limits_growth();
        Arc::new(Self {
            ticks: ticker.ticks().into(),
            ticker,
            slice: options.slice.to_word().into(),
            limits_calls: options.limits_time()
                || engine.get_consume_fuel()
                || options.nesting.is_some(),
            limits_steps,
            has_epochs: engine.get_epoch_interruption(),
            options,
            told: Slice::Unbounded.to_word().into(),
            is_to_be_told: AtomicBool::new(false),
            step_ends: NEVER.into(),
            is_at_epoch: AtomicBool::new(false),
            yields_at_epoch: AtomicBool::new(false),
            keeps_count: AtomicBool::new(false),
            fuel: AtomicU64::new(0),
            nesting: AtomicU32::new(0),
            time: Mutex::default(),
            grown: Mutex::default(),
            number: InstanceId::new(),
        })
    }

    pub(crate) fn options(&self) -> &InstanceOptions {
        &self.options
    }

    pub(crate) fn interrupter(&self) -> &'static dyn Interrupter {
        self.ticker
    }

    /// Of the instance, in traces.
    pub(crate) fn number(&self) -> InstanceId {
        self.number
    }

    pub(crate) fn slice(&self) -> Slice {
        Slice::from_word(self.slice.load(Relaxed))
    }

    pub(crate) fn set_slice(&self, slice: Slice) {
        self.slice.store(slice.to_word(), Relaxed);
    }

    /// The fuel that was left when the guest last called the host, or was last looked at by the host.
    pub(crate) fn fuel(&self) -> u64 {
        self.fuel.load(Relaxed)
    }

    pub(crate) fn set_fuel(&self, fuel: u64) {
        self.fuel.store(fuel, Relaxed);
    }

    /// In the steps of the call in progress, or of the last one.
    pub(crate) fn time_used(&self) -> Duration {
        self.time.lock().used
    }

    pub(crate) fn grown(&self) -> &Mutex<Grown> {
        &self.grown
    }

    /// Has a store go by this: what its guest does when the epoch has advanced, how much fuel it has in each step, and how
    /// much memory.
    pub(crate) fn attach<S: 'static>(self: &Arc<Self>, store: &mut Store<S>) {
        if self.has_epochs {
            let control = self.clone();
            store.epoch_deadline_callback(move |_| Ok(control.epoch_has_advanced()));
        }
        let counts_fuel = store.engine().get_consume_fuel();
        if counts_fuel || self.options.nesting.is_some() {
            let control = self.clone();
            store.call_hook(move |store, hook| {
                control.nest(hook)?;
                match hook {
                    _ if !counts_fuel => Ok(()),
                    CallHook::CallingWasm | CallHook::ReturningFromHost => control.refuel(store),
                    CallHook::CallingHost | CallHook::ReturningFromWasm => {
                        control.set_fuel(store.get_fuel()?);
                        Ok(())
                    }
                }
            });
        }
        self.told.store(Slice::Unbounded.to_word(), Relaxed);
        *self.grown.lock() = Grown::default();
        if self.options.limits_growth() {
            limit(store, self);
        }
    }

    /// Has a guest that is not in a call look at the epoch when that is next advanced, and not before.
    #[inline]
    pub(crate) fn set_deadline<S>(&self, store: &mut Store<S>) {
        if self.has_epochs {
            self.yields_at_epoch.store(false, Relaxed);
            self.keeps_count.store(false, Relaxed);
            self.ticks.store(self.ticker.ticks(), Relaxed);
            store.set_epoch_deadline(1);
        }
    }

    /// Refuses a call that would be inside too many others.
    fn nest(&self, hook: CallHook) -> Result<(), Trap> {
        let nesting = self.nesting.load(Relaxed);
        match hook {
            CallHook::CallingWasm => {
                if self.options.nesting.is_some_and(|most| nesting >= most.max(1)) {
                    return Err(Trap::StackOverflow);
                }
                self.nesting.store(nesting.saturating_add(1), Relaxed);
            }
            CallHook::ReturningFromWasm => self.nesting.store(nesting.saturating_sub(1), Relaxed),
            CallHook::CallingHost | CallHook::ReturningFromHost => {}
        }
        Ok(())
    }

    /// The guest runs on, in the step that it was in, or in a new one, with a new slice.
    ///
    /// Only then can its fuel be set: compiled code keeps the count to itself, except while it calls a function of the host
    /// or has run out, which is where a step ends otherwise than at the epoch.
    fn refuel<S>(&self, mut store: StoreContextMut<'_, S>) -> wasmtime::Result<()> {
        if self.is_at_epoch.swap(false, Relaxed) {
            return Ok(());
        }
        self.keeps_count.store(false, Relaxed);
        if !self.is_to_be_told.swap(false, Relaxed) {
            return Ok(());
        }
        let slice = self.slice();
        let told = self.told.swap(slice.to_word(), Relaxed);
        match slice {
            Slice::Fuel(fuel) => store.fuel_async_yield_interval(Some(fuel)),
            // Not if there is nothing to be taken back: it may be the user's own, and telling a store makes it asynchronous.
            _ if Slice::from_word(told).is_of_fuel() => store.fuel_async_yield_interval(None),
            _ => Ok(()),
        }
    }

    /// What the guest does when it sees that the epoch has advanced.
    fn epoch_has_advanced(&self) -> UpdateDeadline {
        self.is_at_epoch.store(true, Relaxed);
        let now = alarm::now();
        if is_cancelled() || self.has_timed_out(now) {
            return UpdateDeadline::Interrupt;
        }
        let ticks = self.ticker.ticks();
        let is_tick = self.ticks.swap(ticks, Relaxed) != ticks;
        let step_ends = self.step_ends.load(Relaxed);
        let is_over = step_ends != NEVER && nanoseconds(now) >= step_ends;
        if is_tick && !is_over {
            // The end of somebody else's slice.
            UpdateDeadline::Continue(1)
        } else {
            self.yields_at_epoch.store(true, Relaxed);
            self.keeps_count.store(true, Relaxed);
            UpdateDeadline::Yield(1)
        }
    }

    /// A step begins.
    #[inline]
    fn enter_step(&self) {
        self.is_to_be_told.store(true, Relaxed);
        if self.yields_at_epoch.load(Relaxed) {
            self.yields_at_epoch.store(false, Relaxed);
            self.ticks.store(self.ticker.ticks(), Relaxed);
        }
    }

    /// Is there nothing to be looked at in this step?
    #[inline]
    fn is_free(&self) -> bool {
        let slice = self.slice.load(Relaxed);
        (slice == UNBOUNDED || self.ends_by_fuel(slice))
            && !self.limits_steps
            && step_deadline() == NEVER
    }

    /// Is it a slice of fuel, of which the store knows, or will be told by the time that the guest goes on?
    fn ends_by_fuel(&self, slice: u64) -> bool {
        let is_told = || !self.keeps_count.load(Relaxed) || self.told.load(Relaxed) == slice;
        Slice::from_word(slice).is_of_fuel() && is_told()
    }

    /// A call begins: its limits are those of this call alone.
    #[inline]
    pub(crate) fn begin_call<S>(&self, store: &mut Store<S>) {
        if self.limits_calls {
            self.begin_limited_call(store);
        }
    }

    #[inline(never)]
    fn begin_limited_call<S>(&self, store: &mut Store<S>) {
        let deadline =
            self.options.elapsed_timeout.map(|timeout| alarm::now().saturating_add(timeout));
        *self.time.lock() = Time { deadline, ..Time::default() };
        // The panic of a host function leaves it as it was.
        self.nesting.store(0, Relaxed);
        if let Some(fuel) = self.options.fuel
            && store.set_fuel(fuel).is_err()
        {
            unreachable!("the options were checked with the engine");
        }
        // None, if the engine counts none.
        self.set_fuel(store.get_fuel().unwrap_or(0));
    }

    /// Has its time passed before the call has begun?
    #[inline]
    pub(crate) fn is_too_late(&self) -> Option<Timeout> {
        if self.options.elapsed_timeout.is_some() { self.look_if_too_late() } else { None }
    }

    #[inline(never)]
    fn look_if_too_late(&self) -> Option<Timeout> {
        let deadline = self.time.lock().deadline?;
        (alarm::now() >= deadline).then_some(Timeout::Elapsed)
    }

    /// Which of its limits in time has ended the last call.
    pub(crate) fn timed_out(&self) -> Option<Timeout> {
        if self.options.limits_time() { self.time.lock().timed_out.take() } else { None }
    }

    fn has_timed_out(&self, now: Duration) -> bool {
        if !self.options.limits_time() {
            return false;
        }
        let mut time = self.time.lock();
        if !time.is_in_call {
            return false;
        }
        let running =
            time.used + time.step_began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
        if self.options.running_timeout.is_some_and(|timeout| running >= timeout) {
            time.timed_out = Some(Timeout::Running);
        } else if time.deadline.is_some_and(|deadline| now >= deadline) {
            time.timed_out = Some(Timeout::Elapsed);
        }
        time.timed_out.is_some()
    }

    /// True if the call may wait no longer; until then, it is woken when that is so.
    fn tell_at_deadline(&self, context: &mut Context<'_>) -> bool {
        let mut time = self.time.lock();
        let Some(deadline) = time.deadline else { return false };
        let alarm = time.alarm.get_or_insert_with(|| RealtimeClock.sleep_until(deadline));
        let has_come = alarm.as_mut().poll(context).is_ready();
        if has_come {
            time.timed_out = Some(Timeout::Elapsed);
        }
        has_come
    }

    fn end_call(&self) {
        let alarm = {
            let mut time = self.time.lock();
            time.is_in_call = false;
            time.alarm.take()
        };
        drop(alarm);
    }

    /// When the step that begins is to be stopped, for whichever reason.
    fn step_to_be_stopped(&self, now: Duration) -> Option<Duration> {
        let slice = self.slice();
        let slice_ends = match slice {
            Slice::Time(time) => nanoseconds(now.saturating_add(time)),
            Slice::Fuel(_) if !self.ends_by_fuel(slice.to_word()) => {
                nanoseconds(now.saturating_add(UNTOLD))
            }
            Slice::Unbounded | Slice::Fuel(_) => NEVER,
        };
        let yields = slice_ends.min(step_deadline());
        self.step_ends.store(yields, Relaxed);
        let yields = (yields != NEVER).then(|| Duration::from_nanos(yields));
        if !self.options.limits_time() {
            return yields;
        }
        let mut time = self.time.lock();
        time.step_began = Some(now);
        let left = |timeout: Duration| now.saturating_add(timeout.saturating_sub(time.used));
        let running = self.options.running_timeout.map(left);
        [yields, running, time.deadline].into_iter().flatten().min()
    }
}

pin_project! {
    /// A guest's call, each poll of which is a step.
    pub(crate) struct Controlled<'a, F> {
        #[pin]
        call: F,
        control: &'a Arc<Control>,
    }

    impl<F> PinnedDrop for Controlled<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            if this.control.options.limits_time() {
                this.control.end_call();
            }
        }
    }
}

impl<'a, F> Controlled<'a, F> {
    pub(crate) fn new(call: F, control: &'a Arc<Control>) -> Self {
        if control.options.limits_time() {
            control.time.lock().is_in_call = true;
        }
        Self { call, control }
    }
}

impl<F, R> std::future::Future for Controlled<'_, F>
where
    F: std::future::Future<Output = wasmtime::Result<R>>,
{
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.control.enter_step();
        if this.control.is_free() && !counts_fuel() {
            return this.call.poll(context);
        }
        poll_watched(this.call, this.control, context)
    }
}

/// Apart, for the sake of the calls that nothing limits.
#[inline(never)]
fn poll_watched<F, R>(
    call: Pin<&mut F>,
    control: &Arc<Control>,
    context: &mut Context<'_>,
) -> Poll<F::Output>
where
    F: std::future::Future<Output = wasmtime::Result<R>>,
{
    let _burning = burning(|| control.fuel());
    let over = || Poll::Ready(Err(Trap::Interrupt.into()));
    let now = alarm::now();
    if control.has_timed_out(now) {
        return over();
    }
    let polled = {
        let _watched = Watched::start(control, now);
        call.poll(context)
    };
    if polled.is_ready() || !control.options.limits_time() {
        return polled;
    }
    if control.has_timed_out(alarm::now()) {
        return over();
    }
    if control.tell_at_deadline(context) { over() } else { Poll::Pending }
}

/// While a step with an end is in progress.
struct Watched<'a> {
    control: &'a Arc<Control>,
    _timed: Option<Timed>,
}

impl<'a> Watched<'a> {
    fn start(control: &'a Arc<Control>, now: Duration) -> Self {
        if control.options.limits_growth() {
            crate::guest::limit::growth::enter(control);
        }
        // Without epochs, a tick would stop nobody.
        let ends = control.step_to_be_stopped(now).filter(|_| control.has_epochs);
        Self { control, _timed: ends.map(|ends| Timed::start(control.ticker, ends)) }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.control.step_ends.store(NEVER, Relaxed);
        if self.control.options.limits_time() {
            let mut time = self.control.time.lock();
            if let Some(began) = time.step_began.take() {
                time.used += alarm::now().saturating_sub(began);
            }
        }
    }
}
