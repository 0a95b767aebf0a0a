//! Coroutines: async blocks that a frame loop advances.

use crate::support::{
    Counter, Event, Flag, Queue, block_on, counted, notifying, ok, poll_once, workers,
};
use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::panic::panic_any;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use wasm_jobs::{
    Coroutine, Coroutines, Error, Future, JobPool, ManualClock, TickReport, frames, next_frame,
    sleep, yield_now,
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The actions of coroutines, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, entry: impl ToString) {
        self.0.borrow_mut().push(entry.to_string());
    }

    /// Returns the entries since the last call.
    fn take(&self) -> String {
        self.0.take().join(" ")
    }
}

fn ticks(coroutines: &Coroutines, count: usize) {
    for _ in 0..count {
        coroutines.tick();
    }
}

/// Ticks until the coroutine has finished, and returns the number of frames.
fn frames_until_finished<T>(coroutines: &Coroutines, coroutine: &Coroutine<T>) -> usize {
    let mut frames = 0;
    while !coroutine.is_finished() {
        coroutines.tick();
        frames += 1;
        assert!(frames < 1_000, "the coroutine finishes");
    }
    frames
}

fn result<T>(mut coroutine: Coroutine<T>) -> Result<T, Error> {
    coroutine.try_get_result().map(|result| result.expect("the coroutine has finished"))
}

/// The number of steps in a frame. Asserts that the frame reached every coroutine.
fn stepped(tick: TickReport) -> usize {
    assert_eq!(tick.unreached, 0);
    tick.stepped
}

/// A future that returns the waker of the task that polls it.
fn own_waker() -> impl std::future::Future<Output = Waker> {
    std::future::poll_fn(|context| Poll::Ready(context.waker().clone()))
}

// Frames.

#[test]
fn each_frame_advances_each_coroutine_by_one_step_in_the_order_of_spawning() {
    let (coroutines, log) = (Coroutines::new(), Log::default());
    for name in ["a", "b", "c"] {
        let log = log.clone();
        drop(coroutines.spawn(async move {
            for step in 1..=3 {
                log.add(format!("{name}{step}"));
                next_frame().await;
            }
        }));
    }
    assert_eq!((coroutines.len(), coroutines.is_empty()), (3, false));
    assert_eq!(log.take(), "", "the first step is in the next frame");
    for frame in ["a1 b1 c1", "a2 b2 c2", "a3 b3 c3", ""] {
        assert_eq!(stepped(coroutines.tick()), 3);
        assert_eq!(log.take(), frame);
    }
    assert_eq!((coroutines.len(), coroutines.is_empty()), (0, true));
    assert_eq!(coroutines.tick(), TickReport::default());
}

#[test]
fn a_coroutine_gives_its_value_once() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    // Neither the captures nor the value of the coroutine are `Send`.
    let shared = Rc::new(Cell::new(0));
    let mut coroutine = coroutines.spawn({
        let shared = shared.clone();
        async move {
            shared.set(42);
            next_frame().await;
            shared
        }
    });
    assert!(format!("{coroutine:?} {coroutines:?}").contains("is_finished: false"));
    assert!(coroutine.try_get_result()?.is_none());
    coroutines.tick();
    assert!(coroutine.try_get_result()?.is_none() && !coroutine.is_finished());
    coroutines.tick();
    assert!(coroutine.is_finished());
    assert_eq!(coroutine.try_get_result()?.map(|shared| shared.get()), Some(42));
    assert!(matches!(coroutine.try_get_result(), Err(Error::ResultTaken)));
    assert!(coroutine.is_finished());
    assert_eq!(Rc::strong_count(&shared), 1);
    Ok(())
}

#[test]
fn a_coroutine_that_is_woken_in_a_frame_runs_in_the_next_one() {
    let (coroutines, log) = (Coroutines::new(), Log::default());
    let event = wasm_jobs::Event::new();
    let waits = |name: &'static str| {
        let (event, log) = (event.clone(), log.clone());
        drop(coroutines.spawn(async move {
            event.wait().await;
            log.add(name);
        }));
    };
    waits("before");
    drop(coroutines.spawn({
        let (event, log) = (event.clone(), log.clone());
        async move {
            next_frame().await;
            event.set();
            log.add("sets");
        }
    }));
    waits("after");
    let steps = [(3, ""), (1, "sets"), (2, "before after"), (0, "")];
    for (count, log_of_frame) in steps {
        assert_eq!(stepped(coroutines.tick()), count);
        assert_eq!(log.take(), log_of_frame);
    }
}

#[test]
fn a_coroutine_that_waits_is_not_polled() {
    let (coroutines, polls, event) = (Coroutines::new(), Counter::default(), Event::default());
    for _ in 0..100 {
        drop(coroutines.spawn(counted(&polls, event.happens())));
    }
    assert_eq!(stepped(coroutines.tick()), 100);
    for _ in 0..10 {
        assert_eq!(stepped(coroutines.tick()), 0);
        assert_eq!(stepped(coroutines.tick_within(HOUR)), 0);
    }
    assert_eq!(polls.get(), 100);
    event.set();
    assert_eq!(polls.get(), 100, "waking does not poll");
    assert_eq!(stepped(coroutines.tick()), 100);
    assert_eq!((polls.get(), coroutines.len()), (200, 0));
}

