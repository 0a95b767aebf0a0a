//! [`Func`]: an export that was looked up and checked once, to be called often.

use crate::Future;
use crate::error::{Error, Mismatch};
use crate::guest::instance::{Guest, Home, claim};
use crate::guest::{Instance, fiber};
use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use wasmtime::{TypedFunc, WasmParams, WasmResults};

/// An exported function of one [`Instance`], with its signature.
///
/// It goes on to work after [`Instance::reset`], although it is then looked up anew at each call.
///
/// ```
/// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let wasm = wat::parse_str(r#"(module (func (export "square") (param i32) (result i32)
/// #     local.get 0 local.get 0 i32.mul))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// # let linker = wasmtime::Linker::<()>::new(&engine);
/// let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
/// let square = instance.func::<i32, i32>("square")?;
/// for n in 0..10 {
///     assert_eq!(square.call(n)?.wait()?, n * n);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Func<P, R> {
    export: Arc<dyn Call<P, R>>,
}

/// An export, whatever the state of its instance.
trait Call<P, R: Send + 'static>: Send + Sync {
    fn call(self: Arc<Self>, params: P) -> Result<Future<R>, Error>;
    fn name(&self) -> &str;
}

pub(super) struct Export<S: 'static, P, R> {
    home: Arc<Home<S>>,
    name: Box<str>,
    pub(super) func: TypedFunc<P, R>,
    /// Of the guest that `func` belongs to.
    generation: u64,
}

impl<S, P, R> Export<S, P, R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    fn look_up(home: &Arc<Home<S>>, guest: &mut Guest<S>, name: &str) -> Result<Self, Error> {
        let func = guest.export(name, "function", wasmtime::Extern::into_func)?;
        let func = func.typed(&guest.store).map_err(|_| {
            Error::Signature(Box::new(Mismatch {
                export: name.into(),
                expected: format!("{} -> {}", type_name::<P>(), type_name::<R>()),
                found: func.ty(&guest.store).to_string(),
            }))
        })?;
        Ok(Self { home: home.clone(), name: name.into(), func, generation: guest.generation })
    }
}

impl<S: 'static, P, R> AsRef<Home<S>> for Export<S, P, R> {
    fn as_ref(&self) -> &Home<S> {
        &self.home
    }
}

impl<S, P, R> Call<P, R> for Export<S, P, R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    fn call(self: Arc<Self>, params: P) -> Result<Future<R>, Error> {
        let mut lease = claim(self)?;
        let (guest, export) = lease.parts();
        guest.refuse_if_poisoned()?;
        if guest.generation != export.generation {
            let anew = Self::look_up(&export.home, guest, &export.name)?;
            lease = lease.via(Arc::new(anew));
        }
        Ok(Future::new(fiber::call(lease, params)))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl<P: 'static, R: Send + 'static> Func<P, R> {
    /// Makes a call. It claims the instance, and nothing more; the guest runs when the future does.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if the instance has a call, and [`Error::Poisoned`] if the one before ended before its
    /// end.
    pub fn call(&self, params: P) -> Result<Future<R>, Error> {
        self.export.clone().call(params)
    }

    /// The name of the export.
    #[must_use]
    pub fn name(&self) -> &str {
        self.export.name()
    }
}

impl<P, R> Clone for Func<P, R> {
    fn clone(&self) -> Self {
        Self { export: self.export.clone() }
    }
}

impl<P: 'static, R: Send + 'static> fmt::Debug for Func<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl<S: Send + 'static> Instance<S> {
    /// Calls an exported function: looks it up, checks its signature, and claims the instance. Nothing of the guest runs
    /// before the future's first step.
    ///
    /// # Errors
    ///
    /// - [`Error::CallInProgress`] if the instance has a call, which goes on undisturbed;
    /// - [`Error::Poisoned`] if the one before ended before its end;
    /// - [`Error::ExportNotFound`], [`Error::ExportKind`] and [`Error::Signature`] if there is no such function.
    pub fn call<P, R>(&self, export: &str, params: P) -> Result<Future<R>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let mut guest = claim(self.home().clone())?;
        guest.refuse_if_poisoned()?;
        let export = Export::look_up(self.home(), &mut guest, export)?;
        Ok(Future::new(fiber::call(guest.via(Arc::new(export)), params)))
    }

    /// Looks an exported function up, and checks its signature, for many calls.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if the instance has a call, and [`Error::ExportNotFound`], [`Error::ExportKind`] and
    /// [`Error::Signature`] if there is no such function.
    pub fn func<P, R>(&self, export: &str) -> Result<Func<P, R>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let mut guest = claim(self.home().clone())?;
        let export = Export::<S, P, R>::look_up(self.home(), &mut guest, export)?;
        Ok(Func { export: Arc::new(export) })
    }
}
