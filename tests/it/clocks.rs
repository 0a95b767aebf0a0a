//! Waiting for a time.

use crate::support::{Counter, Queue, Way, at_once, ok, order_of_ends, poll_once, run_beside};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use wasm_jobs::{Clock, Error, Future, JobHandle, JobPool, ManualClock, RealtimeClock, Step};

const MS: Duration = Duration::from_millis(1);

fn sleeps(clock: &impl Clock, time: Duration) -> Future<()> {
    let sleep = clock.sleep(time);
    Future::new(ok(sleep))
}

#[test]
fn a_manual_clock_moves_by_its_ticks_alone() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let clock = ManualClock::starting_at(start);
    assert_eq!((clock.now(), clock.wall_time()), (Duration::ZERO, start));
    clock.clone().tick(3 * MS);
    clock.tick(Duration::ZERO);
    clock.tick(Duration::from_nanos(1));
    let now = Duration::from_nanos(3_000_001);
    assert_eq!((clock.now(), clock.wall_time()), (now, start + now));
    assert_eq!(ManualClock::new().wall_time(), SystemTime::UNIX_EPOCH);
}

#[test]
fn the_time_of_day_stops_at_the_latest_that_there_is() {
    let hour = Duration::from_secs(3600);
    let starts = [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - hour, SystemTime::now()];
    let ends = starts.map(|start| {
        let clock = ManualClock::starting_at(start);
        clock.tick(Duration::MAX);
        clock.tick(hour);
        clock.wall_time()
    });
    for end in ends {
        // The unit of time on Windows is 100 ns.
        assert_eq!(end.checked_add(Duration::from_nanos(100)), None, "{end:?} is not the latest");
    }
    assert_eq!(ends, [ends[0]; 3]);
}

#[test]
fn a_tick_wakes_those_whose_time_has_come_in_their_order() -> Result<(), Error> {
    let clock = ManualClock::new();
    let pool = Queue::default();
    let mut futures: Vec<_> =
        [5, 3, 9, 3, 1, 5, 10].iter().map(|ms| sleeps(&clock, *ms * MS)).collect();
    assert_eq!(clock.sleepers(), 0, "a sleep begins when it is first polled");
    for future in futures.iter_mut().rev() {
        drop(pool.submit(future.to_job()?));
    }
    pool.run();
    assert_eq!((clock.sleepers(), clock.next_deadline()), (7, Some(MS)));
    let mut wakes = |clock: &ManualClock, tick| -> Result<Vec<usize>, Error> {
        clock.tick(tick);
        order_of_ends(&pool, &mut futures)
    };
    assert_eq!(wakes(&clock, MS - Duration::from_nanos(1))?, [0; 0]);
    assert_eq!(wakes(&clock, Duration::from_nanos(1))?, [4]);
    // The jobs were submitted in reverse. Sleepers with the same deadline wake in the order in which they began to sleep.
    assert_eq!(wakes(&clock, 8 * MS)?, [3, 1, 5, 0, 2]);
    assert_eq!((clock.sleepers(), clock.next_deadline()), (1, Some(10 * MS)));
    assert_eq!(wakes(&clock, Duration::MAX)?, [6]);
    assert_eq!(clock.now(), Duration::MAX, "a clock does not overflow");
    Ok(())
}

#[test]
fn a_time_that_has_come_is_not_waited_for() -> Result<(), Error> {
    let clock = ManualClock::new();
    clock.tick(MS);
    for deadline in [Duration::ZERO, MS] {
        let sleep = clock.sleep_until(deadline);
        assert_eq!(Future::new(ok(sleep)).resume()?, Step::Done);
    }
    for deadline in [Duration::ZERO, RealtimeClock.now()] {
        let sleep = RealtimeClock.sleep_until(deadline);
        assert_eq!(Future::new(ok(sleep)).resume()?, Step::Done);
    }
    Ok(())
}

