//! [`parse`]: validates a module's bytes and collects what the transformation needs in a [`Module`], in one pass.

use crate::error::Error;
use crate::export::{FLAGS_MODULE, HASH_LOW, PREFIX, StateExport, parse_export};
use crate::module::{Body, Bulk, Data, DataKind, Elem, Module, Section, Site, Table, leb_len};
use crate::refuse::{self, CARRIED};
use crate::stops::trace::Trace;
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::types::TypesRef;
use wasmparser::{
    AbstractHeapType, BinaryReaderError, CompositeInnerType, ConstExpr, ElementItems, ElementKind,
    ElementSectionReader, ExportSectionReader, ExternalKind, FuncToValidate,
    FuncValidatorAllocations, FunctionBody, HeapType, ImportSectionReader, Operator,
    OperatorsReader, OperatorsReaderAllocations, Parser, Payload, TableInit, TypeRef,
    TypeSectionReader, ValType, ValidPayload, Validator, ValidatorResources,
};

type Read<T> = Result<T, BinaryReaderError>;

/// With `traces`, each body gets one, which checks need.
pub(crate) fn parse(wasm: &[u8], traces: bool) -> Result<Module<'_>, Error> {
    let (module, reserved, imported_from) = read(wasm, traces)?;
    let is_layout = |name: &&str| {
        *name == HASH_LOW || matches!(parse_export(name), Some(StateExport::Layout { .. }))
    };
    if let Some(name) = reserved.iter().copied().find(is_layout) {
        return Err(Error::AlreadyTransformed { name: name.to_owned() });
    }
    if let Some(&name) = reserved.first() {
        return Err(Error::ReservedExport { name: name.to_owned() });
    }
    if let Some(module) = imported_from {
        return Err(Error::ReservedImport { module: module.to_owned() });
    }
    if let Some(index) = module.start.filter(|index| *index < module.imported.functions) {
        return Err(Error::ImportedStart { index });
    }
    if let Some(index) = module.memories.iter().position(|memory| memory.shared) {
        return Err(Error::SharedMemory { index: index as u32 });
    }
    Ok(module)
}

/// The same of a module that is transformed already, with traces.
pub(crate) fn parse_transformed(wasm: &[u8]) -> Result<Module<'_>, Error> {
    read(wasm, true).map(|(module, ..)| module)
}

/// A module, the names of its exports with the reserved prefix, and the first such module that it imports from.
fn read(wasm: &[u8], traces: bool) -> Result<(Module<'_>, Vec<&str>, Option<&str>), Error> {
    let mut pass = Pass { traces, module: Module { wasm, ..Module::default() }, ..Pass::default() };
    pass.run().map_err(|error| refuse::reason(wasm, &error))?;
    Ok((pass.module, pass.reserved, pass.imported_from))
}

#[derive(Default)]
struct Pass<'a> {
    module: Module<'a>,
    /// The exports with the reserved prefix.
    reserved: Vec<&'a str>,
    /// The first module with the reserved prefix that something is imported from.
    imported_from: Option<&'a str>,
    /// Whether bodies get traces.
    traces: bool,
    /// The end of what was read last.
    end: usize,
    validation: FuncValidatorAllocations,
    reading: OperatorsReaderAllocations,
}

