//! The owner's thread, frame by frame: coroutines, and many calls within one budget of time.

pub(crate) mod coroutines;
pub(crate) mod run_within;
