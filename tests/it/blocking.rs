//! Threads that block while they still have jobs or wakers to notify: a job waits for another job that became ready on the same thread; a worker
//! waits for a job of its own pool; a thread ends. Each body asserts its results, and that it ends.

use crate::support::{Counter, Flag, Queue, a_thread_each, assert_ends, at_once, receives};
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

/// A job on a thread of its own. It ends when the sender sends or is dropped.
fn gate() -> (Sender<()>, JobHandle) {
    let (opens, opened) = channel::<()>();
    let job = a_thread_each.submit_fn(move || {
        let _ = opened.recv();
    });
    (opens, job)
}

/// Submits a job without dependencies to a pool of threads, and blocks on a channel until the job has run. The library does not know of this
/// wait.
fn block_for_a_job_after_nothing() -> bool {
    let (sender, receiver) = channel();
    let job = a_thread_each
        .submit_after(move || sender.send(()).expect("the thread that blocks is receiving"), &[]);
    receives(&receiver) && {
        job.wait();
        job.outcome() == Some(Succeeded)
    }
}

/// A waker that calls a closure.
struct ClosureWaker<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for ClosureWaker<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls the handle once as a std future. The end of the job calls `wake`.
fn call_at_the_end(mut job: JobHandle, wake: impl Fn() + Send + Sync + 'static) -> JobHandle {
    let waker = Waker::from(Arc::new(ClosureWaker(wake)));
    assert!(Pin::new(&mut job).poll(&mut Context::from_waker(&waker)).is_pending());
    job
}

// Several dependents of one job, some of which block.

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
        let waits = at_once.submit_after(
            move || behind.get().expect("the other job was submitted").wait(),
            from_ref(&first),
        );
        let other = a_thread_each.submit_after(|| (), from_ref(&first));
        place.set(other.clone()).expect("the place is empty");
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
        let woken = call_at_the_end(first, move || {
            opens_other.send(()).expect("the other job is receiving")
        });
        drop(opens);
        waits.wait();
        assert_eq!([waits.outcome(), woken.outcome()], [Some(Succeeded); 2]);
    });
}

#[test]
fn the_waker_of_all_jobs_blocks_for_a_job_that_it_submits_after_nothing() {
    assert_ends(|_| {
        let (opens, first) = gate();
        let (sender, receiver) = channel();
        let all = call_at_the_end(JobHandle::all([first]), move || {
            sender.send(block_for_a_job_after_nothing()).expect("the test is receiving");
        });
        drop(opens);
        assert_eq!(receiver.recv(), Ok(true));
        assert_eq!(all.outcome(), Some(Succeeded));
    });
}

#[test]
fn the_destructor_of_a_refused_closure_blocks_for_a_job_that_it_submits_after_nothing() {
    struct Blocks(Sender<bool>);

    impl Drop for Blocks {
        fn drop(&mut self) {
            self.0.send(block_for_a_job_after_nothing()).expect("the test is receiving");
        }
    }

    assert_ends(|_| {
        let ((opens, opened), (sender, receiver)) = (channel::<()>(), channel());
        let fails = a_thread_each.submit_fn(move || {
            let _ = opened.recv();
            resume_unwind(Box::new("this job fails"));
        });
        let blocks = Blocks(sender);
        let refused = a_thread_each.submit_after_ok(move || drop(blocks), from_ref(&fails));
        drop(opens);
        refused.wait();
        assert_eq!([fails.outcome(), refused.outcome()], [Some(Failed); 2]);
        assert_eq!(receiver.recv(), Ok(true));
    });
}

#[test]
fn a_job_that_is_run_at_once_after_another_blocks_for_one_that_it_submits_after_nothing() {
    assert_ends(|_| {
        let ((opens, first), (sender, receiver)) = (gate(), channel());
        let blocks = at_once.submit_after(
            move || sender.send(block_for_a_job_after_nothing()).expect("the test is receiving"),
            from_ref(&first),
        );
        drop(opens);
        blocks.wait();
        assert_eq!(receiver.recv(), Ok(true));
    });
}