#[test]
fn a_sleeper_that_its_wake_runs_sleeps_again() -> Result<(), Error> {
    let clock = ManualClock::new();
    let naps = Arc::new(AtomicUsize::new(0));
    let mut future = Future::new({
        let (clock, naps) = (clock.clone(), naps.clone());
        async move {
            for _ in 0..3 {
                clock.sleep(MS).await;
                naps.fetch_add(1, Relaxed);
            }
            Ok(())
        }
    });
    // This pool runs the job inside `tick`.
    let job = at_once.submit(future.to_job()?);
    for nap in 1..=3 {
        clock.tick(5 * MS);
        assert_eq!(naps.load(Relaxed), nap, "the call sleeps until the next tick");
    }
    assert!(job.is_complete());
    Ok(())
}

#[test]
fn a_sleep_that_is_dropped_is_forgotten() {
    let clock = ManualClock::new();
    let wakes = Arc::new(Counter::default());
    for _ in 0..100 {
        assert!(poll_once(&mut clock.sleep(MS), &wakes).is_pending());
        assert!(poll_once(&mut RealtimeClock.sleep(3_600_000 * MS), &wakes).is_pending());
    }
    assert_eq!((clock.sleepers(), clock.next_deadline()), (0, None));
    clock.tick(MS);
    assert_eq!((wakes.get(), Arc::strong_count(&wakes)), (0, 1));
}

#[test]
fn a_sleeper_has_the_waker_that_it_was_polled_with_last() {
    let clock = ManualClock::new();
    let (first, last) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let mut sleep = clock.sleep(MS);
    assert!(poll_once(&mut sleep, &first).is_pending());
    assert!(poll_once(&mut sleep, &last).is_pending());
    clock.tick(MS);
    assert_eq!((first.get(), last.get()), (0, 1));
    assert!(poll_once(&mut sleep, &last).is_ready());
}

#[test]
fn real_time_is_slept_for_in_every_way() -> Result<(), Error> {
    for &way in Way::ALL {
        let start = RealtimeClock.now();
        way.finish(&mut sleeps(&RealtimeClock, 3 * MS))?;
        assert!(RealtimeClock.now() - start >= 3 * MS, "{way:?}");
    }
    Ok(())
}

#[test]
fn whoever_sleeps_less_wakes_first() -> Result<(), Error> {
    let pool = crate::support::workers(1);
    let (long, short) = (Duration::from_secs(3600), 2 * MS);
    let mut sleeper = sleeps(&RealtimeClock, long);
    let long_job = pool.submit(sleeper.to_job()?);
    for _ in 0..5 {
        pool.submit(sleeps(&RealtimeClock, short).to_job()?).wait();
        let mut nap = sleeps(&RealtimeClock, short);
        pool.submit(nap.to_job()?).wait();
        assert_eq!(nap.try_get_result()?, Some(()));
    }
    assert!(!long_job.is_complete());
    drop(sleeper);
    long_job.wait();
    Ok(())
}

#[test]
fn a_clock_ticks_while_calls_fall_asleep() -> Result<(), Error> {
    for _ in 0..100 {
        let clock = ManualClock::new();
        let mut futures: Vec<_> = (1..=4).map(|ms| sleeps(&clock, ms * MS)).collect();
        run_beside(&mut futures, || (0..4).for_each(|_| clock.tick(MS)))?;
    }
    Ok(())
}

#[test]
fn a_thousand_sleepers_wake_each_at_its_time() -> Result<(), Error> {
    let pool = crate::support::workers(2);
    let mut futures: Vec<_> = (0..1000_u32)
        .map(|n| {
            Future::new(async move {
                let deadline = RealtimeClock.now() + n % 17 * MS;
                RealtimeClock.sleep_until(deadline).await;
                Ok(RealtimeClock.now() >= deadline)
            })
        })
        .collect();
    let jobs: Result<Vec<_>, Error> =
        futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?))).collect();
    JobHandle::all(jobs?).wait();
    for future in &mut futures {
        assert_eq!(future.try_get_result()?, Some(true));
    }
    Ok(())
}
