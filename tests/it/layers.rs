//! Checks the layers of the library in its sources. A file imports from its own folder and from the folders below it, by the path at which
//! an item is defined. No two files import each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers, from top to bottom. Folders in one row do not import each other.
const LAYERS: &[&[&str]] = &[
    &["explore"],
    &["guest"],
    &["pool", "frame"],
    &["call"],
    &["wait"],
    &["step"],
    &["error", "outcome", "sync", "timed_out", "trace", "unwind"],
];

/// The last row is plain data and primitives. It counts as one folder.
const GROUND: usize = LAYERS.len() - 1;

/// The sources, by their paths below `src`.
type Sources = BTreeMap<String, String>;

#[test]
fn no_file_imports_from_above_through_the_root_or_in_a_circle() {
    let mut sources = Sources::new();
    read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "", &mut sources);
    assert!(sources.len() > 40, "too few sources were found: {:?}", sources.keys());
    let wrong = faults(&sources);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let mut sources = Sources::new();
    read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "", &mut sources);
    let lengths = sources.iter().map(|(path, text)| (path, text.lines().count()));
    let long: Vec<_> = lengths.filter(|(_, lines)| *lines > 400).collect();
    assert!(long.is_empty(), "over 400 lines: {long:?}");
}

/// The packages that others build on know neither wasmtime nor the library.
#[test]
fn the_transformation_and_the_macro_stand_by_themselves() {
    for package in ["transform", "macros"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
        if !folder.exists() {
            continue; // In the library's own package, they are dependencies.
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("it is a package");
        let manifest: Vec<_> = manifest.lines().filter(|line| !line.starts_with('#')).collect();
        let dependencies = manifest.iter().skip_while(|line| **line != "[dependencies]").skip(1);
        let dependencies: Vec<_> = dependencies.take_while(|line| !line.starts_with('[')).collect();
        assert!(dependencies.len() > 3, "{package}: {dependencies:?}");
        let is_above =
            |line: &&&&str| line.starts_with("wasmtime") || line.starts_with("wasm-jobs");
        assert_eq!(dependencies.iter().find(is_above), None, "{package}");
        let mut sources = Sources::new();
        read(&folder.join("src"), "", &mut sources);
        let long = sources.iter().filter(|(_, text)| text.lines().count() > 400);
        assert_eq!(long.map(|(path, _)| path).next(), None, "{package}: over 400 lines");
    }
}

fn read(folder: &Path, below: &str, sources: &mut Sources) {
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let entry = entry.expect("the folder can be read");
        let name = format!("{below}{}", entry.file_name().to_str().expect("the file name is text"));
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(name, fs::read_to_string(entry.path()).expect("the file can be read"));
        }
    }
}

/// The imports that break a rule, each with the rule.
fn faults(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, text) in sources.iter().filter(|(file, _)| *file != "lib.rs") {
        let code = without_comments(text);
        if imports_from_above_it(&code) {
            faults.push(format!(
                "{file}: `super` at the top of a file; import from where it is defined"
            ));
        }
        for path in crate_paths(&code) {
            let Some((to, item)) = resolve(&path, sources) else {
                faults.push(format!(
                    "{file} -> crate::{path}: through the root; import from where it is defined"
                ));
                continue;
            };
            if to.ends_with("mod.rs") && item.is_some_and(|item| !defines(&sources[to], item)) {
                faults.push(format!(
                    "{file} -> crate::{path}: through {to}; import from where it is defined"
                ));
            }
            if to == file {
                continue;
            }
            if let Some(rule) = broken_rule(file, to) {
                faults.push(format!("{file} -> {to} (crate::{path}): {rule}"));
            }
            arrows.entry(file).or_default().insert(to);
        }
    }
    faults.extend(circles(&arrows));
    faults
}

/// The row and the folder of a file.
fn layer(file: &str) -> Option<(usize, &str)> {
    let top = file.split('/').next()?.trim_end_matches(".rs");
    let layer = LAYERS.iter().position(|row| row.contains(&top))?;
    Some((layer, if layer == GROUND { "the ground" } else { top }))
}

fn broken_rule(from: &str, to: &str) -> Option<String> {
    let (Some((from_layer, from_folder)), Some((to_layer, to_folder))) = (layer(from), layer(to))
    else {
        return Some("one of them is in no layer".to_owned());
    };
    if from_folder == to_folder || from_layer < to_layer {
        None
    } else if from_layer == to_layer {
        Some(format!("{from_folder} and {to_folder} do not import each other"))
    } else {
        Some(format!("{to_folder} is above {from_folder}"))
    }
}

/// Follows a path as far as files exist. Returns the last file and the segment after it, which names an item of that file.
fn resolve<'a, 'b>(path: &'a str, sources: &'b Sources) -> Option<(&'b str, Option<&'a str>)> {
    let mut folder = String::new();
    let mut found = None;
    for segment in path.split("::") {
        let candidates = [format!("{folder}{segment}.rs"), format!("{folder}{segment}/mod.rs")];
        let below = format!("{folder}{segment}/");
        match candidates.iter().find_map(|candidate| sources.get_key_value(candidate)) {
            Some((file, _)) => found = Some((&**file, None)),
            None if sources.keys().any(|file| file.starts_with(&below)) => {}
            None => return found.map(|(file, _)| (file, Some(segment))),
        }
        folder = below;
    }
    found
}

