//! Programs of WASI that sleep by the clock of the world.

use super::{in_many_orders, in_many_orders_with_ends};
use crate::input::Input;
use crate::support::guests;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use wasm_jobs::explore::World;
use wasm_jobs::wasi::{self, WasiCtx, WasiCtxBuilder};
use wasm_jobs::wasmtime::{Caller, InstancePre};
use wasm_jobs::{
    Clock, EngineOptions, Error, Future, Instance, IntoSend, JobOutcome, JobPool, ManualClock,
};

const MS: Duration = Duration::from_millis(1);

/// The state of a guest: the context of WASI, and what it tells the host.
struct Host {
    ctx: WasiCtx,
    clock: ManualClock,
    told: Told,
}

/// What the guests have told the host, each with the time.
type Told = Arc<Mutex<Vec<(u64, i32)>>>;

/// Sleeps for times of milliseconds, and tells the host after each. `wait` sleeps until there is input, or until the time has come, and returns which:
/// one for input, two for the time, and three for both.
static SLEEPERS: LazyLock<InstancePre<Host>> = LazyLock::new(|| {
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (import "host" "tell" (func $tell (param i32)))
        (memory (export "memory") 1)
        ;; The first subscription is to the monotonic clock, and the second one to reading descriptor 0.
        (data (i32.const 0) "\02")
        (data (i32.const 16) "\01")
        (data (i32.const 48) "\01")
        (data (i32.const 56) "\01")
        (func $set (param $ms i32)
            (i64.store (i32.const 24)
                (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000))))
        (func $sleep (param $ms i32)
            (call $set (local.get $ms))
            (if (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256))
                (then unreachable)))
        (func (export "sleep") (param $one i32) (param $two i32) (param $name i32)
            (call $sleep (local.get $one))
            (call $tell (local.get $name))
            (call $sleep (local.get $two))
            (call $tell (local.get $name)))
        (func (export "wait") (param $ms i32) (result i32)
            (call $set (local.get $ms))
            (if (call $poll (i32.const 0) (i32.const 128) (i32.const 2) (i32.const 256))
                (then unreachable))
            (i32.add
                (i32.load (i32.const 128))
                (select (i32.load (i32.const 160)) (i32.const 0)
                    (i32.eq (i32.load (i32.const 256)) (i32.const 2)))))
        (func (export "yield") (param $times i32) (param $name i32)
            (loop $again
                (if (call $yield) (then unreachable))
                (call $tell (local.get $name))
                (local.set $times (i32.sub (local.get $times) (i32.const 1)))
                (br_if $again (local.get $times)))))"#;
    guests(wat, &EngineOptions::default().pooling(20), |linker| {
        wasi::add_to_linker(linker, |host: &mut Host| &mut host.ctx).unwrap();
        let tell = |caller: Caller<'_, Host>, name: i32| {
            let Host { clock, told, .. } = caller.data();
            let ms = u64::try_from(clock.now().as_millis()).unwrap();
            told.lock().unwrap().push((ms, name));
        };
        linker.func_wrap("host", "tell", tell).unwrap();
    })
});

/// A guest with this input.
fn guest(world: &World, told: &Told, input: &Input) -> Result<Instance<Host>, Error> {
    let (clock, told, input) = (world.clock(), told.clone(), input.clone());
    world.instance(&*SLEEPERS, move || {
        let ctx = WasiCtxBuilder::new().clock(clock.clone()).stdin(input.clone());
        let ctx = ctx.build().expect("it opens nothing");
        Host { ctx, clock: clock.clone(), told: told.clone() }
    })
}

#[test]
fn programs_sleep_for_as_long_as_they_want_and_tell_so_in_the_order_of_time() {
    let (_, ends) = in_many_orders_with_ends(1_000, |world: &World| {
        let (told, input) = (Told::default(), Input::default());
        let naps = [(1, 3), (2, 2), (4, 1)];
        let mut calls = Vec::new();
        let mut guests = Vec::new();
        for ((one, two), name) in naps.into_iter().zip(1..) {
            let guest = guest(world, &told, &input)?;
            let mut call = guest.call::<_, ()>("sleep", (one, two, name))?;
            world.pool().submit(call.to_job()?);
            calls.push(call);
            guests.push(guest);
        }
        world.run_all();
        for call in &mut calls {
            assert_eq!(call.try_get_result()?, Some(()));
        }
        assert_eq!((world.clock().now(), world.clock().sleepers()), (5 * MS, 0));
        let told = told.lock().unwrap().clone();
        let mut sorted = told.clone();
        sorted.sort();
        assert_eq!(sorted, [(1, 1), (2, 2), (4, 1), (4, 2), (4, 3), (5, 3)]);
        assert!(told.is_sorted_by_key(|(ms, _)| *ms), "{told:?}");
        Ok(told)
    });
    assert_eq!(ends.len(), 6, "three wake at the same time, in every order");
}

