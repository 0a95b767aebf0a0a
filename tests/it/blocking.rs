//! What blocks while it has others to tell: a job that waits, where it was run, for what became ready together with it; a worker that waits for
//! a job of its own pool; and a thread that is ending. Each body asserts its results, and that it ends.

use crate::support::{Counter, Flag, Queue, a_thread_each, assert_ends, at_once, comes};
use std::cell::RefCell;
use std::future::Future as _;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::slice::from_ref;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::thread;
use wasm_jobs::JobOutcome::{Failed, Succeeded};
use wasm_jobs::{Error, Event, Future, Job, JobHandle, JobPool, Step, yield_now};

/// A job on a thread of its own that ends when the sender sends or is dropped.
fn gate() -> (Sender<()>, JobHandle) {
    let (opens, opened) = channel::<()>();
    let job = a_thread_each.submit_fn(move || {
        let _ = opened.recv();
    });
    (opens, job)
}

/// Submits a job to a pool of threads, after nothing, and blocks until it has run. Nothing of the library knows of this wait.
fn blocks_for_a_job_after_nothing() -> bool {
    let (tell, told) = channel();
    let job = a_thread_each.submit_after(move || tell.send(()).expect("it is waited for"), &[]);
    comes(&told) && {
        job.wait();
        job.outcome() == Some(Succeeded)
    }
}

/// A waker that calls a closure.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Waits for a job as a std future does: polls it once, and has it wake the waker.
fn wakes(mut job: JobHandle, wake: impl Fn() + Send + Sync + 'static) -> JobHandle {
    let waker = Waker::from(Arc::new(Calls(wake)));
    assert!(Pin::new(&mut job).poll(&mut Context::from_waker(&waker)).is_pending());
    job
}

// What waits for one job, of which some block.

#[test]
fn a_job_that_is_run_at_once_waits_for_one_that_was_to_come_after_the_same_job_before_it() {
    assert_ends(|_| {
        let (opens, first) = gate();
        let other = a_thread_each.submit_after(|| (), from_ref(&first));
        let waits_for = other.clone();
        let waits = at_once.submit_after(move || waits_for.wait(), from_ref(&first));
        drop(opens);
        waits.wait();
        assert_eq!([waits.outcome(), other.outcome()], [Some(Succeeded); 2]);
    });
}

#[test]
fn a_job_that_is_run_at_once_waits_for_one_that_was_to_come_after_the_same_job_behind_it() {
    assert_ends(|_| {
        let (opens, first) = gate();
        let place = Arc::new(OnceLock::<JobHandle>::new());
        let behind = place.clone();
        let waits = at_once
            .submit_after(move || behind.get().expect("it was submitted").wait(), from_ref(&first));
        let other = a_thread_each.submit_after(|| (), from_ref(&first));
        place.set(other.clone()).expect("it is empty");
        drop(opens);
        waits.wait();
        assert_eq!([waits.outcome(), other.outcome()], [Some(Succeeded); 2]);
    });
}

#[test]
fn a_waker_behind_a_job_that_is_run_at_once_and_waits_for_what_the_waker_does() {
    assert_ends(|_| {
        let ((opens, first), (opens_other, other)) = (gate(), gate());
        let waits = at_once.submit_after(move || other.wait(), from_ref(&first));
        let woken = wakes(first, move || opens_other.send(()).expect("it waits"));
        drop(opens);
        waits.wait();
        assert_eq!([waits.outcome(), woken.outcome()], [Some(Succeeded); 2]);
    });
}

#[test]
fn the_waker_of_all_jobs_blocks_for_a_job_that_it_submits_after_nothing() {
    assert_ends(|_| {
        let (opens, first) = gate();
        let (tell, told) = channel();
        let all = wakes(JobHandle::all([first]), move || {
            tell.send(blocks_for_a_job_after_nothing()).expect("the test listens");
        });
        drop(opens);
        assert_eq!(told.recv(), Ok(true));
        assert_eq!(all.outcome(), Some(Succeeded));
    });
}