#[test]
fn a_coroutine_that_is_woken_often_runs_once_a_frame() {
    let (coroutines, polls) = (Coroutines::new(), Counter::default());
    let waker = Rc::new(RefCell::new(None));
    drop(coroutines.spawn({
        let waker = waker.clone();
        counted(&polls, async move {
            let own = own_waker().await;
            // Several wakes during its own step also count once.
            (0..10).for_each(|_| own.wake_by_ref());
            waker.replace(Some(own));
            std::future::pending::<()>().await;
        })
    }));
    assert_eq!(stepped(coroutines.tick()), 1);
    assert_eq!(stepped(coroutines.tick()), 1, "the coroutine was woken in its step");
    assert_eq!(stepped(coroutines.tick()), 0);
    let waker = waker.take().expect("the coroutine has had a step");
    (0..10).for_each(|_| waker.wake_by_ref());
    assert_eq!(stepped(coroutines.tick()), 1);
    assert_eq!(stepped(coroutines.tick()), 0);
    assert_eq!(polls.get(), 3);
}

#[test]
fn frames_are_counted_exactly() {
    let coroutines = Coroutines::new();
    for frame in 0..5 {
        let one_for_each = [0, 1, 2, 3, 10].map(|count| {
            let coroutine = coroutines.spawn(async move {
                next_frame().await;
                frames(count).await;
                frames(count).await;
            });
            (count, coroutine)
        });
        let polls = Counter::default();
        drop(coroutines.spawn(counted(&polls, frames(20))));
        for now in 1..=30 {
            coroutines.tick();
            for (count, coroutine) in &one_for_each {
                let is_over = now >= 2 + 2 * *count as usize;
                assert_eq!(coroutine.is_finished(), is_over, "{count} twice, in frame {now}");
            }
        }
        assert_eq!(polls.get(), 2, "a coroutine that waits for a frame is not polled meanwhile");
        assert!(coroutines.is_empty(), "in round {frame}");
    }
}

#[test]
fn frames_end_in_the_order_in_which_they_were_begun() {
    let (coroutines, log) = (Coroutines::new(), Log::default());
    for (name, count) in [("a", 2), ("b", 1), ("c", 2), ("d", 1), ("e", 2)] {
        let log = log.clone();
        drop(coroutines.spawn(async move {
            frames(count).await;
            log.add(name);
        }));
    }
    for frame in ["", "b d", "a c e"] {
        coroutines.tick();
        assert_eq!(log.take(), frame);
    }
}

#[test]
fn frames_of_the_largest_number_never_end() {
    let coroutines = Coroutines::new();
    let coroutine = coroutines.spawn(frames(u64::MAX));
    ticks(&coroutines, 10);
    assert!(!coroutine.is_finished());
}

#[test]
fn frames_that_are_dropped_or_polled_again_do_not_wake_their_old_wakers() {
    let coroutines = Coroutines::new();
    let steps = Counter::default();
    let coroutine = coroutines.spawn(counted(&steps, async move {
        let wakes = Arc::new(Counter::default());
        let (mut dropped, mut kept) = (frames(1), frames(1));
        assert!(poll_once(&mut dropped, &wakes).is_pending());
        assert!(poll_once(&mut kept, &wakes).is_pending());
        drop(dropped);
        assert_eq!(Arc::strong_count(&wakes), 2);
        // The waker of the coroutine replaces the counting waker.
        kept.await;
        wakes.get()
    }));
    coroutines.tick();
    coroutines.tick();
    assert_eq!(result(coroutine).expect("the coroutine has not failed"), 0);
    assert_eq!(steps.get(), 2);
}

#[test]
fn frames_outside_of_a_loop_yield_as_many_times() -> Result<(), Error> {
    block_on(async {
        next_frame().await;
        frames(3).await;
    });
    let wakes = Arc::new(Counter::default());
    let mut three = frames(3);
    let polls = std::iter::repeat_with(|| poll_once(&mut three, &wakes));
    assert_eq!(polls.take_while(Poll::is_pending).count(), 3);
    assert_eq!(wakes.get(), 3);
    assert!(poll_once(&mut frames(0), &wakes).is_ready());
    // In a call, `next_frame` yields.
    let mut call = Future::new(ok(next_frame()));
    assert_eq!(call.resume()?, wasm_jobs::Step::Yielded);
    Ok(())
}

#[test]
fn frames_begun_outside_of_a_loop_go_on_inside_by_its_frames() {
    let (coroutines, wakes) = (Coroutines::new(), Arc::new(Counter::default()));
    let mut three = frames(3);
    assert!(poll_once(&mut three, &wakes).is_pending());
    let coroutine = coroutines.spawn(three);
    assert_eq!(frames_until_finished(&coroutines, &coroutine), 3);
}

// Waiting.

