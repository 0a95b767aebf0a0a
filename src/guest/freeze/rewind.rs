//! [`Rewind`]: the state of a guest that is being rewound into a frozen call. The call's future ([`Rewinding`]) owns it, and lends it to the thread for each step, where the host
//! functions that twins call find it. So these functions hold no state, and one set serves all guests of a module.

use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::{FrameStart, Frames, Reference};
use crate::guest::freeze::freezable_module::{OURS, WORDS};
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::half_way::PoisonedUnlessDone;
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasm_jobs_transform::{LOAD, NEXT, POINT};
use wasmtime::Linker;

thread_local! {
    /// The rewind of the guest that this thread steps. `None` if that guest is not being rewound.
    static REWIND: RefCell<Option<Rewind>> = const { RefCell::new(None) };
}

/// What a guest is rewound into, and how far it has come.
pub(crate) struct Rewind {
    pub(crate) call: Arc<FrozenCall>,
    /// The references of all frames.
    references: Vec<Reference>,
    /// How many frames are left to rewind. The innermost comes last.
    left: usize,
    /// Where the frame goes on that was begun last.
    at: FrameStart,
    /// Where the table of twins has the function that the call waits in.
    last: u32,
    /// An [`End`](crate::guest::freeze::reentry::End) of the type of the store: what is done once all frames are there.
    pub(crate) end: Box<dyn Any + Send>,
}

/// A rewind that has not begun. Until it does, the guest is half-way: if this is dropped, it is poisoned.
pub(crate) type NewRewind = (Rewind, PoisonedUnlessDone);

impl Rewind {
    pub(crate) fn new(
        call: Arc<FrozenCall>,
        references: Vec<Reference>,
        last: u32,
        end: Box<dyn Any + Send>,
    ) -> Self {
        let (left, at) = (call.frames.starts.len(), FrameStart { word: 0, reference: 0 });
        Self { call, references, left, at, last, end }
    }

    fn frames(&self) -> &Frames<Value> {
        &self.call.frames
    }

    /// The function of the next frame. The table has a twin for each. `None` at the end.
    pub(crate) fn next(&self) -> Option<u32> {
        let point = self.frames().point(self.left.checked_sub(1)?);
        Some(self.call.freezable.frames.points.get(point as usize)?.function)
    }

    /// Goes on to the next frame, and gives its point.
    fn point(&mut self) -> Option<u32> {
        let left = self.left.checked_sub(1)?;
        (self.at, self.left) = (self.frames().starts[left], left);
        Some(self.frames().point(left))
    }

    fn load(&mut self) -> Option<[i64; WORDS]> {
        let words = *self.frames().words.get(self.at.word..)?.first_chunk()?;
        self.at.word += WORDS;
        Some(words)
    }

    pub(crate) fn load_reference(&mut self) -> Option<Reference> {
        let reference = self.references.get(self.at.reference)?.clone();
        self.at.reference += 1;
        Some(reference)
    }
}

/// A frozen call that was read from bytes may have fewer frames and values than its functions ask for.
pub(crate) fn too_little() -> wasmtime::Error {
    wasmtime::Error::msg("the frozen call has fewer values than its functions need")
}

/// Asks the rewind of the guest that this thread steps.
pub(crate) fn with_rewind<R>(ask: impl FnOnce(&mut Rewind) -> Option<R>) -> wasmtime::Result<R> {
    REWIND.with_borrow_mut(|rewind| ask(rewind.as_mut()?)).ok_or_else(too_little)
}

/// Takes the rewind of the guest that this thread steps. All of its frames are there, and have their values.
pub(crate) fn finish_rewind() -> wasmtime::Result<Rewind> {
    REWIND.take().ok_or_else(too_little)
}

/// Defines the functions of the host's that twins call.
pub(crate) fn define<S: 'static>(linker: &mut Linker<S>) -> wasmtime::Result<()> {
    linker.func_wrap(OURS, LOAD, || {
        let [a, b, c, d, e, f, g, h] = with_rewind(Rewind::load)?;
        wasmtime::Result::Ok((a, b, c, d, e, f, g, h))
    })?;
    linker.func_wrap(OURS, POINT, || with_rewind(Rewind::point).map(u32::cast_signed))?;
    linker.func_wrap(OURS, NEXT, || {
        with_rewind(|rewind| Some(rewind.next().unwrap_or(rewind.last).cast_signed()))
    })?;
    Ok(())
}

pin_project! {
    /// A call whose guest is rewound first, if it has a rewind.
    pub(crate) struct Rewinding<F> {
        #[pin]
        call: F,
        // `None` once the guest is rewound.
        rewind: Option<Rewind>,
    }
}

impl<F> Rewinding<F> {
    pub(crate) fn new(call: F, rewind: Option<Rewind>) -> Self {
        Self { call, rewind }
    }
}

impl<F: Future> Future for Rewinding<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(rewind) = this.rewind.take() else { return this.call.poll(context) };
        let mut lent = Lent { outer: Some(REWIND.replace(Some(rewind))) };
        let polled = this.call.poll(context);
        *this.rewind = lent.take_back();
        polled
    }
}

/// This thread has the rewind of the guest that it steps.
struct Lent {
    /// The rewind of the guest of the step around this one, which may be being rewound as well. `None` once the step has ended.
    outer: Option<Option<Rewind>>,
}

impl Lent {
    fn take_back(&mut self) -> Option<Rewind> {
        self.outer.take().and_then(|outer| REWIND.replace(outer))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.take_back());
    }
}
