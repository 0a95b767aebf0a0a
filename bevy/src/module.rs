//! [`WasmModule`]: the asset. Its loader compiles bytes to a module and links it, in the loader's task. Next file: `script`, which names
//! a module and one of its exports.

use crate::error::WasmModuleError;
use crate::host::ScriptHost;
use bevy_asset::io::Reader;
use bevy_asset::{Asset, AssetLoader, LoadContext};
use bevy_reflect::TypePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasm_jobs::wasmtime::{ExternType, InstancePre, Linker, Module};

/// A compiled module, whose imports are all linked. It cannot be changed: a reload puts another in its place.
#[derive(Asset, TypePath, Clone)]
pub struct WasmModule {
    pre: InstancePre<ScriptHost>,
    name: Arc<str>,
    version: u64,
}

impl WasmModule {
    /// Compiles a module from the binary or the text format, and links it. `name` is what errors call it: for an asset, its path.
    ///
    /// The loader calls this. Call it yourself for a module that is no file, and [add](bevy_asset::Assets::add) the module to the assets.
    /// Compiling takes milliseconds and more, so a system should not do it within a frame.
    ///
    /// # Errors
    ///
    /// - [`WasmModuleError::NotWasm`] and [`WasmModuleError::Text`] if the bytes are neither format;
    /// - [`WasmModuleError::Invalid`] if they are a module that wasmtime refuses;
    /// - [`WasmModuleError::Imports`] if the linker lacks an import, or has it with another type.
    pub fn new(
        linker: &Linker<ScriptHost>,
        name: impl Into<Arc<str>>,
        bytes: &[u8],
    ) -> Result<Self, WasmModuleError> {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let name = name.into();
        let binary = to_binary(&name, bytes)?;
        let module = Module::new(linker.engine(), binary)
            .map_err(|source| WasmModuleError::Invalid { name: Arc::clone(&name), source })?;
        let pre = linker
            .instantiate_pre(&module)
            .map_err(|source| WasmModuleError::Imports { name: Arc::clone(&name), source })?;
        Ok(Self { pre, name, version: VERSIONS.fetch_add(1, Ordering::Relaxed) })
    }

    /// The module, for its exports and imports.
    #[must_use]
    pub fn module(&self) -> &Module {
        self.pre.module()
    }

    /// What errors call the module: for an asset, its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pre(&self) -> &InstancePre<ScriptHost> {
        &self.pre
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Differs from that of every other module that was compiled in this process, also under the same path.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The names of the functions that can be the entry of a script: exports without parameters and results.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &str> {
        self.module().exports().filter(|export| is_entry(&export.ty())).map(|export| export.name())
    }
}

/// Whether a script can begin with such an export.
pub(crate) fn is_entry(ty: &ExternType) -> bool {
    matches!(ty, ExternType::Func(ty) if ty.params().len() == 0 && ty.results().len() == 0)
}

impl std::fmt::Debug for WasmModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmModule")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The first bytes of every binary module.
const MAGIC: &[u8] = b"\0asm";

/// The binary format, from the binary or the text format.
fn to_binary<'a>(
    name: &Arc<str>,
    bytes: &'a [u8],
) -> Result<std::borrow::Cow<'a, [u8]>, WasmModuleError> {
    if bytes.starts_with(MAGIC) {
        return Ok(bytes.into());
    }
    // The text format begins with a parenthesis, a comment or white space.
    let looks_like_text =
        bytes.trim_ascii_start().first().is_some_and(|first| b"(;".contains(first));
    if !looks_like_text {
        return Err(WasmModuleError::NotWasm { name: Arc::clone(name), bytes: bytes.len() });
    }
    wat::parse_bytes(bytes)
        .map_err(|source| WasmModuleError::Text { name: Arc::clone(name), source })
}

/// Loads `.wasm` and `.wat` files as [`WasmModule`]s.
#[derive(TypePath)]
pub(crate) struct WasmModuleLoader {
    pub(crate) linker: Arc<Linker<ScriptHost>>,
}

impl AssetLoader for WasmModuleLoader {
    type Asset = WasmModule;
    type Settings = ();
    type Error = WasmModuleError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        _settings: &(),
        load_context: &mut LoadContext<'_>,
    ) -> Result<WasmModule, WasmModuleError> {
        let name: Arc<str> = load_context.path().to_string().into();
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .await
            .map_err(|source| WasmModuleError::Read { name: Arc::clone(&name), source })?;
        WasmModule::new(&self.linker, name, &bytes)
    }

    fn extensions(&self) -> &[&str] {
        &["wasm", "wat"]
    }
}
