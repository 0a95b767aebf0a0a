//! [`Any`]: what the handle of the first of several jobs refers to. [`JobHandle::all`] is in `handle`, because it is a countdown; here there
//! is nothing to count.

use crate::outcome::JobOutcome;
use crate::pool::handle::{Completion, JobHandle, cancel_parts, parts_of};
use crate::sync::AtomicU8;
use crate::wait::latch::{Latch, Waiter};
use crate::wait::ready::{Ready, notify};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};

/// Completes after the first of its parts. As with `All`, a part may be another such handle, nested to any depth.
struct Any {
    latch: Latch,
    /// One once a part has completed this, and zero before.
    is_over: AtomicU8,
    /// Weak, because a part's latch keeps this alive, as one of its waiters.
    parts: Vec<Weak<dyn Completion>>,
    /// One if this is a part of another handle, and zero before. Then the latches of its parts keep it alive even after it is complete, because
    /// the other handle may still cancel those.
    is_part: AtomicU8,
}

impl Any {
    /// A part is over. The first one completes the handle.
    fn complete(&self, outcome: JobOutcome) {
        // One part finds the zero, and what its job did is released by the latch. SeqCst: see `is_to_be_part`.
        if self.is_over.swap(1, SeqCst) == 0 {
            self.latch.complete(outcome);
        }
    }
}

impl AsRef<Latch> for Any {
    fn as_ref(&self) -> &Latch {
        &self.latch
    }
}

impl Waiter for Any {
    fn notify(self: Arc<Self>, outcome: JobOutcome) {
        notify(self, outcome);
    }

    fn still_waits(&self) -> bool {
        self.is_over.load(SeqCst) == 0 || self.is_part.load(SeqCst) == 1
    }
}

impl Ready for Any {
    fn ready(self: Arc<Self>, outcome: JobOutcome) {
        self.complete(outcome);
    }
}

impl Completion for Any {
    fn cancel(&self) {
        cancel_parts(&self.parts);
    }

    fn is_to_be_part(&self) -> bool {
        // SeqCst, and so is the look of `still_waits`: if this finds the zero, a later look that finds the one finds this store, too.
        self.is_part.store(1, SeqCst);
        self.is_over.load(SeqCst) == 0
    }

    fn parts(&self) -> &[Weak<dyn Completion>] {
        &self.parts
    }
}

impl JobHandle {
    /// Makes a handle that is complete when the first of `handles` is. Its [outcome](Self::outcome) is the outcome of that one, whether
    /// it succeeded or not; if several are complete already, of the first in the list.
    ///
    /// Nothing happens to the other jobs: they go on. To end those that have lost, [cancel](Self::cancel) this handle once it is complete:
    /// that cancels each of its jobs that is not over.
    ///
    /// If there are no handles, nothing can be waited for: the handle is complete at once, as
    /// [`Cancelled`](JobOutcome::Cancelled), so that a job that runs [after its success](crate::JobPool::submit_after_ok) is refused.
    ///
    /// Make one and keep it, rather than a new one each frame: an unfinished job may keep an entry for each such handle.
    ///
    /// ```
    /// use wasm_jobs::{Event, Future, JobHandle, JobOutcome, JobPool, RayonGlobal};
    ///
    /// let never = Event::new();
    /// let mut waits = Future::new({ let never = never.wait(); async { Ok(never.await) } });
    /// let mut adds = Future::new(async { Ok(1 + 1) });
    /// let jobs = [RayonGlobal.submit(waits.to_job()?), RayonGlobal.submit(adds.to_job()?)];
    ///
    /// let first = JobHandle::any(jobs.clone());
    /// first.wait();
    /// assert_eq!(first.outcome(), Some(JobOutcome::Succeeded));
    /// assert_eq!(adds.try_get_result()?, Some(2));
    ///
    /// first.cancel(); // the one that has lost
    /// jobs[0].wait();
    /// assert_eq!(jobs[0].outcome(), Some(JobOutcome::Cancelled));
    /// # Ok::<(), wasm_jobs::Error>(())
    /// ```
    #[must_use]
    pub fn any(handles: impl IntoIterator<Item = JobHandle>) -> JobHandle {
        let handles: Vec<_> = handles.into_iter().collect();
        let parts = parts_of(&handles);
        let any = Arc::new(Any {
            latch: Latch::default(),
            is_over: AtomicU8::new(0),
            parts,
            is_part: AtomicU8::new(0),
        });
        let over = match &handles[..] {
            [] => Some(JobOutcome::Cancelled),
            handles => handles.iter().find_map(JobHandle::outcome),
        };
        // Stops subscribing at the first part that is over: this handle is complete then, and the other parts need not notify it.
        let over =
            over.or_else(|| handles.iter().find_map(|handle| handle.latch().subscribe(&any)));
        if let Some(outcome) = over {
            any.complete(outcome);
        }
        JobHandle::new(any)
    }
}
