//! The methods that call exported functions. A part of the expansion.

use crate::docs::{code, signature, with_errors};
use crate::expand::Wrapper;
use crate::functions::Function;
use crate::input::{Declaration, Traps};
use proc_macro2::{Literal, TokenStream};
use quote::quote;

impl Wrapper<'_> {
    /// The methods that call functions.
    ///
    /// A guest may name a parameter `None` or `MAX`. If the host has a constant of that name, the compiler takes the pattern for the
    /// constant, and refuses `mut MAX` and `MAX @ _`. The one kind of item that a parameter can hide is a function, so the block
    /// declares a function of each name, which hides the host's item.
    pub(crate) fn calls(&self) -> Option<TokenStream> {
        if self.functions.functions.is_empty() {
            return None;
        }
        let name = &self.declaration.name;
        let (allow_names, cfgs) = (self.allow_names(), self.cfgs());
        let names = self.functions.names_of_params();
        let calls = self.functions.functions.iter().map(|function| self.call(function));
        let hiding = names.iter().map(|name| {
            quote! {
                #[allow(dead_code, non_snake_case, reason = "so that no item of the host is taken for a parameter")]
                const fn #name() {}
            }
        });
        Some(quote! {
            #(#cfgs)*
            const _: () = {
                #(#hiding)*

                #[allow(dead_code, reason = "no program needs all of it")]
                #allow_names
                impl #name {
                    #(#calls)*
                }
            };
        })
    }

    fn call(&self, function: &Function<'_>) -> TokenStream {
        let Declaration { library, vis, options, .. } = self.declaration;
        let Function { method, params, results, names, group, place } = function;
        let results = self.declaration.results(results);
        let (call, result, errors) = match options.traps {
            Traps::Error => (quote!(call), results, "Func::call"),
            Traps::Value => {
                let result = quote!(::core::result::Result<#results, #library::Trap>);
                (quote!(try_call), result, "Func::try_call")
            }
        };
        let result = self.declaration.result(&quote!(#library::Future<#result>));
        let sentence = format!(
            "Calls the export {}, `{}`.",
            code(&method.export.name),
            signature(params, function.results)
        );
        let docs = with_errors(&sentence, errors);
        let types = params.iter().map(|param| self.declaration.rust_type(param.ty));
        // Clippy warns of more than seven parameters, and counts `&self`.
        let allow = (params.len() > 6).then(|| quote!(#[allow(clippy::too_many_arguments)]));
        let field = &self.functions.groups[*group].field;
        let (name, place) = (&method.name, Literal::usize_unsuffixed(*place));
        quote! {
            #docs
            #allow
            #vis fn #name(&self #(, #names: #types)*) -> #result {
                self.#field[#place].#call((#(#names,)*))
            }
        }
    }
}
