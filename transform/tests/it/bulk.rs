//! Modules full of instructions that copy from segments and drop them do the same before and after the transformation, and as a small
//! model of these instructions says. After a rollback they do again as the model says, which remembers what was dropped.

use crate::checkpoint::Checkpoint;
use crate::random::{Failure, Random, Running, each_seed, engine};
use std::fmt::Write;
use wasm_jobs_transform::transform;
use wasmtime::{Engine, Module, Ref};

const PAGE: u64 = 65_536;
const FUNCTIONS: u64 = 3;
/// More than any length costs, even one that traps.
const FUEL: u64 = 1 << 50;

/// An instruction with its operands. Memories, tables and segments are indices.
#[derive(Clone, Copy, Debug)]
enum Op {
    MemoryInit { memory: usize, data: usize, to: u64, from: u64, length: u64 },
    DataDrop(usize),
    TableInit { table: usize, elem: usize, to: u64, from: u64, length: u64 },
    ElemDrop(usize),
    MemoryFill { memory: usize, to: u64, length: u64 },
    MemoryGrow { memory: usize },
    TableFill { table: usize, to: u64, length: u64 },
    TableGrow { table: usize },
}

/// A memory or a table.
#[derive(Clone)]
struct Space<T> {
    /// Whether indices are 64-bit numbers.
    wide: bool,
    items: Vec<T>,
}

/// A segment.
#[derive(Clone)]
struct Segment<T> {
    items: Vec<T>,
    /// Where it is written when the instance is made: a memory or table, and an offset.
    active: Option<(usize, usize)>,
}

/// An element: null, or the index of a function.
type Element = Option<u64>;

/// The state of an instance.
#[derive(Clone)]
struct Model {
    memories: Vec<Space<u8>>,
    tables: Vec<Space<Element>>,
    data: Vec<Segment<u8>>,
    elems: Vec<Segment<Element>>,
}

/// A module: its state when it is made, and its functions.
struct Program {
    model: Model,
    functions: Vec<Vec<Op>>,
}

/// Copies a part of a segment, as memory.init and table.init do.
fn init<T: Copy>(
    space: &mut [T],
    segment: &[T],
    to: u64,
    from: u64,
    length: u64,
) -> Result<(), ()> {
    let fits =
        |start: u64, size: usize| start.checked_add(length).is_some_and(|end| end <= size as u64);
    if !fits(from, segment.len()) || !fits(to, space.len()) {
        return Err(());
    }
    let (to, from, length) = (to as usize, from as usize, length as usize);
    space[to..to + length].copy_from_slice(&segment[from..from + length]);
    Ok(())
}

fn fill<T: Copy>(space: &mut [T], to: u64, length: u64, item: T) -> Result<(), ()> {
    let length = usize::try_from(length).map_err(|_| ())?;
    if length > space.len() {
        return Err(());
    }
    init(space, &vec![item; length], to, 0, length as u64)
}

impl Model {
    /// Writes the active segments, which drops them.
    fn start(&mut self) {
        for segment in &mut self.data {
            if let Some((memory, offset)) = segment.active {
                self.memories[memory].items[offset..][..segment.items.len()]
                    .copy_from_slice(&segment.items);
                segment.items.clear();
            }
        }
        for segment in &mut self.elems {
            if let Some((table, offset)) = segment.active {
                self.tables[table].items[offset..][..segment.items.len()]
                    .copy_from_slice(&segment.items);
                segment.items.clear();
            }
        }
    }

    fn run(&mut self, ops: &[Op]) -> Result<(), &'static str> {
        for op in ops {
            let memory = |()| "MemoryOutOfBounds";
            let table = |()| "TableOutOfBounds";
            match *op {
                Op::MemoryInit { memory: index, data, to, from, length } => {
                    init(&mut self.memories[index].items, &self.data[data].items, to, from, length)
                        .map_err(memory)?;
                }
                Op::DataDrop(data) => self.data[data].items.clear(),
                Op::TableInit { table: index, elem, to, from, length } => {
                    init(&mut self.tables[index].items, &self.elems[elem].items, to, from, length)
                        .map_err(table)?;
                }
                Op::ElemDrop(elem) => self.elems[elem].items.clear(),
                Op::MemoryFill { memory: index, to, length } => {
                    fill(&mut self.memories[index].items, to, length, 0xaa).map_err(memory)?;
                }
                Op::MemoryGrow { memory } => {
                    let bytes = &mut self.memories[memory].items;
                    if bytes.len() as u64 / PAGE < 3 {
                        bytes.resize(bytes.len() + PAGE as usize, 0);
                    }
                }
                Op::TableFill { table: index, to, length } => {
                    fill(&mut self.tables[index].items, to, length, Some(0)).map_err(table)?;
                }
                Op::TableGrow { table } => {
                    let elements = &mut self.tables[table].items;
                    if elements.len() < 14 {
                        elements.push(Some(1));
                    }
                }
            }
        }
        Ok(())
    }

    /// The numbers of bytes and elements.
    fn sizes(&self) -> Vec<usize> {
        let memories = self.memories.iter().map(|memory| memory.items.len());
        memories.chain(self.tables.iter().map(|table| table.items.len())).collect()
    }
}

