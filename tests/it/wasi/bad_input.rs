//! Invalid arguments to WASI functions, and invalid guests.

use super::{BADF, FAULT, INVAL, NOMEM, SUCCESS, functions};
use wasm_jobs::wasi::{WasiCtx, WasiCtxBuilder};
use wasm_jobs::{Error, Instance, Step};

fn guest() -> Result<Instance<WasiCtx>, Error> {
    functions(WasiCtxBuilder::new())
}

/// The end of the guest's memory, which is one page.
const END: i32 = 65536;

#[test]
fn no_subscriptions() -> Result<(), Error> {
    let guest = guest()?;
    assert_eq!(guest.call::<_, i32>("poll_oneoff", (0, 1024, 0, 512))?.wait()?, INVAL);
    Ok(())
}

#[test]
fn pointers_out_of_the_memory() -> Result<(), Error> {
    let guest = guest()?;
    let (input, output, count) = (2048, 4096, 1024);
    for out in [END, END - 8, i32::MAX - 7, -8, i32::MIN] {
        for (parameters, what) in
            [((out, output, 1, count), "subscriptions"), ((input, out, 1, count), "events")]
        {
            let errno = guest.call::<_, i32>("poll_oneoff", parameters)?.wait()?;
            assert_eq!(errno, FAULT, "{what} at {out}");
        }
    }
    for out in [END, END - 2, -4] {
        let parameters = (input, output, 1, out);
        assert_eq!(guest.call::<_, i32>("poll_oneoff", parameters)?.wait()?, FAULT);
        let parameters = (0, 0_i64, out);
        assert_eq!(guest.call::<_, i32>("clock_time_get", parameters)?.wait()?, FAULT);
        assert_eq!(guest.call::<_, i32>("clock_res_get", (1, out))?.wait()?, FAULT);
    }
    for misaligned in [2049, 2052] {
        for parameters in [
            (misaligned, output, 1, count),
            (input, misaligned, 1, count),
            (input, output, 1, 1023),
        ] {
            let mut call = guest.call::<_, i32>("poll_oneoff", parameters)?;
            assert_eq!(call.resume()?, Step::Done, "the call waited before it failed");
            assert_eq!(call.try_get_result()?, Some(FAULT));
        }
    }
    Ok(())
}

#[test]
fn null_is_an_address_as_any_other() -> Result<(), Error> {
    let guest = guest()?;
    // The memory there is zero, which is a subscription to the time of day that is due now.
    assert_eq!(guest.call::<_, i32>("poll_oneoff", (0, 0, 1, 0))?.wait()?, SUCCESS);
    Ok(())
}

#[test]
fn more_subscriptions_than_the_host_would_copy() -> Result<(), Error> {
    let guest = guest()?;
    for (count, errno) in [(i32::MAX, NOMEM), (-1, NOMEM), (10_000, FAULT)] {
        let parameters = (0, 1024, count, 512);
        assert_eq!(guest.call::<_, i32>("poll_oneoff", parameters)?.wait()?, errno);
    }
    Ok(())
}

#[test]
fn subscriptions_of_no_known_kind() -> Result<(), Error> {
    let guest = guest()?;
    for (at, value) in [(8, 3_u8), (8, 255), (40, 2)] {
        let mut subscription = [0; 48];
        subscription[at] = value;
        assert_eq!(super::polling::poll(&guest, &[subscription])?.wait()?, INVAL);
    }
    Ok(())
}

#[test]
fn clocks_that_there_are_not() -> Result<(), Error> {
    let guest = guest()?;
    for clock in [2, 3, 4, -1] {
        let parameters = (clock, 1_i64, 1024);
        assert_eq!(guest.call::<_, i32>("clock_time_get", parameters)?.wait()?, INVAL);
        assert_eq!(guest.call::<_, i32>("clock_res_get", (clock, 1024))?.wait()?, INVAL);
    }
    Ok(())
}

#[test]
fn descriptors_that_are_not_there() -> Result<(), Error> {
    let guest = guest()?;
    for descriptor in [3, 1000, -1] {
        assert_eq!(guest.call::<_, i32>("fd_write", (descriptor, 0, 1, 512))?.wait()?, BADF);
        assert_eq!(guest.call::<_, i32>("fd_close", descriptor)?.wait()?, BADF);
    }
    Ok(())
}

#[test]
fn a_guest_without_a_memory_fails_alone() -> Result<(), Error> {
    let pre = super::text(
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff"
                (func $poll (param i32 i32 i32 i32) (result i32)))
            (func (export "_start")
                (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 8)))))"#,
    )?;
    let guest = Instance::new(&pre, WasiCtxBuilder::new().build()?)?;
    let failure = guest.call::<(), ()>("_start", ())?.wait().unwrap_err();
    assert!(matches!(failure, Error::Host(_)), "{failure:?}");
    assert!(failure.to_string().contains("must export its memory"), "{failure}");
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_opened() {
    let builder = WasiCtxBuilder::new();
    let nowhere = "guests/no such directory";
    let failure = builder.preopened_dir(nowhere, "/", wasm_jobs::wasi::FsPerms::ReadOnly).build();
    let failure = failure.map(|_| "a context").unwrap_err();
    assert!(
        matches!(&failure, Error::Directory { path, .. } if path.ends_with("no such directory"))
    );
    assert!(failure.to_string().contains(nowhere), "{failure}");
    assert!(std::error::Error::source(&failure).is_some());
}

#[test]
fn wasi_is_defined_twice() -> Result<(), Error> {
    let mut linker = wasm_jobs::wasmtime::Linker::<WasiCtx>::new(&super::ENGINE);
    wasm_jobs::wasi::add_to_linker(&mut linker, |ctx| ctx)?;
    let twice = wasm_jobs::wasi::add_to_linker(&mut linker, |ctx| ctx).unwrap_err();
    assert!(matches!(twice, Error::Wasmtime(_)), "{twice:?}");
    let shadowing = linker.func_wrap("wasi_snapshot_preview1", "sched_yield", || 0_i32);
    assert!(shadowing.is_err(), "the linker still refuses shadowing");

    linker.allow_shadowing(true);
    wasm_jobs::wasi::add_to_linker(&mut linker, |ctx| ctx)?;
    linker.func_wrap("wasi_snapshot_preview1", "sched_yield", || 0_i32)?;
    Ok(())
}
