//! [`Module`]: the exports of a guest. It comes from the wasm of the [`File`](crate::file::File), and goes to
//! [`methods`](crate::methods::methods()). Code is skipped, because guests are large, and each build of the host reads them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use wasmparser::{
    BinaryReaderError, Chunk, CompositeInnerType, ExternalKind, FuncType, GlobalType, KnownCustom,
    MemoryType, Name, NameSectionReader, Parser, Payload, TableType, TypeRef, ValType,
};

/// The most parameters, and the most results, that a typed function of wasmtime may have.
const MOST_VALUES: usize = 17;

#[derive(Debug)]
pub(crate) struct Module {
    /// In the order of the module.
    pub(crate) exports: Vec<Export>,
}

#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Function {
        params: Vec<Param>,
        results: Vec<Type>,
    },
    Global {
        ty: Type,
        mutable: bool,
    },
    Memory {
        shared: bool,
    },
    Table,
    /// An export without a method, with the reason: "it is a tag".
    LeftOut(String),
}

#[derive(Debug)]
pub(crate) struct Param {
    /// From the module's name section.
    pub(crate) name: Option<String>,
    pub(crate) ty: Type,
}

/// The type of a value. Each has a Rust type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    I32,
    I64,
    F32,
    F64,
    V128,
    FuncRef,
    ExternRef,
}

impl Type {
    /// `None` if there is no Rust type for it.
    fn of(ty: ValType) -> Option<Self> {
        Some(match ty {
            ValType::I32 => Self::I32,
            ValType::I64 => Self::I64,
            ValType::F32 => Self::F32,
            ValType::F64 => Self::F64,
            ValType::V128 => Self::V128,
            ValType::FUNCREF => Self::FuncRef,
            ValType::EXTERNREF => Self::ExternRef,
            ValType::Ref(_) => return None,
        })
    }
}

/// The name that the text format has for the type.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::FuncRef => "funcref",
            Self::ExternRef => "externref",
        })
    }
}

impl Module {
    /// Reads a binary module. It is not validated; the engine does that.
    pub(crate) fn read(wasm: &[u8]) -> Result<Self, String> {
        let sections = Sections::read(wasm).map_err(broken)?;
        let mut seen = HashSet::new();
        if let Some((name, ..)) = sections.exports.iter().find(|(name, ..)| !seen.insert(name)) {
            return Err(format!("the module is not valid: two of its exports are named `{name}`"));
        }
        let locals = sections.local_names();
        let exports = sections.exports.iter().map(|&(name, kind, index)| {
            let kind = sections
                .kind(kind, index, &locals)
                .ok_or_else(|| broken(format!("its export `{name}` refers to nothing")))?;
            Ok(Export { name: name.to_owned(), kind })
        });
        exports.collect::<Result<_, _>>().map(|exports| Self { exports })
    }
}

fn broken(error: impl fmt::Display) -> String {
    format!("the module is truncated or broken: {error}. Build it again")
}

/// The names of locals, by the index of the function and the index of the local.
type LocalNames<'a> = HashMap<(u32, u32), &'a str>;

/// The sections that describe exports. Those with an index have the imports first, as in the module's index spaces.
#[derive(Default)]
struct Sections<'a> {
    /// `None` for a type that is not a function's, or is shared.
    types: Vec<Option<FuncType>>,
    /// The index of each function's type.
    functions: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    exports: Vec<(&'a str, ExternalKind, u32)>,
    names: Option<NameSectionReader<'a>>,
}

impl<'a> Sections<'a> {
    fn read(wasm: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut sections = Self::default();
        let mut parser = Parser::new(0);
        let mut rest = wasm;
        // The parser never asks for more, because it is told that it has everything.
        while let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? {
            rest = &rest[consumed..];
            match payload {
                Payload::CodeSectionStart { size, .. } => {
                    // If the section is cut off, the parser goes on, meets the end and reports it.
                    if let Some(after) = rest.get(size as usize..) {
                        parser.skip_section();
                        rest = after;
                    }
                }
                Payload::End(_) => break,
                payload => sections.take(payload)?,
            }
        }
        Ok(sections)
    }

