//! [`IntoSend`]: `into_send` on the result of a function that makes a call.

use crate::call::future::{Future, SendFuture};

/// `into_send` on the result of a function that makes a call, so that the owner may travel.
///
/// In a block that is moved between threads, such as the handler of a web server, rustc keeps what stands before a `?` until the end of the
/// statement, across its `await`. So the future must travel before the `?`:
///
/// ```
/// use wasm_jobs::{Error, Instance, IntoSend};
///
/// async fn handler(instance: Instance<()>) -> Result<i32, Error> {
///     instance.call::<i32, i32>("double", 21).into_send()?.await
/// }
/// # fn is_send(_: impl Send) {}
/// # fn check(instance: Instance<()>) { is_send(handler(instance)) }
/// ```
///
/// It works for a pair as well: `let (instance, future) = frozen.thaw_with_instance(..).into_send()?;`
///
/// With `instance.call(..)?.into_send().await`, the handler is not `Send`: the compiler says that `*const ()` cannot be sent.
pub trait IntoSend {
    /// The same, with an owner that may travel.
    type Sent;

    /// Lets the owner travel.
    fn into_send(self) -> Self::Sent;
}

impl<T: Send + 'static, O, X> IntoSend for Result<Future<T, O>, X> {
    type Sent = Result<SendFuture<T>, X>;

    fn into_send(self) -> Self::Sent {
        self.map(Future::into_send)
    }
}

impl<I, T: Send + 'static, O, X> IntoSend for Result<(I, Future<T, O>), X> {
    type Sent = Result<(I, SendFuture<T>), X>;

    fn into_send(self) -> Self::Sent {
        self.map(|(beside, future)| (beside, future.into_send()))
    }
}

impl<T: Send + 'static> From<Future<T>> for SendFuture<T> {
    fn from(future: Future<T>) -> Self {
        future.into_send()
    }
}
