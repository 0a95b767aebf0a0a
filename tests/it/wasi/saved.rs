//! The state of a context as data: saved, restored, made bytes of.

use super::polling::{When, clock as deadline, poll};
use super::{MONOTONIC, REALTIME, SUCCESS, args, functions, text};
use static_assertions::assert_impl_all;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};
use wasm_jobs::wasi::{Lines, MemoryInputPipe, WasiCtx, WasiCtxBuilder, WasiSaved};
use wasm_jobs::wasmtime::InstancePre;
use wasm_jobs::{Clock, Error, HostState, Instance, ManualClock, RealtimeClock, Step};

assert_impl_all!(WasiSaved: Clone, Send, Sync, std::fmt::Debug);

const SECOND: Duration = Duration::from_secs(1);

/// Saves the context of a guest, and takes the data through its bytes.
fn save(guest: &Instance<WasiCtx>) -> Result<WasiSaved, Error> {
    let saved = guest.store()?.data_mut().save()?;
    let bytes = saved.to_bytes();
    let read = WasiSaved::from_bytes(&bytes)?;
    assert_eq!(read.to_bytes(), bytes);
    Ok(saved)
}

fn restore(guest: &Instance<WasiCtx>, saved: &WasiSaved) -> Result<(), Error> {
    guest.store()?.data_mut().restore(saved)
}

/// Restores another guest from the bytes, as another process does.
fn move_to(guest: &Instance<WasiCtx>, saved: &WasiSaved) -> Result<(), Error> {
    restore(guest, &WasiSaved::from_bytes(&saved.to_bytes())?)
}

fn bytes_at(guest: &Instance<WasiCtx>, at: usize, length: usize) -> Result<Vec<u8>, Error> {
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    Ok(memory.data(&store)[at..][..length].to_vec())
}

fn call<P: wasm_jobs::wasmtime::WasmParams + Sync + 'static>(
    guest: &Instance<WasiCtx>,
    export: &'static str,
    parameters: P,
) -> Result<(), Error> {
    assert_eq!(guest.call::<P, i32>(export, parameters)?.wait()?, SUCCESS, "{export}");
    Ok(())
}

mod random_numbers {
    use super::*;

    fn random(guest: &Instance<WasiCtx>, length: i32) -> Result<Vec<u8>, Error> {
        call(guest, "random_get", (0, length))?;
        bytes_at(guest, 0, length as usize)
    }

    #[test]
    fn a_seeded_guest_repeats_its_numbers_after_a_restore_and_goes_on_in_another_context()
    -> Result<(), Error> {
        let guest = functions(WasiCtxBuilder::new().seed(7))?;
        // Lengths at which the generator stops in a word, in a block, and in the four blocks that it makes at once.
        for length in [1, 3, 4, 60, 7, 128, 61, 255, 256, 257, 1000, 4] {
            random(&guest, length)?;
            let saved = save(&guest)?;
            let after = random(&guest, 700)?;
            assert_ne!(random(&guest, 700)?, after);
            restore(&guest, &saved)?;
            assert_eq!(random(&guest, 700)?, after, "after {length}");

            let other = functions(WasiCtxBuilder::new().seed(8))?;
            move_to(&other, &saved)?;
            assert_eq!(random(&other, 700)?, after, "after {length}");
        }
        Ok(())
    }

    #[test]
    fn without_a_seed_the_numbers_stay_those_of_the_system() -> Result<(), Error> {
        let guest = functions(WasiCtxBuilder::new())?;
        let saved = save(&guest)?;
        let first = random(&guest, 64)?;
        restore(&guest, &saved)?;
        assert_ne!(random(&guest, 64)?, first);
        Ok(())
    }

    #[test]
    fn numbers_of_a_seed_need_a_context_with_a_seed() -> Result<(), Error> {
        let saved = save(&functions(WasiCtxBuilder::new().seed(7))?)?;
        let refused = move_to(&functions(WasiCtxBuilder::new())?, &saved).unwrap_err();
        assert!(refused.to_string().starts_with("the random numbers cannot be restored"));
        Ok(())
    }
}

mod time {
    use super::*;

    fn time(guest: &Instance<WasiCtx>, clock: u32) -> Result<Duration, Error> {
        call(guest, "clock_time_get", (clock as i32, 0_i64, 64))?;
        let bytes = bytes_at(guest, 64, 8)?.try_into().unwrap();
        Ok(Duration::from_nanos(u64::from_le_bytes(bytes)))
    }

    fn guest(clock: &ManualClock) -> Result<Instance<WasiCtx>, Error> {
        functions(WasiCtxBuilder::new().clock(clock.clone()))
    }

