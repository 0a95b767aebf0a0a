//! [`Method`]: an export with the name of its method. It comes from a [`Module`] and the names that the [`Declaration`] gives, and goes
//! to the expansion, which writes the methods.

use crate::input::Declaration;
use crate::module::{Export, Kind, Module};
use crate::names;
use proc_macro2::{Ident, Span};
use quote::format_ident;
use std::collections::HashMap;
use syn::ext::IdentExt;
use syn::{Error, Result};

pub(crate) struct Method<'a> {
    /// Never an export that is left out.
    pub(crate) export: &'a Export,
    pub(crate) name: Ident,
}

impl Method<'_> {
    /// The name of the setter, if the export is a global that can be set.
    pub(crate) fn setter(&self) -> Option<Ident> {
        let mutable = matches!(self.export.kind, Kind::Global { mutable: true, .. });
        mutable.then(|| format_ident!("set_{}", self.name))
    }
}

/// The methods of all exports that are not left out. Two methods with the same name are an error.
pub(crate) fn methods<'a>(
    declaration: &Declaration,
    module: &'a Module,
) -> Result<Vec<Method<'a>>> {
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
                // If the user gave one of the two its name, the error points at that name.
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

/// How a message names the origin of a method.
fn described((export, is_setter): (&Export, bool)) -> String {
    match is_setter {
        true => format!("the setter of the export {:?}", export.name),
        false => format!("the export {:?}", export.name),
    }
}

/// The names in the option `rename`, by export.
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
                    "the export {name:?} has no method to rename, because {why}: reach it through `store()`"
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
