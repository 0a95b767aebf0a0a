//! [`Export`]: an exported function of a guest, looked up and checked. `func` hands it to users; `fiber` calls it.

use crate::call::lease::Lease;
use crate::error::{Error, Mismatch};
use crate::guest::guest::Guest;
use crate::guest::home::{Away, Home, claim};
use crate::guest::types::signature;
use parking_lot::Mutex;
use std::any::type_name;
use std::sync::Arc;
use wasmtime::{Extern, TypedFunc, WasmParams, WasmResults};

/// The guest, claimed for a call of an export. The export has the home to which the guest returns.
pub(crate) type Claimed<P, R, S> = Away<S, wasmtime::Instance, Export<P, R, S>>;

pub(crate) struct Export<P, R, S: 'static> {
    home: Arc<Home<S>>,
    pub(crate) name: Arc<str>,
    pub(crate) func: TypedFunc<P, R>,
    /// The generation of the guest that `func` belongs to.
    generation: u64,
    /// The same export of a later guest, once it was called after a reset. Only the thread that has the guest locks it.
    renewed: Mutex<Option<Arc<Self>>>,
}

impl<P, R, S> Export<P, R, S>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    pub(crate) fn look_up(
        home: &Arc<Home<S>>,
        guest: &mut Guest<S>,
        name: Arc<str>,
    ) -> Result<Arc<Self>, Error> {
        let func = guest.export(&name, "function", Extern::into_func)?;
        let func = func.typed(&guest.store).map_err(|_| {
            Error::Signature(Box::new(Mismatch {
                export: (*name).into(),
                expected: format!("{} -> {}", type_name::<P>(), type_name::<R>()),
                found: signature(&func.ty(&guest.store)),
            }))
        })?;
        let (home, generation, renewed) = (home.clone(), guest.generation, Mutex::new(None));
        Ok(Arc::new(Self { home, name, func, generation, renewed }))
    }

    /// Claims the guest for a call.
    #[inline]
    pub(crate) fn claim(self: &Arc<Self>) -> Result<Claimed<P, R, S>, Error> {
        let guest: Claimed<P, R, S> = claim(self)?;
        guest.refuse_if_poisoned()?;
        if guest.generation == self.generation { Ok(guest) } else { self.renew(guest) }
    }

    /// The guest was reset. Looks the export up in the new guest, once for all clones of a `Func`.
    #[cold]
    fn renew(&self, mut guest: Claimed<P, R, S>) -> Result<Claimed<P, R, S>, Error> {
        let mut renewed = self.renewed.lock();
        let renewed = match &*renewed {
            Some(export) if export.generation == guest.generation => export.clone(),
            _ => renewed.insert(Self::look_up(&self.home, &mut guest, self.name.clone())?).clone(),
        };
        Ok(guest.via(renewed))
    }
}

impl<P, R, S: 'static> AsRef<Home<S>> for Export<P, R, S> {
    fn as_ref(&self) -> &Home<S> {
        &self.home
    }
}

impl<P, R, S: 'static> AsRef<Lease<Box<Guest<S>>>> for Export<P, R, S> {
    fn as_ref(&self) -> &Lease<Box<Guest<S>>> {
        (*self.home).as_ref()
    }
}