    #[test]
    fn a_guest_that_is_rolled_back_sees_the_same_times_again() -> Result<(), Error> {
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + 1_000 * SECOND);
        clock.tick(SECOND);
        let guest = guest(&clock)?;
        let saved = save(&guest)?;
        let run = || -> Result<_, Error> {
            let mut times = Vec::new();
            for _ in 0..3 {
                times.push((time(&guest, MONOTONIC)?, time(&guest, REALTIME)?));
                clock.tick(SECOND);
            }
            Ok(times)
        };
        let times = run()?;
        assert_eq!(times[0], (2 * SECOND, 1_001 * SECOND));
        for _ in 0..3 {
            restore(&guest, &saved)?;
            assert_eq!(run()?, times);
        }
        assert_eq!(clock.now(), 13 * SECOND, "the host's clock goes on");
        Ok(())
    }

    #[test]
    fn times_go_on_in_a_context_whose_clock_started_elsewhere() -> Result<(), Error> {
        for start in [0, 5_000] {
            let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + 1_000 * SECOND);
            clock.tick(60 * SECOND);
            let saved = save(&guest(&clock)?)?;

            let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + start * SECOND);
            clock.tick(7 * SECOND);
            let there = guest(&clock)?;
            move_to(&there, &saved)?;
            for elapsed in [Duration::ZERO, SECOND] {
                clock.tick(elapsed);
                assert_eq!(time(&there, MONOTONIC)?, 61 * SECOND + elapsed);
                assert_eq!(time(&there, REALTIME)?, 1_060 * SECOND + elapsed);
            }
        }
        Ok(())
    }

    #[test]
    fn two_guests_with_one_clock_are_restored_apart() -> Result<(), Error> {
        let clock = ManualClock::new();
        let (first, second) = (guest(&clock)?, guest(&clock)?);
        let saved = save(&first)?;
        clock.tick(10 * SECOND);
        restore(&first, &saved)?;
        assert_eq!(time(&first, MONOTONIC)?, SECOND);
        assert_eq!(time(&second, MONOTONIC)?, 11 * SECOND);
        // Saved and restored again, it stays in its own time.
        let saved = save(&first)?;
        clock.tick(SECOND);
        restore(&first, &saved)?;
        assert_eq!(time(&first, MONOTONIC)?, SECOND);
        Ok(())
    }

    #[test]
    fn a_sleep_after_a_restore_lasts_as_long_as_it_should_and_a_tick_wakes_it() -> Result<(), Error>
    {
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
        clock.tick(100 * SECOND);
        let saved = save(&guest(&clock)?)?;

        for start in [3, 100, 4_000] {
            let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + 77 * SECOND);
            clock.tick(start * SECOND);
            let there = guest(&clock)?;
            move_to(&there, &saved)?;
            // Its monotonic clock shows 101 seconds, and its time of day is 100 seconds.
            for (id, when) in [
                (MONOTONIC, When::After(2 * SECOND)),
                (MONOTONIC, When::At(103 * SECOND)),
                (REALTIME, When::After(2 * SECOND)),
                (REALTIME, When::At(102 * SECOND)),
            ] {
                restore(&there, &saved)?;
                let before = clock.now();
                let mut sleep = poll(&there, &[deadline(1, id, when)])?;
                assert_eq!(sleep.resume()?, Step::Waiting, "{id} {when:?}");
                assert_eq!(clock.next_deadline(), Some(before + 2 * SECOND), "{id} {when:?}");
                clock.tick(2 * SECOND - Duration::from_nanos(1));
                assert_eq!(sleep.resume()?, Step::Waiting, "{id} {when:?}");
                clock.tick(Duration::from_nanos(1));
                assert_eq!(sleep.resume()?, Step::Done, "{id} {when:?}");
                assert_eq!(sleep.try_get_result()?, Some(SUCCESS));
            }
        }
        Ok(())
    }

    #[test]
    fn the_end_of_time_ends_the_sleeps_of_a_restored_guest() -> Result<(), Error> {
        let clock = ManualClock::new();
        let guest = guest(&clock)?;
        let saved = save(&guest)?;
        clock.tick(9 * SECOND);
        restore(&guest, &saved)?;
        let mut sleep = poll(&guest, &[deadline(1, MONOTONIC, When::After(SECOND))])?;
        assert_eq!(sleep.resume()?, Step::Waiting);
        clock.tick(Duration::MAX);
        assert_eq!(sleep.resume()?, Step::Done);
        drop(sleep);
        restore(&guest, &saved)?;
        assert_eq!(poll(&guest, &[deadline(1, MONOTONIC, When::After(SECOND))])?.wait()?, SUCCESS);
        Ok(())
    }

    #[test]
    fn with_real_time_the_monotonic_clock_goes_on_and_the_time_of_day_stays_real()
    -> Result<(), Error> {
        // A guest that has seen an hour more than this process.
        let clock = ManualClock::new();
        clock.tick(RealtimeClock.now() + 3_600 * SECOND);
        let saved = save(&guest(&clock)?)?;

        let there = functions(WasiCtxBuilder::new().clock(Arc::new(RealtimeClock)))?;
        let (before, day_before) = (RealtimeClock.now(), SystemTime::now());
        move_to(&there, &saved)?;
        let monotonic = time(&there, MONOTONIC)? - SECOND;
        let elapsed = RealtimeClock.now() - before;
        assert!(clock.now() <= monotonic && monotonic <= clock.now() + elapsed);
        let of_day = SystemTime::UNIX_EPOCH + time(&there, REALTIME)?;
        assert!(day_before <= of_day && of_day <= SystemTime::now());
        let nap = Duration::from_millis(1);
        assert_eq!(poll(&there, &[deadline(1, MONOTONIC, When::After(nap))])?.wait()?, SUCCESS);
        assert!(time(&there, MONOTONIC)? - SECOND >= monotonic + nap);
        Ok(())
    }
}

