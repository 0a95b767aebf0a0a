//! Tests of the macro as a function, which need no compiler. Whole expansions are compared with the files in `tests/expanded`.
//!
//! `EXPANDED=overwrite cargo test -p wasm-jobs-macros` writes those files again; read their diff.

use crate::module::{Export, Kind, Module};
use proc_macro2::Spacing::Joint;
use proc_macro2::{Group, TokenStream, TokenTree};
use quote::quote;
use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The error that this input gives.
fn failure(input: TokenStream) -> String {
    match crate::wrap(input, Some(package())) {
        Ok(expansion) => panic!("no error, but an expansion: {expansion}"),
        Err(error) => error.to_string(),
    }
}

/// Compares an expansion with the file of this name.
#[track_caller]
fn assert_expands(name: &str, input: TokenStream) {
    let expansion = crate::wrap(input, Some(package())).unwrap();
    let formatted = prettyplease::unparse(&syn::parse2(expansion).unwrap());
    // The folder of the package differs between machines.
    let found = formatted.replace(package().to_str().unwrap(), "$PACKAGE");
    let path = package().join("tests/expanded").join(name).with_extension("rs");
    if env::var_os("EXPANDED").is_some_and(|what| what == "overwrite") {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "the expansion differs from {}, see the diff after `EXPANDED=overwrite cargo test`:\n{found}",
        path.display()
    );
}

#[test]
fn a_counter() {
    assert_expands(
        "counter",
        quote! {
            wasm_jobs =>
            /// Counts.
            pub struct Counter in "tests/guests/counter.wat";
        },
    );
}

