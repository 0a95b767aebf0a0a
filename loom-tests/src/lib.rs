//! What the models share: a pool whose queue they can inspect, work that counts its steps and drops, and wakers that count their wakes.
//!
//! The counters of the work are relaxed, so that reading one cannot replace a synchronisation that the library lacks. They are loom's
//! atomics, because loom reorders only the accesses that it sees. Counters called *ghost* are std's atomics, which loom does not see. A
//! model reads a ghost counter only after its threads have ended.
#![cfg(wasm_jobs_loom)]
#![expect(clippy::missing_panics_doc, reason = "a model reports a fault by a panic")]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use wasm_jobs::model::{Interrupter, Lease, Leased, interruptible};
use wasm_jobs::{Error, Future, Job, JobHandle, JobPool, Step};

/// The future of a model's call. With the feature `send-owner`, its owner may travel.
#[cfg(not(feature = "send-owner"))]
pub type Owned<T> = Future<T>;
/// The future of a model's call, whose owner may travel.
#[cfg(feature = "send-owner")]
pub type Owned<T> = wasm_jobs::SendFuture<T>;

/// A pool with a queue. The threads of a model are its workers.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    contents: Mutex<Contents>,
    has_changed: Condvar,
    calls: usize,
}

#[derive(Debug, Default)]
struct Contents {
    jobs: VecDeque<Job>,
    /// Set by `enqueue` and asserted by `take`, because the library swallows a panic of `enqueue`.
    had_too_many: bool,
    is_closed: bool,
}

impl Contents {
    fn take(&mut self) -> Option<Job> {
        assert!(!self.had_too_many, "a call stood in the queue twice");
        self.jobs.pop_front()
    }
}

impl Pool {
    /// A pool for `calls` calls. Each call may stand in its queue once.
    pub fn of_calls(calls: usize) -> Self {
        Self(Arc::new(Queue { contents: Mutex::default(), has_changed: Condvar::new(), calls }))
    }

    /// Takes the first job out of the queue, if there is one.
    pub fn try_take(&self) -> Option<Job> {
        self.0.contents.lock().unwrap().take()
    }

    /// Takes the first job and runs it, as a worker does.
    ///
    /// # Panics
    ///
    /// If the queue is empty.
    pub fn run_one(&self) {
        self.try_take().expect("the queue has a job").run();
    }

    /// Waits for a job and runs it, as a worker does.
    pub fn run_next(&self) {
        self.0.next().expect("the queue is open").run();
    }

    /// Spawns a worker that runs one job. The job must be in the queue already.
    pub fn spawn_worker(&self) -> JoinHandle<()> {
        let pool = self.clone();
        thread::spawn(move || pool.run_one())
    }

    /// Runs jobs, as a worker does, until the job of `handle` is over. Sleeps while the queue is empty.
    pub fn work_until(&self, mut handle: JobHandle) {
        let waker = Waker::from(self.0.clone());
        if Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending() {
            while let Some(job) = self.0.next() {
                job.run();
            }
        }
        assert!(handle.is_complete());
    }

    /// Asserts that the queue is empty, and that nothing else refers to the pool.
    pub fn assert_is_forgotten(self) {
        assert!(self.try_take().is_none(), "a job was left in the queue");
        assert_eq!(Arc::strong_count(&self.0), 1, "the pool is still referenced");
    }
}

impl JobPool for Pool {
    fn enqueue(&self, job: Job) {
        let mut contents = self.0.contents.lock().unwrap();
        contents.jobs.push_back(job);
        contents.had_too_many |= contents.jobs.len() > self.0.calls;
        drop(contents);
        self.0.has_changed.notify_one();
    }
}

impl Queue {
    fn next(&self) -> Option<Job> {
        let mut contents = self.contents.lock().unwrap();
        while !contents.is_closed {
            if let Some(job) = contents.take() {
                return Some(job);
            }
            contents = self.has_changed.wait(contents).unwrap();
        }
        None
    }
}

/// The waker of [`Pool::work_until`]: closes the queue, so that its workers return.
impl Wake for Queue {
    fn wake(self: Arc<Self>) {
        self.contents.lock().unwrap().is_closed = true;
        self.has_changed.notify_all();
    }
}

/// Makes calls, and counts the steps and the drops of their work. The counts are relaxed. A thread reads the right count only after the
/// library has synchronised it with the call.
#[derive(Clone, Default)]
pub struct Watch {
    watched: Arc<Watched>,
    interrupter: Option<&'static dyn Interrupter>,
}

#[derive(Debug, Default)]
struct Watched {
    steps: AtomicUsize,
    drops: AtomicUsize,
    results: AtomicUsize,
    /// Ghost: the visits to the work that are in progress. A visit that panics stays counted, because the call catches the panic of an
    /// assertion in its work.
    visits: std::sync::atomic::AtomicUsize,
}

