//! Guests that are changed, saved and rolled back at random, beside a model that says what is expected.

use super::{MACHINE, ON_DEMAND, call, linked};
use wasm_jobs::{Checkpoint, Error, Instance, PreparedPre};

const PAGE: usize = 65_536;
const PASSIVE: &[u8] = b"what can be dropped";
/// What the functions of the passive segment give.
const PASSIVE_FUNCTIONS: [i32; 3] = [2, 7, 1];
/// What a function gives, by its number.
const GIVES: [i32; 4] = [-1, 1, 2, 7];

/// What the machine's state is expected to be.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    memory: Vec<u8>,
    n: Option<i32>,
    function: i32,
    functions: Vec<i32>,
    has_dropped: [bool; 2],
}

impl Model {
    fn new() -> Self {
        let mut memory = vec![0; 2 * PAGE];
        let begin = b"what the memory has in the beginning";
        memory[70_000..][..begin.len()].copy_from_slice(begin);
        Self {
            memory,
            n: None,
            function: 1,
            functions: vec![1, 2, -1, -1],
            has_dropped: [false; 2],
        }
    }
}

/// A generator of numbers: SplitMix64.
pub(in crate::guest) struct Chance(u64);

impl Chance {
    pub(in crate::guest) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::guest) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % bound as u64) as usize
    }
}

/// Changes the guest and the model in the same way.
fn change(machine: &Instance<()>, model: &mut Model, chance: &mut Chance) -> Result<(), Error> {
    let size = model.memory.len();
    match chance.below(12) {
        0..3 => {
            let (at, value) = (chance.below(size - 3), chance.below(3) as i32);
            model.memory[at..][..4].copy_from_slice(&value.to_le_bytes());
            call(machine, "store", (at as i32, value))
        }
        3 => {
            let at = chance.below(size);
            let (count, value) = (chance.below(20_000).min(size - at), chance.below(2));
            model.memory[at..][..count].fill(value as u8);
            call(machine, "fill", (at as i32, value as i32, count as i32))
        }
        4 if size < 40 * PAGE && chance.below(8) == 0 => {
            let pages = chance.below(6);
            model.memory.resize(size + pages * PAGE, 0);
            let before: i32 = call(machine, "grow", pages as i32)?;
            assert_eq!(before as usize, size / PAGE);
            Ok(())
        }
        5 => {
            let n = chance.below(1000) as i32;
            model.n = Some(n);
            call(machine, "set_numbers", n)
        }
        6 => {
            let which = chance.below(4);
            model.function = GIVES[which];
            call(machine, "set_function", which as i32)
        }
        7 => {
            let (at, which) = (chance.below(model.functions.len()), chance.below(4));
            model.functions[at] = GIVES[which];
            call(machine, "put_function", (at as i32, which as i32))
        }
        8 if model.functions.len() < 40 && chance.below(4) == 0 => {
            let (count, which) = (chance.below(5), chance.below(4));
            let before: i32 = call(machine, "grow_functions", (count as i32, which as i32))?;
            assert_eq!(before as usize, model.functions.len());
            model.functions.resize(model.functions.len() + count, GIVES[which]);
            Ok(())
        }
        9 => {
            let from = chance.below(PASSIVE.len());
            let (at, count) = (chance.below(size - 20), chance.below(PASSIVE.len() - from + 1));
            if model.has_dropped[0] && from + count > 0 {
                return Ok(());
            }
            model.memory[at..][..count].copy_from_slice(&PASSIVE[from..][..count]);
            call(machine, "init", (at as i32, from as i32, count as i32))
        }
        10 => {
            let from = chance.below(4);
            let (at, count) = (chance.below(model.functions.len() - 3), chance.below(4 - from));
            if model.has_dropped[1] && from + count > 0 {
                return Ok(());
            }
            model.functions[at..][..count].copy_from_slice(&PASSIVE_FUNCTIONS[from..][..count]);
            call(machine, "init_functions", (at as i32, from as i32, count as i32))
        }
        11 if chance.below(20) == 0 => {
            let which = chance.below(2);
            model.has_dropped[which] = true;
            call(machine, ["drop", "drop_functions"][which], ())
        }
        _ => Ok(()),
    }
}

