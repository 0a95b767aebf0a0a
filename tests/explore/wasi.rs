//! Programs of WASI that sleep by the clock of the world.

use crate::support::run_all;
use wasm_jobs::explore::{self, World};
use wasm_jobs::wasi::{self, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Linker, Module};
use wasm_jobs::{Clock, EngineOptions, Error, engine};

/// Sleeps for as many nanoseconds as it is told to.
const SLEEPS: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "sleep") (param $time i64) (result i32)
        (i32.store (i32.const 16) (i32.const 1)) ;; the monotonic clock
        (i64.store (i32.const 24) (local.get $time))
        (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))"#;

#[test]
fn programs_that_sleep_take_no_time() {
    let engine = engine(&EngineOptions::default()).unwrap();
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx| ctx).unwrap();
    let module = Module::new(&engine, wat::parse_str(SLEEPS).unwrap()).unwrap();
    let pre = linker.instantiate_pre(&module).unwrap();
    let report = explore::random(50).run(|world: &World| -> Result<(), Error> {
        let guest = || {
            let clock = world.clock();
            world.instance(&pre, move || {
                WasiCtxBuilder::new().clock(clock.clone()).build().expect("it opens nothing")
            })
        };
        let guests = [guest()?, guest()?];
        let hour = 3_600_000_000_000;
        let mut calls = [
            guests[0].call::<i64, i32>("sleep", hour)?,
            guests[1].call::<i64, i32>("sleep", 2 * hour)?,
        ];
        run_all(world, &mut calls)?;
        for mut call in calls {
            assert_eq!(call.try_get_result()?, Some(0));
        }
        assert_eq!(world.clock().now().as_secs(), 2 * 3_600);
        Ok(())
    });
    // Each guest stops before its call of the host, and in it.
    assert_eq!(report.steps, 50 * 6);
}
