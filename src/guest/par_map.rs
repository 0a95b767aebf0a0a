//! [`ParMap`]: one export, many inputs, several instances. Each instance is a job that takes inputs, a batch at a time, until there
//! are none left.

use crate::call::future::Future;
use crate::call::yield_now::yield_now;
use crate::error::{Error, Panic};
use crate::guest::fiber;
use crate::guest::func::Func;
use crate::guest::instance::Instance;
use crate::pool::JobPool;
use crate::pool::handle::JobHandle;
use crate::trace::Traced;
use crate::wait::waiters::wake_all;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::iter::Enumerate;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::vec::IntoIter;
use wasmtime::{WasmParams, WasmResults};

/// What can be done with several instances of a module.
pub trait Instances<S: Send + 'static> {
    /// Calls an export with each of these inputs, on a pool, with as many calls at once as there are instances.
    ///
    /// ```
    /// use wasm_jobs::{EngineOptions, Instance, Instances, RayonGlobal, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let wasm = wat::parse_str(r#"(module (func (export "square") (param i32) (result i32)
    /// #     local.get 0 local.get 0 i32.mul))"#)?;
    /// # let module = wasmtime::Module::new(&engine, wasm)?;
    /// # let pre = wasmtime::Linker::<()>::new(&engine).instantiate_pre(&module)?;
    ///
    /// let instances = (0..4).map(|_| Instance::new(&pre, ())).collect::<Result<Vec<_>, _>>()?;
    /// let squares = instances.par_map::<i32, i32, _>(&RayonGlobal, 0..1000, "square").collect()?;
    /// for (n, square) in (0..).zip(squares) {
    ///     assert_eq!(square?, n * n);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn par_map<'a, P, R, J>(
        &'a self,
        pool: &'a J,
        inputs: impl IntoIterator<Item = P>,
        export: &'a str,
    ) -> ParMap<'a, P, R, S, J>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
        J: JobPool;
}

impl<S: Send + 'static> Instances<S> for [Instance<S>] {
    fn par_map<'a, P, R, J>(
        &'a self,
        pool: &'a J,
        inputs: impl IntoIterator<Item = P>,
        export: &'a str,
    ) -> ParMap<'a, P, R, S, J>
    where
        P: WasmParams + Sync + 'static,
        R: WasmResults + Sync + 'static,
        J: JobPool,
    {
        let inputs = inputs.into_iter().collect();
        ParMap { instances: self, pool, inputs, export, min_batch: 1, results: PhantomData }
    }
}

/// Many calls of an export that are to be made, from [`Instances::par_map`].
#[must_use = "it does nothing until it is submitted or collected"]
pub struct ParMap<'a, P, R, S: 'static, J> {
    instances: &'a [Instance<S>],
    pool: &'a J,
    inputs: Vec<P>,
    export: &'a str,
    min_batch: usize,
    results: PhantomData<fn() -> R>,
}

impl<P, R, S, J> ParMap<'_, P, R, S, J>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
    J: JobPool,
{
    /// How many inputs an instance takes at a time, at least; fewer only at the end. One, unless it is set.
    ///
    /// An instance takes a share of what is left, which gets smaller towards the end, so that all come to their end together. A
    /// larger number costs that balance, and saves a lock for each batch.
    pub fn min_batch(mut self, inputs: usize) -> Self {
        self.min_batch = inputs;
        self
    }

    /// Hands the calls over to the pool.
    ///
    /// An instance whose call has failed is [reset](Instance::reset) for the next one, by the worker that has it, which runs a
    /// start function to its end. If it cannot be, for want of a function that makes its state, or is in use otherwise, it takes no
    /// more inputs, and the others go on without it.
    ///
    /// # Errors
    ///
    /// Those of [`Instance::func`], for any of the instances, and [`Error::Unsupported`] if there are inputs and no instances:
    /// nothing is called then.
    pub fn submit(self) -> Result<ParMapJob<R>, Error> {
        let count = self.inputs.len();
        if self.instances.is_empty() && count > 0 {
            let why = "there are inputs: make an instance, or several".into();
            return Err(Error::Unsupported { what: "calling an export of no instances", why });
        }
        let funcs = self.instances.iter().map(|instance| instance.func::<P, R>(self.export));
        let funcs = funcs.collect::<Result<Vec<_>, _>>()?;
        let inputs = Arc::new(Inputs::new(self.inputs, self.min_batch, self.instances.len()));
        let work = |(instance, func): (&Instance<S>, Func<P, R, S>)| {
            let ticker = instance.control().interrupter();
            let traced = Traced::export(func.name(), instance.control().number());
            Future::from_parts(
                take_inputs(inputs.clone(), instance.same(), func),
                Some(ticker),
                traced,
            )
        };
        let mut calls: Vec<_> = self.instances.iter().zip(funcs).map(work).collect();
        let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
        let job = self.pool.submit_all(runners);
        let parts = calls.into_iter().map(|call| Taking { call, part: None }).collect();
        Ok(ParMapJob { job, parts, count })
    }

    /// Submits the calls, and waits for all of them.
    ///
    /// # Errors
    ///
    /// Those of [`submit`](Self::submit). Failures of calls are among the results.
    pub fn collect(self) -> Result<Vec<Result<R, Error>>, Error> {
        Ok(self.submit()?.wait())
    }
}

