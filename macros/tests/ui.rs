//! The compiler's messages for wrong uses of the macro. `TRYBUILD=overwrite cargo test -p wasm-jobs-macros` writes the expected messages
//! again; read their diff.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[test]
fn each_wrong_use_gives_its_message() {
    let project = project();
    for guests in ["tests/guests", "tests/ui/guests"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(guests), &project.join(guests));
    }
    // Asserts that each case fails to compile, with the message in the file beside it.
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The folder of the package in which trybuild compiles the cases. Their paths are relative to it, so the guests are copied there.
fn project() -> PathBuf {
    let metadata = Command::new(env::var_os("CARGO").expect("this is run by cargo"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let target = Path::new(metadata["target_directory"].as_str().unwrap());
    target.join("tests/trybuild").join(env!("CARGO_PKG_NAME"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
