//! [`Lender`]: the inside of an `instance_pool`. It makes guests, lends them to callers, and takes them back.

use crate::error::Error;
use crate::error::panic::Panic;
use crate::guest::guest::Guest;
use crate::guest::home::Home;
use crate::guest::instance::Instance;
use crate::guest::limit::slice::Slice;
use crate::guest::loan::Loan;
use crate::guest::pooled_instance::{OnReturn, PooledInstance};
use crate::guest::recipe::Recipe;
use crate::unwind::{catch, drop_payload};
use crate::wait::stock::{Stock, Taken};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Makes an instance.
pub(super) type Make<S, E> = dyn Fn() -> Result<Instance<S, E>, Error> + Send + Sync;

/// Decides what happens to an instance that comes back.
pub(super) type Decide<S, E> = dyn Fn(&Instance<S, E>) -> OnReturn + Send + Sync;

pub(super) struct Lender<S: 'static, E: 'static> {
    pub(super) stock: Arc<Stock<Resting<S, E>>>,
    pub(super) size: usize,
    pub(super) making: Mutex<Making<S, E>>,
    /// Without it, [`OnReturn::ResetIfPoisoned`].
    pub(super) on_return: Option<Box<Decide<S, E>>>,
    pub(super) made: AtomicU64,
    pub(super) resets: AtomicU64,
}

/// How instances are made, until that is replaced.
pub(super) struct Making<S: 'static, E: 'static> {
    pub(super) make: Arc<Make<S, E>>,
    /// How many times it was replaced.
    pub(super) generation: u64,
}

/// A guest in the pool. It has no home there, so nobody else can call it.
pub(super) struct Resting<S: 'static, E: 'static> {
    pub(super) guest: Box<Guest<S, E>>,
    pub(super) made_as: MadeAs<S, E>,
}

/// What becomes of a guest that came back.
enum Decided<S: 'static, E: 'static> {
    Keep(Box<Guest<S, E>>),
    /// `None` if `on_return` has left a call in progress, which has the guest.
    Discard(Option<Box<Guest<S, E>>>),
}

/// What the pool knows of an instance while it is lent.
pub(super) struct MadeAs<S: 'static, E: 'static> {
    recipe: Arc<Recipe<S, E>>,
    slice: Slice,
    pub(super) generation: u64,
}

impl<S: Send + 'static, E: Send + Sync + 'static> Lender<S, E> {
    /// The guest that was taken, or that of an instance which this makes in its place.
    pub(super) fn resting(&self, taken: Taken<Resting<S, E>>) -> Result<Resting<S, E>, Error> {
        let made = match taken {
            Taken::Thing(resting) => return Ok(resting),
            Taken::Vacancy => {
                let (make, generation) = {
                    let making = self.making.lock();
                    (making.make.clone(), making.generation)
                };
                self.make(&make, generation)
            }
        };
        if made.is_err() {
            self.stock.put(None);
        }
        made
    }

    pub(super) fn make(
        &self,
        make: &Arc<Make<S, E>>,
        generation: u64,
    ) -> Result<Resting<S, E>, Error> {
        let instance =
            catch(|| make()).unwrap_or_else(|payload| Err(Error::Panic(Panic::new(payload))))?;
        // The function may have left a call in progress.
        let guest = instance.home.leave().ok_or(Error::CallInProgress)?;
        self.made.fetch_add(1, Relaxed);
        let (slice, recipe) = (instance.slice(), instance.recipe.clone());
        Ok(Resting { guest, made_as: MadeAs { recipe, slice, generation } })
    }

    /// Lends the guest to a caller.
    pub(super) fn check_out(
        self: &Arc<Self>,
        taken: Taken<Resting<S, E>>,
    ) -> Result<PooledInstance<S, E>, Error> {
        let Resting { guest, made_as } = self.resting(taken)?;
        let (lender, recipe) = (self.clone(), made_as.recipe.clone());
        let home = Home::with_recall(guest, move |guest| lender.take_back(guest, made_as));
        let loan = Loan(home.clone());
        Ok(PooledInstance::new(Instance { home, recipe, _loan: Some(loan) }))
    }

    /// Puts a guest back into the stock, or throws it away.
    fn take_back(&self, guest: Box<Guest<S, E>>, made_as: MadeAs<S, E>) {
        let MadeAs { recipe, slice, generation } = &made_as;
        let is_of_old = *generation != self.making.lock().generation;
        let guest = if is_of_old || recipe.is_discarded.load(Relaxed) {
            Decided::Discard(Some(guest))
        } else {
            recipe.control.set_slice(*slice);
            self.decide(guest, recipe)
        };
        self.stock.put(match guest {
            Decided::Keep(guest) => Some(Resting { guest, made_as }),
            Decided::Discard(guest) => {
                self.resets.fetch_add(1, Relaxed);
                if let Some(guest) = guest {
                    (*guest).end();
                }
                None
            }
        });
    }

    /// Decides whether the guest is kept.
    fn decide(&self, guest: Box<Guest<S, E>>, recipe: &Arc<Recipe<S, E>>) -> Decided<S, E> {
        let keeps = |on_return| match on_return {
            OnReturn::Keep => true,
            OnReturn::ResetIfPoisoned => !recipe.control.poison().is_set(),
            OnReturn::Reset => false,
        };
        let Some(on_return) = &self.on_return else {
            let is_kept = keeps(OnReturn::default());
            return if is_kept { Decided::Keep(guest) } else { Decided::Discard(Some(guest)) };
        };
        // A home for this look only: whatever the closure keeps of the instance is of no use after it.
        let place = Arc::new(Mutex::new(None));
        let deliver_to = place.clone();
        let home = Home::with_recall(guest, move |guest| *deliver_to.lock() = Some(guest));
        let instance = Instance { home, recipe: recipe.clone(), _loan: None };
        let mut decided = OnReturn::Reset;
        drop_payload(catch(|| decided = on_return(&instance)));
        instance.home.recall();
        let guest = place.lock().take();
        match guest {
            Some(guest) if keeps(decided) => Decided::Keep(guest),
            guest => Decided::Discard(guest),
        }
    }

    pub(super) fn all_out(&self, waited: Duration) -> Error {
        let count = self.stock.count();
        Error::AllInstancesOut { out: count.out, waiting: count.waiting, waited }
    }
}
