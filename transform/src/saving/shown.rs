//! [`shows_host_calls`]: whether the points of a module tell when a function of the host's is on the stack between two of its functions.

use crate::export::PREFIX;
use std::collections::HashSet;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ConstExpr, Element, ElementItems, Export, ExternalKind,
    FunctionBody, GlobalType, Operator, Parser, Payload, TypeRef, ValType,
};

/// Whether each function of the host's that may be called in the middle of a stack is called by a point that names it. It is not so if one may be called indirectly, or by a
/// tail call, which takes the caller from the stack. `has_indirect_points` says that some point calls indirectly.
pub(crate) fn shows_host_calls(
    wasm: &[u8],
    has_indirect_points: bool,
) -> Result<bool, BinaryReaderError> {
    let mut module = Seen { has_indirect_points, ..Seen::default() };
    for payload in Parser::new(0).parse_all(wasm) {
        if module.hides(payload?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What was seen of a module.
#[derive(Default)]
struct Seen {
    has_indirect_points: bool,
    /// The function types that have a reference among their parameters and results.
    types_with_references: HashSet<u32>,
    types: u32,
    /// The types of the functions, the imported ones first.
    functions: Vec<u32>,
    imported: u32,
    globals: Vec<GlobalType>,
    tags: Vec<u32>,
}

impl Seen {
    /// Whether a part of the module may let a function of the host's onto the stack unseen.
    fn hides(&mut self, payload: Payload<'_>) -> Result<bool, BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        if let CompositeInnerType::Func(ty) = &ty.composite_type.inner
                            && ty.params().iter().chain(ty.results()).any(is_reference)
                        {
                            self.types_with_references.insert(self.types);
                        }
                        self.types += 1;
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let hides = match import?.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            self.functions.push(ty);
                            self.imported += 1;
                            self.types_with_references.contains(&ty)
                        }
                        TypeRef::Table(_) => true,
                        TypeRef::Global(ty) => {
                            self.globals.push(ty);
                            is_reference(&ty.content_type)
                        }
                        TypeRef::Tag(ty) => {
                            self.tags.push(ty.func_type_idx);
                            self.types_with_references.contains(&ty.func_type_idx)
                        }
                        TypeRef::Memory(_) => false,
                    };
                    if hides && self.has_indirect_points {
                        return Ok(true);
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::TagSection(section) => {
                for ty in section {
                    self.tags.push(ty?.func_type_idx);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.globals.push(global.ty);
                    if self.names_an_import(&global.init_expr)? {
                        return Ok(true);
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if self.is_of_the_host(&export)
                        || self.has_indirect_points && self.is_a_way_in(&export)
                    {
                        return Ok(true);
                    }
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    if let wasmparser::TableInit::Expr(init) = &table?.init
                        && self.names_an_import(init)?
                    {
                        return Ok(true);
                    }
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    if self.has_an_import(element?)? {
                        return Ok(true);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => return self.hides_in(&body),
            _ => {}
        }
        Ok(false)
    }

    /// Whether a call of an export is a call of the host's. No function of the module is below it then.
    fn is_of_the_host(&self, export: &Export<'_>) -> bool {
        matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact)
            && export.index < self.imported
            && !export.name.starts_with(PREFIX)
    }

    /// Whether the host may put a function of its own where the module calls it indirectly.
    fn is_a_way_in(&self, export: &Export<'_>) -> bool {
        let index = export.index as usize;
        let takes_references =
            |ty: Option<&u32>| ty.is_none_or(|ty| self.types_with_references.contains(ty));
        match export.kind {
            // The host restores a state with these, in which there are functions of the module alone.
            _ if export.name.starts_with(PREFIX) => false,
            ExternalKind::Table => true,
            ExternalKind::Global => self
                .globals
                .get(index)
                .is_none_or(|ty| ty.mutable && is_reference(&ty.content_type)),
            ExternalKind::Func | ExternalKind::FuncExact => {
                takes_references(self.functions.get(index))
            }
            ExternalKind::Tag => takes_references(self.tags.get(index)),
            ExternalKind::Memory => false,
        }
    }

    fn is_import(&self, function: u32) -> bool {
        self.has_indirect_points && function < self.imported
    }

    fn names_an_import(&self, init: &ConstExpr<'_>) -> Result<bool, BinaryReaderError> {
        for operator in init.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator?
                && self.is_import(function_index)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_an_import(&self, element: Element<'_>) -> Result<bool, BinaryReaderError> {
        match element.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    if self.is_import(function?) {
                        return Ok(true);
                    }
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions {
                    if self.names_an_import(&expression?)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn hides_in(&self, body: &FunctionBody<'_>) -> Result<bool, BinaryReaderError> {
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::ReturnCallRef { .. } => return Ok(true),
                Operator::RefFunc { function_index } if self.is_import(function_index) => {
                    return Ok(true);
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

fn is_reference(ty: &ValType) -> bool {
    matches!(ty, ValType::Ref(_))
}
