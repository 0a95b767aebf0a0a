//! The modules of this repository.

use crate::random::{Random, each_seed};
use std::path::{Path, PathBuf};
use wasm_jobs_transform::{Error, transform};
use wasmparser::{Validator, WasmFeatures};

pub(crate) fn modules(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modules(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
}

#[test]
fn the_guests_of_this_repository_are_valid_afterwards_and_refused_a_second_time() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    modules(&repository.join("guests"), &mut found);
    modules(&repository.join("macros/tests/guests"), &mut found);
    let mut transformed = 0;
    for path in found {
        let wasm = std::fs::read(&path).unwrap();
        match transform(&wasm) {
            Ok(once) => {
                transformed += 1;
                let mut validator = Validator::new_with_features(WasmFeatures::WASM3);
                validator.validate_all(&once.wasm).unwrap();
                let twice = transform(&once.wasm);
                assert!(matches!(twice, Err(Error::AlreadyTransformed { .. })));
                assert_eq!(transform(&wasm).unwrap().wasm, once.wasm);
            }
            Err(Error::Component | Error::SharedMemory { .. }) => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    assert!(transformed >= 5, "{transformed}");
}

fn is_valid(wasm: &[u8]) -> bool {
    Validator::new_with_features(WasmFeatures::WASM3).validate_all(wasm).is_ok()
}

#[test]
fn bytes_that_were_changed_at_random_are_refused_or_give_a_valid_module() {
    let text = r#"(module $m (import "a" "b" (func $b)) (memory 1) (table 2 funcref) (tag) (global $g (mut i64) (i64.const 0))
        (type $t (func (param (ref null func))))
        (data $d "abc") (elem $e func $f) (data (i32.const 5) "xyz") (start $f)
        (@custom "producers" "\00") (@custom "mine" "a")
        (func $f (export "f") (local $l i32)
            local.get $l (@metadata.code.branch_hint "\00") if data.drop $d end
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))
            (elem.drop $e) (table.init $e (i32.const 0) (i32.const 0) (i32.const 1))))"#;
    let wasm = wat::parse_str(text).unwrap();
    assert!(is_valid(&transform(&wasm).unwrap().wasm));
    each_seed(4_000, |seed| {
        let mut random = Random(seed);
        let mut wasm = wasm.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(wasm.len() as u64) as usize;
            match random.below(4) {
                0 => wasm[at] = random.next() as u8,
                1 => wasm[at] = wasm[at].wrapping_add(random.of(&[1, 255])),
                2 => wasm.insert(at, random.next() as u8),
                _ => drop(wasm.remove(at)),
            }
        }
        match transform(&wasm) {
            Ok(transformed) => {
                assert!(is_valid(&wasm) && is_valid(&transformed.wasm));
                "transformed"
            }
            Err(Error::Invalid { .. }) => "invalid",
            Err(_) => "refused",
        }
    });
}
