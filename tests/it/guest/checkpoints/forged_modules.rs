//! Modules that have the names of a prepared module, and were not prepared.

use super::{call, on_demand};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasm_jobs::wasmtime::{Engine, Linker, Module};
use wasm_jobs::{Checkpoint, EngineOptions, Error, Instance};

#[test]
fn forged_modules_panic_nowhere() {
    let h = "00112233445566778899aabbccddeeff";
    let hash = format!(
        r#"(global (export "__wasm_jobs_hash_low") (export "__wasm_jobs_layout_1_{h}") i64 (i64.const 0))"#
    );
    let texts = [
        format!("(module {hash})"),
        r#"(module (func (export "__wasm_jobs_hash_low")))"#.to_owned(),
        format!(
            r#"(module {hash} (func (export "__wasm_jobs_global_0")) (memory (export "__wasm_jobs_table_0") 1))"#
        ),
        format!(r#"(module {hash} (global (export "__wasm_jobs_global_0") i32 (i32.const 1)))"#),
        format!(
            r#"(module {hash} (memory (export "__wasm_jobs_memory_0_0_18446744073709551615") 1) (data (i32.const 5) "abc"))"#
        ),
        format!(
            r#"(module {hash} (memory (export "__wasm_jobs_memory_0_18446744073709551615_18446744073709551615") 1) (data (i32.const 5) "abc"))"#
        ),
        format!(
            r#"(module {hash} (memory (export "__wasm_jobs_memory_0_0_0") (export "__wasm_jobs_memory_0") (export "__wasm_jobs_memory_1_5_9") (export "m") 1) (data (i32.const 5000) "abc")
            (func (export "w") (i32.store (i32.const 5000) (i32.const 77)) (drop (memory.grow (i32.const 1)))))"#
        ),
        format!(r#"(module {hash} (memory (export "__wasm_jobs_memory_0_0_0") i64 1))"#),
        format!(r#"(module {hash} (func (export "__wasm_jobs_start") (param i32)))"#),
        format!(r#"(module {hash} (global (export "__wasm_jobs_start") i32 (i32.const 1)))"#),
        format!(
            r#"(module {hash} (global (export "__wasm_jobs_global_0") (mut i31ref) (ref.i31 (i32.const 1))))"#
        ),
        format!(
            r#"(module {hash} (global (export "__wasm_jobs_global_0") (mut anyref) (ref.null any)) (table (export "__wasm_jobs_table_0") 3 anyref) (table (export "__wasm_jobs_table_1") 3 i31ref) (table (export "__wasm_jobs_table_2") 3 exnref))"#
        ),
        format!(
            r#"(module {hash} (type $s (struct)) (global (export "__wasm_jobs_global_0") (mut (ref $s)) (struct.new $s)))"#
        ),
        format!(
            r#"(module {hash} (global (export "__wasm_jobs_global_0") (mut anyref) (extern.convert_any (ref.null any)) ))"#
        ),
        format!(
            r#"(module {hash} (func $f) (table (export "__wasm_jobs_table_0") 2 funcref) (elem (i32.const 0) $f))"#
        ),
        format!(
            r#"(module {hash} (func $f (export "__wasm_jobs_function_7")) (table (export "__wasm_jobs_table_0") 2 (ref func) (ref.func $f)))"#
        ),
        format!(
            r#"(module {hash} (global (export "__wasm_jobs_global_0") (mut externref) (extern.convert_any (ref.i31 (i32.const 3)))))"#
        ),
    ];
    let mut compiled = 0;
    for engine in [on_demand(), {
        let mut c = EngineOptions::default().on_demand().config();
        c.wasm_gc(true).wasm_function_references(true).wasm_exceptions(true);
        Engine::new(&c).unwrap()
    }] {
        for text in &texts {
            let wasm = wat::parse_str(text).expect("the text of a module");
            // Some are for one engine alone.
            let Ok(module) = Module::new(&engine, wasm) else { continue };
            compiled += 1;
            let pre = Linker::<()>::new(&engine).instantiate_pre(&module).unwrap();
            let ran = catch_unwind(AssertUnwindSafe(|| -> Result<(), Error> {
                let instance = Instance::new(&pre, ())?;
                let here = instance.checkpoint()?;
                let _ = call::<_, (), _>(&instance, "w", ());
                let there = instance.checkpoint()?;
                instance.rollback(&here)?;
                instance.rollback(&there)?;
                let _ = here.instantiate(&pre, ())?;
                Checkpoint::from_bytes(&pre, &here.to_bytes())?.instantiate(&pre, ())?;
                Ok(())
            }));
            assert!(ran.is_ok(), "{text}");
        }
    }
    assert!(compiled > texts.len(), "only {compiled} were compiled");
}