/// What the instances take their inputs from.
struct Inputs<P> {
    rest: Mutex<Rest<P>>,
    min_batch: usize,
    takers: usize,
}

struct Rest<P> {
    fresh: Enumerate<IntoIter<P>>,
    /// From takers that could not go on.
    returned: Vec<(usize, P)>,
    /// How many batches are with takers, who may return what is left of them.
    out: usize,
    /// Takers that wait for that.
    waiting: Vec<Waker>,
}

/// Inputs that one instance has taken. What is left of them when this is dropped is for the others.
struct Batch<P> {
    inputs: Arc<Inputs<P>>,
    left: VecDeque<(usize, P)>,
}

impl<P> Inputs<P> {
    fn new(inputs: Vec<P>, min_batch: usize, takers: usize) -> Self {
        let fresh = inputs.into_iter().enumerate();
        let rest = Rest { fresh, returned: Vec::new(), out: 0, waiting: Vec::new() };
        Self { rest: Mutex::new(rest), min_batch: min_batch.max(1), takers }
    }

    /// A part of a fair share of what is left, so that all takers come to their end at about the same time. None if nothing is
    /// left, nor will be.
    fn poll_batch(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<Option<Batch<P>>> {
        const PARTS: usize = 4;
        let waker = context.waker().clone();
        let mut rest = self.rest.lock();
        let all = rest.fresh.len() + rest.returned.len();
        let size = (all / (PARTS * self.takers)).max(self.min_batch);
        let from = rest.returned.len().saturating_sub(size);
        let mut left: VecDeque<_> = rest.returned.drain(from..).collect();
        let missing = size - left.len();
        left.extend(rest.fresh.by_ref().take(missing));
        if !left.is_empty() {
            rest.out += 1;
            return Poll::Ready(Some(Batch { inputs: self.clone(), left }));
        }
        if rest.out == 0 {
            return Poll::Ready(None);
        }
        rest.waiting.push(waker);
        Poll::Pending
    }
}

impl<P> Drop for Batch<P> {
    fn drop(&mut self) {
        let waiting = {
            let mut rest = self.inputs.rest.lock();
            rest.out -= 1;
            rest.returned.extend(self.left.drain(..));
            if rest.returned.is_empty() && rest.out > 0 {
                return;
            }
            mem::take(&mut rest.waiting)
        };
        wake_all(waiting.into_iter());
    }
}

/// What an instance has to tell: what came of the inputs that it took, each with its place; and why it took no more, if some
/// were left.
struct Part<R> {
    results: Vec<(usize, Result<R, Error>)>,
    refusal: Option<Error>,
}

async fn take_inputs<P, R, S>(
    inputs: Arc<Inputs<P>>,
    instance: Instance<S>,
    func: Func<P, R, S>,
) -> Result<Part<R>, Error>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    S: Send + 'static,
{
    let mut results = Vec::new();
    while let Some(mut batch) = poll_fn(|context| inputs.poll_batch(context)).await {
        while !batch.left.is_empty() {
            let guest = match func.claim() {
                Err(Error::Poisoned) => renew(&instance).and_then(|()| func.claim()),
                claimed => claimed,
            };
            let guest = match guest {
                Ok(guest) => guest,
                // The batch goes to the others.
                Err(refusal) => return Ok(Part { results, refusal: Some(refusal) }),
            };
            if let Some((place, input)) = batch.left.pop_front() {
                let mut call = pin!(fiber::call(guest, input));
                // As in any call: a panic of the host is its result, and of no other.
                let result = poll_fn(|context| {
                    let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
                    polled.unwrap_or_else(|payload| {
                        Poll::Ready(Err(Error::Panic(Panic::new(payload))))
                    })
                });
                results.push((place, result.await));
            }
            // What else the pool has to do gets its turn.
            yield_now().await;
        }
    }
    Ok(Part { results, refusal: None })
}

/// A new guest for the next call.
fn renew<S: Send + 'static>(instance: &Instance<S>) -> Result<(), Error> {
    match catch_unwind(AssertUnwindSafe(|| instance.reset())) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Error::Poisoned),
    }
}

