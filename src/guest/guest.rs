//! [`Guest`]: a store with what its instance exports. It stays in its `home` between calls, and a call takes it from there.

use crate::error::panic::Panic;
use crate::error::{Error, Mismatch};
#[cfg(feature = "checkpoint")]
use crate::guest::checkpoint::saves::Saves;
#[cfg(feature = "freeze")]
use crate::guest::freeze::freezable_module::SavingPlan;
#[cfg(feature = "freeze")]
use crate::guest::freeze::reentry::Reentry;
use crate::guest::limit::control::Control;
use crate::guest::limit::limited::Limited;
#[cfg(feature = "explore")]
use crate::guest::limit::watch::Watcher;
#[cfg(feature = "prepare")]
use crate::guest::linked::LinkedModule;
use crate::guest::origin::Origin;
#[cfg(feature = "prepare")]
use crate::guest::prepared::is_prepared::is_prepared;
#[cfg(feature = "freeze")]
use crate::guest::prepared::pre::PreparedPre;
#[cfg(feature = "prepare")]
use crate::guest::prepared::stop::GuestFlag;
use crate::guest::stack_pointer::StackPointer;
use crate::guest::trap::{Attempt, failure};
use crate::step::interrupt::in_step;
use crate::unwind::ignore_panic;
use crate::wait::block::block_on;
use std::mem;
use std::sync::Arc;
#[cfg(feature = "explore")]
use wasmtime::Export;
use wasmtime::{AsContextMut, Extern, Store};

pub(crate) struct Guest<S: 'static, E = wasmtime::Instance> {
    pub(crate) store: Store<S>,
    pub(crate) control: Arc<Control>,
    /// None after a `reset` that failed.
    pub(crate) exports: Option<E>,
    /// How many times it was reset.
    pub(crate) generation: u64,
    /// In a box, because it is larger than all the rest.
    pub(super) stack_pointer: Option<Box<StackPointer>>,
    /// `Some` if the guest looks at a flag.
    #[cfg(feature = "prepare")]
    pub(super) flag: Option<GuestFlag>,
    /// Whether its calls may run wasmtime's event loop, as those of components do.
    #[cfg(feature = "wasi-p3-preview")]
    pub(crate) may_run_event_loop: bool,
    #[cfg(feature = "checkpoint")]
    pub(crate) saves: Saves<S>,
    /// `Some` if its calls can become data.
    #[cfg(feature = "freeze")]
    pub(crate) saving_plan: Option<Arc<SavingPlan>>,
    /// `Some` once it has gone back into a frozen call.
    #[cfg(feature = "freeze")]
    pub(crate) reentry: Option<Reentry>,
    /// What it was made of, if its calls can become data.
    #[cfg(feature = "freeze")]
    pub(crate) pre: Option<PreparedPre<S>>,
}

/// How a guest gets its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// As a new guest, whose start function runs. That is a call, with the limits of one.
    Run,
    /// As a new guest that gets the state of another one. The start function has run before, in that one. The module has to be prepared: in any other, wasmtime
    /// runs it.
    #[cfg(feature = "checkpoint")]
    Skip,
    /// As the same guest, in a new store. Nothing begins anew, neither its fuel nor its time.
    #[cfg(feature = "checkpoint")]
    GoOn,
}

impl Start {
    /// Whether it counts as a call, with the limits of one.
    fn is_call(self) -> bool {
        match self {
            Self::Run => true,
            #[cfg(feature = "checkpoint")]
            Self::Skip => true,
            #[cfg(feature = "checkpoint")]
            Self::GoOn => false,
        }
    }
}

