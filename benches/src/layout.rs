//! [`moved`]: one guest in several layouts of its code. How fast a guest is depends on where its instructions are, often by more than what
//! is measured. [`in_layouts`] measures two sides in all of them.

use crate::rounds::{median, time};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Function, FunctionSection, Module, TypeSection, ValType};
use wasmparser::{
    CodeSectionReader, FunctionSectionReader, Parser, Payload, TypeRef, TypeSectionReader,
};

/// How many functions are put in front of the guest's own, for each layout.
pub(crate) const LAYOUTS: [u32; 5] = [0, 1, 2, 3, 5];

/// Runs of a guest. Each gives its nanoseconds.
pub(crate) type Timed = Box<dyn FnMut() -> f64>;

/// Runs of which all of the time counts.
pub(crate) fn timed(mut runs: impl FnMut() + 'static) -> Timed {
    Box::new(move || time(&mut runs).as_nanos() as f64)
}

const ROUNDS: usize = 9;

/// The medians of both sides in each layout, in nanoseconds. All take turns. The sides are given the guest in each layout.
pub(crate) fn in_layouts(
    wasm: &[u8],
    ours: impl Fn(&[u8]) -> Timed,
    theirs: impl Fn(&[u8]) -> Timed,
) -> Vec<(f64, f64)> {
    let found = sides_in_layouts(&[(wasm, &ours), (wasm, &theirs)]);
    found.into_iter().map(|medians| (medians[0], medians[1])).collect()
}

/// A form of a guest, and what is given that form in each layout.
pub(crate) type Form<'a> = (&'a [u8], &'a dyn Fn(&[u8]) -> Timed);

/// For each layout, the medians of all sides, as [`in_layouts`] does it for two.
pub(crate) fn sides_in_layouts(forms: &[Form<'_>]) -> Vec<Vec<f64>> {
    let mut layouts = LAYOUTS.map(|functions| {
        let sides = forms.iter().map(|(wasm, side)| Side::new(side(&moved(wasm, functions))));
        sides.collect::<Vec<_>>()
    });
    for round in 0..=ROUNDS {
        for sides in &mut layouts {
            let mut sides: Vec<_> = sides.iter_mut().collect();
            if round % 2 == 1 {
                sides.reverse();
            }
            sides.into_iter().for_each(|side| side.run(round > 0));
        }
    }
    layouts.iter().map(|sides| sides.iter().map(Side::median).collect()).collect()
}

struct Side {
    runs: Timed,
    times: Vec<f64>,
}

impl Side {
    fn new(runs: Timed) -> Self {
        Self { runs, times: Vec::with_capacity(ROUNDS) }
    }

    fn run(&mut self, counts: bool) {
        let time = (self.runs)();
        if counts {
            self.times.push(time);
        }
    }

    fn median(&self) -> f64 {
        median(self.times.iter().copied())
    }
}

/// The guest with so many functions in front of its own, which nobody calls.
pub(crate) fn moved(wasm: &[u8], functions: u32) -> Vec<u8> {
    let (mut imported, mut types) = (0, 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("the guest is valid") {
            Payload::TypeSection(section) => {
                let groups = section.into_iter().map_while(Result::ok);
                types += groups.map(|group| group.types().len() as u32).sum::<u32>();
            }
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map_while(Result::ok);
                imported += imports.filter(|it| matches!(it.ty, TypeRef::Func(_))).count() as u32;
            }
            _ => {}
        }
    }
    let mut module = Module::new();
    let mut moved = Moved { functions, imported, types };
    moved.parse_core_module(&mut module, Parser::new(0), wasm).expect("the guest is valid");
    module.finish()
}

struct Moved {
    functions: u32,
    imported: u32,
    /// The index of the type of what is put in front.
    types: u32,
}

impl Reencode for Moved {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(if index < self.imported { index } else { index + self.functions })
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        for _ in 0..self.functions {
            functions.function(self.types);
        }
        utils::parse_function_section(self, functions, section)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        for n in 0..self.functions {
            let mut function = Function::new([]);
            let mut instructions = function.instructions();
            instructions.local_get(0);
            // They differ in length.
            for factor in 0..=n as i32 % 3 {
                instructions.i32_const(1_000 + factor).i32_mul();
            }
            instructions.end();
            code.function(&function);
        }
        utils::parse_code_section(self, code, section)
    }
}