/// A number near 0, near an end, or far from both. Operands of 32 bits are cut off.
fn operand(random: &mut Random, end: u64, wide: bool) -> u64 {
    let number = match random.below(8) {
        0..3 => random.below(4),
        3..6 => (end + 2).saturating_sub(random.below(6)),
        6 => random.below(end + 2),
        _ => random.of(&[u64::MAX, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63]),
    };
    if wide { number } else { number & 0xffff_ffff }
}

impl Program {
    fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let r = &mut random;
        let memories: Vec<_> = (0..1 + r.below(3))
            .map(|_| Space { wide: r.below(2) == 0, items: vec![0; (r.below(2) * PAGE) as usize] })
            .collect();
        let tables: Vec<_> = (0..1 + r.below(3))
            .map(|_| Space { wide: r.below(2) == 0, items: vec![None; r.below(12) as usize] })
            .collect();
        let data = (0..1 + r.below(6))
            .map(|_| {
                let length = r.below(10) as usize;
                let memory = r.below(memories.len() as u64) as usize;
                let fits = r.below(4) == 0 && !memories[memory].items.is_empty();
                let offset = r.below(PAGE - 10) as usize;
                Segment { items: r.bytes(length), active: fits.then_some((memory, offset)) }
            })
            .collect();
        let elems = (0..1 + r.below(6))
            .map(|_| {
                let element =
                    |r: &mut Random| Some(r.below(FUNCTIONS + 1)).filter(|n| *n < FUNCTIONS);
                let items: Vec<Element> = (0..r.below(6)).map(|_| element(r)).collect();
                let table = r.below(tables.len() as u64) as usize;
                let fits = r.below(4) == 0 && items.len() <= tables[table].items.len();
                Segment { items, active: fits.then_some((table, 0)) }
            })
            .collect();
        let model = Model { memories, tables, data, elems };
        let functions = (0..FUNCTIONS)
            .map(|_| (0..1 + r.below(6)).map(|_| Self::op(r, &model)).collect())
            .collect();
        Self { model, functions }
    }

    fn op(r: &mut Random, model: &Model) -> Op {
        let memory = r.below(model.memories.len() as u64) as usize;
        let table = r.below(model.tables.len() as u64) as usize;
        let data = r.below(model.data.len() as u64) as usize;
        let elem = r.below(model.elems.len() as u64) as usize;
        let memory_wide = model.memories[memory].wide;
        let table_wide = model.tables[table].wide;
        let memory_end = model.memories[memory].items.len() as u64;
        let table_end = model.tables[table].items.len() as u64;
        let data_end = model.data[data].items.len() as u64;
        let elem_end = model.elems[elem].items.len() as u64;
        // Most inits are to succeed, or else the instructions after them are never reached.
        let sound = r.below(3) > 0;
        let length = |r: &mut Random, end: u64| match sound {
            true => r.below(end + 1),
            false => operand(r, end, false),
        };
        match r.below(16) {
            0..5 => {
                let length = length(r, data_end);
                let (to, from) = match sound {
                    true => (
                        r.below(memory_end.saturating_sub(length) + 1),
                        r.below(data_end.saturating_sub(length) + 1),
                    ),
                    false => (operand(r, memory_end, memory_wide), operand(r, data_end, false)),
                };
                Op::MemoryInit { memory, data, to, from, length }
            }
            5..10 => {
                let length = length(r, elem_end);
                let (to, from) = match sound {
                    true => (
                        r.below(table_end.saturating_sub(length) + 1),
                        r.below(elem_end.saturating_sub(length) + 1),
                    ),
                    false => (operand(r, table_end, table_wide), operand(r, elem_end, false)),
                };
                Op::TableInit { table, elem, to, from, length }
            }
            10 | 11 => Op::DataDrop(data),
            12 | 13 => Op::ElemDrop(elem),
            14 => match r.below(2) {
                0 => Op::MemoryFill {
                    memory,
                    to: operand(r, memory_end, memory_wide),
                    length: r.below(9),
                },
                _ => Op::TableFill {
                    table,
                    to: operand(r, table_end, table_wide),
                    length: r.below(3),
                },
            },
            _ => match r.below(2) {
                0 => Op::MemoryGrow { memory },
                _ => Op::TableGrow { table },
            },
        }
    }

    /// The module in the text format. Each function returns a local, which nothing may change.
    fn text(&self, random: &mut Random) -> String {
        let Model { memories, tables, data, elems } = &self.model;
        let index = |wide: bool| if wide { "i64" } else { "i32" };
        let mut text = "(module\n".to_owned();
        let out = &mut text;
        for (n, memory) in memories.iter().enumerate() {
            let pages = memory.items.len() as u64 / PAGE;
            writeln!(out, "(memory (export \"memory {n}\") {} {pages} 3)", index(memory.wide))
                .unwrap();
        }
        for (n, table) in tables.iter().enumerate() {
            let size = table.items.len();
            writeln!(out, "(table (export \"table {n}\") {} {size} 14 funcref)", index(table.wide))
                .unwrap();
        }
        for segment in data {
            let bytes: String = segment.items.iter().map(|byte| format!("\\{byte:02x}")).collect();
            let active = segment.active.map(|(memory, offset)| {
                format!("(memory {memory}) ({}.const {offset})", index(memories[memory].wide))
            });
            writeln!(out, "(data {} \"{bytes}\")", active.unwrap_or_default()).unwrap();
        }
        for segment in elems {
            let items: String = segment
                .items
                .iter()
                .map(|item| match item {
                    Some(function) => format!("(ref.func {function}) "),
                    None => "(ref.null func) ".to_owned(),
                })
                .collect();
            let active = segment.active.map(|(table, offset)| {
                format!("(table {table}) (offset ({}.const {offset}))", index(tables[table].wide))
            });
            writeln!(out, "(elem {} funcref {items})", active.unwrap_or_default()).unwrap();
        }
        for (n, ops) in self.functions.iter().enumerate() {
            let params = random.of(&["", "(param i64)", "(param f32 i32)"]);
            let locals = random.of(&["(local i64)", "(local i32 i32 i64)", "(local v128 f64 i64)"]);
            let kept = params.matches("32").count()
                + params.matches("i64").count()
                + locals.split(' ').count()
                - 2;
            writeln!(out, "(func (export \"f{n}\") {params} (result i64) {locals}").unwrap();
            writeln!(out, "(local.set {kept} (i64.const {}))", n + 70).unwrap();
            for op in ops {
                let (before, after) = random.of(&[
                    ("", ""),
                    ("block ", " end"),
                    ("loop ", " end"),
                    ("i32.const 1 if ", " end"),
                ]);
                writeln!(out, "{before}{}{after}", self.instruction(*op)).unwrap();
            }
            writeln!(out, "(local.get {kept}))").unwrap();
        }
        text + ")"
    }

    fn instruction(&self, op: Op) -> String {
        let number = |wide: bool, value: u64| {
            if wide {
                format!("i64.const {}", value as i64)
            } else {
                format!("i32.const {}", value as u32 as i32)
            }
        };
        let memory_wide = |memory: usize| self.model.memories[memory].wide;
        let table_wide = |table: usize| self.model.tables[table].wide;
        let parts = |wide: bool, to: u64, from: u64, length: u64| {
            format!("{} {} {}", number(wide, to), number(false, from), number(false, length))
        };
        match op {
            Op::MemoryInit { memory, data, to, from, length } => {
                format!(
                    "{} memory.init {memory} {data}",
                    parts(memory_wide(memory), to, from, length)
                )
            }
            Op::DataDrop(data) => format!("data.drop {data}"),
            Op::TableInit { table, elem, to, from, length } => {
                format!("{} table.init {table} {elem}", parts(table_wide(table), to, from, length))
            }
            Op::ElemDrop(elem) => format!("elem.drop {elem}"),
            Op::MemoryFill { memory, to, length } => {
                let wide = memory_wide(memory);
                format!(
                    "{} i32.const 0xaa {} memory.fill {memory}",
                    number(wide, to),
                    number(wide, length)
                )
            }
            Op::MemoryGrow { memory } => {
                format!("{} memory.grow {memory} drop", number(memory_wide(memory), 1))
            }
            Op::TableFill { table, to, length } => {
                let wide = table_wide(table);
                format!(
                    "{} ref.func 0 {} table.fill {table}",
                    number(wide, to),
                    number(wide, length)
                )
            }
            Op::TableGrow { table } => {
                format!("ref.func 1 {} table.grow {table} drop", number(table_wide(table), 1))
            }
        }
    }
}

