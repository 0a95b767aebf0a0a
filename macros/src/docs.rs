//! The text of the wrapper's documentation, and of signatures, as tokens and strings for the expansion.

use crate::module::{Kind, Module, Param, Type};
use proc_macro2::TokenStream;
use quote::quote;

/// What the documentation of `new` says of `module`, if the bytes are in the program.
pub(crate) const MODULE_OR_ENGINE: &str = "`module` is the guest's module; or an engine, which then compiles the bytes in this \
     program. Compiling takes long: for several instances, compile once, with [`module`](Self::module).";

/// What the documentation of `new` says of `module`, if the bytes are not in the program.
pub(crate) const MODULE: &str = "`module` is the guest's module.";

pub(crate) const WITH_OPTIONS: &str = "Instantiates the guest with options. `state` makes the state of the store, \
     at once and again at each reset.\n\n# Errors\n\nThose of [`new`](Self::new) and of `Instance::with_options`.";

pub(crate) const FROM_INSTANCE: &str = "Wraps an instance that was made in another way, such as `Instance::with_store`.\n\n\
     # Errors\n\nIf the instance lacks an export that the guest had when this program was built, has it with another type, \
     or has a call in progress.";

pub(crate) const COMPILE: &str = "Compiles the bytes in this program. That takes long: compile once, for all instances.\n\n\
     # Errors\n\nIf the engine does not support what the module needs.";

pub(crate) const INSTANCE: &str = "The instance. Through this, call a method of the instance that an export of the same name hides.";

pub(crate) const INTO_INSTANCE: &str = "Gives the instance, without its wrapper.";

/// The documentation of `new`.
pub(crate) fn new(module: &str) -> String {
    format!(
        "Instantiates the guest, in a store with this state.\n\n{module}\n\n# Errors\n\nIf the module lacks an export that \
         the guest had when this program was built, or has it with another type; and those of `Instance::new`."
    )
}

/// The documentation of the wrapper, which follows that of the user.
pub(crate) fn wrapper(guest: &str, module: &Module) -> String {
    let mut text = format!(
        "A wrapper of the guest {}. It derefs to its `Instance`. If an export hides a method of the instance, call that \
         method through [`instance`](Self::instance).",
        code(guest)
    );
    let mut left_out = module.exports.iter().filter_map(|export| match &export.kind {
        Kind::LeftOut(why) => Some(format!("\n- {}: {why}", code(&export.name))),
        _ => None,
    });
    if let Some(first) = left_out.next() {
        text += "\n\nThese exports have no method. Reach them through `store()`:\n";
        text += &first;
        text.extend(left_out);
    }
    text
}

/// The documentation of a method: a sentence, and the function of the library whose errors the method has.
pub(crate) fn with_errors(sentence: &str, of: &str) -> TokenStream {
    comment(&format!("{sentence}\n\n# Errors\n\nThose of `{of}`."))
}

/// A doc comment.
pub(crate) fn comment(text: &str) -> TokenStream {
    let lines = text.lines().map(|line| match line {
        "" => String::new(),
        line => format!(" {line}"),
    });
    quote!(#(#[doc = #lines])*)
}

/// A name as code in a doc comment. It may contain any character.
pub(crate) fn code(name: &str) -> String {
    let name = name.escape_debug().to_string();
    if name.is_empty() || name.contains('`') {
        format!("`` {name:?} ``")
    } else {
        format!("`{name}`")
    }
}

/// `(i32, i32) -> (i32)`
pub(crate) fn signature(params: &[Param], results: &[Type]) -> String {
    let list = |types: Vec<String>| format!("({})", types.join(", "));
    let params = list(params.iter().map(|param| param.ty.to_string()).collect());
    let results = list(results.iter().map(ToString::to_string).collect());
    format!("{params} -> {results}")
}