#[test]
fn a_program_waits_for_input_until_a_time() {
    // The input comes before that time, at that time, or after it.
    for (at, expected) in [(5, &[1][..]), (10, &[2, 3]), (11, &[2])] {
        let (_, ends) = in_many_orders_with_ends(700, |world: &World| {
            let (told, input) = (Told::default(), Input::default());
            let guest = guest(world, &told, &input)?;
            let mut call = guest.call::<i32, i32>("wait", 10)?;
            world.pool().submit(call.to_job()?);
            let (clock, has_come) = (world.clock(), input.has_come.clone());
            let mut sets = Future::new(async move {
                // In two sleeps, so that it may be late at the equal time, too.
                clock.sleep((at - 1) * MS).await;
                clock.sleep(MS).await;
                has_come.set();
                Ok(())
            });
            world.pool().submit(sets.to_job()?);
            world.run_all();
            let end = call.try_get_result()?.unwrap();
            assert_eq!(world.clock().now(), at * MS);
            assert_eq!(world.clock().sleepers(), 0, "the time that it does not wait for");
            assert_eq!(input.ended.load(SeqCst), 1);
            sets.try_get_result()?;
            Ok(end)
        });
        assert!(ends.iter().eq(expected), "{at} ms: {ends:?}");
    }
}

#[test]
fn a_program_that_is_cancelled_in_its_sleep_leaves_nothing_behind() {
    let (_, ends) = in_many_orders_with_ends(1_000, |world: &World| {
        let (told, input) = (Told::default(), Input::default());
        let guest = guest(world, &told, &input)?;
        let mut call = guest.call::<i32, i32>("wait", 10)?;
        let job = world.pool().submit(call.to_job()?);
        let at = [5, 10][world.choose(2) as usize];
        let (clock, cancels) = (world.clock(), job.clone());
        let mut other = Future::new(async move {
            clock.sleep(at * MS).await;
            cancels.cancel();
            assert!(cancels.is_complete());
            assert_eq!(clock.sleepers(), 0);
            Ok(())
        });
        world.pool().submit(other.to_job()?);
        world.run_all();
        other.try_get_result()?;
        assert_eq!(input.ended.load(SeqCst), 1, "what it waited with is dropped");
        assert_eq!(world.clock().now(), at * MS);
        let outcome = job.outcome().unwrap();
        match call.try_get_result() {
            Ok(Some(2)) => assert!(outcome == JobOutcome::Succeeded && at == 10),
            Err(Error::Cancelled) => assert_eq!(outcome, JobOutcome::Cancelled),
            end => panic!("{end:?}"),
        }
        assert_eq!(guest.is_poisoned(), outcome == JobOutcome::Cancelled);
        if guest.is_poisoned() {
            guest.clear_poison()?;
        }
        // The guest sleeps again.
        let mut again = guest.call::<i32, i32>("wait", 7)?;
        world.pool().submit(again.to_job()?).wait();
        assert_eq!((again.try_get_result()?, world.clock().now()), (Some(2), (at + 7) * MS));
        Ok((at, outcome))
    });
    use JobOutcome::{Cancelled, Succeeded};
    assert_eq!(ends, [(5, Cancelled), (10, Succeeded), (10, Cancelled)].into());
}

#[test]
fn programs_that_yield_meet_in_every_order() {
    let (report, ends) = in_many_orders_with_ends(1_000, |world: &World| {
        let (told, input) = (Told::default(), Input::default());
        let guests = [guest(world, &told, &input)?, guest(world, &told, &input)?];
        let mut calls = Vec::new();
        for (guest, name) in guests.iter().zip(1..) {
            let mut call = guest.call::<_, ()>("yield", (2, name))?;
            world.pool().submit(call.to_job()?);
            calls.push(call);
        }
        world.run_all();
        calls.iter_mut().try_for_each(|call| call.try_get_result().map(drop))?;
        let told = told.lock().unwrap().iter().map(|(_, name)| *name).collect::<Vec<_>>();
        Ok(told)
    });
    assert_eq!(ends.len(), 6, "two of four places: {ends:?}");
    // To the call of the host, into it, to the next one, and over it: twice, and the end is in the last step.
    assert_eq!(report.longest, 2 * 7);
}

#[test]
fn programs_wake_each_other_by_their_input_and_sleep_in_between() {
    in_many_orders(1_000, |world: &World| -> Result<(), Error> {
        let told = Told::default();
        let inputs = [Input::default(), Input::default()];
        let guests = [guest(world, &told, &inputs[0])?, guest(world, &told, &inputs[1])?];
        // Each one waits for its input for a second at most, and then gives the other one input.
        let mut calls = Vec::new();
        for (number, guest) in guests.into_iter().enumerate() {
            let next = inputs[1 - number].has_come.clone();
            let mut call = Future::new(async move {
                let mut ends = Vec::new();
                for _ in 0..2 {
                    ends.push(guest.call::<i32, i32>("wait", 1_000).into_send()?.await?);
                    next.set();
                }
                Ok(ends)
            });
            world.pool().submit(call.to_job()?);
            calls.push(call);
        }
        let first = inputs[0].has_come.clone();
        world.pool().submit_fn(move || first.set());
        world.run_all();
        for call in &mut calls {
            assert_eq!(call.try_get_result()?, Some(vec![1, 1]));
        }
        assert_eq!((world.clock().now(), world.clock().sleepers()), (Duration::ZERO, 0));
        Ok(())
    });
}