/// A job that runs at once after another one waits for a job that becomes ready on the same thread.
fn wait_for_a_job_that_became_ready_here(wait: fn(&mut Future<()>) -> Result<(), Error>) {
    assert_ends(move |_| {
        let ((opens, first), (sender, receiver)) = (gate(), channel());
        let waits = at_once.submit_after(
            move || {
                let never = Queue::default().submit_fn(|| ());
                let ready = a_thread_each.submit_after(|| (), from_ref(&never));
                never.cancel();
                let mut call = Future::new(async move {
                    ready.await;
                    Ok(())
                });
                sender.send(wait(&mut call)).expect("the test is receiving");
            },
            from_ref(&first),
        );
        drop(opens);
        waits.wait();
        assert!(matches!(receiver.recv(), Ok(Ok(()))));
    });
}

#[test]
fn a_future_waits_for_a_job_that_became_ready_on_its_thread() {
    wait_for_a_job_that_became_ready_here(Future::wait);
}

#[test]
fn a_runner_is_run_for_a_call_that_waits_for_a_job_that_became_ready_on_its_thread() {
    wait_for_a_job_that_became_ready_here(|call| {
        call.to_job()?.run();
        call.try_get_result().map(|result| result.expect("the call has ended"))
    });
}

// Blocking inside the `enqueue` of a pool.

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
                    sender.send(job).expect("the worker lives as long as the pool");
                }
            }
        };
        let mut call = Future::new(async move {
            // The worker calls `enqueue` for the second time.
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
        worker.join().expect("the jobs do not panic");
        Ok(())
    })
}

// Work in the destructors of a thread that ends.

/// Calls a closure when it is dropped, at the end of its thread.
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

/// Calls `call` in the destructor of a thread-local. `is_older` says whether this thread-local is older than those of the library.
fn call_at_the_end_of_a_thread(is_older: bool, call: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        let use_the_library = || {
            let mut call = Future::new(async { Ok(()) });
            at_once.submit_after(call.to_job().expect("the call is new"), &[]).wait();
            call.wait().expect("the call does not fail");
        };
        if !is_older {
            use_the_library();
        }
        AT_THE_END.with(|place| place.borrow_mut().0 = Some(Box::new(call)));
        if is_older {
            use_the_library();
        }
    });
    thread.join().expect("the thread does not panic");
}

