//! `Event::set` with 10,000 futures that wait, beside `tokio::sync::Notify::notify_waiters`: from the call until the waker of each has
//! been called, with the wakers that count their calls. Waiting and waking up are not timed. The time for one waiter.

use crate::rounds::{Finding, Other, in_turn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;
use tokio::sync::Notify;
use wasm_jobs::Event;

const WAITERS: usize = 10_000;

pub(crate) fn measure() -> Finding {
    let event = Event::new();
    let ours = || {
        event.reset();
        until_all_are_woken(|| event.wait(), || event.set())
    };
    let notify = Arc::new(Notify::new());
    let theirs =
        || until_all_are_woken(|| notify.clone().notified_owned(), || notify.notify_waiters());
    in_turn("ns", Other::Peer("tokio"), 101, ours, theirs)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The time for each waiter, in nanoseconds.
fn until_all_are_woken<W: Future<Output = ()>>(wait: impl Fn() -> W, wake: impl FnOnce()) -> f64 {
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut waiters: Vec<_> = (0..WAITERS).map(|_| Box::pin(wait())).collect();
    for waiter in &mut waiters {
        assert!(waiter.as_mut().poll(&mut context).is_pending());
    }
    let start = Instant::now();
    wake();
    while woken.0.load(Ordering::Relaxed) < WAITERS {
        thread::yield_now();
    }
    let time = start.elapsed();
    assert!(waiters.iter_mut().all(|waiter| waiter.as_mut().poll(&mut context) == Poll::Ready(())));
    time.as_nanos() as f64 / WAITERS as f64
}
