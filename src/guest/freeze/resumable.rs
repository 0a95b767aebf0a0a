//! Host functions that frozen calls can wait in: what they wait for can begin anew, from data.

use crate::error::Error;
use crate::guest::freeze::frames::Pending;
use crate::guest::freeze::plain::sealed::{Params, Results};
use crate::guest::freeze::plain::{ResumableParams, ResumableResults};
use crate::guest::freeze::waiting::{Again, Waiting, wait};
use crate::guest::host_wait::HostWait;
use crate::wait::block::block_on;
use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::{Caller, ExternType, FuncType, Linker, Module, Store, Val};

/// Defines an asynchronous host function in which calls can be [frozen](crate::Future::freeze). A frozen call holds the arguments. When it is thawed, `f` is called
/// with them again, and gives another future.
///
/// So `f` is called once by the guest, and once more for each thaw, but not when a call is parked or a [checkpoint](crate::Future::checkpoint) of it is made. What the
/// function is to do once belongs into the future, at its end. The future is dropped when the call is frozen.
///
/// As with `func_wrap_async`, the first parameter is the [`Caller`], with the state of the store. The future cannot borrow it.
///
/// ```
/// use wasm_jobs::{EngineOptions, Event, Instance, PrepareOptions, Step, engine, func_wrap_resumable, prepare_with, wasmtime};
///
/// let engine = engine(&EngineOptions::default())?;
/// let mut linker = wasmtime::Linker::<Event>::new(&engine);
/// func_wrap_resumable(&mut linker, "game", "wait_for_click", |caller, (_button,): (i32,)| {
///     let click = caller.data().wait();
///     async { click.await }
/// })?;
///
/// let wasm = wat::parse_str(r#"(module
///     (import "game" "wait_for_click" (func $wait (param i32)))
///     (func (export "run") (result i32)
///         (call $wait (i32.const 1))
///         (i32.const 42)))"#)?;
/// let pre = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?.instantiate_pre(&linker)?;
/// let instance = Instance::new(&pre, Event::new())?;
/// let mut future = instance.call::<(), i32>("run", ())?;
/// assert_eq!(future.resume()?, Step::Waiting);
///
/// let frozen = future.freeze()?;
/// let click = Event::new();
/// click.set();
/// let mut future = frozen.thaw(&pre, Default::default(), click)?;
/// assert_eq!(future.wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Wasmtime`] if the linker already has something of that name.
pub fn func_wrap_resumable<S, P, F>(
    linker: &mut Linker<S>,
    module: &str,
    name: &str,
    f: impl Fn(&mut Caller<'_, S>, P) -> F + Send + Sync + 'static,
) -> Result<(), Error>
where
    S: Send + 'static,
    P: ResumableParams + 'static,
    F: Future<Output: ResumableResults> + Send + 'static,
{
    define(linker, module, name, move |caller: &mut Caller<'_, S>, params: P, _| HostWait {
        future: Box::pin(f(caller, params)),
        waited: || Duration::ZERO,
        may_last: true,
    })
}

/// Defines a resumable function whose wait goes on where it was.
pub(crate) fn define<S, P, F, W>(
    linker: &mut Linker<S>,
    module: &str,
    name: &str,
    begin: impl Fn(&mut Caller<'_, S>, P, Duration) -> HostWait<F, W> + Send + Sync + 'static,
) -> Result<(), Error>
where
    S: Send + 'static,
    P: ResumableParams + 'static,
    F: Future<Output: ResumableResults> + Send + Unpin + 'static,
    W: Fn() -> Duration + Send + Sync + 'static,
{
    let import: Arc<(Box<str>, Box<str>)> = Arc::new((module.into(), name.into()));
    let begin = move |caller: &mut Caller<'_, S>, params: P, waited: Duration| {
        let wait = begin(caller, params, waited);
        InFunction { import: import.clone(), params, wait, output: None }
    };
    let begin = Arc::new(begin);
    let again: Again<S> = {
        let begin = begin.clone();
        Arc::new(move |caller, pending| {
            let params = P::from_values(&pending.params).ok_or_else(other_parameters)?;
            Ok(Box::new(begin(caller, params, pending.waited)))
        })
    };
    linker.func_wrap_async(module, name, move |mut caller, params: P| {
        let waiting = begin(&mut caller, params, Duration::ZERO);
        Box::new(async move {
            let waited = wait(&mut caller, waiting).await;
            waited.and_then(|waited| waited.output).unwrap_or_else(Results::any)
        })
    })?;
    register(linker, module, name, again)
}

