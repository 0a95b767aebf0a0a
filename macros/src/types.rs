//! The Rust types of wasm's types, as tokens for the expansion.

use crate::input::Declaration;
use crate::module::{Param, Type};
use proc_macro2::TokenStream;
use quote::quote;

impl Declaration {
    /// The parameters of a function, as a tuple, for the library's `Func`.
    pub(crate) fn params(&self, params: &[Param]) -> TokenStream {
        let types = params.iter().map(|param| self.rust_type(param.ty));
        quote!((#(#types,)*))
    }

    /// The results of a function for the library's `Func`: a single one by itself, and otherwise a tuple.
    pub(crate) fn results(&self, results: &[Type]) -> TokenStream {
        let types = results.iter().map(|ty| self.rust_type(*ty));
        if results.len() == 1 { quote!(#(#types)*) } else { quote!((#(#types),*)) }
    }

    pub(crate) fn rust_type(&self, ty: Type) -> TokenStream {
        let library = &self.library;
        match ty {
            Type::I32 => quote!(::core::primitive::i32),
            Type::I64 => quote!(::core::primitive::i64),
            Type::F32 => quote!(::core::primitive::f32),
            Type::F64 => quote!(::core::primitive::f64),
            Type::V128 => quote!(#library::wasmtime::V128),
            Type::FuncRef => quote!(::core::option::Option<#library::wasmtime::Func>),
            Type::ExternRef => {
                let external = quote!(#library::wasmtime::ExternRef);
                quote!(::core::option::Option<#library::wasmtime::OwnedRooted<#external>>)
            }
        }
    }

    /// A `Result` of this value and the library's error.
    pub(crate) fn result(&self, value: &TokenStream) -> TokenStream {
        let library = &self.library;
        quote!(::core::result::Result<#value, #library::Error>)
    }
}