#[test]
fn a_coroutine_sleeps_by_a_clock() {
    let (coroutines, clock) = (Coroutines::new(), ManualClock::new());
    let polls = Counter::default();
    let coroutine = coroutines.spawn({
        let clock = clock.clone();
        counted(&polls, async move {
            sleep(&clock, 5 * MS).await;
            sleep(&clock, Duration::ZERO).await;
            sleep(&clock, 5 * MS).await;
        })
    });
    coroutines.tick();
    for _ in 0..10 {
        assert!(!coroutine.is_finished());
        clock.tick(MS);
        coroutines.tick();
        coroutines.tick();
    }
    assert!(coroutine.is_finished());
    assert_eq!(polls.get(), 3);
}

#[test]
fn a_call_that_is_awaited_is_resumed_once_a_frame() -> Result<(), Error> {
    let (coroutines, steps) = (Coroutines::new(), Counter::default());
    let call = Future::new({
        let steps = steps.clone();
        async move {
            for _ in 0..3 {
                steps.add();
                yield_now().await;
            }
            Ok("the result")
        }
    });
    let coroutine = coroutines.spawn(call);
    for frame in 1..=3 {
        coroutines.tick();
        assert_eq!((steps.get(), coroutine.is_finished()), (frame, false));
    }
    coroutines.tick();
    assert_eq!(result(coroutine)??, "the result");
    Ok(())
}

#[test]
fn a_call_that_waits_is_resumed_when_it_was_woken() -> Result<(), Error> {
    let (coroutines, event, polls) = (Coroutines::new(), Event::default(), Counter::default());
    let call = Future::new(counted(&polls, event.awaited()));
    let coroutine = coroutines.spawn(call);
    ticks(&coroutines, 5);
    assert_eq!(polls.get(), 1);
    event.set();
    assert_eq!(frames_until_finished(&coroutines, &coroutine), 1);
    assert_eq!(polls.get(), 2);
    result(coroutine)?
}

#[test]
fn a_coroutine_goes_on_in_the_frame_after_a_pool_has_brought_its_call_to_the_end()
-> Result<(), Error> {
    let (coroutines, pool, log) = (Coroutines::new(), Queue::default(), Log::default());
    let coroutine = coroutines.spawn({
        let (pool, log) = (pool.clone(), log.clone());
        async move {
            let mut thinks = Future::new(async {
                yield_now().await;
                Ok(6 * 7)
            });
            log.add("submits");
            pool.submit(thinks.to_job()?).await;
            log.add("goes on");
            thinks.await
        }
    });
    for _ in 0..3 {
        coroutines.tick();
    }
    assert_eq!(log.take(), "submits");
    pool.run();
    assert_eq!(log.take(), "", "the pool's threads run no coroutine");
    assert_eq!(stepped(coroutines.tick()), 1);
    assert_eq!(log.take(), "goes on");
    assert_eq!(result(coroutine)??, 42);
    Ok(())
}

#[test]
fn coroutines_think_on_the_threads_of_a_pool() -> Result<(), Error> {
    let (coroutines, pool) = (Coroutines::new(), workers(2));
    let thinking: Vec<_> = (0..100_u32)
        .map(|n| {
            let pool = pool.clone();
            coroutines.spawn(async move {
                let owner = thread::current().id();
                let mut sum = 0;
                for part in 0..3 {
                    let mut thinks = Future::new(async move {
                        yield_now().await;
                        assert_ne!(thread::current().id(), owner);
                        Ok(n + part)
                    });
                    pool.submit(thinks.to_job()?).await;
                    assert_eq!(thread::current().id(), owner);
                    sum += thinks.await?;
                }
                Ok::<_, Error>(sum)
            })
        })
        .collect();
    while !coroutines.is_empty() {
        coroutines.tick();
        thread::yield_now();
    }
    for (n, coroutine) in (0..).zip(thinking) {
        assert_eq!(result(coroutine)??, 3 * n + 3);
    }
    Ok(())
}

#[test]
fn a_coroutine_awaits_another_one() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let inner = coroutines.spawn(async {
        frames(2).await;
        String::from("a value")
    });
    let waits = coroutines.spawn(async { inner.await.map(|value| value + " that was passed on") });
    // The inner coroutine finishes in the third frame, and the outer one goes on in the fourth.
    assert_eq!(frames_until_finished(&coroutines, &waits), 4);
    assert_eq!(result(waits)??, "a value that was passed on");

    // Here the inner coroutine has finished before it is awaited.
    let inner = coroutines.spawn(async { 1 });
    coroutines.tick();
    let waits = coroutines.spawn(inner);
    assert_eq!(frames_until_finished(&coroutines, &waits), 1);
    assert_eq!(result(waits)??, 1);
    Ok(())
}

#[test]
fn a_coroutine_of_one_loop_awaits_one_of_another() -> Result<(), Error> {
    let (one, two) = (Coroutines::new(), Coroutines::new());
    let inner = two.spawn(async { 7 });
    let waits = one.spawn(inner);
    assert_eq!(stepped(one.tick()), 1);
    two.tick();
    assert_eq!(stepped(one.tick()), 1);
    assert_eq!(result(waits)??, 7);
    Ok(())
}

