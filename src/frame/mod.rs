//! The owner's thread, frame by frame: [`run_within`] steps many calls within one budget of time, and [`coroutines`] advances
//! async blocks that await them.
//!
//! `coroutines` has the loop. It takes [`ready_queue`]'s runnables, each of which is a body of [`coroutine`], and counts the frames
//! that [`frames`] waits for.

pub(crate) mod coroutine;
pub(crate) mod coroutines;
pub(crate) mod frames;
pub(crate) mod ready_queue;
pub(crate) mod run_within;
