//! A limit on the time from a call's first step on, which does not count the queue.

use super::{ENGINE, Host, compile, link, linker};
use crate::support::{Queue, Way, retry_timeouts};
use std::thread;
use std::time::Duration;
use wasm_jobs::{Clock, Error, Instance, InstanceOptions, JobPool, RealtimeClock, Step, Timeout};

const MS: Duration = Duration::from_millis(1);

const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (func (export "forever") (loop $again (br $again)))
    (func (export "yields") (loop $again (call $yield) (br $again)))
    (func (export "waits") (call $wait))
    (func (export "nothing")))"#;

fn limited(options: InstanceOptions) -> Result<Instance<Host>, Error> {
    let pre = link(&linker(&ENGINE)?, &compile(&ENGINE, GUEST)?)?;
    retry_timeouts(|| Instance::with_options(&pre, options.clone(), Host::default))
}

fn begun(timeout: Duration) -> InstanceOptions {
    InstanceOptions::default().begun_timeout(timeout)
}

/// Lets time pass on the clock that timeouts go by.
fn pass(time: Duration) {
    let end = RealtimeClock.now() + time;
    while RealtimeClock.now() < end {
        thread::sleep(time);
    }
}

#[test]
fn a_call_that_has_not_ended_in_time_after_its_first_step_has_timed_out() -> Result<(), Error> {
    for export in ["forever", "yields", "waits"] {
        for &way in Way::ALL {
            let guest = limited(begun(5 * MS))?;
            let began = RealtimeClock.now();
            let end = way.finish(&mut guest.call::<(), ()>(export, ())?);
            assert!(RealtimeClock.now() - began >= 5 * MS);
            let Err(Error::TimedOut(why)) = end else { panic!("{export}, {way:?}: {end:?}") };
            assert_eq!((why.limit, why.after, why.begun), (Timeout::Begun, 5 * MS, true));
            assert!(guest.is_poisoned());
        }
    }
    Ok(())
}

#[test]
fn the_time_in_a_queue_before_the_first_step_does_not_count() -> Result<(), Error> {
    let elapsed = InstanceOptions::default().elapsed_timeout(300 * MS);
    for (options, is_over) in [(begun(300 * MS), false), (elapsed, true)] {
        let (guest, queue) = (limited(options)?, Queue::default());
        let mut future = guest.call::<(), ()>("waits", ())?;
        let job = queue.submit(future.to_job()?);
        pass(310 * MS);
        queue.run();
        assert_eq!(job.is_complete(), is_over);
        job.cancel();
    }
    Ok(())
}

#[test]
fn a_call_that_stood_in_a_queue_for_longer_than_its_limit_runs_to_its_end() -> Result<(), Error> {
    let guest = limited(begun(50 * MS))?;
    let end = retry_timeouts(|| {
        guest.clear_poison()?;
        let queue = Queue::default();
        let mut future = guest.call::<(), ()>("nothing", ())?;
        let job = queue.submit(future.to_job()?);
        pass(60 * MS);
        queue.run();
        assert!(job.is_complete());
        future.try_get_result()
    });
    assert_eq!(end?, Some(()));
    Ok(())
}

#[test]
fn the_time_in_which_a_call_is_not_resumed_counts_once_it_has_begun() -> Result<(), Error> {
    let mut future;
    let guest = limited(begun(100 * MS))?;
    loop {
        future = guest.call::<(), ()>("yields", ())?;
        if future.resume()? == Step::Yielded {
            break;
        }
        // A slow machine.
        guest.clear_poison()?;
    }
    pass(110 * MS);
    assert_eq!(future.resume()?, Step::Done);
    let Err(Error::TimedOut(why)) = future.try_get_result() else { panic!("it has timed out") };
    let expected = r#"export "yields": it has not ended within 100ms of its first step (`InstanceOptions::begun_timeout`)"#;
    assert!(why.to_string().starts_with(expected), "{why}");
    Ok(())
}

#[test]
fn a_call_with_two_limits_times_out_at_the_earlier_one() -> Result<(), Error> {
    let hour = Duration::from_secs(3600);
    let both = [
        (begun(5 * MS).elapsed_timeout(hour), Timeout::Begun),
        (begun(hour).elapsed_timeout(5 * MS), Timeout::Elapsed),
        (begun(hour).running_timeout(5 * MS), Timeout::Running),
    ];
    for (options, limit) in both {
        let guest = limited(options)?;
        let end = guest.call::<(), ()>("forever", ())?.wait();
        assert!(matches!(end, Err(Error::TimedOut(ref why)) if why.limit == limit), "{end:?}");
    }
    Ok(())
}
