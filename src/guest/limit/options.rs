//! [`InstanceOptions`]: the limits that a user sets for an instance. [`Control`](crate::guest::limit::control::Control) holds the
//! guest to them.

use crate::error::Error;
use crate::guest::limit::slice::Slice;
use crate::guest::limit::stops::Stops;
#[cfg(feature = "explore")]
use crate::guest::limit::watch::Watcher;
use std::time::Duration;
use wasmtime::Engine;

/// What one instance may use. By default nothing is limited.
///
/// The limits of a call count anew for each call. The start function is limited as a call is. If a host function runs another guest,
/// that guest has its own limits.
///
/// Two limits are not here, because they are the engine's: how deep a guest may recurse
/// ([`EngineOptions::wasm_stack`](crate::EngineOptions::wasm_stack)), and how many instances there may be
/// ([`EngineOptions::pooling`](crate::EngineOptions::pooling)).
///
/// ```
/// use std::time::Duration;
/// use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, Timeout, engine, wasmtime};
///
/// let engine = engine(&EngineOptions::default())?;
/// let wasm = wat::parse_str(r#"(module (func (export "forever") (loop $again (br $again))))"#)?;
/// let module = wasmtime::Module::new(&engine, wasm)?;
/// let pre = wasmtime::Linker::<u32>::new(&engine).instantiate_pre(&module)?;
///
/// let options = InstanceOptions::default().running_timeout(Duration::from_millis(50)).memory(1 << 20);
/// let instance = Instance::with_options(&pre, options, || 0)?;
/// let end = instance.call::<(), ()>("forever", ())?.wait();
/// assert!(matches!(end, Err(Error::TimedOut(why)) if why.limit == Timeout::Running));
/// instance.reset()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InstanceOptions {
    pub(crate) slice: Slice,
    pub(crate) fuel: Option<u64>,
    pub(crate) running_timeout: Option<Duration>,
    pub(crate) elapsed_timeout: Option<Duration>,
    pub(crate) begun_timeout: Option<Duration>,
    pub(crate) memory: Option<usize>,
    pub(crate) table_elements: Option<usize>,
    pub(crate) nesting: Option<u32>,
    /// `None` if nothing was set: guests of a world of `explore` yield then, and others do not.
    pub(crate) yield_before_host_calls: Option<bool>,
    #[cfg(feature = "freeze")]
    pub(crate) park_after: Option<Duration>,
    #[cfg(feature = "explore")]
    pub(crate) watcher: Watcher,
    measure_time: bool,
}

impl InstanceOptions {
    /// Sets how much the guest may do in one step, until [`Instance::set_slice`](crate::Instance::set_slice) sets another slice.
    #[must_use]
    pub fn slice(mut self, slice: Slice) -> Self {
        self.slice = slice;
        self
    }

