//! How much a guest may do and have: in one step ([`Slice`](slice::Slice)) and in one call
//! ([`InstanceOptions`](options::InstanceOptions)).

pub(crate) mod control;
pub(crate) mod growth;
pub(crate) mod options;
pub(crate) mod slice;
pub(crate) mod ticker;
