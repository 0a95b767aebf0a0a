//! Guests that race in the host.

use crate::support::{ADDS, Counter, linked, shared};
use wasm_jobs::explore::{self, World};
use wasm_jobs::{EngineOptions, Error, JobPool};

/// Two guests add one each.
fn two_guests(world: &World) -> Result<(), Error> {
    let stock = Counter::default();
    let guests = [world.instance(&*ADDS, shared(world, &stock))?, world.instance(&*ADDS, shared(world, &stock))?];
    let mut calls = Vec::new();
    for guest in &guests {
        let mut call = guest.call::<(), ()>("add", ())?;
        world.pool().submit(call.to_job()?);
        calls.push(call);
    }
    for call in &mut calls {
        call.wait()?;
    }
    assert_eq!(stock.get(), 2, "an update is lost");
    Ok(())
}

#[test]
fn an_update_that_guests_lose_is_found_and_the_steps_say_what_they_touch() {
    for explorer in [explore::random(1_000), explore::pct(1_000, 2), explore::dfs(1_000)] {
        let failure = explorer.check(two_guests).unwrap_err();
        // `a` reads, then `b` does all, then `a` writes. The first step of each leads to its first call of the host.
        assert_eq!(
            failure.steps(),
            [
                "add#0 step 1, submitted: yields",
                "add#0 step 2, goes on: touches stock, yields",
                "add#1 step 1, submitted: yields",
                "add#1 step 2, goes on: touches stock, yields",
                "add#1 step 3, goes on: touches stock, done",
                "add#0 step 3, goes on: touches stock, done",
            ],
            "{failure}"
        );
        assert_eq!(failure.schedule(), "0x2.1");
    }
}

#[test]
fn a_guest_that_traps_is_a_failure_unless_its_error_is_taken() {
    let traps = linked(
        r#"(module (func (export "trap") unreachable))"#,
        &EngineOptions::default(),
    );
    let test = |takes: bool| {
        let traps = traps.clone();
        move |world: &World| -> Result<(), Error> {
            let guest = world.instance(&traps, shared(world, &Counter::default()))?;
            let mut call = guest.call::<(), ()>("trap", ())?;
            world.pool().submit(call.to_job()?).wait();
            if takes {
                assert!(matches!(call.try_get_result(), Err(Error::Trap(_))));
            }
            Ok(())
        }
    };
    explore::dfs(10).run(test(true));
    let failure = explore::dfs(10).check(test(false)).unwrap_err();
    let message = failure.message();
    assert!(message.starts_with("trap has failed, and nobody took its error: "), "{message}");
    assert!(message.contains("unreachable"), "{message}");
    assert_eq!(failure.steps(), ["trap#0 step 1, submitted: failed"]);
}
