//! Lets 1,000 WASI guests sleep at the same time, on a rayon pool of two threads. The guest is an ordinary C program,
//! `guests/wasi/sleeper.c`: it sleeps ten times, each time for a random 1 to 50 ms, and prints how late it woke up by its own
//! clock. A guest that sleeps occupies no thread; the pool's two threads run the guests that are awake.
//!
//! The example reads the lines that the guests print and checks that there is one for each wake. It prints how late the wakes
//! were: the median, the 99th percentile and the worst. It also prints the wall time, the CPU time, and the number of threads of
//! the process: the main thread, the pool's two, those in which wasmtime compiled the guest, and those of the library, such as
//! the thread of its alarm.
//!
//! ```sh
//! cargo run --release --all-features --example sleepers
//! ```

use rayon::ThreadPoolBuilder;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use wasm_jobs::wasi::{self, Lines, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Linker, Module};
use wasm_jobs::{EngineOptions, Instance, JobHandle, JobPool, engine};

const GUEST: &[u8] = include_bytes!("../guests/wasi/sleeper.wasm");
const GUESTS: usize = 1_000;
const WORKERS: usize = 2;

/// The number of times that each guest sleeps.
const SLEEPS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let engine = engine(&EngineOptions::default())?;
    let module = Module::new(&engine, GUEST)?;
    let mut linker = Linker::<WasiCtx>::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx| ctx)?;
    let guest = linker.instantiate_pre(&module)?;
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(WORKERS).build()?);

    // Each guest has a context of its own, whose standard output goes into this channel. A line says how late a wake was.
    let (sender, lines) = channel::<String>();
    let mut instances = Vec::new();
    for _ in 0..GUESTS {
        let sender = sender.clone();
        let stdout = Lines::new(move |line| sender.send(line.into()).expect("there is a receiver"));
        let ctx = WasiCtxBuilder::new().stdout(stdout).build()?;
        instances.push(Instance::new(&guest, ctx)?);
    }

    let (start, cpu_before) = (Instant::now(), cpu_time());
    let (mut calls, mut jobs) = (Vec::new(), Vec::new());
    for instance in &instances {
        let mut call = instance.call::<(), ()>("_start", ())?;
        jobs.push(pool.submit(call.to_job()?));
        calls.push(call);
    }
    JobHandle::all(jobs).wait();
    let (time, cpu_after) = (start.elapsed(), cpu_time());
    for call in &mut calls {
        call.try_get_result()?.expect("its job is complete");
    }

    let mut late = Vec::new();
    for line in lines.try_iter() {
        late.push(Duration::from_micros(line.parse()?));
    }
    late.sort();
    assert_eq!(late.len(), GUESTS * SLEEPS, "a guest did not print a line for each wake");

    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let [p50, p99, worst] = [50, 99, 100].map(|percent| ms(late[(late.len() - 1) * percent / 100]));
    let cpu = cpu_before.zip(cpu_after).map(|(before, after)| ms(after - before));
    println!("guests:     {GUESTS}, each of which slept {SLEEPS} times for 1 to 50 ms");
    println!("late wakes: p50 {p50:.3} ms, p99 {p99:.3} ms, worst {worst:.3} ms");
    println!("wall time:  {:.0} ms", ms(time));
    println!("CPU time:   {}", cpu.map_or("unknown".into(), |ms| format!("{ms:.0} ms")));
    println!("threads:    {}", threads().as_deref().unwrap_or("unknown"));
    Ok(())
}

/// The CPU time that this process has used, if this is Linux. It is counted in hundredths of a second.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in brackets, may contain spaces. The 14th and 15th are the times in user mode and in
    // the kernel: proc(5).
    let (_, from_third) = stat.rsplit_once(')')?;
    let times = from_third.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Some(Duration::from_millis(10) * times.sum::<Result<u32, _>>().ok()?)
}

/// The number of threads of this process, if this is Linux.
fn threads() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let count = status.lines().find_map(|line| line.strip_prefix("Threads:"))?;
    Some(count.trim().into())
}