/// Many calls that are in progress on a pool, from [`ParMap::submit`].
///
/// It is a std future too. Dropping it cancels the calls.
#[must_use = "dropping it cancels the calls"]
pub struct ParMapJob<R: Send + 'static> {
    job: JobHandle,
    parts: Vec<Taking<R>>,
    count: usize,
}

/// One instance, and what it has to tell once it has come to its end.
struct Taking<R: Send + 'static> {
    call: Future<Part<R>>,
    part: Option<Result<Part<R>, Error>>,
}

impl<R: Send + 'static> ParMapJob<R> {
    /// The job that all of them are. Calls that fail are no failure of it.
    #[must_use]
    pub fn handle(&self) -> &JobHandle {
        &self.job
    }

    /// Waits for all calls, and gives what came of them, in the order of the inputs.
    ///
    /// An input that no instance was left for has the error that the last instance had: [`Error::Poisoned`] if it could not be
    /// reset, or [`Error::CallInProgress`] if it was in use. If the handle is cancelled, all inputs of the instances that have
    /// not finished are [`Error::Cancelled`].
    #[must_use]
    pub fn wait(mut self) -> Vec<Result<R, Error>> {
        self.job.wait();
        for Taking { call, part } in &mut self.parts {
            // A pool that has dropped a job has given its call back, and this brings it to its end.
            part.get_or_insert_with(|| call.wait());
        }
        self.take()
    }

    /// All parts have come to their ends.
    fn take(&mut self) -> Vec<Result<R, Error>> {
        let mut results: Vec<_> = (0..self.count).map(|_| None).collect();
        let mut refusals = Vec::new();
        for part in self.parts.iter_mut().filter_map(|taking| taking.part.take()) {
            match part {
                Ok(part) => {
                    refusals.extend(part.refusal);
                    for (place, result) in part.results {
                        results[place] = Some(result);
                    }
                }
                Err(error) => refusals.push(error),
            }
        }
        let missing = || match refusals.last() {
            Some(Error::Cancelled) => Error::Cancelled,
            Some(Error::CallInProgress) => Error::CallInProgress,
            Some(Error::ResultTaken) => Error::ResultTaken,
            _ => Error::Poisoned,
        };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(missing()))).collect()
    }
}

impl<R: Send + 'static> std::future::Future for ParMapJob<R> {
    type Output = Vec<Result<R, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut is_ready = true;
        for Taking { call, part } in &mut self.parts {
            if part.is_none() {
                match Pin::new(call).poll(context) {
                    Poll::Ready(ended) => *part = Some(ended),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { Poll::Ready(self.take()) } else { Poll::Pending }
    }
}

/// Nothing in it is pinned: the calls are in boxes.
impl<R: Send + 'static> Unpin for ParMapJob<R> {}

impl<P, R, S: 'static, J> fmt::Debug for ParMap<'_, P, R, S, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParMap").field("export", &self.export).finish_non_exhaustive()
    }
}

impl<R: Send + 'static> fmt::Debug for ParMapJob<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParMapJob").field("job", &self.job).finish_non_exhaustive()
    }
}
