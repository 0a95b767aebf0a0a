//! Names that Rust allows, for what wasm names as it likes.

use std::collections::HashSet;

/// What every wrapper has by itself.
pub(crate) const OWN: [&str; 7] =
    ["new", "with_options", "from_instance", "instance", "into_instance", "module", "EXPORTS"];

/// Strict and reserved, up to the edition 2024.
const KEYWORDS: &[&str] = &[
    "_", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "Self", "self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The name as it is, or what comes closest to it.
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

/// The method that stands for an export.
pub(crate) fn method(export: &str) -> String {
    let mut name = identifier(export);
    if OWN.contains(&&*name) {
        name.push('_');
    }
    name
}

/// The parameters of a function: by their own names where they have some, and all different.
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

/// Does the compiler warn of it?
pub(crate) fn is_snake_case(name: &str) -> bool {
    let name = name.trim_matches('_');
    !name.contains("__") && !name.contains(|c: char| c.is_uppercase())
}

/// The names that come closest to one that there is not, best first.
pub(crate) fn nearest<'a>(name: &str, there: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut there: Vec<_> = there.map(|other| (distance(name, other), other)).collect();
    there.sort_unstable();
    there.into_iter().take(5).map(|(_, other)| other).collect()
}

/// Of Levenshtein: how many characters to put in, take out or change.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, c) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in to.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
