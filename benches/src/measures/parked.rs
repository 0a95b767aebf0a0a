//! Resident memory for each of 900 suspended calls, instances included, beside the same by hand. Each side is measured in
//! processes of its own, so that neither finds the memory that the other has freed.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, of_pairs};
use std::fs;
use std::process::Command;
use std::task::{Context, Waker};
use wasm_jobs::{Instance, Step};

const CALLS: usize = 900;

pub(crate) fn measure() -> Finding {
    let pairs: Vec<_> = (0..5).map(|_| (in_child("ours"), in_child("theirs"))).collect();
    of_pairs("bytes", "wasmtime", &pairs)
}

fn in_child(side: &str) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let child = Command::new(program).args([side, "--parked-child"]).output();
    let output = child.expect("this program can be started again").stdout;
    let bytes = String::from_utf8(output).expect("the child prints text");
    bytes.trim().parse().expect("the child prints a number")
}

/// Suspends the calls and prints what each takes, in bytes.
pub(crate) fn child(side: &str) {
    match side {
        "ours" => ours(),
        _ => theirs(),
    }
}

fn ours() {
    let pre = guests::ours();
    let suspend = || {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        let mut future = instance.call::<i32, ()>("yields", 2).expect("the guest exports it");
        assert_eq!(future.resume().expect("the call is ours"), Step::Yielded);
        (instance, future)
    };
    report(suspend);
}

fn theirs() {
    let pre = guests::theirs();
    let suspend = || {
        let (mut store, func) = poll_to_end(guests::export(&pre, "yields"));
        let mut call = Box::pin(async move { func.call_async(&mut store, 2).await });
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        call
    };
    report(suspend);
}

fn report<C>(suspend: impl Fn() -> C) {
    // The first call sets up things for all of them, which are not counted.
    let first = suspend();
    let mut calls = Vec::with_capacity(CALLS);
    let before = resident();
    calls.extend((0..CALLS).map(|_| suspend()));
    let after = resident();
    drop((first, calls));
    println!("{}", (after - before) as f64 / CALLS as f64);
}

/// The resident memory of this process, in bytes.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this machine runs Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<u64>().ok()).expect("Linux prints VmRSS") * 1024
}
