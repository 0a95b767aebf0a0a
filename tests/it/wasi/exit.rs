//! How programs end.

use super::{Program, args, functions, program, text};
use crate::support::Way;
use wasm_jobs::wasi::WasiCtxBuilder;
use wasm_jobs::{Error, Instance};

/// A program with `code` as its `_start`.
fn exits(code: &str) -> Result<Instance<wasm_jobs::wasi::WasiCtx>, Error> {
    let pre = text(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") {code}))"#
    ))?;
    Instance::new(&pre, WasiCtxBuilder::new().build()?)
}

#[test]
fn a_program_that_returns_has_succeeded() -> Result<(), Error> {
    for &way in Way::ALL {
        let guest = exits("")?;
        way.finish(&mut guest.call::<(), ()>("_start", ())?)?;
        assert!(!guest.is_poisoned(), "{way:?}");
    }
    Ok(())
}

#[test]
fn a_program_that_exits_with_zero_has_succeeded() -> Result<(), Error> {
    for &way in Way::ALL {
        let guest = exits("(call $proc_exit (i32.const 0)) unreachable")?;
        way.finish(&mut guest.call::<(), ()>("_start", ())?)?;
        assert!(guest.is_poisoned(), "{way:?}: an exit leaves the stack as it was");
        guest.reset_with(WasiCtxBuilder::new().build()?)?;
        way.finish(&mut guest.call::<(), ()>("_start", ())?)?;
    }
    Ok(())
}

#[test]
fn a_program_exits_with_another_code() -> Result<(), Error> {
    for code in [1, 2, 42, 125, 126, 127, 134, 255, 256, i32::MAX, -1] {
        let guest = exits(&format!("(call $proc_exit (i32.const {code})) unreachable"))?;
        let failure = guest.call::<(), ()>("_start", ())?.wait().unwrap_err();
        assert!(matches!(failure, Error::Exit(found) if found == code), "{failure:?}");
        assert_eq!(failure.to_string(), format!("the guest exited with code {code}"));
        assert!(guest.is_poisoned());
    }
    Ok(())
}

#[test]
fn an_exit_is_no_result_for_a_call_that_owes_one() -> Result<(), Error> {
    let guest = functions(WasiCtxBuilder::new())?;
    for code in [0, 1] {
        let failure = guest.call::<_, i32>("number_or_exit", code)?.wait().unwrap_err();
        assert!(matches!(failure, Error::Exit(found) if found == code), "{failure:?}");
        guest.clear_poison()?;
    }
    Ok(())
}

#[test]
fn a_start_function_exits() -> Result<(), Error> {
    let pre = text(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 1)
            (func $start (call $proc_exit (i32.const 3)))
            (start $start))"#,
    )?;
    let failure = Instance::new(&pre, WasiCtxBuilder::new().build()?).unwrap_err();
    assert!(matches!(failure, Error::Exit(3)), "{failure:?}");
    Ok(())
}

#[test]
fn a_c_program_returns_its_code_from_main() -> Result<(), Error> {
    let failure = Program::start(&program("nap")?, args(["nap"]))?.main.wait().unwrap_err();
    assert!(matches!(failure, Error::Exit(2)), "{failure:?}");
    Ok(())
}
