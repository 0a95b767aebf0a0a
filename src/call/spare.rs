//! Spares: each thread keeps the allocations of calls that ended on it, for the next calls of the same kind that it makes. So a thread that
//! makes one call after another allocates nothing for them.

use crate::sync::fence;
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

/// How many kinds of allocations a thread keeps, one of each.
const KINDS: usize = 8;

/// The largest allocation that is kept, in bytes. A guest's call has some hundred; the future of a host may have any number.
const LARGEST: usize = 2048;

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares { places: Vec::new(), next: 0 }) };
}

struct Spares {
    /// For each kind `X` its id, and an `Option<X>`.
    places: Vec<(TypeId, Box<dyn Any>)>,
    /// The place that is given to the next new kind, once there are `KINDS`.
    next: usize,
}

impl Spares {
    #[inline]
    fn place<X: 'static>(&mut self) -> Option<&mut Option<X>> {
        let kind = TypeId::of::<X>();
        let (_, place) = self.places.iter_mut().find(|(other, _)| *other == kind)?;
        place.downcast_mut()
    }

    #[cold]
    fn put_new_kind<X: 'static>(&mut self, spare: X) {
        let place: (_, Box<dyn Any>) = (TypeId::of::<X>(), Box::new(Some(spare)));
        if self.places.len() < KINDS {
            self.places.push(place);
        } else {
            self.places[self.next] = place;
            self.next = (self.next + 1) % KINDS;
        }
    }
}

/// Takes this thread's spare of a kind, if it has one.
#[inline]
pub(crate) fn take<X: 'static>() -> Option<X> {
    // A thread that is ending has no spares any more.
    SPARES.try_with(|spares| spares.borrow_mut().place()?.take()).ok()?
}

/// Keeps a spare, in the place of an older one. Nothing in it may have a destructor that runs foreign code.
#[inline]
pub(crate) fn put<X: 'static>(spare: X) {
    let _ = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        match spares.place() {
            Some(place) => *place = Some(spare),
            None => spares.put_new_kind(spare),
        }
    });
}

/// Whether an allocation for an `X` is kept.
#[inline]
pub(crate) const fn is_kept<X>() -> bool {
    // Not in models: what loom checks belongs to one execution of a model, and a spare would go from one to the next.
    size_of::<X>() <= LARGEST && !cfg!(wasm_jobs_loom)
}

/// Whether nobody else has a reference, and so nobody can make one. This does not hold for a value whose weak references are upgraded and then
/// dropped before the strong one that this made: no code does that with a task.
#[inline]
fn is_only_reference<X>(arc: &Arc<X>) -> bool {
    if Arc::strong_count(arc) != 1 {
        return false;
    }
    // This pairs with the release by which the last other strong reference was dropped. A weak reference that was made of that one is seen
    // below, and what was done through it comes before all that is done with the spare.
    fence(Acquire);
    let is_only = Arc::weak_count(arc) == 0;
    // The same for the last weak reference.
    fence(Acquire);
    is_only
}

/// An `Arc` whose allocation becomes a spare, if this is the last reference when it is dropped. By then, its owner has emptied the value. What is
/// left in it, the next owner renews before it reads it.
pub(crate) struct SpareArc<X: 'static>(Option<Arc<X>>);

impl<X: 'static> SpareArc<X> {
    pub(crate) fn new(arc: Arc<X>) -> Self {
        Self(Some(arc))
    }
}

impl<X: 'static> Clone for SpareArc<X> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<X: 'static> Deref for SpareArc<X> {
    type Target = Arc<X>;

    #[inline]
    fn deref(&self) -> &Arc<X> {
        match &self.0 {
            Some(arc) => arc,
            None => unreachable!("only `drop` takes it out"),
        }
    }
}

impl<X: 'static> Drop for SpareArc<X> {
    #[inline]
    fn drop(&mut self) {
        if let Some(arc) = self.0.take()
            && is_kept::<X>()
            && is_only_reference(&arc)
        {
            put(arc);
        }
    }
}

#[cfg(all(test, not(wasm_jobs_loom)))]
mod tests {
    use super::{KINDS, LARGEST, SpareArc, put, take};
    use std::sync::Arc;

    #[test]
    fn the_last_reference_becomes_a_spare_and_no_other_does() {
        let arc = Arc::new(1_u8);
        let (spared, other, weak) = (SpareArc::new(arc.clone()), arc.clone(), Arc::downgrade(&arc));
        drop(arc);
        drop(spared);
        assert_eq!(take::<Arc<u8>>(), None, "there is another reference");
        drop(SpareArc::new(other));
        assert_eq!(take::<Arc<u8>>(), None, "there is a weak reference");
        drop(weak);
        let arc = Arc::new(2_u8);
        let address = Arc::as_ptr(&arc);
        drop(SpareArc::new(arc));
        assert_eq!(take::<Arc<u8>>().as_ref().map(Arc::as_ptr), Some(address));
        assert_eq!(take::<Arc<u8>>(), None, "it was taken");
    }

    #[test]
    fn what_is_large_is_no_spare() {
        drop(SpareArc::new(Arc::new([0_u8; LARGEST])));
        assert!(take::<Arc<[u8; LARGEST]>>().is_some());
        drop(SpareArc::new(Arc::new([0_u8; LARGEST + 1])));
        assert!(take::<Arc<[u8; LARGEST + 1]>>().is_none());
    }

    #[test]
    fn a_new_kind_takes_the_place_of_the_oldest_once_there_are_many() {
        fn put_kind<const N: usize>() {
            put([N; N]);
        }
        let kinds: [fn(); KINDS + 1] = [
            put_kind::<1>,
            put_kind::<2>,
            put_kind::<3>,
            put_kind::<4>,
            put_kind::<5>,
            put_kind::<6>,
            put_kind::<7>,
            put_kind::<8>,
            put_kind::<9>,
        ];
        for put in kinds {
            put();
        }
        assert_eq!(take::<[usize; 1]>(), None);
        assert_eq!(take::<[usize; 2]>(), Some([2; 2]));
        assert_eq!(take::<[usize; 9]>(), Some([9; 9]));
        assert_eq!(take::<[usize; 9]>(), None);
    }
}
