//! [`engine`]: a wasmtime engine that is set up for guests that suspend. Use it like any other, to make modules, linkers and stores.

use crate::error::Error;
use crate::guest::limit::ticker::Ticker;
use std::num::{NonZeroU32, NonZeroUsize};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How many tables a guest of the pool has: its own one, and the one by which a frozen call goes on.
const TABLES: u32 = if cfg!(feature = "freeze") { 2 } else { 1 };

/// The options of an [`engine`]: how it allocates instances, and what its guests may use.
///
/// wasmtime compiles modules on rayon's global pool. The first module that is compiled starts that pool, and after that
/// `rayon::ThreadPoolBuilder::build_global` fails. A program that sets the size of rayon's global pool has to call `build_global`
/// before it compiles a module.
///
/// ```
/// use wasm_jobs::{EngineOptions, engine};
///
/// let engine = engine(&EngineOptions::default().pooling(100).host_stack(256 * 1024))?;
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many instances the pool holds. `None`: instances are allocated on demand.
    pool: Option<u32>,
    /// The most core instances that a component of the pool may have. `None`: each core instance takes a place of the pool.
    core_instances: Option<NonZeroU32>,
    wasm_stack: usize,
    host_stack: usize,
    epoch_interruption: bool,
    exceptions: bool,
    simd: bool,
    threads: bool,
    stop_flags: bool,
    component_async: bool,
    fuel: bool,
    deterministic: bool,
    backtraces: bool,
    backtrace_frames: NonZeroUsize,
}

impl Default for EngineOptions {
    /// A pool of 1,000 instances, stacks of 512 KiB for a guest and 1.5 MiB for its host functions, epoch interruption,
    /// exceptions, SIMD and backtraces; no threads, no fuel.
    fn default() -> Self {
        Self {
            pool: Some(1_000),
            core_instances: None,
            wasm_stack: 512 * 1024,
            host_stack: 1536 * 1024,
            epoch_interruption: true,
            exceptions: true,
            simd: true,
            threads: false,
            stop_flags: false,
            component_async: false,
            fuel: false,
            deterministic: false,
            backtraces: true,
            backtrace_frames: const { NonZeroUsize::new(20).unwrap() },
        }
    }
}

impl EngineOptions {
    /// Takes instances from a pool of this many. If all are in use, making another fails with [`Error::TooManyInstances`].
    ///
    /// Instantiating from the pool is faster than on demand, because memory is reserved and reused. The address space for the
    /// whole pool, 8 GiB and guards for each instance, is reserved when the engine is made.
    ///
    /// A guest of the pool has at most one memory, and one table of 20,000 elements; for other guests, start from
    /// [`config`](Self::config). A component takes as many places as it has core instances, unless
    /// [`core_instances_per_component`](Self::core_instances_per_component) says how many it may have.
    ///
    /// On Linux, each instance that was called takes several of the memory mappings that a process may have (`vm.max_map_count`,
    /// 65,530 by default), whether it comes from a pool or not.
    #[must_use]
    pub fn pooling(mut self, instances: u32) -> Self {
        self.pool = Some(instances);
        self
    }

    /// Makes room for components of up to `core_instances` core instances each: with [`pooling(100)`](Self::pooling), for 100 such
    /// components. One to four core instances are usual: the guest itself, two small ones if it exchanges strings with host
    /// functions, and an adapter for WASI. A component of more core instances is refused when it is compiled.
    ///
    /// The pool may then hold more than 100 guests that are not components.
    #[cfg(feature = "component-model")]
    #[must_use]
    pub fn core_instances_per_component(mut self, core_instances: u32) -> Self {
        self.core_instances = Some(NonZeroU32::new(core_instances).unwrap_or(NonZeroU32::MIN));
        self
    }

    /// Allocates instances one by one, as many as the machine can hold, in place of a pool.
    #[must_use]
    pub fn on_demand(mut self) -> Self {
        self.pool = None;
        self
    }

    /// Sets how much stack a guest may use in a call, in bytes. A guest that uses more traps.
    #[must_use]
    pub fn wasm_stack(mut self, bytes: usize) -> Self {
        self.wasm_stack = bytes;
        self
    }

    /// Sets how much stack is left for host functions when a guest has used all of its own, in bytes. A host function that uses
    /// more aborts the process, as running out of a thread's stack does.
    ///
    /// A guest gets one stack, for itself and its host functions, when it is first called, and keeps it for later calls.
    #[must_use]
    pub fn host_stack(mut self, bytes: usize) -> Self {
        self.host_stack = bytes;
        self
    }

