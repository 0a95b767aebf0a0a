//! [`CallOutput`]: what a frozen call gives once it has gone on to its end.

use crate::error::trap::Trap;
use wasmtime::WasmResults;

/// What the future of a thawed call gives. It is sealed, and there are two:
///
/// - the results of the export, for a call that was made by [`Instance::call`](crate::Instance::call);
/// - a `Result` of these and a [`Trap`], for one that was made by [`Instance::try_call`](crate::Instance::try_call).
///
/// Bytes say nothing of this. What [`Frozen::from_bytes`](crate::Frozen::from_bytes) reads can be taken either way, whichever function made the call.
///
/// `How` tells the two apart, and the compiler finds it. A generic function needs it as a parameter:
///
/// ```
/// use wasm_jobs::{CallOutput, Error, Frozen, Future, InstanceOptions, PreparedPre};
///
/// fn load<T: CallOutput<How>, How>(frozen: &Frozen<T>, pre: &PreparedPre<()>) -> Result<Future<T>, Error> {
///     frozen.thaw(pre, InstanceOptions::default(), ())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a call of a guest does not give `{Self}`",
    note = "it gives the results of its export, or a `Result` of these and a `wasm_jobs::Trap`"
)]
pub trait CallOutput<How>: sealed::CallOutput<How> {}

impl<R: WasmResults + Sync + 'static> CallOutput<sealed::Plain> for R {}

impl<R: WasmResults + Sync + 'static> CallOutput<sealed::WithTrap> for Result<R, Trap> {}

pub(crate) mod sealed {
    use crate::error::trap::Trap;
    use crate::guest::trap_as_value::TrapAsValue;
    use crate::outcome::Outcome;
    use wasmtime::WasmResults;

    /// Marks results, and no trap.
    #[derive(Debug)]
    pub enum Plain {}

    /// Marks a `Result` of results and a trap.
    #[derive(Debug)]
    pub enum WithTrap {}

    pub trait CallOutput<How>: Sized + Send + 'static {
        /// What the export gives.
        type Results: WasmResults + Sync + 'static;

        /// Makes the work of the future of a call's work.
        fn work(
            call: impl Future<Output = Outcome<Self::Results>> + Send + 'static,
        ) -> impl Future<Output = Outcome<Self>> + Send + 'static;
    }

    impl<R: WasmResults + Sync + 'static> CallOutput<Plain> for R {
        type Results = R;

        fn work(
            call: impl Future<Output = Outcome<R>> + Send + 'static,
        ) -> impl Future<Output = Outcome<R>> + Send + 'static {
            call
        }
    }

    impl<R: WasmResults + Sync + 'static> CallOutput<WithTrap> for Result<R, Trap> {
        type Results = R;

        fn work(
            call: impl Future<Output = Outcome<R>> + Send + 'static,
        ) -> impl Future<Output = Outcome<Self>> + Send + 'static {
            TrapAsValue::new(call)
        }
    }
}
