//! [`engine`]: a wasmtime engine that is set up for guests which suspend. Modules, linkers and stores are made with it as
//! with any other.

use crate::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What an [`engine`] is to support.
///
/// ```
/// use wasm_jobs::{EngineOptions, engine};
///
/// let engine = engine(&EngineOptions::default().pooling(100).host_stack(256 * 1024))?;
/// # Ok::<(), wasm_jobs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many instances the pool holds; none: on demand.
    pool: Option<u32>,
    /// How many core instances a component of the pool is made of at most; none: it takes as many places as it has.
    core_instances: Option<NonZeroU32>,
    wasm_stack: usize,
    host_stack: usize,
    epoch_interruption: bool,
    exceptions: bool,
    simd: bool,
    threads: bool,
    fuel: bool,
    backtraces: bool,
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
            fuel: false,
            backtraces: true,
        }
    }
}

impl EngineOptions {
    /// Instances come from a pool that holds this many at most. Instantiating is then about ten times as fast as on
    /// demand, and the address space for all of them, 8 GiB and guards for each, is reserved when the engine is made. One
    /// more is [`Error::TooManyInstances`].
    ///
    /// A guest of the pool has one memory and one table of 20,000 elements at most; for others, start from
    /// [`config`](Self::config). A component takes the place of as many instances as it has core instances, unless it is said
    /// how many those are: see [`core_instances_per_component`](Self::core_instances_per_component).
    ///
    /// On Linux each instance that was called takes about six of the 65,530 mappings that a process may have
    /// (`vm.max_map_count`), in a pool or on demand.
    #[must_use]
    pub fn pooling(mut self, instances: u32) -> Self {
        self.pool = Some(instances);
        self
    }

    /// The instances of the pool may be components of up to so many core instances each: with
    /// [`pooling(100)`](Self::pooling), there is room for 100 of them. One to four are usual: the guest itself, two small ones if
    /// it exchanges strings with host functions, and an adapter for WASI. A component of more is refused when it is
    /// compiled.
    ///
    /// Of guests that are no components, more than 100 may find room then.
    #[cfg(feature = "component-model")]
    #[must_use]
    pub fn core_instances_per_component(mut self, core_instances: u32) -> Self {
        self.core_instances = Some(NonZeroU32::new(core_instances).unwrap_or(NonZeroU32::MIN));
        self
    }

    /// Instances are allocated one by one, as many as the machine can hold.
    #[must_use]
    pub fn on_demand(mut self) -> Self {
        self.pool = None;
        self
    }

    /// The stack that a guest may use in a call, in bytes. Using more is a trap.
    #[must_use]
    pub fn wasm_stack(mut self, bytes: usize) -> Self {
        self.wasm_stack = bytes;
        self
    }

    /// The stack that host functions find left under a guest that has used all of its own, in bytes. Using more aborts the
    /// process, as running out of a thread's stack does.
    ///
    /// The stack of a guest is taken when it is first called, and kept for its next calls.
    #[must_use]
    pub fn host_stack(mut self, bytes: usize) -> Self {
        self.host_stack = bytes;
        self
    }

    /// Whether a guest that never yields can be made to. With it, every call that is in a guest when
    /// [`Engine::increment_epoch`] is called [yields](crate::Step::Yielded) at its next loop or function entry, and slices
    /// of [time](crate::Slice::Time) end there. A guest cannot tell an increment from the end of another's slice, or a cancelling,
    /// that comes before it next looks: who must be sure increments again.
    ///
    /// Guests pay for the checks: 1.3 times the time of a picture that is computed, three times that of an empty loop
    /// (`epochs_in_a_picture` and `epochs_in_a_loop` of the benchmark).
    ///
    /// Whenever a slice of time ends or a running call is cancelled, the epoch advances. Other guests of this library go on;
    /// a [`Store`](wasmtime::Store) of your own on this engine sees what `increment_epoch` does to it.
    #[must_use]
    pub fn epoch_interruption(mut self, enable: bool) -> Self {
        self.epoch_interruption = enable;
        self
    }

