//! What the guest of an [`Instance`] may use in a step, and what it has used in a call. All of this can be asked and set while it runs.

use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::limit::options::unsupported;
use crate::guest::limit::slice::Slice;
use crate::guest::limit::stops::Stops;
use std::time::Duration;

impl<S: Send + 'static, E: Send + Sync + 'static> Instance<S, E> {
    /// Sets how much the guest may do in one step, from the next step on. An instance begins with the slice of its
    /// [options](crate::InstanceOptions::slice).
    ///
    /// The slice may be set at any time, even while the instance has a call, and a reset keeps it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a slice of time if nothing [stops](Self::stops) the guest while it runs, and for a slice of fuel if it was made
    /// without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn set_slice(&self, slice: Slice) -> Result<(), Error> {
        // Under the lock, so that no guest comes meanwhile that cannot have the slice.
        let _same_origin = self.recipe.origin.lock();
        slice.check(&self.recipe.engine, self.stops())?;
        self.recipe.control.set_slice(slice);
        Ok(())
    }

    /// What stops the guest when its step or its call has to end while it runs.
    #[must_use]
    pub fn stops(&self) -> Stops {
        self.recipe.control.stopper().stops()
    }

    /// Asks the guest to [yield](crate::Step::Yielded), from any thread: a guest that runs at this moment yields at its next loop, or
    /// at its next entry of a function that has a check. If the guest is in a host function, it yields after that. A guest that yields anyway may do so once for both. If no
    /// call runs, this does nothing, or the next step yields early, also that of a suspended call.
    ///
    /// It works with each guest that [can be stopped](Self::stops). [`request_yields`](crate::request_yields) asks all guests of an engine.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, JobPool, RayonGlobal, Step, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "forever") (loop $again (br $again))))"#)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&wasmtime::Module::new(&engine, wasm)?)?;
    /// let instance = Instance::new(&pre, ())?;
    /// let mut future = instance.call::<(), ()>("forever", ())?;
    /// std::thread::scope(|threads| {
    ///     let step = threads.spawn({
    ///         let mut runner = future.to_job()?;
    ///         move || runner.resume()
    ///     });
    ///     while !step.is_finished() {
    ///         instance.request_yield();
    ///     }
    ///     assert_eq!(step.join().expect("nothing panics"), Step::Yielded);
    ///     Ok::<(), wasm_jobs::Error>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request_yield(&self) {
        self.recipe.control.stopper().request_yield();
    }

    /// How much the guest may do in one step.
    #[must_use]
    pub fn slice(&self) -> Slice {
        self.recipe.control.slice()
    }

    /// The fuel that is left to the call in progress, as of its last stop; without one, the fuel that the last call has left. Reading
    /// it disturbs no call.
    ///
    /// A guest that stops at the epoch, as at the end of a slice of time, keeps its count of fuel in a register. This then gives the
    /// fuel that was left when the guest last called a host function, ended a slice of fuel, or was called. Fuel that is used or
    /// set by wasmtime's own functions, through a [`StoreGuard`](crate::StoreGuard), is seen once the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the engine was made without [`EngineOptions::fuel`](crate::EngineOptions::fuel).
    pub fn fuel_remaining(&self) -> Result<u64, Error> {
        if !self.recipe.engine.get_consume_fuel() {
            return Err(unsupported("fuel", "fuel"));
        }
        Ok(self.recipe.control.fuel())
    }

    /// How long the call in progress has run, in the steps that have ended; without a call in progress, how long the last one ran.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the time is not measured. It is measured if there is a timeout, or with
    /// [`InstanceOptions::measure_time`](crate::InstanceOptions::measure_time).
    pub fn time_used(&self) -> Result<Duration, Error> {
        match self.recipe.control.time() {
            Some(time) => Ok(time.used()),
            None => Err(Error::Unsupported {
                what: "the time used",
                why: "it is not measured: see `InstanceOptions::measure_time`".into(),
            }),
        }
    }
}
