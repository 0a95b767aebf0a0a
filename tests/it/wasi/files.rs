//! Directories of the host.

use super::{Program, args, program};
use crate::support::{Way, receives};
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use wasm_jobs::wasi::{FsPerms, WasiCtx};
use wasm_jobs::{Error, Instance};

/// Opens a file of the first directory for reading, and returns its descriptor.
pub(super) fn open(guest: &Instance<WasiCtx>, path: &str) -> Result<u32, Error> {
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    memory.write(&mut store, 1031, &[path.len() as u8]).unwrap();
    memory.write(&mut store, 1032, path.as_bytes()).unwrap();
    drop(store);
    const FD_READ: i64 = 1 << 1;
    assert_eq!(guest.call::<_, i32>("path_open", (0, FD_READ))?.wait()?, 0);
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    Ok(u32::from_le_bytes(memory.data(&store)[1024..1028].try_into().unwrap()))
}

/// Makes a new, empty directory for one test.
pub(super) fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_program_copies_a_file() -> Result<(), Error> {
    let path = directory("a_program_copies_a_file");
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(path.join("from"), &content).unwrap();
    let copy = program("copy")?;
    for &way in Way::ALL {
        let _ = fs::remove_file(path.join("to"));
        let ctx = args(["copy", "/dir/from", "/dir/to"]);
        let ctx = ctx.preopened_dir(&path, "/dir", FsPerms::ReadWrite);
        way.finish(&mut Program::start(&copy, ctx)?.main)?;
        assert!(fs::read(path.join("to")).unwrap() == content, "{way:?}");
    }
    Ok(())
}

#[test]
fn a_program_reads_only_where_it_may() -> Result<(), Error> {
    let path = directory("a_program_reads_only_where_it_may");
    fs::write(path.join("from"), "content").unwrap();
    fs::create_dir(path.join("inner")).unwrap();
    let copy = program("copy")?;
    for (from, to, perms) in [
        ("/dir/from", "/dir/to", FsPerms::ReadOnly),
        ("/dir/../from", "/dir/to", FsPerms::ReadWrite),
        ("/etc/passwd", "/dir/to", FsPerms::ReadWrite),
    ] {
        let ctx = args(["copy", from, to]).preopened_dir(&path, "/dir", perms);
        let failure = Program::start(&copy, ctx)?.main.wait().unwrap_err();
        assert!(matches!(failure, Error::Exit(1)), "{from} to {to}: {failure:?}");
        assert!(!path.join("to").exists());
    }
    Ok(())
}

#[test]
fn a_program_is_dropped_while_it_uses_a_file() -> Result<(), Error> {
    let path = directory("a_program_is_dropped_while_it_uses_a_file");
    let content = vec![7; 200_000];
    fs::write(path.join("from"), &content).unwrap();
    let copy = program("copy")?;
    for steps in 0.. {
        // A file operation may still happen after its program was dropped. So each program has a file of its own.
        let to = format!("to {steps}");
        let ctx = args(["copy", "/dir/from", &format!("/dir/{to}")]);
        let mut program =
            Program::start(&copy, ctx.preopened_dir(&path, "/dir", FsPerms::ReadWrite))?;
        let (waker, wakes) = waker();
        let mut context = Context::from_waker(&waker);
        let mut waits = 0;
        let ended = loop {
            match Pin::new(&mut program.main).poll(&mut context) {
                Poll::Ready(result) => break Some(result),
                Poll::Pending if waits == steps => break None,
                Poll::Pending => assert!(receives(&wakes)),
            }
            waits += 1;
        };
        if let Some(result) = ended {
            result?;
            assert!(fs::read(path.join(to)).unwrap() == content);
            return Ok(());
        }
        drop(program.main);
        assert!(program.instance.is_poisoned());
    }
    unreachable!("a program ends after some steps")
}

/// A waker that sends a message.
fn waker() -> (Waker, Receiver<()>) {
    struct Send(Sender<()>);

    impl Wake for Send {
        fn wake(self: Arc<Self>) {
            // The test may have dropped the receiver.
            let _ = self.0.send(());
        }
    }

    let (sender, wakes) = channel();
    (Waker::from(Arc::new(Send(sender))), wakes)
}
