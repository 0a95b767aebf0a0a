//! Finishing calls on pools that a user writes: a closure, a channel, a queue run by hand.

use crate::support::{
    Counter, Event, Flag, Queue, a_thread_each, alarm_clock, at_once, counted, stack_pointer,
    workers, yields_until,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use wasm_jobs::{Error, Future, Job, JobHandle, JobPool, Step, yield_now};

#[test]
fn a_thread_for_each_job() -> Result<(), Error> {
    let owner = thread::current().id();
    let mut future = Future::new(async move {
        for _ in 0..1_000 {
            yield_now().await;
            assert_ne!(thread::current().id(), owner);
        }
        Ok("on threads of its own")
    });
    a_thread_each.submit(future.to_job()?).wait();
    assert_eq!(future.try_get_result()?, Some("on threads of its own"));
    Ok(())
}

#[test]
fn a_worker_behind_a_channel() -> Result<(), Error> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let worker = thread::spawn(move || jobs.into_iter().for_each(Job::run));
    let pool = move |job: Job| sender.send(job).expect("the worker is receiving");

    let mut futures: Vec<_> = (0..100)
        .map(|n| {
            Future::new(async move {
                for _ in 0..n {
                    yield_now().await;
                }
                Ok(n)
            })
        })
        .collect();
    let jobs = futures.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
    JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?).wait();
    for (n, future) in futures.iter_mut().enumerate() {
        assert_eq!(future.try_get_result()?, Some(n));
    }
    drop(pool);
    assert!(worker.join().is_ok(), "something keeps a pool without jobs");
    Ok(())
}

#[test]
fn a_job_that_yields_a_million_times_on_a_pool_that_runs_it_at_once_needs_no_more_stack()
-> Result<(), Error> {
    let mut future = Future::new(async {
        let (mut lowest, mut highest) = (usize::MAX, 0);
        for _ in 0..1_000_000 {
            lowest = lowest.min(stack_pointer());
            highest = highest.max(stack_pointer());
            yield_now().await;
        }
        Ok(highest - lowest)
    });
    let handle = at_once.submit(future.to_job()?);
    assert!(handle.is_complete());
    let used = future.wait()?;
    assert!(used < 16 * 1024, "{used} bytes between the first turn and the last");
    Ok(())
}

#[test]
fn a_job_on_a_pool_that_runs_it_at_once_goes_on_where_it_is_woken() -> Result<(), Error> {
    let (at_an_event, next_event) = mpsc::channel::<Event>();
    let mut future = Future::new(async move {
        let mut threads = vec![thread::current().id()];
        for _ in 0..3 {
            let event = Event::default();
            at_an_event.send(event.clone()).expect("the test is receiving");
            event.happens().await;
            yield_now().await;
            threads.push(thread::current().id());
        }
        Ok(threads)
    });
    let handle = at_once.submit(future.to_job()?);
    let woken_by = next_event.into_iter().map(|event| {
        let waking = thread::spawn(move || {
            event.set();
            thread::current().id()
        });
        waking.join().expect("the job does not panic")
    });
    let threads: Vec<_> = std::iter::once(thread::current().id()).chain(woken_by).collect();
    assert!(handle.is_complete());
    assert_eq!(future.wait()?, threads);
    Ok(())
}

// Stacks are small only with guests. Only then do nested jobs get stacks of their own.
#[cfg(feature = "wasm")]
#[test]
fn a_job_woken_at_once_inside_a_step_of_another_is_not_on_its_stack() -> Result<(), Error> {
    let event = Event::default();
    let waits = event.happens();
    let mut woken = Future::new(async {
        waits.await;
        Ok((thread::current().id(), stack_pointer()))
    });
    let handle = at_once.submit(woken.to_job()?);
    let mut waking = Future::new(async move {
        event.set();
        Ok((handle.is_complete(), thread::current().id(), stack_pointer()))
    });
    let (was_complete, thread, outer) = waking.wait()?;
    let (thread_of_woken, inner) = woken.wait()?;
    assert!(was_complete);
    assert_eq!(thread_of_woken, thread);
    assert!(inner.abs_diff(outer) > 1 << 20, "{inner:#x} is on the stack of {outer:#x}");
    Ok(())
}