/// Compares the guest with the model. It changes neither.
fn compare(machine: &Instance<()>, model: &Model) -> Result<(), Error> {
    let mut store = machine.store()?;
    let instance = store.instance()?;
    let memory = instance
        .exports(&mut store)
        .find_map(|export| {
            export.name().starts_with("__wasm_jobs_memory_0").then(|| export.into_memory())
        })
        .flatten()
        .expect("a prepared module exports its memory");
    let memory = memory.data(&store);
    assert_eq!(memory.len(), model.memory.len());
    let differs = (0..memory.len()).find(|&at| memory[at] != model.memory[at]);
    assert_eq!(differs, None, "the memory differs at this address");
    drop(store);
    let numbers: (i32, i64, f32, f64, i64) = call(machine, "numbers", ())?;
    let n = model.n;
    let wide = n.map_or(6, |n| i64::from(n) << 32 | i64::from(n));
    let expected = n.map_or((1, 2, 3., 4., 6), |n| (n, n.into(), n as f32, n.into(), wide));
    assert_eq!(numbers, expected);
    assert_eq!(call::<_, i32, _>(machine, "functions", ())? as usize, model.functions.len());
    for (function, at) in model.functions.iter().zip(0..) {
        assert_eq!(call::<_, i32, _>(machine, "ask", at)?, *function, "element {at}");
    }
    for (name, has_dropped) in ["init", "init_functions"].into_iter().zip(model.has_dropped) {
        // Nothing, from the second byte or element on: a segment that was dropped has none.
        let nothing = machine.try_call::<_, ()>(name, (0, 1, 0))?.wait()?;
        assert_eq!(nothing.is_err(), has_dropped, "{name}");
        if has_dropped {
            machine.clear_poison()?;
        }
    }
    // Last, because it changes the table. It is put back.
    let first = GIVES.iter().position(|gives| *gives == model.functions[0]).expect("a function");
    assert_eq!(call::<_, i32, _>(machine, "ask_global", ())?, model.function);
    call::<_, (), _>(machine, "put_function", (0, first as i32))
}

fn run(pre: &PreparedPre<()>, seed: u64) -> Result<(), Error> {
    let chance = &mut Chance::new(seed);
    let mut machine = Instance::new(pre, ())?;
    let mut model = Model::new();
    let mut saves: Vec<(Checkpoint, Model)> = Vec::new();
    for _ in 0..60 {
        for _ in 0..chance.below(12) {
            change(&machine, &mut model, chance)?;
        }
        match chance.below(8) {
            0..4 => saves.push((machine.checkpoint()?, model.clone())),
            _ if saves.is_empty() => {}
            4..6 => {
                let (here, was) = &saves[chance.below(saves.len())];
                machine.rollback(here)?;
                model.clone_from(was);
                compare(&machine, &model)?;
            }
            6 => {
                let (here, was) = &saves[chance.below(saves.len())];
                machine = here.instantiate(pre, ())?;
                model.clone_from(was);
                compare(&machine, &model)?;
            }
            _ => {
                let place = chance.below(saves.len());
                let (here, was) = &saves[place];
                let loaded = Checkpoint::from_bytes(pre, &here.to_bytes())?;
                assert_eq!(loaded.hash(), here.hash());
                machine.rollback(&loaded)?;
                assert_eq!(machine.checkpoint()?.hash(), here.hash());
                model.clone_from(was);
                compare(&machine, &model)?;
                saves.swap_remove(place);
            }
        }
    }
    for (here, was) in &saves {
        for (there, then) in &saves {
            assert_eq!(here.hash() == there.hash(), was == then, "hashes tell states apart");
        }
    }
    compare(&machine, &model)
}

#[test]
fn a_guest_that_changes_by_chance_is_as_expected_after_each_rollback() -> Result<(), Error> {
    let pre = linked(&ON_DEMAND, MACHINE)?;
    for seed in 0..40 {
        println!("seed {seed}");
        run(&pre, seed)?;
    }
    Ok(())
}
