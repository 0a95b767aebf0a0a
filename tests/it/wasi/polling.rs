//! `poll_oneoff`: sleeping, and waiting for descriptors.

use super::{BADF, INVAL, MONOTONIC, MONOTONIC_START, REALTIME, SUCCESS, functions};
use crate::input::Input;
use crate::support::{Counter, Queue, poll_once};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, SystemTime};
use wasm_jobs::wasi::{FsPerms, MemoryInputPipe, WasiCtx, WasiCtxBuilder};
use wasm_jobs::{Clock, Error, Future, Instance, JobPool, ManualClock, Sleep, Step};

/// A subscription as its bytes in memory.
pub(super) type Subscription = [u8; 48];

const SUBSCRIPTIONS: usize = 2048;
const EVENTS: usize = 8192;
const OCCURRED: usize = 1000;

#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    After(Duration),
    At(Duration),
}

pub(super) fn clock(userdata: u64, id: u32, when: When) -> Subscription {
    let (time, flags) = match when {
        When::After(time) => (time, 0_u16),
        When::At(time) => (time, 1),
    };
    let mut bytes = [0; 48];
    bytes[0..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&u64::try_from(time.as_nanos()).unwrap().to_le_bytes());
    bytes[40..42].copy_from_slice(&flags.to_le_bytes());
    bytes
}

pub(super) fn read(userdata: u64, descriptor: u32) -> Subscription {
    let mut bytes = [0; 48];
    bytes[0..8].copy_from_slice(&userdata.to_le_bytes());
    bytes[8] = 1;
    bytes[16..20].copy_from_slice(&descriptor.to_le_bytes());
    bytes
}

pub(super) fn write(userdata: u64, descriptor: u32) -> Subscription {
    let mut bytes = read(userdata, descriptor);
    bytes[8] = 2;
    bytes
}

pub(super) fn poll(
    guest: &Instance<WasiCtx>,
    subscriptions: &[Subscription],
) -> Result<Future<i32>, Error> {
    {
        let mut store = guest.store()?;
        let memory = store.memory("memory")?;
        memory.write(&mut store, SUBSCRIPTIONS, &subscriptions.concat()).unwrap();
        memory.write(&mut store, EVENTS, &[0xee; 1024]).unwrap();
    }
    let count = i32::try_from(subscriptions.len()).unwrap();
    let at = (SUBSCRIPTIONS as i32, EVENTS as i32, count, OCCURRED as i32);
    guest.call("poll_oneoff", at)
}

/// The fields of an event that the tests check.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) userdata: u64,
    pub(super) error: u16,
    pub(super) kind: u8,
}

const fn event(userdata: u64, kind: u8) -> Event {
    Event { userdata, error: 0, kind }
}

const CLOCK: u8 = 0;
const READ: u8 = 1;
const WRITE: u8 = 2;

/// The events that the last poll returned to the guest.
pub(super) fn events(guest: &Instance<WasiCtx>) -> Result<Vec<Event>, Error> {
    let mut store = guest.store()?;
    let memory = store.memory("memory")?;
    let bytes = memory.data(&store);
    let count = u32::from_le_bytes(bytes[OCCURRED..][..4].try_into().unwrap()) as usize;
    let events = bytes[EVENTS..].chunks(32).take(count);
    Ok(events
        .map(|bytes| Event {
            userdata: u64::from_le_bytes(bytes[0..8].try_into().unwrap()),
            error: u16::from_le_bytes(bytes[8..10].try_into().unwrap()),
            kind: bytes[10],
        })
        .collect())
}

const MS: Duration = Duration::from_millis(1);

fn with_clock(clock: &ManualClock) -> WasiCtxBuilder {
    WasiCtxBuilder::new().clock(clock.clone())
}

#[test]
fn a_sleeping_guest_wakes_by_tick_alone() -> Result<(), Error> {
    let time = ManualClock::new();
    time.tick(5 * MS);
    let guest = functions(with_clock(&time))?;
    for when in [When::After(10 * MS), When::At(MONOTONIC_START + time.now() + 20 * MS)] {
        let before = time.now();
        let mut sleep = poll(&guest, &[clock(3, MONOTONIC, when)])?;
        for _ in 0..3 {
            assert_eq!(sleep.resume()?, Step::Waiting);
        }
        assert_eq!((time.sleepers(), time.next_deadline()), (1, Some(before + 10 * MS)));
        time.tick(10 * MS - Duration::from_nanos(1));
        assert_eq!(sleep.resume()?, Step::Waiting);
        time.tick(Duration::from_nanos(1));
        assert_eq!(sleep.resume()?, Step::Done);
        assert_eq!(sleep.try_get_result()?, Some(SUCCESS));
        assert_eq!(events(&guest)?, [event(3, CLOCK)]);
        assert_eq!(time.sleepers(), 0);
    }
    Ok(())
}

