//! The wrapper: a struct that holds the instance and its functions, with a method for each export.

use crate::file::File;
use crate::input::{Declaration, Traps};
use crate::module::{Export, Kind, Module, Param, Type};
use crate::names;
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote};
use std::collections::HashMap;
use syn::ext::IdentExt;
use syn::{Attribute, Error, Result};

/// The wrapper of this module, or what its declaration gets wrong about it.
pub(crate) fn expand(
    declaration: &Declaration,
    file: &File,
    module: &Module,
) -> Result<TokenStream> {
    let methods = methods(declaration, module)?;
    let signatures = signatures(&methods);
    let wrapper = Wrapper { declaration, file, module, methods, signatures };
    let (item, functions, traits) = (wrapper.item(), wrapper.functions(), wrapper.traits());
    Ok(quote! { #item #functions #traits })
}

struct Wrapper<'a> {
    declaration: &'a Declaration,
    file: &'a File,
    module: &'a Module,
    methods: Vec<Method<'a>>,
    signatures: Vec<Signature<'a>>,
}

/// The functions of one type. They are in one field, an array: a field for each function takes the compiler minutes where there
/// are hundreds.
struct Signature<'a> {
    field: Ident,
    params: &'a [Param],
    results: &'a [Type],
    exports: Vec<&'a str>,
}

/// An export that is not left out, by the name of its method.
struct Method<'a> {
    export: &'a Export,
    name: Ident,
}

impl Method<'_> {
    /// The name of the method that sets it, if it is a global that can be set.
    fn setter(&self) -> Option<Ident> {
        let mutable = matches!(self.export.kind, Kind::Global { mutable: true, .. });
        mutable.then(|| format_ident!("set_{}", self.name))
    }
}

/// All methods, with names that are different.
fn methods<'a>(declaration: &Declaration, module: &'a Module) -> Result<Vec<Method<'a>>> {
    let renamed = renamed(declaration, module)?;
    let mut methods = Vec::new();
    let mut taken: HashMap<String, (&Export, bool)> = HashMap::new();
    let mut clashes: Option<Error> = None;
    for export in &module.exports {
        if matches!(export.kind, Kind::LeftOut(_)) {
            continue;
        }
        let name = renamed.get(&export.name).map_or_else(
            || Ident::new(&names::method(&export.name), Span::call_site()),
            |name| (*name).clone(),
        );
        let method = Method { export, name };
        for (name, is_setter) in [(Some(method.name.clone()), false), (method.setter(), true)] {
            let Some(name) = name.map(|name| name.unraw().to_string()) else { continue };
            let this = (export, is_setter);
            if let Some(other) = taken.insert(name.clone(), this) {
                // Where the user gave one of them the name, that is what is wrong.
                let given = [export, other.0]
                    .into_iter()
                    .find_map(|export| renamed.get(&export.name).map(|name| (name.span(), export)));
                let (span, export) = given.unwrap_or((declaration.path.span, export));
                let message = format!(
                    "{} and {} would both be the method `{name}`: give one of them another name, as in \
                     `rename: {{ {:?} => other_name }}`",
                    described(other),
                    described(this),
                    export.name
                );
                let clash = Error::new(span, message);
                match &mut clashes {
                    Some(clashes) => clashes.combine(clash),
                    None => clashes = Some(clash),
                }
            }
        }
        methods.push(method);
    }
    clashes.map_or(Ok(methods), Err)
}

/// What types of functions there are, each with those that have it.
fn signatures<'a>(methods: &[Method<'a>]) -> Vec<Signature<'a>> {
    let mut signatures: Vec<Signature<'a>> = Vec::new();
    let mut known = HashMap::new();
    for method in methods {
        let Kind::Function { params, results } = &method.export.kind else { continue };
        let types: Vec<_> = params.iter().map(|param| param.ty).collect();
        let place = *known.entry((types, &**results)).or_insert_with(|| {
            let field = format_ident!("functions_{}", signatures.len());
            signatures.push(Signature { field, params, results, exports: Vec::new() });
            signatures.len() - 1
        });
        signatures[place].exports.push(&method.export.name);
    }
    signatures
}

/// What would be a method.
fn described((export, is_setter): (&Export, bool)) -> String {
    match is_setter {
        true => format!("the setter of the export {:?}", export.name),
        false => format!("the export {:?}", export.name),
    }
}