    /// Sets whether a guest that never yields can be interrupted, at its next loop iteration or function entry. Slices of
    /// [time](crate::Slice::Time), timeouts and cancellations stop it there. No thread of yours has to increment the epoch for them.
    ///
    /// [`Engine::increment_epoch`] makes every call that is in a guest at that moment [yield](crate::Step::Yielded); it does not
    /// trap. An increment that coincides with the end of a slice or a cancellation may be missed. Call it again to be sure.
    /// [`request_yields`] reaches guests with [flags](Self::stop_flags) as well.
    ///
    /// Guests pay for the checks: a picture takes 1.3 times as long to compute (`epochs_in_a_picture` of the benchmark), and an empty
    /// loop three times (`epochs_in_a_loop`). [Flags](Self::stop_flags) cost next to nothing.
    ///
    /// The epoch also advances whenever a slice of time, a timeout or a budget ends, or a running call is cancelled. Other guests of
    /// this library are not disturbed by that; in a [`Store`](wasmtime::Store) of your own on this engine, it acts like
    /// `increment_epoch`.
    #[must_use]
    pub fn epoch_interruption(mut self, enable: bool) -> Self {
        self.epoch_interruption = enable;
        self
    }

    /// Sets whether guests may use the exception handling proposal, to which C++ exceptions and `setjmp` compile.
    #[must_use]
    pub fn exceptions(mut self, enable: bool) -> Self {
        self.exceptions = enable;
        self
    }

    /// Sets whether guests may use the SIMD proposals, fixed-width and relaxed.
    #[must_use]
    pub fn simd(mut self, enable: bool) -> Self {
        self.simd = enable;
        self
    }

    /// Sets whether guests may use the threads proposal: atomics and shared memories. It needs [`on_demand`](Self::on_demand),
    /// because a pool has no shared memories.
    ///
    /// **No limit in time holds for a guest that waits inside wasm.** `memory.atomic.wait` blocks the worker's thread inside wasmtime,
    /// which does not look at the epoch there. No slice, timeout or cancellation ends the wait, and the worker runs nothing else
    /// meanwhile. A wait with a timeout of its own lasts that long, or until a notify; one without may last for ever. Enable
    /// this only for guests that are trusted not to do so.
    #[must_use]
    pub fn threads(mut self, enable: bool) -> Self {
        self.threads = enable;
        self
    }

