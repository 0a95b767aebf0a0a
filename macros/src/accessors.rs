//! The methods of exports that are not functions: getters, setters and guards. A part of the expansion.

use crate::docs::{code, with_errors};
use crate::expand::Wrapper;
use crate::input::Declaration;
use crate::methods::Method;
use crate::module::Kind;
use proc_macro2::{Ident, TokenStream};
use quote::quote;

impl Wrapper<'_> {
    /// The methods of an export that is not a function.
    pub(crate) fn accessor(&self, method: &Method<'_>) -> TokenStream {
        let Declaration { library, state, .. } = self.declaration;
        let export = &method.export.name;
        let shown = code(export);
        match &method.export.kind {
            Kind::Global { ty, .. } => {
                let value = self.declaration.rust_type(*ty);
                let docs = with_errors(&format!("Reads the global {shown}."), "Instance::store");
                let body = quote!(self.instance.store()?.get_global(#export));
                let get = self.getter(&docs, &method.name, &value, &body);
                let set = method.setter().map(|setter| self.setter(&setter, export, &value));
                quote!(#get #set)
            }
            Kind::Memory { shared: true } => {
                let docs = with_errors(&format!("The shared memory {shown}."), "Instance::store");
                let memory = quote!(#library::wasmtime::SharedMemory);
                let body = quote!(self.instance.store()?.shared_memory(#export));
                self.getter(&docs, &method.name, &memory, &body)
            }
            Kind::Memory { shared: false } => {
                let sentence =
                    format!("The memory {shown}. No call can be made while its guard exists.");
                let docs = with_errors(&sentence, "Instance::memory");
                let guard = quote!(#library::MemoryGuard<'_, #state>);
                let body = quote!(self.instance.memory(#export));
                self.getter(&docs, &method.name, &guard, &body)
            }
            Kind::Table => {
                let sentence =
                    format!("The table {shown}. No call can be made while its guard exists.");
                let docs = with_errors(&sentence, "Instance::table");
                let guard = quote!(#library::TableGuard<'_, #state>);
                let body = quote!(self.instance.table(#export));
                self.getter(&docs, &method.name, &guard, &body)
            }
            Kind::Function { .. } | Kind::LeftOut(_) => TokenStream::new(),
        }
    }

    fn getter(
        &self,
        docs: &TokenStream,
        name: &Ident,
        value: &TokenStream,
        body: &TokenStream,
    ) -> TokenStream {
        let vis = &self.declaration.vis;
        let result = self.declaration.result(value);
        quote! {
            #docs
            #vis fn #name(&self) -> #result {
                #body
            }
        }
    }

    fn setter(&self, name: &Ident, export: &str, value: &TokenStream) -> TokenStream {
        let vis = &self.declaration.vis;
        let docs = with_errors(&format!("Sets the global {}.", code(export)), "Instance::store");
        let result = self.declaration.result(&quote!(()));
        quote! {
            #docs
            #vis fn #name(&self, value: #value) -> #result {
                self.instance.store()?.set_global(#export, value)
            }
        }
    }
}
