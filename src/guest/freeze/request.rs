//! A request to save a call, on the thread that steps it, and what comes of it.
//!
//! An owner [asks](ask) for it, and the call that is stepped next [accepts](accept_wanted) the request, for its own store, and [begins](begin_step) a step that saves it. A call that parks itself makes a request of its own. A call that is
//! stepped inside that step has no part in it. The host function in which the guest of that store waits then either [refuses](refuse), or has its guest
//! [save](begin_saving) itself, which happens in this one step.

use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::{FrameStart, Frames, Pending, Purpose, Reference, Saved};
use crate::guest::freeze::freezable_module::{SavingPlan, WORDS};
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::limit::control::Control;
use crate::guest::limit::host_calls::set_unwinding;
use crate::step::interrupt::depth;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;

thread_local! {
    /// The depth of the step that is to accept the owner's request. Zero if there is none.
    static WANTED: Cell<u32> = const { Cell::new(0) };
    static ASKED: RefCell<OwnersRequest> = const { RefCell::new(OwnersRequest::NONE) };
    /// The address of the data of the store whose guest is to be saved. Zero if there is none.
    static STORE: Cell<usize> = const { Cell::new(0) };
    static REQUEST: RefCell<Request> = const { RefCell::new(Request::NONE) };
    /// Whether the guest that was polled last waits, for something that may take long; and the address of the data of its store.
    static WAITS: Cell<(usize, Waits)> = const { Cell::new((0, Waits::No)) };
}

/// Whether a guest waits in a resumable function, for something that may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    No,
    /// Since this step.
    Begins,
    /// Since a step before this one.
    Still,
}

/// What an owner has asked for.
struct OwnersRequest {
    purpose: Purpose,
    was_accepted: bool,
    /// The guest of the call that has accepted it.
    accepted_by: Option<Arc<SavingPlan>>,
    answer: Answer,
}

impl OwnersRequest {
    const NONE: Self = Self {
        purpose: Purpose::Freeze,
        was_accepted: false,
        accepted_by: None,
        answer: Answer::None,
    };
}

/// What an owner is told.
pub(crate) enum Answer {
    None,
    Refused(CannotFreeze),
    /// The call is data.
    Frozen(Arc<FrozenCall>),
}

/// What the step in progress is to do.
struct Request {
    target: Option<Arc<Target>>,
    state: State,
}

enum State {
    Open,
    Refused,
    /// The guest is unwinding.
    Saving(Saved),
}

impl Request {
    const NONE: Self = Self { target: None, state: State::Open };
}

/// Whether an object of the host's can become data.
pub(crate) type Encodes = dyn Fn(&(dyn Any + Send + Sync)) -> bool + Send + Sync;

/// The call that is to be saved.
pub(crate) struct Target {
    pub(crate) purpose: Purpose,
    pub(crate) of: Arc<SavingPlan>,
    pub(crate) control: Arc<Control>,
    /// Which objects of the host's can become data. `None` if none can.
    pub(crate) encodes: Option<Arc<Encodes>>,
}

// The owner's side.

/// Asks the call that this thread steps next to be saved. Dropping it takes the request back.
pub(crate) struct Asked {
    outer: (u32, OwnersRequest),
}

pub(crate) fn ask(purpose: Purpose) -> Asked {
    let outer = ASKED.replace(OwnersRequest { purpose, ..OwnersRequest::NONE });
    Asked { outer: (WANTED.replace(depth() + 1), outer) }
}

impl Asked {
    /// Asks again, for the next step.
    pub(crate) fn again(&self) {
        WANTED.set(depth() + 1);
    }

    /// Whether a call has accepted the request. The work of a future that is no call of an export does not.
    pub(crate) fn was_accepted(&self) -> bool {
        ASKED.with_borrow(|asked| asked.was_accepted)
    }

    /// The imports that the call may wait in, and that are not resumable, if it has accepted the request.
    pub(crate) fn not_resumable(&self) -> Box<[Box<str>]> {
        ASKED.with_borrow(|asked| match &asked.accepted_by {
            Some(of) => of.not_resumable.clone(),
            None => Box::default(),
        })
    }

    /// What has answered the request, if it has been answered.
    pub(crate) fn take_answer(&self) -> Answer {
        ASKED.with_borrow_mut(|asked| mem::replace(&mut asked.answer, Answer::None))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let (wanted, outer) = mem::replace(&mut self.outer, (0, OwnersRequest::NONE));
        WANTED.set(wanted);
        drop(ASKED.replace(outer));
    }
}

// The side of the step.

/// Accepts the owner's request, if the step that this thread takes is to accept it.
#[inline]
pub(crate) fn accept_wanted() -> Option<Purpose> {
    let wanted = WANTED.get();
    if wanted == 0 || wanted != depth() { None } else { Some(accept_owners()) }
}

