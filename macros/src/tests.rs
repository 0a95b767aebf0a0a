//! The macro as a function: whole expansions, which are in `tests/expanded`, and what no compiler is needed for to see.
//!
//! `EXPANDED=overwrite cargo test -p wasm-jobs-macros` writes them anew, to be read in the diff.

use crate::module::{Export, Kind, Module};
use proc_macro2::TokenStream;
use quote::quote;
use std::path::PathBuf;
use std::time::Instant;
use std::{env, fs};

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The message of what is wrong with it.
fn failure(input: TokenStream) -> String {
    match crate::wrap(input, Some(package())) {
        Ok(expansion) => panic!("is fine: {expansion}"),
        Err(error) => error.to_string(),
    }
}

/// Compares an expansion with the file of this name.
#[track_caller]
fn assert_expands(name: &str, input: TokenStream) {
    let expansion = crate::wrap(input, Some(package())).unwrap();
    let formatted = prettyplease::unparse(&syn::parse2(expansion).unwrap());
    // On each machine it is another.
    let found = formatted.replace(package().to_str().unwrap(), "$PACKAGE");
    let path = package().join("tests/expanded").join(name).with_extension("rs");
    if env::var_os("EXPANDED").is_some_and(|what| what == "overwrite") {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} has another expansion, see the diff after `EXPANDED=overwrite cargo test`:\n{found}",
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

/// What is wrong with a declaration of this file and these options.
fn failure_of(path: &str, options: TokenStream) -> String {
    failure(quote!(wasm_jobs => struct Guest in #path { #options }))
}

/// Binary, of the text format.
fn guest(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_missing_file_is_named_from_the_root() {
    let message = failure_of("tests/guests/missing.wasm", quote!());
    let path = package().join("tests/guests/missing.wasm");
    assert!(message.starts_with(&format!("there is no file `{}`: ", path.display())), "{message}");
    assert!(message.contains("relative to the folder of the package"), "{message}");
}

#[test]
fn without_cargo_a_path_is_from_the_root() {
    let relative = quote!(wasm_jobs => struct Adder in "tests/guests/adder.wasm";);
    let message = crate::wrap(relative, None).unwrap_err().to_string();
    assert!(message.ends_with("write the path from the root"), "{message}");

    let path = package().join("tests/guests/adder.wasm");
    let path = path.to_str().unwrap();
    let absolute = crate::wrap(quote!(wasm_jobs => struct Adder in #path;), None).unwrap();
    assert!(absolute.to_string().contains("include_bytes ! (\"/"), "{absolute}");
}

#[test]
fn the_library_has_to_come_first() {
    let message = failure(quote!(struct Adder in "tests/guests/adder.wasm";));
    assert_eq!(message, "this is called by `wasm_jobs::wrapper!`: use that");
}

#[test]
fn options_may_end_with_a_comma_or_not_and_so_may_the_declaration_with_a_semicolon() {
    for options in [quote!({}), quote!({};), quote!({ embed: false }), quote!({ embed: false, };)] {
        let input = quote!(wasm_jobs => struct Adder in "tests/guests/adder.wasm" #options);
        assert!(crate::wrap(input, Some(package())).is_ok(), "{options}");
    }
}

#[test]
fn a_path_may_have_variables_of_the_environment() {
    // The folder of this package, as cargo says it to whatever it builds and runs.
    let path = quote!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/", "guests/adder.wasm"));
    let expansion = crate::wrap(quote!(wasm_jobs => struct Adder in #path;), None).unwrap();
    let expansion = expansion.to_string();
    let file = package().join("tests/guests/adder.wasm");
    assert!(expansion.contains(&format!("include_bytes ! ({file:?})")), "{expansion}");
    assert!(expansion.contains("`$CARGO_MANIFEST_DIR/tests/guests/adder.wasm`"), "{expansion}");

    let path = quote!(concat!(env!("NO_SUCH_VARIABLE"), "/adder.wasm"));
    let message = failure(quote!(wasm_jobs => struct Adder in #path;));
    assert_eq!(message, "the variable `NO_SUCH_VARIABLE`: environment variable not found");
}

#[test]
fn all_that_come_to_one_name_are_told_at_once() {
    let declaration = quote!(wasm_jobs => struct Guest in "tests/guests/same.wat";);
    let wrong = crate::wrap(declaration, Some(package())).unwrap_err();
    let messages: Vec<_> = wrong.into_iter().map(|error| error.to_string()).collect();
    let (first, second) =
        (r#"the export "a-b" and the export "a_b""#, r#"the export "c.d" and the export "c-d""#);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with(first) && messages[1].starts_with(second), "{messages:?}");
}

#[test]
fn what_is_there_by_a_condition_is_so_with_all_that_belongs_to_it() {
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
    // It is not broken where one section ends and the next one begins, if no code is owed.
    assert!(broken > whole.len() - 12, "{broken} of {}", whole.len());
}

#[test]
fn a_guest_with_a_wrong_byte_is_no_panic() {
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
fn an_export_of_nothing_is_an_error() {
    // The number of the function, which is the last thing before the section of code.
    let mut wasm = guest("(module (func (export \"run\")))");
    let at = wasm.windows(5).position(|bytes| bytes == b"run\0\0").unwrap() + 4;
    wasm[at] = 9;
    let message = Module::read(&wasm).unwrap_err();
    assert!(message.contains("`run` is of nothing that there is"), "{message}");
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
fn a_broken_section_of_names_is_no_harm() {
    let mut wasm = guest("(module (func (export \"run\") (param $by i32)))");
    let at = wasm.windows(2).position(|bytes| bytes == b"by").unwrap();
    wasm[at] = 0xff;
    let module = Module::read(&wasm).unwrap();
    let [Export { kind: Kind::Function { params, .. }, .. }] = &*module.exports else {
        panic!("{module:?}");
    };
    assert_eq!(params[0].name, None);
}

/// Reading it and writing its wrapper takes some 50 ms, unoptimised, which this prints; a host's build is to take less than a
/// second longer for it.
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

/// The documentation shows one expansion whole.
#[test]
fn the_documentation_shows_the_counter_as_it_is() {
    let read = |path: &str| fs::read_to_string(package().join(path)).unwrap();
    let page = read("../docs/wrappers.md");
    for part in ["tests/guests/counter.wat", "tests/expanded/counter.rs"] {
        assert!(page.contains(&read(part)), "docs/wrappers.md has another {part}");
    }
}
