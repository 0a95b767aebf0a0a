//! The modules of this repository.

use std::path::{Path, PathBuf};
use wasm_jobs_transform::{Error, transform};
use wasmparser::{Validator, WasmFeatures};

fn modules(folder: &Path, found: &mut Vec<PathBuf>) {
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