#[test]
fn a_coroutine_is_awaited_outside_of_every_loop() {
    let coroutines = Coroutines::new();
    let mut coroutine = coroutines.spawn(async { 7 });
    let [first, last] = std::array::from_fn(|_| Arc::new(Counter::default()));
    assert!(poll_once(&mut coroutine, &first).is_pending());
    assert!(poll_once(&mut coroutine, &last).is_pending());
    coroutines.tick();
    assert_eq!([first.get(), last.get()], [0, 1], "the task that polled last is woken");
    assert!(matches!(poll_once(&mut coroutine, &last), Poll::Ready(Ok(7))));
}

#[test]
fn coroutines_that_await_each_other_in_a_ring_wait_and_are_dropped() {
    let (coroutines, dropped) = (Coroutines::new(), Counter::default());
    let ring = Rc::new(RefCell::new(None::<Coroutine<()>>));
    for _ in 0..2 {
        let (ring, dropped) = (ring.clone(), dropped.on_drop());
        let before = ring.take();
        let coroutine = coroutines.spawn({
            let ring = ring.clone();
            async move {
                let _dropped = dropped;
                let next = before.or_else(|| ring.take());
                if let Some(next) = next {
                    let _ = next.await;
                }
            }
        });
        ring.replace(Some(coroutine));
    }
    ticks(&coroutines, 10);
    assert_eq!(coroutines.len(), 2);
    drop(coroutines);
    assert_eq!(dropped.get(), 2);
}

// A budget.

#[test]
fn a_budget_of_zero_steps_nothing() {
    let (coroutines, log) = (Coroutines::new(), Log::default());
    for name in ["a", "b"] {
        let log = log.clone();
        drop(coroutines.spawn(async move { log.add(name) }));
    }
    for _ in 0..3 {
        let tick = coroutines.tick_within(Duration::ZERO);
        assert_eq!((tick.stepped, tick.unreached), (0, 2));
    }
    assert_eq!(stepped(coroutines.tick_within(HOUR)), 2);
    assert_eq!(log.take(), "a b");
}

/// Keeps the thread busy until the budget is used up.
fn spend(budget: Duration) {
    let start = std::time::Instant::now();
    while start.elapsed() < budget {}
}

#[test]
fn coroutines_that_a_budget_did_not_reach_come_first_in_the_next_frame() {
    let (coroutines, log) = (Coroutines::new(), Log::default());
    for name in ["a", "b", "c"] {
        let log = log.clone();
        drop(coroutines.spawn(async move {
            loop {
                log.add(name);
                spend(MS);
                next_frame().await;
            }
        }));
    }
    for expected in ["a", "b", "c", "a", "b", "c"] {
        let tick = coroutines.tick_within(MS);
        assert_eq!((tick.stepped, tick.unreached), (1, 2));
        assert_eq!(log.take(), expected);
    }
    // A coroutine that is spawned or woken comes after those that were not reached.
    drop(coroutines.spawn({
        let log = log.clone();
        async move { log.add("new") }
    }));
    coroutines.tick();
    assert_eq!(log.take(), "a b c new");
}

#[test]
fn frames_go_on_while_a_budget_is_not_enough() {
    let coroutines = Coroutines::new();
    let spends = coroutines.spawn(async {
        loop {
            spend(MS);
            next_frame().await;
        }
    });
    let coroutine = coroutines.spawn(frames(3));
    // Each tick counts as a frame, even if its budget allowed no step.
    for _ in 0..5 {
        coroutines.tick_within(MS);
    }
    for _ in 0..5 {
        coroutines.tick_within(Duration::ZERO);
    }
    spends.cancel();
    coroutines.tick();
    assert!(coroutine.is_finished());
}

#[test]
fn the_deadline_of_a_step_does_not_outlive_the_step() {
    let coroutines = Coroutines::new();
    drop(coroutines.spawn(next_frame()));
    assert_eq!(stepped(coroutines.tick_within(HOUR)), 1);
    // A panic inside a step leaves no deadline behind either.
    drop(coroutines.spawn(async { panic!("within a budget") }));
    assert_eq!(stepped(coroutines.tick_within(HOUR)), 2);
    assert_eq!(stepped(coroutines.tick()), 0);
}

// Ticks and spawns inside a tick.

#[test]
fn a_tick_inside_a_coroutine_of_the_same_loop_does_nothing() {
    let (coroutines, log) = (Rc::new(Coroutines::new()), Log::default());
    drop(coroutines.spawn({
        let (coroutines, log) = (Rc::downgrade(&coroutines), log.clone());
        async move {
            let coroutines = coroutines.upgrade().expect("the loop is ticking");
            log.add("outer");
            assert_eq!(coroutines.tick(), TickReport::default());
            assert_eq!(coroutines.tick_within(HOUR), TickReport::default());
            frames(1).await;
            log.add("outer");
        }
    }));
    drop(coroutines.spawn({
        let log = log.clone();
        async move { log.add("inner") }
    }));
    coroutines.tick();
    assert_eq!(log.take(), "outer inner");
    coroutines.tick();
    assert_eq!(log.take(), "outer", "the inner tick counts as no frame");
}

