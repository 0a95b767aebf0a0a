//! Frozen calls: a call in the middle of its guest's functions as data, and back. This file has what these tests share: [`finish`], which runs a call to its end
//! while it is frozen and thawed on the way, and guests that wait in functions of the host's.

mod afterwards;
mod ahead;
mod asking;
mod bytes;
mod elsewhere;
mod ends;
mod inside;
mod lines;
mod random;
mod references;
mod refusals;
mod shapes;
mod traps;
#[cfg(feature = "rayon")]
mod travelling;
#[cfg(feature = "macros")]
mod wrapped;

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex};
use wasm_jobs::wasmtime::{Config, Engine, Linker, WasmParams, WasmResults};
use wasm_jobs::{
    EngineOptions, Error, Frozen, Future, Instance, InstanceOptions, ManualClock, PrepareOptions,
    PreparedPre, Step, func_wrap_resumable, guest_kit, prepare_with, yield_now,
};

/// An engine that shows all functions of a deep stack, and gives a guest as many memories and tables as it likes.
static DEEP: LazyLock<Engine> = LazyLock::new(|| deep(&EngineOptions::default()));

/// Such an engine, with these options.
pub(crate) fn deep(options: &EngineOptions) -> Engine {
    Engine::new(&deep_config(options)).expect("the options of all tests here")
}

fn deep_config(options: &EngineOptions) -> Config {
    let mut config = options.clone().on_demand().wasm_stack(2 << 20).config();
    config.wasm_backtrace_max_frames(NonZeroUsize::new(10_000));
    config
}

/// At which of its suspensions a call is frozen. The first one is 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Never,
    At(usize),
    Always,
}

impl When {
    fn is(self, suspension: usize) -> bool {
        match self {
            Self::Never => false,
            Self::At(at) => at == suspension,
            Self::Always => true,
        }
    }
}

/// A call that came to its end, and the last instance that it was in.
pub(crate) struct Ended<S: 'static, R> {
    pub(crate) instance: Instance<S>,
    pub(crate) result: Result<R, Error>,
    pub(crate) suspensions: usize,
    pub(crate) frozen: usize,
}

impl<S: Send + 'static, R> Ended<S, R> {
    /// A hash of the guest's memories, globals and tables.
    pub(crate) fn hash(&self) -> Result<u128, Error> {
        if self.instance.is_poisoned() {
            // As after an exit. A checkpoint is made of a guest that is fit for calls.
            self.instance.clear_poison()?;
        }
        Ok(self.instance.checkpoint()?.hash())
    }
}

/// Runs a call to its end. On the way it is frozen and thawed, in this process and through bytes by turns. `carry` makes the state of the host for the next instance from that of the last one,
/// and `wake` ends what a call waits for.
pub(crate) fn finish<S, R>(
    pre: &PreparedPre<S>,
    options: &InstanceOptions,
    (mut instance, mut future): (Instance<S>, Future<R>),
    when: When,
    mut carry: impl FnMut(&Instance<S>) -> Result<S, Error>,
    mut wake: impl FnMut(),
) -> Result<Ended<S, R>, Error>
where
    S: Send + 'static,
    R: WasmResults + Sync + 'static,
{
    let (mut suspensions, mut frozen_times) = (0, 0);
    loop {
        let step = future.resume()?;
        if step == Step::Done {
            let result = future.try_get_result().transpose().expect("the call has ended");
            return Ok(Ended { instance, result, suspensions, frozen: frozen_times });
        }
        suspensions += 1;
        if when.is(suspensions) {
            let mut frozen = future.freeze()?;
            assert!(future.is_disposed() && instance.is_poisoned());
            frozen_times += 1;
            if frozen_times % 2 == 0 || matches!(when, When::At(at) if at % 2 == 0) {
                let bytes = frozen.to_bytes();
                frozen = Frozen::from_bytes(pre, &bytes)?;
                assert!(frozen.to_bytes() == bytes, "the same call has the same bytes");
            }
            let state = carry(&instance)?;
            (instance, future) = frozen.thaw_with_instance(pre, options.clone(), state)?;
            assert_eq!(future.resume()?, step, "it waits for the same once more");
        }
        if step == Step::Waiting {
            wake();
        }
    }
}

