//! [`TableGuard`]: a guest's table between two calls.

use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::store::guard::StoreGuard;
use crate::guest::store::owned_ref::OwnedRef;
use std::fmt;
use wasmtime::{RootScope, Table};

impl<S: Send + 'static> Instance<S> {
    /// Gives access to an exported table between calls.
    ///
    /// # Errors
    ///
    /// As [`memory`](Self::memory).
    pub fn table(&self, export: &str) -> Result<TableGuard<'_, S>, Error> {
        TableGuard::new(self.store()?, export)
    }
}

/// An exported table of an [`Instance`](crate::Instance), from [`Instance::table`](crate::Instance::table).
///
/// The guard has the store: while it exists, the instance makes no calls.
///
/// ```
/// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let wasm = wat::parse_str(r#"(module (table (export "table") 2 funcref) (elem (i32.const 0) func $f) (func $f))"#)?;
/// # let module = wasmtime::Module::new(&engine, wasm)?;
/// # let linker = wasmtime::Linker::<()>::new(&engine);
/// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
/// let mut table = instance.table("table")?;
/// assert_eq!(table.size(), 2);
/// let function = table.get(0)?;
/// table.set(1, function)?;
/// assert!(table.get(1)?.func().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TableGuard<'a, S: 'static> {
    store: StoreGuard<'a, S>,
    table: Table,
}

impl<'a, S: Send + 'static> TableGuard<'a, S> {
    pub(crate) fn new(mut store: StoreGuard<'a, S>, export: &str) -> Result<Self, Error> {
        let table = store.table(export)?;
        Ok(Self { store, table })
    }

    /// The number of elements.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.table.size(&self.store)
    }

    /// The element at an index. Its object stays alive until the [`OwnedRef`] is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if the table has no element at that index.
    pub fn get(&mut self, index: u64) -> Result<OwnedRef, Error> {
        let mut scope = RootScope::new(&mut self.store);
        match self.table.get(&mut scope, index) {
            Some(element) => OwnedRef::from_ref(&mut scope, &element),
            None => {
                drop(scope);
                Err(self.out_of_bounds(index))
            }
        }
    }

    /// Sets the element at an index.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if the table has no element at that index, and [`Error::Wasmtime`] if its elements are of another type.
    ///
    /// # Panics
    ///
    /// If the element is an object of another store.
    pub fn set(&mut self, index: u64, element: impl Into<OwnedRef>) -> Result<(), Error> {
        if index >= self.size() {
            return Err(self.out_of_bounds(index));
        }
        let mut scope = RootScope::new(&mut self.store);
        let element = element.into().to_ref(&mut scope);
        Ok(self.table.set(&mut scope, index, element)?)
    }

    /// Grows the table by this many elements, each of which is `element`, and returns the number that it had before.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if the table may not be as large as that, or if its elements are of another type.
    ///
    /// # Panics
    ///
    /// If the element is an object of another store.
    pub fn grow(&mut self, elements: u64, element: impl Into<OwnedRef>) -> Result<u64, Error> {
        let mut scope = RootScope::new(&mut self.store);
        let element = element.into().to_ref(&mut scope);
        // A limiter of the user's may be asynchronous.
        let grow = self.table.grow_async(&mut scope, elements, element);
        Ok(crate::wait::block::block_on(grow)?)
    }

    /// The store, for everything else, such as calling a function of the table.
    pub fn store(&mut self) -> &mut StoreGuard<'a, S> {
        &mut self.store
    }

    fn out_of_bounds(&self, index: u64) -> Error {
        Error::OutOfBounds { at: index, count: 1, size: self.size() }
    }
}

impl<S: 'static> fmt::Debug for TableGuard<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableGuard")
            .field("size", &self.table.size(&self.store))
            .finish_non_exhaustive()
    }
}