/// Compares an instance with the model.
fn is_as_the_model_says(running: &mut Running, model: &Model) {
    let (instance, store) = (running.instance, &mut running.store);
    for (n, memory) in model.memories.iter().enumerate() {
        let found = instance.get_memory(&mut *store, &format!("memory {n}")).unwrap();
        assert!(found.data(&*store) == memory.items, "memory {n}");
    }
    let mut functions = Vec::new();
    for n in 0..FUNCTIONS {
        let function = instance.get_func(&mut *store, &format!("f{n}")).unwrap();
        functions.push(function.to_raw(&mut *store) as usize);
    }
    for (n, table) in model.tables.iter().enumerate() {
        let found = instance.get_table(&mut *store, &format!("table {n}")).unwrap();
        let mut elements = Vec::new();
        for at in 0..found.size(&*store) {
            let Ref::Func(element) = found.get(&mut *store, at).unwrap() else { unreachable!() };
            let address = element.map(|function| function.to_raw(&mut *store) as usize);
            let index = |address| functions.iter().position(|found| *found == address).unwrap();
            elements.push(address.map(|address| index(address) as u64));
        }
        assert_eq!(elements, table.items, "table {n}");
    }
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let program = Program::random(seed);
    let mut random = Random(!seed);
    let text = program.text(&mut random);
    let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let transformed = transform(&wasm).unwrap();
    let original = Module::new(engine, &wasm).unwrap();
    let new = Module::new(engine, &transformed.wasm).unwrap();
    let mut before = Running::new(&original, FUEL).unwrap().unwrap();
    let mut after = Running::new(&new, FUEL).unwrap().unwrap();
    let mut model = program.model.clone();
    model.start();

    let mut saved: Option<(Checkpoint, Model)> = None;
    let mut rolled_back = false;
    for step in 0..24 {
        let function = random.below(FUNCTIONS) as usize;
        let ops = &program.functions[function];
        let expected = model.run(ops).map(|()| format!("I64({})", function + 70));
        let expected = expected.map_err(|trap| Failure::Trap(trap.to_owned()));
        let name = format!("f{function}");
        let ty = after.instance.get_func(&mut after.store, &name).unwrap().ty(&after.store);
        let arguments: Vec<_> = ty.params().map(|ty| ty.default_value().unwrap()).collect();
        let about = || format!("step {step}: {name}, {ops:?}\n{text}");
        assert_eq!(after.call(&name, &arguments), expected, "{}", about());
        is_as_the_model_says(&mut after, &model);
        // What is before the transformation cannot be rolled back.
        if !rolled_back {
            assert_eq!(before.call(&name, &arguments), expected, "before: {}", about());
            is_as_the_model_says(&mut before, &model);
        }
        match random.below(6) {
            0 => saved = Checkpoint::save(&mut after, &new).map(|here| (here, model.clone())),
            1 => {
                let Some((here, then)) = &saved else { continue };
                // Memories and tables cannot shrink. The state then goes to a new instance.
                if then.sizes() != model.sizes() {
                    after = Running::new(&new, FUEL).unwrap().unwrap();
                }
                here.restore(&mut after).unwrap();
                model = then.clone();
                rolled_back = true;
                is_as_the_model_says(&mut after, &model);
            }
            _ => {}
        }
    }
    let drops = transformed.layout.dropped_data.len() + transformed.layout.dropped_elem.len();
    match (drops > 0, rolled_back) {
        (true, true) => "with drops, rolled back",
        (true, false) => "with drops",
        (false, _) => "without drops",
    }
}

#[test]
fn random_drops_do_the_same_afterwards_and_can_be_undone() {
    let engine = engine();
    let counts = each_seed(400, |seed| check(&engine, seed));
    let total: u64 = counts.values().sum();
    assert!(counts["with drops, rolled back"] * 2 > total || total < 10, "{counts:?}");
}
