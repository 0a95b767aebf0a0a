//! The macro of [wasm-jobs](https://docs.rs/wasm-jobs). Use it as `wasm_jobs::wrapper!`, where it is documented: the code that it
//! writes needs that library.

// The private tour, in the order of an expansion: `input` parses the declaration; `file` reads the guest's file; `module` finds its
// exports; `methods` gives them `names` that Rust allows; `functions` groups those that are functions; and `expand` writes the
// wrapper, with `accessors` and `calls` for its methods, and `docs` and `types` for what both need.

mod accessors;
mod calls;
mod docs;
mod expand;
mod file;
mod functions;
mod input;
mod methods;
mod module;
mod names;
#[cfg(test)]
mod tests;
mod types;

use crate::file::File;
use crate::input::Declaration;
use crate::module::Module;
use proc_macro::TokenStream;
use std::path::PathBuf;

/// Called by `wasm_jobs::wrapper!`, which puts the path of that library and `=>` before the user's declaration.
#[proc_macro]
pub fn wrapper(input: TokenStream) -> TokenStream {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    wrap(input.into(), folder).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The macro as a function. Paths are relative to `folder`.
fn wrap(
    input: proc_macro2::TokenStream,
    folder: Option<PathBuf>,
) -> syn::Result<proc_macro2::TokenStream> {
    let declaration: Declaration = syn::parse2(input)?;
    let in_file = |message| syn::Error::new(declaration.path.span, message);
    let file = File::read(&declaration.path.value, folder).map_err(in_file)?;
    let module = Module::read(&file.wasm)
        .map_err(|message| in_file(format!("`{}`: {message}", file.written)))?;
    expand::expand(&declaration, &file, &module)
}
