//! The output of a program.

use super::{Program, SUCCESS, WasiCtxBuilder, captured, printed, program};
use crate::support::Way;
use std::sync::{Arc, Mutex};
use wasm_jobs::wasi::{Lines, MemoryOutputPipe, WasiCtx};
use wasm_jobs::{Error, Instance, InstanceOptions};

/// A stream that stores its lines.
fn lines() -> (Lines, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let given = lines.clone();
    (Lines::new(move |line| given.lock().unwrap().push(line.into())), lines)
}

/// A guest that has written these pieces to its standard output.
fn write(stdout: Lines, pieces: &[&[u8]]) -> Result<Instance<WasiCtx>, Error> {
    let guest = super::functions(WasiCtxBuilder::new().stdout(stdout))?;
    for piece in pieces {
        write_to(&guest, STDOUT, piece)?;
    }
    Ok(guest)
}

pub(super) fn write_to(
    guest: &Instance<WasiCtx>,
    descriptor: i32,
    bytes: &[u8],
) -> Result<(), Error> {
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    let buffer = [1024_u32.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    memory.write(&mut store, 0, &buffer).unwrap();
    memory.write(&mut store, 1024, bytes).unwrap();
    drop(store);
    assert_eq!(guest.call::<_, i32>("fd_write", (descriptor, 0, 1, 512))?.wait()?, SUCCESS);
    Ok(())
}

const STDOUT: i32 = 1;
const STDERR: i32 = 2;

#[test]
fn output_is_captured() -> Result<(), Error> {
    for &way in Way::ALL {
        let mut program = Program::start(&program("nap")?, super::args(["nap", "1"]))?;
        way.finish(&mut program.main)?;
        assert_eq!(program.printed(), "slept for 1 ms\n", "{way:?}");
    }
    Ok(())
}

#[test]
fn messages_go_another_way() -> Result<(), Error> {
    let stderr = captured();
    let mut program =
        Program::start(&program("nap")?, WasiCtxBuilder::new().stderr(stderr.clone()))?;
    assert!(matches!(program.main.wait(), Err(Error::Exit(2))));
    assert_eq!(program.printed(), "");
    assert_eq!(printed(&stderr), "usage: nap MILLISECONDS\n");
    Ok(())
}

#[test]
fn output_comes_line_by_line() -> Result<(), Error> {
    let (stdout, lines) = lines();
    let guest = write(stdout, &[b"one\ntwo\n\nth", b"r", b"ee\nfo", "\u{fc}\u{ff}\n".as_bytes()])?;
    assert_eq!(*lines.lock().unwrap(), ["one", "two", "", "three", "fo\u{fc}\u{ff}"]);
    drop(guest);
    assert_eq!(lines.lock().unwrap().len(), 5);
    Ok(())
}

#[test]
fn a_last_line_without_an_end_comes_when_the_guest_goes() -> Result<(), Error> {
    let (stdout, lines) = lines();
    let guest = write(stdout, &[b"whole\n", b"begun"])?;
    assert_eq!(*lines.lock().unwrap(), ["whole"]);
    guest.reset_with(WasiCtxBuilder::new().build()?)?;
    assert_eq!(*lines.lock().unwrap(), ["whole", "begun"]);
    Ok(())
}

#[test]
fn a_reset_ends_the_line_although_the_state_function_keeps_the_stream() -> Result<(), Error> {
    let (log, lines) = lines();
    let ctx = move || {
        let ctx = WasiCtxBuilder::new().stdout(log.clone()).stderr(log.clone());
        ctx.build().expect("the context has no directories")
    };
    let pre = super::text(super::FUNCTIONS)?;
    let guest = Instance::with_options(&pre, InstanceOptions::default(), ctx)?;
    for _ in 0..2 {
        lines.lock().unwrap().clear();
        write_to(&guest, STDOUT, b"half")?;
        guest.reset()?;
        assert_eq!(*lines.lock().unwrap(), ["half"]);
        write_to(&guest, STDERR, b"whole\n")?;
        assert_eq!(*lines.lock().unwrap(), ["half", "whole"]);
        guest.reset()?;
        assert_eq!(*lines.lock().unwrap(), ["half", "whole"], "there is no line to end");
    }
    Ok(())
}

#[test]
fn output_and_messages_of_a_guest_share_a_line_until_both_are_closed() -> Result<(), Error> {
    let (log, lines) = lines();
    let guest = super::functions(WasiCtxBuilder::new().stdout(log.clone()).stderr(log))?;
    write_to(&guest, STDOUT, b"one ")?;
    write_to(&guest, STDERR, b"line\nan")?;
    write_to(&guest, STDOUT, b"oth")?;
    assert_eq!(guest.call::<_, i32>("fd_close", STDOUT)?.wait()?, SUCCESS);
    write_to(&guest, STDERR, b"er")?;
    assert_eq!(*lines.lock().unwrap(), ["one line"]);
    assert_eq!(guest.call::<_, i32>("fd_close", STDERR)?.wait()?, SUCCESS);
    assert_eq!(*lines.lock().unwrap(), ["one line", "another"]);
    Ok(())
}

#[test]
fn a_line_of_several_guests_ends_with_the_last_of_them() -> Result<(), Error> {
    let (log, lines) = lines();
    let first = write(log.clone(), &[b"to"])?;
    let second = write(log, &[b"geth"])?;
    drop(first);
    write_to(&second, STDOUT, b"er")?;
    assert_eq!(*lines.lock().unwrap(), [""; 0]);
    drop(second);
    assert_eq!(*lines.lock().unwrap(), ["together"]);
    Ok(())
}

#[test]
fn a_line_that_is_not_text_comes_all_the_same() -> Result<(), Error> {
    let (stdout, lines) = lines();
    let _guest = write(stdout, &[b"a\xff\xfeb\r\n\0\n"])?;
    assert_eq!(*lines.lock().unwrap(), ["a\u{fffd}\u{fffd}b\r", "\0"]);
    Ok(())
}

#[test]
fn a_line_without_end_comes_in_pieces() -> Result<(), Error> {
    let (stdout, lines) = lines();
    let piece = vec![b'x'; 30_000];
    let _guest = write(stdout, &[&piece, &piece, &piece, &piece, &piece, b"\n"])?;
    let lengths: Vec<_> = lines.lock().unwrap().iter().map(String::len).collect();
    assert_eq!(lengths, [Lines::LONGEST, Lines::LONGEST, 150_000 - 2 * Lines::LONGEST]);
    Ok(())
}

#[test]
fn a_line_is_cut_between_characters() -> Result<(), Error> {
    let (stdout, lines) = lines();
    let line = format!("x{}", "\u{fc}\u{20ac}\u{1f600}".repeat(20_000));
    let pieces: Vec<_> = line.as_bytes().chunks(999).collect();
    let _guest = write(stdout, &[&pieces[..], &[b"\n"]].concat())?;
    let lines = lines.lock().unwrap();
    assert_eq!(lines.concat(), line);
    assert!(lines.iter().all(|piece| piece.len() <= Lines::LONGEST));
    Ok(())
}

#[test]
fn a_log_that_panics_fails_the_call_and_nothing_else() -> Result<(), Error> {
    let stdout = Lines::new(|line| panic!("no room for {line:?}"));
    let mut program = {
        let ctx = super::args(["nap", "1"]).stdout(stdout).build()?;
        Instance::new(&super::program("nap")?, ctx)?.call::<(), ()>("_start", ())?
    };
    let failure = program.wait().unwrap_err();
    assert!(matches!(failure, Error::Panic(_)), "{failure:?}");
    Ok(())
}

#[test]
fn a_guest_that_writes_more_than_there_is_room_for_is_told() -> Result<(), Error> {
    let stdout = MemoryOutputPipe::new(5);
    let guest = super::functions(WasiCtxBuilder::new().stdout(stdout.clone()))?;
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    memory.write(&mut store, 0, &[1024_u32.to_le_bytes(), 7_u32.to_le_bytes()].concat()).unwrap();
    memory.write(&mut store, 1024, b"1234567").unwrap();
    drop(store);
    assert_eq!(guest.call::<_, i32>("fd_write", (1, 0, 1, 512))?.wait()?, super::IO);
    assert_eq!(printed(&stdout), "12345");
    Ok(())
}