#[test]
fn the_destructor_of_a_refused_closure_blocks_for_a_job_that_it_submits_after_nothing() {
    struct Blocks(Sender<bool>);

    impl Drop for Blocks {
        fn drop(&mut self) {
            self.0.send(blocks_for_a_job_after_nothing()).expect("the test listens");
        }
    }

    assert_ends(|_| {
        let ((opens, opened), (tell, told)) = (channel::<()>(), channel());
        let fails = a_thread_each.submit_fn(move || {
            let _ = opened.recv();
            resume_unwind(Box::new("this job fails"));
        });
        let blocks = Blocks(tell);
        let refused = a_thread_each.submit_after_ok(move || drop(blocks), from_ref(&fails));
        drop(opens);
        refused.wait();
        assert_eq!([fails.outcome(), refused.outcome()], [Some(Failed); 2]);
        assert_eq!(told.recv(), Ok(true));
    });
}

#[test]
fn a_job_that_is_run_at_once_after_another_blocks_for_one_that_it_submits_after_nothing() {
    assert_ends(|_| {
        let ((opens, first), (tell, told)) = (gate(), channel());
        let blocks = at_once.submit_after(
            move || tell.send(blocks_for_a_job_after_nothing()).expect("the test listens"),
            from_ref(&first),
        );
        drop(opens);
        blocks.wait();
        assert_eq!(told.recv(), Ok(true));
    });
}

/// In a job that is run at once after another, waits for one that becomes ready there.
fn a_job_becomes_ready_where_it_is_waited_for(wait: fn(&mut Future<()>) -> Result<(), Error>) {
    assert_ends(move |_| {
        let ((opens, first), (tell, told)) = (gate(), channel());
        let waits = at_once.submit_after(
            move || {
                let never = Queue::default().submit_fn(|| ());
                let ready = a_thread_each.submit_after(|| (), from_ref(&never));
                never.cancel();
                let mut call = Future::new(async move {
                    ready.await;
                    Ok(())
                });
                tell.send(wait(&mut call)).expect("the test listens");
            },
            from_ref(&first),
        );
        drop(opens);
        waits.wait();
        assert!(matches!(told.recv(), Ok(Ok(()))));
    });
}

#[test]
fn a_future_waits_for_a_job_that_became_ready_on_its_thread() {
    a_job_becomes_ready_where_it_is_waited_for(Future::wait);
}

#[test]
fn a_runner_is_run_for_a_call_that_waits_for_a_job_that_became_ready_on_its_thread() {
    a_job_becomes_ready_where_it_is_waited_for(|call| {
        call.to_job()?.run();
        call.try_get_result().map(|result| result.expect("it has ended"))
    });
}

// A pool that is inside its `enqueue`.

#[test]
fn a_pool_gives_a_turn_while_it_enqueues_and_a_job_that_is_run_at_once_is_waited_for_in_it()
-> Result<(), Error> {
    assert_ends(|_| {
        let (sender, jobs) = channel::<Job>();
        let worker = thread::spawn(move || jobs.into_iter().for_each(Job::run));
        let enqueued = Counter::default();
        let pool = {
            let enqueued = enqueued.clone();
            move |job: Job| {
                enqueued.add();
                if let Some(job) = job.turn() {
                    sender.send(job).expect("the worker is there as long as the pool is");
                }
            }
        };
        let mut call = Future::new(async move {
            // The second time, it is the worker who puts the job back.
            while enqueued.get() < 2 {
                yield_now().await;
            }
            let inner = at_once.submit_fn(|| ());
            inner.wait();
            Ok(inner.outcome())
        });
        let handle = pool.submit(call.to_job()?);
        drop(pool);
        handle.wait();
        assert_eq!(handle.outcome(), Some(Succeeded));
        assert_eq!(call.wait()?, Some(Succeeded));
        worker.join().expect("its jobs do not panic");
        Ok(())
    })
}

// A thread that is ending.

/// What is called when the thread ends.
struct AtTheEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

thread_local! {
    static AT_THE_END: RefCell<AtTheEnd> = const { RefCell::new(AtTheEnd(None)) };
}

