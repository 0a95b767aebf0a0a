//! [`Schedule`]: its thread stops guests when their steps are to end. A step comes in by [`StepWithEnd::begin`], and a cancelled call
//! by [`Interrupter::interrupt`]; what goes out is [`Ticker::stop`].

use crate::guest::limit::repetition::Repetition;
use crate::guest::limit::shared_clock::{Beginnings, SharedClock};
use crate::guest::limit::slot::{End, Slot};
use crate::guest::limit::target::{Target, TickerNumber};
#[cfg(feature = "prepare")]
use crate::guest::limit::ticker::Word;
use crate::guest::limit::ticker::{All, Ticker};
use crate::step::interrupt::{Interrupter, Interruptible, NEVER};
use crate::unwind::ignore_panic;
use crate::wait::alarm;
use crossbeam::sync::{Parker, Unparker};
use parking_lot::Mutex;
use std::hint;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// Stops a guest, by a tick of its engine or by its flag, when the time of a step is over, and again until the step has ended.
///
/// It has a thread of its own, which no pool and no waker can hold up. That thread sleeps until the earliest end in any
/// slot, or until it repeats a tick; if there is neither, it sleeps for ever. A step with an end takes no lock and allocates nothing:
/// it writes the end into its thread's [`Slot`], and then reads `looks_at`, to see whether it must wake the schedule.
///
/// **No end is missed.** The schedule writes `NEVER` to `looks_at`, then reads the slots, then lowers `looks_at` to the earliest
/// end that it found, and sleeps until then. A step writes its slot, then reads `looks_at`. All four are `SeqCst`, so there is
/// one order of them:
/// - If the step reads what `looks_at` was before the `NEVER`, its write comes before the schedule's reads, which find the end.
/// - If the step reads the `NEVER` or a time after its end, it unparks the schedule. The token stays until the schedule next
///   parks, which then does not sleep, and reads the slots again.
/// - If the step reads a time up to its end, the schedule wakes by itself before the end, and reads the slots again.
///
/// With a weaker order, both could read the old values: the step would not wake the schedule, and the schedule would sleep past
/// the end.
struct Schedule {
    /// The schedule's thread reads the slots again at this time, in nanoseconds of [`alarm::now`].
    looks_at: AtomicU64,
    inbox: Mutex<Inbox>,
    /// The time, for steps that need not know it exactly.
    clock: SharedClock,
}

/// What is new to the schedule's thread.
struct Inbox {
    /// `None` until the thread is started.
    thread: Option<Unparker>,
    slots: Vec<Arc<Slot>>,
    cancelled: Vec<CancelledCall>,
}

/// How long a thread that cancels a call waits for the call to end before it has the schedule repeat the tick, in nanoseconds.
const PATIENCE: u64 = Duration::from_micros(10).as_nanos() as u64;

static SCHEDULE: Schedule = Schedule {
    looks_at: AtomicU64::new(NEVER),
    inbox: Mutex::new(Inbox { thread: None, slots: Vec::new(), cancelled: Vec::new() }),
    clock: SharedClock::new(),
};

/// The time at which a step of this slice begins, in nanoseconds of [`alarm::now`]: now, or up to an eighth of the slice later.
#[inline]
pub(crate) fn time_of_step(slice: u64) -> u64 {
    SCHEDULE.clock.time_of_step(slice).unwrap_or_else(|| read_clock(slice))
}

/// Reads the machine's clock. If this thread does that often, the schedule's thread is to do it instead.
fn read_clock(slice: u64) -> u64 {
    let now = alarm::now_nanoseconds();
    // A thread that is ending has no thread-locals any more, and begins few steps.
    let _ = REGISTERED.try_with(|registered| {
        if registered.beginnings.are_many(now, slice) && SCHEDULE.clock.ask(slice) {
            registered.schedule.unpark();
        }
    });
    now
}

thread_local! {
    static REGISTERED: Registered = Registered::new();
}

/// The slot of a thread, which the schedule reads.
struct Registered {
    /// The schedule has the other reference. It drops that when it finds that this one is gone.
    slot: Arc<Slot>,
    schedule: Unparker,
    beginnings: Beginnings,
}

impl Registered {
    fn new() -> Self {
        let slot = Arc::new(Slot::new());
        let mut inbox = SCHEDULE.inbox.lock();
        let schedule = inbox.thread();
        inbox.slots.push(slot.clone());
        drop(inbox);
        // This slot has no end yet. But many threads may come and go while the schedule sleeps, and it drops their slots only when
        // it is woken.
        schedule.unpark();
        Self { slot, schedule, beginnings: Beginnings::default() }
    }

