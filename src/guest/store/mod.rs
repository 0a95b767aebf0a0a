//! What a guest has, to be looked at and changed between two calls: its store, memories, tables and globals.

pub(crate) mod guard;
pub(crate) mod memory;
pub(crate) mod table;
