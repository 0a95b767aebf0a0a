//! Waiting until jobs are idle: over, or waiting and not woken, all at one moment.

use crate::support::{Counter, Event, Flag, Queue, at_once, block_on, poll_once, workers};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use wasm_jobs::{
    Clock, Error, Future, JobHandle, JobOutcome, JobPool, ManualClock, next_frame, yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// A call that waits for the event, submitted to the queue.
fn submit_waiting(queue: &Queue, event: &Event) -> Result<(Future<()>, JobHandle), Error> {
    let mut call = Future::new(event.awaited());
    let job = queue.submit(call.to_job()?);
    Ok((call, job))
}

#[test]
fn a_job_is_idle_when_it_waits_and_when_it_is_over_and_not_in_a_queue() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (call, job) = submit_waiting(&queue, &event)?;
    assert!(!job.is_idle(), "it is in the queue");
    queue.run();
    assert!(job.is_idle() && !job.is_complete());
    event.set();
    assert!(!job.is_idle(), "it is in the queue again");
    queue.run();
    assert!(job.is_idle() && job.is_complete());
    drop(call);
    assert!(job.is_idle());
    Ok(())
}

#[test]
fn a_job_in_a_step_or_after_a_yield_is_not_idle() -> Result<(), Error> {
    let queue = Queue::default();
    let (entered, has_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let mut call = Future::new(async move {
        entered.send(()).expect("the test listens");
        may_leave.recv().expect("the test goes on");
        loop {
            yield_now().await;
        }
        #[expect(unreachable_code, reason = "for the type")]
        Ok(())
    });
    let job = queue.submit(call.to_job()?);
    let running = thread::spawn({
        let queue = queue.clone();
        move || queue.pop().expect("it was submitted").turn()
    });
    has_entered.recv().expect("the job runs");
    assert!(!job.is_idle());
    leave.send(()).expect("the job listens");
    let next = running.join().expect("a turn does not panic");
    assert!(next.is_some() && !job.is_idle());
    drop(next);
    assert!(job.is_idle(), "its pool has dropped it");
    Ok(())
}

#[test]
fn a_job_that_was_woken_for_nothing_is_idle_again_after_its_step() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_call, job) = submit_waiting(&queue, &event)?;
    // More wakes than the state notes bits of.
    for _ in 0..1000 {
        queue.run();
        assert!(job.is_idle());
        event.wake_for_nothing();
        event.wake_for_nothing();
        assert!(!job.is_idle());
    }
    Ok(())
}

#[test]
fn a_job_that_is_cancelled_or_dropped_by_its_pool_is_idle() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_call, cancelled) = submit_waiting(&queue, &event)?;
    queue.run();
    cancelled.cancel();
    assert!(cancelled.is_idle());
    let (_call, dropped) = submit_waiting(&queue, &event)?;
    drop(queue.pop());
    assert!(dropped.is_idle());
    Ok(())
}

#[test]
fn a_handle_of_a_job_that_was_given_back_says_nothing_about_the_next_job_of_its_call()
-> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (mut call, first) = submit_waiting(&queue, &event)?;
    drop(queue.pop());
    let second = queue.submit(call.to_job()?);
    assert!(first.is_idle() && !second.is_idle());
    queue.run();
    assert!(first.is_idle() && second.is_idle());
    Ok(())
}

#[test]
fn jobs_are_idle_together_when_each_one_is() -> Result<(), Error> {
    let (queue, events) = (Queue::default(), [(); 3].map(|()| Event::default()));
    let submitted = events.iter().map(|event| submit_waiting(&queue, event));
    let (_calls, jobs): (Vec<_>, Vec<_>) =
        submitted.collect::<Result<Vec<_>, Error>>()?.into_iter().unzip();
    let pair = JobHandle::all(jobs[..2].to_vec());
    let all = JobHandle::all([pair.clone(), jobs[2].clone(), jobs[0].clone()]);
    let any = JobHandle::any([pair.clone(), jobs[2].clone()]);
    for _ in 0..2 {
        assert!(!all.is_idle() && !any.is_idle());
        queue.pop().expect("the first").run();
        queue.pop().expect("the second").run();
        assert!(pair.is_idle() && !all.is_idle() && !any.is_idle());
        queue.run();
        assert!(all.is_idle() && any.is_idle());
        events.iter().for_each(Event::set);
    }
    assert!(JobHandle::all([]).is_idle() && JobHandle::any([]).is_idle());
    Ok(())
}