    fn take(&mut self, payload: Payload<'a>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.into_types() {
                        let shared = ty.composite_type.shared;
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) if !shared => Some(ty),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import?.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.functions.push(ty),
                        TypeRef::Table(ty) => self.tables.push(ty),
                        TypeRef::Memory(ty) => self.memories.push(ty),
                        TypeRef::Global(ty) => self.globals.push(ty),
                        TypeRef::Tag(_) => {}
                    }
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.tables.push(table?.ty);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memories.push(memory?);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    self.globals.push(global?.ty);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    self.exports.push((export.name, export.kind, export.index));
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    self.names = Some(names);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The names of the locals of exported functions. A broken name section does not make a module invalid, so this takes what it
    /// can read.
    fn local_names(&self) -> LocalNames<'a> {
        let exported: HashSet<u32> = self
            .exports
            .iter()
            .filter(|(_, kind, _)| matches!(kind, ExternalKind::Func | ExternalKind::FuncExact))
            .map(|&(.., index)| index)
            .collect();
        let mut found = HashMap::new();
        for name in self.names.iter().flat_map(Clone::clone).map_while(Result::ok) {
            let Name::Local(functions) = name else { continue };
            for function in functions.into_iter().map_while(Result::ok) {
                if exported.contains(&function.index) {
                    for local in function.names.into_iter().map_while(Result::ok) {
                        found.insert((function.index, local.index), local.name);
                    }
                }
            }
        }
        found
    }

    /// `None` if the index refers to nothing.
    fn kind(&self, kind: ExternalKind, index: u32, locals: &LocalNames<'a>) -> Option<Kind> {
        let at = index as usize;
        Some(match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                match self.types.get(*self.functions.get(at)? as usize)? {
                    Some(ty) => function(ty, |local| locals.get(&(index, local)).copied()),
                    None => Kind::LeftOut("it is a shared function".to_owned()),
                }
            }
            ExternalKind::Table => match self.tables.get(at)?.shared {
                true => Kind::LeftOut("it is a shared table".to_owned()),
                false => Kind::Table,
            },
            ExternalKind::Memory => Kind::Memory { shared: self.memories.get(at)?.shared },
            ExternalKind::Global => global(self.globals.get(at)?),
            ExternalKind::Tag => Kind::LeftOut("it is a tag".to_owned()),
        })
    }
}

fn function<'a>(ty: &FuncType, name: impl Fn(u32) -> Option<&'a str>) -> Kind {
    for (values, what) in [(ty.params(), "parameter"), (ty.results(), "result")] {
        if values.len() > MOST_VALUES {
            return Kind::LeftOut(format!(
                "it has {} {what}s, and a typed function has at most {MOST_VALUES}",
                values.len()
            ));
        }
        if let Some(ty) = values.iter().find(|ty| Type::of(**ty).is_none()) {
            return Kind::LeftOut(format!("it has a {what} of {}", shown(*ty)));
        }
    }
    let params = ty.params().iter().filter_map(|ty| Type::of(*ty)).zip(0..);
    Kind::Function {
        params: params.map(|(ty, n)| Param { name: name(n).map(str::to_owned), ty }).collect(),
        results: ty.results().iter().filter_map(|ty| Type::of(*ty)).collect(),
    }
}

fn global(global: &GlobalType) -> Kind {
    let GlobalType { content_type, mutable, shared } = *global;
    match Type::of(content_type) {
        _ if shared => Kind::LeftOut("it is a shared global".to_owned()),
        None | Some(Type::FuncRef | Type::ExternRef) => {
            Kind::LeftOut(format!("it is a global of {}", shown(content_type)))
        }
        Some(ty) => Kind::Global { ty, mutable },
    }
}

/// How a message names a type that has no Rust type.
fn shown(ty: ValType) -> String {
    match ty.as_reference_type().and_then(|ty| ty.type_index()) {
        Some(_) => "a reference type that the module defines".to_owned(),
        None => format!("type `{ty}`"),
    }
}