/// The names that the user gives to exports.
fn renamed<'a>(
    declaration: &'a Declaration,
    module: &Module,
) -> Result<HashMap<String, &'a Ident>> {
    let mut renamed = HashMap::new();
    for rename in &declaration.options.rename {
        let (name, to) = (rename.export.value(), &rename.name);
        let fail = |message| Err(Error::new(rename.export.span(), message));
        match module.exports.iter().find(|export| export.name == name) {
            None => return fail(unknown(&name, module)),
            Some(Export { kind: Kind::LeftOut(why), .. }) => {
                return fail(format!(
                    "the export {name:?} is left out, so it has no name: {why}. Reach it through `store()`"
                ));
            }
            Some(_) => {}
        }
        if names::OWN.iter().any(|own| to.unraw() == own) {
            let message =
                format!("each wrapper has a `{to}` of its own: give the export another name");
            return Err(Error::new(to.span(), message));
        }
        if renamed.insert(name.clone(), to).is_some() {
            return fail(format!("the export {name:?} is renamed twice"));
        }
    }
    Ok(renamed)
}

fn unknown(name: &str, module: &Module) -> String {
    let nearest = names::nearest(name, module.exports.iter().map(|export| &*export.name));
    if nearest.is_empty() {
        return format!("no export is named {name:?}: the module exports nothing");
    }
    let nearest: Vec<_> = nearest.iter().map(|name| format!("{name:?}")).collect();
    format!("no export is named {name:?}; the nearest are {}", nearest.join(", "))
}