#[test]
fn a_tick_of_another_loop_inside_a_coroutine_is_a_frame_of_that() -> Result<(), Error> {
    let outer = Coroutines::new();
    let coroutine = outer.spawn(async {
        let inner = Coroutines::new();
        let nested = inner.spawn(async {
            frames(2).await;
            "nested"
        });
        assert_eq!(frames_until_finished(&inner, &nested), 3);
        // After the inner tick, frames are frames of the outer loop again.
        frames(1).await;
        result(nested)
    });
    outer.tick();
    assert!(!coroutine.is_finished());
    outer.tick();
    assert_eq!(result(coroutine)??, "nested");
    Ok(())
}

#[test]
fn a_coroutine_spawns_others_into_its_own_loop() -> Result<(), Error> {
    async fn tree(coroutines: Weak<Coroutines>, depth: u32) -> u32 {
        let Some(branches) = coroutines.upgrade().filter(|_| depth > 0).map(|strong| {
            [0, 1].map(|_| strong.spawn(Box::pin(tree(coroutines.clone(), depth - 1))))
        }) else {
            return 1;
        };
        let mut leaves = 0;
        for branch in branches {
            leaves += branch.await.expect("a branch does not fail");
        }
        leaves
    }

    let coroutines = Rc::new(Coroutines::new());
    let coroutine = coroutines.spawn(tree(Rc::downgrade(&coroutines), 5));
    for spawned in [1, 2, 4, 8, 16] {
        assert_eq!(stepped(coroutines.tick()), spawned, "spawned coroutines run in the next frame");
    }
    frames_until_finished(&coroutines, &coroutine);
    assert_eq!(result(coroutine)?, 32);
    assert!(coroutines.is_empty());
    Ok(())
}

#[test]
fn a_destructor_in_a_loop_that_is_dropped_finds_no_loop_to_spawn_into() {
    struct Spawns(Weak<Coroutines>, Counter);

    impl Drop for Spawns {
        fn drop(&mut self) {
            self.1.add();
            assert!(self.0.upgrade().is_none());
        }
    }

    let (coroutines, dropped) = (Rc::new(Coroutines::new()), Counter::default());
    for _ in 0..3 {
        let spawns = Spawns(Rc::downgrade(&coroutines), dropped.clone());
        drop(coroutines.spawn(async move {
            std::future::pending::<()>().await;
            drop(spawns);
        }));
    }
    coroutines.tick();
    drop(coroutines);
    assert_eq!(dropped.get(), 3);
}

// Ending early.

#[test]
fn a_coroutine_whose_handle_is_dropped_goes_on() {
    let (coroutines, done, dropped) = (Coroutines::new(), Flag::default(), Counter::default());
    drop(coroutines.spawn({
        let (done, value) = (done.clone(), dropped.on_drop());
        async move {
            frames(3).await;
            done.set();
            value
        }
    }));
    ticks(&coroutines, 4);
    assert!(done.is_set() && coroutines.is_empty());
    assert_eq!(dropped.get(), 1, "a value whose handle is dropped is dropped too");
}

#[test]
fn a_coroutine_that_is_cancelled_is_dropped_in_the_next_frame() {
    let (coroutines, polls) = (Coroutines::new(), Counter::default());
    let [waiting, ready, begun_never] = std::array::from_fn(|_| Counter::default());
    let ended = |counter: &Counter, frames_before| {
        let on_drop = counter.on_drop();
        let coroutine = coroutines.spawn(counted(&polls, async move {
            let _on_drop = on_drop;
            std::future::pending::<()>().await;
        }));
        ticks(&coroutines, frames_before);
        coroutine
    };
    let first = ended(&waiting, 2);
    let second = coroutines.spawn({
        let (on_drop, polls) = (ready.on_drop(), polls.clone());
        async move {
            let _on_drop = on_drop;
            loop {
                polls.add();
                next_frame().await;
            }
        }
    });
    coroutines.tick();
    let third = ended(&begun_never, 0);
    let polls_before = polls.get();
    for coroutine in [&first, &second, &third] {
        coroutine.cancel();
        coroutine.cancel();
        assert!(!coroutine.is_finished());
    }
    assert_eq!([&waiting, &ready, &begun_never].map(Counter::get), [0; 3]);
    assert_eq!(stepped(coroutines.tick()), 3);
    assert_eq!([&waiting, &ready, &begun_never].map(Counter::get), [1; 3]);
    assert_eq!(polls.get(), polls_before);
    for mut coroutine in [first, second, third] {
        assert!(coroutine.is_finished());
        coroutine.cancel();
        assert!(matches!(coroutine.try_get_result(), Err(Error::Cancelled)));
        assert!(matches!(coroutine.try_get_result(), Err(Error::ResultTaken)));
    }
    assert!(coroutines.is_empty());
}

