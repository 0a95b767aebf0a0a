//! Random modules of wasm-smith do the same before and after the transformation, and go on from a checkpoint as if nothing had been.

use crate::checkpoint::Checkpoint;
use crate::random::{Failure, Random, Running, arguments, each_seed, engine};
use arbitrary::Unstructured;
use wasm_jobs_transform::{Error, Layout, START, Transformed, parse_export, transform};
use wasm_smith::{InstructionKind, InstructionKinds};
use wasmtime::{Engine, Module, Val};

const FUEL: u64 = 5_000;

pub(crate) fn random_module(seed: u64) -> Option<Vec<u8>> {
    let mut random = Random(seed);
    let some = InstructionKinds::new(&[
        InstructionKind::Memory,
        InstructionKind::Table,
        InstructionKind::Reference,
        InstructionKind::Control,
        InstructionKind::Variable,
    ]);
    let config = wasm_smith::Config {
        allowed_instructions: random.of(&[some, InstructionKinds::all()]),
        export_everything: random.below(2) == 0,
        gc_enabled: false,
        generate_custom_sections: random.below(4) == 0,
        max_data_segments: 6,
        max_element_segments: 6,
        max_elements: 8,
        max_funcs: 6,
        max_globals: 8,
        max_imports: 6,
        max_instructions: 80,
        max_memories: 3,
        max_memory32_bytes: 5 * 65_536,
        max_memory64_bytes: 5 * 65_536,
        max_table_elements: 30,
        max_tables: 4,
        max_type_size: 40,
        min_funcs: 1,
        min_data_segments: 1,
        min_uleb_size: random.of(&[1, 1, 3, 5]),
        threads_enabled: random.below(8) == 0,
        ..wasm_smith::Config::default()
    };
    let size = random.of(&[500, 2_000, 4_000]);
    let bytes = random.bytes(size);
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).ok()?;
    Some(module.to_bytes())
}

#[test]
fn random_modules_do_the_same_afterwards() {
    let engine = engine();
    let counts = each_seed(1_600, |seed| check(&engine, seed));
    let total: u64 = counts.values().sum();
    let compared = total
        - counts
            .iter()
            .filter(|(what, _)| what.starts_with("not"))
            .map(|(_, count)| count)
            .sum::<u64>();
    assert!(compared * 3 > total, "too few modules could be compared: {counts:?}");
}

fn check(engine: &Engine, seed: u64) -> &'static str {
    let Some(wasm) = random_module(seed) else { return "not made" };
    let Transformed { wasm: new, layout, .. } = match transform(&wasm) {
        Ok(transformed) => transformed,
        Err(Error::SharedMemory { .. }) => return "not transformed: a shared memory",
        Err(Error::ImportedStart { .. }) => return "not transformed: an imported start function",
        Err(error) => panic!("{error}"),
    };
    assert!(matches!(transform(&new), Err(Error::AlreadyTransformed { .. })));
    assert_eq!(transform(&wasm).unwrap().wasm, new);
    let original = Module::new(engine, &wasm).unwrap();
    let new = Module::new(engine, &new).unwrap();
    exports_are_those_of_the_layout(&new, &layout);

    let Some(before) = Running::new(&original, FUEL) else { return "not linked" };
    // A body that was rewritten has up to 13 instructions where there was one.
    let mut after = Running::new(&new, FUEL * 20).unwrap();
    if let Ok(after) = &mut after {
        new_memories_are_those_of_the_layout(after, &new, &layout);
    }
    let started = after.and_then(|mut after| {
        if layout.start.is_some() {
            after.call(START, &[])?;
        }
        Ok(after)
    });
    let (mut before, mut after) = match (before, started) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(Failure::Limit), _) => return "not compared: a limit",
        (Err(before), Err(after)) => {
            assert_eq!(before, after);
            return "trapped when it was made";
        }
        (before, after) => panic!("{:?}, {:?}", before.err(), after.err()),
    };

    let calls = calls(&original, seed);
    let mut twin: Option<(Checkpoint, Running)> = None;
    let mut checkpointed = false;
    for round in 0..3 {
        for (name, arguments) in &calls {
            let expected = before.call(name, arguments);
            if expected == Err(Failure::Limit) {
                return "not compared: a limit";
            }
            let found = after.call(name, arguments);
            assert_eq!(found, expected, "{name} {arguments:?}");
            if let Some((_, twin)) = &mut twin {
                assert_eq!(twin.call(name, arguments), expected, "the twin: {name} {arguments:?}");
            }
        }
        assert_eq!(after.seen(&original), before.seen(&original), "round {round}");
        let here = Checkpoint::save(&mut after, &new);
        if let Some((_, twin)) = &mut twin {
            assert_eq!(Checkpoint::save(twin, &new), here, "round {round}");
        }
        // An instance that is made from the checkpoint goes on beside the one that it was taken from.
        twin = here.and_then(|here| {
            let mut twin = Running::new(&new, FUEL * 20)?.unwrap();
            here.restore(&mut twin).unwrap();
            assert_eq!(Checkpoint::save(&mut twin, &new).as_ref(), Some(&here));
            checkpointed = true;
            Some((here, twin))
        });
    }
    match (checkpointed, layout.dropped_data.len() + layout.dropped_elem.len() > 0) {
        (true, true) => "compared, with drops",
        (true, false) => "compared",
        (false, _) => "compared, without checkpoints",
    }
}

fn exports_are_those_of_the_layout(new: &Module, layout: &Layout) {
    let exports = new.exports().filter_map(|export| parse_export(export.name()));
    assert!(exports.eq(layout.exports()));
    let names = layout.exports().map(|export| export.to_string());
    let reserved = new.exports().map(|export| export.name().to_owned());
    let reserved = reserved.filter(|name| name.starts_with(wasm_jobs_transform::PREFIX));
    assert!(reserved.eq(names));
}

/// The memories of an instance that did not start yet.
fn new_memories_are_those_of_the_layout(running: &mut Running, new: &Module, layout: &Layout) {
    for memory in &layout.memories {
        let Some(image) = &memory.image else { continue };
        let mut expected = vec![0; memory.minimum as usize * 65_536];
        for run in &image.runs {
            let at = run.offset as usize;
            expected[at..][..run.bytes.len()].copy_from_slice(&run.bytes);
        }
        let range = image.range();
        let (start, end) = (range.start as usize, range.end as usize);
        assert!(
            expected[..start] == vec![0; start] && expected[end..] == vec![0; expected.len() - end]
        );
        let index = memory.index;
        let name = wasm_jobs_transform::StateExport::Memory { index, image: Some(range) };
        assert!(new.get_export(&name.to_string()).is_some());
        let found = running.instance.get_memory(&mut running.store, &name.to_string()).unwrap();
        assert!(found.data(&running.store) == expected);
    }
}

/// The functions that can be called, with their arguments.
pub(crate) fn calls(module: &Module, seed: u64) -> Vec<(String, Vec<Val>)> {
    let mut random = Random(!seed);
    let functions = module.exports().filter_map(|export| {
        let ty = export.ty();
        let ty = ty.func()?;
        Some((export.name().to_owned(), arguments(&mut random, ty.params())?))
    });
    functions.collect()
}
