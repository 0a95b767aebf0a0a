//! [`Inputs`]: the inputs of a `par_map`, from which each of its instances takes one [`Batch`] after another.

use crate::wait::waiters::wake_all;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::iter::Enumerate;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::vec::IntoIter;

pub(crate) struct Inputs<P> {
    rest: Mutex<Rest<P>>,
    min_batch: usize,
    /// The number of instances.
    takers: usize,
}

struct Rest<P> {
    fresh: Enumerate<IntoIter<P>>,
    /// Inputs of instances that could not go on.
    returned: Vec<(usize, P)>,
    /// The number of batches that instances have, any of which may be returned unfinished.
    out: usize,
    /// The wakers of instances that wait for inputs of these batches.
    waiting: Vec<Waker>,
}

/// Inputs that one instance has taken, each with its place. Those that are left when this is dropped go to other instances.
pub(crate) struct Batch<P> {
    inputs: Arc<Inputs<P>>,
    pub(crate) left: VecDeque<(usize, P)>,
}

impl<P> Inputs<P> {
    pub(crate) fn new(inputs: Vec<P>, min_batch: usize, takers: usize) -> Self {
        let fresh = inputs.into_iter().enumerate();
        let rest = Rest { fresh, returned: Vec::new(), out: 0, waiting: Vec::new() };
        Self { rest: Mutex::new(rest), min_batch: min_batch.max(1), takers }
    }

    /// Takes a part of a fair share of the inputs that are left, so that all instances end at about the same time. It waits
    /// while other instances may return inputs, and gives none once no inputs are left and none can come back.
    pub(crate) fn poll_batch(
        self: &Arc<Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Batch<P>>> {
        /// The number of batches in an instance's fair share.
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
        wake_all(waiting);
    }
}