// Stacks are small only with guests. Only then do nested jobs get stacks of their own.
#[cfg(feature = "wasm")]
#[test]
fn jobs_submitted_at_once_inside_each_other_have_stacks_of_their_own() -> Result<(), Error> {
    let (mut futures, mut runner) = (Vec::new(), None::<wasm_jobs::FutureRunner<usize>>);
    // From the innermost call outwards: each call submits the one made before it.
    for _ in 0..5 {
        let inner = runner.take();
        let mut future = Future::new(async {
            let handle = inner.map(|inner| at_once.submit(inner));
            assert!(handle.is_none_or(|handle| handle.is_complete()));
            Ok(stack_pointer())
        });
        runner = Some(future.to_job()?);
        futures.push(future);
    }
    at_once.submit(runner.expect("the outermost call was made"));
    let places = futures.iter_mut().map(Future::wait).collect::<Result<Vec<_>, _>>()?;
    for (n, &at) in places.iter().enumerate() {
        assert!(places[..n].iter().all(|other| at.abs_diff(*other) > 1 << 20), "{places:#x?}");
    }
    Ok(())
}

#[test]
fn two_jobs_that_wake_each_other_at_once() -> Result<(), Error> {
    const ROUNDS: usize = 10_000;
    let turn = Arc::new((AtomicUsize::new(0), Mutex::new([const { None }; 2])));
    let player = |me: usize| {
        let turn = turn.clone();
        Future::new(std::future::poll_fn(move |context| {
            let (turn, wakers) = &*turn;
            wakers.lock().unwrap()[me] = Some(context.waker().clone());
            let now = turn.load(SeqCst);
            if now >= ROUNDS {
                return Poll::Ready(Ok(now));
            }
            if now % 2 == me {
                turn.store(now + 1, SeqCst);
                let other = wakers.lock().unwrap()[1 - me].clone();
                if let Some(other) = other {
                    std::task::Waker::wake(other);
                }
                if now + 1 >= ROUNDS {
                    return Poll::Ready(Ok(now + 1));
                }
            }
            Poll::Pending
        }))
    };
    let (mut ping, mut pong) = (player(0), player(1));
    let handles = [at_once.submit(ping.to_job()?), at_once.submit(pong.to_job()?)];
    JobHandle::all(handles).wait();
    assert_eq!((ping.wait()?, pong.wait()?), (ROUNDS, ROUNDS));
    Ok(())
}

#[test]
fn a_pool_that_drops_its_jobs_gives_them_back() -> Result<(), Error> {
    let (polls, refusing) = (Counter::default(), |job: Job| drop(job));
    let mut future = Future::new(counted(&polls, async { Ok("done by its owner") }));
    for _ in 0..3 {
        let handle = refusing.submit(future.to_job()?);
        assert!(handle.is_complete());
        handle.wait();
        assert!(!future.has_result());
    }
    assert_eq!(polls.get(), 0);
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some("done by its owner"));
    Ok(())
}

#[test]
fn a_pool_that_drops_a_job_when_it_is_woken_gives_it_back() -> Result<(), Error> {
    let (spawns, event) = (Counter::default(), Event::default());
    let runs_the_first_turn = {
        let spawns = spawns.clone();
        move |job: Job| {
            spawns.add();
            if spawns.get() == 1 {
                job.run();
            }
        }
    };
    let mut future = Future::new(event.awaited());
    let handle = runs_the_first_turn.submit(future.to_job()?);
    assert!(!handle.is_complete());
    event.set();
    assert_eq!(spawns.get(), 2);
    assert!(handle.is_complete());
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn an_owner_waiting_for_a_job_that_its_pool_drops_goes_on_itself() -> Result<(), Error> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let pool = move |job: Job| sender.send(job).expect("the other thread is receiving");
    let mut future = Future::new(async { Ok(thread::current().id()) });
    pool.submit(future.to_job()?);
    let dropping = thread::spawn(move || drop(jobs.recv()));
    assert_eq!(future.wait()?, thread::current().id());
    assert!(dropping.join().is_ok());
    Ok(())
}

