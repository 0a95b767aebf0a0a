//! A module that denies all lints, and has items with the names of the prelude.

#![deny(warnings, missing_docs, missing_debug_implementations, unused_results)]
#![deny(clippy::all, clippy::pedantic)]

use crate::library;
#[allow(unused_imports, clippy::wildcard_imports, reason = "no wrapper may use these")]
use others::*;

#[allow(
    dead_code,
    unreachable_pub,
    non_camel_case_types,
    non_snake_case,
    reason = "no wrapper may use these"
)]
mod others {
    pub struct Result;
    pub struct Option;
    pub trait Send {}
    pub trait Sync {}
    pub trait Fn {}
    pub struct i32;
    pub struct u8;
    pub struct str;
    pub fn Ok() {}
    pub mod core {}
}

macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { library => $($declaration)* }
    };
}

wrapper! {
    /// Counts.
    pub struct Counter<u64> in "tests/guests/counter.wat";
}

wrapper! {
    pub struct Adder in "tests/guests/adder.wasm";
}

wrapper! {
    pub struct Divider<Vec<u64>> in "tests/guests/divider.wat" { traps: value, embed: false, }
}

wrapper! {
    pub struct Everything<Vec<u64>> in "tests/guests/everything.wat" {
        rename: { "renamed" => another_name, "a keyword" => r#loop },
    }
}
