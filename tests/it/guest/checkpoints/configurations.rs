//! Every byte of the memory, for each way in which wasmtime allocates memories; beside a model that has all bytes.

use super::random::Chance;
use super::{call, pre};
use wasm_jobs::wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasm_jobs::{Checkpoint, EngineOptions, Instance};

fn engines() -> Vec<(&'static str, Engine)> {
    let base = || EngineOptions::default().on_demand().config();
    let mut all = vec![];
    all.push(("on demand", Engine::new(&base()).unwrap()));
    let mut c = base();
    c.memory_init_cow(false);
    all.push(("no cow", Engine::new(&c).unwrap()));
    let mut c = base();
    c.memory_reservation(0)
        .memory_guard_size(0)
        .memory_reservation_for_growth(0)
        .memory_may_move(true);
    all.push(("moves", Engine::new(&c).unwrap()));
    let mut c = base();
    c.memory_reservation(1 << 17)
        .memory_guard_size(1 << 16)
        .memory_reservation_for_growth(1 << 16)
        .memory_init_cow(false);
    all.push(("moves, no cow", Engine::new(&c).unwrap()));
    let pool = |cow: bool, keep: usize| {
        let mut c = base();
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(3)
            .total_memories(3)
            .total_tables(3)
            .total_stacks(3)
            .total_gc_heaps(3)
            .max_memory_size(1 << 22);
        pool.linear_memory_keep_resident(keep).table_keep_resident(keep).max_unused_warm_slots(3);
        c.allocation_strategy(InstanceAllocationStrategy::Pooling(pool)).memory_init_cow(cow);
        Engine::new(&c).unwrap()
    };
    all.push(("pool", pool(true, 0)));
    all.push(("pool keeps", pool(true, 1 << 20)));
    all.push(("pool keeps a little", pool(true, 1 << 14)));
    all.push(("pool no cow", pool(false, 0)));
    all.push(("pool no cow keeps", pool(false, 1 << 18)));
    all
}

#[test]
fn every_byte_in_every_configuration() {
    const GUEST: &str = r#"(module
        (memory (export "memory") 3)
        (data (i32.const 4090) "across a page")
        (data (i32.const 70000) "another place")
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
        (func (export "sum") (result i32) (local $i i32) (local $s i32)
            (loop $l
                (local.set $s (i32.add (local.get $s) (i32.load8_u (local.get $i))))
                (local.set $i (i32.add (local.get $i) (i32.const 512)))
                (br_if $l (i32.lt_u (local.get $i) (i32.shl (memory.size) (i32.const 16)))))
            (local.get $s)))"#;
    let mut initial = vec![0_u8; 3 << 16];
    initial[4090..][..13].copy_from_slice(b"across a page");
    initial[70000..][..13].copy_from_slice(b"another place");
    for (name, engine) in engines() {
        let pre = pre::<()>(&engine, GUEST);
        for seed in 0..2 {
            let mut chance = Chance::new(seed);
            let instance = Instance::new(&pre, ()).unwrap();
            let mut model = initial.clone();
            let mut saved: Vec<(Checkpoint, Vec<u8>)> = vec![];
            for step in 0..100 {
                let at = chance.below(model.len());
                let count = chance.below(9000).min(model.len() - at);
                match chance.below(11) {
                    0..=2 => {
                        let value = chance.below(3) as u8;
                        call::<_, (), _>(
                            &instance,
                            "fill",
                            (at as i32, i32::from(value), count as i32),
                        )
                        .unwrap();
                        model[at..][..count].fill(value);
                    }
                    3 => {
                        // By the host.
                        let mut store = instance.store().unwrap();
                        let memory = store.memory("memory").unwrap();
                        let from = chance.below(initial.len() - 64);
                        let to = from + 64;
                        memory.data_mut(&mut store)[from..to].copy_from_slice(&initial[from..to]);
                        model[from..to].copy_from_slice(&initial[from..to]);
                    }
                    4 => {
                        let mut guard = instance.memory("memory").unwrap();
                        guard.write::<u32>(at.min(model.len() - 4), 0x01020304).unwrap();
                        let at = at.min(model.len() - 4);
                        model[at..][..4].copy_from_slice(&0x01020304_u32.to_le_bytes());
                    }
                    5 => {
                        call::<_, i32, _>(&instance, "sum", ()).unwrap();
                    }
                    6 if model.len() < 20 << 16 => {
                        let pages = chance.below(3);
                        assert_ne!(call::<_, i32, _>(&instance, "grow", pages as i32).unwrap(), -1);
                        model.resize(model.len() + (pages << 16), 0);
                    }
                    7 | 8 => saved.push((instance.checkpoint().unwrap(), model.clone())),
                    9 if !saved.is_empty() => {
                        let (here, then) = &saved[chance.below(saved.len())];
                        instance.rollback(here).unwrap();
                        model = then.clone();
                    }
                    10 if !saved.is_empty() => match chance.below(3) {
                        0 => {
                            instance.reset_with(()).unwrap();
                            model = initial.clone();
                        }
                        1 => {
                            let (here, then) = &saved[chance.below(saved.len())];
                            let bytes = here.to_bytes();
                            let again = Checkpoint::from_bytes(&pre, &bytes).unwrap();
                            assert_eq!(again.hash(), here.hash());
                            let twin = again.instantiate(&pre, ()).unwrap();
                            let mut store = twin.store().unwrap();
                            let memory = store.memory("memory").unwrap();
                            assert!(memory.data(&store) == then, "{name} {seed} {step}: twin");
                            drop(store);
                            let back = twin.checkpoint().unwrap();
                            assert_eq!(back.hash(), here.hash(), "{name} {seed} {step}");
                            assert!(back.to_bytes() == bytes, "{name} {seed} {step}");
                            instance.rollback(&back).unwrap();
                            model = then.clone();
                        }
                        _ => {
                            let other = Instance::new(&pre, ()).unwrap();
                            call::<_, (), _>(&other, "fill", (0, 9, 3 << 16)).unwrap();
                            let nine = other.checkpoint().unwrap();
                            instance.rollback(&nine).unwrap();
                            model = vec![9; 3 << 16];
                        }
                    },
                    _ => {}
                }
                let mut store = instance.store().unwrap();
                let memory = store.memory("memory").unwrap();
                let data = memory.data(&store);
                assert_eq!(data.len(), model.len(), "{name} {seed} {step}");
                if let Some(at) = data.iter().zip(&model).position(|(a, b)| a != b) {
                    panic!(
                        "{name}, seed {seed}, step {step}: byte {at} is {} and not {}",
                        data[at], model[at]
                    );
                }
            }
        }
    }
}