#[test]
fn a_coroutine_that_has_finished_is_not_cancelled() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let coroutine = coroutines.spawn(async { 5 });
    coroutines.tick();
    coroutine.cancel();
    assert_eq!(stepped(coroutines.tick()), 0);
    assert_eq!(result(coroutine)?, 5);
    Ok(())
}

#[test]
fn a_coroutine_cancels_itself() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let own = Rc::new(RefCell::new(None::<Coroutine<&str>>));
    for ends_by_itself in [true, false] {
        let coroutine = coroutines.spawn({
            let own = own.clone();
            async move {
                own.borrow().as_ref().expect("the test has stored the coroutine").cancel();
                if !ends_by_itself {
                    next_frame().await;
                }
                "its value"
            }
        });
        own.replace(Some(coroutine));
        coroutines.tick();
        coroutines.tick();
        let result = result(own.take().expect("the coroutine is stored"));
        assert!(if ends_by_itself {
            matches!(result, Ok("its value"))
        } else {
            matches!(result, Err(Error::Cancelled))
        });
        assert!(coroutines.is_empty());
    }
    Ok(())
}

#[test]
fn a_coroutine_that_awaits_a_cancelled_one_goes_on() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let inner = Rc::new(coroutines.spawn(std::future::pending::<()>()));
    let waits = coroutines.spawn({
        let inner = inner.clone();
        // Only one holder can take the value, but all holders can see the end.
        async move {
            while !inner.is_finished() {
                next_frame().await;
            }
            Rc::into_inner(inner)
        }
    });
    coroutines.tick();
    inner.cancel();
    drop(inner);
    frames_until_finished(&coroutines, &waits);
    let inner = result(waits)?.expect("no other holder is left");
    let waits = coroutines.spawn(inner);
    coroutines.tick();
    assert!(matches!(result(waits)?, Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn a_loop_that_is_dropped_drops_its_coroutines_on_its_thread() {
    struct OnItsThread(thread::ThreadId, Counter);

    impl Drop for OnItsThread {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.0);
            self.1.add();
        }
    }

    let (coroutines, event, dropped) = (Coroutines::new(), Event::default(), Counter::default());
    let here = || OnItsThread(thread::current().id(), dropped.clone());
    let waiting = coroutines.spawn({
        let (here, happens) = (here(), event.happens());
        async move {
            happens.await;
            drop(here);
        }
    });
    let ready = coroutines.spawn({
        let here = here();
        async move {
            loop {
                next_frame().await;
                let _ = &here;
            }
        }
    });
    let mut finished = coroutines.spawn({
        let here = here();
        async move { drop(here) }
    });
    coroutines.tick();
    let not_begun = coroutines.spawn({
        let here = here();
        async move { drop(here) }
    });
    drop(coroutines);
    assert_eq!(dropped.get(), 4);
    assert!(matches!(finished.try_get_result(), Ok(Some(()))));
    for mut coroutine in [waiting, ready, not_begun] {
        assert!(coroutine.is_finished());
        coroutine.cancel();
        assert!(matches!(coroutine.try_get_result(), Err(Error::Cancelled)));
    }
    event.set();
}

#[test]
fn the_task_that_awaits_a_coroutine_of_a_dropped_loop_is_woken() {
    let coroutines = Coroutines::new();
    let mut coroutine = coroutines.spawn(std::future::pending::<()>());
    let wakes = Arc::new(Counter::default());
    assert!(poll_once(&mut coroutine, &wakes).is_pending());
    drop(coroutines);
    assert_eq!(wakes.get(), 1);
    assert!(matches!(poll_once(&mut coroutine, &wakes), Poll::Ready(Err(Error::Cancelled))));
}

#[test]
fn calls_that_a_dropped_coroutine_awaits_are_ended() -> Result<(), Error> {
    let (coroutines, pool, dropped) = (Coroutines::new(), Queue::default(), Counter::default());
    let work = |on_drop| async move {
        std::future::pending::<()>().await;
        drop(on_drop);
        Ok(())
    };
    let (own, mut lent) = (work(dropped.on_drop()), Future::new(work(dropped.on_drop())));
    let handle = pool.submit(lent.to_job()?);
    let coroutine = coroutines.spawn(async move {
        let own = Future::new(own);
        own.await?;
        lent.await
    });
    coroutines.tick();
    pool.run();
    coroutine.cancel();
    coroutines.tick();
    assert_eq!(dropped.get(), 2);
    assert!(handle.is_complete());
    assert!(matches!(result(coroutine), Err(Error::Cancelled)));
    Ok(())
}

// Panics.

#[test]
fn a_coroutine_that_panics_takes_down_neither_the_loop_nor_its_neighbours() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let before = coroutines.spawn(frames(3));
    let mut panics = coroutines.spawn(async {
        next_frame().await;
        panic!("number {}", 7);
    });
    let after = coroutines.spawn(frames(3));
    assert_eq!(stepped(coroutines.tick()), 3);
    assert_eq!(stepped(coroutines.tick()), 1);
    assert!(panics.is_finished());
    match panics.try_get_result() {
        Err(Error::Panic(panic)) => assert!(panic.to_string().contains("number 7")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(panics.try_get_result(), Err(Error::ResultTaken)));
    coroutines.tick();
    coroutines.tick();
    result(before)?;
    result(after)?;
    assert!(coroutines.is_empty());
    Ok(())
}

