//! [`GuestState`]: the whole state of a guest between two calls, as data. [`Tracked`] reads it from a guest, and writes it to one.

use crate::error::Error;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::image::Image;
use crate::guest::checkpoint::pages::{LARGEST, Pages};
use crate::guest::checkpoint::plan::Plan;
use crate::guest::checkpoint::refs::{Names, Numbers, Refs};
use crate::guest::checkpoint::tracked_memory::TrackedMemory;
use crate::guest::checkpoint::value::{Run, Value, elements};
#[cfg(feature = "freeze")]
use crate::guest::freeze::frames::Reference;
use crate::wait::block::block_on;
use std::sync::Arc;
use wasmtime::{Global, Instance, Memory, Store, Table};
#[cfg(feature = "freeze")]
use wasmtime::{HeapType, Ref, RootScope};

/// What is in the globals, memories and tables of a guest, in the order of its [`Plan`].
#[derive(Clone, Debug)]
pub(crate) struct GuestState {
    pub(crate) globals: Vec<Value>,
    pub(crate) memories: Vec<Pages>,
    pub(crate) tables: Vec<Arc<[Run]>>,
}

/// A guest's globals, memories and tables, and what was in them at the last checkpoint or rollback.
pub(crate) struct Tracked {
    image: Arc<Image>,
    instance: Instance,
    globals: Vec<Global>,
    memories: Vec<(Memory, TrackedMemory)>,
    tables: Vec<(Table, Arc<[Run]>)>,
    numbers: Option<Numbers>,
}

/// Whether the memories and tables of a guest can become as large as those of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// They are as large, or can grow.
    Grows,
    /// One is larger. Nothing in wasm shrinks.
    TooLarge,
}

impl GuestState {
    /// Whether it has objects of the host's.
    pub(crate) fn has_objects(&self) -> bool {
        let of_tables = self.tables.iter().flat_map(|runs| runs.iter().map(|run| &run.value));
        self.globals.iter().chain(of_tables).any(|value| matches!(value, Value::Object(_)))
    }
}