impl<'a> Pass<'a> {
    fn run(&mut self) -> Read<()> {
        let mut validator = Validator::new_with_features(CARRIED);
        let mut parser = Parser::new(0);
        parser.set_features(CARRIED);
        for payload in parser.parse_all(self.module.wasm) {
            let payload = payload?;
            match validator.payload(&payload)? {
                ValidPayload::Func(function, body) => self.body(function, &body)?,
                ValidPayload::End(types) => self.types(types.as_ref()),
                _ => self.take(payload)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, payload: Payload<'a>) -> Read<()> {
        if let Some((id, contents)) = payload.as_section() {
            self.section(id, contents, &payload);
        }
        let module = &mut self.module;
        match payload {
            Payload::Version { range, .. } => self.end = range.end,
            Payload::TypeSection(types) => self.type_section(types)?,
            Payload::ImportSection(imports) => self.imports(imports)?,
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    module.function_types.push(ty?);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let table = table?;
                    if let TableInit::Expr(init) = table.init {
                        references(&init, &mut module.referenced)?;
                    }
                    module.tables.push(Table { ty: table.ty, written: false, exported: false });
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    module.memories.push(memory?);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    references(&global.init_expr, &mut module.referenced)?;
                    module.globals.push(global.ty);
                }
            }
            Payload::ExportSection(exports) => self.exports(exports)?,
            Payload::StartSection { func, .. } => module.start = Some(func),
            Payload::ElementSection(elements) => self.elements(elements)?,
            Payload::DataCountSection { count, .. } => {
                let unread = || Data { kind: DataKind::Passive, bytes: &[], dropped: false };
                module.data.resize_with(count as usize, unread);
            }
            // The bodies come after the number of them.
            Payload::CodeSectionStart { range, .. } => {
                self.end = range.start + leb_len(&module.wasm[range.start..]);
            }
            Payload::DataSection(segments) => {
                let counted = !module.data.is_empty();
                for (n, segment) in segments.into_iter().enumerate() {
                    let segment = segment?;
                    let kind = match segment.kind {
                        wasmparser::DataKind::Passive => DataKind::Passive,
                        wasmparser::DataKind::Active { memory_index: memory, offset_expr } => {
                            DataKind::Active { memory, offset: constant(&offset_expr)? }
                        }
                    };
                    let dropped = counted && module.data[n].dropped;
                    let segment = Data { kind, bytes: segment.data, dropped };
                    match counted {
                        true => module.data[n] = segment,
                        false => module.data.push(segment),
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Types are equal by their structure, whatever their index.
    fn types(&mut self, types: TypesRef<'_>) {
        let mut first = HashMap::new();
        let ids = (0..self.module.canonical_types.len() as u32)
            .map(|index| (index, types.core_type_at_in_module(index)));
        let canonical = ids.map(|(index, id)| *first.entry(id).or_insert(index)).collect();
        self.module.canonical_types = canonical;
        for body in &mut self.module.bodies {
            body.trace.name_types(|id| first.get(&id).copied());
        }
    }

    fn section(&mut self, id: u8, contents: Range<usize>, payload: &Payload<'a>) {
        let whole = self.end..contents.end;
        self.end = contents.end;
        let custom = match payload {
            Payload::CustomSection(custom) => Some((custom.name(), custom.data())),
            _ => None,
        };
        self.module.sections.push(Section { id, whole, contents, custom });
    }

    fn type_section(&mut self, types: TypeSectionReader<'a>) -> Read<()> {
        for group in types {
            for ty in group?.into_types() {
                // The numbers come when all types are known.
                self.module.canonical_types.push(0);
                if let CompositeInnerType::Func(ty) = &ty.composite_type.inner {
                    let all = ty.params().iter().chain(ty.results());
                    self.module.hands_out_functions |= all.copied().any(refers_to_function);
                }
            }
        }
        Ok(())
    }

    fn imports(&mut self, imports: ImportSectionReader<'a>) -> Read<()> {
        let module = &mut self.module;
        for import in imports.into_imports() {
            let import = import?;
            if import.module.starts_with(FLAGS_MODULE) {
                self.imported_from.get_or_insert(import.module);
            }
            match import.ty {
                TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                    module.imported.functions += 1;
                    module.function_types.push(ty);
                }
                TypeRef::Table(ty) => {
                    module.imported.tables += 1;
                    module.hands_out_functions |= refers_to_function(ty.element_type.into());
                    module.tables.push(Table { ty, written: false, exported: false });
                }
                TypeRef::Memory(ty) => {
                    module.imported.memories += 1;
                    module.memories.push(ty);
                }
                TypeRef::Global(ty) => {
                    module.imported.globals += 1;
                    module.hands_out_functions |= refers_to_function(ty.content_type);
                    module.globals.push(ty);
                }
                TypeRef::Tag(_) => {}
            }
        }
        Ok(())
    }

    fn exports(&mut self, exports: ExportSectionReader<'a>) -> Read<()> {
        let module = &mut self.module;
        module.exports = exports.count() as usize;
        for export in exports {
            let export = export?;
            if export.name.starts_with(PREFIX) {
                self.reserved.push(export.name);
            }
            match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    module.entries.push(export.name);
                    module.exported.push(export.index);
                    module.referenced.push(export.index);
                }
                ExternalKind::Table => {
                    let table = &mut module.tables[export.index as usize];
                    table.exported = true;
                    module.hands_out_functions |= refers_to_function(table.ty.element_type.into());
                }
                ExternalKind::Global => {
                    let ty = module.globals[export.index as usize].content_type;
                    module.hands_out_functions |= refers_to_function(ty);
                }
                ExternalKind::Memory | ExternalKind::Tag => {}
            }
        }
        Ok(())
    }

    fn elements(&mut self, elements: ElementSectionReader<'a>) -> Read<()> {
        let module = &mut self.module;
        for element in elements {
            let element = element?;
            match element.items {
                ElementItems::Functions(functions) => {
                    for function in functions {
                        module.referenced.push(function?);
                    }
                }
                ElementItems::Expressions(_, expressions) => {
                    for expression in expressions {
                        references(&expression?, &mut module.referenced)?;
                    }
                }
            }
            let passive = matches!(element.kind, ElementKind::Passive);
            module.elems.push(Elem { passive, dropped: false });
        }
        Ok(())
    }

    fn body(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'a>,
    ) -> Read<()> {
        let mut validator = function.into_validator(std::mem::take(&mut self.validation));
        let mut reader = body.get_binary_reader();
        reader.set_features(CARRIED);
        validator.read_locals(&mut reader)?;
        let code = reader.original_position();
        let mut reader =
            OperatorsReader::new_with_allocs(reader, std::mem::take(&mut self.reading));
        let mut sites = Vec::new();
        let origin = body.range().start;
        let mut trace = Trace::new((code - body.range().start) as u32);
        let module = &mut self.module;
        let written = |tables: &mut Vec<Table>, table: u32| tables[table as usize].written = true;
        while !reader.eof() {
            let start = reader.original_position();
            let operator = reader.read()?;
            let at = (start - origin) as u32;
            if self.traces {
                trace.before(at, &validator);
            }
            validator.op(start, &operator)?;
            if self.traces {
                let end = (reader.original_position() - origin) as u32;
                trace.after(at, end, &operator, &validator);
            }
            module.catches |= matches!(operator, Operator::TryTable { .. });
            let bulk = match operator {
                Operator::TableSet { table }
                | Operator::TableGrow { table }
                | Operator::TableFill { table }
                | Operator::TableCopy { dst_table: table, .. } => {
                    written(&mut module.tables, table);
                    continue;
                }
                Operator::TableInit { elem_index, table } => {
                    written(&mut module.tables, table);
                    Bulk::TableInit(elem_index)
                }
                Operator::MemoryInit { data_index, .. } => Bulk::MemoryInit(data_index),
                Operator::DataDrop { data_index } => {
                    module.data[data_index as usize].dropped = true;
                    Bulk::DataDrop(data_index)
                }
                Operator::ElemDrop { elem_index } => {
                    module.elems[elem_index as usize].dropped = true;
                    Bulk::ElemDrop(elem_index)
                }
                _ => continue,
            };
            sites.push(Site { bulk, range: start..reader.original_position() });
        }
        reader.finish()?;
        let whole = self.end..body.range().end;
        self.end = whole.end;
        module.bodies.push(Body {
            function: validator.index(),
            whole,
            contents: body.range(),
            code,
            locals: validator.len_locals(),
            sites,
            trace,
        });
        self.reading = reader.into_allocations();
        self.validation = validator.into_allocations();
        Ok(())
    }
}

fn refers_to_function(ty: ValType) -> bool {
    match ty {
        ValType::Ref(ty) => match ty.heap_type() {
            HeapType::Concrete(_) | HeapType::Exact(_) => true,
            HeapType::Abstract { ty, .. } => ty == AbstractHeapType::Func,
        },
        _ => false,
    }
}

/// Collects the functions that a constant expression makes references to.
fn references(expression: &ConstExpr<'_>, referenced: &mut Vec<u32>) -> Read<()> {
    for operator in expression.get_operators_reader() {
        if let Operator::RefFunc { function_index } = operator? {
            referenced.push(function_index);
        }
    }
    Ok(())
}

/// The address that a valid constant expression gives. `None` if it depends on an imported global.
fn constant(expression: &ConstExpr<'_>) -> Read<Option<u64>> {
    let mut stack = Vec::new();
    // Values of type i32 are kept with their upper half zero.
    let narrow = |value: i64| i64::from(value as u32);
    for operator in expression.get_operators_reader() {
        let operator = operator?;
        let value = match operator {
            Operator::I32Const { value } => narrow(i64::from(value)),
            Operator::I64Const { value } => value,
            Operator::End => break,
            _ => {
                let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return Ok(None) };
                let (left, right): (i64, i64) = (left, right);
                match operator {
                    Operator::I32Add => narrow(left.wrapping_add(right)),
                    Operator::I32Sub => narrow(left.wrapping_sub(right)),
                    Operator::I32Mul => narrow(left.wrapping_mul(right)),
                    Operator::I64Add => left.wrapping_add(right),
                    Operator::I64Sub => left.wrapping_sub(right),
                    Operator::I64Mul => left.wrapping_mul(right),
                    _ => return Ok(None),
                }
            }
        };
        stack.push(value);
    }
    Ok(stack.pop().map(|value| value as u64))
}