struct PanicsWhenDropped(Counter);

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        self.0.add();
        panic_any(PanickingPayload);
    }
}

/// The payload of a panic. Its destructor panics.
struct PanickingPayload;

impl Drop for PanickingPayload {
    fn drop(&mut self) {
        panic!("the destructor of a payload");
    }
}

#[test]
fn a_coroutine_whose_destructor_panics_ends_nothing_else() -> Result<(), Error> {
    let dropped = Counter::default();
    let panicky = |coroutines: &Coroutines| {
        let panicky = PanicsWhenDropped(dropped.clone());
        coroutines.spawn(std::future::poll_fn(move |context| {
            let _ = &panicky;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }))
    };
    let coroutines = Coroutines::new();
    let (mut first, second) = (panicky(&coroutines), panicky(&coroutines));
    let neighbour = coroutines.spawn(async { 1 });
    coroutines.tick();
    first.cancel();
    assert_eq!(stepped(coroutines.tick()), 2);
    assert!(matches!(first.try_get_result(), Err(Error::Cancelled)));
    assert_eq!((dropped.get(), result(neighbour)?), (1, 1));
    drop(coroutines);
    assert!(matches!(result(second), Err(Error::Cancelled)));
    assert_eq!(dropped.get(), 2);

    // If the destructor of a coroutine that has returned panics, its result is still its value.
    let coroutines = Coroutines::new();
    let panicky = PanicsWhenDropped(dropped.clone());
    let coroutine = coroutines.spawn(std::future::poll_fn(move |_| {
        let _ = &panicky;
        Poll::Ready(2)
    }));
    coroutines.tick();
    assert_eq!((result(coroutine)?, dropped.get()), (2, 3));
    assert!(coroutines.is_empty());
    Ok(())
}

#[test]
fn a_value_that_is_not_taken_and_whose_destructor_panics_ends_nothing_else() {
    let (coroutines, dropped) = (Coroutines::new(), Counter::default());
    let value = PanicsWhenDropped(dropped.clone());
    drop(coroutines.spawn(async { value }));
    drop(coroutines.spawn(async { panic_any(PanickingPayload) }));
    assert_eq!(stepped(coroutines.tick()), 2);
    assert_eq!((dropped.get(), coroutines.len()), (1, 0));
}

#[test]
fn a_waker_that_panics_does_not_keep_others_from_being_woken() {
    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic_any(PanickingPayload);
        }
    }

    let coroutines = Coroutines::new();
    let waker = Waker::from(Arc::new(Panics));
    let mut coroutine = coroutines.spawn(async { 1 });
    assert!(Pin::new(&mut coroutine).poll(&mut Context::from_waker(&waker)).is_pending());
    let registered = coroutines.spawn(std::future::poll_fn(move |_| {
        let mut frames = Box::pin(frames(1));
        let mut context = Context::from_waker(&waker);
        assert!(frames.as_mut().poll(&mut context).is_pending());
        Poll::Ready(frames)
    }));
    let neighbour = coroutines.spawn(frames(1));
    coroutines.tick();
    coroutines.tick();
    assert!(coroutine.is_finished() && registered.is_finished() && neighbour.is_finished());
}

// Other threads.

#[test]
fn coroutines_are_woken_by_other_threads_at_any_moment() {
    for _ in 0..20 {
        let coroutines = Coroutines::new();
        let (sender, events) = mpsc::channel::<Event>();
        let setters: Vec<_> = {
            let events = Arc::new(std::sync::Mutex::new(events));
            (0..2)
                .map(|_| {
                    let events = events.clone();
                    thread::spawn(move || {
                        while let Ok(event) = { events.lock().unwrap().recv() } {
                            event.set();
                        }
                    })
                })
                .collect()
        };
        let rounds: Vec<_> = (0..10)
            .map(|_| {
                let sender = sender.clone();
                coroutines.spawn(async move {
                    for _ in 0..20 {
                        let event = Event::default();
                        sender.send(event.clone()).expect("the setters are receiving");
                        event.happens().await;
                    }
                })
            })
            .collect();
        drop(sender);
        while !coroutines.is_empty() {
            coroutines.tick();
            thread::yield_now();
        }
        assert!(rounds.iter().all(Coroutine::is_finished));
        setters.into_iter().for_each(|setter| setter.join().expect("setting does not panic"));
    }
}

