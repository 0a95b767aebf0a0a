//! What would not run in the same way again is refused.

use crate::support::{ADDS, Counter, ok, shared, steps};
use std::time::Duration;
use wasm_jobs::explore::{self, World};
use wasm_jobs::{Clock, Error, Future, InstanceOptions, JobPool, RealtimeClock, Slice};

#[test]
fn slices_of_time_and_timeouts_are_refused() {
    explore::dfs(1).run(|world: &World| {
        let second = Duration::from_secs(1);
        let options = InstanceOptions::default();
        #[cfg(feature = "freeze")]
        let parks = options.clone().park_after(second);
        for (options, what) in [
            #[cfg(feature = "freeze")]
            (parks, "a time after which calls are parked"),
            (options.clone().slice(Slice::Time(second)), "a slice of time"),
            (options.clone().running_timeout(second), "a timeout"),
            (options.clone().elapsed_timeout(second), "a timeout"),
            (options.begun_timeout(second), "a timeout"),
        ] {
            let state = shared(world, &Counter::default());
            match world.instance_with(&*ADDS, options, state) {
                Err(Error::Unsupported { what: refused, .. }) => assert_eq!(refused, what),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_slice_of_time_that_is_set_later_is_a_failure() {
    let failure = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let guest = world.instance(&*ADDS, shared(world, &Counter::default()))?;
        let mut call = guest.call::<(), ()>("add", ())?;
        guest.set_slice(Slice::Time(Duration::from_secs(1)))?;
        world.pool().submit(call.to_job()?).wait();
        Ok(())
    });
    assert_eq!(
        failure.unwrap_err().message(),
        "a guest has a slice of time, whose end no schedule decides: use `Slice::Fuel`"
    );
}

#[test]
fn a_sleep_on_the_clock_of_the_machine_is_a_deadlock_that_says_what_to_use() {
    let sleeps = |world: &World| -> Result<(), Error> {
        let mut call = Future::new(ok(RealtimeClock.sleep(Duration::from_secs(3600))));
        world.pool().submit(call.to_job()?).wait();
        Ok(())
    };
    let failure = explore::dfs(1).check(sleeps).unwrap_err();
    assert!(
        failure.message().ends_with("has to use `World::clock` and `World::pool`"),
        "{failure}"
    );
}

#[test]
fn a_wake_by_another_thread_is_a_failure() {
    let failure = explore::dfs(1).check(|world: &World| -> Result<(), Error> {
        let pool = world.pool();
        let (mut call, mut other) = (steps(1), steps(1));
        let runner = call.to_job()?;
        let submits = move || drop(pool.submit(runner));
        std::thread::spawn(submits).join().unwrap();
        world.pool().submit(other.to_job()?).wait();
        Ok(())
    });
    assert_eq!(
        failure.unwrap_err().message(),
        "job#0 was woken by another thread, at a time that no schedule decides: use `World::clock` and `World::pool`"
    );
}

#[test]
fn a_text_that_is_no_schedule_is_refused() {
    let panic = std::panic::catch_unwind(|| explore::replay("1..2")).unwrap_err();
    assert_eq!(
        panic.downcast_ref::<String>().unwrap(),
        "\"1..2\" is no schedule: a schedule is what a failure has printed, such as 1.0x3.2"
    );
}
