//! Transforms a module, writes the result, and prints what the state of an instance is:
//! `cargo run --release --example transform -- in.wasm out.wasm`. With `--stops` before the paths, the module gets checks.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;
use wasm_jobs_transform::{Options, transform_with};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let stops = arguments.first().is_some_and(|first| first == "--stops");
    if stops {
        arguments.remove(0);
    }
    let [from, to] = &arguments[..] else {
        return Err("say the path of a module, and the path that the transformed one gets".into());
    };
    let wasm = std::fs::read(from)?;
    let start = Instant::now();
    let transformed = transform_with(&wasm, &Options::default().stops(stops))?;
    let took = start.elapsed();
    println!("{} bytes in, {} bytes out, {took:.1?}", wasm.len(), transformed.wasm.len());
    println!("{} checks", transformed.checks);
    println!("{:#?}", transformed.layout);
    for export in transformed.layout.exports() {
        println!("{export}");
    }
    std::fs::write(to, transformed.wasm)?;
    Ok(())
}