#[test]
fn a_guest_sleeps_until_a_time_of_day() -> Result<(), Error> {
    let start = Duration::from_secs(1_000_000_000);
    let time = ManualClock::starting_at(SystemTime::UNIX_EPOCH + start);
    let guest = functions(with_clock(&time))?;
    for (when, wait) in [(When::At(start + 60 * MS), 60 * MS), (When::After(7 * MS), 7 * MS)] {
        let mut sleep = poll(&guest, &[clock(1, REALTIME, when)])?;
        assert_eq!(sleep.resume()?, Step::Waiting);
        time.tick(wait - MS);
        assert_eq!(sleep.resume()?, Step::Waiting);
        time.tick(MS);
        assert_eq!(sleep.resume()?, Step::Done);
        assert_eq!(sleep.try_get_result()?, Some(SUCCESS));
    }
    Ok(())
}

#[test]
fn a_time_that_has_come_makes_the_guest_yield_once() -> Result<(), Error> {
    let time = ManualClock::starting_at(SystemTime::UNIX_EPOCH + 100 * MS);
    time.tick(50 * MS);
    let guest = functions(with_clock(&time))?;
    let past = [
        (MONOTONIC, When::After(Duration::ZERO)),
        (REALTIME, When::After(Duration::ZERO)),
        (MONOTONIC, When::At(Duration::ZERO)),
        (MONOTONIC, When::At(MONOTONIC_START)),
        (MONOTONIC, When::At(MONOTONIC_START + 50 * MS)),
        (REALTIME, When::At(Duration::ZERO)),
        (REALTIME, When::At(150 * MS)),
    ];
    for (id, when) in past {
        let mut sleep = poll(&guest, &[clock(9, id, when)])?;
        assert_eq!(sleep.resume()?, Step::Yielded);
        assert_eq!(sleep.resume()?, Step::Done);
        assert_eq!(sleep.try_get_result()?, Some(SUCCESS));
        assert_eq!(events(&guest)?, [event(9, CLOCK)]);
    }
    Ok(())
}

#[test]
fn a_guest_is_told_of_all_the_times_that_have_come() -> Result<(), Error> {
    let time = ManualClock::new();
    let guest = functions(with_clock(&time))?;
    let subscriptions = [
        clock(1, MONOTONIC, When::After(30 * MS)),
        clock(2, REALTIME, When::At(10 * MS)),
        clock(3, MONOTONIC, When::At(MONOTONIC_START + 11 * MS)),
        clock(4, REALTIME, When::After(20 * MS)),
    ];
    let mut sleep = poll(&guest, &subscriptions)?;
    assert_eq!(sleep.resume()?, Step::Waiting);
    time.tick(10 * MS);
    assert_eq!(sleep.resume()?, Step::Done);
    assert_eq!(events(&guest)?, [event(2, CLOCK)]);

    let mut sleep = poll(&guest, &subscriptions[..1])?;
    assert_eq!(sleep.resume()?, Step::Waiting);
    drop(sleep);
    guest.clear_poison()?;
    assert_eq!(time.sleepers(), 0, "a call that was dropped sleeps no more");

    let mut sleep = poll(&guest, &subscriptions)?;
    assert_eq!(sleep.resume()?, Step::Yielded, "the second has come");
    time.tick(5 * MS);
    assert_eq!(sleep.resume()?, Step::Done);
    assert_eq!(events(&guest)?, [event(2, CLOCK), event(3, CLOCK)]);
    Ok(())
}

