//! [`Program`]: a random module that loops and calls a lot, and comes to an end.
//!
//! Each program has a budget, the global that is exported as `budget`. Every function that calls, and every loop, takes from it, and when it
//! is used up, they return. So a program ends whatever its branches do, while most loops end earlier, by counters of their own. All that a
//! program computes goes into its results, its globals, memories and tables, or to functions of the host.

mod body;

use crate::splitmix::Random;
use body::body;
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, EntityType,
    ExportKind, ExportSection, FunctionSection, GlobalSection, GlobalType, HeapType, ImportSection,
    MemorySection, MemoryType, Module, RefType, StartSection, TableSection, TableType, TagKind,
    TagSection, TagType, TypeSection, ValType,
};

/// The global with the budget.
pub(crate) const BUDGET: &str = "budget";

/// The module and names of the host's functions: one that takes an i32, one that takes a reference, one that makes a reference, and one that
/// may call [`CALLED_BACK`].
pub(crate) const HOST: &str = "host";
pub(crate) const LOG: &str = "log";
pub(crate) const SHOW: &str = "show";
pub(crate) const MAKE: &str = "make";
pub(crate) const BACK: &str = "back";

/// A function that the host calls.
pub(crate) const CALLED_BACK: &str = "called_back";

/// The module's memory, and its global of type i64, that are imported.
pub(crate) const MEMORY: &str = "memory";
pub(crate) const NUMBER: &str = "number";

/// The type of a value. `Func`, `Extern` and `Exception` can be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ty {
    I32,
    I64,
    F32,
    F64,
    V128,
    Func,
    Extern,
    Exception,
    /// A function of the type with this index, or null.
    Nullable(u32),
    /// A function of the type with this index.
    To(u32),
}

impl Ty {
    fn encoded(self) -> ValType {
        let to =
            |nullable, ty| ValType::Ref(RefType { nullable, heap_type: HeapType::Concrete(ty) });
        match self {
            Self::I32 => ValType::I32,
            Self::I64 => ValType::I64,
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
            Self::V128 => ValType::V128,
            Self::Func => ValType::FUNCREF,
            Self::Extern => ValType::EXTERNREF,
            Self::Exception => ValType::EXNREF,
            Self::Nullable(ty) => to(true, ty),
            Self::To(ty) => to(false, ty),
        }
    }

    fn is_function(self) -> bool {
        matches!(self, Self::Func | Self::Nullable(_) | Self::To(_))
    }

    /// What a global of the type begins with.
    fn init(self) -> ConstExpr {
        match self {
            Self::I32 => ConstExpr::i32_const(3),
            Self::I64 => ConstExpr::i64_const(5),
            Self::F32 => ConstExpr::f32_const(0.5.into()),
            Self::F64 => ConstExpr::f64_const(2.5.into()),
            Self::V128 => ConstExpr::v128_const(7),
            Self::Func => ConstExpr::ref_null(HeapType::FUNC),
            Self::Extern => ConstExpr::ref_null(HeapType::EXTERN),
            Self::Exception => ConstExpr::ref_null(RefType::EXNREF.heap_type),
            Self::Nullable(ty) | Self::To(ty) => ConstExpr::ref_null(HeapType::Concrete(ty)),
        }
    }
}

const NUMBERS: [Ty; 5] = [Ty::I32, Ty::I64, Ty::F32, Ty::F64, Ty::V128];

/// The type of a function, or of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    params: Vec<Ty>,
    results: Vec<Ty>,
}

struct Function {
    ty: u32,
    /// Whether it calls nothing. Then it takes nothing from the budget but for its loops.
    is_leaf: bool,
}

/// What is known of a module before its bodies are written.
struct Plan {
    random: Random,
    /// Whether the budget counts. If not, the program may run for ever.
    ends: bool,
    types: Vec<Signature>,
    /// The functions that are defined.
    functions: Vec<Function>,
    /// The functions of the types, that references may be to. Not of all types there are any.
    referenced: Vec<u32>,
    /// Whether the module has the host's functions.
    has_host: bool,
    /// Whether values that refer to functions may be parameters, results and exports.
    hands_out_functions: bool,
    throws: bool,
    /// The parameters of each tag.
    tags: Vec<Vec<Ty>>,
    /// For each memory, whether its addresses are 64-bit numbers.
    memories: Vec<bool>,
    imports_memory: bool,
    imports_number: bool,
    /// The types of the globals that are defined. The first is the budget, the second the sum of what was computed.
    globals: Vec<Ty>,
    /// The functions in the table.
    table: Vec<u32>,
}

/// Those of [`Plan::has_host`].
const HOST_FUNCTIONS: [(&str, &[Ty], &[Ty]); 4] = [
    (LOG, &[Ty::I32], &[]),
    (SHOW, &[Ty::Extern], &[]),
    (MAKE, &[Ty::I32], &[Ty::Extern]),
    (BACK, &[], &[]),
];

/// How many elements the table of host's references has.
const REFERENCES: u64 = 4;

/// The bytes of the passive data segment, the segment that may be dropped.
const DATA: &[u8] = b"a passive segment";

