//! [`AccessQueue`]: closures that wait for access to a value which another thread owns, such as the world of a game. A call waits for the
//! result of its closure; the owner of the value runs the closures when it chooses.

use crate::sync::Mutex;
use crate::unwind::{catch, ignore_panic};
use crate::wait::ready::run_foreign;
#[cfg(feature = "explore")]
use crate::wait::waits_for::{WaitsFor, note};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

/// A queue of closures that wait for access to a `W`, such as the world of a game.
///
/// A host function that needs the world cannot borrow it: the guest may be suspended, resumed in another frame, and on another thread.
/// Instead it [awaits a closure](Self::with), which suspends the guest. At a moment when nobody else uses the world, its owner
/// [runs](Self::run) the closures that wait, each with the world by `&mut`. Each call then goes on with the result of its closure.
///
/// The owner of the world must not block on a call that may ask for it. If nobody runs the queue any more, the calls in it wait until they are
/// cancelled.
///
/// A clone is the same queue.
///
/// ```
/// # #[cfg(all(feature = "wasm", feature = "rayon"))] {
/// use wasm_jobs::{AccessQueue, EngineOptions, Instance, JobPool, RayonGlobal, engine, wasmtime};
///
/// struct World { creatures: Vec<i32> }
///
/// let access = AccessQueue::<World>::new();
/// let engine = engine(&EngineOptions::default())?;
/// let mut linker = wasmtime::Linker::<()>::new(&engine);
/// let queue = access.clone();
/// linker.func_wrap_async("game", "spawn", move |_, (health,): (i32,)| {
///     Box::new(queue.with(move |world| {
///         world.creatures.push(health);
///         world.creatures.len() as i32
///     }))
/// })?;
/// # let wasm = wat::parse_str(r#"(module (import "game" "spawn" (func $spawn (param i32) (result i32)))
/// #     (func (export "run") (result i32) (drop (call $spawn (i32.const 10))) (call $spawn (i32.const 20))))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// let script = Instance::new(&linker.instantiate_pre(&module)?, ())?;
/// let mut future = script.call::<(), i32>("run", ())?;
/// RayonGlobal.submit(future.to_job()?);
///
/// let mut world = World { creatures: Vec::new() };
/// while !future.has_result() {
///     access.run(&mut world); // once a frame, when no system uses the world
/// #   std::thread::yield_now();
/// }
/// assert_eq!(world.creatures, [10, 20]);
/// assert_eq!(future.try_get_result()?, Some(2));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AccessQueue<W: ?Sized + 'static> {
    queue: Arc<Mutex<Queue<W>>>,
}

struct Queue<W: ?Sized + 'static> {
    /// Those that wait, by their numbers, which are in the order of their arrival.
    visits: BTreeMap<u64, Arc<dyn Visit<W>>>,
    next: u64,
}

/// A closure that waits for access.
trait Visit<W: ?Sized>: Send + Sync {
    /// Runs the closure, unless nobody waits for it any more. Returns whether it ran.
    fn run(&self, world: &mut W) -> bool;
}

/// The place that a closure shares with the call that waits for it.
struct Place<F, R>(Mutex<State<F, R>>);

enum State<F, R> {
    /// The closure was not run. The waker is that of the call.
    Waiting(F, Waker),
    /// The closure is running.
    Running(Waker),
    /// What it has returned, or the payload of its panic.
    Done(thread::Result<R>),
    /// The result was taken, or nobody waits for it any more.
    Over,
}

impl<W: ?Sized + 'static> AccessQueue<W> {
    /// A queue in which nothing waits.
    #[must_use]
    pub fn new() -> Self {
        Self { queue: Arc::new(Mutex::new(Queue { visits: BTreeMap::new(), next: 0 })) }
    }

    /// Waits until the owner of the `W` has run `closure`, and gives its result. The closure joins the queue at the first poll.
    ///
    /// If this is dropped before the closure runs, because the call was cancelled for instance, the closure is dropped with it and never runs.
    ///
    /// A closure that panics does so in the call that waits for it, which fails with [`Error::Panic`](crate::Error::Panic). The owner of the
    /// `W` and the other closures go on, and the `W` is as the closure has left it.
    pub fn with<F, R>(
        &self,
        closure: F,
    ) -> impl std::future::Future<Output = R> + Send + 'static + use<W, F, R>
    where
        F: FnOnce(&mut W) -> R + Send + 'static,
        R: Send + 'static,
    {
        Access { queue: self.queue.clone(), stage: Stage::New(Some(closure)) }
    }

    /// Queues a closure and does not wait for it: for a host function that is not async, and for requests without an answer. It runs in the order
    /// of its arrival, among those of [`with`](Self::with). If it panics, [`run`](Self::run) swallows that.
    pub fn post(&self, closure: impl FnOnce(&mut W) + Send + 'static) {
        self.queue.lock().add(Arc::new(Posted(Mutex::new(Some(closure)))));
    }

    /// Runs the closures that wait, in the order of their arrival, and wakes their calls. Returns how many ran.
    ///
    /// A closure that arrives meanwhile waits for the next run, so `run` always returns. A call that asks many times is answered once a run:
    /// call `run` again in the same frame while [`is_empty`](Self::is_empty) is false, and the calls go on in the same frame.
    pub fn run(&self, world: &mut W) -> usize {
        let visits = mem::take(&mut self.queue.lock().visits);
        visits.into_values().filter(|visit| visit.run(world)).count()
    }

    /// The number of closures that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.lock().visits.len()
    }

    /// Does no closure wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<W: ?Sized, F, R> Visit<W> for Place<F, R>