#[test]
fn a_job_that_waits_for_others_is_idle_while_they_are_not_over() -> Result<(), Error> {
    let (queue, event, ran) = (Queue::default(), Event::default(), Counter::default());
    let (_call, first) = submit_waiting(&queue, &event)?;
    let counts = ran.clone();
    let closure = queue.submit_after(move || counts.add(), std::slice::from_ref(&first));
    let mut last = Future::new(async { Ok(()) });
    let last_job = queue.submit_after(last.to_job()?, std::slice::from_ref(&closure));
    assert!(closure.is_idle() && last_job.is_idle());
    let all = JobHandle::all([first.clone(), closure.clone(), last_job.clone()]);
    queue.run();
    assert!(all.is_idle());
    event.set();
    assert!(!all.is_idle());
    queue.pop().expect("the first").run();
    assert!(!closure.is_idle() && last_job.is_idle() && !all.is_idle());
    queue.pop().expect("the closure").run();
    assert!(closure.is_idle() && !last_job.is_idle() && !all.is_idle());
    queue.run();
    assert!(all.is_idle() && all.is_complete());
    // A closure by itself is never deferred.
    let alone = queue.submit_fn(|| ());
    assert!(!alone.is_idle());
    Ok(())
}

#[test]
fn a_thread_waits_until_a_job_waits_and_until_it_is_over() -> Result<(), Error> {
    let pool = workers(2);
    for _ in 0..300 {
        let event = Event::default();
        let mut call = Future::new(event.awaited());
        let job = pool.submit(call.to_job()?);
        job.wait_until_idle();
        assert!(!job.is_complete());
        event.set();
        job.wait_until_idle();
        assert!(job.is_complete());
        assert_eq!(call.try_get_result()?, Some(()));
    }
    Ok(())
}

/// Each job is woken by the last one, so at each moment but the end just one of them is not idle.
#[test]
fn jobs_that_wake_each_other_in_a_row_are_idle_together_only_at_the_end() -> Result<(), Error> {
    const JOBS: usize = 6;
    let pool = workers(2);
    for _ in 0..300 {
        let events: Vec<_> = (0..=JOBS).map(|_| Event::default()).collect();
        let ended = Counter::default();
        let mut calls: Vec<_> = (0..JOBS)
            .map(|job| {
                let (happens, next) = (events[job].happens(), events[job + 1].clone());
                let ended = ended.clone();
                Future::new(async move {
                    happens.await;
                    yield_now().await;
                    ended.add();
                    next.set();
                    Ok(())
                })
            })
            .collect();
        // The first jobs of the list are woken last.
        let runners = calls.iter_mut().rev().map(Future::to_job);
        let all = pool.submit_all(runners.collect::<Result<Vec<_>, Error>>()?);
        all.wait_until_idle();
        assert_eq!(ended.get(), 0);
        events[0].set();
        all.wait_until_idle();
        assert_eq!(ended.get(), JOBS);
    }
    Ok(())
}

#[test]
fn jobs_that_await_each_others_handles_are_idle_together_only_at_the_end() -> Result<(), Error> {
    let pool = workers(2);
    for _ in 0..300 {
        let event = Event::default();
        let mut first = Future::new(event.awaited());
        let first_job = pool.submit(first.to_job()?);
        let awaited = first_job.clone();
        let mut second = Future::new(async {
            awaited.await;
            Ok(())
        });
        let second_job = pool.submit(second.to_job()?);
        let both = JobHandle::all([first_job.clone(), second_job.clone()]);
        let mut third = Future::new(async {
            both.await;
            Ok(())
        });
        let third_job = pool.submit(third.to_job()?);
        let after = pool.submit_after(|| (), std::slice::from_ref(&first_job));
        let all = JobHandle::all([third_job, after, second_job, first_job]);
        all.wait_until_idle();
        assert!(!all.is_complete());
        event.set();
        all.wait_until_idle();
        assert!(all.is_complete());
    }
    Ok(())
}

#[test]
fn several_threads_wait_until_the_same_jobs_are_idle() -> Result<(), Error> {
    let pool = workers(2);
    for _ in 0..100 {
        let event = Event::default();
        let mut calls = [(); 3].map(|()| Future::new(event.awaited()));
        let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, Error>>()?;
        let all = pool.submit_all(runners);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| all.wait_until_idle());
            }
        });
        assert!(all.is_idle() && !all.is_complete());
        event.set();
        all.wait();
    }
    Ok(())
}