#[cold]
fn accept_owners() -> Purpose {
    WANTED.set(0);
    ASKED.with_borrow_mut(|asked| {
        asked.was_accepted = true;
        asked.purpose
    })
}

/// Tells the owner that the call cannot be saved.
pub(crate) fn answer_refused(why: CannotFreeze) {
    ASKED.with_borrow_mut(|asked| asked.answer = Answer::Refused(why));
}

/// Gives the owner the call as data.
pub(crate) fn deliver(call: Arc<FrozenCall>) {
    ASKED.with_borrow_mut(|asked| asked.answer = Answer::Frozen(call));
}

/// A step that is to save its call.
pub(crate) struct SavingStep {
    outer: Option<(usize, Request)>,
}

/// Begins a step that is to save its call. `store` is the address of the store's data.
#[cold]
pub(crate) fn begin_step(store: usize, target: Target) -> SavingStep {
    if target.purpose != Purpose::Park {
        ASKED.with_borrow_mut(|asked| asked.accepted_by = Some(target.of.clone()));
    }
    let request = Request { target: Some(Arc::new(target)), state: State::Open };
    SavingStep { outer: Some((STORE.replace(store), REQUEST.replace(request))) }
}

impl SavingStep {
    /// Whether the guest is unwinding.
    pub(crate) fn is_saving(&self) -> bool {
        REQUEST.with_borrow(|request| matches!(request.state, State::Saving(_)))
    }

    /// Ends the step, and gives what the guest has saved, if it has.
    #[cold]
    pub(crate) fn end(mut self) -> Option<Saved> {
        self.restore().and_then(|request| match request.state {
            State::Saving(saved) => Some(saved),
            State::Open | State::Refused => None,
        })
    }

    fn restore(&mut self) -> Option<Request> {
        let (store, request) = self.outer.take()?;
        set_unwinding(false);
        STORE.set(store);
        Some(REQUEST.replace(request))
    }
}

impl Drop for SavingStep {
    fn drop(&mut self) {
        drop(self.restore());
    }
}

/// Forgets what the last step was waiting for.
#[inline]
pub(crate) fn begin_watching() {
    WAITS.set((0, Waits::No));
}

/// Whether the guest of the step that just ended waits.
#[inline]
pub(crate) fn waits(store: usize) -> Waits {
    let (of, waits) = WAITS.get();
    if of == store { waits } else { Waits::No }
}

// The side of the host functions.

/// The guest on this thread waits, for something that may take long.
#[inline]
pub(crate) fn note_waiting(store: usize, waits: Waits) {
    WAITS.set((store, waits));
}

/// The request, if it is to the guest of the store whose data has this address, and if nothing has answered it.
#[inline]
pub(crate) fn target(store: usize) -> Option<Arc<Target>> {
    if STORE.get() != store || store == 0 {
        return None;
    }
    REQUEST.with_borrow(|request| match request {
        Request { target, state: State::Open } => target.clone(),
        _ => None,
    })
}

/// The call goes on.
pub(crate) fn refuse(why: CannotFreeze) {
    let purpose = REQUEST.with_borrow_mut(|request| {
        request.state = State::Refused;
        request.target.as_ref().map(|target| target.purpose)
    });
    if purpose != Some(Purpose::Park) {
        answer_refused(why);
    }
}

/// From now on, the functions of the guest save themselves.
pub(crate) fn begin_saving(
    purpose: Purpose,
    pending: Pending,
    fuel: Option<u64>,
    expected: Vec<u32>,
) {
    let frames = Frames::new();
    let saved = Saved { purpose, pending, fuel, expected, frames, waiting: None };
    REQUEST.with_borrow_mut(|request| request.state = State::Saving(saved));
    set_unwinding(true);
}

/// Keeps what the call waits for.
pub(crate) fn keep_waiting(waiting: Box<dyn Any + Send>) {
    REQUEST.with_borrow_mut(|request| {
        if let State::Saving(saved) = &mut request.state {
            saved.waiting = Some(waiting);
        }
    });
}

/// Some words of a frame of the guest that is saving itself.
pub(crate) fn save(words: [i64; WORDS]) {
    REQUEST.with_borrow_mut(|request| {
        let Request { target: Some(target), state: State::Saving(saved) } = request else {
            return;
        };
        let frames = &mut saved.frames;
        let is_whole = |start: &FrameStart| {
            let point = frames.words[start.word] as usize;
            let counts = target.of.freezable.points.get(point);
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
    REQUEST.with_borrow_mut(|request| {
        if let State::Saving(saved) = &mut request.state {
            saved.frames.references.push(reference);
        }
    });
}