impl Wrapper<'_> {
    fn functions_of_the_guest(&self) -> impl Iterator<Item = (&Method<'_>, &[Param], &[Type])> {
        self.methods.iter().filter_map(|method| match &method.export.kind {
            Kind::Function { params, results } => Some((method, &**params, &**results)),
            _ => None,
        })
    }

    /// The struct.
    fn item(&self) -> TokenStream {
        let Declaration { library, attrs, vis, name, state, .. } = self.declaration;
        let docs = self.docs(!attrs.iter().any(|attr| attr.path().is_ident("doc")));
        let fields = self.signatures.iter().map(|Signature { field, params, results, exports }| {
            let (params, results) = (self.params(params), self.results(results));
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

    /// What every wrapper has, then what this one's exports are.
    fn functions(&self) -> TokenStream {
        let Declaration { library, vis, name, state, .. } = self.declaration;
        let (allow_names, cfgs) = (self.allow_names(), self.cfgs());
        let own = self.own_functions();
        let methods = self.methods.iter().map(|method| self.method(method));
        let descriptions = self.descriptions();
        let (instance_docs, into_docs) = (
            docs("The instance, with the methods that exports have the names of."),
            docs("The instance, without its wrapper."),
        );
        quote! {
            #(#cfgs)*
            #[allow(dead_code, reason = "no program needs all of it")]
            #allow_names
            impl #name {
                #descriptions
                #own

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

                #(#methods)*
            }
        }
    }

    /// How an instance comes into its wrapper.
    fn own_functions(&self) -> TokenStream {
        let Declaration { library, vis, state, options, .. } = self.declaration;
        let result = self.result(quote!(Self));
        let from = match options.embed {
            true => {
                "`module` is the module, or the engine to compile it with out of the bytes that are in this program. \
                 Compiling takes long: for more than one instance, keep what [`module`](Self::module) gives."
            }
            false => "`module` is the guest's module, from wherever the program has it.",
        };
        let new_docs = docs(&format!(
            "Instantiates the guest, in a store with this state.\n\n{from}\n\n# Errors\n\nIf the module does not have the \
             exports that it had when this program was built, and as `Instance::new`."
        ));
        let with_options_docs = docs(
            "The same with options, and with the state as a function, which is asked for it again at each reset.\n\n\
             # Errors\n\nAs [`new`](Self::new), and as `Instance::with_options`.",
        );
        let from_instance_docs = docs(
            "The wrapper of an instance that was made otherwise: by `Instance::with_store`, or from an `InstancePre` \
             that was made once for many.\n\n# Errors\n\nIf the instance does not have the exports that the guest \
             had when this program was built, or has a call in progress.",
        );
        let functions = self.functions_of_the_guest().count();
        let fields = self.signatures.iter().map(|Signature { field, exports, .. }| {
            quote!(#field: #library::__wrapper::look_up(&instance, [#(#exports),*])?)
        });
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
                let pre = #library::__wrapper::link::<Self, _>(module, linker, Self::EXPORTS)?;
                Self::from_instance(#library::Instance::new(&pre, state)?)
            }

            #with_options_docs
            #vis fn with_options(
                module: impl #library::ModuleSource<Self>,
                linker: &#library::wasmtime::Linker<#state>,
                options: #library::InstanceOptions,
                state: impl ::core::ops::Fn() -> #state + ::core::marker::Send + ::core::marker::Sync + 'static,
            ) -> #result {
                let pre = #library::__wrapper::link::<Self, _>(module, linker, Self::EXPORTS)?;
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
        let Declaration { library, vis, .. } = self.declaration;
        let docs = docs(
            "Compiles the module out of the bytes that are in this program. That takes long, so keep it for all instances.\
             \n\n# Errors\n\nIf the engine does not support what the module needs.",
        );
        let result = self.result(quote!(#library::wasmtime::Module));
        quote! {
            #docs
            #vis fn module(engine: &#library::wasmtime::Engine) -> #result {
                ::core::result::Result::Ok(#library::wasmtime::Module::new(
                    engine,
                    <Self as #library::Embedded>::WASM,
                )?)
            }
        }
    }

    /// The exports that the wrapper relies on, as the library describes those of a module. Functions come first.
    fn descriptions(&self) -> TokenStream {
        let functions = self.functions_of_the_guest().map(|(method, params, results)| {
            (&method.export.name, format!("function {}", signature(params, results)))
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

    /// What an export is in Rust.
    fn method(&self, method: &Method<'_>) -> TokenStream {
        let Declaration { library, vis, state, .. } = self.declaration;
        let (name, export) = (&method.name, &method.export.name);
        let shown = code(export);
        match &method.export.kind {
            Kind::Function { params, results } => self.call(method, params, results),
            Kind::Global { ty, .. } => {
                let errors = "# Errors\n\nAs `Instance::store`.";
                let (result, value) = (self.result(self.rust_type(*ty)), self.rust_type(*ty));
                let docs_of_get = docs(&format!("The value of the global {shown}.\n\n{errors}"));
                let set = method.setter().map(|setter| {
                    let docs = docs(&format!("Sets the global {shown}.\n\n{errors}"));
                    let result = self.result(quote!(()));
                    quote! {
                        #docs
                        #vis fn #setter(&self, value: #value) -> #result {
                            self.instance.store()?.set_global(#export, value)
                        }
                    }
                });
                quote! {
                    #docs_of_get
                    #vis fn #name(&self) -> #result {
                        self.instance.store()?.get_global(#export)
                    }
                    #set
                }
            }
            Kind::Memory { shared: true } => {
                let docs = docs(&format!(
                    "The shared memory {shown}.\n\n# Errors\n\nAs `Instance::store`."
                ));
                let result = self.result(quote!(#library::wasmtime::SharedMemory));
                quote! {
                    #docs
                    #vis fn #name(&self) -> #result {
                        self.instance.store()?.shared_memory(#export)
                    }
                }
            }
            Kind::Memory { shared: false } => {
                let docs = docs(&format!(
                    "The memory {shown}, while no call is made.\n\n# Errors\n\nAs `Instance::memory`."
                ));
                let result = self.result(quote!(#library::MemoryGuard<'_, #state>));
                quote! {
                    #docs
                    #vis fn #name(&self) -> #result {
                        self.instance.memory(#export)
                    }
                }
            }
            Kind::Table => {
                let docs = docs(&format!(
                    "The table {shown}, while no call is made.\n\n# Errors\n\nAs `Instance::table`."
                ));
                let result = self.result(quote!(#library::TableGuard<'_, #state>));
                quote! {
                    #docs
                    #vis fn #name(&self) -> #result {
                        self.instance.table(#export)
                    }
                }
            }
            Kind::LeftOut(_) => TokenStream::new(),
        }
    }

    /// The method that calls a function.
    fn call(&self, method: &Method<'_>, params: &[Param], results: &[Type]) -> TokenStream {
        let Declaration { library, vis, options, .. } = self.declaration;
        let name = &method.name;
        let (call, result, errors) = match options.traps {
            Traps::Error => ("call", self.results(results), "As `Func::call`."),
            Traps::Value => {
                let trap = quote!(#library::Trap);
                let results = self.results(results);
                (
                    "try_call",
                    quote!(::core::result::Result<#results, #trap>),
                    "As `Func::try_call`.",
                )
            }
        };
        let call = format_ident!("{call}");
        let mut functions = self.signatures.iter().filter_map(|signature| {
            let place = signature.exports.iter().position(|name| *name == method.export.name)?;
            Some((&signature.field, Literal::usize_unsuffixed(place)))
        });
        let Some((field, place)) = functions.next() else {
            unreachable!("each function has a signature");
        };
        let result = self.result(quote!(#library::Future<#result>));
        let docs = docs(&format!(
            "Calls the export {}, `{}`.\n\n# Errors\n\n{errors}",
            code(&method.export.name),
            signature(params, results),
        ));
        let names = names::params(params.iter().map(|param| param.name.as_deref()));
        let names: Vec<_> = names.iter().map(|name| format_ident!("{name}")).collect();
        let types = params.iter().map(|param| self.rust_type(param.ty));
        // With `&self`, which counts too, clippy warns of eight.
        let allow = (params.len() > 6).then(|| quote!(#[allow(clippy::too_many_arguments)]));
        quote! {
            #docs
            #allow
            #vis fn #name(&self #(, #names: #types)*) -> #result {
                self.#field[#place].#call((#(#names,)*))
            }
        }
    }

    fn traits(&self) -> TokenStream {
        let Declaration { library, name, state, options, .. } = self.declaration;
        let shown = name.unraw().to_string();
        let cfgs: Vec<_> = self.cfgs().collect();
        let path = &self.file.path;
        let file = quote!(::core::include_bytes!(#path));
        let str = match self.file.is_text {
            true => {
                let wasm = Literal::byte_string(&self.file.wasm);
                quote!(#wasm)
            }
            false => file.clone(),
        };
        let embedded = options.embed.then(|| {
            quote! {
                #(#cfgs)*
                impl #library::Embedded for #name {
                    const WASM: &'static [::core::primitive::u8] = #str;
                }
            }
        });
        // So that cargo builds this again when the file is another.
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

    /// Where the wrapper is to be, everything is that belongs to it.
    fn cfgs(&self) -> impl Iterator<Item = &Attribute> {
        self.declaration.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }

    /// What the wrapper says of itself, below what its user says.
    fn docs(&self, is_all: bool) -> TokenStream {
        let mut text = String::from(if is_all { "" } else { "\n" });
        text += &format!(
            "A wrapper of the guest {}. It derefs to its `Instance`; a method of that with the name of an export is reached \
             by [`instance`](Self::instance).",
            code(&self.declaration.path.written)
        );
        let mut left_out = self.module.exports.iter().filter_map(|export| match &export.kind {
            Kind::LeftOut(why) => Some(format!("\n- {}: {why}", code(&export.name))),
            _ => None,
        });
        if let Some(first) = left_out.next() {
            text += "\n\nThese exports have no method. Reach them through `store()`:\n";
            text += &first;
            text.extend(left_out);
        }
        docs(&text)
    }

    fn allow_names(&self) -> Option<TokenStream> {
        let fine = self.methods.iter().all(|method| {
            let params = match &method.export.kind {
                Kind::Function { params, .. } => &**params,
                _ => &[],
            };
            let params = names::params(params.iter().map(|param| param.name.as_deref()));
            params.iter().chain([&method.name.to_string()]).all(|name| names::is_snake_case(name))
        });
        (!fine).then(|| quote!(#[allow(non_snake_case, reason = "as the guest has it")]))
    }

    fn params(&self, params: &[Param]) -> TokenStream {
        let types = params.iter().map(|param| self.rust_type(param.ty));
        quote!((#(#types,)*))
    }

    fn results(&self, results: &[Type]) -> TokenStream {
        let types = results.iter().map(|ty| self.rust_type(*ty));
        if results.len() == 1 { quote!(#(#types)*) } else { quote!((#(#types),*)) }
    }

    fn rust_type(&self, ty: Type) -> TokenStream {
        let library = &self.declaration.library;
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

    /// The type of a result that may be the library's error.
    fn result(&self, value: TokenStream) -> TokenStream {
        let library = &self.declaration.library;
        quote!(::core::result::Result<#value, #library::Error>)
    }
}

/// A doc comment.
fn docs(text: &str) -> TokenStream {
    let lines = text.lines().map(|line| match line {
        "" => String::new(),
        line => format!(" {line}"),
    });
    quote!(#(#[doc = #lines])*)
}

/// As code in a doc comment, whatever is in it.
fn code(name: &str) -> String {
    let name = name.escape_debug().to_string();
    if name.is_empty() || name.contains('`') {
        format!("`` {name:?} ``")
    } else {
        format!("`{name}`")
    }
}

/// `(i32, i32) -> (i32)`
fn signature(params: &[Param], results: &[Type]) -> String {
    let list = |types: Vec<String>| format!("({})", types.join(", "));
    let params = list(params.iter().map(|param| param.ty.to_string()).collect());
    let results = list(results.iter().map(ToString::to_string).collect());
    format!("{params} -> {results}")
}
