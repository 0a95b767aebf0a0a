//! [`is_prepared`]: tells a prepared module from others.

use wasm_jobs_transform::HASH_LOW;
use wasmtime::Module;

/// Whether a module was prepared.
pub(crate) fn is_prepared(module: &Module) -> bool {
    module.get_export_index(HASH_LOW).is_some()
}
