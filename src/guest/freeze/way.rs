//! [`Way`]: the way of a guest back into the functions of a frozen call. The [call](GoesBack) has it, and for each step the thread that takes the step. There the functions
//! of the host's find it which the twins call, so that these are the same for all guests of a module.

use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::{FrameStart, Frames, Reference};
use crate::guest::freeze::freezable_module::WORDS;
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
    /// The way of the guest that this thread steps. `None` if that is not on its way back.
    static WAY: RefCell<Option<Way>> = const { RefCell::new(None) };
}

/// The module in which a linker has the functions of the host's that a transformed module calls. No guest has an import of it, because its name begins as those of the transformation do.
pub(crate) const OURS: &str = "__wasm_jobs_functions";

/// What a guest goes back to, and how far it has come.
pub(crate) struct Way {
    pub(crate) call: Arc<FrozenCall>,
    /// The references of all frames.
    references: Vec<Reference>,
    /// How many frames are left to go back into. The innermost comes last.
    left: usize,
    /// Where the frame goes on that was begun last.
    at: FrameStart,
    /// Where the table of twins has the function that the call waits in.
    last: u32,
    /// What is at its end, of the type of the store.
    pub(crate) end: Box<dyn Any + Send>,
}

/// A way that a call is about to go, and the guest, which is half-way until then.
pub(crate) type Back = (Way, PoisonedUnlessDone);

impl Way {
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
    wasmtime::Error::msg("the frozen call has fewer values than its functions")
}

/// Asks the way of the guest that this thread steps.
pub(crate) fn on_way<R>(ask: impl FnOnce(&mut Way) -> Option<R>) -> wasmtime::Result<R> {
    WAY.with_borrow_mut(|way| ask(way.as_mut()?)).ok_or_else(too_little)
}

/// The guest is back, and has all of its values.
pub(crate) fn arrive() -> wasmtime::Result<Way> {
    WAY.take().ok_or_else(too_little)
}

/// Defines the functions of the host's that twins call.
pub(crate) fn define<S: 'static>(linker: &mut Linker<S>) -> wasmtime::Result<()> {
    linker.func_wrap(OURS, LOAD, || {
        let [a, b, c, d, e, f, g, h] = on_way(Way::load)?;
        wasmtime::Result::Ok((a, b, c, d, e, f, g, h))
    })?;
    linker.func_wrap(OURS, POINT, || on_way(Way::point).map(u32::cast_signed))?;
    linker.func_wrap(OURS, NEXT, || {
        on_way(|way| Some(way.next().unwrap_or(way.last).cast_signed()))
    })?;
    Ok(())
}

pin_project! {
    /// A call whose guest goes a way back, if it has one.
    pub(crate) struct GoesBack<F> {
        #[pin]
        call: F,
        // `None` once the guest is back.
        way: Option<Way>,
    }
}

impl<F> GoesBack<F> {
    pub(crate) fn new(call: F, way: Option<Way>) -> Self {
        Self { call, way }
    }
}

impl<F: Future> Future for GoesBack<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(way) = this.way.take() else { return this.call.poll(context) };
        let mut on = OnWay { outer: Some(WAY.replace(Some(way))) };
        let polled = this.call.poll(context);
        *this.way = on.end();
        polled
    }
}

/// This thread steps a guest on its way. The guest of the step around that may be on another one.
struct OnWay {
    /// `None` once the step has ended.
    outer: Option<Option<Way>>,
}

impl OnWay {
    fn end(&mut self) -> Option<Way> {
        self.outer.take().and_then(|outer| WAY.replace(outer))
    }
}

impl Drop for OnWay {
    fn drop(&mut self) {
        drop(self.end());
    }
}
