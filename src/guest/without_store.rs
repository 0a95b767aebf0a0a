//! [`WithoutStore`]: a guest whose store was dropped, and what is left for the next one.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::error::panic::Panic;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::saves::Saves;
use crate::guest::guest::{Guest, Start};
use crate::guest::limit::control::Control;
use crate::guest::origin::Origin;
#[cfg(feature = "freeze")]
use crate::guest::prepared::pre::PreparedPre;
use crate::unwind::ignore_panic;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use wasmtime::{Engine, Store};

pub(crate) struct WithoutStore<S: 'static> {
    engine: Engine,
    /// The state of the host.
    data: S,
    /// The fuel that was left, if the engine counts it.
    fuel: Option<u64>,
    pub(crate) control: Arc<Control>,
    generation: u64,
    codec: Option<Arc<dyn RefCodec<S>>>,
    #[cfg(feature = "freeze")]
    pub(crate) pre: Option<PreparedPre<S>>,
}

impl<S: Send + 'static, E> Guest<S, E> {
    /// Drops the store with the guest, and keeps the host's state and the fuel.
    ///
    /// # Errors
    ///
    /// [`Error::Panic`] if the destructor of an object that the guest refers to panics. The state is lost with the store then; `state` has made another one.
    ///
    /// # Panics
    ///
    /// With that panic, if there is no `state`.
    pub(crate) fn without_store(
        self,
        state: Option<&(dyn Fn() -> S + Send + Sync)>,
    ) -> (WithoutStore<S>, Result<(), Error>) {
        let Self { store, control, exports, generation, saves, .. } = self;
        ignore_panic(|| drop(exports));
        let engine = store.engine().clone();
        let fuel = store.get_fuel().ok();
        let codec = saves.codec;
        let (data, ended) = match catch_unwind(AssertUnwindSafe(|| store.into_data())) {
            Ok(data) => (data, Ok(())),
            Err(payload) => match state {
                Some(state) => (state(), Err(Error::Panic(Panic::new(payload)))),
                None => resume_unwind(payload),
            },
        };
        let left = WithoutStore {
            engine,
            data,
            fuel,
            control,
            generation,
            codec,
            #[cfg(feature = "freeze")]
            pre: self.pre,
        };
        (left, ended)
    }
}

/// Moves a guest to a new store, where it gets an instance of `origin`, and goes on as the same guest. `state` is as for [`Guest::without_store`].
pub(crate) fn move_to_new_store<S, E, H>(
    guest: &mut Leased<Box<Guest<S, E>>, H>,
    origin: &Origin<S, E>,
    state: Option<&(dyn Fn() -> S + Send + Sync)>,
) -> Result<(), Error>
where
    S: Send + 'static,
    H: AsRef<Lease<Box<Guest<S, E>>>>,
{
    let mut moved = Ok(());
    guest.replace(|guest| {
        let (left, ended) = guest.without_store(state);
        moved = ended;
        Box::new(left.with_new_store())
    });
    moved?;
    guest.instantiate(origin, Start::GoOn)
}

impl<S: Send + 'static> WithoutStore<S> {
    /// Makes a new store. There is no guest until one is instantiated.
    pub(crate) fn with_new_store<E>(self) -> Guest<S, E> {
        let Self { engine, data, fuel, control, generation, codec, .. } = self;
        let mut store = Store::new(&engine, data);
        if let Some(fuel) = fuel {
            // The engine counts fuel, as the old store has shown.
            let _ = store.set_fuel(fuel);
        }
        let mut saves = Saves::new();
        saves.codec = codec;
        Guest {
            store,
            control,
            exports: None,
            generation: generation + 1,
            stack_pointer: None,
            flag: None,
            #[cfg(feature = "wasi-p3-preview")]
            may_run_event_loop: false,
            saves,
            #[cfg(feature = "freeze")]
            saving_plan: None,
            #[cfg(feature = "freeze")]
            reentry: None,
            #[cfg(feature = "freeze")]
            pre: self.pre,
        }
    }
}
