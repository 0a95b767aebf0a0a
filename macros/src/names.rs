//! Rust names for exports and parameters, which may have any name in wasm.

use std::collections::HashSet;

/// The names of the functions, and of the constant, that every wrapper has.
pub(crate) const OWN: [&str; 7] =
    ["new", "with_options", "from_instance", "instance", "into_instance", "module", "EXPORTS"];

/// The keywords in use and the reserved ones, up to the edition 2024.
const KEYWORDS: &[&str] = &[
    "_", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "Self", "self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The name if it is an identifier, and otherwise one that is close to it.
fn identifier(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let mut identifier: String = name.chars().map(allowed).collect();
    if identifier.chars().next().is_none_or(|c| c.is_ascii_digit()) {
        identifier.insert(0, '_');
    }
    if KEYWORDS.contains(&&*identifier) {
        identifier.push('_');
    }
    identifier
}

/// The name of an export's method.
pub(crate) fn method(export: &str) -> String {
    let mut name = identifier(export);
    if OWN.contains(&&*name) {
        name.push('_');
    }
    name
}

/// The names of a function's parameters, all different: their own names, and `p0`, `p1` and so on for those without one.
pub(crate) fn params<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<String> {
    let mut taken = HashSet::new();
    let unique = |(index, name): (usize, Option<&str>)| {
        let mut name = name.map_or_else(|| format!("p{index}"), identifier);
        while !taken.insert(name.clone()) {
            name += &index.to_string();
        }
        name
    };
    names.enumerate().map(unique).collect()
}

/// Whether the compiler accepts the name of a method or parameter without a warning.
pub(crate) fn is_snake_case(name: &str) -> bool {
    let name = name.trim_matches('_');
    !name.contains("__") && !name.contains(|c: char| c.is_uppercase())
}

/// The five of these names that are closest to the one given, closest first.
pub(crate) fn nearest<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut others: Vec<_> =
        others.map(|other| (strsim::levenshtein(name, other), other)).collect();
    others.sort_unstable();
    others.into_iter().take(5).map(|(_, other)| other).collect()
}
