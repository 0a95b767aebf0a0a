//! [`Functions`]: the exported functions, grouped by type. They come from the [`Method`]s, and go to the expansion, which makes a
//! field of each group, and a method of each function.

use crate::methods::Method;
use crate::module::{Kind, Param, Type};
use crate::names;
use proc_macro2::{Ident, Span};
use quote::format_ident;
use std::collections::{BTreeSet, HashMap};

pub(crate) struct Functions<'a> {
    pub(crate) groups: Vec<Group<'a>>,
    /// In the order of the module.
    pub(crate) functions: Vec<Function<'a>>,
}

/// The functions of one type: a field of the wrapper that is an array. With a field for each function, a wrapper of hundreds of
/// functions compiles slowly.
pub(crate) struct Group<'a> {
    pub(crate) field: Ident,
    pub(crate) params: &'a [Param],
    pub(crate) results: &'a [Type],
    pub(crate) exports: Vec<&'a str>,
}

pub(crate) struct Function<'a> {
    pub(crate) method: &'a Method<'a>,
    pub(crate) params: &'a [Param],
    pub(crate) results: &'a [Type],
    /// The names of the method's parameters.
    pub(crate) names: Vec<Ident>,
    /// The number of its group, and its place there.
    pub(crate) group: usize,
    pub(crate) place: usize,
}

impl<'a> Functions<'a> {
    pub(crate) fn of(methods: &'a [Method<'a>]) -> Self {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut functions = Vec::new();
        let mut known = HashMap::new();
        for method in methods {
            let Kind::Function { params, results } = &method.export.kind else { continue };
            let types: Vec<_> = params.iter().map(|param| param.ty).collect();
            let group = *known.entry((types, &**results)).or_insert_with(|| {
                let field = format_ident!("functions_{}", groups.len());
                groups.push(Group { field, params, results, exports: Vec::new() });
                groups.len() - 1
            });
            let names = names::params(params.iter().map(|param| param.name.as_deref()));
            let names = names.iter().map(|name| Ident::new(name, Span::call_site())).collect();
            let place = groups[group].exports.len();
            groups[group].exports.push(&method.export.name);
            functions.push(Function { method, params, results, names, group, place });
        }
        Self { groups, functions }
    }

    /// Each name that some parameter has, once.
    pub(crate) fn names_of_params(&self) -> BTreeSet<&Ident> {
        self.functions.iter().flat_map(|function| &function.names).collect()
    }
}
