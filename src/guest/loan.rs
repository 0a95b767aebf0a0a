//! [`Loan`]: what an instance holds that was checked out from an `instance_pool`. Dropping it sends the guest back.

use crate::guest::home::Home;
use std::sync::Arc;

/// Recalls the guest from its home when it is dropped: at once, or when the call in progress ends.
pub(crate) struct Loan<S: 'static, E: 'static>(pub(crate) Arc<Home<S, E>>);

impl<S: 'static, E: 'static> Drop for Loan<S, E> {
    fn drop(&mut self) {
        self.0.recall();
    }
}