#[test]
fn a_job_has_a_turn_that_ends_when_the_call_waits_or_is_over() -> Result<(), Error> {
    let (polls, event, queue) = (Counter::default(), Event::default(), Queue::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    let handle = queue.submit(future.to_job()?);

    assert!(queue.pop().expect("the job was submitted").turn().is_none());
    assert_eq!((queue.len(), polls.get()), (0, 1), "a waiting job is nowhere in its pool");
    event.set();
    assert_eq!((queue.len(), polls.get()), (1, 1), "a woken job stands in the queue");
    assert!(queue.pop().expect("the job was woken").turn().is_none());
    assert_eq!((queue.len(), polls.get()), (0, 2));
    assert!(handle.is_complete());
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_job_that_yields_for_ever_gives_its_turn_up_and_comes_back() -> Result<(), Error> {
    let (may_stop, queue) = (Flag::default(), Queue::default());
    let mut future = yields_until(&may_stop, &Flag::default());
    let handle = queue.submit(future.to_job()?);
    let mut job = queue.pop().expect("the job was submitted");
    for _ in 0..10 {
        job = job.turn().expect("the job has only yielded");
        assert!(!handle.is_complete());
        assert_eq!(queue.len(), 0, "only the holder of the job puts it into the queue");
    }
    may_stop.set();
    assert!(job.turn().is_none());
    assert!(handle.is_complete());
    assert_eq!(future.try_get_result()?, Some(true));
    Ok(())
}

#[test]
fn a_job_dropped_between_two_turns_is_given_back() -> Result<(), Error> {
    let (may_stop, queue) = (Flag::default(), Queue::default());
    let mut future = yields_until(&may_stop, &Flag::default());
    let handle = queue.submit(future.to_job()?);
    let job = queue.pop().and_then(Job::turn).expect("the job has only yielded");
    assert!(matches!(future.resume(), Err(Error::InJob)));
    thread::spawn(move || drop(job)).join().expect("dropping the job does not panic");
    assert!(handle.is_complete());
    assert_eq!(future.resume()?, Step::Yielded);
    may_stop.set();
    assert!(future.wait()?);
    Ok(())
}

#[test]
fn a_job_cancelled_between_two_turns_has_no_other() -> Result<(), Error> {
    let queue = Queue::default();
    let mut future = yields_until(&Flag::default(), &Flag::default());
    let handle = queue.submit(future.to_job()?);
    let job = queue.pop().and_then(Job::turn).expect("the job has only yielded");
    future.cancel();
    assert!(handle.is_complete());
    assert!(job.turn().is_none());
    assert!(matches!(future.wait(), Err(Error::Cancelled)));
    Ok(())
}

#[test]
fn jobs_that_yield_take_turns() -> Result<(), Error> {
    let queue = Queue::default();
    let polls: [_; 3] = std::array::from_fn(|_| Counter::default());
    let mut futures = polls.each_ref().map(|polls| {
        Future::<()>::new(counted(polls, async {
            loop {
                yield_now().await;
            }
        }))
    });
    for future in &mut futures {
        queue.submit(future.to_job()?);
    }
    for _ in 0..5 {
        for which in 0..3 {
            let before = polls.each_ref().map(Counter::get);
            let job = queue.pop().and_then(Job::turn).expect("the job has only yielded");
            queue.enqueue(job);
            let after = polls.each_ref().map(Counter::get);
            let had_a_turn: Vec<_> = (0..3).filter(|&n| after[n] > before[n]).collect();
            assert_eq!(had_a_turn, [which]);
        }
    }
    Ok(())
}

#[test]
fn a_job_that_yields_does_not_keep_the_worker_from_a_later_one() -> Result<(), Error> {
    let (pool, may_stop, should_stop) = (workers(1), Flag::default(), Flag::default());
    let mut yielding = yields_until(&may_stop, &should_stop);
    let handle = pool.submit(yielding.to_job()?);
    let mut later = Future::new(async move {
        may_stop.set();
        Ok(())
    });
    pool.submit(later.to_job()?);
    should_stop.set();
    handle.wait();
    assert_eq!(yielding.try_get_result()?, Some(true));
    later.wait()
}

#[test]
fn jobs_that_wait_occupy_no_worker() -> Result<(), Error> {
    let (pool, event) = (workers(1), Event::default());
    let mut waiting: Vec<_> = (0..100)
        .map(|n| {
            let waits = event.happens();
            Future::new(async move {
                waits.await;
                Ok(n)
            })
        })
        .collect();
    let jobs = waiting.iter_mut().map(|future| Ok(pool.submit(future.to_job()?)));
    let all = JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?);
    let mut setting = Future::new(async move {
        yield_now().await;
        event.set();
        Ok(())
    });
    pool.submit(setting.to_job()?);
    all.wait();
    for (n, future) in waiting.iter_mut().enumerate() {
        assert_eq!(future.try_get_result()?, Some(n));
    }
    setting.wait()
}

#[test]
fn a_burst_of_wakes_puts_a_job_into_the_queue_once() -> Result<(), Error> {
    let (polls, event, queue) = (Counter::default(), Event::default(), Queue::default());
    let mut future = Future::new(counted(&polls, event.awaited()));
    queue.submit(future.to_job()?);
    event.wake_for_nothing();
    assert_eq!(queue.len(), 1, "the job stood in the queue already");
    queue.run();
    for round in 1..10 {
        assert_eq!((queue.len(), polls.get()), (0, round));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| event.wake_for_nothing()));
            }
        });
        assert_eq!(queue.len(), 1);
        queue.run();
    }
    event.set();
    queue.run();
    assert_eq!(future.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_job_that_is_woken_in_its_own_step_is_not_in_the_queue_meanwhile() -> Result<(), Error> {
    let queue = Queue::default();
    let mut steps = 0;
    let mut future = Future::new({
        let queue = queue.clone();
        std::future::poll_fn(move |context| {
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake()).join().expect("waking does not panic");
            assert_eq!(queue.len(), 0);
            steps += 1;
            if steps < 5 { Poll::Pending } else { Poll::Ready(Ok(steps)) }
        })
    });
    queue.submit(future.to_job()?);
    queue.run();
    assert_eq!(future.try_get_result()?, Some(5));
    Ok(())
}

