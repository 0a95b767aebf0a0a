//! Closures that wait for access to a value of another thread: each runs once, unless its call was dropped before; its call is woken; and
//! nothing of it is lost.
#![cfg(wasm_jobs_loom)]

use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use wasm_jobs::{AccessQueue, Future};
use wasm_jobs_loom_tests::{CountingWaker, poll};

/// The value that the closures visit. Loom fails a model in which nothing orders a visit and what its call does after it.
type World = Arc<UnsafeCell<u32>>;

/// Counts its drops, by a ghost counter.
#[derive(Default)]
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Mistakes: the call is not woken, or too early; a waker that comes before or while the closure runs is lost.
#[test]
fn a_call_goes_to_another_thread_while_its_closure_runs() {
    loom::model(|| {
        let (queue, mut world) = (AccessQueue::<World>::new(), World::default());
        let seen = world.clone();
        let mut access = queue.with(|world| world.with_mut(|_| 7));
        assert!(poll(&mut access, &CountingWaker::default()).is_pending());
        let call = thread::spawn(move || {
            let result = Future::new(async { Ok(access.await) }).wait().unwrap();
            seen.with_mut(|_| ());
            result
        });
        assert_eq!(queue.run(&mut world), 1);
        assert_eq!(call.join().unwrap(), 7);
        assert!(queue.is_empty());
    });
}

/// Mistake: the call is not woken.
#[test]
fn a_call_arrives_while_the_closures_run() {
    loom::model(|| {
        let (queue, mut world) = (AccessQueue::<World>::new(), World::default());
        let call = thread::spawn({
            let queue = queue.clone();
            move || {
                let mut access = queue.with(|world| world.with_mut(|_| 7));
                let waker = CountingWaker::default();
                match poll(&mut access, &waker) {
                    Poll::Ready(result) => panic!("nobody has run it: {result}"),
                    Poll::Pending => (access, waker),
                }
            }
        });
        let early = queue.run(&mut world);
        let (mut access, waker) = call.join().unwrap();
        assert_eq!(waker.is_woken(), early == 1);
        assert_eq!(early + queue.run(&mut world), 1);
        assert!(waker.is_woken());
        assert_eq!(poll(&mut access, &waker), Poll::Ready(7));
    });
}

/// The run drops the closure and its result once, or the call does: the one that takes the closure.
#[test]
fn a_call_is_dropped_while_its_closure_runs() {
    loom::model(|| {
        let (queue, mut world) = (AccessQueue::<World>::new(), World::default());
        let (closure, result) = (Dropped::default(), Dropped::default());
        let counts = [closure.0.clone(), result.0.clone()];
        let mut access = queue.with(move |world| {
            world.with_mut(|_| ());
            drop(closure);
            result
        });
        assert!(poll(&mut access, &CountingWaker::default()).is_pending());
        let call = thread::spawn(move || drop(access));
        let ran = queue.run(&mut world);
        call.join().unwrap();
        assert!(ran <= 1);
        assert!(queue.is_empty());
        assert_eq!(counts.map(|count| count.load(SeqCst)), [1, 1]);
        assert_eq!(queue.run(&mut world), 0);
    });
}
