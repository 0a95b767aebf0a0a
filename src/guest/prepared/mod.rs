//! Modules that are transformed before they are compiled.
//!
//! [`prepare`] makes a [`Prepared`](module::Prepared) of the bytes of a module. Linked, it is a [`PreparedPre`](pre::PreparedPre), from which
//! instances are made. If its guests look at a flag, it gives each instance one, by the [`stop`] function, which decides what the guest does
//! that has found its flag set. `ahead` takes modules that were compiled ahead of time.

#[cfg(feature = "freeze")]
mod ahead;
pub(crate) mod is_prepared;
pub(crate) mod module;
pub(crate) mod options;
pub(crate) mod pre;
pub(crate) mod prepare;
pub(crate) mod stop;