/// Calls `go_on`, which runs a job or gives it a turn, at the end of a thread.
fn run_a_job_at_the_end_of_a_thread(go_on: fn(Job)) -> Result<(), Error> {
    for is_older in [true, false] {
        assert_ends(move |_| -> Result<(), Error> {
            let (pool, ran) = (Queue::default(), Flag::default());
            let mut call = Future::new(async { Ok(5) });
            let handle = pool.submit(call.to_job()?);
            let sets = ran.clone();
            let after = at_once.submit_after(move || sets.set(), from_ref(&handle));
            let job = pool.pop().expect("the job was submitted");
            call_at_the_end_of_a_thread(is_older, move || go_on(job));
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
    run_a_job_at_the_end_of_a_thread(|job| {
        assert!(job.turn().is_none());
    })
}

#[test]
fn a_job_is_run_in_the_destructor_of_a_thread_local() -> Result<(), Error> {
    run_a_job_at_the_end_of_a_thread(Job::run)
}

/// Sets an event for a waiting job at the end of a thread. `pool` has no threads, and runs a job, or gives it a turn, at once.
fn set_an_event_at_the_end_of_a_thread(pool: fn(Job)) -> Result<(), Error> {
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
            call_at_the_end_of_a_thread(is_older, move || event.set());
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
    set_an_event_at_the_end_of_a_thread(at_once)
}

#[test]
fn an_event_is_set_in_the_destructor_of_a_thread_local_for_a_job_that_takes_a_turn_at_once()
-> Result<(), Error> {
    set_an_event_at_the_end_of_a_thread(|job| {
        assert!(job.turn().is_none(), "the job does not yield");
    })
}

#[test]
fn a_runner_resumes_in_the_destructor_of_a_thread_local() -> Result<(), Error> {
    for is_older in [true, false] {
        assert_ends(move |_| -> Result<(), Error> {
            let mut call = Future::new(async { Ok(5) });
            let mut runner = call.to_job()?;
            let (sender, receiver) = channel();
            call_at_the_end_of_a_thread(is_older, move || {
                sender.send(runner.resume()).expect("the test is receiving");
            });
            assert_eq!(receiver.recv(), Ok(Step::Done));
            assert_eq!(call.wait()?, 5);
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(feature = "rayon")]
mod on_rayon {
    //! Workers of rayon that wait.

    use super::*;
    use crate::rayon_pools::pool;
    use crate::support::in_a_process_of_its_own;
    use rayon::{ThreadPool, ThreadPoolBuilder};
    use std::sync::Mutex;
    use wasm_jobs::{JobOutcome, RayonGlobal};

    #[test]
    fn a_worker_waits_for_the_first_job_of_its_pool_which_is_to_come_after_others()
    -> Result<(), Error> {
        // This must be the first job of the process on a pool of rayon. After the first, all workers know how to help.
        in_a_process_of_its_own(
            module_path!(),
            "a_worker_waits_for_the_first_job_of_its_pool_which_is_to_come_after_others",
            || {
                assert_ends(|_| {
                    let ((opens, first), pool) = (gate(), pool(1));
                    let job = pool.submit_after(|| (), from_ref(&first));
                    let (sender, receiver) = channel();
                    ThreadPool::spawn(&pool, move || {
                        sender.send(None).expect("the test is receiving");
                        job.wait();
                        sender.send(job.outcome()).expect("the test is receiving");
                    });
                    assert_eq!(receiver.recv(), Ok(None), "the worker is about to wait");
                    // Often, but not always, gives the worker enough time to fall asleep.
                    for _ in 0..1000 {
                        thread::yield_now();
                    }
                    drop(opens);
                    assert_eq!(receiver.recv(), Ok(Some(Succeeded)));
                });
                Ok(())
            },
        )
    }

    /// The actions of a worker, in order.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<&'static str>>>);

    impl Log {
        fn add(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }

        fn adds(&self, what: &'static str) -> impl FnOnce() + Send + use<> {
            let log = self.clone();
            move || log.add(what)
        }

        fn get(&self) -> Vec<&'static str> {
            self.0.lock().unwrap().clone()
        }
    }

    const IN_ORDER: [&str; 4] = ["waits", "has waited", "other work", "other work"];

    /// Spawns two closures on the pool of this worker, and then waits for the job that `job` returns. The log shows the order of the wait and
    /// the closures. Each closure keeps a clone of `sender` until it has run.
    fn wait_beside_other_work(
        log: &Log,
        sender: &Sender<Option<JobOutcome>>,
        job: impl FnOnce() -> JobHandle,
    ) -> Option<JobOutcome> {
        for _ in 0..2 {
            let (adds, sender) = (log.adds("other work"), sender.clone());
            rayon::spawn(move || {
                adds();
                drop(sender);
            });
        }
        log.add("waits");
        let job = job();
        job.wait();
        log.add("has waited");
        job.outcome()
    }

    /// A worker of the global pool waits beside other work while all other workers are busy.
    fn other_work_is_not_run_below_a_global_worker_that_waits(threads: usize) {
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .expect("the global pool is not built yet");
        assert_ends(move |_| {
            let (log, (sender, receiver)) = (Log::default(), channel());
            // The other workers are busy until the wait is over.
            let mut busy = Vec::new();
            for _ in 1..threads {
                let ((ends, ended), (begins, begun)) = (channel::<()>(), channel());
                rayon::spawn(move || {
                    begins.send(()).expect("the test is receiving");
                    let _ = ended.recv();
                });
                assert!(receives(&begun));
                busy.push(ends);
            }
            rayon::spawn({
                let log = log.clone();
                move || {
                    // This is the first job of the global pool, so no worker knows yet which pool is its own.
                    let first = || RayonGlobal.submit_fn(|| ());
                    let outcome = wait_beside_other_work(&log, &sender, first);
                    drop(busy);
                    sender.send(outcome).expect("the test is receiving");
                }
            });
            assert_eq!(receiver.iter().collect::<Vec<_>>(), [Some(Succeeded)]);
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
                // This pool is in no `Arc`, so no thread can submit jobs to it.
                let private = ThreadPoolBuilder::new().num_threads(1).build();
                let private = private.expect("rayon starts the threads");
                let (log, (sender, receiver)) = (Log::default(), channel());
                let ((opens, first), (begins, begun)) = (gate(), channel());
                let job = RayonGlobal.submit_after(|| (), from_ref(&first));
                private.spawn({
                    let log = log.clone();
                    move || {
                        let outcome = wait_beside_other_work(&log, &sender, || {
                            begins.send(()).expect("the test is receiving");
                            job
                        });
                        sender.send(outcome).expect("the test is receiving");
                    }
                });
                assert!(receives(&begun), "the worker is about to wait");
                // Other jobs of the global pool run while the worker waits.
                for _ in 0..20 {
                    RayonGlobal.submit_fn(|| ()).wait();
                }
                drop(opens);
                assert_eq!(receiver.iter().collect::<Vec<_>>(), [Some(Succeeded)]);
                assert_eq!(log.get(), IN_ORDER);
            });
        }
    }

    #[test]
    fn a_runner_is_run_on_the_only_worker_of_the_pool_whose_job_its_call_waits_for() {
        assert_ends(|_| {
            let (pool, (sender, receiver)) = (pool(1), channel());
            let inner_pool = pool.clone();
            let outer = pool.submit_fn(move || {
                let other = inner_pool.submit_fn(|| ());
                let mut call = Future::new(async move {
                    other.clone().await;
                    Ok(other.outcome())
                });
                call.to_job().expect("the call is new").run();
                sender.send(call.try_get_result()).expect("the test is receiving");
            });
            outer.wait();
            assert_eq!(outer.outcome(), Some(Succeeded));
            assert!(matches!(receiver.recv(), Ok(Ok(Some(Some(Succeeded))))));
        });
    }

    #[test]
    fn a_worker_that_helps_ends_a_job_and_then_blocks_for_what_was_to_come_after_it() {
        assert_ends(|_| {
            let (pool, (sender, receiver)) = (pool(1), channel());
            let (opens, opened) = channel::<()>();
            let first = pool.submit_fn(move || {
                let _ = opened.recv();
            });
            let inner_pool = pool.clone();
            let blocks = at_once.submit_after(
                move || {
                    let helped = inner_pool.submit_fn(|| ());
                    let (sender_after, receiver_after) = channel();
                    let after = a_thread_each.submit_after(
                        move || sender_after.send(()).expect("the job is receiving"),
                        from_ref(&helped),
                    );
                    helped.wait();
                    sender.send(receives(&receiver_after)).expect("the test is receiving");
                    after.wait();
                },
                from_ref(&first),
            );
            drop(opens);
            blocks.wait();
            assert_eq!(receiver.recv(), Ok(true));
            assert_eq!(blocks.outcome(), Some(Succeeded));
        });
    }

    #[test]
    fn many_jobs_of_a_pool_of_one_thread_wait_for_the_same_job() -> Result<(), Error> {
        // A failure is a stack overflow. With the feature `wasm`, the library promises room for hundreds of nested jobs, and no more.
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
                    // The worker nests the jobs until its stack is used up. This test does not depend on the depth.
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