fn defines(text: &str, item: &str) -> bool {
    let code = without_comments(text);
    let words: Vec<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    words.windows(2).any(|pair| {
        ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "union"]
            .contains(&pair[0])
            && pair[1] == item
    })
}

fn without_comments(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Does code outside all inner modules import from `super`?
fn imports_from_above_it(code: &str) -> bool {
    let mut depth = 0_usize;
    let mut is_inside = false;
    for line in code.lines() {
        if line.contains("use super::") && depth == 0 && !is_inside {
            return true;
        }
        is_inside = line.trim_start().starts_with("use ") && !line.contains(';')
            || is_inside && !line.contains(';');
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
    }
    false
}

/// All paths that begin with `crate::`, without that prefix. Each path in braces is listed separately.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with('$') {
            expand("", &code[at + "crate::".len()..], &mut paths);
        }
    }
    paths
}

/// Adds the path at the beginning of `code` to `paths`, or each path if it ends in braces. Returns the code after it.
fn expand<'a>(prefix: &str, code: &'a str, paths: &mut Vec<String>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, paths).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            if rest.is_empty() {
                return rest;
            }
        }
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let (segment, mut rest) = code.split_at(end);
    let path = match (prefix, segment) {
        (prefix, "self") => prefix.to_owned(),
        ("", segment) => segment.to_owned(),
        (prefix, segment) => format!("{prefix}::{segment}"),
    };
    if let Some(after) = rest.strip_prefix("::").filter(|after| !after.starts_with('<')) {
        return expand(&path, after, paths);
    }
    if segment.is_empty() {
        // Skips a glob, or anything else that is not a path.
        return rest.get(1..).unwrap_or_default();
    }
    if let Some(after) = rest.trim_start().strip_prefix("as ") {
        let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
        rest = &after[end..];
    }
    paths.push(path);
    rest
}

/// The import cycles among the files, each once.
fn circles(arrows: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let mut circles = BTreeSet::new();
    for start in arrows.keys() {
        // The shortest way back to the start.
        let mut ways = vec![vec![*start]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() && !circles.iter().any(|circle: &Vec<&str>| circle.contains(start)) {
            let mut longer = Vec::new();
            for way in ways {
                for next in arrows.get(way[way.len() - 1]).into_iter().flatten() {
                    if next == start {
                        circles.insert(way.clone());
                    } else if seen.insert(*next) {
                        longer.push([&way[..], &[*next]].concat());
                    }
                }
            }
            ways = longer;
        }
    }
    circles
        .into_iter()
        .map(|circle| format!("{} -> {}: a circle", circle.join(" -> "), circle[0]))
        .collect()
}

mod of_the_check_itself {
    use super::{Sources, faults};

    fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        faults(&files.collect::<Sources>())
    }

    #[test]
    fn imports_from_below_and_beside_are_right() {
        let files = [
            ("lib.rs", "pub use crate::pool::JobPool;"),
            ("guest/mod.rs", "pub use engine::Engine;\nmod engine;"),
            (
                "guest/engine.rs",
                "use crate::{error::Error as E, pool::{self, JobPool, handle::*}};\npub struct Engine;",
            ),
            (
                "pool/mod.rs",
                "use crate::pool::handle::JobHandle;\n/// As [`Engine`](crate::Engine).\npub trait JobPool {}",
            ),
            (
                "pool/handle.rs",
                "fn f() { crate::call::task::step(); }\nmod sealed {\n    use super::f;\n}",
            ),
            ("call/task.rs", "pub fn step() {}"),
            ("error.rs", "// crate::guest::engine\npub struct Error;"),
        ];
        assert_eq!(faults_of(&files), [""; 0]);
    }

    #[test]
    fn each_wrong_import_is_found() {
        let files = [
            ("guest/mod.rs", "pub use engine::Engine;"),
            ("guest/engine.rs", "pub struct Engine;"),
            ("guest/func.rs", "use crate::guest::Engine;"),
            ("pool/mod.rs", ""),
            ("pool/handle.rs", "use crate::{call::task::Task, frame::run::run};"),
            ("frame/run.rs", "use crate::Error;\npub fn run() {}"),
            ("call/task.rs", "fn f() -> crate::pool::handle::JobHandle { }"),
            ("call/state.rs", "use super::task::Task;"),
            ("error.rs", "use crate::unwind::catch;"),
            ("unwind.rs", "use crate::error::Error;"),
            ("other.rs", "use crate::error::Error;"),
        ];
        assert_eq!(
            faults_of(&files),
            [
                "call/state.rs: `super` at the top of a file; import from where it is defined",
                "call/task.rs -> pool/handle.rs (crate::pool::handle::JobHandle): pool is above call",
                "frame/run.rs -> crate::Error: through the root; import from where it is defined",
                "guest/func.rs -> crate::guest::Engine: through guest/mod.rs; import from where it is defined",
                "other.rs -> error.rs (crate::error::Error): one of them is in no layer",
                "pool/handle.rs -> frame/run.rs (crate::frame::run::run): pool and frame do not import each other",
                "call/task.rs -> pool/handle.rs -> call/task.rs: a circle",
                "error.rs -> unwind.rs -> error.rs: a circle",
            ]
        );
    }
}
