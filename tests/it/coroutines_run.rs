//! Bringing all coroutines of a loop to their ends, without a frame loop.

use crate::support::{Counter, Event, Flag, Queue, counted, workers};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::thread;
use std::time::Duration;
use wasm_jobs::{
    Clock, Coroutines, Error, Future, JobPool, RealtimeClock, frames, next_frame, yield_now,
};

#[test]
fn a_loop_without_coroutines_is_over_at_once() {
    let coroutines = Coroutines::new();
    coroutines.run();
    assert!(coroutines.is_empty());
}

#[test]
fn coroutines_that_yield_and_count_frames_go_on_without_a_frame_loop() {
    let coroutines = Coroutines::new();
    let order = Rc::new(RefCell::new(Vec::new()));
    for (name, count) in [("long", u64::MAX / 2), ("short", 3), ("none", 0)] {
        let order = order.clone();
        drop(coroutines.spawn(async move {
            frames(count).await;
            next_frame().await;
            order.borrow_mut().push(name);
        }));
    }
    coroutines.run();
    assert_eq!(*order.borrow(), ["none", "short", "long"]);
}

#[test]
fn a_coroutine_that_waits_is_not_polled_until_another_thread_wakes_it() -> Result<(), Error> {
    let (coroutines, event, polls) = (Coroutines::new(), Event::default(), Counter::default());
    let mut waits = coroutines.spawn(counted(&polls, event.happens()));
    let is_polled = polls.clone();
    let setting = thread::spawn(move || {
        while is_polled.get() == 0 {
            thread::yield_now();
        }
        event.set();
    });
    coroutines.run();
    setting.join().expect("it sets the event");
    assert_eq!(waits.try_get_result()?, Some(()));
    assert!(polls.get() <= 2);
    Ok(())
}

#[test]
fn a_loop_whose_coroutines_all_wait_sleeps() {
    let coroutines = Coroutines::new();
    drop(coroutines.spawn(RealtimeClock.sleep(Duration::from_millis(300))));
    let before = ticks_of_this_thread();
    coroutines.run();
    let used = ticks_of_this_thread() - before;
    assert!(used <= 10, "it used {used} hundredths of a second of its CPU");
}

/// The CPU time of this thread, in hundredths of a second; always zero where there is no `/proc`.
fn ticks_of_this_thread() -> u64 {
    let Ok(stat) = std::fs::read_to_string("/proc/thread-self/stat") else { return 0 };
    let fields = stat.rsplit(')').next().expect("the name is in parentheses");
    let fields: Vec<_> = fields.split_whitespace().collect();
    [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[test]
fn coroutines_await_jobs_and_spawn_others_while_they_are_brought_to_their_ends() {
    fn spawn(on: &Rc<Coroutines>, pool: impl JobPool, finished: Counter, depth: u32) {
        let again: Weak<Coroutines> = Rc::downgrade(on);
        drop(on.spawn(async move {
            let mut call = Future::new(async {
                yield_now().await;
                Ok(())
            });
            pool.submit(call.to_job()?).await;
            if let (Some(on), true) = (again.upgrade(), depth > 0) {
                spawn(&on, pool.clone(), finished.clone(), depth - 1);
                spawn(&on, pool, finished.clone(), depth - 1);
            }
            finished.add();
            call.await
        }));
    }
    let (coroutines, finished) = (Rc::new(Coroutines::new()), Counter::default());
    spawn(&coroutines, workers(2), finished.clone(), 6);
    coroutines.run();
    assert_eq!(finished.get(), 127);
    assert!(coroutines.is_empty());
}

#[test]
fn running_a_loop_inside_one_of_its_coroutines_does_nothing() -> Result<(), Error> {
    let coroutines = Rc::new(Coroutines::new());
    let outer = Rc::downgrade(&coroutines);
    let mut runs = coroutines.spawn(async move {
        let coroutines = outer.upgrade().expect("it is running");
        coroutines.run();
        coroutines.len()
    });
    coroutines.run();
    assert_eq!(runs.try_get_result()?, Some(1));
    Ok(())
}

#[test]
fn a_loop_is_run_inside_a_coroutine_of_another_one() -> Result<(), Error> {
    let coroutines = Coroutines::new();
    let mut outer = coroutines.spawn(async {
        let coroutines = Coroutines::new();
        let mut inner = coroutines.spawn(async {
            frames(2).await;
            7
        });
        coroutines.run();
        inner.try_get_result()
    });
    coroutines.run();
    assert_eq!(outer.try_get_result()?.expect("it has finished")?, Some(7));
    Ok(())
}

#[test]
fn a_coroutine_that_panics_does_not_keep_the_others_from_their_ends() {
    let (coroutines, flag) = (Coroutines::new(), Flag::default());
    let mut panics = coroutines.spawn(async { panic!("this coroutine panics") });
    let sets = flag.clone();
    drop(coroutines.spawn(async move {
        next_frame().await;
        sets.set();
    }));
    coroutines.run();
    assert!(flag.is_set());
    assert!(matches!(panics.try_get_result(), Err::<Option<()>, _>(Error::Panic(_))));
}

#[test]
fn what_a_frame_within_a_budget_did_not_reach_is_run_too() {
    let (coroutines, ran) = (Coroutines::new(), Counter::default());
    for _ in 0..3 {
        let ran = ran.clone();
        drop(coroutines.spawn(async move { ran.add() }));
    }
    assert_eq!(coroutines.tick_within(Duration::ZERO).unreached, 3);
    coroutines.run();
    assert_eq!(ran.get(), 3);
}

#[test]
fn wakes_of_many_threads_are_all_seen_by_a_loop_that_falls_asleep() -> Result<(), Error> {
    for _ in 0..100 {
        let (coroutines, queue) = (Coroutines::new(), Queue::default());
        for _ in 0..4 {
            let mut call = Future::new(async { Ok(()) });
            let job = queue.submit(call.to_job()?);
            drop(coroutines.spawn(async move {
                job.await;
                call.await
            }));
        }
        let spawn = |_| {
            let queue = queue.clone();
            thread::spawn(move || queue.run())
        };
        let threads = [0, 1].map(spawn);
        coroutines.run();
        for thread in threads {
            thread.join().expect("running a job does not panic");
        }
    }
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn a_worker_of_a_pool_of_one_thread_helps_while_its_coroutines_wait_for_jobs_of_that_pool() {
    use crate::support::assert_ends;
    use std::sync::Arc;

    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let pool = Arc::new(pool);
    assert_ends(move |_| {
        let inner = pool.clone();
        pool.install(move || {
            let coroutines = Coroutines::new();
            let mut answer = coroutines.spawn(async move {
                let mut call = Future::new(async { Ok(42) });
                inner.submit(call.to_job()?).await;
                call.await
            });
            coroutines.run();
            let answer = answer.try_get_result().expect("it did not panic");
            assert_eq!(answer.expect("it has finished").expect("a number"), 42);
        });
    });
}
