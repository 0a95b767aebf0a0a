//! [`saving`]: a module whose calls can become data.

use crate::body::Edit;
use crate::custom::ChangedBody;
use crate::error::{Error, Place, at_most};
use crate::frames::{FrameLayout, Point, Slot, SlotValue};
use crate::layout::ValueType;
use crate::module::{Body, Module};
use crate::parse;
use crate::refuse::{CARRIED, name_of};
use crate::saving::context::Context;
use crate::saving::reach::Reach;
use crate::saving::rewrite::{Rewrite, Source, Written};
use crate::saving::sets::Sets;
use crate::saving::shape::Shape;
use crate::saving::spills::Spills;
use crate::saving::types::{Signature, Types, is_never_null};
use crate::state::value_type;
use crate::stops::live::live_after;
use crate::stops::trace::{Call, Callee};
use crate::write::MOST_LOCALS;
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::types::CoreTypeId;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, FuncToValidate, FunctionBody, OperatorsReader, Parser,
    Payload, TypeRef, ValidPayload, Validator, ValidatorResources,
};

/// How many operands and instructions the description of a body may have. More are in no program that people write.
const MOST_OF_A_SHAPE: usize = 1 << 24;

/// How many points a function has at most. A twin has a table of branches with so many targets.
const MOST_POINTS: usize = 65_000;

/// How many bytes a twin repeats because of loops that have references as parameters: so many for each byte of the function, and so many more. Without a bound, the twin of
/// a nest of such loops grows with the square of its depth.
const MOST_REPEATED_PER_BYTE: usize = 16;
const MOST_REPEATED: usize = 1 << 16;

/// How many values are saved at a point at most. A function has no more results.
const MOST_SAVED_AT_ONCE: usize = 900;

/// How many values are saved at all points of the module together, at most.
const MOST_SAVED: usize = 1 << 22;

type Read<T> = Result<T, BinaryReaderError>;

/// What is asked for.
pub(crate) struct Saving<'a> {
    /// Whether an import may suspend, by its module and name.
    pub(crate) suspends: &'a dyn Fn(&str, &str) -> bool,
    /// Functions that are not saved: those that checks call.
    pub(crate) never: Range<u32>,
    /// The functions that are exported for the state, because a reference in it may be to them.
    pub(crate) functions: &'a [u32],
    /// Whether the module gets twins.
    pub(crate) twins: bool,
    /// Whether functions take as much fuel as their twins.
    pub(crate) counts_fuel: bool,
}

/// Rewrites a module, which has the exports of its state already.
pub(crate) fn saving(wasm: &[u8], asked: &Saving<'_>) -> Result<(Vec<u8>, FrameLayout), Error> {
    let module = parse::parse_transformed(wasm)?;
    let mut pass = Pass::new(&module, asked);
    pass.run().map_err(|error| Error::Invalid {
        message: error.message().to_owned(),
        offset: error.offset(),
    })?;
    pass.finish()
}

pub(super) struct Pass<'a> {
    pub(super) module: &'a Module<'a>,
    pub(super) asked: &'a Saving<'a>,
    signatures: Vec<Signature>,
    imports: Vec<bool>,
    indices: HashMap<CoreTypeId, u32>,
    reach: Option<Reach>,
    pub(super) context: Context,
    pub(super) changed: Vec<ChangedBody>,
    /// The twins, by the index of the function.
    pub(super) twins: Vec<(u32, u32)>,
    pub(super) frames: FrameLayout,
    /// For each function that is written anew or added, where in its body the calls of points are.
    pub(super) sites: HashMap<u32, Vec<(usize, u32)>>,
    /// How many values are saved at all points.
    saved: usize,
    pub(super) refused: Option<Error>,
}

impl<'a> Pass<'a> {
    fn new(module: &'a Module<'a>, asked: &'a Saving<'a>) -> Self {
        let types = module.canonical_types.len() as u32;
        let functions = module.function_types.len() as u32;
        let (globals, tables) = (module.globals.len() as u32, module.tables.len() as u32);
        Self {
            module,
            asked,
            signatures: Vec::new(),
            imports: Vec::new(),
            indices: HashMap::new(),
            reach: None,
            context: Context::new(types, functions, globals, tables, asked.counts_fuel),
            changed: Vec::new(),
            twins: Vec::new(),
            frames: FrameLayout::default(),
            sites: HashMap::new(),
            saved: 0,
            refused: None,
        }
    }

