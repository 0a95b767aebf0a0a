//! A request to freeze a call, on the thread that steps the call to that end, and what answers it.
//!
//! [`ask`] makes the request. The call that is stepped next [takes](take) it, for its own store; a call that is stepped inside that one does not.
//! The host function in which the guest of that store waits then either [refuses](refuse), or has its guest [save](begin_saving) itself. All of that happens in
//! one step, or in steps of one thread that follow each other.

use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::{FrameStart, Frames, Pending, Reference, Saved};
use crate::guest::freeze::freezer::{Freezes, WORDS};
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::limit::control::Control;
use crate::guest::limit::host_calls::set_unwinding;
use crate::step::interrupt::depth;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;

thread_local! {
    /// The depth of the step that is to take the request. Zero if there is none.
    static WANTED: Cell<u32> = const { Cell::new(0) };
    /// The address of the data of the store whose guest is to be frozen. Zero if there is none.
    static STORE: Cell<usize> = const { Cell::new(0) };
    static REQUEST: RefCell<Request> = const { RefCell::new(Request::NONE) };
}

struct Request {
    /// `Some` while the call is stepped that has taken the request.
    target: Option<Arc<Target>>,
    /// The call that has last taken it.
    taken_by: Option<Arc<Freezes>>,
    answer: Answer,
}

impl Request {
    const NONE: Self = Self { target: None, taken_by: None, answer: Answer::None };
}

/// Whether an object of the host's can become data.
pub(crate) type Encodes = dyn Fn(&(dyn Any + Send + Sync)) -> bool + Send + Sync;

/// The call that is to be frozen.
pub(crate) struct Target {
    pub(crate) of: Arc<Freezes>,
    pub(crate) control: Arc<Control>,
    /// Which objects of the host's can become data. `None` if none can.
    pub(crate) encodes: Option<Arc<Encodes>>,
}

/// What has come of a request.
pub(crate) enum Answer {
    None,
    Refused(CannotFreeze),
    /// The guest is unwinding.
    Saving(Saved),
    /// The call is data.
    Frozen(Arc<FrozenCall>),
}

/// Asks the call that this thread steps next to be frozen. Dropping it takes the request back.
pub(crate) struct Asked {
    outer: (u32, usize, Request),
}

pub(crate) fn ask() -> Asked {
    let outer = REQUEST.replace(Request::NONE);
    Asked { outer: (WANTED.replace(depth() + 1), STORE.replace(0), outer) }
}

impl Asked {
    /// Asks again, for the next step.
    pub(crate) fn again(&self) {
        WANTED.set(depth() + 1);
    }

    /// Whether a call has taken the request. The work of a future that is no call of an export does not.
    pub(crate) fn was_taken(&self) -> bool {
        REQUEST.with(|request| request.borrow().taken_by.is_some())
    }

    /// The imports that the call may wait in, and that are not resumable, if it has taken the request.
    pub(crate) fn not_resumable(&self) -> Box<[Box<str>]> {
        REQUEST.with(|request| match &request.borrow().taken_by {
            Some(of) => of.not_resumable.clone(),
            None => Box::default(),
        })
    }

    /// What has answered the request. None has while the guest is still unwinding.
    pub(crate) fn take_answer(&self) -> Answer {
        REQUEST.with(|request| match &mut request.borrow_mut().answer {
            Answer::Saving(_) => Answer::None,
            answer => mem::replace(answer, Answer::None),
        })
    }

    /// Whether the guest is unwinding.
    pub(crate) fn is_saving(&self) -> bool {
        REQUEST.with(|request| matches!(request.borrow().answer, Answer::Saving(_)))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let (wanted, store, outer) = mem::replace(&mut self.outer, (0, 0, Request::NONE));
        WANTED.set(wanted);
        STORE.set(store);
        drop(REQUEST.replace(outer));
    }
}

/// Whether the step that this thread takes is to take a request.
#[inline]
pub(crate) fn is_wanted() -> bool {
    let wanted = WANTED.get();
    wanted != 0 && wanted == depth()
}

/// A step that has taken the request, for its store.
pub(crate) struct Taken(());

/// Takes the request. `store` is the address of the store's data.
#[cold]
pub(crate) fn take(store: usize, target: impl FnOnce() -> Option<Target>) -> Taken {
    WANTED.set(0);
    match target() {
        Some(target) => {
            STORE.set(store);
            REQUEST.with(|request| {
                let mut request = request.borrow_mut();
                request.taken_by = Some(target.of.clone());
                request.target = Some(Arc::new(target));
                // The slice of a guest may have ended while it was unwinding.
                set_unwinding(matches!(request.answer, Answer::Saving(_)));
            });
        }
        None => refuse(CannotFreeze::NotPrepared),
    }
    Taken(())
}

impl Drop for Taken {
    fn drop(&mut self) {
        STORE.set(0);
        set_unwinding(false);
        let target = REQUEST.with(|request| request.borrow_mut().target.take());
        drop(target);
    }
}

/// The request, if it is to the guest of the store whose data has this address, and if nothing has answered it.
#[inline]
pub(crate) fn target(store: usize) -> Option<Arc<Target>> {
    if STORE.get() != store || store == 0 {
        return None;
    }
    REQUEST.with(|request| match &*request.borrow() {
        Request { target, answer: Answer::None, .. } => target.clone(),
        _ => None,
    })
}

/// The call goes on.
pub(crate) fn refuse(why: CannotFreeze) {
    REQUEST.with(|request| request.borrow_mut().answer = Answer::Refused(why));
}

/// From now on, the functions of the guest save themselves.
pub(crate) fn begin_saving(pending: Pending, fuel: Option<u64>, expected: Vec<u32>) {
    let frames = Frames::new();
    let saved = Saved { pending, fuel, expected, frames };
    REQUEST.with(|request| request.borrow_mut().answer = Answer::Saving(saved));
    set_unwinding(true);
}

/// Some words of a frame of the guest that is saving itself.
pub(crate) fn save(words: [i64; WORDS]) {
    REQUEST.with(|request| {
        let Request { target: Some(target), answer: Answer::Saving(saved), .. } =
            &mut *request.borrow_mut()
        else {
            return;
        };
        let frames = &mut saved.frames;
        let is_whole = |start: &FrameStart| {
            let point = frames.words[start.word] as usize;
            let counts = target.of.freezer.points.get(point);
            counts.is_none_or(|counts| frames.words.len() - start.word >= counts.words)
        };
        if frames.starts.last().is_none_or(is_whole) {
            let start = FrameStart { word: frames.words.len(), reference: frames.references.len() };
            frames.starts.push(start);
        }
        frames.words.extend_from_slice(&words);
    });
}

/// A reference of a frame of the guest that is saving itself.
pub(crate) fn save_reference(reference: Reference) {
    REQUEST.with(|request| {
        if let Answer::Saving(saved) = &mut request.borrow_mut().answer {
            saved.frames.references.push(reference);
        }
    });
}

/// What the guest that has just returned has saved. `None` if it was not asked to.
pub(crate) fn take_saved() -> Option<Saved> {
    REQUEST.with(|request| {
        let answer = &mut request.borrow_mut().answer;
        match mem::replace(answer, Answer::None) {
            Answer::Saving(saved) => Some(saved),
            other => {
                *answer = other;
                None
            }
        }
    })
}

/// The call is data now.
pub(crate) fn deliver(call: Arc<FrozenCall>) {
    REQUEST.with(|request| request.borrow_mut().answer = Answer::Frozen(call));
}