impl<S: Send + 'static, E> Guest<S, E> {
    pub(crate) fn new(
        store: Store<S>,
        control: Arc<Control>,
        origin: &Origin<S, E>,
        start: Start,
    ) -> Result<Box<Self>, Error> {
        let mut guest = Box::new(Self {
            store,
            control,
            exports: None,
            generation: 0,
            stack_pointer: None,
            #[cfg(feature = "prepare")]
            flag: None,
            #[cfg(feature = "wasi-p3-preview")]
            may_run_event_loop: matches!(origin, Origin::Other { .. }),
            #[cfg(feature = "checkpoint")]
            saves: Saves::new(),
            #[cfg(feature = "freeze")]
            saving_plan: None,
            #[cfg(feature = "freeze")]
            reentry: None,
            #[cfg(feature = "freeze")]
            pre: None,
        });
        guest.instantiate(origin, start)?;
        Ok(guest)
    }

    /// Instantiates anew, in another store. The old store is dropped first.
    pub(crate) fn renew(&mut self, store: Store<S>, origin: &Origin<S, E>) -> Result<(), Error> {
        self.control.poison().set();
        self.generation += 1;
        self.stack_pointer = None;
        #[cfg(feature = "prepare")]
        {
            self.flag = None;
        }
        // The type of the exports is the user's, and its destructor may panic.
        let exports = self.exports.take();
        ignore_panic(|| drop(exports));
        end_store(mem::replace(&mut self.store, store));
        self.instantiate(origin, Start::Run)?;
        self.control.poison().clear();
        Ok(())
    }

    /// Drops the guest, and swallows a panic of the user's destructors.
    pub(crate) fn end(self) {
        let Self { store, exports, .. } = self;
        #[cfg(feature = "checkpoint")]
        ignore_panic(|| drop(self.saves));
        ignore_panic(|| drop(exports));
        end_store(store);
    }

    /// Gives the guest an instance.
    pub(crate) fn instantiate(&mut self, origin: &Origin<S, E>, start: Start) -> Result<(), Error> {
        let engine = origin.engine();
        let elements = origin.elements_of_twins();
        self.control.attach(&mut self.store, origin.stops(), origin.counts_calls(), elements);
        if start.is_call() {
            if engine.get_consume_fuel() && self.store.get_fuel().is_ok_and(|fuel| fuel == 0) {
                self.store.set_fuel(u64::MAX).map_err(Error::Wasmtime)?;
            }
            self.begin_call();
        }
        self.control.set_deadline(&mut self.store);
        match origin {
            Origin::Module { pre, exports } => {
                let instance = pre.instance_pre(&self.store)?.instantiate_async(&mut self.store);
                let instance = match start.is_call() {
                    true => to_the_end(instance, &self.control)?,
                    // Nothing of the guest runs, so no limit of its last call is looked at.
                    false => block_on(instance),
                };
                let instance = instance.map_err(|error| self.not_made(error, origin))?;
                #[cfg(feature = "explore")]
                if let Watcher(Some(watcher)) = self.control.watcher() {
                    let exports = instance.exports(&mut self.store);
                    let exports = exports.map(Export::into_extern).collect();
                    watcher.is_instantiated(exports, &mut self.store.as_context_mut());
                }
                #[cfg(feature = "prepare")]
                self.begin_prepared(instance, pre, origin, start)?;
                self.exports = Some(exports(instance));
                let stack_pointer = StackPointer::of(instance, pre.module(), &mut self.store);
                self.stack_pointer = stack_pointer.map(Box::new);
            }
            Origin::Other { exports, .. } => {
                let exports = async { exports(self.store.as_context_mut()).await };
                let exports = to_the_end(exports, &self.control)?;
                self.exports = Some(exports.map_err(|error| self.not_made(error, origin))?);
            }
        }
        Ok(())
    }

    /// Begins with a new instance. If its module is prepared, this gives it its flag, and runs the start function, because wasmtime has not.
    #[cfg(feature = "prepare")]
    fn begin_prepared(
        &mut self,
        instance: wasmtime::Instance,
        linked: &LinkedModule<S>,
        origin: &Origin<S, E>,
        start: Start,
    ) -> Result<(), Error> {
        let module = linked.module();
        #[cfg(feature = "checkpoint")]
        self.saves.begin(instance, module, &mut self.store)?;
        #[cfg(feature = "freeze")]
        {
            self.reentry = None;
            (self.saving_plan, self.pre) = match linked {
                LinkedModule::Plain(_) => (None, None),
                LinkedModule::Prepared(pre) => {
                    let saving_plan = pre.saving_plan(&mut self.store);
                    let pre = saving_plan.as_ref().map(|_| pre.clone());
                    (saving_plan, pre)
                }
            };
        }
        self.flag = match linked {
            LinkedModule::Plain(_) => None,
            LinkedModule::Prepared(pre) => pre.connect(instance, &mut self.store, &self.control)?,
        };
        if start == Start::Run
            && is_prepared(module)
            && let Some(function) = start_function(instance, module, &mut self.store)
        {
            let started = function.call_async(&mut self.store, ());
            let started = to_the_end(started, &self.control)?;
            started.map_err(|error| self.not_made(error, origin))?;
        }
        Ok(())
    }

    /// The guest is between two calls, in the state of a checkpoint.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn rest(&mut self) {
        if let Some(stack_pointer) = &mut self.stack_pointer {
            stack_pointer.rest(&mut self.store);
        }
    }

    fn not_made(&mut self, error: wasmtime::Error, origin: &Origin<S, E>) -> Error {
        let name = origin.name();
        failure(error, &mut self.store, &self.control, Attempt::Instantiate(&name))
    }

    /// A call was made: its limits begin here.
    #[inline]
    pub(crate) fn begin_call(&mut self) {
        self.control.begin_call(&mut self.store);
    }

    #[inline]
    pub(crate) fn refuse_if_poisoned(&self) -> Result<(), Error> {
        if self.control.poison().is_set() { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Declares the guest fit for calls.
    pub(crate) fn clear_poison(&mut self) -> Result<(), Error> {
        if self.exports.is_none() {
            return Err(Error::Poisoned);
        }
        #[cfg(feature = "checkpoint")]
        if self.saves.is_half_made {
            return Err(Error::Poisoned);
        }
        if self.control.poison().is_set() {
            if let Some(stack_pointer) = &self.stack_pointer {
                stack_pointer.unwind(&mut self.store)?;
            }
            self.heed_flag();
            self.control.poison().clear();
        }
        Ok(())
    }
}

impl<S: 'static, E> Guest<S, E> {
    /// The owner of the store may call the guest from now on, as wasmtime's functions do. Nothing stops such a call.
    #[inline]
    pub(crate) fn ignore_flag(&mut self) {
        #[cfg(feature = "prepare")]
        if let Some(flag) = &self.flag {
            flag.ignore(&mut self.store);
        }
    }

    /// From now on, the guest runs in calls alone.
    #[inline]
    pub(crate) fn heed_flag(&mut self) {
        #[cfg(feature = "prepare")]
        if let Some(flag) = &self.flag {
            flag.heed(&mut self.store);
        }
    }
}

