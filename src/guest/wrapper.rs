//! What the code of `wrapper!` calls. It gets a module from its [source](ModuleSource), compares the module's exports with those that
//! the wrapper was written from, [links](link) the module, and [looks up](look_up) its functions.

use crate::error::{Error, Mismatch};
#[cfg(feature = "checkpoint")]
use crate::guest::checkpoint::plan::is_prepared;
use crate::guest::func::Func;
use crate::guest::home::with_guest;
use crate::guest::instance::Instance;
use crate::guest::origin::module_name;
use crate::guest::types::extern_type;
use wasmtime::{Engine, ExternType, InstancePre, Linker, Module, WasmParams, WasmResults};

/// Where the module of a wrapper `W` comes from: a `&Module`; or, if the wrapper has the bytes [embedded](Embedded), an `&Engine`,
/// which compiles them anew each time.
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

/// A wrapper whose module's bytes are in this program.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no bytes in this program to be compiled",
    note = "it is declared with `embed: false`: give it a `&wasmtime::Module` in place of the engine"
)]
pub trait Embedded {
    /// The bytes of the module.
    const WASM: &'static [u8];

    /// Whether the module is [prepared](crate::prepare) for checkpoints when it is compiled.
    const CHECKPOINTS: bool = false;
}

impl<W> ModuleSource<W> for &Module {
    fn module(self) -> Result<Module, Error> {
        Ok(self.clone())
    }
}

impl<W: Embedded> ModuleSource<W> for &Engine {
    fn module(self) -> Result<Module, Error> {
        compile::<W>(self)
    }
}

/// Compiles the bytes of a wrapper.
///
/// # Errors
///
/// [`Error::Wasmtime`] if wasmtime refuses them; those of `prepare` if the wrapper is to have checkpoints; and [`Error::Unsupported`] if it is, and the feature
/// `checkpoint` is off.
pub fn compile<W: Embedded>(engine: &Engine) -> Result<Module, Error> {
    match W::CHECKPOINTS {
        true => compile_prepared(engine, W::WASM),
        false => Ok(Module::new(engine, W::WASM)?),
    }
}

#[cfg(feature = "checkpoint")]
use crate::guest::checkpoint::prepare::prepare as compile_prepared;

#[cfg(not(feature = "checkpoint"))]
fn compile_prepared(_: &Engine, _: &[u8]) -> Result<Module, Error> {
    Err(no_checkpoints())
}

/// An export that a wrapper was written from: its name, and its type in the words of [`extern_type`].
type Described = (&'static str, &'static str);

/// Links the module of a wrapper, after checking that it has these exports, and is prepared if it is to have `checkpoints`.
///
/// # Errors
///
/// Those of the [source](ModuleSource::module) and of linking; `Error::NotPrepared`; and [`Error::ExportNotFound`], [`Error::ExportKind`],
/// [`Error::Signature`] or [`Error::WrongType`] for an export that is missing or of another type.
pub fn link<W, S: 'static>(
    module: impl ModuleSource<W>,
    linker: &Linker<S>,
    exports: &[Described],
    checkpoints: bool,
) -> Result<InstancePre<S>, Error> {
    let module = module.module()?;
    if checkpoints {
        check_prepared(&module)?;
    }
    if !Engine::same(module.engine(), linker.engine()) {
        return Err(Error::OtherEngine { module: module_name(&module) });
    }
    exports.iter().try_for_each(|export| compare(*export, module.get_export(export.0)))?;
    Ok(linker.instantiate_pre(&module)?)
}

#[cfg(feature = "checkpoint")]
fn check_prepared(module: &Module) -> Result<(), Error> {
    if is_prepared(module) {
        return Ok(());
    }
    Err(Error::NotPrepared { module: module_name(module) })
}

#[cfg(not(feature = "checkpoint"))]
fn check_prepared(_: &Module) -> Result<(), Error> {
    Err(no_checkpoints())
}

#[cfg(not(feature = "checkpoint"))]
fn no_checkpoints() -> Error {
    let why = "enable the feature `checkpoint` of wasm-jobs".into();
    Error::Unsupported { what: "a wrapper with `checkpoints: true`", why }
}

/// Checks that the instance has these exports.
///
/// # Errors
///
/// [`Error::ExportNotFound`], [`Error::ExportKind`], [`Error::Signature`] or [`Error::WrongType`] for an export that is missing or of
/// another type, and [`Error::CallInProgress`] if a call or a guard has the instance.
pub fn check<S: Send + 'static>(
    instance: &Instance<S>,
    exports: &[Described],
) -> Result<(), Error> {
    with_guest(instance.home(), |guest| {
        exports.iter().try_for_each(|export| compare(*export, guest.export_type(export.0)?))
    })
}

/// Looks up functions of one type.
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

fn compare((name, expected): Described, found: Option<ExternType>) -> Result<(), Error> {
    let Some(found) = found else {
        return Err(Error::ExportNotFound { export: name.into() });
    };
    let found = extern_type(&found);
    if found == expected {
        return Ok(());
    }
    let mismatch = |expected: &str, found: &str| {
        Box::new(Mismatch { export: name.into(), expected: expected.into(), found: found.into() })
    };
    // The type follows the kind.
    if let (Some(expected), Some(found)) =
        (expected.strip_prefix("function "), found.strip_prefix("function "))
    {
        return Err(Error::Signature(mismatch(expected, found)));
    }
    if let (Some(expected), Some(found)) =
        (expected.strip_prefix("global "), found.strip_prefix("global "))
    {
        return Err(Error::WrongType(mismatch(expected, found)));
    }
    Err(Error::ExportKind(mismatch(kind_of(expected), kind_of(&found))))
}

/// The kind of an export, out of its description.
fn kind_of(described: &str) -> &str {
    match described {
        "shared memory" => described,
        _ => described.split(' ').next().unwrap_or(described),
    }
}