#[test]
fn everything() {
    assert_expands(
        "everything",
        quote! {
            wasm_jobs =>
            pub(crate) struct Everything<Vec<World>> in "tests/guests/everything.wat" {
                rename: { "renamed" => another_name, "a keyword" => r#loop },
            }
        },
    );
}

#[test]
fn traps_as_values_without_the_bytes() {
    assert_expands(
        "divider",
        quote! {
            crate => struct Divider<World> in "tests/guests/divider.wat" { embed: false, traps: value };
        },
    );
}

#[test]
fn a_binary() {
    assert_expands(
        "adder",
        quote!(wasm_jobs => pub struct Adder<()> in "tests/guests/adder.wasm";),
    );
}

/// The error that a declaration with this file and these options gives.
fn failure_of(path: &str, options: TokenStream) -> String {
    failure(quote!(wasm_jobs => struct Guest in #path { #options }))
}

/// The binary module of a text.
fn guest(text: &str) -> Vec<u8> {
    crate::file::to_binary(text).unwrap()
}

#[test]
fn a_missing_file_is_named_by_its_absolute_path() {
    let message = failure_of("tests/guests/missing.wasm", quote!());
    let path = package().join("tests/guests/missing.wasm");
    assert!(message.starts_with(&format!("there is no file `{}`: ", path.display())), "{message}");
    assert!(message.contains("relative to the folder of the package"), "{message}");
}

#[test]
fn without_cargo_a_path_is_absolute() {
    let relative = quote!(wasm_jobs => struct Adder in "tests/guests/adder.wasm";);
    let message = crate::wrap(relative, None).unwrap_err().to_string();
    assert!(message.ends_with("write an absolute path"), "{message}");

    let path = package().join("tests/guests/adder.wasm");
    let path = path.to_str().unwrap();
    let absolute = crate::wrap(quote!(wasm_jobs => struct Adder in #path;), None).unwrap();
    assert!(absolute.to_string().contains("include_bytes ! (\"/"), "{absolute}");
}

#[test]
fn the_library_has_to_come_first() {
    let message = failure(quote!(struct Adder in "tests/guests/adder.wasm";));
    assert_eq!(message, "this macro is a part of `wasm_jobs::wrapper!`: use that");
}

#[test]
fn options_may_end_with_a_comma_or_not_and_so_may_the_declaration_with_a_semicolon() {
    for options in [quote!({}), quote!({};), quote!({ embed: false }), quote!({ embed: false, };)] {
        let input = quote!(wasm_jobs => struct Adder in "tests/guests/adder.wasm" #options);
        assert!(crate::wrap(input, Some(package())).is_ok(), "{options}");
    }
}

#[test]
fn a_path_may_have_environment_variables() {
    // Cargo sets this variable to the folder of the package.
    let path = quote!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/", "guests/adder.wasm"));
    let expansion = crate::wrap(quote!(wasm_jobs => struct Adder in #path;), None).unwrap();
    let expansion = expansion.to_string();
    let file = package().join("tests/guests/adder.wasm");
    assert!(expansion.contains(&format!("include_bytes ! ({file:?})")), "{expansion}");
    assert!(expansion.contains("`$CARGO_MANIFEST_DIR/tests/guests/adder.wasm`"), "{expansion}");

    let path = quote!(concat!(env!("NO_SUCH_VARIABLE"), "/adder.wasm"));
    let message = failure(quote!(wasm_jobs => struct Adder in #path;));
    assert_eq!(message, "`NO_SUCH_VARIABLE`: environment variable not found");
}

#[test]
fn all_exports_with_the_same_method_are_reported_at_once() {
    let declaration = quote!(wasm_jobs => struct Guest in "tests/guests/same.wat";);
    let wrong = crate::wrap(declaration, Some(package())).unwrap_err();
    let messages: Vec<_> = wrong.into_iter().map(|error| error.to_string()).collect();
    let (first, second) =
        (r#"the export "a-b" and the export "a_b""#, r#"the export "c.d" and the export "c-d""#);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with(first) && messages[1].starts_with(second), "{messages:?}");
}

#[test]
fn all_items_have_the_condition_of_the_wrapper() {
    for path in ["tests/guests/counter.wat", "tests/guests/adder.wasm"] {
        for options in [quote!(), quote!(embed: false)] {
            let input = quote!(wasm_jobs => #[cfg(any())] struct Counter in #path { #options });
            let file: syn::File =
                syn::parse2(crate::wrap(input, Some(package())).unwrap()).unwrap();
            assert!(file.items.len() > 3);
            for item in &file.items {
                let attrs = match item {
                    syn::Item::Struct(item) => &item.attrs,
                    syn::Item::Impl(item) => &item.attrs,
                    syn::Item::Const(item) => &item.attrs,
                    _ => panic!("another item"),
                };
                assert!(attrs.iter().any(|attr| attr.path().is_ident("cfg")));
            }
        }
    }
}

#[test]
fn a_guest_that_exports_nothing_has_an_empty_wrapper() {
    let module = Module::read(&guest("(module (func))")).unwrap();
    assert!(module.exports.is_empty());
}

#[test]
fn a_guest_that_ends_early_is_an_error_and_never_a_panic() {
    let whole = guest(include_str!("../tests/guests/everything.wat"));
    let all = Module::read(&whole).unwrap().exports.len();
    let mut broken = 0;
    for end in 0..whole.len() {
        match Module::read(&whole[..end]) {
            Ok(module) => assert!(module.exports.len() <= all),
            Err(message) => {
                assert!(message.contains("truncated or broken"), "{message}");
                broken += 1;
            }
        }
    }
    // A module that ends between two sections can be read, unless its functions lack their code.
    assert!(broken > whole.len() - 12, "{broken} of {}", whole.len());
}

#[test]
fn a_guest_with_a_wrong_byte_never_makes_a_panic() {
    let whole = guest(include_str!("../tests/guests/everything.wat"));
    let mut broken = 0;
    for at in 0..whole.len() {
        for with in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut wrong = whole.clone();
            wrong[at] = with;
            broken += usize::from(Module::read(&wrong).is_err());
        }
    }
    assert!(broken > whole.len());
}

#[test]
fn an_export_that_refers_to_nothing_is_an_error() {
    // The index of the function is behind the name and the kind.
    let mut wasm = guest("(module (func (export \"run\")))");
    let at = wasm.windows(5).position(|bytes| bytes == b"run\0\0").unwrap() + 4;
    wasm[at] = 9;
    let message = Module::read(&wasm).unwrap_err();
    assert!(message.contains("`run` refers to nothing"), "{message}");
}

#[test]
fn two_exports_of_one_name_are_not_valid() {
    let mut wasm = guest("(module (func (export \"a\") (export \"b\")))");
    let at = wasm.iter().position(|byte| *byte == b'b').unwrap();
    wasm[at] = b'a';
    let message = Module::read(&wasm).unwrap_err();
    assert_eq!(message, "the module is not valid: two of its exports are named `a`");
}

#[test]
fn a_module_with_a_broken_name_section_is_read() {
    let mut wasm = guest("(module (func (export \"run\") (param $by i32)))");
    let at = wasm.windows(2).position(|bytes| bytes == b"by").unwrap();
    wasm[at] = 0xff;
    let module = Module::read(&wasm).unwrap();
    let [Export { kind: Kind::Function { params, .. }, .. }] = &*module.exports else {
        panic!("{module:?}");
    };
    assert_eq!(params[0].name, None);
}

/// Prints how long the macro takes.
#[test]
fn a_guest_of_a_megabyte_is_read() {
    let function =
        "(func (param $x i32) (result i32)".to_owned() + &"(local.get $x) drop".repeat(60);
    let functions = (0..6000).map(|n| match n % 10 {
        0 => format!("{function} (local.get $x)) (export \"f{n}\" (func {n}))"),
        _ => format!("{function} (local.get $x))"),
    });
    let wasm = guest(&format!("(module {})", functions.collect::<String>()));
    assert!(wasm.len() > 1 << 20, "{}", wasm.len());
    let path = env::temp_dir().join(format!("wasm-jobs-macros-{}.wasm", std::process::id()));
    fs::write(&path, wasm).unwrap();

    let started = Instant::now();
    let written = path.to_str().unwrap();
    let expansion = crate::wrap(quote!(wasm_jobs => pub struct Large in #written;), None);
    println!("a guest of a megabyte with 600 exports: {:?}", started.elapsed());
    fs::remove_file(&path).unwrap();
    let expansion = expansion.unwrap().to_string();
    assert!((0..6000).step_by(10).all(|n| expansion.contains(&format!("fn f{n} "))));
}

/// The tokens with each path cut to its last segment.
fn without_paths(tokens: TokenStream) -> TokenStream {
    let mut short: Vec<TokenTree> = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == Joint => {
                tokens.next();
                // A path may begin with `::`, behind a keyword.
                short.pop_if(|last| matches!(last, TokenTree::Ident(ident) if ident != "impl"));
            }
            TokenTree::Group(group) => {
                short.push(Group::new(group.delimiter(), without_paths(group.stream())).into());
            }
            _ => short.push(token),
        }
    }
    short.into_iter().collect()
}

/// A signature as text that does not depend on its layout.
fn text_of(signature: TokenStream) -> String {
    let mut text = without_paths(signature).to_string();
    text.retain(|c| !c.is_whitespace());
    text.replace(",>", ">").replace(",)", ")")
}

#[test]
fn the_documentation_shows_the_methods_of_the_counter_as_they_are() {
    let read = |path: &str| fs::read_to_string(package().join(path)).unwrap();
    let page = read("../docs/wrappers.md");
    assert!(page.contains(&read("tests/guests/counter.wat")), "the page shows another guest");
    assert!(page.contains("macros/tests/expanded/counter.rs"), "the page names the expansion");

    let (_, shown) = page.split_once("impl Counter {").unwrap();
    let (shown, _) = shown.split_once("\n}").unwrap();
    let mut shown: Vec<_> =
        shown.split_terminator(';').map(|signature| text_of(signature.parse().unwrap())).collect();

    let expansion: syn::File = syn::parse_str(&read("tests/expanded/counter.rs")).unwrap();
    let mut written = Vec::new();
    let mut items = expansion.items;
    while let Some(item) = items.pop() {
        match item {
            syn::Item::Impl(item) if item.trait_.is_none() => {
                for item in item.items {
                    if let syn::ImplItem::Fn(function) = item {
                        let (vis, signature) = (function.vis, function.sig);
                        written.push(text_of(quote!(#vis #signature)));
                    }
                }
            }
            syn::Item::Const(item) => {
                if let syn::Expr::Block(block) = *item.expr {
                    items.extend(block.block.stmts.into_iter().filter_map(|stmt| match stmt {
                        syn::Stmt::Item(item) => Some(item),
                        _ => None,
                    }));
                }
            }
            _ => {}
        }
    }
    shown.sort_unstable();
    written.sort_unstable();
    assert_eq!(shown, written);
}
