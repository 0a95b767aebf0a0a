//! [`module_name`]: what messages call a module.

use wasmtime::Module;

/// The name of a module in error messages.
pub(crate) fn module_name(module: &Module) -> Box<str> {
    match module.name() {
        Some(name) => format!("module {name:?}").into(),
        None => "a module without a name".into(),
    }
}
