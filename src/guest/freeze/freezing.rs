//! [`Future::freeze`]: how the owner of a call makes data of it.

use crate::call::future::Future;
use crate::call::step::Step;
use crate::error::Error;
use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::Purpose;
use crate::guest::freeze::frozen::Frozen;
use crate::guest::freeze::request::{Answer, Asked, ask};

impl<T: Send + 'static, O> Future<T, O> {
    /// Makes data of the call, where it waits or has yielded. The call is over then: the future has no result any more, and the instance is free, but
    /// [poisoned](crate::Instance#poisoning), because its guest is half-way through the call. [Reset](crate::Instance::reset) it, or [roll it back](crate::Instance::rollback).
    ///
    /// The module has to be compiled with [`PrepareOptions::freezable`](crate::PrepareOptions::freezable). A call can be frozen where it waits in a host function that is
    /// [resumable](crate::func_wrap_resumable): in [`add_yield`](crate::add_yield)'s, in those of the [kit](crate::guest_kit), and in WASI's `sched_yield` and `poll_oneoff`, if
    /// that waits for times alone. A call that has not begun, or that has used up its slice, first runs on to such a place.
    ///
    /// A guest that never comes to one is resumed until it ends. Give it a timeout, or use [`try_freeze`](Self::try_freeze), which takes one step at most.
    ///
    /// If the call cannot be frozen, it goes on. It has taken a step then, as if it had been resumed.
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, Frozen, Instance, PrepareOptions, Step, add_yield, engine, prepare_with, wasmtime};
    ///
    /// let engine = engine(&EngineOptions::default())?;
    /// let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// add_yield(&mut linker, "env", "yield")?;
    /// let wasm = wat::parse_str(r#"(module
    ///     (import "env" "yield" (func $yield))
    ///     (func (export "sum") (param $n i32) (result i32) (local $sum i32)
    ///         (loop $next
    ///             (local.set $sum (i32.add (local.get $sum) (local.get $n)))
    ///             (call $yield)
    ///             (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    ///         (local.get $sum)))"#)?;
    /// let module = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?;
    /// let pre = module.instantiate_pre(&linker)?;
    /// let instance = Instance::new(&pre, ())?;
    ///
    /// let mut future = instance.call::<i32, i32>("sum", 4)?;
    /// assert_eq!(future.resume()?, Step::Yielded);
    /// let frozen: Frozen<i32> = future.freeze()?;
    /// let bytes = frozen.to_bytes(); // a save game, or a message to another process
    ///
    /// let frozen = Frozen::<i32>::from_bytes(&pre, &bytes)?;
    /// let mut future = frozen.thaw(&pre, Default::default(), ())?;
    /// assert_eq!(future.wait()?, 4 + 3 + 2 + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::CannotFreeze`] if the call cannot be frozen where it is;
    /// - [`Error::InJob`] while a [`FutureRunner`](crate::FutureRunner) or a job has the right to resume the call, and [`Error::ResultTaken`] after the
    ///   result was taken.
    pub fn freeze(&mut self) -> Result<Frozen<T>, Error> {
        self.save(Purpose::Freeze, usize::MAX)
    }

    /// Makes data of the call as [`freeze`](Self::freeze) does, with one step at most. If the call has used up its slice once more, this gives
    /// [`CannotFreeze::Running`], and can be called again.
    ///
    /// # Errors
    ///
    /// As [`freeze`](Self::freeze).
    pub fn try_freeze(&mut self) -> Result<Frozen<T>, Error> {
        self.save(Purpose::Freeze, 1)
    }

    /// Makes data of the call, and the call goes on from there at its next step. It holds what a frozen call does. [`Frozen::thaw`] goes on from there in another instance, and
    /// [`Instance::thaw`](crate::Instance::thaw) brings this instance back to the middle of this call, as often as one likes.
    ///
    /// A checkpoint is refused with [`CannotFreeze::CannotGoOn`] if there can be no instance with twins.
    ///
    /// The first checkpoint of a call moves its guest to a new store, with the same state of the host, as [`Frozen::thaw`] would; the others do not. Anything else that the caller has set up in the
    /// store, such as a limiter, is lost then.
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, Instance, PrepareOptions, Step, add_yield, engine, prepare_with, wasmtime};
    ///
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// # add_yield(&mut linker, "env", "yield")?;
    /// # let wasm = wat::parse_str(r#"(module
    /// #     (import "env" "yield" (func $yield))
    /// #     (func (export "sum") (param $n i32) (result i32) (local $sum i32)
    /// #         (loop $next
    /// #             (local.set $sum (i32.add (local.get $sum) (local.get $n)))
    /// #             (call $yield)
    /// #             (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    /// #         (local.get $sum)))"#)?;
    /// # let module = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?;
    /// # let pre = module.instantiate_pre(&linker)?;
    /// let instance = Instance::new(&pre, ())?;
    /// let mut future = instance.call::<i32, i32>("sum", 4)?; // it yields after each number
    /// assert_eq!(future.resume()?, Step::Yielded);
    /// let here = future.checkpoint()?;
    /// assert_eq!(future.resume()?, Step::Yielded);
    /// drop(future);
    /// let mut again = instance.thaw(&here)?; // back in the middle of the loop
    /// assert_eq!(again.wait()?, 4 + 3 + 2 + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`freeze`](Self::freeze).
    pub fn checkpoint(&mut self) -> Result<Frozen<T>, Error> {
        self.save(Purpose::Checkpoint, usize::MAX)
    }

    fn save(&mut self, purpose: Purpose, steps: usize) -> Result<Frozen<T>, Error> {
        if self.has_result() {
            return Err(Error::CannotFreeze(CannotFreeze::Ended));
        }
        let asked = ask(purpose);
        for _ in 0..steps {
            let step = self.step_anyway()?;
            match (asked.take_answer(), step) {
                (Answer::Frozen(call), _) => {
                    if purpose == Purpose::Freeze {
                        self.dispose();
                    }
                    return Ok(Frozen::new(call));
                }
                (Answer::Refused(why), _) => return Err(Error::CannotFreeze(why)),
                (Answer::None, Step::Done) => {
                    return Err(Error::CannotFreeze(CannotFreeze::Ended));
                }
                // The work is no call of an export.
                (Answer::None, _) if !asked.was_accepted() => {
                    return Err(Error::CannotFreeze(CannotFreeze::NotPrepared));
                }
                (Answer::None, Step::Waiting) => {
                    return Err(Error::CannotFreeze(not_resumable(&asked)));
                }
                (Answer::None, Step::Yielded) => asked.again(),
            }
        }
        Err(Error::CannotFreeze(CannotFreeze::Running))
    }
}

/// The call waits, and no resumable function has seen the request.
fn not_resumable(asked: &Asked) -> CannotFreeze {
    CannotFreeze::HostFunction { imports: asked.not_resumable() }
}
