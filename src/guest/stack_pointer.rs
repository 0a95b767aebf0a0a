//! [`StackPointer`]: the global in which a C or Rust guest keeps its stack pointer. A call that ends without returning leaves it in
//! the middle of the stack.

use crate::error::Error;
use wasmtime::{Global, Module, Mutability, Store, Val};

pub(crate) struct StackPointer {
    global: Global,
    /// Its value between calls.
    at_rest: Val,
}

impl StackPointer {
    /// None if the module exports no `__stack_pointer` that can be set.
    pub(crate) fn of<S>(
        instance: wasmtime::Instance,
        module: &Module,
        store: &mut Store<S>,
    ) -> Option<Self> {
        let export = module.get_export_index("__stack_pointer")?;
        let global = instance.get_module_export(&mut *store, &export)?.into_global()?;
        let is_mutable = global.ty(&*store).mutability() == Mutability::Var;
        is_mutable.then(|| Self { at_rest: global.get(store), global })
    }

    /// The guest is between two calls, in another state than it was made in.
    #[cfg(feature = "checkpoint")]
    pub(crate) fn rest<S>(&mut self, store: &mut Store<S>) {
        self.at_rest = self.global.get(store);
    }

    /// Sets it to its value between calls.
    pub(crate) fn unwind<S>(&self, store: &mut Store<S>) -> Result<(), Error> {
        Ok(self.global.set(store, self.at_rest)?)
    }
}