#[test]
fn what_a_job_wrote_before_it_waits_is_seen_by_the_thread_that_waited() -> Result<(), Error> {
    let pool = workers(1);
    for round in 0..300 {
        let (event, written) = (Event::default(), Arc::new(std::sync::atomic::AtomicU32::new(0)));
        let (happens, writes) = (event.happens(), written.clone());
        let mut call = Future::new(async move {
            writes.store(round, std::sync::atomic::Ordering::Relaxed);
            happens.await;
            Ok(())
        });
        let job = pool.submit(call.to_job()?);
        job.wait_until_idle();
        assert_eq!(written.load(std::sync::atomic::Ordering::Relaxed), round);
    }
    Ok(())
}

#[test]
fn awaiting_until_jobs_are_idle_wakes_the_task() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_call, job) = submit_waiting(&queue, &event)?;
    let (mut idle, wakes) = (Box::pin(job.until_idle()), Arc::new(Counter::default()));
    assert!(poll_once(&mut idle, &wakes).is_pending());
    assert!(poll_once(&mut idle, &wakes).is_pending());
    assert_eq!(wakes.get(), 0);
    queue.run();
    assert_eq!(wakes.get(), 1);
    assert!(poll_once(&mut idle, &wakes).is_ready());
    event.set();
    let mut idle = Box::pin(job.until_idle());
    assert!(poll_once(&mut idle, &wakes).is_pending());
    queue.run();
    assert_eq!(wakes.get(), 2);
    block_on(idle);
    Ok(())
}

#[test]
fn a_wait_that_is_dropped_is_not_woken() -> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_call, job) = submit_waiting(&queue, &event)?;
    let wakes = Arc::new(Counter::default());
    let mut idle = Box::pin(job.until_idle());
    assert!(poll_once(&mut idle, &wakes).is_pending());
    drop(idle);
    queue.run();
    event.set();
    queue.run();
    assert!(job.is_complete());
    assert_eq!(wakes.get(), 0);
    assert_eq!(Arc::strong_count(&wakes), 1, "its waker was dropped with it");
    Ok(())
}

#[test]
fn a_thread_that_waits_until_a_job_is_idle_does_not_disturb_those_that_wait_for_its_end()
-> Result<(), Error> {
    let (queue, event) = (Queue::default(), Event::default());
    let (_call, mut job) = submit_waiting(&queue, &event)?;
    let (ends, idles) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let mut idle = Box::pin(job.until_idle());
    assert!(poll_once(&mut job, &ends).is_pending());
    assert!(poll_once(&mut idle, &idles).is_pending());
    queue.run();
    assert_eq!((ends.get(), idles.get()), (0, 1));
    event.set();
    queue.run();
    assert_eq!(ends.get(), 1);
    Ok(())
}

#[test]
fn a_simulation_on_many_threads_ticks_when_all_of_its_jobs_are_idle() -> Result<(), Error> {
    let mut runs = Vec::new();
    for threads in [1, 2, 4] {
        let (pool, clock) = (workers(threads), ManualClock::new());
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut calls: Vec<_> = (1..=10_u64)
            .map(|sleeper| {
                let (clock, log) = (clock.clone(), log.clone());
                Future::new(async move {
                    for _ in 0..3 {
                        clock.sleep(SECOND * sleeper as u32).await;
                        next_frame().await;
                        log.lock().expect("nobody panics").push((clock.now(), sleeper));
                    }
                    Ok(())
                })
            })
            .collect();
        let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, Error>>()?;
        let all = pool.submit_all(runners);
        loop {
            all.wait_until_idle();
            if all.is_complete() {
                break;
            }
            clock.tick(SECOND);
        }
        assert_eq!(clock.now(), 30 * SECOND);
        let mut log = std::mem::take(&mut *log.lock().expect("nobody panics"));
        log.sort_unstable();
        runs.push(log);
    }
    assert!(runs.iter().all(|run| *run == runs[0] && run.len() == 30));
    Ok(())
}