where
    F: FnOnce(&mut W) -> R + Send,
    R: Send,
{
    fn run(&self, world: &mut W) -> bool {
        let closure = {
            let mut state = self.0.lock();
            match mem::replace(&mut *state, State::Over) {
                State::Waiting(closure, waker) => {
                    *state = State::Running(waker);
                    closure
                }
                State::Over => return false,
                State::Running(_) | State::Done(_) => unreachable!("a visit runs once"),
            }
        };
        let mut result = Some(catch(|| closure(world)));
        let waker = {
            let mut state = self.0.lock();
            match mem::replace(&mut *state, State::Over) {
                State::Running(waker) => {
                    if let Some(result) = result.take() {
                        *state = State::Done(result);
                    }
                    Some(waker)
                }
                State::Over => None,
                State::Waiting(..) | State::Done(_) => unreachable!("this has the closure"),
            }
        };
        // Without the lock, because wakers and the result of a call that was dropped are foreign code.
        run_foreign(|| drop(result));
        if let Some(waker) = waker {
            run_foreign(|| waker.wake());
        }
        true
    }
}

/// A closure that nobody waits for.
struct Posted<F>(Mutex<Option<F>>);

impl<W: ?Sized, F: FnOnce(&mut W) + Send> Visit<W> for Posted<F> {
    fn run(&self, world: &mut W) -> bool {
        let closure = self.0.lock().take();
        let is_there = closure.is_some();
        ignore_panic(|| closure.into_iter().for_each(|closure| closure(world)));
        is_there
    }
}

/// What [`AccessQueue::with`] returns.
struct Access<W: ?Sized + 'static, F, R> {
    queue: Arc<Mutex<Queue<W>>>,
    stage: Stage<F, R>,
}

enum Stage<F, R> {
    /// It was not polled.
    New(Option<F>),
    /// It has a number in the queue.
    Queued(u64, Arc<Place<F, R>>),
}

/// Nothing in it is pinned: it never refers to itself.
impl<W: ?Sized, F, R> Unpin for Access<W, F, R> {}

impl<W, F, R> std::future::Future for Access<W, F, R>
where
    W: ?Sized + 'static,
    F: FnOnce(&mut W) -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let waker = context.waker().clone();
        let place = match &mut self.stage {
            Stage::Queued(_, place) => place,
            Stage::New(closure) => {
                let Some(closure) = closure.take() else {
                    unreachable!("it is taken once, in the first poll");
                };
                let place = Arc::new(Place(Mutex::new(State::Waiting(closure, waker))));
                let number = self.queue.lock().add(place.clone());
                self.stage = Stage::Queued(number, place);
                #[cfg(feature = "explore")]
                note(|| WaitsFor::Access);
                return Poll::Pending;
            }
        };
        let mut state = place.0.lock();
        let before = match mem::replace(&mut *state, State::Over) {
            State::Waiting(closure, before) => {
                *state = State::Waiting(closure, waker);
                before
            }
            State::Running(before) => {
                *state = State::Running(waker);
                before
            }
            State::Done(result) => {
                drop(state);
                return Poll::Ready(result.unwrap_or_else(|payload| resume_unwind(payload)));
            }
            State::Over => unreachable!("it is not polled after its end"),
        };
        drop(state);
        drop(before);
        #[cfg(feature = "explore")]
        note(|| WaitsFor::Access);
        Poll::Pending
    }
}

impl<W: ?Sized> Queue<W> {
    /// Adds a visit, and returns its number.
    fn add(&mut self, visit: Arc<dyn Visit<W>>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.visits.insert(number, visit);
        number
    }
}

impl<W: ?Sized + 'static, F, R> Drop for Access<W, F, R> {
    fn drop(&mut self) {
        if let Stage::Queued(number, place) = &self.stage {
            // Dropped without a lock, because the closure and the result are foreign code.
            let visit = self.queue.lock().visits.remove(number);
            let state = mem::replace(&mut *place.0.lock(), State::Over);
            drop(visit);
            drop(state);
        }
    }
}

impl<W: ?Sized + 'static> Clone for AccessQueue<W> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<W: ?Sized + 'static> Default for AccessQueue<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W: ?Sized + 'static> fmt::Debug for AccessQueue<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessQueue").field("waiting", &self.len()).finish()
    }
}
