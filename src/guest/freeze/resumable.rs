//! Host functions that frozen calls can wait in: what they wait for can begin anew, from data.

use crate::error::Error;
use crate::error::cannot_freeze::CannotFreeze;
use crate::guest::freeze::frames::Pending;
use crate::guest::freeze::plain::sealed::{Params, Results};
use crate::guest::freeze::plain::{ResumableParams, ResumableResults};
use crate::guest::freeze::request;
use crate::guest::freeze::saving::save_here;
use crate::guest::host_wait::HostWait;
use crate::wait::block::block_on;
use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use wasmtime::{Caller, ExternType, FuncType, Linker, Module, Store, Val};

/// Defines an asynchronous host function in which calls can be [frozen](crate::Future::freeze). It is to `func_wrap_async` what a recipe is to a meal: a
/// frozen call holds the arguments, and when it goes on, `f` is called with them again, and gives another future.
///
/// `f` may be called more than once for one call of the guest, then: once by the guest, and once each time that the call is thawed. What the function is to do
/// once belongs into the future, at its end. The future is dropped when the call is frozen.
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
        future: f(caller, params),
        waited: || Duration::ZERO,
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
    F: Future<Output: ResumableResults> + Send + 'static,
    W: Fn() -> Duration + Send + Sync + 'static,
{
    let import: Arc<(Box<str>, Box<str>)> = Arc::new((module.into(), name.into()));
    let begin = Arc::new(begin);
    let again: Again<S> = {
        let (begin, import) = (begin.clone(), import.clone());
        Arc::new(move |mut caller, waits, results| {
            let (begin, import) = (begin.clone(), import.clone());
            Box::pin(async move {
                let params = P::from_values(&waits.params).ok_or_else(other_parameters)?;
                let HostWait { future, waited } = begin(&mut caller, params, waits.waited);
                let pending = || pending_in((&import.0, &import.1), params, waited());
                let given = wait(&mut caller, pending, future).await;
                given.unwrap_or_else(Results::any).write(results)
            })
        })
    };
    linker.func_wrap_async(module, name, move |mut caller, params: P| {
        let HostWait { future, waited } = begin(&mut caller, params, Duration::ZERO);
        let import = import.clone();
        Box::new(async move {
            let pending = || pending_in((&import.0, &import.1), params, waited());
            let given = wait(&mut caller, pending, future).await;
            given.unwrap_or_else(Results::any)
        })
    })?;
    register(linker, module, name, again)
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

/// Waits in a host function. `None` says that the call is being saved. The function then returns at once, whatever it returns.
pub(crate) async fn wait<S: 'static, F: Future>(
    caller: &mut Caller<'_, S>,
    pending: impl Fn() -> Pending,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let store = store_address(caller);
    poll_fn(|context| {
        if let Some(target) = request::target(store)
            && save_here(caller, &target, &pending)
        {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Waits in a host function in which a call cannot be frozen, because of what it waits for.
pub(crate) async fn cannot_be_frozen<F: Future>(
    store: usize,
    (module, name): (&str, &str),
    what: &'static str,
    future: F,
) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        if request::target(store).is_some() {
            let import = format!("{module}.{name}").into();
            request::refuse(CannotFreeze::Waiting { import, what });
        }
        future.as_mut().poll(context)
    })
    .await
}

/// What tells the store of a guest from all others.
pub(crate) fn store_address<S: 'static>(caller: &Caller<'_, S>) -> usize {
    ptr::from_ref(caller.data()).addr()
}

/// Waits in a host function once more, for a call that was frozen. It writes the results.
pub(crate) type Again<S> =
    Arc<dyn for<'a> Fn(Caller<'a, S>, Pending, &'a mut [Val]) -> Waits<'a> + Send + Sync>;

pub(crate) type Waits<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>>;

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

/// The module in which a linker has a function for each resumable one. No guest can import from it, because its name begins as those of the transformation do.
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
