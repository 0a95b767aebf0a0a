//! A random graph of jobs. The integration tests run it on pools of threads, and the tests of `explore` in many orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use wasm_jobs::{Error, Future, JobHandle, JobPool, yield_now};

#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// The random numbers of Knuth's MMIX, which are the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }
}

/// The kinds of jobs in a random graph.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Closure,
    Call,
    /// A call that yields, and waits for what rings.
    Slow,
    Fails,
    Panics,
}

/// Submits a random graph of so many jobs to `pool`, runs it, and asserts that each job began after all jobs before it were over, and that
/// exactly the expected jobs failed. The slow calls await what `rings` gives.
pub(crate) fn run<F>(
    pool: &impl JobPool,
    jobs: usize,
    run: impl FnOnce(),
    rings: impl Fn() -> F + Clone + Send + 'static,
    seed: u64,
) -> Result<(), Error>
where
    F: std::future::Future<Output = ()> + Send,
{
    let mut random = Random(seed);
    let over: Arc<Vec<Flag>> = Arc::new((0..jobs).map(|_| Flag::default()).collect());
    let (mut calls, mut handles) = (Vec::new(), Vec::<JobHandle>::new());
    let mut fails = Vec::<bool>::new();
    let wrong = Flag::default();
    for job in 0..jobs {
        let kind = match random.below(20) {
            0..6 => Kind::Closure,
            6..12 => Kind::Call,
            12..18 => Kind::Slow,
            // Every other graph has no failures.
            _ if seed.is_multiple_of(2) => Kind::Call,
            18 => Kind::Fails,
            _ => Kind::Panics,
        };
        let before: Vec<_> = (0..random.below(4).min(job)).map(|_| random.below(job)).collect();
        let only_after_ok = random.below(2) == 0;
        let refused = only_after_ok && before.iter().any(|before| fails[*before]);
        fails.push(refused || matches!(kind, Kind::Fails | Kind::Panics));
        let after: Vec<_> = before.iter().map(|before| handles[*before].clone()).collect();

        let begin = {
            let (over, wrong) = (over.clone(), wrong.clone());
            move || {
                if refused || !before.iter().all(|before| over[*before].is_set()) {
                    wrong.set();
                }
            }
        };
        let end = {
            let over = over.clone();
            move || over[job].set()
        };
        // A job that does not run is over when it is dropped.
        struct End<F: FnMut()>(F);
        impl<F: FnMut()> Drop for End<F> {
            fn drop(&mut self) {
                self.0();
            }
        }
        let end = End(end);
        let handle = if kind == Kind::Closure {
            let closure = move || {
                begin();
                drop(end);
            };
            if only_after_ok {
                pool.submit_after_ok(closure, &after)
            } else {
                pool.submit_after(closure, &after)
            }
        } else {
            let rings = rings.clone();
            let mut call = Future::new(async move {
                begin();
                let _end = end;
                match kind {
                    Kind::Slow => {
                        yield_now().await;
                        rings().await;
                        yield_now().await;
                    }
                    Kind::Fails => return Err(Error::other("it fails")),
                    Kind::Panics => std::panic::resume_unwind(Box::new("it panics")),
                    Kind::Closure | Kind::Call => {}
                }
                Ok(())
            });
            let runner = call.to_job()?;
            calls.push((job, kind, refused, call));
            if only_after_ok {
                pool.submit_after_ok(runner, &after)
            } else {
                pool.submit_after(runner, &after)
            }
        };
        handles.push(handle);
    }
    run();
    JobHandle::all(handles).wait();
    assert!(!wrong.is_set(), "a job of graph {seed} began too early, or although it was refused");
    assert!(over.iter().all(Flag::is_set), "a job of graph {seed} was not run");
    for (job, kind, refused, mut call) in calls {
        let as_expected = match call.try_get_result() {
            Err(Error::DependencyFailed) => refused,
            Err(Error::Other(_)) => !refused && kind == Kind::Fails,
            Err(Error::Panic(_)) => !refused && kind == Kind::Panics,
            Ok(Some(())) => !refused && !matches!(kind, Kind::Fails | Kind::Panics),
            Ok(None) | Err(_) => false,
        };
        assert!(as_expected, "job {job} of graph {seed}, {kind:?}, refused: {refused}");
    }
    Ok(())
}