    /// Sets whether guests whose modules are compiled by `prepare`, of the feature of that name, look at a flag of their own, in the place of the
    /// epoch. Slices of [time](crate::Slice::Time), timeouts and cancellations stop them by it, at next to no cost while the flag is not set.
    ///
    /// Set [`epoch_interruption`](Self::epoch_interruption) to `false` with it: otherwise the guests still pay for the checks of the epoch. If
    /// other guests on the engine are not prepared, leave the epoch on for them. Each guest is stopped by what it looks at, which
    /// [`Instance::stops`](crate::Instance::stops) tells.
    ///
    /// The flags are in a memory that is shared by the guests and this library, and that the guests' own instructions cannot reach. For that,
    /// this enables the threads proposal and shared memories. So guests may use atomic instructions. In a pool, no guest can have a shared
    /// memory of its own, and so none can wait inside wasm. With [`on_demand`](Self::on_demand), a guest that is *not* prepared can: see
    /// [`threads`](Self::threads). wasmtime counts shared memories as tier 2.
    ///
    /// An engine has flags for 1,048,575 instances.
    ///
    /// ```
    /// # #[cfg(feature = "prepare")] {
    /// use wasm_jobs::{EngineOptions, engine, prepare};
    ///
    /// let engine = engine(&EngineOptions::default().stop_flags(true).epoch_interruption(false))?;
    /// let module = prepare(&engine, wat::parse_str("(module)")?)?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stop_flags(mut self, enable: bool) -> Self {
        self.stop_flags = enable;
        self
    }

    /// Sets whether components may have async functions, streams and futures, as those of WASI 0.3 do.
    ///
    /// Each call of a component then costs more, even of a function that is not async (`component_async_in_a_call` of the benchmark). wasmtime calls its support experimental, and gives it no security patches.
    #[cfg(feature = "wasi-p3-preview")]
    #[must_use]
    pub fn component_async(mut self, enable: bool) -> Self {
        self.component_async = enable;
        self
    }

    /// Sets whether instructions are counted, which slices of [fuel](crate::Slice::Fuel) and limits of
    /// [fuel](crate::InstanceOptions::fuel) need. A new instance has `u64::MAX` of fuel, until
    /// [`StoreGuard::set_fuel`](crate::StoreGuard::set_fuel).
    ///
    /// Guests pay for the counting: a picture takes 1.2 times as long to compute (`fuel_in_a_picture` of the benchmark), and an empty
    /// loop twice (`fuel_in_a_loop`). `both_in_a_picture` and `both_in_a_loop` measure it together with epoch interruption.
    #[must_use]
    pub fn fuel(mut self, enable: bool) -> Self {
        self.fuel = enable;
        self
    }

    /// Makes guests compute the same on every processor, and stop at the same places in every run: all NaNs have the same bits, and the relaxed SIMD
    /// instructions have one result. [Fuel](Self::fuel) stops guests, and [epochs](Self::epoch_interruption) do not.
    ///
    /// Guests pay for the fuel, and those that compute with floats for the NaNs. How much memory a guest can get, and how deep it can recurse, still depends on
    /// the machine.
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, engine};
    ///
    /// let engine = engine(&EngineOptions::default().deterministic())?;
    /// assert!(engine.get_consume_fuel());
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    #[must_use]
    pub fn deterministic(mut self) -> Self {
        self.deterministic = true;
        self.fuel = true;
        self.epoch_interruption = false;
        self
    }

    /// Sets whether a [`Trap`](crate::Trap) has a backtrace. Collecting it takes time at each trap.
    #[must_use]
    pub fn backtraces(mut self, enable: bool) -> Self {
        self.backtraces = enable;
        self
    }

    /// Sets how many functions a backtrace shows at most: 20 by default; zero stands for one. At each trap, wasmtime reserves memory for so many.
    ///
    /// A call with as many functions on its stack, or more, cannot be [frozen](crate::CannotFreeze::TooDeep). For interpreters, some hundreds are enough. Without [backtraces](Self::backtraces), the number is 20.
    #[must_use]
    pub fn backtrace_frames(mut self, most: usize) -> Self {
        self.backtrace_frames = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// The wasmtime configuration of these options. Change it for what the options do not offer, and make an engine of it with
    /// [`Engine::new`].
    ///
    /// This library works with every engine. Without epoch interruption and [flags](crate::Stops), only fuel stops a guest that never yields.
    ///
    /// An engine that you make by `Engine::new` has flags for the guests of `prepare` if its configuration has shared memories, as that of
    /// [`stop_flags`](Self::stop_flags) and of [`threads`](Self::threads) has.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .max_wasm_stack(self.wasm_stack)
            .async_stack_size(self.wasm_stack.saturating_add(self.host_stack))
            .epoch_interruption(self.epoch_interruption)
            .wasm_exceptions(self.exceptions)
            .wasm_simd(self.simd)
            .wasm_relaxed_simd(self.simd)
            .wasm_threads(self.threads || self.stop_flags)
            .shared_memory(self.threads || self.stop_flags)
            .concurrency_support(self.component_async)
            .consume_fuel(self.fuel)
            .cranelift_nan_canonicalization(self.deterministic)
            .relaxed_simd_deterministic(self.deterministic)
            .wasm_backtrace_max_frames(self.backtraces.then_some(self.backtrace_frames));
        if let Some(instances) = self.pool {
            let mut pool = PoolingAllocationConfig::new();
            let mut core_instances = instances;
            if let Some(of_each) = self.core_instances {
                core_instances = instances.saturating_mul(of_each.get());
                pool.max_core_instances_per_component(of_each.get());
            }
            pool.total_component_instances(instances)
                .total_core_instances(core_instances)
                // Each guest has one for its memory, and one for the heap of its exceptions.
                .total_memories(instances.saturating_mul(2))
                // Each core instance may have one, also those that a component adds to the guest's own.
                .total_tables(core_instances.saturating_mul(TABLES))
                .max_tables_per_module(TABLES)
                .total_gc_heaps(instances)
                // Each guest keeps its stack between calls.
                .total_stacks(instances);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        config
    }
}

/// Makes a wasmtime engine whose guests can be suspended.
///
/// Compiling a module for it starts rayon's global pool: see [`EngineOptions`].
///
/// # Errors
///
/// [`Error::Unsupported`] if the options contradict each other, or if the machine does not support them.
pub fn engine(options: &EngineOptions) -> Result<Engine, Error> {
    if options.threads && options.pool.is_some() {
        return Err(Error::Unsupported {
            what: "shared memory in a pool",
            why: "use `EngineOptions::on_demand` for guests with threads".into(),
        });
    }
    let engine = Engine::new(&options.config()).map_err(|error| Error::Unsupported {
        what: "an engine with these options",
        why: format!("{error:#}").into(),
    })?;
    #[cfg(feature = "prepare")]
    Ticker::of(&engine).want_flags(options.stop_flags);
    Ok(engine)
}

/// Asks all guests of an engine to [yield](crate::Step::Yielded), from any thread: each that runs at this moment yields at its next loop, or at
/// its next entry of a function that has a check. A guest that yields anyway may do so once for both. A suspended call yields early in its next step.
///
/// It works with all guests that [can be stopped](crate::Instance::stops), by the epoch or by a flag; [`Engine::increment_epoch`] reaches those
/// that look at the epoch. To ask one guest, call [`Instance::request_yield`](crate::Instance::request_yield).
///
/// ```
/// # use wasm_jobs::{EngineOptions, engine, request_yields};
/// let engine = engine(&EngineOptions::default())?;
/// request_yields(&engine); // for example, because the program is about to pause
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
pub fn request_yields(engine: &Engine) {
    Ticker::of(engine).request_yields();
}