#[test]
fn a_thread_waits_until_as_many_calls_sleep() -> Result<(), Error> {
    let (pool, clock) = (workers(2), ManualClock::new());
    clock.wait_for_sleepers(0);
    for round in 1..=100 {
        let mut calls = [(); 3].map(|()| {
            let clock = clock.clone();
            Future::new(async move {
                clock.sleep(SECOND).await;
                Ok(())
            })
        });
        let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, Error>>()?;
        let all = pool.submit_all(runners);
        thread::scope(|scope| {
            scope.spawn(|| clock.wait_for_sleepers(1));
            scope.spawn(|| clock.wait_for_sleepers(3));
        });
        assert_eq!(clock.sleepers(), 3);
        clock.tick(SECOND);
        all.wait();
        assert_eq!(clock.now(), SECOND * round);
    }
    Ok(())
}

#[test]
fn a_pool_without_a_queue_runs_a_job_to_its_wait_before_anyone_asks() -> Result<(), Error> {
    let (event, flag) = (Event::default(), Flag::default());
    let (happens, sets) = (event.happens(), flag.clone());
    let mut call = Future::new(async move {
        happens.await;
        sets.set();
        Ok(())
    });
    let job = at_once.submit(call.to_job()?);
    job.wait_until_idle();
    assert!(!flag.is_set());
    event.set();
    job.wait_until_idle();
    assert!(flag.is_set());
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn a_worker_of_a_pool_of_one_thread_helps_until_the_other_jobs_are_idle() {
    use crate::support::assert_ends;

    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let pool = Arc::new(pool);
    assert_ends(move |_| {
        let (inner, clock) = (pool.clone(), ManualClock::new());
        let outer = pool.submit_fn(move || {
            let mut calls = [(); 3].map(|()| {
                let clock = clock.clone();
                Future::new(async move {
                    clock.sleep(SECOND).await;
                    Ok(())
                })
            });
            let runners = calls.iter_mut().map(|call| call.to_job().expect("it was not lent"));
            let all = inner.submit_all(runners);
            all.wait_until_idle();
            assert_eq!(clock.sleepers(), 3);
            clock.tick(SECOND);
            all.wait_until_idle();
            assert!(all.is_complete());
        });
        outer.wait();
        assert_eq!(outer.outcome(), Some(wasm_jobs::JobOutcome::Succeeded));
    });
}

/// What a call holds. Its destructor tells the test that it runs, and then waits for the test.
struct SlowToDrop(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Drop for SlowToDrop {
    fn drop(&mut self) {
        self.0.send(()).expect("the test listens");
        self.1.recv().expect("the test goes on");
    }
}

#[test]
fn a_job_that_is_being_cancelled_is_not_idle_until_that_is_over() -> Result<(), Error> {
    for is_deferred in [false, true] {
        let (queue, never) = (Queue::default(), Event::default());
        let (_first_call, first) = submit_waiting(&queue, &never)?;
        let (drops, is_dropping) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let held = SlowToDrop(drops, may_go_on);
        let mut call = Future::new({
            let never = never.awaited();
            async move {
                let _held = held;
                never.await
            }
        });
        let runner = call.to_job()?;
        let job =
            if is_deferred { queue.submit_after(runner, &[first]) } else { queue.submit(runner) };
        queue.run();
        assert!(job.is_idle());
        let cancelling = thread::spawn({
            let job = job.clone();
            move || job.cancel()
        });
        is_dropping.recv().expect("the call is dropped");
        assert!(!job.is_idle(), "deferred: {is_deferred}");
        go_on.send(()).expect("the destructor waits");
        cancelling.join().expect("it does not panic");
        assert!(job.is_idle() && job.is_complete());
    }
    Ok(())
}

#[test]
fn the_handle_of_all_does_not_forget_the_losers_of_any() -> Result<(), Error> {
    let (queue, never) = (Queue::default(), Event::default());
    let (_lost_call, lost) = submit_waiting(&queue, &never)?;
    let mut wins = Future::new(async { Ok(()) });
    let won = queue.submit(wins.to_job()?);
    let early = JobHandle::any([lost.clone(), won]);
    let before = JobHandle::all([early.clone()]);
    queue.run();
    assert!(early.is_complete() && !lost.is_complete());
    let after = JobHandle::all([early.clone()]);
    let of_any = JobHandle::any([early.clone()]);
    drop(early);
    never.set();
    for handle in [&before, &after, &of_any] {
        assert!(handle.is_complete() && !handle.is_idle(), "the loser is in the queue");
    }
    before.cancel();
    assert_eq!(lost.outcome(), Some(JobOutcome::Cancelled));
    Ok(())
}