impl Plan {
    fn new(seed: u64, ends: bool) -> Self {
        let mut plan = Self {
            ends,
            random: Random(seed ^ 0x7072_6f67_7261_6d73),
            types: Vec::new(),
            functions: Vec::new(),
            referenced: Vec::new(),
            has_host: false,
            hands_out_functions: false,
            throws: false,
            tags: Vec::new(),
            memories: Vec::new(),
            imports_memory: false,
            imports_number: false,
            globals: Vec::new(),
            table: Vec::new(),
        };
        plan.has_host = plan.chance(75);
        plan.hands_out_functions = plan.chance(40);
        plan.throws = plan.chance(70);
        if plan.has_host {
            for (_, params, results) in HOST_FUNCTIONS {
                plan.ty(Signature { params: params.to_vec(), results: results.to_vec() });
            }
        }
        plan.imports_memory = plan.has_host && plan.chance(50);
        plan.imports_number = plan.has_host && plan.chance(30);
        plan.functions();
        plan.items();
        plan
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    /// The index of a type. Some types are there twice.
    fn ty(&mut self, signature: Signature) -> u32 {
        let known = self.types.iter().position(|known| *known == signature);
        match known {
            Some(index) if !self.chance(10) => index as u32,
            _ => {
                self.types.push(signature);
                self.types.len() as u32 - 1
            }
        }
    }

    fn first_function(&self) -> u32 {
        if self.has_host { HOST_FUNCTIONS.len() as u32 } else { 0 }
    }

    fn first_global(&self) -> u32 {
        self.imports_number.into()
    }

    /// The functions of a type that references can be to.
    fn of_type(&self, ty: u32) -> Vec<u32> {
        let all = self.referenced.iter().copied();
        all.filter(|function| self.functions[*function as usize].ty == ty)
            .map(|function| self.first_function() + function)
            .collect()
    }

    /// The types of which references can be made.
    fn types_of_references(&self) -> Vec<u32> {
        let mut types: Vec<_> =
            self.referenced.iter().map(|at| self.functions[*at as usize].ty).collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    /// Some type. Only if `hands_out`, it may refer to functions.
    fn any(&mut self, hands_out: bool) -> Ty {
        let types = self.types_of_references();
        match self.random.below(14) {
            0..=3 => Ty::I32,
            4 | 5 => Ty::I64,
            6 => Ty::F32,
            7 | 8 => Ty::F64,
            9 => Ty::V128,
            10 => Ty::Extern,
            11 if self.throws => Ty::Exception,
            12 if hands_out => Ty::Func,
            13 if hands_out && !types.is_empty() => {
                let ty = types[self.below(types.len())];
                if self.chance(50) { Ty::To(ty) } else { Ty::Nullable(ty) }
            }
            _ => Ty::I32,
        }
    }

    fn list(&mut self, most: usize) -> Vec<Ty> {
        let hands_out = self.hands_out_functions;
        (0..self.below(most + 1)).map(|_| self.any(hands_out)).collect()
    }

    /// The functions, and which of them references can be to.
    fn functions(&mut self) {
        let mut signatures = Vec::new();
        for n in 0..2 + self.below(3) {
            // Few types, so that many functions can take each other's place.
            if signatures.is_empty() || (signatures.len() < 3 && self.chance(40)) {
                let signature = Signature { params: self.list(3), results: self.list(2) };
                signatures.push(signature);
            }
            let signature = signatures[self.below(signatures.len())].clone();
            let ty = self.ty(signature);
            let is_leaf = self.chance(20);
            self.functions.push(Function { ty, is_leaf });
            if self.chance(70) {
                self.referenced.push(n as u32);
            }
        }
        let first = self.first_function();
        if !self.referenced.is_empty() {
            self.table = (0..8)
                .map(|_| {
                    let at = self.below(self.referenced.len());
                    first + self.referenced[at]
                })
                .collect();
        }
    }

    /// Tags, memories and globals.
    fn items(&mut self) {
        if self.throws {
            self.tags = vec![vec![], vec![Ty::I32]];
            if self.chance(50) {
                let more = self.list(3);
                self.tags.push(more);
            }
            for tag in self.tags.clone() {
                let ty = Signature { params: tag, results: Vec::new() };
                if !self.types.contains(&ty) {
                    self.types.push(ty);
                }
            }
        }
        if self.imports_memory {
            self.memories.push(false);
        }
        for _ in 0..self.random.of(&[1, 2, 2, 3]) {
            let wide = self.chance(40);
            self.memories.push(wide);
        }
        self.globals = vec![Ty::I32, Ty::I32];
        for _ in 0..self.below(7) {
            let ty = self.any(true);
            // One that cannot be null would need a first value.
            self.globals.push(match ty {
                Ty::To(ty) => Ty::Nullable(ty),
                ty => ty,
            });
        }
    }
}

/// A module, in the binary format.
pub(crate) fn program(seed: u64) -> Vec<u8> {
    module(Plan::new(seed, true))
}

/// The same, without a budget. Most of these run for ever.
pub(crate) fn endless_program(seed: u64) -> Vec<u8> {
    module(Plan::new(seed, false))
}

fn module(mut plan: Plan) -> Vec<u8> {
    let bodies: Vec<_> = (0..plan.functions.len()).map(|n| body(&mut plan, n)).collect();
    encoded(&mut plan, &bodies)
}

fn encoded(plan: &mut Plan, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    for Signature { params, results } in &plan.types {
        let encode = |list: &[Ty]| list.iter().map(|ty| ty.encoded()).collect::<Vec<_>>();
        types.ty().function(encode(params), encode(results));
    }
    module.section(&types);
    module.section(&imports(plan));

    let mut functions = FunctionSection::new();
    plan.functions.iter().for_each(|function| _ = functions.function(function.ty));
    module.section(&functions);

    let mut tables = TableSection::new();
    let mut table = |element_type, size, maximum| {
        let (minimum, maximum) = (size, Some(maximum));
        tables.table(TableType { element_type, minimum, maximum, table64: false, shared: false });
    };
    table(RefType::FUNCREF, 10, 10);
    table(RefType::EXTERNREF, REFERENCES, 10);
    module.section(&tables);

    let mut memories = MemorySection::new();
    for &wide in &plan.memories[usize::from(plan.imports_memory)..] {
        memories.memory(memory_type(wide));
    }
    module.section(&memories);

    if !plan.tags.is_empty() {
        let mut tags = TagSection::new();
        for tag in &plan.tags {
            let ty = Signature { params: tag.clone(), results: Vec::new() };
            let index = plan.types.iter().position(|known| *known == ty).unwrap();
            tags.tag(TagType { kind: TagKind::Exception, func_type_idx: index as u32 });
        }
        module.section(&tags);
    }

    let mut globals = GlobalSection::new();
    for ty in &plan.globals {
        let ty_and_more = GlobalType { val_type: ty.encoded(), mutable: true, shared: false };
        globals.global(ty_and_more, &ty.init());
    }
    module.section(&globals);
    module.section(&exports(plan));

    let first = plan.first_function();
    let start = plan.functions.iter().position(|function| {
        let Signature { params, results } = &plan.types[function.ty as usize];
        params.is_empty() && results.is_empty()
    });
    if let Some(start) = start
        && plan.chance(50)
    {
        module.section(&StartSection { function_index: first + start as u32 });
    }

    let mut elements = ElementSection::new();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions((&plan.table).into()));
    let referenced: Vec<_> = plan.referenced.iter().map(|at| first + at).collect();
    elements.declared(Elements::Functions(referenced.into()));
    elements.passive(Elements::Functions((&plan.table).into()));
    module.section(&elements);

    module.section(&DataCountSection { count: 2 });
    let mut code = CodeSection::new();
    bodies.iter().for_each(|body| _ = code.raw(body));
    module.section(&code);

    let mut data = DataSection::new();
    data.passive(DATA.iter().copied());
    let last = plan.memories.len() - 1;
    let at = match plan.memories[last] {
        true => ConstExpr::i64_const(8),
        false => ConstExpr::i32_const(8),
    };
    data.active(last as u32, &at, b"an active segment".iter().copied());
    module.section(&data);
    module.finish()
}

fn memory_type(memory64: bool) -> MemoryType {
    MemoryType { minimum: 1, maximum: Some(3), memory64, shared: false, page_size_log2: None }
}

fn imports(plan: &Plan) -> ImportSection {
    let mut imports = ImportSection::new();
    if plan.has_host {
        for (n, (name, ..)) in HOST_FUNCTIONS.iter().enumerate() {
            imports.import(HOST, name, EntityType::Function(n as u32));
        }
    }
    if plan.imports_memory {
        imports.import(HOST, MEMORY, memory_type(false));
    }
    if plan.imports_number {
        let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        imports.import(HOST, NUMBER, ty);
    }
    imports
}

fn exports(plan: &mut Plan) -> ExportSection {
    let mut exports = ExportSection::new();
    let first = plan.first_global();
    exports.export(BUDGET, ExportKind::Global, first);
    for n in 1..plan.globals.len() {
        if plan.hands_out_functions || !plan.globals[n].is_function() {
            exports.export(&format!("global{n}"), ExportKind::Global, first + n as u32);
        }
    }
    for n in 0..plan.memories.len() {
        exports.export(&format!("memory{n}"), ExportKind::Memory, n as u32);
    }
    if plan.hands_out_functions {
        exports.export("functions", ExportKind::Table, 0);
    }
    exports.export("references", ExportKind::Table, 1);
    let first = plan.first_function();
    let mut called_back = false;
    for n in 0..plan.functions.len() {
        let Function { ty, is_leaf } = plan.functions[n];
        let index = first + n as u32;
        if n == 0 || plan.chance(50) {
            exports.export(&format!("function{n}"), ExportKind::Func, index);
        }
        if !is_leaf && !called_back && plan.types[ty as usize].params.is_empty() {
            called_back = true;
            exports.export(CALLED_BACK, ExportKind::Func, index);
        }
    }
    exports
}