    /// Writes an end, and wakes the schedule if that would sleep past it.
    #[inline]
    fn put(&self, end: End) -> Option<End> {
        let outer = self.slot.put(end);
        // SeqCst: see `Schedule`.
        if SCHEDULE.looks_at.load(SeqCst) > end.at {
            self.schedule.unpark();
        }
        outer
    }

    #[inline]
    fn put_back(&self, outer: Option<End>) {
        match outer {
            Some(outer) => drop(self.put(outer)),
            None => self.slot.clear(),
        }
    }
}

/// A step with an end that is in progress on this thread. This thread drops it, after those of all steps that began later, because a
/// step lasts no longer than one poll.
#[must_use]
pub(crate) struct StepWithEnd {
    outer: Option<End>,
    /// A slot for this step alone, if the thread is ending and has no thread-locals any more.
    own: Option<Box<Registered>>,
}

impl StepWithEnd {
    /// From `at` on, in nanoseconds of [`alarm::now`], the target is stopped, and again, until this is dropped.
    ///
    /// # Panics
    ///
    /// If the schedule's thread has to be started, and cannot be.
    #[inline]
    pub(crate) fn begin(target: Target, at: u64) -> Self {
        let end = End { at, target };
        match REGISTERED.try_with(|registered| registered.put(end)) {
            Ok(outer) => Self { outer, own: None },
            Err(_) => {
                let own = Box::new(Registered::new());
                Self { outer: own.put(end), own: Some(own) }
            }
        }
    }
}

impl Drop for StepWithEnd {
    #[inline]
    fn drop(&mut self) {
        if self.own.is_none() {
            // The thread had its thread-locals when the step began, and has them until its last step is over.
            let _ = REGISTERED.try_with(|registered| registered.put_back(self.outer));
        }
    }
}

/// A call that was cancelled while a step of it is in progress.
struct CancelledCall {
    /// Weak, so that the schedule does not keep the call and what it holds. A call to which nothing refers has ended.
    call: Weak<dyn Interruptible>,
    target: Target,
    repetition: Repetition,
}

impl CancelledCall {
    fn has_ended(&self) -> bool {
        let Some(call) = self.call.upgrade() else { return true };
        let has_ended = call.has_ended();
        // This may be the last reference by now; then the destructor of the call's result runs here, and may panic.
        ignore_panic(|| drop(call));
        has_ended
    }
}

impl Interrupter for Ticker {
    fn interrupt(&'static self, call: Arc<dyn Interruptible>) {
        interrupt(self, Target::epoch(self.number()), call);
    }
}

impl Interrupter for All {
    fn interrupt(&'static self, call: Arc<dyn Interruptible>) {
        if let Some(ticker) = Ticker::numbered(self.0) {
            interrupt(ticker, Target::all(self.0), call);
        }
    }
}

#[cfg(feature = "prepare")]
impl Interrupter for Word {
    fn interrupt(&'static self, call: Arc<dyn Interruptible>) {
        interrupt(self.ticker, self.target(), call);
    }
}

/// Stops the guest of a cancelled call until the call has ended.
fn interrupt(ticker: &Ticker, target: Target, call: Arc<dyn Interruptible>) {
    // At once, and on this thread.
    ticker.stop(target);
    let now = alarm::now_nanoseconds();
    // Most guests stop within a few microseconds, which is less than it takes to wake the schedule.
    while alarm::now_nanoseconds() < now + PATIENCE {
        if call.has_ended() {
            return;
        }
        hint::spin_loop();
    }
    // The guest is in a host function, or has missed the tick. The schedule repeats it.
    let repetition = Repetition::after_tick(now);
    let call = CancelledCall { call: Arc::downgrade(&call), target, repetition };
    let mut inbox = SCHEDULE.inbox.lock();
    let schedule = inbox.thread();
    inbox.cancelled.push(call);
    drop(inbox);
    // After the push: the schedule opens its inbox before it parks again.
    schedule.unpark();
}

impl Inbox {
    /// The schedule's thread, which is started when it is first needed.
    ///
    /// # Panics
    ///
    /// If it cannot be started. When it is next needed, that is tried again.
    fn thread(&mut self) -> Unparker {
        self.thread.get_or_insert_with(start).clone()
    }
}

