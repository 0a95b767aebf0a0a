//! What the code of `wrapper!` calls. It gets a module from its [source](ModuleSource), compares the module's exports with those that
//! the wrapper was written from, [links](link) the module, and [looks up](look_up) its functions.

use crate::error::{Error, Mismatch};
use crate::guest::func::Func;
use crate::guest::home::with_guest;
use crate::guest::instance::Instance;
use crate::guest::linked::{Linked, LinkedModule};
use crate::guest::module_name::module_name;
#[cfg(feature = "checkpoint")]
use crate::guest::prepared::is_prepared::is_prepared;
#[cfg(feature = "prepare")]
use crate::guest::prepared::module::Prepared;
#[cfg(feature = "freeze")]
use crate::guest::prepared::options::PrepareOptions;
#[cfg(feature = "checkpoint")]
use crate::guest::prepared::prepare::prepare;
#[cfg(feature = "freeze")]
use crate::guest::prepared::prepare::prepare_with;
use crate::guest::types::extern_type;
use wasmtime::{Engine, ExternType, Linker, Module, WasmParams, WasmResults};

/// Where the module of a wrapper `W` comes from: a `&Module`; a `&Prepared`, with the feature `prepare`; or, if the wrapper has the bytes
/// [embedded](Embedded), an `&Engine`, which compiles them anew each time.
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
    fn module(self) -> Result<GuestModule, Error>;
}

/// The module of a wrapper.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GuestModule {
    /// A module of wasmtime's.
    Plain(Module),
    /// A module that was [prepared](crate::prepare).
    #[cfg(feature = "prepare")]
    Prepared(Prepared),
}

impl GuestModule {
    fn module(&self) -> &Module {
        match self {
            Self::Plain(module) => module,
            #[cfg(feature = "prepare")]
            Self::Prepared(module) => module.module(),
        }
    }

    fn link<S: Send + 'static>(&self, linker: &Linker<S>) -> Result<LinkedModule<S>, Error> {
        match self {
            Self::Plain(module) => Ok(LinkedModule::Plain(linker.instantiate_pre(module)?)),
            #[cfg(feature = "prepare")]
            Self::Prepared(module) => Ok(LinkedModule::Prepared(module.instantiate_pre(linker)?)),
        }
    }
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

    /// Whether the module is prepared so that calls can be frozen when it is compiled.
    const FREEZABLE: bool = false;
}

impl<W> ModuleSource<W> for &Module {
    fn module(self) -> Result<GuestModule, Error> {
        Ok(GuestModule::Plain(self.clone()))
    }
}

#[cfg(feature = "prepare")]
impl<W> ModuleSource<W> for &Prepared {
    fn module(self) -> Result<GuestModule, Error> {
        Ok(GuestModule::Prepared(self.clone()))
    }
}

impl<W: Embedded> ModuleSource<W> for &Engine {
    fn module(self) -> Result<GuestModule, Error> {
        match (W::FREEZABLE, W::CHECKPOINTS) {
            #[cfg(feature = "freeze")]
            (true, _) => Ok(GuestModule::Prepared(compile_freezable::<W>(self)?)),
            #[cfg(not(feature = "freeze"))]
            (true, _) => Err(freeze_is_off()),
            #[cfg(feature = "checkpoint")]
            (false, true) => Ok(GuestModule::Prepared(compile_prepared::<W>(self)?)),
            #[cfg(not(feature = "checkpoint"))]
            (false, true) => Err(checkpoint_is_off()),
            (false, false) => Ok(GuestModule::Plain(compile::<W>(self)?)),
        }
    }
}

/// Compiles the bytes of a wrapper.
///
/// # Errors
///
/// [`Error::Wasmtime`] if wasmtime refuses them.
pub fn compile<W: Embedded>(engine: &Engine) -> Result<Module, Error> {
    Ok(Module::new(engine, W::WASM)?)
}

/// What [`compile_prepared`] makes. Without the feature `checkpoint`, it makes nothing.
#[cfg(feature = "checkpoint")]
pub type PreparedModule = Prepared;
/// What [`compile_prepared`] makes. Without the feature `checkpoint`, it makes nothing.
#[cfg(not(feature = "checkpoint"))]
pub type PreparedModule = Module;