    /// The exception handling proposal, which C++ and `setjmp` compile to.
    #[must_use]
    pub fn exceptions(mut self, enable: bool) -> Self {
        self.exceptions = enable;
        self
    }

    /// The SIMD proposals, fixed-width and relaxed.
    #[must_use]
    pub fn simd(mut self, enable: bool) -> Self {
        self.simd = enable;
        self
    }

    /// The threads proposal: atomics and shared memories. A pool has no shared memories, so this goes with
    /// [`on_demand`](Self::on_demand).
    ///
    /// A guest that waits by `memory.atomic.wait` blocks its thread until another thread notifies it, or until the guest's own
    /// timeout: wasmtime does not suspend it. Meanwhile no timeout, no time slice and no cancelling stops it, and a pool has a
    /// worker less. A limit in time takes effect when the wait is over. Do not run guests of strangers with threads on a pool.
    #[must_use]
    pub fn threads(mut self, enable: bool) -> Self {
        self.threads = enable;
        self
    }

    /// Whether instructions are counted, as slices of [fuel](crate::Slice::Fuel) and limits of
    /// [fuel](crate::InstanceOptions::fuel) need. Guests pay for that about as much as for epoch interruption: 1.3 times the
    /// time of a picture, twice that of an empty loop, and 1.4 and five times for both together (`fuel_in_a_loop` and its
    /// neighbours in the benchmark). A new instance has as much fuel as
    /// there can be, until [`StoreGuard::set_fuel`](crate::StoreGuard::set_fuel).
    #[must_use]
    pub fn fuel(mut self, enable: bool) -> Self {
        self.fuel = enable;
        self
    }

    /// Whether a [`Trap`](crate::Trap) has a backtrace, of 20 frames at most. Collecting it makes up most of what a trap costs.
    #[must_use]
    pub fn backtraces(mut self, enable: bool) -> Self {
        self.backtraces = enable;
        self
    }

    /// The wasmtime configuration that these options stand for, to start from where they do not reach.
    ///
    /// What this crate needs of an engine is no more than every engine has. An engine without epoch interruption cannot
    /// interrupt its guests, and that is all.
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
            .wasm_threads(self.threads)
            .shared_memory(self.threads)
            .consume_fuel(self.fuel)
            .wasm_backtrace_max_frames(
                self.backtraces.then_some(const { NonZeroUsize::new(20).unwrap() }),
            );
        if let Some(instances) = self.pool {
            let mut pool = PoolingAllocationConfig::new();
            let mut core_instances = instances;
            if let Some(of_each) = self.core_instances {
                core_instances = instances.saturating_mul(of_each.get());
                pool.max_core_instances_per_component(of_each.get());
            }
            pool.total_component_instances(instances)
                .total_core_instances(core_instances)
                // One for its memory, and one for the heap of a guest that throws exceptions.
                .total_memories(instances.saturating_mul(2))
                // Each core instance may have one: a component's are not only the guest's own.
                .total_tables(core_instances)
                .total_gc_heaps(instances)
                // A guest keeps its stack, so as many as instances.
                .total_stacks(instances);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        config
    }
}

/// Makes a wasmtime engine whose guests can be suspended.
///
/// # Errors
///
/// [`Error::Unsupported`] if the options contradict each other, or are more than this machine can do.
pub fn engine(options: &EngineOptions) -> Result<Engine, Error> {
    if options.threads && options.pool.is_some() {
        return Err(Error::Unsupported {
            what: "shared memory in a pool",
            why: "use `EngineOptions::on_demand` for guests with threads".into(),
        });
    }
    Engine::new(&options.config()).map_err(|error| Error::Unsupported {
        what: "an engine with these options",
        why: format!("{error:#}").into(),
    })
}