mod output {
    use super::super::output::write_to;
    use super::*;

    pub(super) type Log = Arc<Mutex<Vec<String>>>;

    pub(super) fn log() -> (Lines, Log) {
        let log = Log::default();
        let given = log.clone();
        (Lines::new(move |line| given.lock().unwrap().push(line.into())), log)
    }

    fn take(log: &Log) -> Vec<String> {
        std::mem::take(&mut *log.lock().unwrap())
    }

    #[test]
    fn an_unfinished_line_is_put_back() -> Result<(), Error> {
        let (stdout, out) = log();
        let (stderr, err) = log();
        let guest = functions(WasiCtxBuilder::new().stdout(stdout).stderr(stderr))?;
        write_to(&guest, 1, b"one\ntw")?;
        write_to(&guest, 2, b"begu")?;
        let saved = save(&guest)?;
        assert_eq!(take(&out), ["one"]);
        for _ in 0..3 {
            write_to(&guest, 1, b"o\nthr")?;
            write_to(&guest, 2, b"n")?;
            assert_eq!(take(&out), ["two"]);
            restore(&guest, &saved)?;
        }
        drop(guest);
        assert_eq!((take(&out), take(&err)), (vec!["tw".into()], vec!["begu".into()]));
        Ok(())
    }

    #[test]
    fn an_unfinished_line_goes_on_in_another_context() -> Result<(), Error> {
        let (stdout, _) = log();
        let guest = functions(WasiCtxBuilder::new().stdout(stdout.clone()).stderr(stdout))?;
        write_to(&guest, 2, b"hel")?;
        let saved = save(&guest)?;
        for ends in [&b"lo\n"[..], b"lo", b""] {
            let (stdout, out) = log();
            let ctx = WasiCtxBuilder::new().stdout(stdout.clone()).stderr(stdout);
            let there = functions(ctx)?;
            move_to(&there, &saved)?;
            write_to(&there, 1, ends)?;
            drop(there);
            assert_eq!(take(&out), [format!("hel{}", String::from_utf8_lossy(ends).trim())]);
        }
        // The guest writes nothing more.
        let (stdout, out) = log();
        let there = functions(WasiCtxBuilder::new().stdout(stdout.clone()))?;
        move_to(&there, &saved)?;
        drop(there);
        assert_eq!(take(&out), ["hel"]);
        Ok(())
    }

    #[test]
    fn text_that_was_written_after_the_save_does_not_come_as_a_line() -> Result<(), Error> {
        let (stdout, out) = log();
        let guest = functions(WasiCtxBuilder::new().stdout(stdout))?;
        let saved = save(&guest)?;
        write_to(&guest, 1, b"never")?;
        // The stream is closed, so that the restore has to make new ones.
        call(&guest, "fd_close", (2,))?;
        restore(&guest, &saved)?;
        write_to(&guest, 1, b"ever\n")?;
        write_to(&guest, 2, b"open again")?;
        drop(guest);
        assert_eq!(take(&out), ["ever"]);
        Ok(())
    }

    #[test]
    fn an_unfinished_line_needs_lines_to_go_to() -> Result<(), Error> {
        let (stdout, _) = log();
        let guest = functions(WasiCtxBuilder::new().stdout(stdout))?;
        let empty = save(&guest)?;
        write_to(&guest, 1, b"begun")?;
        let saved = save(&guest)?;
        let there = functions(WasiCtxBuilder::new())?;
        move_to(&there, &empty)?;
        let refused = move_to(&there, &saved).unwrap_err().to_string();
        assert!(refused.starts_with("the unfinished line of standard output cannot be restored"));
        Ok(())
    }

