//! The time that a guest sees, and `sched_yield`.

use super::{OVERFLOW, Program, SUCCESS, args, functions, program};
use std::time::{Duration, SystemTime};
use wasm_jobs::wasi::{WasiCtx, WasiCtxBuilder};
use wasm_jobs::{Clock, Error, Instance, ManualClock, RealtimeClock, Sleep, Step};

fn u64_at(guest: &Instance<WasiCtx>, at: usize) -> Result<u64, Error> {
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    Ok(u64::from_le_bytes(memory.data(&store)[at..][..8].try_into().unwrap()))
}

fn time(guest: &Instance<WasiCtx>, clock: u32) -> Result<Duration, Error> {
    let errno = guest.call::<_, i32>("clock_time_get", (clock as i32, 0_i64, 64))?.wait()?;
    assert_eq!(errno, SUCCESS);
    Ok(Duration::from_nanos(u64_at(guest, 64)?))
}

fn resolution(guest: &Instance<WasiCtx>, clock: u32) -> Result<Duration, Error> {
    let errno = guest.call::<_, i32>("clock_res_get", (clock as i32, 64))?.wait()?;
    assert_eq!(errno, SUCCESS);
    Ok(Duration::from_nanos(u64_at(guest, 64)?))
}

#[test]
fn a_guest_sees_its_own_clock() -> Result<(), Error> {
    let since_1970 = Duration::new(1_700_000_000, 5);
    let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + since_1970);
    let guest = functions(WasiCtxBuilder::new().clock(clock.clone()))?;
    for tick in [Duration::ZERO, Duration::new(3, 7), Duration::from_nanos(1)] {
        clock.tick(tick);
        assert_eq!(time(&guest, super::MONOTONIC)?, super::MONOTONIC_START + clock.now());
        assert_eq!(time(&guest, super::REALTIME)?, since_1970 + clock.now());
    }
    assert_eq!(clock.now(), Duration::new(3, 8));
    for id in [super::MONOTONIC, super::REALTIME] {
        assert_eq!(resolution(&guest, id)?, Duration::from_nanos(1));
    }
    Ok(())
}

#[test]
fn a_guest_sees_real_time_by_default() -> Result<(), Error> {
    let guest = functions(WasiCtxBuilder::new())?;
    let (before, day_before) = (RealtimeClock.now(), SystemTime::now());
    let monotonic = time(&guest, super::MONOTONIC)?;
    let of_day = SystemTime::UNIX_EPOCH + time(&guest, super::REALTIME)?;
    let monotonic = monotonic - super::MONOTONIC_START;
    assert!(before <= monotonic && monotonic <= RealtimeClock.now());
    assert!(day_before <= of_day && of_day <= SystemTime::now());
    Ok(())
}

#[test]
fn a_guest_has_a_clock_that_the_host_made() -> Result<(), Error> {
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Duration {
            Duration::from_secs(2)
        }

        fn wall_time(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH - Duration::from_secs(1)
        }

        fn sleep_until(&self, _: Duration) -> Sleep {
            Box::pin(std::future::pending())
        }

        fn resolution(&self) -> Duration {
            Duration::from_millis(20)
        }
    }

    let guest = functions(WasiCtxBuilder::new().clock(Stopped))?;
    let monotonic = super::MONOTONIC_START + Duration::from_secs(2);
    assert_eq!(time(&guest, super::MONOTONIC)?, monotonic);
    assert_eq!(time(&guest, super::REALTIME)?, Duration::ZERO, "WASI has no time before 1970");
    assert_eq!(resolution(&guest, super::MONOTONIC)?, Duration::from_millis(20));
    Ok(())
}

#[test]
fn a_guest_does_not_read_zero_from_a_monotonic_clock_that_is_new() -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = functions(WasiCtxBuilder::new().clock(clock.clone()))?;
    assert_eq!(time(&guest, super::MONOTONIC)?, Duration::from_secs(1));
    assert_eq!(clock.now(), Duration::ZERO, "the host's side of the clock begins at zero");
    Ok(())
}

#[test]
fn a_program_that_refuses_zero_runs_on_a_new_clock_and_wakes_at_each_tick() -> Result<(), Error> {
    let clock = ManualClock::new();
    let ctx = args(["metronome"]).clock(clock.clone());
    let mut metronome = Program::start(&program("metronome")?, ctx)?;
    let beat = Duration::from_millis(10);
    for n in 1..=4 {
        assert_eq!(metronome.main.resume()?, Step::Waiting);
        assert_eq!(clock.next_deadline(), Some(n * beat));
        clock.tick(beat - Duration::from_nanos(1));
        assert_eq!(metronome.main.resume()?, Step::Waiting, "the deadline is a nanosecond away");
        clock.tick(Duration::from_nanos(1));
    }
    metronome.main.wait()?;
    let beats = (1..=4).map(|n| format!("beat {n} after {}0000000 ns\n", n));
    assert_eq!(metronome.printed(), beats.collect::<String>());
    Ok(())
}

#[test]
fn a_time_that_does_not_fit_into_64_bits_of_nanoseconds_is_an_error() -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = functions(WasiCtxBuilder::new().clock(clock.clone()))?;
    clock.tick(Duration::MAX);
    for id in [super::MONOTONIC, super::REALTIME] {
        let errno = guest.call::<_, i32>("clock_time_get", (id as i32, 0_i64, 64))?.wait()?;
        assert_eq!(errno, OVERFLOW, "clock {id}");
    }
    Ok(())
}

#[test]
fn a_guest_yields_as_often_as_it_says() -> Result<(), Error> {
    let guest = functions(WasiCtxBuilder::new())?;
    for _ in 0..3 {
        let mut future = guest.call::<(), i32>("sched_yield", ())?;
        assert_eq!(future.resume()?, Step::Yielded);
        assert_eq!(future.resume()?, Step::Done);
        assert_eq!(future.try_get_result()?, Some(SUCCESS));
    }
    Ok(())
}