/// What a guest waits for in a function of [`define`].
struct InFunction<P, F: Future, W> {
    import: Arc<(Box<str>, Box<str>)>,
    params: P,
    wait: HostWait<F, W>,
    /// `Some` once the wait is over.
    output: Option<F::Output>,
}

/// Nothing of it is pinned but the future, which can be moved.
impl<P, F: Future + Unpin, W> Unpin for InFunction<P, F, W> {}

impl<S, P, F, W> Waiting<S> for InFunction<P, F, W>
where
    S: 'static,
    P: ResumableParams + 'static,
    F: Future<Output: ResumableResults> + Send + Unpin + 'static,
    W: Fn() -> Duration + Send + Sync + 'static,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.wait.future).poll(context).map(|output| self.output = Some(output))
    }

    fn pending(&self) -> Pending {
        pending_in((&self.import.0, &self.import.1), self.params, (self.wait.waited)())
    }

    fn may_last(&self) -> bool {
        self.wait.may_last
    }

    fn unwrapped(self: Box<Self>) -> Box<dyn Waiting<S>> {
        self
    }

    fn end(&mut self, _: &mut Caller<'_, S>, results: &mut [Val]) -> wasmtime::Result<()> {
        self.output.take().unwrap_or_else(Results::any).write(results)
    }
}

/// Where a call waits, as data.
pub(crate) fn pending_in(
    (module, name): (&str, &str),
    params: impl Params,
    waited: Duration,
) -> Pending {
    Pending { module: module.into(), name: name.into(), params: params.to_values(), waited }
}

/// The error of a frozen call whose arguments are of other types.
pub(crate) fn other_parameters() -> wasmtime::Error {
    wasmtime::Error::msg("the frozen call has waited in a host function of another type")
}

/// An import of a module that is resumable.
pub(crate) struct Resumable<S: 'static> {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) again: Again<S>,
    /// The type of the function that waits in its place when a frozen call goes on: it has the same results, and no parameters.
    pub(crate) continues: FuncType,
}

/// The imports of a module that are resumable in a linker.
pub(crate) fn find_all<S: Send + 'static>(
    linker: &Linker<S>,
    store: &mut Store<S>,
    module: &Module,
) -> Box<[Resumable<S>]> {
    let imports = module.imports().filter_map(|import| {
        let ExternType::Func(ty) = import.ty() else { return None };
        let again = find(linker, store, import.module(), import.name())?;
        let continues = FuncType::new(module.engine(), [], ty.results());
        Some(Resumable {
            module: import.module().into(),
            name: import.name().into(),
            again,
            continues,
        })
    });
    imports.collect()
}

/// The module in which a linker has a function for each resumable one. No guest can import from it, as from [`OURS`](crate::guest::freeze::freezable_module::OURS).
const REGISTRY: &str = "__wasm_jobs_resumable";

thread_local! {
    static OFFERED: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

fn in_registry(module: &str, name: &str) -> String {
    // The length tells where the one ends and the other begins.
    format!("{} {module} {name}", module.len())
}

/// Keeps what makes a function resumable in the linker, where a copy of the linker has it as well.
pub(crate) fn register<S: Send + 'static>(
    linker: &mut Linker<S>,
    module: &str,
    name: &str,
    again: Again<S>,
) -> Result<(), Error> {
    linker.func_wrap(REGISTRY, &in_registry(module, name), move || {
        OFFERED.replace(Some(Box::new(again.clone())));
    })?;
    Ok(())
}

/// What makes a function of a linker resumable. `None` if it is not, or not there.
fn find<S: Send + 'static>(
    linker: &Linker<S>,
    store: &mut Store<S>,
    module: &str,
    name: &str,
) -> Option<Again<S>> {
    let offer = linker.get(&mut *store, REGISTRY, &in_registry(module, name)).ok()?.into_func()?;
    block_on(offer.call_async(&mut *store, &[], &mut [])).ok()?;
    OFFERED.take()?.downcast().ok().map(|again| *again)
}
