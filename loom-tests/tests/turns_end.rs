//! A turn ends: in a model the quantum is always over, so a job takes one step a turn, whenever it is woken.
#![cfg(wasm_jobs_loom)]

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::JobPool;
use wasm_jobs_loom_tests::{Pool, Watch};

/// Mistake: a job that is woken between its poll and its parking takes another step, although the quantum is over.
#[test]
fn a_job_that_is_woken_when_it_is_about_to_wait_gives_up_its_turn() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_calls(1), Watch::default());
        let happened = Arc::new(AtomicUsize::new(0));
        let (mut future, waker) = watch.waiting_call({
            let happened = happened.clone();
            move |_| if happened.load(Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
        });
        // With this wake, the turn takes a step even if the event has not happened yet.
        waker.wake_by_ref();
        let handle = pool.submit(future.to_job().unwrap());
        let event = thread::spawn(move || {
            happened.store(1, Relaxed);
            waker.wake();
        });

        let before = watch.steps();
        let again = pool.try_take().expect("the job was submitted").turn();
        assert!(
            watch.steps() - before <= 1,
            "the job took a second step, although the quantum was over"
        );

        event.join().unwrap();
        again.into_iter().for_each(|job| pool.enqueue(job));
        while let Some(job) = pool.try_take() {
            job.run();
        }
        assert!(handle.is_complete());
        drop(future.try_get_result().unwrap().unwrap());
        watch.assert_is_over();
        pool.assert_is_forgotten();
    });
}
