//! [`body`]: a random body of a function. The generator keeps the types of the operands, as a validator does, so that all it writes is valid.

use super::{
    BACK, DATA, HOST_FUNCTIONS, LOG, MAKE, NUMBERS, Plan, REFERENCES, SHOW, Signature, Ty,
};
use wasm_encoder::{BlockType, Catch, Encode, HeapType, InstructionSink, MemArg, RefType};

/// How many blocks are inside of each other, at most.
const DEPTH: usize = 6;

/// What a branch to a label has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It leads on.
    Block,
    /// It leads back. The loop takes from the budget at its beginning.
    Loop,
    /// It leads back, and has to count down first. This is the local that counts.
    CountedLoop(u32),
}

#[derive(Clone, Debug)]
struct Label {
    kind: Kind,
    /// What a branch to the label takes along.
    types: Vec<Ty>,
    /// How many operands there are below the block's own.
    below: usize,
}

struct Body<'a> {
    plan: &'a mut Plan,
    code: Vec<u8>,
    /// The types of all locals, parameters first.
    locals: Vec<Ty>,
    /// How many of the locals any instruction may write. Those after that count.
    free_locals: usize,
    operands: Vec<Ty>,
    /// The labels around, the function's own first.
    labels: Vec<Label>,
    results: Vec<Ty>,
    is_leaf: bool,
    /// How many statements may yet be written.
    left: usize,
}

/// The body of the `n`th function of the plan.
pub(super) fn body(plan: &mut Plan, n: usize) -> Vec<u8> {
    let ty = plan.functions[n].ty;
    let is_leaf = plan.functions[n].is_leaf;
    let Signature { params, results } = plan.types[ty as usize].clone();
    let mut locals = params.clone();
    // Some have more than fit in two words of bits.
    let more = plan.random.of(&[3, 6, 6, 9, 9, 14, 140]);
    for _ in 0..plan.below(more) {
        let ty = plan.any(true);
        locals.push(ty);
    }
    let label = Label { kind: Kind::Block, types: results.clone(), below: 0 };
    let free_locals = locals.len();
    let left = 4 + plan.below(12);
    let (code, operands, labels) = (Vec::new(), Vec::new(), vec![label]);
    let mut body =
        Body { plan, code, locals, free_locals, operands, labels, results, is_leaf, left };
    body.begin(params.len());
    let mut reached = true;
    while reached && body.left > 0 {
        reached = body.statements(12);
    }
    body.end(reached);
    body.encoded(params.len())
}