/// Moves a clock to the time at which the first sleeper wakes.
#[cfg(feature = "wasi")]
pub(crate) fn tick(clock: &ManualClock) {
    use wasm_jobs::Clock;

    let next = clock.next_deadline().expect("a call waits for the clock alone");
    clock.tick(next.saturating_sub(clock.now()));
}

/// What a guest has told the host, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<i32>>>);

impl Log {
    pub(crate) fn push(&self, number: i32) {
        self.0.lock().unwrap().push(number);
    }

    pub(crate) fn take(&self) -> Vec<i32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What the guests of these tests import: `env.yield`, `env.sleep`, and `host.wait`, which yields, logs a number, and gives the next one.
fn linker(engine: &Engine, clock: &ManualClock) -> Result<Linker<Log>, Error> {
    let mut linker = Linker::new(engine);
    guest_kit::add_to_linker(&mut linker, clock.clone())?;
    func_wrap_resumable(&mut linker, "host", "wait", |caller, (number,): (i32,)| {
        let log = Log::clone(caller.data());
        async move {
            yield_now().await;
            log.push(number);
            number.wrapping_add(1)
        }
    })?;
    linker.func_wrap(
        "host",
        "log",
        |caller: wasm_jobs::wasmtime::Caller<'_, Log>, number: i32| {
            caller.data().push(number);
        },
    )?;
    Ok(linker)
}

/// As [`PrepareOptions::freezable`], but no call waits in `host.log`.
fn freezable() -> PrepareOptions {
    PrepareOptions::default()
        .freezable(true)
        .waits_in(|module, name| (module, name) != ("host", "log"))
}

fn linked(engine: &Engine, text: &str) -> Result<PreparedPre<Log>, Error> {
    let wasm = wat::parse_str(text).expect("the text of a module");
    prepare_with(engine, wasm, &freezable())?.instantiate_pre(&linker(engine, &ManualClock::new())?)
}

fn begin<P, R>(
    pre: &PreparedPre<Log>,
    name: &str,
    params: P,
) -> Result<(Instance<Log>, Future<R>), Error>
where
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let instance = Instance::new(pre, Log::default())?;
    let future = instance.call(name, params)?;
    Ok((instance, future))
}

/// The result of a call, its log, how often it was suspended, and the hash of the guest at its end.
type Seen<R> = (Result<R, Error>, Vec<i32>, usize, u128);

/// Runs a call of `run`.
fn run<R>(pre: &PreparedPre<Log>, when: When) -> Result<Seen<R>, Error>
where
    R: WasmResults + Sync + 'static,
{
    let begun = begin(pre, "run", ())?;
    let carry = |instance: &Instance<Log>| Ok(instance.store()?.data().clone());
    let options = InstanceOptions::default();
    let ended = finish(pre, &options, begun, when, carry, || panic!("nothing waits"))?;
    match when {
        When::Never => assert_eq!(ended.frozen, 0),
        When::At(at) => assert_eq!(ended.frozen, usize::from(at <= ended.suspensions)),
        When::Always => assert_eq!(ended.frozen, ended.suspensions),
    }
    let log = ended.instance.store()?.data().take();
    let hash = ended.hash()?;
    Ok((ended.result, log, ended.suspensions, hash))
}

/// Checks what `run` gives and logs: undisturbed, frozen at each suspension alone, and frozen at all of them.
#[track_caller]
fn gives<R>(text: &str, result: R, log: &[i32], suspensions: usize)
where
    R: WasmResults + Sync + PartialEq + std::fmt::Debug + 'static,
{
    let text = text.replace(
        "IMPORT",
        r#"(import "host" "wait" (func $wait (param i32) (result i32)))
        (import "env" "yield" (func $yield))
        (import "host" "log" (func $log (param i32)))"#,
    );
    let pre = linked(&DEEP, &text).unwrap();
    let expected = run::<R>(&pre, When::Never).unwrap();
    assert_eq!((expected.0.unwrap(), &expected.1[..], expected.2), (result, log, suspensions));
    let result = run::<R>(&pre, When::Never).unwrap().0.unwrap();
    for when in (1..=suspensions).map(When::At).chain([When::Always]) {
        let found = run::<R>(&pre, when).unwrap_or_else(|error| panic!("{when:?}: {error}"));
        assert_eq!(found.0.unwrap(), result, "{when:?}");
        assert_eq!((&found.1[..], found.2), (log, suspensions), "{when:?}");
        assert_eq!(found.3, expected.3, "the state of the guest, {when:?}");
    }
}