fn start() -> Unparker {
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    let name = "wasm-jobs ticker";
    let run = move || {
        wake_on_time();
        Watcher::default().run(&parker)
    };
    match thread::Builder::new().name(name.into()).spawn(run) {
        Ok(_) => unparker,
        Err(error) => panic!("no thread can be started for {name}: {error}"),
    }
}

/// Has the kernel wake this thread when a time has come. Linux wakes a thread up to 50 µs late by default, so that one interrupt can serve
/// several threads: see `PR_SET_TIMERSLACK` in prctl(2).
fn wake_on_time() {
    // A kernel that refuses this wakes the thread as late as it wakes all others.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// The state that only the schedule's thread uses.
#[derive(Default)]
struct Watcher {
    slots: Vec<WatchedSlot>,
    cancelled: Vec<CancelledCall>,
    /// The tickers by their numbers, up to the highest that was needed.
    tickers: Vec<&'static Ticker>,
    /// What is to be stopped. A ticker ticks once, for all steps of its engine whose time is over.
    due: Vec<Target>,
}

struct WatchedSlot {
    slot: Arc<Slot>,
    /// The end that has passed, for which the guest was stopped already.
    passed: Option<(End, Repetition)>,
}

impl WatchedSlot {
    fn new(slot: Arc<Slot>) -> Self {
        Self { slot, passed: None }
    }

    /// Whether the thread that it belongs to is gone. Only that thread has another reference to the slot.
    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }

    /// Adds the target to `due` if the step is to be stopped now, and returns when to look here again.
    fn look(&mut self, now: u64, due: &mut Vec<Target>) -> u64 {
        let Some(end) = self.slot.end() else { return NEVER };
        if now < end.at {
            return end.at;
        }
        match &mut self.passed {
            Some((passed, repetition)) if *passed == end => {
                if repetition.is_due(now) {
                    due.push(end.target);
                }
                repetition.next()
            }
            _ => {
                due.push(end.target);
                self.passed.insert((end, Repetition::after_tick(now))).1.next()
            }
        }
    }
}

impl Watcher {
    fn run(&mut self, parker: &Parker) -> ! {
        loop {
            // Before the inbox and the slots are read: see `Schedule`.
            SCHEDULE.looks_at.store(NEVER, SeqCst);
            let next = self.look();
            SCHEDULE.looks_at.store(next, SeqCst);
            if next == NEVER {
                parker.park();
            } else {
                let next = Duration::from_nanos(next);
                parker.park_timeout(next.saturating_sub(alarm::now()));
            }
        }
    }

    /// Stops all guests that are due, and returns when to look again.
    fn look(&mut self) -> u64 {
        {
            let mut inbox = SCHEDULE.inbox.lock();
            self.slots.extend(inbox.slots.drain(..).map(WatchedSlot::new));
            self.cancelled.append(&mut inbox.cancelled);
        }
        self.slots.retain(|slot| !slot.is_abandoned());
        self.cancelled.retain(|call| !call.has_ended());
        let now = alarm::now_nanoseconds();
        let mut next = SCHEDULE.clock.read(now);
        for slot in &mut self.slots {
            next = next.min(slot.look(now, &mut self.due));
        }
        for call in &mut self.cancelled {
            if call.repetition.is_due(now) {
                self.due.push(call.target);
            }
            next = next.min(call.repetition.next());
        }
        self.stop();
        next
    }

    fn stop(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        due.dedup();
        for &target in &due {
            if let Some(ticker) = self.ticker(target.ticker) {
                ticker.stop(target);
            }
        }
        due.clear();
        // Keeps the allocation.
        self.due = due;
    }

    fn ticker(&mut self, number: TickerNumber) -> Option<&'static Ticker> {
        while self.tickers.len() <= number.0 as usize {
            let next = TickerNumber(u32::try_from(self.tickers.len()).ok()?);
            self.tickers.push(Ticker::numbered(next)?);
        }
        self.tickers.get(number.0 as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{SCHEDULE, time_of_step};

    #[test]
    fn the_schedules_thread_reads_the_clock_for_a_thread_that_begins_many_steps() {
        const SLICE: u64 = 1 << 36;
        while SCHEDULE.clock.time_of_step(SLICE).is_none() {
            let before = crate::wait::alarm::now_nanoseconds();
            assert!(time_of_step(SLICE) >= before);
        }
    }
}
