//! Jobs that run after other jobs.

use crate::random_graph;
use crate::support::{
    Counter, Event, Flag, Queue, a_thread_each, alarm_clock, at_once, block_on, notifying, ok,
    workers,
};
use std::slice::from_ref;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use wasm_jobs::{Coroutines, Error, Future, Job, JobHandle, JobPool, Step, yield_now};

/// The actions of jobs, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// A closure that adds `entry` to the log.
    fn adds(&self, entry: impl ToString) -> impl FnOnce() + Send + 'static {
        let (log, entry) = (self.clone(), entry.to_string());
        move || log.0.lock().unwrap().push(entry)
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }
}

/// Submits a call that ends when the event is set.
fn gate(pool: &impl JobPool, event: &Event) -> Result<(Future<()>, JobHandle), Error> {
    let mut future = Future::new(event.awaited());
    let handle = pool.submit(future.to_job()?);
    Ok((future, handle))
}

fn fails() -> Future<()> {
    Future::new(async { Err(Error::other("it fails")) })
}

// Closures, and handles of several jobs.

#[test]
fn a_closure_is_a_job_with_a_handle() {
    let (pool, log) = (Queue::default(), Log::default());
    let handle = pool.submit_fn(log.adds("a"));
    assert!(!handle.is_complete());
    assert_eq!((pool.len(), log.take().as_str()), (1, ""));
    pool.run();
    assert!(handle.is_complete());
    assert_eq!(log.take(), "a");
    handle.cancel();
    handle.wait();
}

#[test]
fn what_a_closure_wrote_is_seen_by_whoever_waits_for_it() {
    let pool = workers(2);
    for n in 0..200_usize {
        let place = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let handle = pool.submit_fn({
            let place = place.clone();
            move || place.store(n, std::sync::atomic::Ordering::Relaxed)
        });
        if n % 2 == 0 {
            handle.wait()
        } else {
            block_on(handle)
        }
        assert_eq!(place.load(std::sync::atomic::Ordering::Relaxed), n);
        assert_eq!(Arc::strong_count(&place), 1, "the captures of the closure are dropped");
    }
}

#[test]
fn a_closure_that_panics_takes_down_no_worker() {
    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("the payload of a panic");
        }
    }

    let pool = workers(1);
    let (first, second) = (
        pool.submit_fn(|| panic!("a closure")),
        pool.submit_fn(|| std::panic::panic_any(PanicsWhenDropped)),
    );
    let log = Log::default();
    pool.submit_fn(log.adds("after them")).wait();
    assert!(first.is_complete() && second.is_complete());
    assert_eq!(log.take(), "after them");
}

