//! Frames of coroutines: a frame in which all of them wait, and the step of a coroutine that awaits the next frame.

use crate::rounds::{Finding, Other, compare};
use async_task::Runnable;
use crossbeam::queue::SegQueue;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::task::{Context, Waker};
use wasm_jobs::{Coroutines, Event, next_frame, yield_now};

/// A tick with 10,000 coroutines that wait for an event: beside one poll of a `FuturesUnordered` with as many futures that wait for it. Neither
/// polls what was not woken.
pub(crate) fn idle() -> Finding {
    const COROUTINES: usize = 10_000;
    const TICKS: u64 = 10_000;
    let (coroutines, event) = (Coroutines::new(), Event::new());
    for _ in 0..COROUTINES {
        coroutines.spawn(event.wait());
    }
    assert_eq!(coroutines.tick().stepped, COROUTINES);
    let ours = || {
        for _ in 0..TICKS {
            assert_eq!(coroutines.tick().stepped, 0);
        }
    };

    let mut futures: FuturesUnordered<_> = (0..COROUTINES).map(|_| event.wait()).collect();
    let mut poll = || futures.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
    // It lets its caller go after some of the first polls.
    for _ in 0..COROUTINES {
        assert!(poll().is_pending());
    }
    let theirs = || {
        for _ in 0..TICKS {
            assert!(poll().is_pending());
        }
    };

    compare(Other::Peer("futures_unordered"), 31, TICKS, ours, theirs)
}

/// A step, beside running a bare runnable of `async-task` that comes back to the same queue.
pub(crate) fn busy() -> Finding {
    const TASKS: usize = 1_000;
    const TICKS: usize = 100;
    let coroutines = Coroutines::new();
    for _ in 0..TASKS {
        coroutines.spawn(async {
            loop {
                next_frame().await;
            }
        });
    }
    let ours = || {
        for _ in 0..TICKS {
            assert_eq!(coroutines.tick().stepped, TASKS);
        }
    };

    let queue = Arc::new(SegQueue::<Runnable>::new());
    for _ in 0..TASKS {
        let queue = queue.clone();
        let schedule = move |runnable| queue.push(runnable);
        let (runnable, task) = async_task::spawn_local(
            async {
                loop {
                    yield_now().await;
                }
            },
            schedule,
        );
        task.detach();
        runnable.schedule();
    }
    let theirs = || {
        for _ in 0..TICKS * TASKS {
            queue.pop().expect("each comes back").run();
        }
    };

    compare(Other::Peer("async_task"), 31, (TICKS * TASKS) as u64, ours, theirs)
}
