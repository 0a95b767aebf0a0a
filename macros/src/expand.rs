//! The expansion: a struct that holds the instance and its functions, and a method for each export. It comes from a [`Declaration`],
//! its [`File`] and its [`Module`], and goes to the compiler.

use crate::docs::{self, comment, signature};
use crate::file::File;
use crate::functions::{Functions, Group};
use crate::input::Declaration;
use crate::methods::{Method, methods};
use crate::module::{Kind, Module};
use crate::names;
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, Result};

/// The wrapper of this module, or an error if the declaration does not fit the module.
pub(crate) fn expand(
    declaration: &Declaration,
    file: &File,
    module: &Module,
) -> Result<TokenStream> {
    let methods = methods(declaration, module)?;
    let functions = Functions::of(&methods);
    let wrapper = Wrapper { declaration, file, module, methods: &methods, functions };
    let (item, own, calls) = (wrapper.item(), wrapper.own_and_accessors(), wrapper.calls());
    let traits = wrapper.traits();
    Ok(quote! { #item #own #calls #traits })
}

/// Everything from which a wrapper is written. The files `accessors` and `calls` write its methods.
pub(crate) struct Wrapper<'a> {
    pub(crate) declaration: &'a Declaration,
    pub(crate) functions: Functions<'a>,
    file: &'a File,
    module: &'a Module,
    methods: &'a [Method<'a>],
}

