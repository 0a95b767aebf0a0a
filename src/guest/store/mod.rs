//! Access to what a guest has, between two calls: its store, memories, tables and globals.

pub(crate) mod global;
pub(crate) mod guard;
pub(crate) mod memory;
pub(crate) mod owned_ref;
pub(crate) mod plain;
pub(crate) mod table;
