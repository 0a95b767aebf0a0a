//! A call that is frozen on one engine goes on in wasmtime's interpreter, Pulley, and back. So what is frozen is no machine code, and depends on no processor.
//!
//! The interpreter is in wasmtime's feature of that name: `cargo test --all-features --features wasmtime/pulley --test pulley`. Without it, these tests are skipped.

use std::fs;
use std::time::Duration;
use wasm_jobs::wasi::{self, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, WasiSaved};
use wasm_jobs::wasmtime::{Engine, Linker, Module};
use wasm_jobs::{
    Clock, EngineOptions, Error, Frozen, HostState, Instance, InstanceOptions, ManualClock,
    PrepareOptions, PreparedPre, Slice, Step, Stops, add_yield, prepare_with,
};

fn options() -> EngineOptions {
    EngineOptions::default().on_demand().wasm_stack(2 << 20).backtrace_frames(10_000)
}

fn native(options: &EngineOptions) -> Engine {
    Engine::new(&options.config()).unwrap()
}

fn interpreter(options: &EngineOptions) -> Engine {
    let mut config = options.config();
    config.target("pulley64").unwrap();
    let engine = Engine::new(&config).unwrap();
    assert!(engine.is_pulley());
    engine
}

/// Whether wasmtime was built with its interpreter. Compiling for it works without, but running does not.
fn has_interpreter() -> bool {
    let module = Module::new(&interpreter(&options()), b"\0asm\x01\0\0\0");
    if let Err(error) = &module {
        println!("skipped: {error:#}");
    }
    module.is_ok()
}

fn yielding(engine: &Engine, wasm: &[u8]) -> Result<PreparedPre<()>, Error> {
    let mut linker = Linker::new(engine);
    add_yield(&mut linker, "env", "yield")?;
    linker.func_wrap("env", "row_done", || {})?;
    prepare_with(engine, wasm, &PrepareOptions::default().freezable(true))?.instantiate_pre(&linker)
}

/// `run(n)` calls itself n times, yields three times at the bottom, and counts on its way back, in four types.
const DEPTH: &str = r#"(module
    (import "env" "yield" (func $yield))
    (global $turns (mut i32) (i32.const 0))
    (func $down (export "run") (param $n i32) (result f64)
        (local $half f32) (local $long i64) (local $vector v128)
        (local.set $half (f32.div (f32.convert_i32_s (local.get $n)) (f32.const 2)))
        (local.set $long (i64.mul (i64.extend_i32_s (local.get $n)) (i64.const 0x1_0000_0001)))
        (local.set $vector (i32x4.splat (local.get $n)))
        (if (i32.eqz (local.get $n)) (then
            (call $yield) (call $yield) (call $yield) (return (f64.const 0.5))))
        (call $down (i32.sub (local.get $n) (i32.const 1)))
        (global.set $turns (i32.add (global.get $turns) (i32x4.extract_lane 3 (local.get $vector))))
        (f64.add (f64.promote_f32 (local.get $half)))
        (f64.add (f64.convert_i64_s (i64.shr_s (local.get $long) (i64.const 32))))))"#;

/// What it gives: half of the sum of the numbers to n, and the sum.
fn depth(n: u32) -> f64 {
    0.5 + 1.5 * f64::from(n * (n + 1) / 2)
}

