//! How the guest of a prepared module finds its flag, and what it calls when it has found that set.

use crate::call::yield_now::yield_now;
use crate::error::Error;
use crate::guest::limit::flags::StopFlags;
use crate::guest::limit::look::Look;
use std::sync::Arc;
use wasm_jobs_transform::{FLAG, FLAGS_MODULE, STOP};
use wasmtime::{Caller, Global, Instance, Linker, Module, ModuleExport, Store, Trap, Val};

/// The function that a guest calls which has taken its flag, as it is in a linker.
const STOP_FUNCTION: &str = "stop";

/// Whether the guests of a prepared module look at flags.
pub(crate) fn looks_at_flag(module: &Module) -> bool {
    module.get_export_index(FLAG).is_some()
}

/// The globals of a module through which a guest is told of its flag.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    flag: ModuleExport,
    stop: ModuleExport,
}

impl Told {
    /// `None` if the guests of the module look at no flag.
    pub(crate) fn of(module: &Module) -> Option<Self> {
        let [flag, stop] = [FLAG, STOP].map(|name| module.get_export_index(name));
        Some(Self { flag: flag?, stop: stop? })
    }

    /// Tells a new guest the address of its flag, and which function to call.
    pub(crate) fn tell<S: 'static>(
        self,
        address: u32,
        linker: &Linker<S>,
        instance: Instance,
        store: &mut Store<S>,
    ) -> Result<GuestFlag, Error> {
        let mut global = |export| {
            let found = instance.get_module_export(&mut *store, export);
            match found.and_then(wasmtime::Extern::into_global) {
                Some(global) => Ok(global),
                None => Err(Error::Wasmtime(wasmtime::Error::msg("a flag is no global"))),
            }
        };
        let (flag, stop) = (global(&self.flag)?, global(&self.stop)?);
        // A function from a linker may suspend the guest, and yet the owner of the store may call the guest synchronously: then the guest
        // looks at no flag, and the function is not called.
        let function = linker.get(&mut *store, FLAGS_MODULE, STOP_FUNCTION)?.into_func();
        stop.set(&mut *store, Val::FuncRef(function))?;
        let flag = GuestFlag { global: flag, address: address.cast_signed() };
        flag.heed(store);
        Ok(flag)
    }
}

/// Where a guest has the address of its flag.
pub(crate) struct GuestFlag {
    global: Global,
    address: i32,
}

impl GuestFlag {
    /// From now on, the guest looks at its flag.
    pub(crate) fn heed<S: 'static>(&self, store: &mut Store<S>) {
        self.set(self.address, store);
    }

    /// From now on, the guest looks at a word that is never set.
    pub(crate) fn ignore<S: 'static>(&self, store: &mut Store<S>) {
        self.set(0, store);
    }

    fn set<S: 'static>(&self, address: i32, store: &mut Store<S>) {
        if self.global.set(store, Val::I32(address)).is_err() {
            unreachable!("the global was set before");
        }
    }
}

/// Defines the function that a guest calls which has taken its flag. One function serves all guests of a module: it knows its caller by the
/// address of the flag.
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker already has something of that name.
pub(crate) fn define_stop<S: Send + 'static>(
    linker: &mut Linker<S>,
    flags: &Arc<StopFlags>,
) -> Result<(), Error> {
    let flags = flags.clone();
    linker.func_wrap_async(FLAGS_MODULE, STOP_FUNCTION, move |mut caller, (_taken,): (i32,)| {
        let look = look(&flags, &mut caller);
        Box::new(stop(look))
    })?;
    Ok(())
}

/// Does what a guest does that has looked.
async fn stop(look: Look) -> wasmtime::Result<()> {
    match look {
        Look::GoOn => Ok(()),
        Look::Yield => {
            yield_now().await;
            Ok(())
        }
        Look::Interrupt => Err(Trap::Interrupt.into()),
    }
}

fn look<S: 'static>(flags: &StopFlags, caller: &mut Caller<'_, S>) -> Look {
    let flag = caller.get_export(FLAG).and_then(wasmtime::Extern::into_global);
    let address = flag.and_then(|flag| flag.get(caller).i32());
    let holder = address.and_then(|address| flags.holder(address.cast_unsigned()));
    holder.map_or(Look::GoOn, |holder| holder.look())
}