/// Prepares and compiles the bytes of a wrapper that is to have checkpoints.
///
/// # Errors
///
/// Those of `prepare`, and [`Error::Unsupported`] if the feature `checkpoint` is off.
#[cfg(feature = "checkpoint")]
pub fn compile_prepared<W: Embedded>(engine: &Engine) -> Result<PreparedModule, Error> {
    prepare(engine, W::WASM)
}

/// Refuses to prepare the bytes of a wrapper that is to have checkpoints.
///
/// # Errors
///
/// [`Error::Unsupported`], because the feature `checkpoint` is off.
#[cfg(not(feature = "checkpoint"))]
pub fn compile_prepared<W: Embedded>(_: &Engine) -> Result<PreparedModule, Error> {
    Err(checkpoint_is_off())
}

/// Prepares and compiles the bytes of a wrapper whose calls can be frozen.
///
/// # Errors
///
/// Those of `prepare_with`, and [`Error::Unsupported`] if the feature `freeze` is off.
#[cfg(feature = "freeze")]
pub fn compile_freezable<W: Embedded>(engine: &Engine) -> Result<PreparedModule, Error> {
    prepare_with(engine, W::WASM, &PrepareOptions::default().freezable(true))
}

/// Refuses to prepare the bytes of a wrapper whose calls are to be frozen.
///
/// # Errors
///
/// [`Error::Unsupported`], because the feature `freeze` is off.
#[cfg(not(feature = "freeze"))]
pub fn compile_freezable<W: Embedded>(_: &Engine) -> Result<PreparedModule, Error> {
    Err(freeze_is_off())
}

/// An export that a wrapper was written from: its name, and its type in the words of [`extern_type`].
type Described = (&'static str, &'static str);

/// Links the module of a wrapper, after checking that it has these exports, and is prepared if it is to have `checkpoints`.
///
/// # Errors
///
/// Those of the [source](ModuleSource::module) and of linking; `Error::NotPrepared`; and [`Error::ExportNotFound`], [`Error::ExportKind`],
/// [`Error::Signature`] or [`Error::WrongType`] for an export that is missing or of another type.
pub fn link<W, S: Send + 'static>(
    source: impl ModuleSource<W>,
    linker: &Linker<S>,
    exports: &[Described],
    checkpoints: bool,
) -> Result<impl Linked<S>, Error> {
    let source = source.module()?;
    if checkpoints {
        check_prepared(source.module())?;
    }
    link_module(&source, linker, exports)
}

fn link_module<S: Send + 'static>(
    source: &GuestModule,
    linker: &Linker<S>,
    exports: &[Described],
) -> Result<LinkedModule<S>, Error> {
    let module = source.module();
    if !Engine::same(module.engine(), linker.engine()) {
        return Err(Error::OtherEngine { module: module_name(module) });
    }
    exports.iter().try_for_each(|export| compare(*export, module.get_export(export.0)))?;
    source.link(linker)
}

/// Links the module of a wrapper as [`link`] does, after checking that its calls can be frozen.
///
/// # Errors
///
/// As [`link`], with `Error::NotFreezable` in the place of `Error::NotPrepared`.
pub fn link_freezable<W, S: Send + 'static>(
    source: impl ModuleSource<W>,
    linker: &Linker<S>,
    exports: &[Described],
) -> Result<impl Linked<S>, Error> {
    let source = source.module()?;
    check_freezable(&source)?;
    link_module(&source, linker, exports)
}

#[cfg(feature = "freeze")]
fn check_freezable(module: &GuestModule) -> Result<(), Error> {
    match module {
        GuestModule::Prepared(module) if module.is_freezable() => Ok(()),
        module => Err(Error::NotFreezable { module: module_name(module.module()) }),
    }
}

#[cfg(not(feature = "freeze"))]
fn check_freezable(_: &GuestModule) -> Result<(), Error> {
    Err(freeze_is_off())
}

#[cfg(not(feature = "freeze"))]
fn freeze_is_off() -> Error {
    let why = "enable the feature `freeze` of wasm-jobs".into();
    Error::Unsupported { what: "a wrapper with `freezable: true`", why }
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
    Err(checkpoint_is_off())
}

#[cfg(not(feature = "checkpoint"))]
fn checkpoint_is_off() -> Error {
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