impl<S: Send + 'static> Guest<S> {
    /// The export of this name, if `select` accepts its kind.
    pub(crate) fn export<X>(
        &mut self,
        name: &str,
        expected: &str,
        select: impl Fn(Extern) -> Option<X>,
    ) -> Result<X, Error> {
        let instance = self.exports.ok_or(Error::Poisoned)?;
        let Some(export) = instance.get_export(&mut self.store, name) else {
            return Err(Error::ExportNotFound { export: name.into() });
        };
        let found = match &export {
            Extern::Func(_) => "function",
            Extern::Global(_) => "global",
            Extern::Table(_) => "table",
            Extern::Memory(_) => "memory",
            Extern::SharedMemory(_) => "shared memory",
            Extern::Tag(_) => "tag",
        };
        select(export).ok_or_else(|| {
            Error::ExportKind(Box::new(Mismatch {
                export: name.into(),
                expected: expected.into(),
                found: found.into(),
            }))
        })
    }

    /// What an export is, if there is one of that name.
    #[cfg(feature = "macros")]
    pub(crate) fn export_type(
        &mut self,
        name: &str,
    ) -> Result<Option<wasmtime::ExternType>, Error> {
        let instance = self.exports.ok_or(Error::Poisoned)?;
        Ok(instance.get_export(&mut self.store, name).map(|export| export.ty(&self.store)))
    }
}

/// Frees a store, and then drops its state. If the state's destructor panics while the store is dropped, wasmtime does not free the rest, and a
/// place in the engine's pool is lost.
fn end_store<S: 'static>(store: Store<S>) {
    let state = store.into_data();
    ignore_panic(|| drop(state));
}

/// The start function of a prepared module.
#[cfg(feature = "prepare")]
fn start_function<S: 'static>(
    instance: wasmtime::Instance,
    module: &wasmtime::Module,
    store: &mut Store<S>,
) -> Option<wasmtime::TypedFunc<(), ()>> {
    let export = module.get_export_index(wasm_jobs_transform::START)?;
    let function = instance.get_module_export(&mut *store, &export)?.into_func()?;
    function.typed(store).ok()
}

/// Runs `work` to its end on this thread, as a step, because a start function runs in the guest as any call does.
fn to_the_end<T, F>(work: F, control: &Arc<Control>) -> Result<wasmtime::Result<T>, Error>
where
    F: std::future::Future<Output = wasmtime::Result<T>>,
{
    in_step(|| block_on(Limited::new(work, control)))
        .map_err(|payload| Error::Panic(Panic::new(payload)))
}
