//! [`TableGuard`]: a guest's table between two calls.

use crate::error::Error;
use crate::guest::StoreGuard;
use std::fmt;
use wasmtime::{Ref, Table};

/// An exported table of an [`Instance`](crate::Instance), from [`Instance::table`](crate::Instance::table).
///
/// It has the store: while it is there, the instance makes no calls.
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
/// assert!(table.get(1)?.unwrap_func().is_some());
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

    /// How many elements there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.table.size(&self.store)
    }

    /// An element.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if there are not as many.
    pub fn get(&mut self, index: u64) -> Result<Ref, Error> {
        self.table.get(&mut self.store, index).ok_or(self.out_of_bounds(index))
    }

    /// Changes an element.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if there are not as many, and [`Error::Wasmtime`] if elements of this table are of another type.
    pub fn set(&mut self, index: u64, element: Ref) -> Result<(), Error> {
        if index >= self.size() {
            return Err(self.out_of_bounds(index));
        }
        Ok(self.table.set(&mut self.store, index, element)?)
    }

    /// Makes it longer by some elements, which are all this one, and gives the number of elements that it had.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if it may not be as long as that, or if its elements are of another type.
    pub fn grow(&mut self, elements: u64, element: Ref) -> Result<u64, Error> {
        let grow = self.table.grow_async(&mut self.store, elements, element);
        Ok(crate::wait::block::block_on(grow)?)
    }

    /// The store, for everything else: calling a function that stands in the table.
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