    /// Limits the fuel of each call, in wasmtime's units: about one an instruction. A guest that uses it up traps with
    /// [`OutOfFuel`](wasmtime::Trap::OutOfFuel), at the same place on every machine. A guest that looks at a [flag](crate::EngineOptions::stop_flags) uses some for
    /// each look, and so does so earlier if a clock or a request has stopped it.
    ///
    /// The engine must count instructions: see [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    #[must_use]
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = Some(fuel);
        self
    }

    /// Limits the time that each call may run, in all its steps together. The time that it spends in host functions counts; the
    /// time that it is suspended does not. A call that has run for longer fails with [`Error::TimedOut`].
    ///
    /// A guest is [stopped](crate::Stops) at its next loop or function entry. A guest that is inside a host function is stopped when that
    /// returns, even if the guest would end right after it. If the host function runs another guest, that time counts too.
    ///
    /// Nothing stops a guest inside `memory.atomic.wait`, which blocks its thread until another thread notifies it: see
    /// [`EngineOptions::threads`](crate::EngineOptions::threads).
    ///
    /// Each step then reads the clock twice (`timeout_in_a_step` of the benchmark).
    #[must_use]
    pub fn running_timeout(mut self, timeout: Duration) -> Self {
        self.running_timeout = Some(timeout);
        self
    }

    /// Limits the time from making a call to its end, whether it runs, waits, stands in a queue or is not resumed. A call that has
    /// not ended by then fails with [`Error::TimedOut`]: at once if it runs or waits, else at its next step.
    ///
    /// The time is the machine's, whatever clock the guest has. A running guest is stopped as by
    /// [`running_timeout`](Self::running_timeout), with the same exceptions. If the call waits in a host function, the thread that
    /// ends the call drops that function's future.
    ///
    /// The time in a pool's queue counts. Where calls may have to queue for long, set [`begun_timeout`](Self::begun_timeout).
    #[must_use]
    pub fn elapsed_timeout(mut self, timeout: Duration) -> Self {
        self.elapsed_timeout = Some(timeout);
        self
    }

    /// Limits the time from a call's first step to its end, whether it runs, waits, or stands in a queue once more. It does what
    /// [`elapsed_timeout`](Self::elapsed_timeout) does, but a call that has not begun has all of its time left, however long it stands
    /// in a pool's queue before that. If an instance has both, the call times out at the earlier time. Instantiating
    /// counts as a call, so a timeout of zero refuses the instance.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use wasm_jobs::{EngineOptions, Error, Event, Instance, InstanceOptions, Step, Timeout, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// # let never = Event::new();
    /// # linker.func_wrap_async("env", "wait", move |_, ()| Box::new(never.wait()))?;
    /// # let wasm = wat::parse_str(r#"(module (import "env" "wait" (func $wait)) (func (export "waits") (call $wait)))"#)?;
    /// # let pre = linker.instantiate_pre(&wasmtime::Module::new(&engine, wasm)?)?;
    /// let options = InstanceOptions::default().begun_timeout(Duration::from_millis(200));
    /// let instance = Instance::with_options(&pre, options, || ())?;
    /// let mut future = instance.call::<(), ()>("waits", ())?;
    /// std::thread::sleep(Duration::from_millis(250)); // nobody has resumed it
    /// assert_eq!(future.resume()?, Step::Waiting);
    /// assert!(matches!(future.wait(), Err(Error::TimedOut(why)) if why.limit == Timeout::Begun));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn begun_timeout(mut self, timeout: Duration) -> Self {
        self.begun_timeout = Some(timeout);
        self
    }

    /// Limits the bytes of all memories of the guest together, and of the heap of its exceptions. A `memory.grow` beyond that
    /// gives the guest -1. A module that begins with more cannot be instantiated. A guest that keeps more exceptions than that
    /// fails with [`Error::GcHeapOutOfMemory`].
    ///
    /// Memories that are shared with threads are not counted. What bounds them is the maximum in their type.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Limits the elements of all tables of the guest together. A `table.grow` beyond that gives the guest -1. A module that begins
    /// with more cannot be instantiated.
    #[must_use]
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.table_elements = Some(elements);
        self
    }

    /// Limits how many calls of the guest may be inside each other, because host functions call it back. The outermost call counts;
    /// zero stands for one. A call beyond the limit traps with [`StackOverflow`](wasmtime::Trap::StackOverflow), and the host
    /// function that made it gets the trap as an error.
    ///
    /// Set it if a host function calls the guest back: each such call takes a stack of its own, and each step enters all of
    /// them again. Without a limit, a guest can take all stacks of the engine's pool, or, on demand, all mappings of memory
    /// that the process may have (`vm.max_map_count`).
    ///
    /// With a limit, each call of a host function costs a little more (`nesting_in_a_step` of the benchmark).
    #[must_use]
    pub fn nesting(mut self, calls: u32) -> Self {
        self.nesting = Some(calls);
        self
    }

    /// Sets whether [`Instance::time_used`](crate::Instance::time_used) tells how long each call has run. With a timeout it does,
    /// whatever is set here. Each step then reads the clock twice (`timeout_in_a_step` of the benchmark).
    #[must_use]
    pub fn measure_time(mut self, enable: bool) -> Self {
        self.measure_time = enable;
        self
    }

    /// Sets whether the guest [yields](crate::Step::Yielded) before each call of a host function. It is for tests: the code that resumes the
    /// calls then chooses the order in which several guests use what they share. The host function, an asynchronous one too, begins in the
    /// next step.
    ///
    /// A [`Slice::Fuel`] of 1 stops a guest often too, but only at loops and function entries, and so not between two calls of the host
    /// that follow each other in a straight line.
    ///
    /// Some instructions, such as `memory.grow`, call wasmtime as if it were a host function. So does the guest when the epoch has advanced or
    /// its slice of fuel has ended. It yields before these calls, too. If wasmtime's own functions call the guest, in a host function or
    /// through a [`StoreGuard`](crate::StoreGuard), they must be the asynchronous ones. Each call of the host takes one more step, so leave
    /// this off outside of tests.
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, Instance, InstanceOptions, Step, engine, wasmtime};
    ///
    /// let engine = engine(&EngineOptions::default())?;
    /// let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// linker.func_wrap("env", "save", || ())?; // it knows nothing of yields
    /// let wasm = wat::parse_str(r#"(module
    ///     (import "env" "save" (func $save))
    ///     (func (export "run") (call $save) (call $save)))"#)?;
    /// let pre = linker.instantiate_pre(&wasmtime::Module::new(&engine, wasm)?)?;
    ///
    /// let options = InstanceOptions::default().yield_before_host_calls(true);
    /// let instance = Instance::with_options(&pre, options, || ())?;
    /// let mut future = instance.call::<(), ()>("run", ())?;
    /// assert_eq!(future.resume()?, Step::Yielded); // before the first `save`
    /// assert_eq!(future.resume()?, Step::Yielded); // between the two
    /// assert_eq!(future.resume()?, Step::Done);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn yield_before_host_calls(mut self, enable: bool) -> Self {
        self.yield_before_host_calls = Some(enable);
        self
    }

    /// Has calls that wait for longer than this become data, which takes much less memory than a suspended guest does. Such a call is *parked*. Once what it waits for is there,
    /// it goes on in a new store with the same state of the host. Its [`Future`](crate::Future), its runner and its handle stay as they are.
    ///
    /// A call can be parked where it can be [frozen](crate::Future::freeze), and is not elsewhere. Its instance then has no place in the engine's pool. If the pool is full when it wakes,
    /// it yields until there is a place. With a time of zero, a call is parked as soon as it waits.
    ///
    /// The module has to be compiled with [`PrepareOptions::freezable`](crate::PrepareOptions::freezable). The first instance of it compiles the module with twins. Anything that the
    /// caller has set up in the store, such as a limiter, is lost when a call is parked, and handles of the store that the host has kept are of no more use then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasm_jobs::{EngineOptions, Instance, InstanceOptions, ManualClock, PrepareOptions, Step, engine, guest_kit, prepare_with, wasmtime};
    ///
    /// let engine = engine(&EngineOptions::default().pooling(1))?; // a place for one guest
    /// let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// let clock = ManualClock::new();
    /// guest_kit::add_to_linker(&mut linker, clock.clone())?;
    /// let wasm = wat::parse_str(r#"(module
    ///     (import "env" "sleep" (func $sleep (param i64)))
    ///     (func (export "nap") (param i32) (result i32)
    ///         (call $sleep (i64.const 1_000_000_000))
    ///         (local.get 0)))"#)?;
    /// let module = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?;
    /// let pre = module.instantiate_pre(&linker)?;
    ///
    /// let mut naps = Vec::new();
    /// for number in 0..1_000 {
    ///     let options = InstanceOptions::default().park_after(Duration::ZERO);
    ///     let mut nap = Instance::with_options(&pre, options, || ())?.call::<i32, i32>("nap", number)?;
    ///     assert_eq!(nap.resume()?, Step::Waiting);
    ///     naps.push(nap);
    /// }
    /// clock.tick(Duration::from_secs(1));
    /// for (number, mut nap) in (0..).zip(naps) {
    ///     assert_eq!(nap.wait()?, number);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "freeze")]
    #[must_use]
    pub fn park_after(mut self, waited: Duration) -> Self {
        self.park_after = Some(waited);
        self
    }

    /// Whether the time of calls is measured.
    pub(crate) fn measures_time(&self) -> bool {
        self.measure_time || self.has_timeout()
    }

    fn has_timeout(&self) -> bool {
        let timeouts = [self.running_timeout, self.elapsed_timeout, self.begun_timeout];
        timeouts.iter().any(Option::is_some)
    }

    pub(crate) fn limits_growth(&self) -> bool {
        self.memory.is_some() || self.table_elements.is_some()
    }

    /// Refuses options that the engine was not made for, or that need what `stops` the guest.
    pub(crate) fn check(&self, engine: &Engine, stops: Stops) -> Result<(), Error> {
        self.slice.check(engine, stops)?;
        if self.fuel.is_some() && !engine.get_consume_fuel() {
            return Err(unsupported("a limit of fuel", "fuel"));
        }
        match self.has_timeout() {
            true => stops.check(A_TIMEOUT),
            false => Ok(()),
        }
    }
}

