//! What the tests share: events, counters, pools, and all ways to finish a call.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use wasm_jobs::{Error, Future, FutureRunner, Job, JobPool, Step};

/// An event that happens once. The work of a call awaits it, and any thread may set it.
#[derive(Clone, Default)]
pub(crate) struct Event(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    has_happened: bool,
    wakers: Vec<Waker>,
}

impl Event {
    pub(crate) fn set(&self) {
        let wakers = {
            let mut waiting = self.0.lock().unwrap();
            waiting.has_happened = true;
            std::mem::take(&mut waiting.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn has_happened(&self) -> bool {
        self.0.lock().unwrap().has_happened
    }

    /// Wakes the waiters although the event has not happened.
    pub(crate) fn wake_for_nothing(&self) {
        let wakers = self.0.lock().unwrap().wakers.clone();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The work of a call that only waits for the event.
    pub(crate) fn awaited(
        &self,
    ) -> impl std::future::Future<Output = Result<(), Error>> + Send + use<> {
        let happens = self.happens();
        async {
            happens.await;
            Ok(())
        }
    }

    pub(crate) fn happens(&self) -> impl std::future::Future<Output = ()> + Send + use<> {
        let event = self.clone();
        std::future::poll_fn(move |context| {
            let mut waiting = event.0.lock().unwrap();
            if waiting.has_happened {
                return Poll::Ready(());
            }
            if !waiting.wakers.iter().any(|known| known.will_wake(context.waker())) {
                waiting.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
    }
}

/// Makes the work of a call from a future that cannot fail.
pub(crate) async fn ok<F: std::future::Future>(work: F) -> Result<F::Output, Error> {
    Ok(work.await)
}

/// Work that calls `notify` when it waits for the first time. From then on, a wake finds the work waiting.
pub(crate) fn notifying<F: std::future::Future>(
    notify: impl FnOnce(),
    work: F,
) -> impl std::future::Future<Output = F::Output> {
    let (mut notify, mut work) = (Some(notify), Box::pin(work));
    std::future::poll_fn(move |context| {
        let polled = work.as_mut().poll(context);
        if polled.is_pending()
            && let Some(notify) = notify.take()
        {
            notify();
        }
        polled
    })
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(true, SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Returns a guard that counts its drop here.
    pub(crate) fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
}

/// A guard that counts its drop. It is not `Clone`, so no drop is counted twice.
#[derive(Debug)]
pub(crate) struct OnDrop(Counter);

impl OnDrop {
    /// The number of guards of the same counter that were dropped.
    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// As a waker, a counter counts its wakes.
impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.add();
    }
}

/// Work that counts its polls.
pub(crate) fn counted<F: std::future::Future>(
    polls: &Counter,
    work: F,
) -> impl std::future::Future<Output = F::Output> + use<F> {
    let polls = polls.clone();
    let mut work = Box::pin(work);
    std::future::poll_fn(move |context| {
        polls.add();
        work.as_mut().poll(context)
    })
}

/// Runs a std future to completion on this thread, as the executors of other crates do.
pub(crate) fn block_on<F: std::future::Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls a std future once, with a waker that counts its wakes.
pub(crate) fn poll_once<F: std::future::Future + Unpin>(
    future: &mut F,
    wakes: &Arc<Counter>,
) -> Poll<F::Output> {
    let waker = Waker::from(wakes.clone());
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Waits for a message, and returns whether one arrived. The timeout only turns a hang into a failure.
pub(crate) fn receives<T>(messages: &Receiver<T>) -> bool {
    messages.recv_timeout(Duration::from_secs(60)).is_ok()
}

/// Runs `body` on a thread of its own, and fails if it does not end. The timeout only turns a hang into a failure. Then the flag is set, and
/// `body` must leave its loops, so that no thread spins on.
pub(crate) fn assert_ends<T: Send + 'static>(body: impl FnOnce(Flag) -> T + Send + 'static) -> T {
    let ((sender, outcome), gives_up) = (mpsc::channel(), Flag::default());
    let running = thread::spawn({
        let gives_up = gives_up.clone();
        move || drop(sender.send(body(gives_up)))
    });
    match outcome.recv_timeout(Duration::from_secs(60)) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => {
            gives_up.set();
            panic!("the body does not end: no thread runs a job that it waits for");
        }
        Err(RecvTimeoutError::Disconnected) => match running.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("the body has sent its outcome or panicked"),
        },
    }
}

/// This variable is set in a process that runs only one test.
#[cfg(feature = "rayon")]
const ALONE: &str = "WASM_JOBS_TEST_IS_ALONE";

/// Runs `body` in a process that runs nothing else. A test needs this if its failure is a stack overflow, which ends the process, or if its
/// situation exists only before another test has used the library. `module` is the `module_path!` of the test, and `name` its name.
#[cfg(feature = "rayon")]
pub(crate) fn in_a_process_of_its_own(
    module: &str,
    name: &str,
    body: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    use std::process::Command;

    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let (_, module) = module.split_once("::").expect("the path begins with the crate");
    let this = std::env::current_exe().expect("this process knows its binary");
    let output = Command::new(this)
        .args(["--exact", &format!("{module}::{name}"), "--nocapture"])
        .env(ALONE, "")
        .output()
        .expect("this binary can run");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{out}");
    Ok(())
}

/// A pool without threads. A test runs, drops or counts its jobs by hand.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<VecDeque<Job>>>);

impl JobPool for Queue {
    fn enqueue(&self, job: Job) {
        self.0.lock().unwrap().push_back(job);
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn pop(&self) -> Option<Job> {
        self.0.lock().unwrap().pop_front()
    }

    /// Gives the jobs turns in the order of the queue until the queue is empty.
    pub(crate) fn run(&self) {
        while let Some(job) = self.pop() {
            if let Some(job) = job.turn() {
                self.enqueue(job);
            }
        }
    }
}

/// Runs the jobs of `pool`, and returns the order in which the calls ended. Each job must end one call.
pub(crate) fn order_of_ends(pool: &Queue, calls: &mut [Future<()>]) -> Result<Vec<usize>, Error> {
    let mut order = Vec::new();
    while let Some(job) = pool.pop() {
        job.run();
        let ended = calls.iter().position(Future::has_result).expect("the job has ended a call");
        assert_eq!(calls[ended].try_get_result()?, Some(()));
        order.push(ended);
    }
    Ok(order)
}

/// Runs each call to its end on a thread of its own, and calls `something` when they all begin.
pub(crate) fn run_beside(calls: &mut [Future<()>], something: impl FnOnce()) -> Result<(), Error> {
    let runners: Result<Vec<_>, Error> = calls.iter_mut().map(Future::to_job).collect();
    let begin = Arc::new(Barrier::new(calls.len() + 1));
    let run = |runner: FutureRunner<()>| {
        let begin = begin.clone();
        thread::spawn(move || {
            begin.wait();
            runner.run();
        })
    };
    let threads: Vec<_> = runners?.into_iter().map(run).collect();
    begin.wait();
    something();
    for thread in threads {
        thread.join().expect("running does not panic");
    }
    Ok(())
}

/// A pool with a channel and `count` workers. The workers end when the pool is dropped.
pub(crate) fn workers(count: usize) -> impl JobPool {
    let (sender, jobs) = crossbeam::channel::unbounded::<Job>();
    for _ in 0..count {
        let jobs = jobs.clone();
        thread::spawn(move || jobs.into_iter().for_each(Job::run));
    }
    move |job: Job| sender.send(job).expect("the workers live as long as the pool")
}

pub(crate) fn a_thread_each(job: Job) {
    thread::spawn(|| job.run());
}

pub(crate) fn at_once(job: Job) {
    job.run();
}

/// Spawns a thread that sets the events of an [`Alarm`]. The thread ends when all clones of the alarm are dropped.
pub(crate) fn alarm_clock() -> (Alarm, JoinHandle<()>) {
    let (sender, events) = mpsc::channel::<Event>();
    (Alarm(sender), thread::spawn(move || events.into_iter().for_each(|event| event.set())))
}

#[derive(Clone)]
pub(crate) struct Alarm(Sender<Event>);

impl Alarm {
    /// Waits until the other thread has set an event.
    pub(crate) async fn rings(&self) {
        let event = Event::default();
        self.0.send(event.clone()).expect("the thread lives as long as its senders");
        event.happens().await;
    }
}

/// A way to run a call to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Resume,
    Wait,
    Await,
    ResumeRunner,
    RunRunner,
    AThreadEach,
    AtOnce,
    Workers,
    #[cfg(feature = "rayon")]
    Rayon,
}

impl Way {
    pub(crate) const ALL: &[Self] = &[
        Self::Resume,
        Self::Wait,
        Self::Await,
        Self::ResumeRunner,
        Self::RunRunner,
        Self::AThreadEach,
        Self::AtOnce,
        Self::Workers,
        #[cfg(feature = "rayon")]
        Self::Rayon,
    ];

    pub(crate) fn finish<T: Send + 'static, O>(
        self,
        future: &mut Future<T, O>,
    ) -> Result<T, Error> {
        match self {
            Self::Resume => {
                while future.resume()? != Step::Done {
                    thread::yield_now();
                }
            }
            Self::Wait => return future.wait(),
            Self::Await => return block_on(future),
            Self::ResumeRunner => {
                let mut runner = future.to_job()?;
                let stepping = thread::spawn(move || {
                    while runner.resume() != Step::Done {
                        thread::yield_now();
                    }
                });
                stepping.join().expect("the steps do not panic");
            }
            Self::RunRunner => {
                let runner = future.to_job()?;
                thread::spawn(move || runner.run()).join().expect("running does not panic");
            }
            Self::AThreadEach => a_thread_each.submit(future.to_job()?).wait(),
            Self::AtOnce => at_once.submit(future.to_job()?).wait(),
            Self::Workers => workers(2).submit(future.to_job()?).wait(),
            #[cfg(feature = "rayon")]
            Self::Rayon => wasm_jobs::RayonGlobal.submit(future.to_job()?).wait(),
        }
        assert!(future.has_result(), "{self:?} did not run the call to its end");
        Ok(future.try_get_result()?.expect("the call has a result"))
    }
}

/// A call that yields until `may_stop` is set, and then returns true. After `should_stop` it yields only a limited number of times, and then
/// returns false: nothing else on its worker has had a turn.
pub(crate) fn yields_until(may_stop: &Flag, should_stop: &Flag) -> Future<bool> {
    let (may_stop, should_stop) = (may_stop.clone(), should_stop.clone());
    Future::new(async move {
        let mut patience = 300_000;
        while !may_stop.is_set() && patience > 0 {
            if should_stop.is_set() {
                patience -= 1;
            }
            wasm_jobs::yield_now().await;
        }
        Ok(may_stop.is_set())
    })
}

/// Repeats `attempt` while it times out. On a slow machine, any attempt may exceed its time limit.
#[cfg(feature = "wasm")]
pub(crate) fn retry_timeouts<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match attempt() {
            Err(Error::TimedOut(_)) => {}
            outcome => return outcome,
        }
    }
}

/// The approximate stack pointer of the caller.
#[inline(never)]
pub(crate) fn stack_pointer() -> usize {
    let local = 0_u8;
    std::hint::black_box(&raw const local).addr()
}