    fn run(&mut self) -> Read<()> {
        let mut validator = Validator::new_with_features(CARRIED);
        let mut parser = Parser::new(0);
        parser.set_features(CARRIED);
        let mut bodies = self.module.bodies.iter();
        for payload in parser.parse_all(self.module.wasm) {
            let payload = payload?;
            if let ValidPayload::Func(function, code) = validator.payload(&payload)? {
                let body = bodies.next().expect("all bodies were read before");
                self.body(function, &code, body)?;
                continue;
            }
            match payload {
                Payload::TypeSection(types) => {
                    for group in types {
                        for ty in group?.into_types() {
                            let CompositeInnerType::Func(ty) = &ty.composite_type.inner else {
                                unreachable!("no other types are carried")
                            };
                            let values = |types: &[wasmparser::ValType]| {
                                types.iter().map(|&ty| value_type(ty)).collect()
                            };
                            let params = values(ty.params());
                            let results = values(ty.results());
                            self.signatures.push(Signature { params, results });
                        }
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(_) | TypeRef::FuncExact(_) = import.ty {
                            let suspends = (self.asked.suspends)(import.module, import.name);
                            self.imports.push(suspends);
                        }
                    }
                }
                Payload::CodeSectionStart { .. } => {
                    if let Some(types) = validator.types(0) {
                        let all = (0..self.signatures.len() as u32).rev();
                        let ids = all.map(|index| (types.core_type_at_in_module(index), index));
                        // Of equal types, the first one.
                        self.indices = ids.collect();
                    }
                    self.reach = Some(Reach::new(self.module, &self.imports, &self.asked.never));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn body(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        code: &FunctionBody<'a>,
        body: &'a Body,
    ) -> Read<()> {
        let reach = self.reach.as_ref().expect("the code section has begun");
        let may_suspend = body.trace.calls.iter().any(|call| reach.suspends(call.callee));
        if !may_suspend || self.asked.never.contains(&body.function) || self.refused.is_some() {
            return Ok(());
        }
        let shape = self.shape(function, code, body, reach)?;
        if let Err(refused) = self.rewrite(&shape, body) {
            self.refused = Some(refused);
        }
        Ok(())
    }

    fn shape(
        &self,
        function: FuncToValidate<ValidatorResources>,
        code: &FunctionBody<'a>,
        body: &Body,
        reach: &Reach,
    ) -> Read<Shape> {
        let origin = body.contents.start;
        let mut validator = function.into_validator(Default::default());
        let mut reader = code.get_binary_reader();
        reader.set_features(CARRIED);
        validator.read_locals(&mut reader)?;
        let ty = self.module.function_types[body.function as usize];
        let ty = self.signatures[ty as usize].clone();
        let locals = self.locals(code, &ty)?;
        let mut shape = Shape::new(ty, locals, (body.code - origin) as u32);
        let types = Types {
            signatures: &self.signatures,
            functions: &self.module.function_types,
            indices: &self.indices,
            canonical: &self.module.canonical_types,
            reach,
        };
        let mut reader = OperatorsReader::new(reader);
        while !reader.eof() {
            let start = reader.original_position();
            let operator = reader.read()?;
            let end = (reader.original_position() - origin) as u32;
            shape.before((start - origin) as u32, end, &operator, &validator, &types);
            validator.op(start, &operator)?;
            shape.after(end, &validator);
            if shape.size > MOST_OF_A_SHAPE {
                break;
            }
        }
        Ok(shape)
    }

    fn locals(&self, code: &FunctionBody<'_>, ty: &Signature) -> Read<Vec<ValueType>> {
        let mut locals = ty.params.clone();
        for group in code.get_locals_reader()? {
            let (count, ty) = group?;
            locals.extend(std::iter::repeat_n(value_type(ty), count as usize));
        }
        Ok(locals)
    }

    fn rewrite(&mut self, shape: &Shape, body: &Body) -> Result<(), Error> {
        let too_large = |what: &str, count, most| {
            at_most(&format!("{what} in function {}", body.function), count, most)
        };
        too_large("instructions and operands", shape.size, MOST_OF_A_SHAPE)?;
        if shape.has_other_tail_call {
            return Err(self.refused(body, "a call in its place gives values of other types"));
        }
        if shape.points.is_empty() {
            return Ok(());
        }
        too_large("points", shape.points.len(), MOST_POINTS)?;
        let most_repeated = MOST_REPEATED + MOST_REPEATED_PER_BYTE * body.contents.len();
        let what = "bytes in loops inside each other that have references as parameters";
        too_large(what, shape.repeated, most_repeated)?;
        let spills = Spills::new(shape);
        too_large("locals", shape.locals.len() + spills.len() as usize + 1, MOST_LOCALS)?;
        let points = self.points(shape, &spills, body)?;
        let source = Source {
            wasm: self.module.wasm,
            origin: body.contents.start,
            shape,
            signatures: &self.signatures,
            points: &points,
            spills: &spills,
        };
        let written = Rewrite::new(source, &mut self.context).function();
        let Some(Written { code: with, sites }) = written else {
            let why = "a result is never null, and refers to no function";
            return Err(self.refused(body, why));
        };
        self.sites.insert(body.function, sites);
        let edit = Edit { range: body.contents.clone(), with };
        let (function, start) = (body.function, body.contents.start);
        self.changed.push(ChangedBody { function, start, edits: vec![edit] });
        if self.asked.twins {
            let twin = Rewrite::new(source, &mut self.context).twin();
            let Written { code: twin, sites } = twin.expect("the function had all results");
            let results = shape.ty.results.clone();
            let ty = Signature { params: Vec::new(), results };
            let twin = self.context.add_function(ty, twin);
            self.sites.insert(twin, sites);
            self.twins.push((body.function, twin));
        }
        Ok(())
    }

    /// Finds what the function saves at its points, and describes it.
    fn points(&mut self, shape: &Shape, spills: &Spills, body: &Body) -> Result<Sets, Error> {
        let calls: Vec<_> = shape.points.iter().map(|point| point.call).collect();
        let locals = live_after(&body.trace, &calls);
        let locals = locals.ok_or_else(|| Error::TooLarge {
            what: format!("locals and blocks in function {}", body.function),
            count: shape.locals.len() * shape.items.len(),
            limit: 1 << 26,
        })?;

        let first_point = self.frames.points.len() as u32;
        let live: Vec<Vec<u32>> = shape
            .points
            .iter()
            .zip(locals)
            .map(|(point, mut live)| {
                let below = point.below.iter();
                live.extend(below.map(|&(height, ty)| spills.local(height, ty)));
                // Nothing can take the place of these.
                let params = (0..).zip(&shape.ty.params);
                live.extend(params.filter(|(_, ty)| is_never_null(**ty)).map(|(local, _)| local));
                live.sort_unstable();
                live.dedup();
                live
            })
            .collect();
        let most = live.iter().map(Vec::len).max().unwrap_or(0);
        let what = format!("values to save at one call in function {}", body.function);
        at_most(&what, most, MOST_SAVED_AT_ONCE)?;
        self.saved += live.iter().map(Vec::len).sum::<usize>();
        at_most("values to save at all calls", self.saved, MOST_SAVED)?;
        let points = Sets::new(first_point, live, |local| spills.type_of(shape, local));
        let never = &self.asked.never;
        let is_added = |call: &Call| matches!(call.callee, Callee::Function(function) if never.contains(&function));
        let (mut calls, mut added) = (0, 0);
        for ((point, live), &set) in shape.points.iter().zip(&points.live).zip(&points.set_of) {
            let operands = point.below.iter();
            let operands: HashMap<_, _> =
                operands.map(|&(height, ty)| (spills.local(height, ty), height)).collect();
            let slots = points.sets[set as usize].iter().map(|local| {
                let what = match (live.binary_search(local), operands.get(local)) {
                    (Err(_), _) => SlotValue::Nothing,
                    (Ok(_), Some(&height)) => SlotValue::Operand(height),
                    (Ok(_), None) => SlotValue::Local(*local),
                };
                Slot { ty: spills.type_of(shape, *local), what }
            });
            let before = &body.trace.calls[calls as usize..point.call as usize];
            added += before.iter().filter(|call| is_added(call)).count() as u32;
            calls = point.call;
            self.frames.points.push(Point {
                function: body.function,
                call: calls - added,
                callee: point.callee,
                results: point.ty.results.clone(),
                slots: slots.collect(),
            });
        }
        Ok(points)
    }

    /// Why a function's calls cannot be saved.
    fn refused(&self, body: &Body, why: &'static str) -> Error {
        let name = name_of(self.module.wasm, body.function);
        let (function, offset) = (Some(body.function), body.contents.start);
        Error::CannotSave { why, place: Place { function, name, section: "code", offset } }
    }
}