/// The result of the work. Its drop is counted.
#[derive(Debug)]
pub struct Token(Arc<Watched>);

/// Work whose steps and drops a [`Watch`] counts.
struct Work<F> {
    poll: F,
    /// Loom fails a model in which nothing orders two visits.
    place: UnsafeCell<()>,
    watched: Arc<Watched>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.watched).finish()
    }
}

impl Watch {
    /// Makes calls whose steps `interrupter` interrupts.
    pub fn interrupted_by(interrupter: &'static dyn Interrupter) -> Self {
        Self { interrupter: Some(interrupter), ..Self::default() }
    }

    /// Makes a call. Each of its steps calls `poll` once.
    pub fn call<F>(&self, poll: F) -> Owned<Token>
    where
        F: FnMut(&mut Context<'_>) -> Poll<()> + Unpin + Send + 'static,
    {
        let work = Work { poll, place: UnsafeCell::new(()), watched: self.watched.clone() };
        let future = match self.interrupter {
            Some(interrupter) => interruptible(work, interrupter),
            None => Future::new(work),
        };
        #[cfg(feature = "send-owner")]
        let future = future.into_send();
        future
    }

    /// Makes a call, takes a first step that only waits, and returns the call with its waker. The later steps call `poll`.
    pub fn waiting_call<F>(&self, mut poll: F) -> (Owned<Token>, Waker)
    where
        F: FnMut(&mut Context<'_>) -> Poll<()> + Unpin + Send + 'static,
    {
        let place = Arc::new(std::sync::Mutex::new(None));
        let mut call = self.call({
            let place = place.clone();
            let mut is_first = true;
            move |context| {
                if std::mem::replace(&mut is_first, false) {
                    *place.lock().unwrap() = Some(context.waker().clone());
                    return Poll::Pending;
                }
                poll(context)
            }
        });
        assert_eq!(call.resume().unwrap(), Step::Waiting);
        let waker = place.lock().unwrap().take();
        (call, waker.expect("the first step stores the waker"))
    }

    /// The number of times the work was polled.
    pub fn steps(&self) -> usize {
        self.watched.steps.load(Relaxed)
    }

    /// Was the work dropped?
    pub fn is_dropped(&self) -> bool {
        self.watched.drops.load(Relaxed) > 0
    }

    /// Asserts that the call is over: its work was dropped once, and so was its result, if it had one.
    pub fn assert_is_over(&self) {
        assert_eq!(
            self.watched.visits.load(SeqCst),
            0,
            "two threads were inside the call, or a step failed"
        );
        assert_eq!(self.watched.drops.load(Relaxed), 1, "the work was not dropped exactly once");
        assert_eq!(self.watched.results.load(Relaxed), 0, "a result was not dropped");
    }
}

impl<F> Work<F> {
    fn visit<R>(&mut self, code: impl FnOnce(&mut F) -> R) -> R {
        self.watched.visits.fetch_add(1, SeqCst);
        let outcome = self.place.with_mut(|_| code(&mut self.poll));
        self.watched.visits.fetch_sub(1, SeqCst);
        outcome
    }
}

impl<F> std::future::Future for Work<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<()> + Unpin,
{
    type Output = Result<Token, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.get_mut();
        work.watched.steps.fetch_add(1, Relaxed);
        work.visit(|poll| poll(context)).map(|()| {
            work.watched.results.fetch_add(1, Relaxed);
            Ok(Token(work.watched.clone()))
        })
    }
}

impl<F> Drop for Work<F> {
    fn drop(&mut self) {
        self.visit(|_| ());
        self.watched.drops.fetch_add(1, Relaxed);
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.results.fetch_sub(1, Relaxed);
    }
}

/// A gate blocks one thread until another thread opens it. It makes a step of a model long.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Opens the gate for good.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Blocks until the gate is open.
    pub fn pass(&self) {
        let mut is_open = self.0.0.lock().unwrap();
        while !*is_open {
            is_open = self.0.1.wait(is_open).unwrap();
        }
    }
}

/// Takes the value out of `home`. `None` if another thread has it.
pub fn try_take<X>(home: &Arc<Lease<X>>) -> Option<Leased<X>> {
    Leased::try_take(home.clone())
}

/// Makes a waker, and counts its wakes by a ghost counter.
#[derive(Clone, Debug, Default)]
pub struct CountingWaker(Arc<Wakes>);

#[derive(Debug, Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl CountingWaker {
    /// The waker whose wakes are counted.
    pub fn waker(&self) -> Waker {
        Waker::from(self.0.clone())
    }

    /// Was the waker woken?
    pub fn is_woken(&self) -> bool {
        self.0.0.load(SeqCst) > 0
    }
}

/// Polls `future` once with the waker of `waker`.
pub fn poll<F: std::future::Future + Unpin>(
    future: &mut F,
    waker: &CountingWaker,
) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&waker.waker()))
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}