    #[test]
    fn a_guest_that_has_exited_is_restored() -> Result<(), Error> {
        let (stdout, out) = log();
        let guest = functions(WasiCtxBuilder::new().stdout(stdout))?;
        write_to(&guest, 1, b"be")?;
        let saved = save(&guest)?;
        let exit = guest.call::<_, i32>("number_or_exit", (3,))?.wait();
        assert!(matches!(exit, Err(Error::Exit(3))), "{exit:?}");
        restore(&guest, &saved)?;
        guest.clear_poison()?;
        write_to(&guest, 1, b"fore\n")?;
        assert_eq!(take(&out), ["before"]);
        Ok(())
    }

    #[test]
    fn how_far_standard_input_was_read_is_not_saved() -> Result<(), Error> {
        let stdin = MemoryInputPipe::new("input");
        let guest = super::files::guest(WasiCtxBuilder::new().stdin(stdin.clone()))?;
        let saved = save(&guest)?;
        assert_eq!(super::files::read(&guest, 0)?, b"input");
        restore(&guest, &saved)?;
        assert!(stdin.is_empty());
        Ok(())
    }
}

mod given {
    use super::*;

    #[test]
    fn other_arguments_variables_or_directories_are_refused_by_name() -> Result<(), Error> {
        let ctx = || args(["guest", "one"]).env("NAME", "value");
        let saved = save(&functions(ctx())?)?;
        move_to(&functions(ctx())?, &saved)?;
        let dir = super::super::files::directory("other_arguments");
        let perms = wasm_jobs::wasi::FsPerms::ReadOnly;
        for (other, refusal) in [
            (args(["guest", "two"]), "argument 1 cannot be restored: it is \"two\" here, and was"),
            (args(["guest"]), "argument 1 cannot be restored: there is none here, and it was"),
            (ctx().arg("more"), "argument 2 cannot be restored: it is \"more\" here, and there"),
            (args(["guest", "one"]), "environment variable 0 cannot be restored: there is none"),
            (args(["guest", "one"]).env("NAME", "x"), "environment variable \"NAME\" cannot be"),
            (ctx().preopened_dir(&dir, "/dir", perms), "directory 0 cannot be restored: it is"),
        ] {
            let other = functions(other.clock(ManualClock::new()))?;
            let refused = move_to(&other, &saved).unwrap_err().to_string();
            assert!(refused.starts_with(refusal), "{refused}");
            assert!(!refused.contains("value\""), "no value of a variable: {refused}");
        }
        Ok(())
    }
}

pub(super) mod files {
    use super::super::files::directory;
    use super::*;
    use std::fs;
    use std::path::Path;
    use wasm_jobs::wasi::FsPerms;

