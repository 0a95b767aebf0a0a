//! [`Func`]: an export that was looked up and checked once, to be called often.

use crate::call::future::Future;
use crate::call::lease::Leased;
use crate::error::{Error, Mismatch, Trap};
use crate::guest::fiber;
use crate::guest::guest::{Guest, Home, claim};
use crate::guest::instance::Instance;
use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use wasmtime::{FuncType, TypedFunc, ValType, WasmParams, WasmResults};

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
pub struct Func<P, R, S: 'static = ()> {
    export: Arc<Export<P, R, S>>,
}

/// The guest, for a call of an export.
pub(crate) type Claimed<P, R, S> = Leased<Box<Guest<S>>, Export<P, R, S>>;

/// What all calls of a function share.
pub(crate) struct Export<P, R, S: 'static> {
    home: Arc<Home<S>>,
    pub(crate) name: Box<str>,
    pub(crate) func: TypedFunc<P, R>,
    /// Of the guest that `func` belongs to.
    generation: u64,
}

impl<P, R, S> Func<P, R, S>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    /// Makes a call. It claims the instance, and nothing more; the guest runs when the future does.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if the instance has a call, and [`Error::Poisoned`] if the one before ended before its
    /// end.
    #[inline]
    pub fn call(&self, params: P) -> Result<Future<R>, Error> {
        Ok(fiber::future(self.claim()?, params))
    }

    #[inline]
    pub(crate) fn claim(&self) -> Result<Claimed<P, R, S>, Error> {
        let mut lease = claim(self.export.clone())?;
        let (guest, export) = lease.parts();
        guest.refuse_if_poisoned()?;
        if guest.generation != export.generation {
            let anew = look_up(&export.home, guest, &export.name)?;
            lease = lease.via(anew);
        }
        Ok(lease)
    }

    /// The same, with a trap as a value: what else can go wrong is still an error.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn try_call(&self, params: P) -> Result<Future<Result<R, Trap>>, Error> {
        Ok(fiber::try_future(self.claim()?, params))
    }

    /// The name of the export.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.export.name
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
        Ok(fiber::future(self.claim(export)?, params))
    }

    /// The same, with a trap as a value: what else can go wrong, a timeout for one, is still an error.
    ///
    /// The instance is [poisoned](Self::is_poisoned) by a trap either way.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "divide") (param i32 i32) (result i32)
    /// #     local.get 0 local.get 1 i32.div_s))"#)?;
    /// # let module = wasmtime::Module::new(&engine, wasm)?;
    /// # let linker = wasmtime::Linker::<()>::new(&engine);
    /// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    /// let end = instance.try_call::<(i32, i32), i32>("divide", (1, 0))?.wait()?;
    /// let trap = end.expect_err("nothing can be divided by zero");
    /// assert_eq!(trap.code(), wasmtime::Trap::IntegerDivisionByZero);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn try_call<P, R>(&self, export: &str, params: P) -> Result<Future<Result<R, Trap>>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        Ok(fiber::try_future(self.claim(export)?, params))
    }

    fn claim<P, R>(&self, export: &str) -> Result<Claimed<P, R, S>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let mut lease = claim(self.home().clone())?;
        lease.refuse_if_poisoned()?;
        let export = look_up(self.home(), &mut lease, export)?;
        Ok(lease.via(export))
    }

    /// Looks an exported function up, and checks its signature, for many calls.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if the instance has a call, and [`Error::ExportNotFound`], [`Error::ExportKind`] and
    /// [`Error::Signature`] if there is no such function.
    pub fn func<P, R>(&self, export: &str) -> Result<Func<P, R, S>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let mut lease = claim(self.home().clone())?;
        Ok(Func { export: look_up(self.home(), &mut lease, export)? })
    }

    /// Several of one type.
    #[cfg(feature = "macros")]
    pub(crate) fn funcs<P, R>(&self, exports: &[&str]) -> Result<Vec<Func<P, R, S>>, Error>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
    {
        let mut lease = claim(self.home().clone())?;
        let mut look_up = |export: &&str| look_up(self.home(), &mut lease, export);
        exports.iter().map(|export| Ok(Func { export: look_up(export)? })).collect()
    }
}

fn look_up<P, R, S>(
    home: &Arc<Home<S>>,
    guest: &mut Guest<S>,
    name: &str,
) -> Result<Arc<Export<P, R, S>>, Error>
where
    P: WasmParams,
    R: WasmResults,
    S: Send + 'static,
{
    let func = guest.export(name, "function", wasmtime::Extern::into_func)?;
    let func = func.typed(&guest.store).map_err(|_| {
        Error::Signature(Box::new(Mismatch {
            export: name.into(),
            expected: format!("{} -> {}", type_name::<P>(), type_name::<R>()),
            found: signature(&func.ty(&guest.store)),
        }))
    })?;
    let (home, name, generation) = (home.clone(), name.into(), guest.generation);
    Ok(Arc::new(Export { home, name, func, generation }))
}

/// A type as Rust would write it.
fn signature(ty: &FuncType) -> String {
    fn tuple(mut types: impl ExactSizeIterator<Item = ValType>) -> String {
        match (types.len(), types.next()) {
            (1, Some(only)) => only.to_string(),
            (_, first) => {
                let types: Vec<_> =
                    first.into_iter().chain(types).map(|ty| ty.to_string()).collect();
                format!("({})", types.join(", "))
            }
        }
    }
    format!("{} -> {}", tuple(ty.params()), tuple(ty.results()))
}

impl<P, R, S: 'static> AsRef<Home<S>> for Export<P, R, S> {
    fn as_ref(&self) -> &Home<S> {
        &self.home
    }
}

impl<P, R, S: 'static> Clone for Func<P, R, S> {
    fn clone(&self) -> Self {
        Self { export: self.export.clone() }
    }
}

impl<P, R, S: 'static> fmt::Debug for Func<P, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").field("name", &self.export.name).finish_non_exhaustive()
    }
}