/// What needs a guest that can be stopped, in messages.
pub(crate) const A_TIMEOUT: &str = "a timeout";
/// What needs a guest that can be stopped, in messages.
pub(crate) const A_SLICE_OF_TIME: &str = "a slice of time";

impl Stops {
    /// Refuses what needs a guest that can be stopped.
    pub(crate) fn check(self, what: &'static str) -> Result<(), Error> {
        if self != Self::Never {
            return Ok(());
        }
        let why = "nothing stops this guest while it runs: make the engine with `EngineOptions::epoch_interruption`, or with \
                   `EngineOptions::stop_flags` and compile the module by `prepare`";
        Err(Error::Unsupported { what, why: why.into() })
    }
}

impl Slice {
    /// Refuses a slice that the engine was not made for, or that needs what `stops` the guest.
    pub(crate) fn check(self, engine: &Engine, stops: Stops) -> Result<(), Error> {
        match self {
            Self::Time(_) => stops.check(A_SLICE_OF_TIME),
            Self::Fuel(_) if !engine.get_consume_fuel() => {
                Err(unsupported("a slice of fuel", "fuel"))
            }
            _ => Ok(()),
        }
    }
}

/// The error for what needs an option that the engine was made without.
pub(crate) fn unsupported(what: &'static str, option: &str) -> Error {
    let why = format!("the engine was made without it: see `EngineOptions::{option}`").into();
    Error::Unsupported { what, why }
}
