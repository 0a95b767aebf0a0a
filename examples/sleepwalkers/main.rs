//! A hundred thousand scripts that sleep most of the time. A script that sleeps is parked: it is some hundred bytes of data, with no stack and no memory of its own, until its
//! time has come. Two workers run those that are awake.
//!
//! A line tells how many are parked and how much memory the process has. At the end there is a hash of where all have walked, which is the same in each run, and a picture of the
//! memory over time, `sleepwalkers.png` in the target folder.
//!
//! With `--save FILE`, the walk stops in the middle, and all calls are written to a file as they are, several functions deep. With `--load FILE`, another process goes on from
//! there, and ends with the same hash.
//!
//! ```sh
//! cargo run --release --all-features --example sleepwalkers
//! cargo run --release --all-features --example sleepwalkers -- --save /tmp/walk
//! cargo run --release --all-features --example sleepwalkers -- --load /tmp/walk
//! ```
//!
//! `--walkers N` sets how many there are.

mod memory;
mod saved;
mod walk;

use crate::memory::Memory;
use crate::walk::Walk;
use std::env;
use std::error::Error;
use std::path::PathBuf;

/// What the command line asks for.
struct Arguments {
    walkers: usize,
    save: Option<PathBuf>,
    load: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut arguments = Self { walkers: 100_000, save: None, load: None };
        let mut given = env::args().skip(1);
        while let Some(name) = given.next() {
            let value = given.next().ok_or("each argument has a value")?;
            match &*name {
                "--walkers" => arguments.walkers = value.parse()?,
                "--save" => arguments.save = Some(value.into()),
                "--load" => arguments.load = Some(value.into()),
                _ => return Err(format!("{name}: there is no such argument").into()),
            }
        }
        Ok(arguments)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let mut memory = Memory::new();
    let mut walk = match &arguments.load {
        Some(file) => Walk::load(file)?,
        None => Walk::begin(arguments.walkers)?,
    };
    let half = arguments.save.as_ref().map(|_| walk.walkers() / 2);
    while walk.arrived() < half.unwrap_or(walk.walkers()) {
        walk.tick()?;
        memory.show(&walk);
    }
    println!();
    if let Some(file) = &arguments.save {
        let bytes = walk.save(file)?;
        println!(
            "{} calls and {} results: {bytes} bytes",
            walk.walkers() - walk.arrived(),
            walk.arrived()
        );
        return Ok(());
    }
    println!("hash {:016x} of {} walkers", walk.hash(), walk.walkers());
    println!("memory: {}", memory.draw()?.display());
    Ok(())
}
