//! [`LocalOwner`] and [`SendOwner`]: whether the owner of a call may be on another thread than the one that made it. They mark a
//! [`Future`](crate::Future), and are no values.

use std::marker::PhantomData;

/// Marks a [`Future`](crate::Future) that stays on the thread that made it: it is neither `Send` nor `Sync`. This is the default.
#[derive(Debug)]
pub struct LocalOwner {
    /// Neither `Send` nor `Sync`.
    _thread: PhantomData<*const ()>,
}

/// Marks a [`Future`](crate::Future) that may be moved to another thread: a [`SendFuture`](crate::SendFuture).
#[derive(Debug)]
pub struct SendOwner(());
