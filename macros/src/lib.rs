//! The macro of [wasm-jobs](https://docs.rs/wasm-jobs): use it as `wasm_jobs::wrapper!`, where it is documented. This package
//! alone is of no use, for the code that it makes is for that library.

// The private tour, in the order of an expansion: the `input` is parsed to a declaration, whose `file` is read and found
// to export what the `module` says; `expand` makes the wrapper of that, with `names` that Rust allows.

mod expand;
mod file;
mod input;
mod module;
mod names;
#[cfg(test)]
mod tests;

use crate::file::File;
use crate::input::Declaration;
use crate::module::Module;
use proc_macro::TokenStream;
use std::path::PathBuf;

/// What `wasm_jobs::wrapper!` calls, with the path of that library and `=>` before what its user wrote.
#[proc_macro]
pub fn wrapper(input: TokenStream) -> TokenStream {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    wrap(input.into(), folder).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The macro as a function, with the folder that paths are relative to.
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
