//! What the wrappers are made of that `wrapper!` writes: where their modules come from, and whether these have the exports that
//! the wrappers were written from.

use crate::error::{Error, Mismatch};
use crate::guest::func::Func;
use crate::guest::guest::module_name;
use crate::guest::instance::Instance;
use crate::guest::store::guard::{global_type, val_type};
use wasmtime::{
    Engine, ExternType, FuncType, InstancePre, Linker, Module, ValType, WasmParams, WasmResults,
};

/// Where the module of a wrapper `W` comes from: a `&Module`; or, if the wrapper has the bytes [embedded](Embedded), an `&Engine`,
/// with which they are compiled anew each time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no module for `{W}`",
    note = "give it a `&wasmtime::Module`; a `&wasmtime::Engine` does if the wrapper is declared with `embed: true`"
)]
pub trait ModuleSource<W> {
    /// The module.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if it cannot be compiled.
    fn module(self) -> Result<Module, Error>;
}

/// A wrapper that has the bytes of its module in this program.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no bytes in this program to be compiled",
    note = "it is declared with `embed: false`: give it a `&wasmtime::Module` in place of the engine"
)]
pub trait Embedded {
    /// The bytes.
    const WASM: &'static [u8];
}

impl<W> ModuleSource<W> for &Module {
    fn module(self) -> Result<Module, Error> {
        Ok(self.clone())
    }
}

impl<W: Embedded> ModuleSource<W> for &Engine {
    fn module(self) -> Result<Module, Error> {
        Ok(Module::new(self, W::WASM)?)
    }
}

/// An export that a wrapper was written from: its name, and what it is, as [`describe`] says it.
type Export = (&'static str, &'static str);

/// Links the module of a wrapper, which must have these exports.
///
/// # Errors
///
/// Those of getting the module, of linking it, and if an export is missing or another.
pub fn link<W, S: 'static>(
    module: impl ModuleSource<W>,
    linker: &Linker<S>,
    exports: &[Export],
) -> Result<InstancePre<S>, Error> {
    let module = module.module()?;
    if !Engine::same(module.engine(), linker.engine()) {
        return Err(Error::OtherEngine { module: module_name(&module) });
    }
    exports.iter().try_for_each(|export| compare(*export, module.get_export(export.0)))?;
    Ok(linker.instantiate_pre(&module)?)
}

/// Has the instance these exports?
///
/// # Errors
///
/// If it has not, or has a call.
pub fn check<S: Send + 'static>(instance: &Instance<S>, exports: &[Export]) -> Result<(), Error> {
    let mut store = instance.store()?;
    let instance = store.instance()?;
    exports.iter().try_for_each(|export| {
        let found = instance.get_export(&mut store, export.0);
        compare(*export, found.map(|found| found.ty(&store)))
    })
}

/// Functions of one type.
///
/// # Errors
///
/// As [`Instance::func`].
pub fn look_up<P, R, S, const N: usize>(
    instance: &Instance<S>,
    exports: [&str; N],
) -> Result<[Func<P, R, S>; N], Error>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    match instance.funcs(&exports)?.try_into() {
        Ok(functions) => Ok(functions),
        Err(_) => unreachable!("there is one for each export"),
    }
}

fn compare((name, expected): Export, found: Option<ExternType>) -> Result<(), Error> {
    let Some(found) = found else {
        return Err(Error::ExportNotFound { export: name.into() });
    };
    let found = describe(&found);
    if found == expected {
        return Ok(());
    }
    // The type is what follows the kind; a shared memory has none.
    let of = |export: &str, kind: &str| export.strip_prefix(kind).map(|ty| ty.trim().to_owned());
    for kind in ["function", "global"] {
        if let (Some(expected), Some(found)) = (of(expected, kind), of(&found, kind)) {
            let export = name.into();
            return Err(Error::Signature(Box::new(Mismatch { export, expected, found })));
        }
    }
    let (export, expected) = (name.into(), kind_of(expected).into());
    let found = kind_of(&found).into();
    Err(Error::ExportKind(Box::new(Mismatch { export, expected, found })))
}

fn kind_of(described: &str) -> &str {
    match described {
        "shared memory" => described,
        _ => described.split(' ').next().unwrap_or(described),
    }
}

/// What an export is: the words in which the macro says it, too.
fn describe(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => format!("function {}", func_type(ty)),
        ExternType::Global(ty) => format!("global {}", global_type(ty)),
        ExternType::Memory(ty) if ty.is_shared() => "shared memory".into(),
        ExternType::Memory(_) => "memory".into(),
        ExternType::Table(_) => "table".into(),
        ExternType::Tag(_) => "tag".into(),
    }
}

fn func_type(ty: &FuncType) -> String {
    let types = |types: &mut dyn Iterator<Item = ValType>| {
        types.map(|ty| val_type(&ty)).collect::<Vec<_>>().join(", ")
    };
    format!("({}) -> ({})", types(&mut ty.params()), types(&mut ty.results()))
}
