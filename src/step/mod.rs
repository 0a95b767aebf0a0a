//! What a thread knows of the step that it is in.

pub(crate) mod interrupt;