    /// A guest that gives all of its calls of preview 1 to the host.
    const GUEST: &str = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_renumber" (func $move (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $flags (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
            (call $open (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
                (local.get 5) (local.get 6) (local.get 7) (local.get 8)))
        (func (export "close") (param i32) (result i32) (call $close (local.get 0)))
        (func (export "move") (param i32 i32) (result i32)
            (call $move (local.get 0) (local.get 1)))
        (func (export "flags") (param i32 i32) (result i32)
            (call $flags (local.get 0) (local.get 1)))
        (func (export "read") (param i32 i32 i32 i32) (result i32)
            (call $read (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
        (func (export "write") (param i32 i32 i32 i32) (result i32)
            (call $write (local.get 0) (local.get 1) (local.get 2) (local.get 3))))"#;

    pub(super) fn guest(ctx: WasiCtxBuilder) -> Result<Instance<WasiCtx>, Error> {
        static PRE: LazyLock<InstancePre<WasiCtx>> =
            LazyLock::new(|| text(GUEST).expect("WASI defines all imports"));
        Instance::new(&PRE, ctx.build()?)
    }

    const READ: i64 = 1 << 1;
    const WRITE: i64 = 1 << 6;
    const CREATE: i32 = 1;
    const DIRECTORY: i32 = 2;
    const TRUNCATE: i32 = 8;
    const APPEND: i32 = 1;

    #[derive(Clone, Copy)]
    struct Open<'a> {
        from: i32,
        path: &'a str,
        how: i32,
        rights: i64,
        flags: i32,
    }

    fn open_as(guest: &Instance<WasiCtx>, open: Open<'_>) -> Result<Result<i32, i32>, Error> {
        let Open { from, path, how, rights, flags } = open;
        let mut store = guest.store()?;
        store.memory("memory")?.write(&mut store, 1024, path.as_bytes()).unwrap();
        drop(store);
        // The descriptor is written over the path.
        let parameters = (from, 0, 1024, path.len() as i32, how, rights, 0_i64, flags, 1024);
        let errno = guest.call::<_, i32>("open", parameters)?.wait()?;
        let number = bytes_at(guest, 1024, 4)?.try_into().unwrap();
        Ok(if errno == SUCCESS { Ok(i32::from_le_bytes(number)) } else { Err(errno) })
    }

    pub(super) fn open(guest: &Instance<WasiCtx>, path: &str) -> Result<i32, Error> {
        let open = Open { from: 3, path, how: 0, rights: READ, flags: 0 };
        Ok(open_as(guest, open)?.expect("the file opens"))
    }

    /// Reads up to eight bytes.
    pub(super) fn read(guest: &Instance<WasiCtx>, number: i32) -> Result<Vec<u8>, Error> {
        let mut store = guest.store()?;
        let memory = store.memory("memory")?;
        memory.write(&mut store, 0, &[64, 0, 0, 0, 8, 0, 0, 0]).unwrap();
        drop(store);
        call(guest, "read", (number, 0, 1, 16))?;
        let length = bytes_at(guest, 16, 1)?[0];
        bytes_at(guest, 64, length.into())
    }

    pub(super) fn write(guest: &Instance<WasiCtx>, number: i32, text: &str) -> Result<(), Error> {
        let mut store = guest.store()?;
        let memory = store.memory("memory")?;
        memory.write(&mut store, 0, &[64, 0, 0, 0, text.len() as u8, 0, 0, 0]).unwrap();
        memory.write(&mut store, 64, text.as_bytes()).unwrap();
        drop(store);
        call(guest, "write", (number, 0, 1, 16))
    }

    fn with_dir(path: &Path) -> WasiCtxBuilder {
        WasiCtxBuilder::new().preopened_dir(path, "/dir", FsPerms::ReadWrite)
    }

    fn reopening(path: &Path) -> WasiCtxBuilder {
        with_dir(path).reopen_files(|_| true)
    }

    /// A directory with a file of letters.
    fn letters(name: &str) -> std::path::PathBuf {
        let path = directory(name);
        fs::write(path.join("letters"), "abcdefghijklmnopqrstuvwxyz").unwrap();
        path
    }

    #[test]
    fn an_open_file_is_refused_by_its_number_and_a_closed_one_is_fine() -> Result<(), Error> {
        let path = letters("an_open_file_is_refused");
        let guest = guest(with_dir(&path))?;
        let saved = save(&guest)?;
        let [first, second] = [open(&guest, "letters")?, open(&guest, "letters")?];
        assert_eq!([first, second], [4, 5]);
        call(&guest, "close", (first,))?;
        let refused = save(&guest).unwrap_err();
        assert!(
            matches!(&refused, Error::CannotSave { what, .. } if **what == *"descriptor 5"),
            "{refused}"
        );
        call(&guest, "close", (second,))?;
        let closed = save(&guest)?;
        restore(&guest, &saved)?;
        assert_eq!(open(&guest, "letters")?, 4);
        // Two descriptors were open, so that the greater one comes first.
        restore(&guest, &closed)?;
        assert_eq!(open(&guest, "letters")?, 5);
        Ok(())
    }

    #[test]
    fn a_file_that_was_not_open_at_the_save_is_closed() -> Result<(), Error> {
        let path = letters("a_file_that_was_not_open");
        let guest = guest(with_dir(&path))?;
        let saved = save(&guest)?;
        let number = open(&guest, "letters")?;
        restore(&guest, &saved)?;
        let errno = guest.call::<_, i32>("close", (number,))?.wait()?;
        assert_eq!(errno, super::super::BADF);
        save(&guest)?;
        Ok(())
    }

    #[test]
    fn an_open_file_is_at_its_offset_again() -> Result<(), Error> {
        let path = letters("an_open_file_is_at_its_offset_again");
        let guest = guest(reopening(&path))?;
        let number = open(&guest, "letters")?;
        assert_eq!(read(&guest, number)?, b"abcdefgh");
        let saved = save(&guest)?;
        assert_eq!(read(&guest, number)?, b"ijklmnop");
        restore(&guest, &saved)?;
        assert_eq!(read(&guest, number)?, b"ijklmnop");

        // It is the same open file, even if its name has gone.
        fs::rename(path.join("letters"), path.join("else")).unwrap();
        restore(&guest, &saved)?;
        assert_eq!(read(&guest, number)?, b"ijklmnop");

        // Closed, it has to be found by its name.
        call(&guest, "close", (number,))?;
        let refused = restore(&guest, &saved).unwrap_err().to_string();
        assert_eq!(
            refused,
            "descriptor 4 cannot be restored: \"letters\" cannot be opened: error Noent"
        );
        fs::rename(path.join("else"), path.join("letters")).unwrap();
        restore(&guest, &saved)?;
        assert_eq!(read(&guest, number)?, b"ijklmnop");
        Ok(())
    }

    #[test]
    fn open_files_are_at_their_numbers_in_another_context() -> Result<(), Error> {
        let path = letters("open_files_are_at_their_numbers");
        fs::create_dir(path.join("inner")).unwrap();
        fs::write(path.join("inner/digits"), "0123456789").unwrap();
        let here = guest(reopening(&path))?;
        let letters = open(&here, "letters")?;
        let gap = open(&here, "letters")?;
        let inner = Open { from: 3, path: "inner", how: DIRECTORY, rights: 0, flags: 0 };
        let inner = open_as(&here, inner)?.unwrap();
        let digits = Open { from: inner, path: "digits", how: 0, rights: READ | WRITE, flags: 0 };
        let digits = open_as(&here, digits)?.unwrap();
        let truncated = CREATE | TRUNCATE;
        let log = Open { from: 3, path: "log", how: truncated, rights: WRITE, flags: APPEND };
        let log = open_as(&here, log)?.unwrap();
        let moved = open(&here, "letters")?;
        assert_eq!([letters, gap, inner, digits, log, moved], [4, 5, 6, 7, 8, 9]);
        read(&here, letters)?;
        read(&here, letters)?;
        read(&here, digits)?;
        write(&here, log, "begun")?;
        // 4 goes into the gap. Standard input is closed, and standard output goes to a file.
        call(&here, "move", (letters, gap))?;
        call(&here, "close", (0,))?;
        call(&here, "move", (moved, 1))?;
        call(&here, "flags", (digits, APPEND))?;
        let saved = save(&here)?;

        let there = guest(reopening(&path))?;
        for guest in [&here, &there, &here] {
            move_to(guest, &saved)?;
            assert_eq!(read(guest, gap)?, b"qrstuvwx");
            assert_eq!(read(guest, digits)?, b"89");
            assert_eq!(read(guest, 1)?, b"abcdefgh");
            write(guest, log, ".")?;
            let again = Open { from: inner, path: "digits", how: 0, rights: READ, flags: 0 };
            for number in [9, 4, 0, 10] {
                assert_eq!(open_as(guest, again)?, Ok(number), "the greatest that is closed");
            }
        }
        // Nothing was truncated, and each of the three has appended.
        assert_eq!(fs::read_to_string(path.join("log")).unwrap(), "begun...");
        Ok(())
    }

    #[test]
    fn a_context_that_was_restored_is_saved_and_restored_before_its_first_call() -> Result<(), Error>
    {
        let path = letters("a_context_that_was_restored_is_saved");
        let here = guest(reopening(&path))?;
        open(&here, "letters")?;
        let saved = save(&here)?;
        let mut loaded = reopening(&path).build()?;
        loaded.restore(&saved)?;
        let again = loaded.save()?;
        loaded.restore(&saved)?;
        loaded.restore(&again)?;
        Ok(())
    }

    #[test]
    fn the_function_decides_which_files_are_opened_again() -> Result<(), Error> {
        let path = letters("the_function_decides");
        let here = guest(reopening(&path))?;
        open(&here, "letters")?;
        let number = open(&here, "./letters")?;
        read(&here, number)?;
        let saved = save(&here)?;

        let asked = Arc::<Mutex<Vec<_>>>::default();
        let log = asked.clone();
        let ctx = with_dir(&path).reopen_files(move |file| {
            log.lock().unwrap().push((
                file.descriptor(),
                file.path().to_owned(),
                file.offset(),
                file.is_writable(),
            ));
            file.descriptor() != 5
        });
        let there = guest(ctx)?;
        let refused = move_to(&there, &saved).unwrap_err().to_string();
        assert!(refused.starts_with("descriptor 5 cannot be restored"), "{refused}");
        let expected = [
            (4, "/dir/letters".into(), Some(0), false),
            (5, "/dir/./letters".into(), Some(8), false),
        ];
        assert_eq!(*asked.lock().unwrap(), expected);
        assert_eq!(open(&there, "letters")?, 4, "nothing was restored");

        let refused = move_to(&guest(with_dir(&path))?, &saved).unwrap_err().to_string();
        assert!(refused.starts_with("descriptor 4 cannot be restored"), "{refused}");
        Ok(())
    }

    #[test]
    fn a_file_is_opened_again_with_the_permissions_of_the_new_context() -> Result<(), Error> {
        let path = letters("a_file_is_opened_again_with_the_permissions");
        let here = guest(reopening(&path))?;
        let open = Open { from: 3, path: "letters", how: 0, rights: WRITE, flags: 0 };
        open_as(&here, open)?.unwrap();
        let saved = save(&here)?;
        let ctx = WasiCtxBuilder::new().preopened_dir(&path, "/dir", FsPerms::ReadOnly);
        let refused = move_to(&guest(ctx.reopen_files(|_| true))?, &saved).unwrap_err();
        assert!(matches!(refused, Error::CannotRestore { .. }), "{refused}");
        Ok(())
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_is_refused_and_nothing_is_lost() -> Result<(), Error> {
        let path = letters("a_directory_in_the_place_of_a_file");
        let (stdout, lines) = super::output::log();
        let ctx = reopening(&path).stdout(stdout);
        let guest = guest(ctx)?;
        let number = open(&guest, "letters")?;
        let saved = save(&guest)?;
        call(&guest, "close", (number,))?;
        write(&guest, 1, "a li")?;
        fs::remove_file(path.join("letters")).unwrap();
        fs::create_dir(path.join("letters")).unwrap();
        let refused = restore(&guest, &saved).unwrap_err().to_string();
        assert!(refused.contains("a directory now, and was a file"), "{refused}");
        write(&guest, 1, "ne\n")?;
        assert_eq!(*lines.lock().unwrap(), ["a line"]);
        Ok(())
    }

    #[test]
    fn what_the_guest_has_moved_is_refused() -> Result<(), Error> {
        let path = letters("what_the_guest_has_moved");
        let guest = guest(reopening(&path))?;
        let saved = save(&guest)?;
        let number = open(&guest, "letters")?;
        call(&guest, "move", (3, number))?;
        let refused = save(&guest).unwrap_err().to_string();
        assert!(
            refused.starts_with("descriptor 4 cannot be saved: the guest has moved"),
            "{refused}"
        );
        restore(&guest, &saved)?;
        assert_eq!(open(&guest, "letters")?, 4, "it is there again");
        Ok(())
    }

    #[test]
    fn a_path_that_grows_without_end_is_refused_and_costs_little() -> Result<(), Error> {
        let path = letters("a_path_that_grows");
        let guest = guest(reopening(&path))?;
        let open =
            |from| open_as(&guest, Open { from, path: ".", how: DIRECTORY, rights: 0, flags: 0 });
        let mut last = open(3)?.unwrap();
        for _ in 0..2_100 {
            let next = open(last)?.unwrap();
            call(&guest, "close", (last,))?;
            last = next;
        }
        let refused = save(&guest).unwrap_err().to_string();
        assert!(refused.contains("the path of its file is too long"), "{refused}");
        call(&guest, "close", (last,))?;
        save(&guest)?;
        Ok(())
    }
}

mod bytes {
    use super::*;
    use chacha20::ChaCha12Rng;
    use chacha20::rand_core::{Rng as _, SeedableRng as _};
    use std::fs;
    use wasm_jobs::wasi::FsPerms;

    /// A context with something in each part of its state.
    fn full(name: &str) -> Result<Instance<WasiCtx>, Error> {
        let path = super::super::files::directory(name);
        fs::write(path.join("letters"), "abcdefgh").unwrap();
        let ctx = args(["guest", "one"])
            .env("NAME", "value")
            .preopened_dir(&path, "/dir", FsPerms::ReadWrite)
            .reopen_files(|_| true)
            .seed(7)
            .clock(ManualClock::starting_at(SystemTime::UNIX_EPOCH - SECOND))
            .stdout(Lines::new(|_| {}))
            .stderr(Lines::new(|_| {}));
        super::files::guest(ctx)
    }

    fn saved(guest: &Instance<WasiCtx>) -> Result<Vec<u8>, Error> {
        let [first, _] = [files::open(guest, "letters")?, files::open(guest, "letters")?];
        files::write(guest, 1, "begun")?;
        files::write(guest, 2, "too")?;
        call(guest, "close", (first,))?;
        call(guest, "close", (0,))?;
        Ok(save(guest)?.to_bytes())
    }

    fn is_refused(bytes: &[u8]) -> bool {
        matches!(WasiSaved::from_bytes(bytes), Err(Error::InvalidCheckpoint { .. }))
    }

    #[test]
    fn bytes_that_are_cut_short_or_too_long_are_refused() -> Result<(), Error> {
        let bytes = saved(&full("bytes_that_are_cut_short")?)?;
        for length in 0..bytes.len() {
            assert!(is_refused(&bytes[..length]), "{length}");
            assert!(is_refused(&bytes[length + 1..]), "from {length}");
            let forged = with_checksum(bytes[..length].to_vec());
            assert!(forged == bytes || is_refused(&forged), "{length}, forged");
        }
        assert!(is_refused(&[&bytes[..], &[0]].concat()));
        let mut longer = bytes[..bytes.len() - 8].to_vec();
        longer.push(0);
        assert!(is_refused(&with_checksum(longer)));
        Ok(())
    }

    #[test]
    fn damaged_bytes_are_refused() -> Result<(), Error> {
        let bytes = saved(&full("damaged_bytes_are_refused")?)?;
        let mut numbers = ChaCha12Rng::seed_from_u64(16);
        for _ in 0..10_000 {
            let damaged = mutated(&bytes, &mut numbers);
            assert!(damaged == bytes || is_refused(&damaged), "{damaged:?}");
        }
        Ok(())
    }

    /// The checksum is right. What is not refused is restored, or refused then; and what was restored can be saved.
    #[test]
    fn forged_bytes_are_refused_or_restored() -> Result<(), Error> {
        let guest = full("forged_bytes")?;
        let bytes = saved(&guest)?;
        let (mut refused, mut misfits, mut restored) = (0, 0, 0);
        let mut numbers = ChaCha12Rng::seed_from_u64(17);
        for _ in 0..10_000 {
            let forged = with_checksum(mutated(&bytes[..bytes.len() - 8], &mut numbers));
            match WasiSaved::from_bytes(&forged) {
                Err(Error::InvalidCheckpoint { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
                Ok(saved) => {
                    assert_eq!(saved.to_bytes(), forged);
                    match restore(&guest, &saved) {
                        Err(Error::CannotRestore { .. }) => misfits += 1,
                        Err(other) => panic!("{other}"),
                        Ok(()) => restored += 1,
                    }
                    super::save(&guest)?;
                }
            }
        }
        assert!(
            refused > 1_000 && misfits > 100 && restored > 1_000,
            "{refused} {misfits} {restored}"
        );
        Ok(())
    }

    #[test]
    fn a_length_that_is_not_true_costs_no_memory() -> Result<(), Error> {
        let bytes = saved(&full("a_length_that_is_not_true")?)?;
        for at in 5..bytes.len() - 16 {
            let mut forged = bytes[..bytes.len() - 8].to_vec();
            forged[at..at + 8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
            // Either it was no length, or it is refused; a list of so many items would abort the process.
            let _ = WasiSaved::from_bytes(&with_checksum(forged));
        }
        Ok(())
    }

    #[test]
    fn bytes_of_another_version_or_of_something_else_say_so() -> Result<(), Error> {
        let bytes = super::save(&functions(WasiCtxBuilder::new())?)?.to_bytes();
        for (at, reason) in [(0, "not those of a WASI context"), (4, "another version")] {
            let mut other = bytes.clone();
            other[at] ^= 0x80;
            let refused = WasiSaved::from_bytes(&other).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
        Ok(())
    }

    /// Changes, adds or removes a few bytes.
    fn mutated(bytes: &[u8], numbers: &mut ChaCha12Rng) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=numbers.next_u32() % 3 {
            let at = numbers.next_u32() as usize % bytes.len();
            match numbers.next_u32() % 6 {
                0 => bytes[at] = 0,
                1 => bytes[at] = 0xff,
                2 => bytes.insert(at, numbers.next_u32() as u8),
                3 => drop(bytes.remove(at)),
                _ => bytes[at] ^= 1 << (numbers.next_u32() % 8),
            }
        }
        bytes
    }

    /// Adds the checksum, FNV-1a.
    fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
        let add = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325, add);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_has_the_same_bytes_and_checks_them() -> Result<(), Error> {
        use serde::Deserialize as _;
        use serde::de::value::{BytesDeserializer, Error as Refusal, SeqDeserializer};

        let saved = super::save(&functions(WasiCtxBuilder::new().seed(7))?)?;
        let bytes = saved.to_bytes();
        let written = postcard::to_allocvec(&saved).unwrap();
        assert!(written.ends_with(&bytes));
        let read: WasiSaved = postcard::from_bytes(&written).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        let read = WasiSaved::deserialize(BytesDeserializer::<Refusal>::new(&bytes)).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        let numbers =
            |from: usize| SeqDeserializer::<_, Refusal>::new(bytes[from..].iter().copied());
        assert_eq!(WasiSaved::deserialize(numbers(0)).unwrap().to_bytes(), bytes);
        assert!(WasiSaved::deserialize(numbers(1)).is_err());
        Ok(())
    }
}
