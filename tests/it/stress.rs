//! Thousands of calls on real threads. Other threads wake, cancel and drop them. The schedule differs between runs, and the results do not.

use crate::support::{
    Alarm, Counter, Flag, OnDrop, a_thread_each, alarm_clock, block_on, counted, workers,
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use wasm_jobs::{Error, Future, FutureRunner, Job, JobHandle, JobPool, Step, yield_now};

/// The random numbers of Knuth's MMIX, which are the same in each run.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A call that yields and waits for the other thread in a random order, and then returns its number, fails or panics.
fn call(number: u64, random: &mut Random, alarm: &Alarm, guard: OnDrop) -> Future<u64> {
    let (alarm, mut random) = (alarm.clone(), Random(random.below(u64::MAX)));
    Future::new(async move {
        let _guard = guard;
        for _ in 0..random.below(6) {
            match random.below(3) {
                0 => yield_now().await,
                1 => alarm.rings().await,
                _ => {
                    alarm.rings().await;
                    yield_now().await;
                }
            }
        }
        match random.below(8) {
            0 => Err(Error::other(number.to_string())),
            1 => std::panic::resume_unwind(Box::new(number)),
            _ => Ok(number),
        }
    })
}

/// Asserts that the result belongs to the call.
fn check(number: u64, result: Result<u64, Error>, may_be_cancelled: bool) {
    match result {
        Ok(found) => assert_eq!(found, number),
        Err(Error::Other(error)) => assert_eq!(error.to_string(), number.to_string()),
        Err(Error::Panic(panic)) => {
            assert_eq!(panic.into_payload().downcast_ref(), Some(&number));
        }
        Err(Error::Cancelled) => assert!(may_be_cancelled),
        Err(error) => panic!("number {number}: {error}"),
    }
}

/// Makes calls, and finishes, cancels or drops each in a random way. Returns the handles of the jobs that may not be over.
fn exercise(
    calls: u64,
    seed: u64,
    pool: &impl JobPool,
    alarm: &Alarm,
    drops: &Counter,
) -> Vec<JobHandle> {
    let (mut random, mut handles) = (Random::new(seed), Vec::new());
    let (stepper, runners) = mpsc::channel::<FutureRunner<u64>>();
    let stepping = thread::spawn(move || {
        // Takes at most two steps of each runner, and drops it.
        for (n, mut runner) in runners.into_iter().enumerate() {
            for _ in 0..n % 3 {
                let _ = runner.resume();
            }
        }
    });
    for number in 0..calls {
        let mut future = call(number, &mut random, alarm, drops.on_drop());
        match random.below(10) {
            0 => check(number, future.wait(), false),
            1 => check(number, block_on(future), false),
            2 => {
                pool.submit(future.to_job().expect("the owner has the call")).wait();
                // If the pool has dropped the job, the owner finishes the call.
                let result = future.try_get_result().transpose().unwrap_or_else(|| future.wait());
                check(number, result, false);
            }
            3 => {
                pool.submit(future.to_job().expect("the owner has the call"));
                check(number, future.wait(), false);
            }
            4 => {
                pool.submit(future.to_job().expect("the owner has the call"));
                check(number, block_on(future), false);
            }
            5 => {
                handles.push(pool.submit(future.to_job().expect("the owner has the call")));
                if random.below(2) == 0 {
                    thread::yield_now();
                }
                future.cancel();
                check(number, future.wait(), true);
            }
            6 => {
                handles.push(pool.submit(future.to_job().expect("the owner has the call")));
                if random.below(2) == 0 {
                    thread::yield_now();
                }
                drop(future);
            }
            7 => {
                for _ in 0..random.below(4) {
                    let _ = future.resume().expect("the owner has the call");
                }
                drop(future);
            }
            8 => {
                let _ = future.resume().expect("the owner has the call");
                stepper
                    .send(future.to_job().expect("the owner has the call"))
                    .expect("the stepper is receiving");
                if random.below(3) == 0 {
                    future.cancel();
                    check(number, future.wait(), true);
                } else {
                    check(number, future.wait(), false);
                }
            }
            _ => {
                stepper
                    .send(future.to_job().expect("the owner has the call"))
                    .expect("the stepper is receiving");
                drop(future);
            }
        }
    }
    drop(stepper);
    stepping.join().expect("the steps do not panic");
    handles
}

fn exercise_on(pool: impl JobPool) {
    const OWNERS: u64 = 4;
    const CALLS: u64 = 1_500;
    let (alarm, clock) = alarm_clock();
    let drops = Counter::default();
    thread::scope(|scope| {
        for seed in 0..OWNERS {
            let (pool, alarm, drops) = (&pool, &alarm, &drops);
            scope.spawn(move || JobHandle::all(exercise(CALLS, seed, pool, alarm, drops)).wait());
        }
    });
    assert_eq!(drops.get() as u64, OWNERS * CALLS, "each work is dropped exactly once");
    drop(alarm);
    assert!(clock.join().is_ok());
}

#[test]
fn calls_cancelled_and_dropped_at_any_moment_on_a_channel() {
    exercise_on(workers(2));
}

#[test]
fn calls_cancelled_and_dropped_at_any_moment_on_a_pool_that_drops_jobs_too() {
    let (pool, count) = (workers(2), Arc::new(AtomicUsize::new(0)));
    exercise_on(move |job: Job| {
        if count.fetch_add(1, SeqCst) % 5 != 4 {
            pool.enqueue(job);
        }
    });
}

#[cfg(feature = "rayon")]
#[test]
fn calls_cancelled_and_dropped_at_any_moment_on_rayon() {
    for threads in [1, 2, 4] {
        exercise_on(crate::rayon_pools::pool(threads));
    }
}

#[test]
fn a_storm_of_wakes_neither_loses_one_nor_enters_the_call_twice() -> Result<(), Error> {
    const THREADS: usize = 4;
    const WAKES: usize = 5_000;
    let (woken, kept) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None::<Waker>)));
    let (polls, inside) = (Counter::default(), Arc::new(AtomicUsize::new(0)));
    let mut future = Future::new(counted(&polls, {
        let (woken, kept) = (woken.clone(), kept.clone());
        std::future::poll_fn(move |context| {
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two threads are inside the call");
            kept.lock().unwrap().get_or_insert_with(|| context.waker().clone());
            let woken = woken.load(SeqCst);
            inside.fetch_sub(1, SeqCst);
            if woken == THREADS * WAKES { Poll::Ready(Ok(woken)) } else { Poll::Pending }
        })
    }));
    assert_eq!(future.resume()?, Step::Waiting);
    let handle = workers(3).submit(future.to_job()?);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let waker = kept.lock().unwrap().clone().expect("the call took a step");
                for _ in 0..WAKES {
                    woken.fetch_add(1, SeqCst);
                    waker.wake_by_ref();
                }
            });
        }
    });
    handle.wait();
    assert_eq!(future.try_get_result()?, Some(THREADS * WAKES));
    assert!(polls.get() <= THREADS * WAKES + 1, "no step without a wake");
    Ok(())
}

