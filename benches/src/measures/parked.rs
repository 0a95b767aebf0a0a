//! Resident memory for each of 900 suspended calls, instances included, beside the same by hand. Each side is measured in
//! processes of its own, so that neither finds the memory that the other has freed.

use super::poll_to_end;
use crate::guests;
use crate::rounds::{Finding, Other, of_pairs};
use std::fs;
use std::process::Command;
use std::task::{Context, Waker};
use wasm_jobs::{Instance, Step};

const CALLS: usize = 900;

pub(crate) fn measure() -> Finding {
    let pair = |_| (in_child("parked_ours"), in_child("parked_theirs"));
    of_pairs("bytes", Other::Peer("wasmtime"), &(0..5).map(pair).collect::<Vec<_>>())
}

/// What a process of its own has found, in bytes. See [`child`](super::child).
pub(super) fn in_child(what: &str) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let child = Command::new(program).args([what, "--child"]).output();
    let output = child.expect("this program can be started again").stdout;
    let bytes = String::from_utf8(output).expect("the child prints text");
    bytes.trim().parse().expect("the child prints a number")
}

pub(super) fn ours() {
    let pre = guests::ours();
    let suspend = || {
        let instance = Instance::new(&pre, ()).expect("the pool has room");
        let mut future = instance.call::<i32, ()>("yields", 2).expect("the guest exports it");
        assert_eq!(future.resume().expect("the call is ours"), Step::Yielded);
        (instance, future)
    };
    report(suspend);
}

pub(super) fn theirs() {
    let pre = guests::theirs();
    let suspend = || {
        let (mut store, func) = poll_to_end(guests::export::<i32, ()>(&pre, "yields"));
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