impl Body<'_> {
    fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.plan.chance(percent)
    }

    fn below(&mut self, end: usize) -> usize {
        self.plan.below(end)
    }

    fn budget(&self) -> u32 {
        self.plan.first_global()
    }

    fn sum(&self) -> u32 {
        self.plan.first_global() + 1
    }

    fn host(&self, name: &str) -> u32 {
        HOST_FUNCTIONS.iter().position(|(host, ..)| *host == name).unwrap() as u32
    }

    fn encoded(self, params: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let locals = &self.locals[params..];
        let groups: Vec<_> = locals.chunk_by(|a, b| a == b).collect();
        (groups.len() as u32).encode(&mut body);
        for group in groups {
            (group.len() as u32).encode(&mut body);
            group[0].encoded().encode(&mut body);
        }
        body.extend(self.code);
        body
    }

    /// Gives locals values that need or deserve one, and returns if the budget is used up.
    fn begin(&mut self, params: usize) {
        for local in params..self.free_locals {
            let ty = self.locals[local];
            if matches!(ty, Ty::To(_)) || self.chance(50) {
                self.value(ty, 0);
                self.sink().local_set(local as u32);
                self.operands.pop();
            }
        }
        if !self.is_leaf {
            self.spend();
        }
    }

    /// Takes one from the budget. If it is used up, returns.
    fn spend(&mut self) {
        if !self.plan.ends {
            return;
        }
        let budget = self.budget();
        self.sink().global_get(budget).i32_const(1).i32_sub().global_set(budget);
        self.sink().global_get(budget).i32_const(0).i32_lt_s().if_(BlockType::Empty);
        let results = self.results.clone();
        self.all(&results);
        self.sink().return_().end();
        self.operands.truncate(self.operands.len() - results.len());
    }

    /// Some statements. Whether what comes after them is reached.
    fn statements(&mut self, most: usize) -> bool {
        for _ in 0..1 + self.below(most) {
            if self.left == 0 {
                return true;
            }
            self.left -= 1;
            if !self.statement() {
                return false;
            }
        }
        true
    }

    /// How many operands the block has.
    fn height(&self) -> usize {
        self.operands.len() - self.labels.last().unwrap().below
    }

    fn is_deep(&self) -> bool {
        self.labels.len() > DEPTH
    }

    /// A statement. It may leave operands, or take some that are there. Whether what comes after it is reached.
    fn statement(&mut self) -> bool {
        match self.plan.random.below(40) {
            0..=4 => {
                let ty = self.plan.any(true);
                self.value(ty, 2);
            }
            5..=6 if self.height() > 0 => self.consume(),
            7..=11 => self.assignment(),
            12..=13 if !self.is_deep() => self.block(),
            14..=18 if !self.is_deep() => self.a_loop(),
            19..=21 if !self.is_deep() => self.branches(),
            22..=24 if self.plan.throws && !self.is_deep() => self.catching(),
            25..=26 => self.branch_if(),
            27..=31 if !self.is_leaf => self.call(),
            32..=33 => self.memory(),
            34 => self.table(),
            35..=36 if self.plan.has_host && !self.is_leaf => self.call_host(),
            37 => {
                self.value(Ty::I32, 2);
                self.operands.pop();
                self.sink().if_(BlockType::Empty);
                self.labels.push(Label {
                    kind: Kind::Block,
                    types: Vec::new(),
                    below: self.operands.len(),
                });
                self.leave();
                self.end(false);
            }
            38 if self.labels.len() > 1 && self.chance(50) => {
                self.leave();
                return false;
            }
            _ => self.assignment(),
        }
        true
    }

    /// Ends a block: takes what the block has left, and leaves its results.
    fn end(&mut self, reached: bool) {
        let label = self.labels.last().unwrap();
        let (below, types) = (label.below, label.types.clone());
        // A loop's label takes other types than its end.
        if reached {
            self.settle(below, &types);
        }
        self.sink().end();
        self.operands.truncate(below);
        self.operands.extend(types);
        self.labels.pop();
    }

    /// Makes exactly these the operands of the block.
    fn settle(&mut self, below: usize, types: &[Ty]) {
        while self.operands.len() > below && self.operands[below..] != *types {
            self.consume();
        }
        if self.operands[below..] != *types {
            self.all(types);
        }
    }

    fn all(&mut self, types: &[Ty]) {
        for &ty in types {
            self.value(ty, 1);
        }
    }

    /// The locals of a type.
    fn locals_of(&mut self, ty: Ty, only_free: bool) -> Option<u32> {
        let end = if only_free { self.free_locals } else { self.locals.len() };
        let locals: Vec<_> = (0..end).filter(|local| self.locals[*local] == ty).collect();
        match locals.len() {
            0 => None,
            count => Some(locals[self.below(count)] as u32),
        }
    }

    fn global_of(&mut self, ty: Ty) -> Option<u32> {
        // But for the budget and the sum.
        let globals: Vec<_> =
            (2..self.plan.globals.len()).filter(|n| self.plan.globals[*n] == ty).collect();
        match globals.len() {
            0 => None,
            count => Some(self.plan.first_global() + globals[self.below(count)] as u32),
        }
    }

    /// Leaves a value.
    fn value(&mut self, ty: Ty, depth: usize) {
        if self.chance(45)
            && self.operands.len() < 500
            && let Some(local) = self.locals_of(ty, false)
            // At the beginning of the body, those that cannot be null have no value.
            && (!matches!(ty, Ty::To(_)) || depth > 0)
        {
            self.sink().local_get(local);
        } else if self.chance(15)
            && let Some(global) = self.global_of(ty)
        {
            self.sink().global_get(global);
        } else if depth > 0 && NUMBERS.contains(&ty) && self.chance(50) {
            return self.computed(ty, depth - 1);
        } else {
            self.new_value(ty, depth);
            return;
        }
        self.operands.push(ty);
    }

    /// A constant, or a new reference.
    fn new_value(&mut self, ty: Ty, depth: usize) {
        let number = self.plan.random.of(&[0, 1, 2, 3, 5, 8, 100, 0x1234_5678_9abc]);
        match ty {
            Ty::I32 => _ = self.sink().i32_const(number as i32),
            Ty::I64 => _ = self.sink().i64_const(number),
            Ty::F32 => _ = self.sink().f32_const((number as f32 / 4.0).into()),
            Ty::F64 => _ = self.sink().f64_const((number as f64 / 4.0).into()),
            Ty::V128 => _ = self.sink().v128_const(i128::from(number) * 0x1_0000_0001),
            Ty::Func if !self.plan.referenced.is_empty() && self.chance(70) => {
                let at = self.below(self.plan.referenced.len());
                let function = self.plan.first_function() + self.plan.referenced[at];
                self.sink().ref_func(function);
            }
            Ty::Func => _ = self.sink().ref_null(HeapType::FUNC),
            Ty::Extern if self.plan.has_host && !self.is_leaf && depth > 0 => {
                self.value(Ty::I32, depth - 1);
                self.operands.pop();
                let make = self.host(MAKE);
                self.sink().call(make);
            }
            Ty::Extern if self.chance(50) => {
                let at = self.below(REFERENCES as usize);
                self.sink().i32_const(at as i32).table_get(1);
            }
            Ty::Extern => _ = self.sink().ref_null(HeapType::EXTERN),
            Ty::Exception if !self.plan.tags.is_empty() && depth > 0 => {
                return self.exception(depth - 1);
            }
            Ty::Exception => _ = self.sink().ref_null(RefType::EXNREF.heap_type),
            Ty::Nullable(ty) if self.chance(20) => {
                self.sink().ref_null(HeapType::Concrete(ty));
            }
            Ty::Nullable(ty) | Ty::To(ty) => {
                let functions = self.plan.of_type(ty);
                let at = self.below(functions.len());
                self.sink().ref_func(functions[at]);
            }
        }
        self.operands.push(ty);
    }

    /// A number that is computed from others.
    fn computed(&mut self, ty: Ty, depth: usize) {
        let choice = self.plan.random.below(8);
        match (ty, choice) {
            (Ty::I32, 0) => {
                self.value(Ty::I64, depth);
                self.sink().i32_wrap_i64();
            }
            (Ty::I32, 1) => {
                self.value(Ty::F64, depth);
                self.sink().i32_trunc_sat_f64_s();
            }
            (Ty::I32, 2) => {
                self.value(Ty::V128, depth);
                self.sink().i32x4_extract_lane(1);
            }
            (Ty::I32, 3) => return self.loaded(ty),
            (Ty::I32, 4) => {
                let ty = self.plan.random.of(&[Ty::Func, Ty::Extern, Ty::Exception]);
                self.value(ty, depth);
                self.sink().ref_is_null();
            }
            (Ty::I64, 0) => {
                self.value(Ty::I32, depth);
                self.sink().i64_extend_i32_u();
            }
            (Ty::F32, 0) => {
                self.value(Ty::I32, depth);
                self.sink().f32_convert_i32_s();
            }
            (Ty::F64, 0) => {
                self.value(Ty::F32, depth);
                self.sink().f64_promote_f32();
            }
            (Ty::V128, 0) => {
                self.value(Ty::I32, depth);
                self.sink().i32x4_splat();
            }
            (Ty::V128, 1) => {
                self.value(Ty::F64, depth);
                self.sink().f64x2_splat();
            }
            (_, 1 | 3) => return self.loaded(ty),
            _ => {
                self.value(ty, depth);
                self.value(ty, depth);
                self.operator(ty);
                return;
            }
        }
        self.operands.pop();
        self.operands.push(ty);
    }

    /// Takes two numbers and leaves one.
    fn operator(&mut self, ty: Ty) {
        let choice = self.plan.random.below(4);
        let mut sink = InstructionSink::new(&mut self.code);
        match (ty, choice) {
            (Ty::I32, 0) => _ = sink.i32_add(),
            (Ty::I32, 1) => _ = sink.i32_mul(),
            (Ty::I32, 2) => _ = sink.i32_xor(),
            (Ty::I32, _) => _ = sink.i32_lt_s(),
            (Ty::I64, 0 | 1) => _ = sink.i64_add(),
            (Ty::I64, 2) => _ = sink.i64_mul(),
            (Ty::I64, _) => _ = sink.i64_rotl(),
            (Ty::F32, 0 | 1) => _ = sink.f32_add(),
            (Ty::F32, _) => _ = sink.f32_sub(),
            (Ty::F64, 0 | 1) => _ = sink.f64_add(),
            (Ty::F64, _) => _ = sink.f64_mul(),
            (Ty::V128, 0 | 1) => _ = sink.i32x4_add(),
            (Ty::V128, _) => _ = sink.v128_xor(),
            _ => unreachable!("these are the numbers"),
        }
        self.operands.truncate(self.operands.len() - 2);
        self.operands.push(ty);
    }

    /// An exception that was thrown and caught.
    fn exception(&mut self, depth: usize) {
        let tag = self.below(self.plan.tags.len());
        let below = self.operands.len();
        self.sink().block(BlockType::Result(Ty::Exception.encoded()));
        self.sink().try_table(BlockType::Empty, [Catch::AllRef { label: 0 }]);
        for ty in self.plan.tags[tag].clone() {
            self.value(ty, depth);
        }
        self.sink().throw(tag as u32).end().unreachable().end();
        self.operands.truncate(below);
        self.operands.push(Ty::Exception);
    }

    /// Takes the last operand.
    fn consume(&mut self) {
        let ty = *self.operands.last().unwrap();
        if self.chance(40)
            && let Some(local) = self.locals_of(ty, true)
        {
            self.sink().local_set(local);
        } else if self.chance(20)
            && let Some(global) = self.global_of(ty)
        {
            self.sink().global_set(global);
        } else if ty == Ty::Extern && self.plan.has_host && !self.is_leaf {
            let show = self.host(SHOW);
            self.sink().call(show);
        } else {
            self.add_to_sum(ty);
        }
        self.operands.pop();
    }

    fn add_to_sum(&mut self, ty: Ty) {
        let sum = self.sum();
        let lane = self.below(2) as u8;
        let mut sink = self.sink();
        match ty {
            Ty::I32 => {}
            Ty::I64 => fold(&mut sink),
            Ty::F32 => _ = sink.i32_reinterpret_f32(),
            Ty::F64 => {
                sink.i64_reinterpret_f64();
                fold(&mut sink);
            }
            Ty::V128 => {
                sink.i64x2_extract_lane(lane);
                fold(&mut sink);
            }
            _ => _ = sink.ref_is_null(),
        }
        sink.global_get(sum).i32_const(31).i32_mul().i32_add().global_set(sum);
    }

    /// Writes a local that others may be read from.
    fn assignment(&mut self) {
        if self.free_locals == 0 {
            return;
        }
        let local = self.below(self.free_locals);
        let ty = self.locals[local];
        self.value(ty, 3);
        if self.chance(15) {
            // A value stays.
            self.sink().local_tee(local as u32);
        } else {
            self.sink().local_set(local as u32);
            self.operands.pop();
        }
    }

    /// The operands that a block takes, which are the last ones.
    fn taken(&mut self) -> Vec<Ty> {
        let most = self.height().min(3);
        let count = self.below(most + 1);
        let taken = self.operands[self.operands.len() - count..].to_vec();
        let hands_out = self.plan.hands_out_functions;
        if hands_out || !taken.iter().any(|ty| ty.is_function()) { taken } else { Vec::new() }
    }

    fn block_type(&mut self, params: &[Ty], results: &[Ty]) -> BlockType {
        match (params, results) {
            ([], []) => BlockType::Empty,
            ([], [result]) => BlockType::Result(result.encoded()),
            _ => {
                let (params, results) = (params.to_vec(), results.to_vec());
                BlockType::FunctionType(self.plan.ty(Signature { params, results }))
            }
        }
    }

    /// Begins a block whose params are on the stack.
    fn open(&mut self, kind: Kind, types: Vec<Ty>, params: &[Ty]) {
        let below = self.operands.len() - params.len();
        self.labels.push(Label { kind, types, below });
    }

    /// The statements of a block, and its end.
    fn inside(&mut self, results: &[Ty]) {
        let reached = self.statements(6);
        // The end of a loop has other types than its label.
        self.labels.last_mut().unwrap().types = results.to_vec();
        self.end(reached);
    }

    fn block(&mut self) {
        let (params, results) = (self.taken(), self.plan.list(3));
        let ty = self.block_type(&params, &results);
        self.sink().block(ty);
        self.open(Kind::Block, results.clone(), &params);
        self.inside(&results);
    }

    fn branches(&mut self) {
        self.value(Ty::I32, 2);
        let condition = self.operands.pop();
        debug_assert_eq!(condition, Some(Ty::I32));
        let (params, mut results) = (self.taken(), self.plan.list(3));
        let has_else = self.chance(60);
        if !has_else {
            results.clone_from(&params);
        }
        let ty = self.block_type(&params, &results);
        self.sink().if_(ty);
        self.open(Kind::Block, results.clone(), &params);
        if has_else {
            let below = self.labels.last().unwrap().below;
            if self.statements(5) {
                self.settle(below, &results);
            }
            self.sink().else_();
            self.operands.truncate(below);
            self.operands.extend(params);
        }
        self.inside(&results);
    }

    fn a_loop(&mut self) {
        let (params, results) = (self.taken(), self.plan.list(2));
        let counted = self.chance(65);
        let kind = if counted {
            let counter = self.locals.len() as u32;
            self.locals.push(Ty::I32);
            let times = 1 + self.below(5) as i32;
            self.sink().i32_const(times).local_set(counter);
            Kind::CountedLoop(counter)
        } else {
            Kind::Loop
        };
        let ty = self.block_type(&params, &results);
        self.sink().loop_(ty);
        self.open(kind, params.clone(), &params);
        if !counted {
            self.spend();
        }
        let mut reached = self.statements(6);
        if reached && self.chance(85) {
            self.branch_if_to(0);
            if !counted && self.chance(30) {
                self.branch_to(0);
                reached = false;
            }
        }
        self.labels.last_mut().unwrap().types = results;
        self.end(reached);
    }

    /// A block with handlers. The labels of these may be any around that fit.
    fn catching(&mut self) {
        let depth = self.labels.len();
        let mut catches = Vec::new();
        // For each label that is made for the handlers, from the outside, its results.
        let mut made: Vec<Vec<Ty>> = Vec::new();
        let mut wanted = Vec::new();
        for _ in 0..1 + self.below(3) {
            let tag = self.below(self.plan.tags.len());
            let with_reference = self.chance(40);
            let tag = if self.chance(70) { Some(tag as u32) } else { None };
            let mut types = tag.map_or(Vec::new(), |tag| self.plan.tags[tag as usize].clone());
            types.extend(with_reference.then_some(Ty::Exception));
            wanted.push((tag, with_reference, types));
        }
        let results = self.plan.list(2);
        let mut loops = Vec::new();
        for (tag, with_reference, types) in wanted {
            let fits = |label: &&Label| {
                label.types == types && !matches!(label.kind, Kind::CountedLoop(_))
            };
            let fitting: Vec<_> =
                self.labels.iter().enumerate().filter(|(_, label)| fits(label)).collect();
            let existing = (!fitting.is_empty()).then_some(fitting.len());
            // Labels are counted from the outside as yet.
            let label = match existing {
                Some(count) => {
                    let positions: Vec<_> = fitting.iter().map(|(at, _)| *at).collect();
                    positions[self.below(count)]
                }
                None => {
                    made.push(types);
                    let is_loop = self.chance(30);
                    loops.push(is_loop);
                    depth + made.len() - 1
                }
            };
            catches.push((tag, with_reference, label));
        }
        for (types, is_loop) in made.iter().zip(&loops) {
            if *is_loop {
                // A loop takes what its handler gets. Its result is nothing.
                self.all(types);
                let ty = self.block_type(types, &[]);
                self.sink().loop_(ty);
                self.open(Kind::Loop, types.clone(), types);
                self.spend();
            } else {
                let ty = self.block_type(&[], types);
                self.sink().block(ty);
                self.open(Kind::Block, types.clone(), &[]);
            }
        }
        let inside = self.labels.len();
        let catches = catches.into_iter().map(|(tag, with_reference, label)| {
            let label = (inside - 1 - label) as u32;
            match (tag, with_reference) {
                (Some(tag), false) => Catch::One { tag, label },
                (Some(tag), true) => Catch::OneRef { tag, label },
                (None, false) => Catch::All { label },
                (None, true) => Catch::AllRef { label },
            }
        });
        let catches: Vec<_> = catches.collect();
        let ty = self.block_type(&[], &results);
        self.sink().try_table(ty, catches);
        self.open(Kind::Block, results.clone(), &[]);
        if !self.is_leaf && self.chance(60) {
            self.call();
        }
        self.inside(&results);
        for (types, is_loop) in made.into_iter().zip(loops).rev() {
            let results = if is_loop { Vec::new() } else { types };
            self.labels.last_mut().unwrap().types = results;
            self.end(true);
        }
    }

    /// A depth of a label that fits, from the inside.
    fn label(&mut self, fits: impl Fn(&Label) -> bool) -> Option<usize> {
        let fitting: Vec<_> = (0..self.labels.len())
            .filter(|depth| fits(&self.labels[self.labels.len() - 1 - depth]))
            .collect();
        match fitting.len() {
            0 => None,
            count => Some(fitting[self.below(count)]),
        }
    }

    fn at(&self, depth: usize) -> &Label {
        &self.labels[self.labels.len() - 1 - depth]
    }

    fn branch_if(&mut self) {
        if self.chance(25)
            && let Some(ty) = self.nullable()
        {
            // If the reference is null, to a label. It stays otherwise.
            let counts = |label: &Label| matches!(label.kind, Kind::CountedLoop(_));
            if let Some(depth) = self.label(|label| !counts(label)) {
                let types = self.at(depth).types.clone();
                self.all(&types);
                self.value(Ty::Nullable(ty), 1);
                self.sink().br_on_null(depth as u32);
                self.operands.pop();
                self.operands.push(Ty::To(ty));
                return;
            }
        }
        if let Some(depth) = self.label(|_| true) {
            self.branch_if_to(depth);
        }
    }

    fn nullable(&mut self) -> Option<u32> {
        let types = self.plan.types_of_references();
        if types.is_empty() { None } else { Some(types[self.below(types.len())]) }
    }

    /// A branch on a condition. What it would take along stays.
    fn branch_if_to(&mut self, depth: usize) {
        let Label { kind, types, .. } = self.at(depth).clone();
        self.all(&types);
        if let Kind::CountedLoop(counter) = kind {
            let budget = self.budget();
            self.sink().local_get(counter).i32_const(1).i32_sub().local_tee(counter);
            self.sink().i32_const(0).i32_gt_s();
            if !self.plan.ends {
                self.sink().br_if(depth as u32);
                return;
            }
            self.sink().global_get(budget).i32_const(1).i32_sub().global_set(budget);
            self.sink().global_get(budget).i32_const(0).i32_gt_s().i32_and();
        } else {
            self.value(Ty::I32, 2);
            self.operands.pop();
            let sum = self.sum();
            let bits = self.plan.random.of(&[1, 2, 3]);
            self.sink().global_get(sum).i32_xor().i32_const(bits).i32_and();
        }
        self.sink().br_if(depth as u32);
    }

    fn branch_to(&mut self, depth: usize) {
        let types = self.at(depth).types.clone();
        self.all(&types);
        self.sink().br(depth as u32);
    }

    /// Something after which nothing is reached.
    fn leave(&mut self) {
        match self.plan.random.below(10) {
            0..=1 => {
                let results = self.results.clone();
                self.all(&results);
                self.sink().return_();
            }
            2..=3 => self.branch_table(),
            4 if self.plan.throws => self.throw(),
            5..=6 if !self.is_leaf => self.tail_call(),
            7 if self.chance(20) => _ = self.sink().unreachable(),
            _ => {
                let counts = |label: &Label| matches!(label.kind, Kind::CountedLoop(_));
                let depth = self.label(|label| !counts(label)).expect("the function's own");
                self.branch_to(depth);
            }
        }
    }

    fn branch_table(&mut self) {
        let counts = |label: &Label| matches!(label.kind, Kind::CountedLoop(_));
        let depth = self.label(|label| !counts(label)).expect("the function's own");
        let types = self.at(depth).types.clone();
        self.all(&types);
        self.value(Ty::I32, 2);
        self.sink().i32_const(7).i32_and();
        let targets: Vec<_> = (0..1 + self.below(6))
            .filter_map(|_| self.label(|label| !counts(label) && label.types == types))
            .map(|depth| depth as u32)
            .collect();
        self.sink().br_table(targets, depth as u32);
    }

    fn throw(&mut self) {
        if self.chance(25) {
            self.value(Ty::Exception, 1);
            self.sink().throw_ref();
        } else {
            let tag = self.below(self.plan.tags.len());
            for ty in self.plan.tags[tag].clone() {
                self.value(ty, 1);
            }
            self.sink().throw(tag as u32);
        }
    }

    /// The index of a slot of the table, and the type of the function there.
    fn slot(&mut self) -> Option<(usize, u32)> {
        if self.plan.table.is_empty() {
            return None;
        }
        let slot = self.below(self.plan.table.len());
        let function = self.plan.table[slot] - self.plan.first_function();
        Some((slot, self.plan.functions[function as usize].ty))
    }

    fn call(&mut self) {
        let slot = self.slot();
        let ty = match (self.plan.random.below(3), slot) {
            (1, Some((slot, ty))) => {
                self.arguments(ty);
                self.sink().i32_const(slot as i32).call_indirect(0, ty);
                ty
            }
            (2, Some((_, ty))) => {
                self.arguments(ty);
                let nullable = self.chance(10);
                self.value(if nullable { Ty::Nullable(ty) } else { Ty::To(ty) }, 1);
                self.operands.pop();
                self.sink().call_ref(ty);
                ty
            }
            _ => {
                let n = self.below(self.plan.functions.len());
                let ty = self.plan.functions[n].ty;
                self.arguments(ty);
                let function = self.plan.first_function() + n as u32;
                self.sink().call(function);
                ty
            }
        };
        let Signature { params, results } = self.plan.types[ty as usize].clone();
        self.operands.truncate(self.operands.len() - params.len());
        self.operands.extend(results);
    }

    fn arguments(&mut self, ty: u32) {
        let params = self.plan.types[ty as usize].params.clone();
        self.all(&params);
    }

    /// A call of a function whose results are this one's.
    fn tail_call(&mut self) {
        let fits = |body: &Self, ty: u32| body.plan.types[ty as usize].results == body.results;
        let choice = self.plan.random.below(3);
        match self.slot() {
            Some((slot, ty)) if choice == 0 && fits(self, ty) => {
                self.arguments(ty);
                self.sink().i32_const(slot as i32).return_call_indirect(0, ty);
            }
            Some((_, ty)) if choice == 1 && fits(self, ty) => {
                self.arguments(ty);
                self.value(Ty::To(ty), 1);
                self.sink().return_call_ref(ty);
            }
            _ => {
                let fitting: Vec<_> = (0..self.plan.functions.len())
                    .filter(|n| fits(self, self.plan.functions[*n].ty))
                    .collect();
                let n = fitting[self.below(fitting.len())];
                self.arguments(self.plan.functions[n].ty);
                let function = self.plan.first_function() + n as u32;
                self.sink().return_call(function);
            }
        }
    }

    fn call_host(&mut self) {
        if self.chance(25) {
            let back = self.host(BACK);
            self.sink().call(back);
        } else {
            self.value(Ty::I32, 2);
            self.operands.pop();
            let log = self.host(LOG);
            self.sink().call(log);
        }
    }

    /// Some memory's index, and whether its addresses are 64-bit numbers.
    fn a_memory(&mut self) -> (u32, bool) {
        let at = self.below(self.plan.memories.len());
        (at as u32, self.plan.memories[at])
    }

    /// Leaves an address that is in bounds and aligned, and not an operand.
    fn address(&mut self, wide: bool) {
        if wide {
            self.value(Ty::I64, 1);
            self.sink().i64_const(0xff0).i64_and();
        } else {
            self.value(Ty::I32, 1);
            self.sink().i32_const(0xff0).i32_and();
        }
        self.operands.pop();
    }

    fn length(&mut self, wide: bool) {
        let length = self.below(20);
        if wide {
            self.sink().i64_const(length as i64);
        } else {
            self.sink().i32_const(length as i32);
        }
    }

    fn place(&mut self, memory_index: u32) -> MemArg {
        let offset = self.plan.random.of(&[0, 0, 16, 4_000]);
        MemArg { offset, align: 0, memory_index }
    }

    fn loaded(&mut self, ty: Ty) {
        let (memory, wide) = self.a_memory();
        self.address(wide);
        let place = self.place(memory);
        let choice = self.plan.random.below(3);
        let mut sink = self.sink();
        match (ty, choice) {
            (Ty::I32, 0) => _ = sink.i32_load8_u(place),
            (Ty::I32, _) => _ = sink.i32_load(place),
            (Ty::I64, 0) => _ = sink.i64_load32_s(place),
            (Ty::I64, 1) => _ = sink.i64_atomic_load(MemArg { align: 3, ..place }),
            (Ty::I64, _) => _ = sink.i64_load(place),
            (Ty::F32, _) => _ = sink.f32_load(place),
            (Ty::F64, _) => _ = sink.f64_load(place),
            (Ty::V128, 0) => _ = sink.v128_load32_zero(place),
            (Ty::V128, 1) => _ = sink.v128_load8x8_u(place),
            (Ty::V128, _) => _ = sink.v128_load(place),
            _ => unreachable!("these are the numbers"),
        }
        self.operands.push(ty);
    }

    fn stored(&mut self) {
        let ty = self.plan.random.of(&NUMBERS);
        let (memory, wide) = self.a_memory();
        self.address(wide);
        self.value(ty, 2);
        self.operands.pop();
        let place = self.place(memory);
        let choice = self.plan.random.below(3);
        let mut sink = self.sink();
        match (ty, choice) {
            (Ty::I32, 0) => _ = sink.i32_store8(place),
            (Ty::I32, 1) => {
                sink.i32_atomic_rmw_add(MemArg { align: 2, ..place }).drop();
            }
            (Ty::I32, _) => _ = sink.i32_store(place),
            (Ty::I64, _) => _ = sink.i64_store(place),
            (Ty::F32, _) => _ = sink.f32_store(place),
            (Ty::F64, _) => _ = sink.f64_store(place),
            (Ty::V128, 0) => _ = sink.v128_store16_lane(place, 3),
            (Ty::V128, _) => _ = sink.v128_store(place),
            _ => unreachable!("these are the numbers"),
        }
    }

    fn memory(&mut self) {
        let (memory, wide) = self.a_memory();
        let byte = self.below(256) as i32;
        match self.plan.random.below(10) {
            0 => {
                self.address(wide);
                self.sink().i32_const(byte);
                self.length(wide);
                self.sink().memory_fill(memory);
            }
            1 => {
                let (from, from_is_wide) = self.a_memory();
                self.address(wide);
                self.address(from_is_wide);
                self.length(wide && from_is_wide);
                self.sink().memory_copy(memory, from);
            }
            2 => {
                self.address(wide);
                let from = self.below(8);
                let length = self.below(DATA.len() - 8);
                self.sink().i32_const(from as i32).i32_const(length as i32);
                self.sink().memory_init(memory, 0);
            }
            // Afterwards most copies of the segment trap.
            3 if self.chance(10) => _ = self.sink().data_drop(0),
            4 => {
                let pages = self.below(2);
                if wide {
                    self.sink().i64_const(pages as i64).memory_grow(memory).i32_wrap_i64();
                } else {
                    self.sink().i32_const(pages as i32).memory_grow(memory);
                }
                self.operands.push(Ty::I32);
            }
            5 => {
                self.sink().memory_size(memory);
                self.operands.push(if wide { Ty::I64 } else { Ty::I32 });
            }
            _ => self.stored(),
        }
    }

    fn table(&mut self) {
        let at = self.below(REFERENCES as usize) as i32;
        match self.plan.random.below(8) {
            // A function takes the place of another one of its type.
            0..=1 => {
                if let Some((slot, ty)) = self.slot() {
                    self.sink().i32_const(slot as i32);
                    self.value(Ty::To(ty), 1);
                    self.operands.pop();
                    self.sink().table_set(0);
                }
            }
            2 => {
                let slots = self.plan.table.len() as i32;
                self.sink().i32_const(0).i32_const(0).i32_const(slots).table_init(0, 2);
            }
            3 if self.chance(10) => _ = self.sink().elem_drop(2),
            4 => {
                self.sink().i32_const(at).i32_const(0).i32_const(1).table_copy(1, 1);
            }
            5 => {
                self.value(Ty::Extern, 1);
                self.operands.pop();
                self.sink().i32_const(1).table_grow(1);
                self.operands.push(Ty::I32);
            }
            _ => {
                self.sink().i32_const(at);
                self.value(Ty::Extern, 1);
                self.operands.pop();
                self.sink().table_set(1);
            }
        }
    }
}

/// Makes 32 bits of 64.
fn fold(sink: &mut InstructionSink<'_>) {
    sink.i64_const(0x9e37_79b9_7f4a_7c15_u64 as i64).i64_mul().i64_const(32).i64_shr_u();
    sink.i32_wrap_i64();
}