#[test]
fn calls_are_suspended_and_stopped_in_the_interpreter() -> Result<(), Error> {
    if !has_interpreter() {
        return Ok(());
    }
    let wasm = wat::parse_str(DEPTH).unwrap();
    let pre = yielding(&interpreter(&options()), &wasm)?;
    let instance = Instance::new(&pre, ())?;
    let mut call = instance.call::<u32, f64>("run", 100)?;
    for _ in 0..3 {
        assert_eq!(call.resume()?, Step::Yielded);
    }
    assert_eq!(call.resume()?, Step::Done);
    assert_eq!(call.try_get_result()?, Some(depth(100)));

    let endless = wat::parse_str(r#"(module (func (export "run") (loop $again (br $again))))"#);
    let endless = endless.unwrap();
    // It has no threads, and so guests look at no flags there.
    let pre = yielding(&interpreter(&options()), &endless)?;
    let slice = Slice::Time(Duration::from_millis(1));
    let instance = Instance::with_state(&pre, InstanceOptions::default().slice(slice), ())?;
    assert_eq!(instance.stops(), Stops::AtEpochs);
    let mut call = instance.call::<(), ()>("run", ())?;
    for _ in 0..3 {
        assert_eq!(call.resume()?, Step::Yielded);
    }
    Ok(())
}

#[test]
fn from_an_engine_to_the_interpreter_and_back() -> Result<(), Error> {
    if !has_interpreter() {
        return Ok(());
    }
    let wasm = wat::parse_str(DEPTH).unwrap();
    let fuel = options().fuel(true);
    let flags = options().stop_flags(true).epoch_interruption(false);
    let engines = [native(&options()), interpreter(&options()), interpreter(&fuel), native(&flags)];
    let pres = engines.iter().map(|engine| yielding(engine, &wasm));
    let pres = pres.collect::<Result<Vec<_>, _>>()?;
    let mut hashes = Vec::new();
    for here in &pres {
        for there in &pres {
            let instance = Instance::new(here, ())?;
            let mut call = instance.call::<u32, f64>("run", 300)?;
            assert_eq!(call.resume()?, Step::Yielded);
            let frozen = call.freeze()?;
            let frozen = Frozen::<f64>::from_bytes(there, &frozen.to_bytes())?;
            let mut call = frozen.thaw(there, InstanceOptions::default(), ())?;
            assert_eq!(call.resume()?, Step::Yielded);
            assert_eq!(call.resume()?, Step::Yielded);
            let frozen = Frozen::<f64>::from_bytes(here, &call.freeze()?.to_bytes())?;
            let (instance, mut call) =
                frozen.thaw_with_instance(here, InstanceOptions::default(), ())?;
            assert_eq!(call.wait()?, depth(300));
            hashes.push(instance.checkpoint()?.hash());
        }
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:x?}");
    Ok(())
}

/// A picture by SIMD instructions. Each engine makes eight rows of it, and then the other one does.
#[test]
fn a_picture_of_both() -> Result<(), Error> {
    if !has_interpreter() {
        return Ok(());
    }
    let wasm = fs::read("guests/mandelbrot.wasm").unwrap();
    let pres = [yielding(&native(&options()), &wasm)?, yielding(&interpreter(&options()), &wasm)?];
    let render = |first: usize, changes: bool| -> Result<_, Error> {
        let mut instance = Instance::new(&pres[first], ())?;
        // Out here, little is to be computed.
        let place = (2_f64, 2_f64, 0.01_f64);
        let mut call = instance.call::<_, i32>("render", place)?;
        let mut steps = 0;
        while call.resume()? != Step::Done {
            steps += 1;
            if changes && steps % 8 == 0 {
                let to = &pres[(first + steps / 8) % 2];
                let frozen = Frozen::<i32>::from_bytes(to, &call.freeze()?.to_bytes())?;
                (instance, call) = frozen.thaw_with_instance(to, InstanceOptions::default(), ())?;
                assert_eq!(call.resume()?, Step::Yielded, "once more");
            }
        }
        Ok((call.try_get_result()?, steps, instance.checkpoint()?.hash()))
    };
    let expected = render(0, false)?;
    assert!(expected.1 > 10, "{expected:?}");
    for (first, changes) in [(1, false), (0, true), (1, true)] {
        assert_eq!(render(first, changes)?, expected, "{first}, {changes}");
    }
    Ok(())
}

/// Programs of WASI, which draw random numbers and sleep, change engines wherever they wait.
#[test]
fn programs_that_change_engines() -> Result<(), Error> {
    if !has_interpreter() {
        return Ok(());
    }
    let linked = |engine: &Engine, wasm: &[u8]| -> Result<PreparedPre<WasiCtx>, Error> {
        let mut linker = Linker::new(engine);
        wasi::add_to_linker(&mut linker, |ctx| ctx)?;
        let options = PrepareOptions::default().freezable(true);
        prepare_with(engine, wasm, &options)?.instantiate_pre(&linker)
    };
    for name in ["wanderer", "sleepy"] {
        let wasm = fs::read(format!("guests/wasi/{name}.wasm")).unwrap();
        let pres = [linked(&native(&options()), &wasm)?, linked(&interpreter(&options()), &wasm)?];
        let run = |first: usize, changes: bool| -> Result<_, Error> {
            let (clock, stdout) = (ManualClock::new(), MemoryOutputPipe::new(1 << 16));
            let ctx = || {
                let ctx = WasiCtxBuilder::new().args([name, "77"]).seed(3);
                ctx.clock(clock.clone()).stdout(stdout.clone()).build()
            };
            let mut instance = Instance::new(&pres[first], ctx()?)?;
            let mut call = instance.call::<(), ()>("_start", ())?;
            let mut steps = 0;
            loop {
                let step = call.resume()?;
                if step == Step::Done {
                    break;
                }
                steps += 1;
                if changes {
                    let to = &pres[(first + steps) % 2];
                    let frozen = Frozen::<()>::from_bytes(to, &call.freeze()?.to_bytes())?;
                    let saved = instance.store()?.data_mut().save()?.to_bytes();
                    let mut ctx = ctx()?;
                    ctx.restore(&WasiSaved::from_bytes(&saved)?)?;
                    (instance, call) =
                        frozen.thaw_with_instance(to, InstanceOptions::default(), ctx)?;
                    assert_eq!(call.resume()?, step, "once more");
                }
                if step == Step::Waiting {
                    let next = clock.next_deadline().expect("it sleeps");
                    clock.tick(next.saturating_sub(clock.now()));
                }
            }
            let result = call.try_get_result().map_err(|error| error.to_string());
            if instance.is_poisoned() {
                instance.clear_poison()?;
            }
            Ok((result, stdout.contents(), steps, clock.now(), instance.checkpoint()?.hash()))
        };
        let expected = run(0, false)?;
        assert!(expected.2 > 4, "{expected:?}");
        for (first, changes) in [(1, false), (0, true), (1, true)] {
            assert_eq!(run(first, changes)?, expected, "{name}, {first}, {changes}");
        }
    }
    Ok(())
}