#[test]
fn wakes_while_the_call_goes_from_hand_to_hand_are_not_lost() -> Result<(), Error> {
    let (alarm, clock) = alarm_clock();
    let (refusals, pool) = (Arc::new(AtomicUsize::new(0)), workers(2));
    let pool = move |job: Job| {
        // Drops every third job: when it is submitted, or when it is woken.
        if refusals.fetch_add(1, SeqCst) % 3 != 2 {
            pool.enqueue(job);
        }
    };
    let mut random = Random::new(7);
    for n in 0..300 {
        let alarm = alarm.clone();
        let mut future = Future::new(async move {
            for _ in 0..5 {
                alarm.rings().await;
            }
            Ok(n)
        });
        while !future.has_result() {
            match random.below(4) {
                0 => {
                    let _ = future.resume()?;
                }
                1 => {
                    let mut runner = future.to_job()?;
                    let _ = runner.resume();
                }
                2 => pool.submit(future.to_job()?).wait(),
                _ => block_on(pool.submit(future.to_job()?)),
            }
        }
        assert_eq!(future.try_get_result()?, Some(n));
    }
    drop((alarm, pool));
    clock.join().expect("the thread ends with its last sender");
    Ok(())
}

#[test]
fn a_call_that_is_inside_one_thread_at_a_time_needs_no_lock() -> Result<(), Error> {
    let (alarm, clock) = alarm_clock();
    let mut futures: Vec<_> = (0..64_u64)
        .map(|seed| {
            let alarm = alarm.clone();
            Future::new(async move {
                // The call uses plain memory, which moves from thread to thread.
                let (mut random, mut numbers) = (Random::new(seed), Vec::new());
                while numbers.len() < 100 {
                    numbers.push(random.below(1_000));
                    if random.below(4) == 0 {
                        alarm.rings().await;
                    } else {
                        yield_now().await;
                    }
                }
                Ok(numbers)
            })
        })
        .collect();
    let jobs = futures.iter_mut().map(|future| Ok(a_thread_each.submit(future.to_job()?)));
    JobHandle::all(jobs.collect::<Result<Vec<_>, Error>>()?).wait();
    for (seed, future) in (0..).zip(&mut futures) {
        let mut random = Random::new(seed);
        let expected: Vec<_> = (0..100)
            .map(|_| {
                let number = random.below(1_000);
                random.below(4);
                number
            })
            .collect();
        assert_eq!(future.try_get_result()?, Some(expected));
    }
    drop(alarm);
    clock.join().expect("the thread ends with its last sender");
    Ok(())
}

#[test]
fn owners_and_their_flags_on_many_threads() {
    let (pool, done) = (workers(4), Flag::default());
    thread::scope(|scope| {
        for owner in 0..8 {
            let (pool, done) = (&pool, &done);
            scope.spawn(move || {
                for n in 0..200 {
                    let mut future = Future::new(async move {
                        yield_now().await;
                        Ok((owner, n))
                    });
                    pool.submit(future.to_job().expect("the owner has the call"));
                    assert_eq!(future.wait().expect("the call does not fail"), (owner, n));
                }
                done.set();
            });
        }
    });
    assert!(done.is_set());
}