impl Wrapper<'_> {
    /// The struct.
    fn item(&self) -> TokenStream {
        let Declaration { library, attrs, vis, name, state, .. } = self.declaration;
        let docs = self.docs();
        let fields =
            self.functions.groups.iter().map(|Group { field, params, results, exports }| {
                let params = self.declaration.params(params);
                let results = self.declaration.results(results);
                let count = Literal::usize_unsuffixed(exports.len());
                quote!(#field: [#library::Func<#params, #results, #state>; #count])
            });
        let allow = self.allow_names();
        quote! {
            #(#attrs)*
            #docs
            #allow
            #vis struct #name {
                instance: #library::Instance<#state>,
                #(#fields,)*
            }
        }
    }

    fn docs(&self) -> TokenStream {
        let text = docs::wrapper(&self.declaration.path.written, self.module);
        let has_docs = self.declaration.attrs.iter().any(|attr| attr.path().is_ident("doc"));
        comment(&if has_docs { format!("\n{text}") } else { text })
    }

    /// The functions that every wrapper has, and the methods of the exports that are not functions.
    fn own_and_accessors(&self) -> TokenStream {
        let Declaration { library, vis, name, state, .. } = self.declaration;
        let (allow_names, cfgs) = (self.allow_names(), self.cfgs());
        let descriptions = self.descriptions();
        let constructors = self.constructors();
        let accessors = self.methods.iter().map(|method| self.accessor(method));
        let (instance_docs, into_docs) = (comment(docs::INSTANCE), comment(docs::INTO_INSTANCE));
        quote! {
            #(#cfgs)*
            #[allow(dead_code, reason = "no program needs all of it")]
            #allow_names
            impl #name {
                #descriptions
                #constructors

                #instance_docs
                #[must_use]
                #vis fn instance(&self) -> &#library::Instance<#state> {
                    &self.instance
                }

                #into_docs
                #[must_use]
                #vis fn into_instance(self) -> #library::Instance<#state> {
                    self.instance
                }

                #(#accessors)*
            }
        }
    }

    /// The functions that make a wrapper.
    fn constructors(&self) -> TokenStream {
        let Declaration { library, vis, state, options, .. } = self.declaration;
        let result = self.declaration.result(&quote!(Self));
        let module = if options.embed { docs::MODULE_OR_ENGINE } else { docs::MODULE };
        let new_docs = comment(&docs::new(module));
        let with_options_docs = comment(docs::WITH_OPTIONS);
        let from_instance_docs = comment(docs::FROM_INSTANCE);
        let functions = self.functions.functions.len();
        let fields = self.functions.groups.iter().map(|Group { field, exports, .. }| {
            quote!(#field: #library::__wrapper::look_up(&instance, [#(#exports),*])?)
        });
        let exports = quote!(module, linker, Self::EXPORTS);
        let checkpoints = options.checkpoints;
        let link = match options.freezable {
            true => quote!(link_freezable::<Self, _>(#exports)),
            false => quote!(link::<Self, _>(#exports, #checkpoints)),
        };
        let check_others = (functions < self.methods.len()).then(|| {
            let functions = Literal::usize_unsuffixed(functions);
            // Functions are checked as they are looked up.
            quote!(#library::__wrapper::check(&instance, &Self::EXPORTS[#functions..])?;)
        });
        let module = options.embed.then(|| self.module_function());
        quote! {
            #new_docs
            #vis fn new(
                module: impl #library::ModuleSource<Self>,
                linker: &#library::wasmtime::Linker<#state>,
                state: #state,
            ) -> #result {
                let pre = #library::__wrapper::#link?;
                Self::from_instance(#library::Instance::new(&pre, state)?)
            }

            #with_options_docs
            #vis fn with_options(
                module: impl #library::ModuleSource<Self>,
                linker: &#library::wasmtime::Linker<#state>,
                options: #library::InstanceOptions,
                state: impl ::core::ops::Fn() -> #state + ::core::marker::Send + ::core::marker::Sync + 'static,
            ) -> #result {
                let pre = #library::__wrapper::#link?;
                Self::from_instance(#library::Instance::with_options(&pre, options, state)?)
            }

            #from_instance_docs
            #vis fn from_instance(instance: #library::Instance<#state>) -> #result {
                #check_others
                ::core::result::Result::Ok(Self { #(#fields,)* instance })
            }

            #module
        }
    }

    fn module_function(&self) -> TokenStream {
        let Declaration { library, vis, options, .. } = self.declaration;
        let docs = comment(docs::COMPILE);
        let prepared = quote!(#library::__wrapper::PreparedModule);
        let (module, compile) = match (options.freezable, options.checkpoints) {
            (true, _) => (prepared, quote!(compile_freezable)),
            (false, true) => (prepared, quote!(compile_prepared)),
            (false, false) => (quote!(#library::wasmtime::Module), quote!(compile)),
        };
        let result = self.declaration.result(&module);
        quote! {
            #docs
            #vis fn module(engine: &#library::wasmtime::Engine) -> #result {
                #library::__wrapper::#compile::<Self>(engine)
            }
        }
    }

    /// The exports that the wrapper relies on, in the words that the library has for the exports of a module. Functions come first.
    fn descriptions(&self) -> TokenStream {
        let functions = self.functions.functions.iter().map(|function| {
            let signature = signature(function.params, function.results);
            (&function.method.export.name, format!("function {signature}"))
        });
        let others = self.methods.iter().filter_map(|method| {
            let description = match &method.export.kind {
                Kind::Global { ty, mutable: true } => format!("global mut {ty}"),
                Kind::Global { ty, mutable: false } => format!("global {ty}"),
                Kind::Memory { shared: true } => "shared memory".to_owned(),
                Kind::Memory { shared: false } => "memory".to_owned(),
                Kind::Table => "table".to_owned(),
                Kind::Function { .. } | Kind::LeftOut(_) => return None,
            };
            Some((&method.export.name, description))
        });
        let exports =
            functions.chain(others).map(|(name, description)| quote!((#name, #description)));
        let str = quote!(&'static ::core::primitive::str);
        quote!(const EXPORTS: &'static [(#str, #str)] = &[#(#exports),*];)
    }

    fn traits(&self) -> TokenStream {
        let Declaration { library, name, state, options, .. } = self.declaration;
        let shown = name.unraw().to_string();
        let cfgs: Vec<_> = self.cfgs().collect();
        let path = &self.file.path;
        let file = quote!(::core::include_bytes!(#path));
        let wasm = match self.file.is_text {
            true => {
                let wasm = Literal::byte_string(&self.file.wasm);
                quote!(#wasm)
            }
            false => file.clone(),
        };
        let checkpoints = options.checkpoints.then(|| {
            quote!(
                const CHECKPOINTS: ::core::primitive::bool = true;
            )
        });
        let freezable = options.freezable.then(|| {
            quote!(
                const FREEZABLE: ::core::primitive::bool = true;
            )
        });
        let embedded = options.embed.then(|| {
            quote! {
                #(#cfgs)*
                impl #library::Embedded for #name {
                    const WASM: &'static [::core::primitive::u8] = #wasm;
                    #checkpoints
                    #freezable
                }
            }
        });
        // Makes cargo build the host again when the file has changed.
        let depends = (!options.embed || self.file.is_text)
            .then(|| quote!(#(#cfgs)* const _: &[::core::primitive::u8] = #file;));
        quote! {
            #(#cfgs)*
            impl ::core::ops::Deref for #name {
                type Target = #library::Instance<#state>;

                fn deref(&self) -> &Self::Target {
                    &self.instance
                }
            }

            #(#cfgs)*
            impl ::core::fmt::Debug for #name {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct(#shown).field("instance", &self.instance).finish()
                }
            }

            #embedded
            #depends
        }
    }

    /// The `#[cfg]` attributes of the wrapper, which go on all its items.
    pub(crate) fn cfgs(&self) -> impl Iterator<Item = &Attribute> {
        self.declaration.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }

    /// Allows names that are not in snake case, because the guest has them.
    pub(crate) fn allow_names(&self) -> Option<TokenStream> {
        let of_methods = self.methods.iter().map(|method| &method.name);
        let mut all = of_methods.chain(self.functions.names_of_params());
        let fine = all.all(|name| names::is_snake_case(&name.to_string()));
        (!fine).then(|| quote!(#[allow(non_snake_case, reason = "as the guest has it")]))
    }
}