#[test]
fn a_loop_is_dropped_while_other_threads_wake_its_coroutines() {
    for round in 0..100 {
        let (coroutines, dropped) = (Coroutines::new(), Counter::default());
        let wakers = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..4 {
            let (wakers, on_drop) = (wakers.clone(), dropped.on_drop());
            drop(coroutines.spawn(async move {
                let _on_drop = on_drop;
                let waker = own_waker().await;
                wakers.borrow_mut().push(waker);
                std::future::pending::<()>().await;
            }));
        }
        coroutines.tick();
        let begin = std::sync::Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                let wakers = wakers.borrow().clone();
                let begin = &begin;
                scope.spawn(move || {
                    begin.wait();
                    for _ in 0..20 {
                        wakers.iter().for_each(Waker::wake_by_ref);
                    }
                });
            }
            begin.wait();
            if round % 2 == 0 {
                coroutines.tick();
            }
            drop(coroutines);
            assert_eq!(dropped.get(), 4, "the coroutines were not dropped on this thread");
        });
        // Wakes after the drop of the loop have no effect either.
        wakers.take().into_iter().for_each(Waker::wake);
        assert_eq!(dropped.get(), 4);
    }
}

#[test]
fn wakers_of_finished_coroutines_wake_nothing() {
    let coroutines = Coroutines::new();
    let wakers = Rc::new(RefCell::new(Vec::new()));
    let spawn = || {
        let wakers = wakers.clone();
        coroutines.spawn(async move {
            let waker = own_waker().await;
            wakers.borrow_mut().push(waker);
            next_frame().await;
        })
    };
    let (finished, cancelled) = (spawn(), spawn());
    coroutines.tick();
    cancelled.cancel();
    coroutines.tick();
    assert!(finished.is_finished() && cancelled.is_finished());
    let wakers = wakers.take();
    wakers.iter().for_each(Waker::wake_by_ref);
    assert_eq!(coroutines.tick(), TickReport::default());
    thread::spawn(move || wakers.into_iter().for_each(Waker::wake))
        .join()
        .expect("no waker panics");
    assert_eq!(coroutines.tick(), TickReport::default());
}

// Bad input.

#[test]
fn awaiting_a_call_whose_result_was_taken_is_an_error() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let mut call = Future::new(async { Ok(1) });
    assert_eq!(call.wait()?, 1);
    let mut twice = Future::new(async { Ok(2) });
    let taken = coroutines.spawn(call);
    let awaited_twice = coroutines.spawn(async move {
        assert_eq!((&mut twice).await?, 2);
        twice.await
    });
    coroutines.tick();
    assert!(matches!(result(taken)?, Err(Error::ResultTaken)));
    assert!(matches!(result(awaited_twice)?, Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn awaiting_a_coroutine_whose_value_was_taken_is_an_error() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let mut inner = coroutines.spawn(async { 1 });
    let waits = coroutines.spawn(async move {
        assert_eq!((&mut inner).await?, 1);
        inner.await
    });
    frames_until_finished(&coroutines, &waits);
    assert!(matches!(result(waits)?, Err(Error::ResultTaken)));
    Ok(())
}

#[test]
fn a_job_handle_may_be_awaited_twice() -> Result<(), Error> {
    let (coroutines, pool) = (Coroutines::new(), Queue::default());
    let coroutine = coroutines.spawn({
        let pool = pool.clone();
        async move {
            let mut call = Future::new(async { Ok(1) });
            let mut handle = pool.submit(call.to_job()?);
            (&mut handle).await;
            (&mut handle).await;
            handle.await;
            call.await
        }
    });
    coroutines.tick();
    pool.run();
    assert_eq!(frames_until_finished(&coroutines, &coroutine), 1);
    assert_eq!(result(coroutine)??, 1);
    Ok(())
}

#[test]
fn a_call_that_a_coroutine_has_begun_to_await_may_still_be_made_a_job() -> Result<(), Error> {
    let (coroutines, pool, event) = (Coroutines::new(), Queue::default(), Event::default());
    let waits = Flag::default();
    let coroutine = coroutines.spawn({
        let (pool, happens, waits) = (pool.clone(), event.happens(), waits.clone());
        async move {
            let mut call = Future::new(ok(notifying(move || waits.set(), happens)));
            let wakes = Arc::new(Counter::default());
            assert!(poll_once(&mut call, &wakes).is_pending());
            // While the call is a job, it cannot become another job, and awaiting it waits for the job.
            let handle = pool.submit(call.to_job()?);
            assert!(matches!(call.to_job(), Err(Error::InJob)));
            call.await?;
            Ok::<_, Error>((handle.is_complete(), wakes.get()))
        }
    });
    coroutines.tick();
    assert!(waits.is_set());
    pool.run();
    ticks(&coroutines, 3);
    assert!(!coroutine.is_finished());
    event.set();
    pool.run();
    assert_eq!(frames_until_finished(&coroutines, &coroutine), 1);
    assert_eq!(result(coroutine)??, (true, 0));
    Ok(())
}

#[test]
fn ten_thousand_coroutines_wait_for_ten_thousand_frames() {
    let (coroutines, polls) = (Coroutines::new(), Counter::default());
    for n in 0..10_000_u64 {
        drop(coroutines.spawn(counted(&polls, frames(n))));
    }
    assert_eq!(stepped(coroutines.tick()), 10_000);
    for n in 1..10_000 {
        assert_eq!(coroutines.len(), 10_000 - n);
        assert_eq!(stepped(coroutines.tick()), 1);
    }
    assert!(coroutines.is_empty());
    assert_eq!(polls.get(), 2 * 10_000 - 1);
}