#[test]
fn when_the_clock_is_at_its_end_every_time_has_come() -> Result<(), Error> {
    let time = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    let latest = Duration::from_nanos(u64::MAX);
    let times = [
        (MONOTONIC, When::At(latest)),
        (MONOTONIC, When::After(latest)),
        (REALTIME, When::At(latest)),
        (REALTIME, When::At(Duration::from_secs(60))),
        (REALTIME, When::After(latest)),
    ];
    let mut sleeps = Vec::new();
    for (id, when) in times {
        let guest = functions(with_clock(&time))?;
        let mut sleep = poll(&guest, &[clock(7, id, when)])?;
        assert_eq!(sleep.resume()?, Step::Waiting);
        sleeps.push((guest, sleep));
    }
    time.tick(Duration::MAX);
    for ((guest, mut sleep), (id, when)) in sleeps.into_iter().zip(times) {
        assert_eq!(sleep.resume()?, Step::Done, "clock {id}, {when:?}");
        assert_eq!(sleep.try_get_result()?, Some(SUCCESS));
        assert_eq!(events(&guest)?, [event(7, CLOCK)]);

        let mut sleep = poll(&guest, &[clock(8, id, when)])?;
        assert_eq!(sleep.resume()?, Step::Yielded);
        assert_eq!(sleep.resume()?, Step::Done, "clock {id}, {when:?}");
        assert_eq!(events(&guest)?, [event(8, CLOCK)]);
    }
    assert_eq!(time.sleepers(), 0);
    Ok(())
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines_and_then_of_their_arrival() -> Result<(), Error> {
    let time = ManualClock::new();
    let pool = Queue::default();
    let mut sleeps = Vec::new();
    for ms in [30, 10, 20, 10, 40, 20, 10] {
        let guest = functions(with_clock(&time))?;
        let mut sleep = poll(&guest, &[clock(0, MONOTONIC, When::After(ms * MS))])?;
        drop(pool.submit(sleep.to_job()?));
        sleeps.push(sleep);
    }
    pool.run();
    time.tick(9 * MS);
    assert_eq!(pool.len(), 0, "no deadline has come");
    time.tick(21 * MS);
    let mut order = Vec::new();
    while let Some(job) = pool.pop() {
        job.run();
        let is_new =
            |(number, sleep): &(usize, &Future<i32>)| sleep.has_result() && !order.contains(number);
        let new: Vec<_> = sleeps.iter().enumerate().filter(is_new).map(|(n, _)| n).collect();
        order.extend(new);
    }
    assert_eq!(order, [1, 3, 6, 2, 5, 0]);
    assert!(!sleeps[4].has_result());
    Ok(())
}

#[test]
fn a_guest_waits_for_input_and_goes_on_when_there_is_some() -> Result<(), Error> {
    let time = ManualClock::new();
    let input = Input::default();
    let guest = functions(with_clock(&time).stdin(input.clone()))?;
    let subscriptions = [read(1, 0), clock(2, MONOTONIC, When::After(10 * MS))];

    let mut wait = poll(&guest, &subscriptions)?;
    assert_eq!(wait.resume()?, Step::Waiting);
    time.tick(10 * MS);
    assert_eq!(wait.resume()?, Step::Done);
    assert_eq!(events(&guest)?, [event(2, CLOCK)], "there is no input, and the time has come");

    for subscriptions in [&subscriptions[..], &subscriptions[..1]] {
        input.has_come.reset();
        let mut wait = poll(&guest, subscriptions)?;
        assert_eq!(wait.resume()?, Step::Waiting);
        input.has_come.set();
        assert_eq!(wait.resume()?, Step::Done);
        assert_eq!(wait.try_get_result()?, Some(SUCCESS));
        assert_eq!(events(&guest)?, [event(1, READ)]);
    }
    Ok(())
}

#[test]
fn what_is_ready_is_told_at_once() -> Result<(), Error> {
    let time = ManualClock::new();
    let stdin = MemoryInputPipe::new("input");
    let guest = functions(with_clock(&time).stdin(stdin))?;
    let subscriptions = [
        write(1, 1),
        clock(2, MONOTONIC, When::After(10 * MS)),
        read(3, 0),
        clock(4, MONOTONIC, When::After(Duration::ZERO)),
        write(5, 2),
    ];
    let mut wait = poll(&guest, &subscriptions)?;
    assert_eq!(wait.resume()?, Step::Done);
    assert_eq!(wait.try_get_result()?, Some(SUCCESS));
    let expected = [event(1, WRITE), event(3, READ), event(4, CLOCK), event(5, WRITE)];
    assert_eq!(events(&guest)?, expected);
    Ok(())
}

#[test]
fn a_file_is_ready_whatever_the_time() -> Result<(), Error> {
    let time = ManualClock::new();
    let guest = functions(with_clock(&time).preopened_dir("guests", "/", FsPerms::ReadOnly))?;
    let file = super::files::open(&guest, "build.sh")?;
    for when in [When::After(Duration::ZERO), When::After(MS), When::At(Duration::ZERO)] {
        let mut wait = poll(&guest, &[clock(1, MONOTONIC, when), read(2, file)])?;
        assert_eq!(wait.wait()?, SUCCESS);
        assert!(events(&guest)?.contains(&event(2, READ)));
    }
    let mut wait = poll(&guest, &[read(2, file)])?;
    assert_eq!(wait.wait()?, SUCCESS);
    assert_eq!(events(&guest)?, [event(2, READ)]);
    Ok(())
}

#[test]
fn a_descriptor_that_is_not_there_is_an_error_at_once() -> Result<(), Error> {
    let time = ManualClock::new();
    let guest = functions(with_clock(&time))?;
    for bad in [read(1, 77), write(1, 77), read(1, u32::MAX), read(1, 1), write(1, 0)] {
        for others in [&[][..], &[clock(2, MONOTONIC, When::After(MS))], &[write(2, 1)]] {
            let mut wait = poll(&guest, &[&[bad], others].concat())?;
            assert_eq!(wait.resume()?, Step::Done);
            assert_eq!(wait.try_get_result()?, Some(BADF));
        }
    }
    Ok(())
}

#[test]
fn a_clock_that_there_is_not_is_an_error_at_once() -> Result<(), Error> {
    let guest = functions(WasiCtxBuilder::new())?;
    for id in [2, 3, 4, u32::MAX] {
        let mut wait = poll(&guest, &[write(1, 1), clock(2, id, When::After(MS))])?;
        assert_eq!(wait.resume()?, Step::Done);
        assert_eq!(wait.try_get_result()?, Some(INVAL), "clock {id}");
    }
    Ok(())
}

#[test]
fn a_clock_moves_while_it_is_read() -> Result<(), Error> {
    /// A clock that moves by ten milliseconds at each reading of the time of day.
    #[derive(Default)]
    struct Slow(AtomicU32);

    impl Clock for Slow {
        fn now(&self) -> Duration {
            self.0.load(SeqCst) * MS
        }

        fn wall_time(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.0.fetch_add(10, SeqCst) * MS
        }

        fn sleep_until(&self, deadline: Duration) -> Sleep {
            self.0.fetch_max(u32::try_from(deadline.as_millis()).unwrap(), SeqCst);
            Box::pin(ready(()))
        }
    }

    for ms in 1..100 {
        let time = Arc::new(Slow::default());
        let guest = functions(WasiCtxBuilder::new().clock(time.clone()))?;
        poll(&guest, &[clock(1, REALTIME, When::At(ms * MS))])?.wait()?;
        assert_eq!(events(&guest)?, [event(1, CLOCK)]);
        assert!(time.now() >= ms * MS);
    }
    Ok(())
}

#[test]
fn a_clock_that_wakes_too_early_leaves_the_worker_to_others() -> Result<(), Error> {
    struct Early;

    impl Clock for Early {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn wall_time(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn sleep_until(&self, _: Duration) -> Sleep {
            Box::pin(ready(()))
        }
    }

    let guest = functions(WasiCtxBuilder::new().clock(Early))?;
    let mut sleep = poll(&guest, &[clock(1, MONOTONIC, When::After(MS))])?;
    for _ in 0..10 {
        assert_eq!(sleep.resume()?, Step::Yielded);
    }
    Ok(())
}

#[test]
fn a_wake_for_nothing_wakes_no_sleeper() -> Result<(), Error> {
    let time = ManualClock::new();
    let guest = functions(with_clock(&time))?;
    let mut sleep = poll(&guest, &[clock(0, MONOTONIC, When::After(MS))])?;
    let wakes = Arc::new(Counter::default());
    for _ in 0..3 {
        assert!(poll_once(&mut sleep, &wakes).is_pending());
    }
    assert_eq!(time.sleepers(), 1, "a call sleeps once, however often it is polled");
    time.tick(MS);
    assert_eq!(wakes.get(), 1);
    assert!(poll_once(&mut sleep, &wakes).is_ready());
    Ok(())
}