impl Tracked {
    /// A guest of which nothing was saved yet.
    pub(crate) fn new<S: 'static>(
        image: Arc<Image>,
        instance: Instance,
        store: &mut Store<S>,
    ) -> Self {
        let plan = &*image.plan;
        let mut export = |export| match instance.get_module_export(&mut *store, export) {
            Some(export) => export,
            None => unreachable!("the plan is of the instance's module"),
        };
        let globals = plan.globals.iter().filter_map(|global| export(&global.export).into_global());
        let globals = globals.collect();
        let tables = plan.tables.iter().filter_map(|table| export(&table.export).into_table());
        let tables = tables.map(|table| (table, Arc::default())).collect();
        let memories =
            plan.memories.iter().filter_map(|memory| export(&memory.export).into_memory());
        let memories: Vec<Memory> = memories.collect();
        let memories = memories.into_iter().zip(&plan.images).map(|(memory, image)| {
            let initial = Pages::initial(memory.data_size(&*store));
            (memory, TrackedMemory::new(initial, image.is_some()))
        });
        let memories = memories.collect();
        Self { image, instance, globals, memories, tables, numbers: None }
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.image.plan
    }

    /// The guest's state, and how many pages of memory have changed since it was last saved or restored. `is_last` says that
    /// the guest most likely ends, so its pages are not hashed. If it is saved again, whole pages are compared.
    pub(crate) fn save<S: 'static>(
        &mut self,
        store: &mut Store<S>,
        codec: Option<&dyn RefCodec<S>>,
        is_last: bool,
    ) -> Result<(GuestState, usize), Error> {
        let Self { image, instance, globals, memories, tables, numbers } = self;
        let all: usize = memories.iter().map(|(memory, _)| memory.data_size(&*store)).sum();
        if all as u64 > LARGEST {
            let why = "a checkpoint holds at most 64 GiB".into();
            return Err(Error::CannotSave { what: format!("a memory of {all} bytes").into(), why });
        }
        let plan = &*image.plan;
        let names = Names { plan, instance: *instance, numbers, codec };
        let mut refs = Refs { store, names };
        let globals = globals.iter().zip(&plan.globals);
        let globals = globals.map(|(global, planned)| refs.read_global(*global, &planned.name));
        let globals = globals.collect::<Result<_, _>>()?;
        for ((table, last), planned) in tables.iter_mut().zip(&plan.tables) {
            let runs = refs.read_table(*table, &planned.name)?;
            if **last != *runs {
                *last = runs.into();
            }
        }
        let tables = tables.iter().map(|(_, runs)| runs.clone()).collect();
        let memories = memories.iter_mut().enumerate().map(|(place, (memory, tracked))| {
            tracked.save(memory.data_mut(&mut *refs.store), image.memory(place), is_last)
        });
        let (memories, changed): (_, Vec<usize>) = memories.unzip();
        Ok((GuestState { globals, memories, tables }, changed.iter().sum()))
    }

    /// A reference of the guest's as data.
    #[cfg(feature = "freeze")]
    pub(crate) fn data_of<S: 'static>(
        &mut self,
        reference: Ref,
        place: &str,
        store: &mut Store<S>,
        codec: Option<&dyn RefCodec<S>>,
    ) -> Result<Value, Error> {
        let Self { image, instance, numbers, .. } = self;
        let mut names = Names { plan: &image.plan, instance: *instance, numbers, codec };
        names.read(&mut RootScope::new(store), reference, || place.into())
    }

    /// The reference that was this data.
    #[cfg(feature = "freeze")]
    pub(crate) fn reference_of<S: 'static>(
        &mut self,
        value: &Value,
        store: &mut Store<S>,
        codec: Option<&dyn RefCodec<S>>,
    ) -> Result<Reference, Error> {
        let Self { image, instance, numbers, .. } = self;
        let names = Names { plan: &image.plan, instance: *instance, numbers, codec };
        let mut scope = RootScope::new(store);
        let ty = match value {
            Value::Object(_) => HeapType::Extern,
            _ => HeapType::Func,
        };
        Ok(match names.write(&mut scope, value, &ty)? {
            Ref::Func(Some(function)) => Reference::Function(function),
            Ref::Extern(Some(object)) => Reference::Object(object.to_owned_rooted(&mut scope)?),
            _ => Reference::Null,
        })
    }

    /// Whether the guest can get to a state by growing.
    pub(crate) fn fit<S: 'static>(&self, state: &GuestState, store: &Store<S>) -> Fit {
        let mut memories = self.memories.iter().zip(&state.memories);
        let mut tables = self.tables.iter().zip(&state.tables);
        let is_too_large = memories
            .any(|((memory, _), pages)| memory.data_size(store) > pages.len())
            || tables.any(|((table, _), runs)| table.size(store) > elements(runs));
        if is_too_large { Fit::TooLarge } else { Fit::Grows }
    }

    /// Brings the guest to a state. In a guest of which nothing `is_new` has run yet, only what the state holds is written.
    pub(crate) fn restore<S: Send + 'static>(
        &mut self,
        state: &GuestState,
        is_new: bool,
        store: &mut Store<S>,
        codec: Option<&dyn RefCodec<S>>,
    ) -> Result<(), Error> {
        let Self { image, instance, globals, memories, tables, numbers } = self;
        let plan = &*image.plan;
        // Growing may be refused, so it comes first.
        for ((memory, _), pages) in memories.iter().zip(&state.memories) {
            let missing = pages.len().saturating_sub(memory.data_size(&*store)) as u64;
            let missing = missing / memory.page_size(&*store);
            if missing > 0 {
                block_on(memory.grow_async(&mut *store, missing))?;
            }
        }
        let names = Names { plan, instance: *instance, numbers, codec };
        let mut refs = Refs { store, names };
        for ((table, _), runs) in tables.iter().zip(&state.tables) {
            refs.grow_table(*table, runs)?;
        }
        for (global, value) in globals.iter().zip(&state.globals) {
            refs.write_global(*global, value)?;
        }
        for ((table, last), runs) in tables.iter_mut().zip(&state.tables) {
            refs.write_table(*table, runs)?;
            *last = runs.clone();
        }
        for (place, ((memory, tracked), pages)) in
            memories.iter_mut().zip(&state.memories).enumerate()
        {
            let (memory, image) = (memory.data_mut(&mut *refs.store), image.memory(place));
            if is_new {
                tracked.fill(pages, memory, image);
            } else {
                tracked.restore(pages, memory, image);
            }
        }
        Ok(())
    }
}
