//! [`InstanceOptions`]: how much a guest may do in one call, and in one step of it, and how much memory it may have.

use crate::error::Error;
use crate::guest::Slice;
use std::time::Duration;
use wasmtime::Engine;

/// What one instance may use. By default nothing is limited.
///
/// The limits of a call are counted anew for each call. They hold for the start function too, as for a call. They do not hold for
/// another guest that a host function brings to its end: that one has its own.
///
/// How deep a guest may recurse is a matter of its engine: [`EngineOptions::wasm_stack`](crate::EngineOptions::wasm_stack); how
/// often by way of the host, of its [`nesting`](Self::nesting).
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
/// let options = InstanceOptions::default().running_timeout(Duration::from_millis(5)).memory(1 << 20);
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
    pub(crate) memory: Option<usize>,
    pub(crate) table_elements: Option<usize>,
    pub(crate) nesting: Option<u32>,
    measure_time: bool,
}

impl InstanceOptions {
    /// How much the guest may do in one step, until [`Instance::set_slice`](crate::Instance::set_slice).
    #[must_use]
    pub fn slice(mut self, slice: Slice) -> Self {
        self.slice = slice;
        self
    }

    /// The fuel of each call, in wasmtime's units: about one an instruction. A guest that uses it up traps with
    /// [`OutOfFuel`](wasmtime::Trap::OutOfFuel), at the same place on every machine.
    ///
    /// The engine must count instructions: see [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    #[must_use]
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = Some(fuel);
        self
    }

    /// How long each call may run, all its steps together. What it spends in host functions counts, what it spends suspended
    /// does not. A call that runs for longer is [`Error::TimedOut`].
    ///
    /// It is stopped by the engine's epoch, at its next loop or function entry; if it is inside a host function, when that
    /// returns. What a host function runs meanwhile counts too, calls of other guests for one.
    #[must_use]
    pub fn running_timeout(mut self, timeout: Duration) -> Self {
        self.running_timeout = Some(timeout);
        self
    }

    /// How long after the call was made it must have ended, whether it runs, waits, stands in a queue or is not resumed. A call
    /// that has not is [`Error::TimedOut`], at once if it runs or waits, else at its next step. It goes by the machine's clock,
    /// whatever the clock of the guest.
    ///
    /// What a waiting host function held is dropped by the thread that ends the call.
    #[must_use]
    pub fn elapsed_timeout(mut self, timeout: Duration) -> Self {
        self.elapsed_timeout = Some(timeout);
        self
    }

    /// How many bytes all memories of the guest may have together, with the heap of its exceptions. `memory.grow` beyond that
    /// gives the guest -1, and a module that begins with more cannot be instantiated. A guest that keeps more exceptions than that
    /// fails with [`Error::GcHeapOutOfMemory`].
    ///
    /// Memories that are shared with threads grow without being asked: what bounds them is the maximum in their type.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// How many elements all tables of the guest may have together. `table.grow` beyond that gives the guest -1, and a module
    /// that begins with more cannot be instantiated.
    #[must_use]
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.table_elements = Some(elements);
        self
    }

    /// How many calls of the guest may be inside each other, if host functions call it back: the call itself is the first, and
    /// zero is taken for one. The one that would be too many traps with [`StackOverflow`](wasmtime::Trap::StackOverflow), which
    /// its host function gets as an error.
    ///
    /// Set it where a host function calls the guest back. Each call takes a stack of its own, and each step enters all of them
    /// again. Without a limit, a guest that has the host call it back for ever takes all stacks of the pool, or on demand, some
    /// 30,000 calls deep, all mappings of memory that the process may have (`vm.max_map_count`). With one, each call of a
    /// host function costs some 8 ns more (`nesting_in_a_step` of the benchmark).
    #[must_use]
    pub fn nesting(mut self, calls: u32) -> Self {
        self.nesting = Some(calls);
        self
    }

    /// Whether the time is taken that each call runs, for [`Instance::time_used`](crate::Instance::time_used). It is, if there
    /// is a timeout. Looking at the clock costs some 50 ns a step.
    #[must_use]
    pub fn measure_time(mut self, enable: bool) -> Self {
        self.measure_time = enable;
        self
    }

    /// Is the time of calls taken?
    pub(crate) fn limits_time(&self) -> bool {
        self.measure_time || self.running_timeout.is_some() || self.elapsed_timeout.is_some()
    }

    pub(crate) fn limits_growth(&self) -> bool {
        self.memory.is_some() || self.table_elements.is_some()
    }

    /// Is the engine made for this?
    pub(crate) fn check(&self, engine: &Engine) -> Result<(), Error> {
        self.slice.check(engine)?;
        if self.fuel.is_some() && !engine.get_consume_fuel() {
            return Err(unsupported("a limit of fuel", "fuel"));
        }
        let has_timeout = self.running_timeout.is_some() || self.elapsed_timeout.is_some();
        if has_timeout && !engine.get_epoch_interruption() {
            return Err(unsupported("a timeout", "epoch_interruption"));
        }
        Ok(())
    }
}

impl Slice {
    pub(crate) fn check(self, engine: &Engine) -> Result<(), Error> {
        match self {
            Self::Time(_) if !engine.get_epoch_interruption() => {
                Err(unsupported("a slice of time", "epoch_interruption"))
            }
            Self::Fuel(_) if !engine.get_consume_fuel() => {
                Err(unsupported("a slice of fuel", "fuel"))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn unsupported(what: &'static str, option: &str) -> Error {
    let why = format!("the engine was made without it: see `EngineOptions::{option}`").into();
    Error::Unsupported { what, why }
}
