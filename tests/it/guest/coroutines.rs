//! Guests whose calls are awaited in coroutines.

use super::{ENGINE, Host, PRIMES, instance, instance_of};
use crate::support::{Event, Queue};
use std::time::Duration;
use wasm_jobs::{Coroutines, Error, JobPool, frames};

/// `forever()` never yields; `yields(n)` yields `n` times and returns `n`; `waits()` waits for the event of its host; `traps()` traps.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "wait" (func $wait))
    (func (export "forever")
        (loop $again (br $again)))
    (func (export "yields") (param $times i32) (result i32)
        (local $left i32)
        (local.set $left (local.get $times))
        (loop $again
            (call $yield)
            (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (local.get $times))
    (func (export "waits") (call $wait))
    (func (export "traps") unreachable))"#;

#[test]
fn a_guest_that_never_yields_leaves_the_other_coroutines_their_share_of_a_frame()
-> Result<(), Error> {
    let coroutines = Coroutines::new();
    let stuck = instance(GUEST)?;
    let forever = coroutines.spawn(stuck.call::<(), ()>("forever", ())?);
    let guests = (0..4).map(|_| instance(GUEST)).collect::<Result<Vec<_>, _>>()?;
    let mut others = Vec::new();
    for guest in &guests {
        others.push(coroutines.spawn(guest.call::<(i32,), i32>("yields", (2,))?));
    }
    for _ in 0..3 {
        let tick = coroutines.tick_within(Duration::from_millis(300));
        assert_eq!((tick.stepped, tick.unreached), (5, 0));
    }
    for mut other in others {
        assert_eq!(other.try_get_result()?.expect("the coroutine has finished")?, 2);
    }
    assert!(!forever.is_finished());
    // Another guest that never yields takes the whole frame, and is stopped at the end of it.
    let also_stuck = instance(GUEST)?;
    let also_forever = coroutines.spawn(also_stuck.call::<(), ()>("forever", ())?);
    for _ in 0..20 {
        let tick = coroutines.tick_within(Duration::from_micros(1));
        assert_eq!((tick.stepped, tick.unreached), (1, 1));
    }
    drop(coroutines);
    assert!(forever.is_finished() && also_forever.is_finished());
    Ok(())
}

#[test]
fn a_guest_goes_on_by_a_step_a_frame_until_a_pool_takes_it_over() -> Result<(), Error> {
    let (coroutines, pool) = (Coroutines::new(), Queue::default());
    let guest = instance(PRIMES)?;
    let mut coroutine = coroutines.spawn({
        let pool = pool.clone();
        async move {
            let here = guest.call::<(i32, i32), i32>("count_primes", (0, 30))?.await?;
            let mut call = guest.call::<(i32, i32), i32>("count_primes", (0, 1000))?;
            pool.submit(call.to_job()?).await;
            frames(2).await;
            Ok::<_, Error>((here, call.await?))
        }
    });
    // The guest yields at each of ten primes. Then the other call is submitted.
    for _ in 0..10 {
        coroutines.tick();
        assert_eq!(pool.len(), 0);
    }
    coroutines.tick();
    assert_eq!(pool.len(), 1);
    pool.run();
    for _ in 0..3 {
        assert!(!coroutine.is_finished());
        coroutines.tick();
    }
    assert_eq!(coroutine.try_get_result()?.expect("the coroutine has finished")?, (10, 168));
    Ok(())
}

#[test]
fn guests_that_trap_or_are_cancelled_in_coroutines_are_their_own_failures() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let (event, guests) = (Event::default(), [instance(GUEST)?, instance(GUEST)?]);
    let waiting = instance_of(&ENGINE, GUEST, Host { event: event.clone(), ..Host::default() })?;
    let mut traps = coroutines.spawn(guests[0].call::<(), ()>("traps", ())?);
    let stopped = coroutines.spawn(guests[1].call::<(i32,), i32>("yields", (1000,))?);
    let mut waits = coroutines.spawn(waiting.call::<(), ()>("waits", ())?);
    coroutines.tick();
    stopped.cancel();
    assert!(matches!(traps.try_get_result()?, Some(Err(Error::Trap(_)))));
    coroutines.tick();
    assert!(stopped.is_finished());
    // An instance whose call was dropped half-way through is poisoned. The others are not affected.
    let mut again = guests[1].call::<(i32,), i32>("yields", (1,));
    assert!(matches!(&mut again, Err(Error::Poisoned)), "{again:?}");
    event.set();
    coroutines.tick();
    waits.try_get_result()?.expect("the coroutine has finished")
}