/// Calls something in the destructor of a thread-local: one that is older than those of the library, or one that is younger.
fn at_the_end_of_a_thread(is_older: bool, call: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        let uses_the_library = || {
            let mut call = Future::new(async { Ok(()) });
            at_once.submit_after(call.to_job().expect("it is new"), &[]).wait();
            call.wait().expect("it does not fail");
        };
        if !is_older {
            uses_the_library();
        }
        AT_THE_END.with(|place| place.borrow_mut().0 = Some(Box::new(call)));
        if is_older {
            uses_the_library();
        }
    });
    thread.join().expect("the thread does not panic");
}

/// A job runs, or takes a turn, at the end of a thread.
fn a_job_goes_on_at_the_end_of_a_thread(go_on: fn(Job)) -> Result<(), Error> {
    for is_older in [true, false] {
        assert_ends(move |_| -> Result<(), Error> {
            let (pool, ran) = (Queue::default(), Flag::default());
            let mut call = Future::new(async { Ok(5) });
            let handle = pool.submit(call.to_job()?);
            let sets = ran.clone();
            let after = at_once.submit_after(move || sets.set(), from_ref(&handle));
            let job = pool.pop().expect("it was submitted");
            at_the_end_of_a_thread(is_older, move || go_on(job));
            JobHandle::all([handle.clone(), after.clone()]).wait();
            assert_eq!([handle.outcome(), after.outcome()], [Some(Succeeded); 2]);
            assert!(ran.is_set());
            assert_eq!(call.try_get_result()?, Some(5));
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_job_takes_its_turn_in_the_destructor_of_a_thread_local() -> Result<(), Error> {
    a_job_goes_on_at_the_end_of_a_thread(|job| {
        assert!(job.turn().is_none());
    })
}

#[test]
fn a_job_is_run_in_the_destructor_of_a_thread_local() -> Result<(), Error> {
    a_job_goes_on_at_the_end_of_a_thread(Job::run)
}

/// The pool has no threads: it runs a job at once, or gives it a turn at once.
fn an_event_is_set_at_the_end_of_a_thread(pool: fn(Job)) -> Result<(), Error> {
    for is_older in [true, false] {
        assert_ends(move |_| -> Result<(), Error> {
            let event = Event::new();
            let waits = event.clone();
            let mut call = Future::new(async move {
                waits.wait().await;
                Ok(5)
            });
            let handle = pool.submit(call.to_job()?);
            assert!(!handle.is_complete());
            at_the_end_of_a_thread(is_older, move || event.set());
            handle.wait();
            assert_eq!(handle.outcome(), Some(Succeeded));
            assert_eq!(call.try_get_result()?, Some(5));
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn an_event_is_set_in_the_destructor_of_a_thread_local_for_a_job_that_is_run_at_once()
-> Result<(), Error> {
    an_event_is_set_at_the_end_of_a_thread(at_once)
}

#[test]
fn an_event_is_set_in_the_destructor_of_a_thread_local_for_a_job_that_takes_a_turn_at_once()
-> Result<(), Error> {
    an_event_is_set_at_the_end_of_a_thread(|job| {
        assert!(job.turn().is_none(), "it does not yield");
    })
}

#[test]
fn a_runner_resumes_in_the_destructor_of_a_thread_local() -> Result<(), Error> {
    for is_older in [true, false] {
        assert_ends(move |_| -> Result<(), Error> {
            let mut call = Future::new(async { Ok(5) });
            let mut runner = call.to_job()?;
            let (tell, told) = channel();
            at_the_end_of_a_thread(is_older, move || {
                tell.send(runner.resume()).expect("the test listens");
            });
            assert_eq!(told.recv(), Ok(Step::Done));
            assert_eq!(call.wait()?, 5);
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(feature = "rayon")]
mod on_rayon {
    //! Rayon's workers that wait.

    use super::*;
    use crate::rayon_pools::pool;
    use crate::support::in_a_process_of_its_own;
    use rayon::{ThreadPool, ThreadPoolBuilder};
    use std::sync::Mutex;
    use wasm_jobs::RayonGlobal;

    #[test]
    fn a_worker_waits_for_the_first_job_of_its_pool_which_is_to_come_after_others()
    -> Result<(), Error> {
        // It is the first job of the process that goes to a pool of rayon's: later, all workers know how to help.
        in_a_process_of_its_own(
            module_path!(),
            "a_worker_waits_for_the_first_job_of_its_pool_which_is_to_come_after_others",
            || {
                assert_ends(|_| {
                    let ((opens, first), pool) = (gate(), pool(1));
                    let job = pool.submit_after(|| (), from_ref(&first));
                    let (tell, told) = channel();
                    ThreadPool::spawn(&pool, move || {
                        tell.send(None).expect("the test listens");
                        job.wait();
                        tell.send(job.outcome()).expect("the test listens");
                    });
                    assert_eq!(told.recv(), Ok(None), "it is about to wait");
                    // Long enough for the worker to sleep, as often as not.
                    for _ in 0..1000 {
                        thread::yield_now();
                    }
                    drop(opens);
                    assert_eq!(told.recv(), Ok(Some(Succeeded)));
                });
                Ok(())
            },
        )
    }

    /// What a worker does, in order.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<&'static str>>>);

    impl Log {
        fn note(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }

        fn notes(&self, what: &'static str) -> impl FnOnce() + Send + use<> {
            let log = self.clone();
            move || log.note(what)
        }

        fn get(&self) -> Vec<&'static str> {
            self.0.lock().unwrap().clone()
        }
    }

    const IN_ORDER: [&str; 4] = ["waits", "has waited", "other work", "other work"];

    /// The worker of the global pool that this is called on spawns closures and waits for a job; all other workers are busy.
    fn other_work_is_not_run_below_a_global_worker_that_waits(threads: usize) {
        ThreadPoolBuilder::new().num_threads(threads).build_global().expect("it is the first");
        assert_ends(move |_| {
            let (log, (tell, told)) = (Log::default(), channel());
            // Until the wait is over.
            let mut busy = Vec::new();
            for _ in 1..threads {
                let ((ends, ended), (begins, begun)) = (channel::<()>(), channel());
                rayon::spawn(move || {
                    begins.send(()).expect("the test listens");
                    let _ = ended.recv();
                });
                assert!(comes(&begun));
                busy.push(ends);
            }
            rayon::spawn({
                let log = log.clone();
                move || {
                    for _ in 0..2 {
                        let (notes, tell) = (log.notes("other work"), tell.clone());
                        rayon::spawn(move || {
                            notes();
                            drop(tell);
                        });
                    }
                    log.note("waits");
                    // The first one of the global pool: no worker has been told which pool is its own.
                    let job = RayonGlobal.submit_fn(|| ());
                    job.wait();
                    log.note("has waited");
                    drop(busy);
                    tell.send(job.outcome()).expect("the test listens");
                }
            });
            assert_eq!(told.iter().collect::<Vec<_>>(), [Some(Succeeded)]);
            assert_eq!(log.get(), IN_ORDER);
        });
    }

    #[test]
    fn other_work_is_not_run_below_the_only_global_worker_that_waits_for_the_first_job()
    -> Result<(), Error> {
        in_a_process_of_its_own(
            module_path!(),
            "other_work_is_not_run_below_the_only_global_worker_that_waits_for_the_first_job",
            || {
                other_work_is_not_run_below_a_global_worker_that_waits(1);
                Ok(())
            },
        )
    }

    #[test]
    fn other_work_is_not_run_below_a_global_worker_that_waits_while_the_other_one_is_busy()
    -> Result<(), Error> {
        in_a_process_of_its_own(
            module_path!(),
            "other_work_is_not_run_below_a_global_worker_that_waits_while_the_other_one_is_busy",
            || {
                other_work_is_not_run_below_a_global_worker_that_waits(2);
                Ok(())
            },
        )
    }

    #[test]
    fn other_work_is_not_run_below_a_worker_that_waits_and_whose_pool_has_no_jobs() {
        RayonGlobal.submit_fn(|| ()).wait();
        for _ in 0..20 {
            assert_ends(|_| {
                // Nobody can give jobs to this pool, which is in no `Arc`.
                let private = ThreadPoolBuilder::new().num_threads(1).build();
                let private = private.expect("a pool of rayon's");
                let (log, (tell, told)) = (Log::default(), channel());
                let ((opens, first), (begins, begun)) = (gate(), channel());
                let job = RayonGlobal.submit_after(|| (), from_ref(&first));
                private.spawn({
                    let log = log.clone();
                    move || {
                        for _ in 0..2 {
                            let (notes, tell) = (log.notes("other work"), tell.clone());
                            rayon::spawn(move || {
                                notes();
                                drop(tell);
                            });
                        }
                        log.note("waits");
                        begins.send(()).expect("the test listens");
                        job.wait();
                        log.note("has waited");
                        tell.send(job.outcome()).expect("the test listens");
                    }
                });
                assert!(comes(&begun), "it is about to wait");
                // Others come and go while it waits.
                for _ in 0..20 {
                    RayonGlobal.submit_fn(|| ()).wait();
                }
                drop(opens);
                assert_eq!(told.iter().collect::<Vec<_>>(), [Some(Succeeded)]);
                assert_eq!(log.get(), IN_ORDER);
            });
        }
    }

    #[test]
    fn a_runner_is_run_on_the_only_worker_of_the_pool_whose_job_its_call_waits_for() {
        assert_ends(|_| {
            let (pool, (tell, told)) = (pool(1), channel());
            let inner_pool = pool.clone();
            let outer = pool.submit_fn(move || {
                let other = inner_pool.submit_fn(|| ());
                let mut call = Future::new(async move {
                    other.clone().await;
                    Ok(other.outcome())
                });
                call.to_job().expect("it is new").run();
                tell.send(call.try_get_result()).expect("the test listens");
            });
            outer.wait();
            assert_eq!(outer.outcome(), Some(Succeeded));
            assert!(matches!(told.recv(), Ok(Ok(Some(Some(Succeeded))))));
        });
    }

    #[test]
    fn a_worker_that_helps_ends_a_job_and_then_blocks_for_what_was_to_come_after_it() {
        assert_ends(|_| {
            let (pool, (tell, told)) = (pool(1), channel());
            let (opens, opened) = channel::<()>();
            let first = pool.submit_fn(move || {
                let _ = opened.recv();
            });
            let inner_pool = pool.clone();
            let blocks = at_once.submit_after(
                move || {
                    let helped = inner_pool.submit_fn(|| ());
                    let (tell_here, told_here) = channel();
                    let after = a_thread_each.submit_after(
                        move || tell_here.send(()).expect("it is waited for"),
                        from_ref(&helped),
                    );
                    helped.wait();
                    tell.send(comes(&told_here)).expect("the test listens");
                    after.wait();
                },
                from_ref(&first),
            );
            drop(opens);
            blocks.wait();
            assert_eq!(told.recv(), Ok(true));
            assert_eq!(blocks.outcome(), Some(Succeeded));
        });
    }

    #[test]
    fn many_jobs_of_a_pool_of_one_thread_wait_for_the_same_job() -> Result<(), Error> {
        // A failure is an overflow of the stack. With guests, the stack holds hundreds of jobs, and no more are promised.
        const JOBS: usize = if cfg!(feature = "wasm") { 500 } else { 5000 };
        in_a_process_of_its_own(
            module_path!(),
            "many_jobs_of_a_pool_of_one_thread_wait_for_the_same_job",
            || {
                assert_ends(|_| {
                    let ((opens, first), pool) = (gate(), pool(1));
                    let (begun, ended) = (Counter::default(), Counter::default());
                    let jobs: Vec<_> = (0..JOBS)
                        .map(|_| {
                            let (first, begun, ended) =
                                (first.clone(), begun.clone(), ended.clone());
                            pool.submit_fn(move || {
                                begun.add();
                                first.wait();
                                ended.add();
                            })
                        })
                        .collect();
                    // The worker runs them one inside the other, as long as its stack lasts. Where it stops does not matter here.
                    let (mut seen, mut looks) = (0, 0);
                    while begun.get() < JOBS && looks < 10_000 {
                        thread::yield_now();
                        looks = if begun.get() == seen { looks + 1 } else { 0 };
                        seen = begun.get();
                    }
                    drop(opens);
                    JobHandle::all(jobs.iter().cloned()).wait();
                    assert!(jobs.iter().all(|job| job.outcome() == Some(Succeeded)));
                    assert_eq!([begun.get(), ended.get()], [JOBS; 2]);
                });
                Ok(())
            },
        )
    }
}