#[test]
fn a_job_submits_other_jobs_to_its_own_pool() -> Result<(), Error> {
    let pool = workers(1);
    let mut parts: Vec<_> = (1..=10).map(|n| Future::new(async move { Ok(n) })).collect();
    let runners = parts.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    let mut whole = Future::new({
        let pool = pool.clone();
        async move {
            let handles: Vec<_> = runners.into_iter().map(|runner| pool.submit(runner)).collect();
            let count = handles.len();
            JobHandle::all(handles).await;
            Ok(count)
        }
    });
    pool.submit(whole.to_job()?).wait();
    assert_eq!(whole.try_get_result()?, Some(10));
    let sum: i32 = parts.iter_mut().map(Future::wait).sum::<Result<_, _>>()?;
    assert_eq!(sum, 55);
    Ok(())
}

#[test]
fn jobs_that_fail_take_down_no_worker() -> Result<(), Error> {
    let pool = workers(1);
    for n in 0..10 {
        let mut panicking = Future::<()>::new(async move { panic!("number {n}") });
        let mut failing = Future::<()>::new(async { Err(Error::other("no")) });
        let mut well = Future::new(async move { Ok(n) });
        let jobs = [
            pool.submit(panicking.to_job()?),
            pool.submit(failing.to_job()?),
            pool.submit(well.to_job()?),
        ];
        JobHandle::all(jobs).wait();
        assert!(matches!(panicking.try_get_result(), Err(Error::Panic(_))));
        assert!(matches!(failing.try_get_result(), Err(Error::Other(_))));
        assert_eq!(well.try_get_result()?, Some(n));
    }
    Ok(())
}

#[test]
fn a_pool_that_nobody_has_any_more_finishes_its_jobs() -> Result<(), Error> {
    let event = Event::default();
    let waits = event.happens();
    let mut future = Future::new(async {
        waits.await;
        yield_now().await;
        Ok("on a pool that only the job has")
    });
    let handle = workers(1).submit(future.to_job()?);
    event.set();
    handle.wait();
    assert_eq!(future.try_get_result()?, Some("on a pool that only the job has"));
    Ok(())
}

#[test]
fn a_job_that_waits_and_yields_by_turns_comes_to_its_end_on_every_pool() -> Result<(), Error> {
    for &way in crate::support::Way::ALL {
        let (alarm, clock) = alarm_clock();
        let mut future = Future::new(async move {
            for _ in 0..20 {
                alarm.rings().await;
                yield_now().await;
            }
            Ok(())
        });
        way.finish(&mut future)?;
        clock.join().expect("the thread ends with the call's sender");
    }
    Ok(())
}

#[test]
fn a_pool_that_panics_when_it_is_given_a_job_gives_it_back() -> Result<(), Error> {
    let panicking = |_: Job| panic!("the pool is closed");
    let mut future = Future::new(async { Ok("done by its owner") });
    let runner = future.to_job()?;
    let submitting = catch_unwind(AssertUnwindSafe(|| panicking.submit(runner)));
    assert!(submitting.is_err(), "the panic reaches the submitter");
    assert_eq!(future.wait()?, "done by its owner");
    Ok(())
}

#[test]
fn a_pool_that_panics_when_a_job_is_woken_gives_it_back() -> Result<(), Error> {
    let (spawns, event) = (Counter::default(), Event::default());
    let panicking_later = {
        let spawns = spawns.clone();
        move |job: Job| {
            spawns.add();
            assert_eq!(spawns.get(), 1, "the pool is closed");
            job.run();
        }
    };
    let mut future = Future::new(event.awaited());
    let handle = panicking_later.submit(future.to_job()?);
    // The panic does not reach the thread that wakes the job.
    event.set();
    assert_eq!(spawns.get(), 2);
    assert!(handle.is_complete());
    future.wait()
}
