//! What the compiler says of what is wrong: `TRYBUILD=overwrite cargo test -p wasm-jobs-macros` writes it anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let project = project();
    for guests in ["tests/guests", "tests/ui/guests"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(guests), &project.join(guests));
    }
    // It asserts that each of them fails, with the message beside it.
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The package that trybuild compiles all cases in. Their paths are relative to it, so the guests have to be there.
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
