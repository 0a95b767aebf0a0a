//! A stand-in for wasm-jobs without wasmtime: the items that a wrapper uses. They record the export and the parameters of a call.

use std::any::Any;
use std::marker::PhantomData;

pub type Exports = &'static [(&'static str, &'static str)];

/// Holds a text that tells what the wrapper asked for.
#[derive(Debug)]
pub struct Error(pub String);

/// A trap.
#[derive(Debug)]
pub struct Trap;

/// The options of an instance.
#[derive(Debug)]
pub struct InstanceOptions;

/// An instance that has every export.
#[derive(Debug)]
pub struct Instance<S: 'static> {
    pub module: wasmtime::Module,
    pub state: S,
}

/// A function, with the name of its export.
#[derive(Debug)]
pub struct Func<P, R, S: 'static>(&'static str, PhantomData<(P, R, S)>);

/// A call, with the export and the parameters that the wrapper gave.
#[derive(Debug)]
pub struct Future<R> {
    pub export: &'static str,
    pub params: Box<dyn Any>,
    pub result: PhantomData<R>,
}

/// The only memory.
#[derive(Debug)]
pub struct MemoryGuard<'a, S: 'static>(pub &'static str, PhantomData<&'a S>);

/// The only table.
#[derive(Debug)]
pub struct TableGuard<'a, S: 'static>(pub &'static str, PhantomData<&'a S>);

/// The store.
#[derive(Debug)]
pub struct StoreGuard<'a, S: 'static>(pub &'a S);

/// Gives a module.
pub trait ModuleSource<W> {
    fn module(self) -> Result<wasmtime::Module, Error>;
}

/// The bytes of a module in this program.
pub trait Embedded {
    const WASM: &'static [u8];
}

impl<W: Embedded> ModuleSource<W> for &wasmtime::Engine {
    fn module(self) -> Result<wasmtime::Module, Error> {
        Ok(wasmtime::Module::new(self, W::WASM)?)
    }
}

impl<W> ModuleSource<W> for &wasmtime::Module {
    fn module(self) -> Result<wasmtime::Module, Error> {
        Ok(self.clone())
    }
}

impl From<wasmtime::Error> for Error {
    fn from(wasmtime::Error(error): wasmtime::Error) -> Self {
        Self(error)
    }
}

impl<S: Send + 'static> Instance<S> {
    pub fn new(pre: &wasmtime::InstancePre<S>, state: S) -> Result<Self, Error> {
        Ok(Self { module: pre.0.clone(), state })
    }

    pub fn with_options(
        pre: &wasmtime::InstancePre<S>,
        _: InstanceOptions,
        state: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::new(pre, state())
    }

    pub fn func<P, R>(&self, export: &'static str) -> Result<Func<P, R, S>, Error> {
        Ok(Func(export, PhantomData))
    }

    pub fn store(&self) -> Result<StoreGuard<'_, S>, Error> {
        Ok(StoreGuard(&self.state))
    }

    pub fn memory(&self, export: &'static str) -> Result<MemoryGuard<'_, S>, Error> {
        Ok(MemoryGuard(export, PhantomData))
    }

    pub fn table(&self, export: &'static str) -> Result<TableGuard<'_, S>, Error> {
        Ok(TableGuard(export, PhantomData))
    }
}

impl<S> StoreGuard<'_, S> {
    pub fn get_global<T>(&mut self, export: &'static str) -> Result<T, Error> {
        Err(Error(format!("get {export}")))
    }

    pub fn set_global<T: std::fmt::Debug>(
        &mut self,
        export: &'static str,
        value: T,
    ) -> Result<(), Error> {
        Err(Error(format!("set {export} to {value:?}")))
    }

    pub fn shared_memory(&mut self, _: &'static str) -> Result<wasmtime::SharedMemory, Error> {
        Ok(wasmtime::SharedMemory)
    }
}

impl<P: 'static, R, S> Func<P, R, S> {
    pub fn call(&self, params: P) -> Result<Future<R>, Error> {
        Ok(Future { export: self.0, params: Box::new(params), result: PhantomData })
    }

    pub fn try_call(&self, params: P) -> Result<Future<Result<R, Trap>>, Error> {
        Ok(Future { export: self.0, params: Box::new(params), result: PhantomData })
    }
}

pub mod __wrapper {
    use super::wasmtime::{Engine, InstancePre, Linker, Module};
    use super::{Embedded, Error, Exports, Func, Instance, ModuleSource};

    pub fn compile<W: Embedded>(engine: &Engine) -> Result<Module, Error> {
        Ok(Module::new(engine, W::WASM)?)
    }

    /// Fails with the expected exports if the module is the one that stands for a wrong one.
    pub fn link<W, S>(
        module: impl ModuleSource<W>,
        linker: &Linker<S>,
        exports: Exports,
        _checkpoints: bool,
    ) -> Result<InstancePre<S>, Error> {
        let module = module.module()?;
        look(&module, exports)?;
        Ok(linker.instantiate_pre(&module)?)
    }

    pub fn check<S>(instance: &Instance<S>, exports: Exports) -> Result<(), Error> {
        look(&instance.module, exports)
    }

    pub fn look_up<P, R, S: Send + 'static, const N: usize>(
        instance: &Instance<S>,
        exports: [&'static str; N],
    ) -> Result<[Func<P, R, S>; N], Error> {
        let functions: Vec<_> =
            exports.iter().map(|export| instance.func(export)).collect::<Result<_, _>>()?;
        Ok(functions.try_into().unwrap_or_else(|_| unreachable!()))
    }

    fn look(module: &Module, exports: Exports) -> Result<(), Error> {
        if module.0 == b"another" { Err(Error(format!("{exports:?}"))) } else { Ok(()) }
    }
}

pub mod wasmtime {
    use std::marker::PhantomData;

    #[derive(Debug)]
    pub struct Error(pub String);

    #[derive(Debug)]
    pub struct Engine;

    #[derive(Debug, Clone)]
    pub struct Module(pub Vec<u8>);

    #[derive(Debug)]
    pub struct Linker<S>(pub PhantomData<S>);

    pub struct InstancePre<S>(pub Module, PhantomData<S>);

    #[derive(Debug)]
    pub struct V128;

    #[derive(Debug)]
    pub struct Func;

    #[derive(Debug)]
    pub struct ExternRef;

    #[derive(Debug)]
    pub struct OwnedRooted<T>(PhantomData<T>);

    #[derive(Debug)]
    pub struct SharedMemory;

    impl Module {
        pub fn new(_: &Engine, wasm: impl AsRef<[u8]>) -> Result<Self, Error> {
            Ok(Self(wasm.as_ref().to_vec()))
        }
    }

    impl<S> Linker<S> {
        pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<S>, Error> {
            Ok(InstancePre(module.clone(), PhantomData))
        }
    }
}