#[test]
fn a_closure_that_its_pool_drops_is_dropped_and_complete() {
    let (dropped, refusing) = (Counter::default(), |job: Job| drop(job));
    let on_drop = dropped.on_drop();
    let handle = refusing.submit_fn(move || drop(on_drop));
    assert!(handle.is_complete());
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_closure_that_is_cancelled_before_its_turn_is_dropped() {
    let (pool, dropped, ran) = (Queue::default(), Counter::default(), Flag::default());
    let handle = pool.submit_fn({
        let (on_drop, ran) = (dropped.on_drop(), ran.clone());
        move || {
            ran.set();
            drop(on_drop);
        }
    });
    handle.clone().cancel();
    assert!(handle.is_complete());
    assert_eq!(dropped.get(), 1);
    pool.run();
    assert!(!ran.is_set());
}

#[test]
fn a_closure_that_runs_is_not_cancelled() {
    let pool = workers(1);
    let ((begun, has_begun), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
    let done = Flag::default();
    let handle = pool.submit_fn({
        let done = done.clone();
        move || {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            done.set();
        }
    });
    has_begun.recv().unwrap();
    handle.cancel();
    assert!(!handle.is_complete());
    go_on.send(()).unwrap();
    handle.wait();
    assert!(done.is_set());
}

#[test]
fn a_handle_of_all_is_of_calls_and_closures() -> Result<(), Error> {
    let (pool, log, event) = (Queue::default(), Log::default(), Event::default());
    let (mut call, of_call) = gate(&pool, &event)?;
    let of_closure = pool.submit_fn(log.adds("closure"));
    let all = JobHandle::all([of_call, JobHandle::all([of_closure.clone()]), of_closure]);
    pool.run();
    assert!(!all.is_complete());
    assert_eq!(log.take(), "closure");
    event.set();
    pool.run();
    assert!(all.is_complete());
    call.wait()
}

#[test]
fn several_calls_are_submitted_at_once() -> Result<(), Error> {
    let pool = workers(2);
    let mut squares: Vec<_> = (0..100)
        .map(|n| {
            Future::new(async move {
                yield_now().await;
                Ok(n * n)
            })
        })
        .collect();
    let runners = squares.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    let all = pool.submit_all(runners);
    all.wait();
    for (n, square) in (0..).zip(&mut squares) {
        assert_eq!(square.try_get_result()?, Some(n * n));
    }
    assert!(pool.submit_all::<()>([]).is_complete());
    Ok(())
}

#[test]
fn the_handle_of_several_calls_cancels_them_all() -> Result<(), Error> {
    let (pool, event) = (Queue::default(), Event::default());
    let mut calls: Vec<_> = (0..5).map(|_| Future::new(event.awaited())).collect();
    let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    let all = pool.submit_all(runners);
    pool.run();
    all.cancel();
    assert!(all.is_complete());
    for call in &mut calls {
        assert!(matches!(call.try_get_result(), Err(Error::Cancelled)));
    }
    Ok(())
}

// Jobs after jobs.

#[test]
fn a_job_after_others_is_queued_when_the_last_of_them_is_over() -> Result<(), Error> {
    let (pool, log, event) = (Queue::default(), Log::default(), Event::default());
    let first = pool.submit_fn(log.adds("first"));
    let (_call, second) = gate(&pool, &event)?;
    let mut last = Future::new({
        let adds = log.adds("last");
        async {
            adds();
            Ok(())
        }
    });
    let after = pool.submit_after(last.to_job()?, &[first.clone(), second, first]);
    let of_closure = pool.submit_after(log.adds("closure"), from_ref(&after));
    assert_eq!(pool.len(), 2);
    pool.run();
    assert_eq!((log.take().as_str(), pool.len()), ("first", 0));
    assert!(matches!(last.resume(), Err(Error::InJob)));
    assert!(!after.is_complete());
    event.set();
    pool.pop().expect("the second one was woken").run();
    assert_eq!((log.take().as_str(), pool.len()), ("", 1));
    pool.pop().expect("the last one was queued").run();
    assert!(after.is_complete() && !of_closure.is_complete());
    pool.run();
    assert!(of_closure.is_complete());
    assert_eq!(log.take(), "last closure");
    assert_eq!(last.try_get_result()?, Some(()));
    Ok(())
}

#[test]
fn a_job_after_none_or_after_what_is_over_is_queued_at_once() -> Result<(), Error> {
    let (pool, log) = (Queue::default(), Log::default());
    drop(pool.submit_after(log.adds("after none"), &[]));
    drop(pool.submit_after_ok(log.adds("after none, if successful"), &[]));
    let over = at_once.submit_fn(|| ());
    let again = [over.clone(), over];
    drop(pool.submit_after(log.adds("after"), &again));
    drop(pool.submit_after_ok(log.adds("after, if successful"), &again));
    assert_eq!(pool.len(), 4);
    pool.run();
    assert_eq!(log.take(), "after none after none, if successful after after, if successful");
    Ok(())
}

#[test]
fn a_job_after_failed_ones_is_run_all_the_same() -> Result<(), Error> {
    let (pool, log) = (Queue::default(), Log::default());
    let mut failing = fails();
    let failures = [
        pool.submit(failing.to_job()?),
        pool.submit_fn(|| panic!("a closure")),
        (|job: Job| drop(job)).submit_fn(|| ()),
    ];
    let after = pool.submit_after(log.adds("after"), &failures);
    pool.run();
    assert!(after.is_complete());
    assert_eq!(log.take(), "after");
    Ok(())
}

/// Submits a call that depends on the success of `job`, runs the pool, and returns the outcome of the call.
fn run_after_ok(pool: &Queue, job: &JobHandle) -> Result<Option<&'static str>, Error> {
    let ran = Flag::default();
    let mut call = Future::new({
        let ran = ran.clone();
        async move {
            ran.set();
            Ok("it was run")
        }
    });
    let handle = pool.submit_after_ok(call.to_job()?, &[at_once.submit_fn(|| ()), job.clone()]);
    // These depend on the success of the call, directly and indirectly.
    let mut last = Future::new(async { Ok(()) });
    let closure = pool.submit_after_ok(|| (), from_ref(&handle));
    let of_last = pool.submit_after_ok(last.to_job()?, &[JobHandle::all([closure])]);
    pool.run();
    let result = call.try_get_result();
    assert_eq!(ran.is_set(), matches!(result, Ok(Some(_))));
    assert_eq!(handle.is_complete(), !matches!(result, Ok(None)));
    assert_eq!(of_last.is_complete(), handle.is_complete());
    match (&result, last.try_get_result()) {
        (Ok(Some(_)), Ok(Some(()))) | (Ok(None), Ok(None)) => {}
        (Err(_), Err(Error::DependencyFailed)) => {}
        other => panic!("{other:?}"),
    }
    result
}

#[test]
fn a_job_after_successful_ones_is_not_run_when_one_has_failed() -> Result<(), Error> {
    let pool = Queue::default();
    assert_eq!(run_after_ok(&pool, &pool.submit_fn(|| ()))?, Some("it was run"));
    let mut succeeds = Future::new(ok(yield_now()));
    assert_eq!(run_after_ok(&pool, &pool.submit(succeeds.to_job()?))?, Some("it was run"));

    let assert_refused = |job: &JobHandle, why: &str| {
        let outcome = run_after_ok(&pool, job);
        assert!(matches!(outcome, Err(Error::DependencyFailed)), "{why}: {outcome:?}");
    };
    let mut error = fails();
    assert_refused(&pool.submit(error.to_job()?), "an error");
    let mut panic = Future::<()>::new(async { panic!("a call") });
    assert_refused(&pool.submit(panic.to_job()?), "a panic");
    assert_refused(&pool.submit_fn(|| panic!("a closure")), "a panic of a closure");
    let mut cancelled = Future::new(std::future::pending::<Result<(), Error>>());
    let handle = pool.submit(cancelled.to_job()?);
    handle.cancel();
    assert_refused(&handle, "cancelled by its handle");
    let mut given_up = Future::new(std::future::pending::<Result<(), Error>>());
    let handle = pool.submit(given_up.to_job()?);
    drop(given_up);
    assert_refused(&handle, "given up by its owner");
    let handle = pool.submit_fn(|| ());
    handle.cancel();
    assert_refused(&handle, "a closure that is cancelled");
    let refusing = |job: Job| drop(job);
    let mut refused = Future::new(async { Ok(()) });
    assert_refused(&refusing.submit(refused.to_job()?), "dropped by its pool");
    assert_refused(&refusing.submit_fn(|| ()), "a closure that its pool dropped");
    assert_refused(&JobHandle::all([at_once.submit_fn(|| panic!("one of all"))]), "one of all");
    // These calls end before they are submitted.
    let mut ended = fails();
    assert_eq!(ended.resume()?, Step::Done);
    assert_refused(&pool.submit(ended.to_job()?), "it had failed before");
    let mut ended = Future::new(async { Ok(()) });
    assert_eq!(ended.resume()?, Step::Done);
    assert_eq!(run_after_ok(&pool, &pool.submit(ended.to_job()?))?, Some("it was run"));
    Ok(())
}

#[test]
fn a_closure_that_is_not_run_is_dropped_once() {
    let (pool, dropped) = (Queue::default(), Counter::default());
    let fails = pool.submit_fn(|| panic!("a closure"));
    let on_drop = dropped.on_drop();
    let handle = pool.submit_after_ok(move || drop(on_drop), &[fails]);
    assert_eq!(dropped.get(), 0);
    pool.run();
    assert!(handle.is_complete());
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_job_that_is_not_run_is_told_when_the_last_of_the_others_is_over() -> Result<(), Error> {
    let (pool, event) = (Queue::default(), Event::default());
    let (_call, waits) = gate(&pool, &event)?;
    let mut after = Future::new(async { Ok(()) });
    let handle =
        pool.submit_after_ok(after.to_job()?, &[at_once.submit_fn(|| panic!("one")), waits]);
    pool.run();
    assert!(!handle.is_complete());
    event.set();
    pool.run();
    assert!(matches!(after.wait(), Err(Error::DependencyFailed)));
    Ok(())
}

#[test]
fn a_job_that_comes_back_is_its_owners_and_has_failed_for_those_after_it() -> Result<(), Error> {
    let (queue, refusing) = (Queue::default(), |job: Job| drop(job));
    let mut comes_back = Future::new(async { Ok("by its owner") });
    let handle = refusing.submit_after(comes_back.to_job()?, &[queue.submit_fn(|| ())]);
    let mut after = Future::new(async { Ok(()) });
    let after_it = queue.submit_after_ok(after.to_job()?, from_ref(&handle));
    assert!(matches!(comes_back.resume(), Err(Error::InJob)));
    queue.run();
    assert!(handle.is_complete() && after_it.is_complete());
    assert!(matches!(after.wait(), Err(Error::DependencyFailed)));
    assert_eq!(comes_back.wait()?, "by its owner");
    Ok(())
}

#[test]
fn a_pool_that_panics_when_a_job_is_released_gives_it_back() -> Result<(), Error> {
    let (queue, panics) = (Queue::default(), |_: Job| panic!("a pool"));
    let before = queue.submit_fn(|| ());
    let mut call = Future::new(async { Ok(1) });
    let handle = panics.submit_after(call.to_job()?, from_ref(&before));
    let neighbour = queue.submit_after(|| (), &[before]);
    queue.run();
    assert!(handle.is_complete() && neighbour.is_complete());
    assert_eq!(call.wait()?, 1);
    Ok(())
}

// Cancelling.

/// A pool run by hand that counts its clones.
#[derive(Clone)]
struct CountedPool {
    queue: Queue,
    clones: Arc<()>,
}

impl JobPool for CountedPool {
    fn enqueue(&self, job: Job) {
        self.queue.enqueue(job);
    }
}

impl CountedPool {
    fn new() -> Self {
        Self { queue: Queue::default(), clones: Arc::new(()) }
    }

    /// The number of other clones of the pool.
    fn other_clones(&self) -> usize {
        Arc::strong_count(&self.clones) - 1
    }
}

/// Submits jobs after `before`, and cancels each in another way: a closure by its handle; a call by its handle, by its owner, and by dropping
/// its future. Returns the handles.
fn cancel_in_each_way(
    pool: &CountedPool,
    before: &[JobHandle],
    if_ok: bool,
) -> Result<Vec<JobHandle>, Error> {
    let mut handles = Vec::new();
    for way in 0..4 {
        let mut call = Future::new(async { Ok(()) });
        let handle = match (way, if_ok) {
            (0, false) => pool.submit_after(|| (), before),
            (0, true) => pool.submit_after_ok(|| (), before),
            (_, false) => pool.submit_after(call.to_job()?, before),
            (_, true) => pool.submit_after_ok(call.to_job()?, before),
        };
        assert!(pool.other_clones() > 0, "the job keeps the pool that it will be put into");
        match way {
            0 | 1 => handle.cancel(),
            2 => call.cancel(),
            _ => drop(call),
        }
        assert!(handle.is_complete());
        handles.push(handle);
    }
    Ok(handles)
}

#[test]
fn what_is_cancelled_before_its_turn_keeps_nothing_although_those_before_it_go_on()
-> Result<(), Error> {
    for (if_ok, keeps_handles) in [(false, false), (true, false), (false, true), (true, true)] {
        let (elsewhere, pool, event) = (Queue::default(), CountedPool::new(), Event::default());
        let (mut first, first_job) = gate(&elsewhere, &event)?;
        let over = at_once.submit_fn(|| ());
        let all = JobHandle::all([first_job.clone(), over.clone()]);
        for before in [vec![first_job.clone()], vec![over, first_job.clone(), first_job], vec![all]]
        {
            let mut handles = cancel_in_each_way(&pool, &before, if_ok)?;
            if !keeps_handles {
                handles.clear();
            }
            assert_eq!(
                pool.other_clones(),
                0,
                "{} jobs before it, if ok: {if_ok}, keeps handles: {keeps_handles}",
                before.len()
            );
        }
        elsewhere.run();
        event.set();
        elsewhere.run();
        assert_eq!(pool.queue.len(), 0, "a cancelled job was enqueued");
        first.wait()?;
    }
    Ok(())
}

#[test]
fn what_is_cancelled_out_of_the_middle_leaves_the_others_that_wait() -> Result<(), Error> {
    let (pool, event, log) = (Queue::default(), Event::default(), Log::default());
    let (mut first, before) = gate(&pool, &event)?;
    let handles: Vec<_> =
        (0..9).map(|n| pool.submit_after(log.adds(n), from_ref(&before))).collect();
    for n in [0, 4, 5, 8] {
        handles[n].cancel();
    }
    let last = pool.submit_after(log.adds("last"), from_ref(&before));
    event.set();
    pool.run();
    assert_eq!(log.take(), "1 2 3 6 7 last");
    assert!(last.is_complete() && handles.iter().all(JobHandle::is_complete));
    first.wait()
}

#[test]
fn a_job_that_waits_for_others_is_cancelled_at_once_and_never_run() -> Result<(), Error> {
    let (pool, event) = (Queue::default(), Event::default());
    let (_gate, before) = gate(&pool, &event)?;
    let (ran, dropped) = (Counter::default(), Counter::default());
    let mut calls: Vec<_> = (0..3)
        .map(|_| {
            let (ran, on_drop) = (ran.clone(), dropped.on_drop());
            Future::new(async move {
                ran.add();
                drop(on_drop);
                Ok(())
            })
        })
        .collect();
    let mut handles = Vec::new();
    for call in &mut calls {
        handles.push(pool.submit_after(call.to_job()?, from_ref(&before)));
    }
    handles.push(pool.submit_after_ok(
        {
            let (ran, on_drop) = (ran.clone(), dropped.on_drop());
            move || {
                ran.add();
                drop(on_drop);
            }
        },
        from_ref(&before),
    ));
    let after_them = pool.submit_after(|| (), &handles);
    // The jobs are cancelled by a handle, by the owner, by dropping the future, and by the handle of a closure.
    handles[0].cancel();
    calls[1].cancel();
    drop(calls.pop());
    handles[3].cancel();
    assert!(handles.iter().all(JobHandle::is_complete));
    assert_eq!(dropped.get(), 4);
    for call in &mut calls {
        assert!(matches!(call.try_get_result(), Err(Error::Cancelled)));
    }
    assert!(!before.is_complete());
    pool.run();
    assert!(after_them.is_complete());
    event.set();
    pool.run();
    assert_eq!((ran.get(), dropped.get()), (0, 4));
    Ok(())
}

#[test]
fn a_job_waits_although_its_handle_and_the_handles_of_the_others_are_dropped() -> Result<(), Error>
{
    let (pool, log, event) = (Queue::default(), Log::default(), Event::default());
    let (gate, before) = gate(&pool, &event)?;
    let mut call = Future::new({
        let adds = log.adds("call");
        async {
            adds();
            Ok(())
        }
    });
    drop(pool.submit_after(call.to_job()?, from_ref(&before)));
    drop(pool.submit_after(log.adds("closure"), &[JobHandle::all([before])]));
    pool.run();
    assert_eq!(log.take(), "");
    event.set();
    pool.run();
    assert_eq!(log.take(), "call closure");
    assert!(call.has_result());
    drop(gate);
    Ok(())
}

#[test]
fn a_graph_is_dropped_in_any_order() -> Result<(), Error> {
    // Seven things are dropped in every order: the futures and the handles of a chain of three calls, and the pool.
    for order in 0..5040_usize {
        let (queue, event, dropped) = (Queue::default(), Event::default(), Counter::default());
        let mut things: Vec<Box<dyn std::any::Any>> = Vec::new();
        let mut before = Vec::new();
        for place in 0..3 {
            let (happens, on_drop) = (event.happens(), dropped.on_drop());
            let mut call = Future::new(async move {
                if place == 0 {
                    happens.await;
                }
                drop(on_drop);
                Ok(())
            });
            let handle = if order % 2 == 0 {
                queue.submit_after(call.to_job()?, &before)
            } else {
                queue.submit_after_ok(call.to_job()?, &before)
            };
            before.push(handle.clone());
            things.push(Box::new(call));
            things.push(Box::new(handle));
        }
        drop(before);
        things.push(Box::new(queue.clone()));
        let mut rest = order;
        for left in (1..=7).rev() {
            drop(things.swap_remove(rest % left));
            rest /= left;
            match order % 3 {
                0 => queue.run(),
                1 => drop(queue.pop()),
                _ => {}
            }
        }
        event.set();
        queue.run();
        assert_eq!(dropped.get(), 3, "in order {order}");
    }
    Ok(())
}

#[test]
fn the_handle_of_a_job_that_ran_after_others_keeps_no_pool() -> Result<(), Error> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let worker = thread::spawn(move || jobs.into_iter().for_each(Job::run));
    let pool = move |job: Job| sender.send(job).expect("the worker is receiving");
    let first = pool.submit_fn(|| ());
    let mut call = Future::new(async { Ok(()) });
    let handles = [
        pool.submit_after(|| (), from_ref(&first)),
        pool.submit_after_ok(|| (), &[]),
        pool.submit_after(call.to_job()?, from_ref(&first)),
    ];
    JobHandle::all(handles.clone()).wait();
    drop(pool);
    worker.join().expect("the worker ends when all senders are dropped");
    assert!(handles.iter().all(JobHandle::is_complete));
    Ok(())
}

#[test]
fn a_pool_that_is_dropped_with_a_closure_in_its_queue_completes_it() {
    let pool = Queue::default();
    let handles = [pool.submit_fn(|| ()), pool.submit_after(|| (), &[])];
    drop(pool);
    assert!(handles.iter().all(JobHandle::is_complete));
}

#[test]
fn a_pool_that_only_jobs_that_wait_for_others_have_finishes_them() -> Result<(), Error> {
    let (event, log) = (Event::default(), Log::default());
    let (_gate, before) = gate(&workers(1), &event)?;
    let mut call = Future::new({
        let adds = log.adds("call");
        async {
            adds();
            Ok(())
        }
    });
    let handle = workers(1).submit_after(call.to_job()?, &[before]);
    let last = workers(1).submit_after(log.adds("closure"), &[handle]);
    event.set();
    last.wait();
    assert_eq!(log.take(), "call closure");
    call.wait()
}

#[test]
fn a_coroutine_goes_on_after_a_graph() -> Result<(), Error> {
    let (coroutines, pool, log) = (Coroutines::new(), Queue::default(), Log::default());
    let coroutine = coroutines.spawn({
        let (pool, log) = (pool.clone(), log.clone());
        async move {
            let first = pool.submit_fn(log.adds("first"));
            pool.submit_after(log.adds("second"), &[first]).await;
            log.adds("coroutine")();
        }
    });
    coroutines.tick();
    pool.run();
    assert_eq!(log.take(), "first second");
    coroutines.tick();
    assert_eq!(log.take(), "coroutine");
    assert!(coroutine.is_finished());
    Ok(())
}

// Long chains.

const LONG: usize = 10_000;

/// A long chain of jobs, each after the one before it. The first job ends when `event` is set.
fn chain(
    pool: &impl JobPool,
    event: &Event,
    mut next: impl FnMut(&JobHandle) -> JobHandle,
) -> Result<(Future<()>, JobHandle), Error> {
    let (gate, mut handle) = gate(pool, event)?;
    for _ in 0..LONG {
        handle = next(&handle);
    }
    Ok((gate, handle))
}

/// Runs a long chain of closures on `pool`. The chain begins when `begin` sets the event.
fn run_a_chain_of_closures(pool: &impl JobPool, begin: impl FnOnce(Event)) -> Result<(), Error> {
    let (event, done) = (Event::default(), Counter::default());
    let mut at = 0;
    let (_gate, last) = chain(pool, &event, |before| {
        let done = done.clone();
        at += 1;
        let after = at;
        let job = move || {
            assert_eq!(done.get() + 1, after, "a closure ran out of order");
            done.add();
        };
        pool.submit_after_ok(job, from_ref(before))
    })?;
    begin(event);
    last.wait();
    assert_eq!(done.get(), LONG);
    Ok(())
}

/// Runs a long chain of calls. The first call fails, so none of the others runs.
fn run_a_chain_of_failures(pool: &impl JobPool, begin: impl FnOnce(Event)) -> Result<(), Error> {
    let event = Event::default();
    let happens = event.happens();
    let mut gate = Future::<()>::new(async {
        happens.await;
        Err(Error::other("it fails"))
    });
    let mut handle = pool.submit(gate.to_job()?);
    let mut calls: Vec<_> = (0..LONG).map(|_| Future::new(async { Ok(()) })).collect();
    for call in &mut calls {
        handle = pool.submit_after_ok(call.to_job()?, &[handle]);
    }
    begin(event);
    handle.wait();
    for mut call in calls {
        assert!(matches!(call.try_get_result(), Err(Error::DependencyFailed)));
    }
    Ok(())
}

/// Waits for the last of a long chain of handles. Each is a handle of all, with one job.
fn wait_for_a_chain_of_handles(
    pool: &impl JobPool,
    begin: impl FnOnce(Event),
) -> Result<(), Error> {
    let event = Event::default();
    let (_gate, last) = chain(pool, &event, |before| JobHandle::all([before.clone()]))?;
    begin(event);
    last.wait();
    Ok(())
}

/// Sets the event inside a step of another call.
fn set_in_a_step(event: Event) {
    let mut sets = Future::new(async move {
        event.set();
        Ok(())
    });
    sets.wait().expect("setting an event does not fail");
}

#[test]
fn a_long_chain_on_a_pool_that_runs_jobs_at_once() -> Result<(), Error> {
    run_a_chain_of_closures(&at_once, |event| event.set())?;
    run_a_chain_of_closures(&at_once, set_in_a_step)
}

#[test]
fn a_long_chain_on_threads() -> Result<(), Error> {
    run_a_chain_of_closures(&workers(2), |event| event.set())
}

#[test]
fn a_long_chain_of_jobs_that_are_not_run() -> Result<(), Error> {
    run_a_chain_of_failures(&at_once, |event| event.set())?;
    run_a_chain_of_failures(&at_once, set_in_a_step)?;
    run_a_chain_of_failures(&workers(2), |event| event.set())
}

#[test]
fn a_long_chain_of_handles_of_all() -> Result<(), Error> {
    wait_for_a_chain_of_handles(&at_once, |event| event.set())?;
    wait_for_a_chain_of_handles(&at_once, set_in_a_step)?;
    wait_for_a_chain_of_handles(&workers(2), |event| event.set())
}

#[test]
fn a_long_chain_is_given_up_by_its_last_handle() -> Result<(), Error> {
    let event = Event::default();
    let (mut gate, last) = chain(&at_once, &event, |before| JobHandle::all([before.clone()]))?;
    last.cancel();
    assert!(matches!(gate.try_get_result(), Err(Error::Cancelled)));
    assert!(last.is_complete());
    Ok(())
}

#[test]
fn a_long_chain_of_handles_of_all_is_dropped_before_its_job_is_over() -> Result<(), Error> {
    let event = Event::default();
    let (gate, last) = chain(&at_once, &event, |before| JobHandle::all([before.clone()]))?;
    drop(last);
    event.set();
    assert!(gate.has_result());
    Ok(())
}

#[test]
fn a_job_that_a_handle_leads_to_in_very_many_ways_is_given_up() -> Result<(), Error> {
    let event = Event::default();
    let (mut gate, mut handle) = gate(&at_once, &event)?;
    for _ in 0..100 {
        handle = JobHandle::all([handle.clone(), handle]);
    }
    handle.cancel();
    assert!(matches!(gate.try_get_result(), Err(Error::Cancelled)));
    assert!(handle.is_complete());
    Ok(())
}

#[test]
fn a_handle_of_all_to_which_jobs_are_added_for_long() -> Result<(), Error> {
    let (pool, event) = (Queue::default(), Event::default());
    let (gate, mut all) = gate(&pool, &event)?;
    let done = Counter::default();
    for _ in 0..3 * LONG {
        let done = done.clone();
        let job = pool.submit_fn(move || done.add());
        all = JobHandle::all([all, job]);
    }
    pool.run();
    assert!(!all.is_complete());
    event.set();
    pool.run();
    assert!(all.is_complete() && gate.has_result());
    assert_eq!(done.get(), 3 * LONG);
    Ok(())
}

#[test]
fn a_long_chain_whose_first_job_is_given_up() -> Result<(), Error> {
    let (event, ran) = (Event::default(), Counter::default());
    let (gate, last) = chain(&at_once, &event, |before| {
        let ran = ran.clone();
        at_once.submit_after(move || ran.add(), from_ref(before))
    })?;
    drop(gate);
    assert!(last.is_complete());
    assert_eq!(ran.get(), LONG);
    Ok(())
}

// Random graphs.

/// Runs a random graph of 200 jobs, in which the slow calls wait for a thread.
fn run_random_graph(pool: &impl JobPool, run: impl FnOnce(), seed: u64) -> Result<(), Error> {
    let (alarm, clock) = alarm_clock();
    let rings = {
        let alarm = alarm.clone();
        move || {
            let alarm = alarm.clone();
            async move { alarm.rings().await }
        }
    };
    random_graph::run(pool, 200, run, rings, seed)?;
    drop(alarm);
    clock.join().expect("setting an event does not panic");
    Ok(())
}

#[test]
fn random_graphs_on_a_pool_that_runs_jobs_at_once() -> Result<(), Error> {
    (0..20).try_for_each(|seed| run_random_graph(&at_once, || (), seed))
}

#[test]
fn random_graphs_on_a_pool_run_by_hand() -> Result<(), Error> {
    for seed in 0..20 {
        let (queue, built) = (Queue::default(), Flag::default());
        let runs = thread::spawn({
            let (queue, built) = (queue.clone(), built.clone());
            // Runs the queue while the graph is built, and until it has run: jobs that are woken may come late.
            move || {
                while !built.is_set() {
                    queue.run();
                    thread::yield_now();
                }
            }
        });
        run_random_graph(&queue, || (), seed)?;
        built.set();
        runs.join().expect("jobs do not panic");
    }
    Ok(())
}

#[test]
fn random_graphs_with_a_thread_for_each_turn() -> Result<(), Error> {
    (0..4).try_for_each(|seed| run_random_graph(&a_thread_each, || (), seed))
}

#[test]
fn random_graphs_on_two_workers() -> Result<(), Error> {
    let pool = workers(2);
    (0..20).try_for_each(|seed| run_random_graph(&pool, || (), seed))
}

#[test]
fn a_graph_over_several_pools() -> Result<(), Error> {
    let log = Log::default();
    let (one, two, queue) = (workers(1), workers(1), Queue::default());
    let (event, last) = (Event::default(), Flag::default());
    let (_gate, first) = gate(&one, &event)?;
    let second = two.submit_after(log.adds("second"), from_ref(&first));
    let third = at_once.submit_after(log.adds("third"), from_ref(&second));
    let mut fourth = Future::new({
        let adds = log.adds("fourth");
        async {
            adds();
            Ok(())
        }
    });
    let fourth_job = queue.submit_after(fourth.to_job()?, &[first, second, third.clone()]);
    event.set();
    third.wait();
    while queue.len() == 0 {
        thread::yield_now();
    }
    queue.run();
    assert!(fourth_job.is_complete() && !last.is_set());
    assert_eq!(log.take(), "second third fourth");
    Ok(())
}

#[test]
fn a_job_is_submitted_after_others_while_they_end() -> Result<(), Error> {
    let pool = workers(2);
    for _ in 0..300 {
        let done = Counter::default();
        let before: Vec<_> = (0..4)
            .map(|_| {
                let done = done.clone();
                pool.submit_fn(move || done.add())
            })
            .collect();
        let seen = done.clone();
        let mut call = Future::new(async move { Ok(seen.get()) });
        pool.submit_after(call.to_job()?, &before).wait();
        assert_eq!(call.try_get_result()?, Some(4));
    }
    Ok(())
}

#[test]
fn jobs_are_given_up_while_those_before_them_end() -> Result<(), Error> {
    let pool = workers(2);
    for round in 0..300 {
        let dropped = Counter::default();
        let (begun, has_begun) = mpsc::channel();
        let before = pool.submit_fn(move || begun.send(()).expect("the test is receiving"));
        let mut call = Future::new({
            let on_drop = dropped.on_drop();
            async move {
                drop(on_drop);
                Ok(())
            }
        });
        let handle = pool.submit_after(call.to_job()?, &[before]);
        let closure = pool.submit_after_ok(
            {
                let on_drop = dropped.on_drop();
                move || drop(on_drop)
            },
            from_ref(&handle),
        );
        has_begun.recv().expect("the closure runs");
        match round % 3 {
            0 => handle.cancel(),
            1 => call.cancel(),
            _ => closure.cancel(),
        }
        closure.wait();
        assert!(handle.is_complete() || round % 3 == 2);
        handle.wait();
        assert_eq!(dropped.get(), 2);
        assert!(matches!(call.wait(), Ok(()) | Err(Error::Cancelled)));
    }
    Ok(())
}

#[test]
fn a_job_is_submitted_after_one_that_is_about_to_be_woken() -> Result<(), Error> {
    // The event is set as early as possible: just after the first job has polled it. The dependents are submitted before that, at the same
    // time, or after it.
    let pool = workers(1);
    for round in 0..300 {
        let (log, event) = (Log::default(), Event::default());
        let (waiting, waits) = mpsc::channel();
        let (happens, adds) = (event.happens(), log.adds("first"));
        let mut first = Future::new(notifying(
            move || waiting.send(()).expect("the test is receiving"),
            async {
                happens.await;
                adds();
                Ok(())
            },
        ));
        let handle = pool.submit(first.to_job()?);
        let submit_after = || {
            [log.adds("second"), log.adds("second")]
                .map(|adds| pool.submit_after_ok(adds, from_ref(&handle)))
        };
        let after = match round % 3 {
            0 => {
                let after = submit_after();
                waits.recv().expect("the job waits");
                event.set();
                after
            }
            1 => thread::scope(|scope| {
                waits.recv().expect("the job waits");
                scope.spawn(|| event.set());
                submit_after()
            }),
            _ => {
                waits.recv().expect("the job waits");
                event.set();
                submit_after()
            }
        };
        JobHandle::all(after).wait();
        assert!(handle.is_complete(), "its dependents are over, and it is not");
        assert_eq!(first.try_get_result()?, Some(()));
        assert_eq!(log.take(), "first second second", "each ran once, after the first");
    }
    Ok(())
}

/// Graphs on rayon, where a waiting worker helps with other jobs.
#[cfg(feature = "rayon")]
mod on_rayon {
    use super::*;
    use crate::rayon_pools::pool;
    use crate::support::yields_until;
    use rayon::ThreadPool;
    use wasm_jobs::RayonGlobal;

    #[test]
    fn random_graphs() -> Result<(), Error> {
        for threads in [1, 2, 4] {
            let pool = pool(threads);
            (0..10).try_for_each(|seed| run_random_graph(&pool, || (), seed))?;
        }
        run_random_graph(&RayonGlobal, || (), 1)
    }

    #[test]
    fn a_long_chain() -> Result<(), Error> {
        for threads in [1, 2] {
            run_a_chain_of_closures(&pool(threads), |event| event.set())?;
            run_a_chain_of_failures(&pool(threads), |event| event.set())?;
            wait_for_a_chain_of_handles(&pool(threads), |event| event.set())?;
        }
        Ok(())
    }

    #[test]
    fn a_pool_is_dropped_while_a_graph_waits_there() -> Result<(), Error> {
        let (event, log) = (Event::default(), Log::default());
        let pool = pool(1);
        let (_gate, before) = gate(&pool, &event)?;
        let last = pool.submit_after(log.adds("after"), &[before]);
        drop(pool);
        event.set();
        last.wait();
        assert_eq!(log.take(), "after");
        Ok(())
    }

    /// Runs `work` on a worker of pools with one and with two threads: in a job of a closure, in a step of a call, and in a closure that rayon
    /// spawns.
    fn run_on_a_worker(
        work: impl Fn(&Arc<ThreadPool>) -> Result<(), Error> + Clone + Send + Sync + 'static,
    ) -> Result<(), Error> {
        for threads in [1, 2] {
            let on = pool(threads);
            let working = |(sender, receiver): (mpsc::Sender<_>, mpsc::Receiver<_>)| {
                let (pool, work) = (on.clone(), work.clone());
                let works = move || sender.send(work(&pool)).expect("the test is receiving");
                (works, receiver)
            };
            let (closure, outcome) = working(mpsc::channel());
            on.submit_fn(closure).wait();
            outcome.recv().expect("a closure that waits does not panic")?;

            let (in_a_call, outcome) = working(mpsc::channel());
            let mut call = Future::new(async move {
                yield_now().await;
                in_a_call();
                yield_now().await;
                Ok(())
            });
            on.submit(call.to_job()?).wait();
            call.wait()?;
            outcome.recv().expect("a call that waits does not panic")?;

            let (spawned, outcome) = working(mpsc::channel());
            ThreadPool::spawn(&on, spawned);
            outcome.recv().expect("a spawned closure that waits does not panic")?;
        }
        Ok(())
    }

    #[test]
    fn a_worker_waits_for_a_job_of_its_pool() -> Result<(), Error> {
        run_on_a_worker(|pool| {
            let log = Log::default();
            pool.submit_fn(log.adds("closure")).wait();
            let mut call = Future::new(ok(yield_now()));
            pool.submit(call.to_job()?).wait();
            assert_eq!(log.take(), "closure");
            assert_eq!(call.try_get_result()?, Some(()));
            Ok(())
        })
    }

    #[test]
    fn a_worker_waits_for_a_job_that_waits_for_others() -> Result<(), Error> {
        run_on_a_worker(|pool| {
            let log = Log::default();
            let (alarm, clock) = alarm_clock();
            let mut first = Future::new(async move {
                alarm.rings().await;
                Ok(())
            });
            let before = pool.submit(first.to_job()?);
            let second = pool.submit_after_ok(log.adds("second"), &[before]);
            let mut third = Future::new({
                let adds = log.adds("third");
                async {
                    yield_now().await;
                    adds();
                    Ok(())
                }
            });
            let last = pool.submit_after_ok(third.to_job()?, &[second]);
            last.wait();
            assert_eq!(log.take(), "second third");
            clock.join().expect("setting an event does not panic");
            third.wait()
        })
    }

    #[test]
    fn a_worker_waits_for_all_of_many_jobs() -> Result<(), Error> {
        run_on_a_worker(|pool| {
            let done = Counter::default();
            let jobs = (0..100).map(|_| {
                let done = done.clone();
                pool.submit_fn(move || done.add())
            });
            JobHandle::all(jobs.collect::<Vec<_>>()).wait();
            assert_eq!(done.get(), 100);
            Ok(())
        })
    }

    #[test]
    fn a_worker_waits_for_a_call_that_it_has_submitted() -> Result<(), Error> {
        run_on_a_worker(|pool| {
            let (alarm, clock) = alarm_clock();
            let mut call = Future::new(async move {
                yield_now().await;
                alarm.rings().await;
                Ok(5)
            });
            drop(pool.submit(call.to_job()?));
            assert_eq!(call.wait()?, 5);
            drop(call);
            clock.join().expect("setting an event does not panic");
            Ok(())
        })
    }

    #[test]
    fn a_worker_waits_for_a_job_of_another_pool() -> Result<(), Error> {
        run_on_a_worker(|own| {
            let (log, other) = (Log::default(), pool(1));
            let first = other.submit_fn(log.adds("elsewhere"));
            own.submit_after_ok(log.adds("here"), &[first]).wait();
            assert_eq!(log.take(), "elsewhere here");
            Ok(())
        })
    }

    #[test]
    fn a_worker_waits_for_what_another_thread_submits() -> Result<(), Error> {
        run_on_a_worker(|pool| {
            let (event, log) = (Event::default(), Log::default());
            let (_gate, handle) = gate(pool, &event)?;
            let submits = thread::spawn({
                let (pool, log) = (pool.clone(), log.clone());
                move || {
                    let job = pool.submit_fn(log.adds("from outside"));
                    pool.submit_after(move || event.set(), &[job])
                }
            });
            handle.wait();
            assert_eq!(log.take(), "from outside");
            submits.join().expect("submitting does not panic").wait();
            Ok(())
        })
    }

    #[test]
    fn waits_inside_each_other_a_hundred_deep() -> Result<(), Error> {
        fn nest(pool: &Arc<ThreadPool>, depth: usize, reached: &Counter) {
            reached.add();
            if depth > 0 {
                let (inner, reached) = (pool.clone(), reached.clone());
                if depth.is_multiple_of(2) {
                    pool.submit_fn(move || nest(&inner, depth - 1, &reached)).wait();
                } else {
                    let mut call = Future::new(async move {
                        nest(&inner, depth - 1, &reached);
                        Ok(())
                    });
                    drop(pool.submit(call.to_job().expect("the call is new")));
                    call.wait().expect("the call does not fail");
                }
            }
        }

        run_on_a_worker(|pool| {
            let reached = Counter::default();
            nest(pool, 100, &reached);
            assert_eq!(reached.get(), 101);
            Ok(())
        })
    }

    #[test]
    fn a_job_that_yields_for_long_does_not_keep_a_worker_that_waits() -> Result<(), Error> {
        for threads in [1, 2] {
            let (pool, may_stop, should_stop) = (pool(threads), Flag::default(), Flag::default());
            let mut yielding: Vec<_> =
                (0..2 * threads).map(|_| yields_until(&may_stop, &should_stop)).collect();
            for call in &mut yielding {
                drop(pool.submit(call.to_job()?));
            }
            let waits = pool.submit_fn({
                let pool = pool.clone();
                move || {
                    should_stop.set();
                    // A handle of all does not tell the worker which job it waits for. So the worker helps with any job.
                    JobHandle::all([pool.submit_fn(|| ())]).wait();
                    may_stop.set();
                }
            });
            waits.wait();
            for mut call in yielding {
                assert!(call.wait()?, "the worker that waited came back too late");
            }
        }
        Ok(())
    }

    #[test]
    fn all_workers_wait_for_one_job_after_others() -> Result<(), Error> {
        for threads in [1, 2, 4] {
            let (pool, event) = (pool(threads), Event::default());
            let (_gate, first) = gate(&pool, &event)?;
            let last = (0..20).fold(first, |before, _| pool.submit_after_ok(|| (), &[before]));
            let (waiting, waits) = mpsc::channel();
            let all = (0..2 * threads).map(|_| {
                let (last, waiting) = (last.clone(), waiting.clone());
                pool.submit_fn(move || {
                    waiting.send(()).expect("the test is receiving");
                    last.wait();
                })
            });
            let all = JobHandle::all(all.collect::<Vec<_>>());
            for _ in 0..threads {
                waits.recv().expect("the jobs run");
            }
            assert!(!all.is_complete());
            event.set();
            all.wait();
        }
        Ok(())
    }

    #[test]
    fn workers_of_two_pools_wait_for_each_others_jobs() -> Result<(), Error> {
        for _ in 0..20 {
            let (one, two) = (pool(1), pool(1));
            let waits = |from: &Arc<ThreadPool>, on: &Arc<ThreadPool>| {
                let (from, on) = (from.clone(), on.clone());
                from.clone().submit_fn(move || {
                    for _ in 0..10 {
                        let there = on.submit_fn(|| ());
                        from.submit_after_ok(|| (), &[there]).wait();
                    }
                })
            };
            JobHandle::all([waits(&one, &two), waits(&two, &one)]).wait();
        }
        Ok(())
    }
}
