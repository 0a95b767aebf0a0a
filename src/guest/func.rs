//! [`Func`]: an export that was looked up and checked once, to be called often.

use crate::guest::instance::{Guest, claim};
use crate::guest::{Instance, fiber};
use crate::lease::Lease;
use crate::{Error, Future};
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

trait Call<P, R: Send + 'static>: Send + Sync {
    fn call(&self, params: P) -> Result<Future<R>, Error>;
    fn name(&self) -> &str;
}

struct Export<S: 'static, P, R> {
    lease: Arc<Lease<Guest<S>>>,
    name: Box<str>,
    func: TypedFunc<P, R>,
    /// Of the guest that `func` belongs to.
    generation: u64,
}

impl<S, P, R> Call<P, R> for Export<S, P, R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    fn call(&self, params: P) -> Result<Future<R>, Error> {
        let mut guest = claim(&self.lease)?;
        guest.refuse_if_poisoned()?;
        let func = if guest.generation == self.generation {
            self.func.clone()
        } else {
            look_up(&mut guest, &self.name)?
        };
        Ok(Future::new(fiber::call(guest, func, params)))
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
        self.export.call(params)
    }

    /// The name of the export.
    #[must_use]
    pub fn name(&self) -> &str {
        self.export.name()
    }
}

impl<P, R> Clone for Func<P, R> {
    fn clone(&self) -> Self {
        Self {
            export: self.export.clone(),
        }
    }
}

impl<P: 'static, R: Send + 'static> fmt::Debug for Func<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func")
            .field("name", &self.name())
            .finish_non_exhaustive()
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
        let mut guest = claim(self.lease())?;
        guest.refuse_if_poisoned()?;
        let func = look_up(&mut guest, export)?;
        Ok(Future::new(fiber::call(guest, func, params)))
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
        let mut guest = claim(self.lease())?;
        let func = look_up::<S, P, R>(&mut guest, export)?;
        let export = Export {
            lease: self.lease().clone(),
            name: export.into(),
            func,
            generation: guest.generation,
        };
        Ok(Func {
            export: Arc::new(export),
        })
    }
}

fn look_up<S, P, R>(guest: &mut Guest<S>, export: &str) -> Result<TypedFunc<P, R>, Error>
where
    S: Send + 'static,
    P: WasmParams,
    R: WasmResults,
{
    let func = guest.export(export, "function", wasmtime::Extern::into_func)?;
    func.typed(&guest.store).map_err(|_| Error::Signature {
        export: export.into(),
        expected: format!("{} -> {}", type_name::<P>(), type_name::<R>()),
        found: func.ty(&guest.store).to_string(),
    })
}
