//! Hostile guests, each alone and beside fifty well-behaved guests on the same two workers. Their failures reach only their owner: afterwards, the
//! other calls have their results, no thread is lost, and all resources are back.

use super::{PRIMES, Pre, TOTAL, compile, link, options_of_engines};
use crate::support::{
    Counter, Event, OnDrop, Way, a_thread_each, notifying, receives, retry_timeouts, workers,
};
use std::collections::HashSet;
use std::iter::zip;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Duration;
use wasm_jobs::wasmtime::{
    self, Caller, Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig, Trap,
    TypedFunc,
};
use wasm_jobs::{
    EngineOptions, Error, Future, Instance, InstanceOptions, JobHandle, JobPool, Slice, Step,
    Timeout, add_yield, yield_now,
};

/// The number of well-behaved calls beside the hostile ones.
const NEIGHBOURS: usize = 50;

/// One hostile call for each worker.
const HOSTILE_CALLS: usize = 2;

const MS: Duration = Duration::from_millis(1);

/// Exports that do harm half-way through a call, and `double`, which does none.
const HOSTILE_GUEST: &str = r#"(module $hostile
    (import "env" "yield" (func $yield))
    (import "env" "begun" (func $begun))
    (import "env" "fail" (func $fail))
    (import "env" "fail_later" (func $fail_later))
    (import "env" "panic" (func $panic))
    (import "env" "panic_later" (func $panic_later))
    (import "env" "unwind" (func $unwind))
    (import "env" "never" (func $never))
    (import "env" "call_back" (func $call_back))
    (import "env" "call_back_at_once" (func $call_back_at_once))
    (import "env" "call_loop" (func $call_loop))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (type $nothing (func))
    (memory (export "memory") 1)
    (table 3 funcref)
    (elem (i32.const 0) $double)
    (func $begin (call $yield) (call $begun))
    (func $double (export "double") (param i32) (result i32)
        (call $yield)
        (i32.add (local.get 0) (local.get 0)))

    (func (export "loop") (call $begin) (loop $again (br $again)))
    (func (export "yield for ever") (call $begin) (loop $again (call $yield) (br $again)))
    (func (export "wait for ever") (call $never))

    (func (export "be unreachable") (call $begin) (unreachable))
    (func (export "divide by zero") (call $begin) (drop (i32.div_s (i32.const 1) (i32.const 0))))
    (func (export "read outside") (call $begin) (drop (i32.load offset=4 (i32.const -4))))
    (func (export "write outside") (call $begin)
        (i64.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))
            (i64.const -1)))
    (func (export "call nothing") (call $begin) (call_indirect (type $nothing) (i32.const 1)))
    (func (export "call another type") (call $begin) (call_indirect (type $nothing) (i32.const 0)))
    (func (export "call outside") (call $begin) (call_indirect (type $nothing) (i32.const 3)))

    (func $deeper (result i32) (i32.add (call $deeper) (i32.const 1)))
    (func (export "recurse") (call $begin) (drop (call $deeper)))
    (func (export "recurse through the host") (call $begin) (call $call_back))
    (func (export "recurse through the host at once") (call $begin) (call $call_back_at_once))
    (func (export "loop inside the host") (call $yield) (call $call_loop))

    ;; Grows the memory by $by pages until it cannot grow, and writes to its last word each time.
    (func $grow (param $by i32)
        (loop $again
            (i32.store
                (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 1))
            (br_if $again (i32.ne (memory.grow (local.get $by)) (i32.const -1)))))
    (func (export "grow to the limit and beyond") (call $begin)
        (call $grow (i32.const 1))
        (if (i32.ne (memory.size) (i32.const 16)) (then (unreachable)))
        (if (i32.ne (memory.grow (i32.const 0x10000)) (i32.const -1)) (then (unreachable)))
        (i32.store (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)))
    (func (export "grow without a limit") (call $begin)
        (call $grow (i32.const 256))
        (drop (i32.load offset=4 (i32.const -4))))

    (func (export "have the host fail") (call $begin) (call $fail))
    (func (export "have the host fail later") (call $begin) (call $fail_later))
    (func (export "have the host panic") (call $begin) (call $panic))
    (func (export "have the host panic later") (call $begin) (call $panic_later))
    (func (export "have the host unwind") (call $begin) (call $unwind))
    (func (export "exit") (call $begin) (call $exit (i32.const 7)) (call $yield)))"#;

/// `compute(n)` adds the squares up to n, and yields only at the end of a slice. `remember(n)` fills its memory and reads it back, and yields
/// and waits in between.
const BEHAVED_GUEST: &str = r#"(module $behaved
    (import "env" "wait" (func $wait))
    (import "env" "yield" (func $yield))
    (memory 1)
    (func (export "compute") (param $n i32) (result i32) (local $x i32)
        (loop $again
            (local.set $x
                (i32.add (local.get $x) (i32.mul (local.get $n) (local.get $n))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $x))
    (func (export "remember") (param $n i32) (result i32) (local $at i32) (local $sum i32)
        (loop $write
            (i32.store (local.get $at) (i32.mul (local.get $at) (local.get $n)))
            (if (i32.eqz (i32.rem_u (local.get $at) (i32.const 4096))) (then (call $yield)))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br_if $write (i32.lt_u (local.get $at) (i32.const 65536))))
        (call $wait)
        (drop (memory.grow (i32.const 1)))
        (loop $read
            (local.set $at (i32.sub (local.get $at) (i32.const 4)))
            (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
            (br_if $read (local.get $at)))
        (i32.add (local.get $sum) (memory.size))))"#;

/// Counts how many guards were made and dropped.
#[derive(Clone, Default)]
struct Tally {
    made: Counter,
    dropped: Counter,
}

impl Tally {
    fn one(&self) -> OnDrop {
        self.made.add();
        self.dropped.on_drop()
    }

    #[track_caller]
    fn assert_none_left(&self) {
        assert_eq!(self.dropped.get(), self.made.get());
    }
}

/// The host state of all guests here.
struct State {
    /// `wait` waits for this event.
    event: Event,
    /// A hostile guest sends a message here when it has begun.
    begun: Sender<()>,
    /// Counts the guards that async host functions hold.
    held: Tally,
    #[cfg(feature = "wasi")]
    wasi: wasm_jobs::wasi::WasiCtx,
    /// The guest, if it is a component.
    #[cfg(feature = "wasi")]
    #[allow(dead_code, reason = "guests that look at flags are no components")]
    component: Option<wasmtime::component::Instance>,
    _counted: OnDrop,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the host refuses")]
struct Refusal;

fn burn() {
    panic!("the host is on fire");
}

async fn burn_later(_held: OnDrop) {
    yield_now().await;
    burn();
}

async fn refuse_later(_held: OnDrop) -> wasmtime::Result<()> {
    yield_now().await;
    Err(Refusal.into())
}

async fn holding<F: std::future::Future>(_held: OnDrop, work: F) -> F::Output {
    work.await
}

fn linker(engine: &Engine) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(engine);
    add_yield(&mut linker, "env", "yield")?;
    linker.func_wrap_async("env", "wait", |host: Caller<'_, State>, ()| {
        Box::new(holding(host.data().held.one(), host.data().event.happens()))
    })?;
    linker.func_wrap("env", "begun", |host: Caller<'_, State>| {
        host.data().begun.send(()).expect("the test lives as long as its guests");
    })?;
    linker.func_wrap_async("env", "never", |host: Caller<'_, State>, ()| {
        let begun = host.data().begun.clone();
        let tell = move || begun.send(()).expect("the test lives as long as its guests");
        Box::new(holding(host.data().held.one(), notifying(tell, std::future::pending::<()>())))
    })?;
    linker.func_wrap("env", "fail", || -> wasmtime::Result<()> { Err(Refusal.into()) })?;
    linker.func_wrap_async("env", "fail_later", |host: Caller<'_, State>, ()| {
        Box::new(refuse_later(host.data().held.one()))
    })?;
    linker.func_wrap("env", "panic", burn)?;
    linker.func_wrap_async("env", "panic_later", |host: Caller<'_, State>, ()| {
        Box::new(burn_later(host.data().held.one()))
    })?;
    // This panic prints nothing.
    linker.func_wrap("env", "unwind", || -> wasmtime::Result<()> {
        std::panic::resume_unwind(Box::new("the host is on fire"))
    })?;
    linker.func_wrap_async("env", "call_back", |mut host: Caller<'_, State>, ()| {
        let held = host.data().held.one();
        Box::new(holding(held, async move {
            let again = export(&mut host, THROUGH_THE_HOST)?;
            again.call_async(&mut host, ()).await
        }))
    })?;
    linker.func_wrap_async("env", "call_loop", |mut host: Caller<'_, State>, ()| {
        let held = host.data().held.one();
        Box::new(holding(
            held,
            async move { export(&mut host, LOOP)?.call_async(&mut host, ()).await },
        ))
    })?;
    linker.func_wrap("env", "call_back_at_once", |mut host: Caller<'_, State>| {
        export(&mut host, "recurse through the host at once")?.call(&mut host, ())
    })?;
    #[cfg(feature = "wasi")]
    wasm_jobs::wasi::add_to_linker(&mut linker, |host| &mut host.wasi)?;
    // The guests import this function, and none of these tests calls it.
    #[cfg(not(feature = "wasi"))]
    linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |_: i32| ())?;
    Ok(linker)
}

fn export(host: &mut Caller<'_, State>, name: &str) -> wasmtime::Result<TypedFunc<(), ()>> {
    let export = host.get_export(name).and_then(wasmtime::Extern::into_func);
    export.expect("the guest has the export").typed(&host)
}

/// An engine with room for exactly `kind.room` guests, and what the tests make with it.
struct Arena {
    kind: Kind,
    linker: Linker<State>,
    hostile: Pre<State>,
    /// The hostile component. It is compiled when a test needs it.
    #[allow(dead_code, reason = "guests that look at flags are no components")]
    #[cfg(feature = "wasi")]
    hostile_component: OnceLock<wasmtime::component::InstancePre<State>>,
    /// The well-behaved guests. They are compiled when a test needs them.
    behaved: OnceLock<[Pre<State>; 3]>,
    states: Tally,
    held: Tally,
    begun: Sender<()>,
    has_begun: Receiver<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    room: usize,
    counts_fuel: bool,
    /// Whether the pool has additional stacks for calls inside the calls of the guests. The stacks may be used up before the pool has no more room
    /// for instances.
    has_more_stacks: bool,
}

/// Arenas that tests have given back. Reusing them saves compiling the guests again, which would take most of the time.
static ARENAS: Mutex<Vec<Arena>> = Mutex::new(Vec::new());

impl Arena {
    fn take(kind: Kind) -> Result<Self, Error> {
        let arena = {
            let mut arenas = ARENAS.lock().unwrap();
            arenas.iter().position(|arena| arena.kind == kind).map(|at| arenas.swap_remove(at))
        };
        match arena {
            Some(arena) => Ok(arena),
            None => Self::make(kind, &options_of_engines()),
        }
    }

    fn make(kind: Kind, options: &EngineOptions) -> Result<Self, Error> {
        let room = kind.room as u32;
        let options = options.clone().pooling(room).fuel(kind.counts_fuel);
        let engine = if kind.has_more_stacks {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_core_instances(room)
                .total_memories(room)
                .total_tables(room)
                .total_gc_heaps(room)
                .total_stacks(room + 20);
            let mut config = options.config();
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
            Engine::new(&config)?
        } else {
            wasm_jobs::engine(&options)?
        };
        let linker = linker(&engine)?;
        let (begun, has_begun) = channel();
        Ok(Self {
            kind,
            hostile: link(&linker, &compile(&engine, HOSTILE_GUEST)?)?,
            #[cfg(feature = "wasi")]
            hostile_component: OnceLock::new(),
            behaved: OnceLock::new(),
            linker,
            states: Tally::default(),
            held: Tally::default(),
            begun,
            has_begun,
        })
    }

    /// Asserts that all resources are back, so that the arena has room for exactly as many guests as before, and keeps it for the next test.
    fn give_back(self) -> Result<(), Error> {
        self.states.assert_none_left();
        self.held.assert_none_left();
        let guest = || {
            let state = self.state(&Event::default());
            Instance::with_options(&self.hostile, InstanceOptions::default(), state)
        };
        let guests = (0..self.kind.room).map(|_| guest()).collect::<Result<Vec<_>, _>>()?;
        for guest in &guests {
            assert_eq!(guest.call::<i32, i32>("double", 21)?.wait()?, 42);
        }
        let one_more = guest();
        assert!(matches!(one_more, Err(Error::TooManyInstances { .. })), "{one_more:?}");
        drop((guests, one_more));
        self.states.assert_none_left();
        self.forget_what_has_begun();
        ARENAS.lock().unwrap().push(self);
        Ok(())
    }

    fn forget_what_has_begun(&self) {
        while self.has_begun.try_recv().is_ok() {}
    }

    fn engine(&self) -> &Engine {
        self.linker.engine()
    }

    fn state(&self, event: &Event) -> impl Fn() -> State + Send + Sync + 'static + use<> {
        let (event, begun) = (event.clone(), self.begun.clone());
        let (held, states) = (self.held.clone(), self.states.clone());
        move || State {
            event: event.clone(),
            begun: begun.clone(),
            held: held.clone(),
            #[cfg(feature = "wasi")]
            wasi: wasm_jobs::wasi::WasiCtxBuilder::new()
                .build()
                .expect("the context has no directories"),
            #[cfg(feature = "wasi")]
            component: None,
            _counted: states.one(),
        }
    }
}

/// A hostile guest, whichever its form.
trait Guest {
    fn harm(&self, export: &'static str) -> Result<Future<()>, Error>;
    fn double(&self, number: i32) -> Result<Future<i32>, Error>;
    fn is_poisoned(&self) -> bool;
    fn reset(&self) -> Result<(), Error>;
}

impl Guest for Instance<State> {
    fn harm(&self, export: &'static str) -> Result<Future<()>, Error> {
        self.call(export, ())
    }

    fn double(&self, number: i32) -> Result<Future<i32>, Error> {
        self.call("double", number)
    }

    fn is_poisoned(&self) -> bool {
        self.is_poisoned()
    }

    fn reset(&self) -> Result<(), Error> {
        self.reset()
    }
}

/// Makes a hostile guest of one form.
type Make = fn(&Arena, InstanceOptions) -> Result<Box<dyn Guest>, Error>;

fn module(arena: &Arena, options: InstanceOptions) -> Result<Box<dyn Guest>, Error> {
    let state = arena.state(&Event::default());
    Ok(Box::new(Instance::with_options(&arena.hostile, options, state)?))
}

/// A well-behaved guest.
struct Neighbour {
    instance: Instance<State>,
    number: i32,
}

impl Neighbour {
    fn fifty(arena: &Arena, event: &Event) -> Result<Vec<Self>, Error> {
        let [primes, total, behaved] = arena.behaved.get_or_init(|| {
            [PRIMES, TOTAL, BEHAVED_GUEST].map(|text| {
                let module = compile(arena.engine(), text).expect("the text of a module");
                link(&arena.linker, &module).expect("the linker defines all imports")
            })
        });
        let guest = |number: i32| {
            let pre = match number % 4 {
                0 => primes,
                1 => total,
                _ => behaved,
            };
            let slice = match number % 8 {
                2 => Slice::Time(MS / 10),
                6 if arena.kind.counts_fuel => Slice::Fuel(50_000),
                6 => Slice::Time(MS / 5),
                _ => Slice::Unbounded,
            };
            let options = InstanceOptions::default().slice(slice);
            let instance = Instance::with_options(pre, options, arena.state(event))?;
            Ok(Self { instance, number })
        };
        (0..NEIGHBOURS as i32).map(guest).collect()
    }

    fn call(&self) -> Result<Future<i32>, Error> {
        match self.number % 4 {
            0 => self.instance.call("count_primes", (0, 500 + self.number)),
            1 => self.instance.call("add_when_it_happens", self.number),
            2 => self.instance.call("compute", 100_000 + self.number),
            _ => self.instance.call("remember", self.number),
        }
    }

    /// The result of the call with this number, counted from 1.
    fn expected(&self, call: i32) -> i32 {
        match self.number % 4 {
            0 => {
                let is_prime = |n: &i32| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0);
                (2..500 + self.number).filter(is_prime).count() as i32
            }
            1 => self.number * call,
            2 => {
                let n = 100_000 + i64::from(self.number);
                (n * (n + 1) * (2 * n + 1) / 6) as i32
            }
            _ => {
                const ADDRESSES: i64 = 4 * (16_383 * 16_384 / 2);
                ((ADDRESSES * i64::from(self.number)) as i32).wrapping_add(1 + call)
            }
        }
    }

    /// Makes a call without lasting effect, after which the instance has a stack.
    fn warm_up(&self) -> Result<(), Error> {
        match self.number % 4 {
            0 => drop(self.instance.call::<_, i32>("count_primes", (0, 0))?.wait()?),
            1 => self.instance.call("nothing", ())?.wait()?,
            _ => drop(self.instance.call::<_, i32>("compute", 1)?.wait()?),
        }
        Ok(())
    }
}

/// Submits the calls to a pool.
fn submit<T: Send + 'static>(
    pool: &impl JobPool,
    calls: impl IntoIterator<Item = Result<Future<T>, Error>>,
) -> Result<Vec<(Future<T>, JobHandle)>, Error> {
    let submit = |call: Result<Future<T>, Error>| {
        let mut future = call?;
        let handle = pool.submit(future.to_job()?);
        Ok((future, handle))
    };
    calls.into_iter().map(submit).collect()
}

/// The two threads of a pool. Each runs a job at the same time.
fn threads(pool: &impl JobPool) -> Result<HashSet<ThreadId>, Error> {
    let both = Arc::new(Barrier::new(2));
    let (sender, met) = channel();
    let meet = || {
        let (both, sender) = (both.clone(), sender.clone());
        Ok(Future::new(async move {
            both.wait();
            let _ = sender.send(());
            Ok(thread::current().id())
        }))
    };
    let calls = submit(pool, [meet(), meet()])?;
    assert!(receives(&met) && receives(&met), "the pool has two workers");
    let threads: HashSet<_> =
        calls.into_iter().map(|(mut future, _)| future.wait()).collect::<Result<_, _>>()?;
    assert_eq!(threads.len(), 2);
    Ok(threads)
}

/// Calls `something` while fifty calls are in progress on the pool. Half of these calls wait until it returns.
fn beside_fifty_calls(
    pool: &impl JobPool,
    arena: &Arena,
    something: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let threads_before = threads(pool)?;
    let event = Event::default();
    let guests = Neighbour::fifty(arena, &event)?;
    if arena.kind.has_more_stacks {
        guests.iter().try_for_each(Neighbour::warm_up)?;
    }
    let calls = submit(pool, guests.iter().map(Neighbour::call))?;
    something()?;
    event.set();
    assert_right(&guests, calls, 1)?;
    assert_right(&guests, submit(pool, guests.iter().map(Neighbour::call))?, 2)?;
    assert_eq!(threads(pool)?, threads_before);
    Ok(())
}

fn assert_right(
    guests: &[Neighbour],
    calls: Vec<(Future<i32>, JobHandle)>,
    call: i32,
) -> Result<(), Error> {
    for (guest, (mut future, handle)) in zip(guests, calls) {
        handle.wait();
        assert_eq!(future.try_get_result()?, Some(guest.expected(call)), "{}", guest.number);
        assert!(!guest.instance.is_poisoned());
    }
    Ok(())
}

type IsRight = fn(&Error) -> bool;

/// The expected end of a hostile call.
#[derive(Clone, Copy, Debug)]
enum End {
    Failure(IsRight),
    RunningTimeout,
    ElapsedTimeout,
    FuelLimit,
    Cancel,
    CancelByHandle,
    Drop,
}

impl End {
    fn limits(self) -> InstanceOptions {
        let options = InstanceOptions::default();
        match self {
            Self::RunningTimeout => options.running_timeout(2 * MS),
            Self::ElapsedTimeout => options.elapsed_timeout(5 * MS),
            Self::FuelLimit => options.fuel(2_500),
            Self::Failure(_) | Self::Cancel | Self::CancelByHandle | Self::Drop => options,
        }
    }

    fn is_right(self, error: &Error) -> bool {
        match self {
            Self::Failure(is_right) => is_right(error),
            Self::RunningTimeout => {
                matches!(error, Error::TimedOut(why) if why.limit == Timeout::Running)
            }
            Self::ElapsedTimeout => {
                matches!(error, Error::TimedOut(why) if why.limit == Timeout::Elapsed)
            }
            Self::FuelLimit => is_trap(error, Trap::OutOfFuel),
            Self::Cancel | Self::CancelByHandle | Self::Drop => matches!(error, Error::Cancelled),
        }
    }
}

/// An export of the hostile guest, its limits, and its expected end.
#[derive(Clone, Copy, Debug)]
struct Case {
    export: &'static str,
    slice: Slice,
    memory: Option<usize>,
    nesting: Option<u32>,
    end: End,
    make: Make,
}

impl Case {
    const fn new(export: &'static str, end: End) -> Self {
        Self { export, slice: Slice::Unbounded, memory: None, nesting: None, end, make: module }
    }

    fn options(&self) -> InstanceOptions {
        let mut options = self.end.limits().slice(self.slice);
        if let Some(bytes) = self.memory {
            options = options.memory(bytes);
        }
        match self.nesting {
            Some(calls) => options.nesting(calls),
            None => options,
        }
    }

    fn needs_fuel(&self) -> bool {
        matches!((self.slice, self.end), (Slice::Fuel(_), _) | (_, End::FuelLimit))
    }

    /// Does the host make another call inside this one?
    fn nests(&self) -> bool {
        [THROUGH_THE_HOST, INNER_LOOP].contains(&self.export)
    }

    /// The kind of arena that these cases need.
    fn kind(room: usize, cases: &[Self]) -> Kind {
        Kind {
            room,
            counts_fuel: cases.iter().any(Self::needs_fuel),
            has_more_stacks: cases.iter().any(Self::nests),
        }
    }

    fn guest(&self, arena: &Arena) -> Result<Box<dyn Guest>, Error> {
        retry_timeouts(|| (self.make)(arena, self.options()))
    }

    fn is_given_up(&self) -> bool {
        matches!(self.end, End::Cancel | End::CancelByHandle | End::Drop)
    }

    /// Calls the export of each guest on a pool, and asserts how the calls end and that the guests recover.
    fn run_on(
        &self,
        pool: &impl JobPool,
        arena: &Arena,
        guests: &[Box<dyn Guest>],
    ) -> Result<(), Error> {
        arena.forget_what_has_begun();
        let calls = guests.iter().map(|guest| guest.harm(self.export));
        let calls = submit(pool, calls)?;
        if self.is_given_up() {
            for _ in guests {
                assert!(receives(&arena.has_begun), "{self:?}");
            }
        }
        for (mut future, handle) in calls {
            match self.end {
                End::Cancel => future.cancel(),
                End::CancelByHandle => handle.cancel(),
                End::Drop => {
                    drop(future);
                    handle.wait();
                    continue;
                }
                _ => {}
            }
            self.assert_end(future.wait());
        }
        for guest in guests {
            self.assert_recovers(&**guest, |future| {
                pool.submit(future.to_job()?).wait();
                Ok(future.try_get_result()?.expect("the job of the call is over"))
            })?;
        }
        Ok(())
    }

    /// Steps the call by hand, and then cancels or drops it.
    fn step_by_hand(&self, arena: &Arena, guest: &dyn Guest) -> Result<(), Error> {
        arena.forget_what_has_begun();
        let mut future = guest.harm(self.export)?;
        while arena.has_begun.try_recv().is_err() {
            assert_ne!(future.resume()?, Step::Done, "{self:?}");
        }
        assert_ne!(future.resume()?, Step::Done, "{self:?}");
        if let End::Cancel = self.end {
            future.cancel();
            self.assert_end(future.wait());
        }
        drop(future);
        self.assert_recovers(guest, Future::wait)
    }

    #[track_caller]
    fn assert_end(&self, end: Result<(), Error>) {
        let error = end.expect_err("a hostile call never succeeds");
        assert!(self.end.is_right(&error), "{self:?}: {error:?}");
    }

    /// Asserts that the instance is free and poisoned, and that it works again after a reset.
    fn assert_recovers(
        &self,
        guest: &dyn Guest,
        mut finish: impl FnMut(&mut Future<i32>) -> Result<i32, Error>,
    ) -> Result<(), Error> {
        // If the time was over before the call began, the instance is not poisoned.
        if guest.is_poisoned() || !matches!(self.end, End::ElapsedTimeout) {
            let refused = guest.harm(self.export);
            assert!(matches!(refused, Err(Error::Poisoned)), "{self:?}: {refused:?}");
        }
        let doubled = retry_timeouts(|| {
            guest.reset()?;
            finish(&mut guest.double(21)?)
        })?;
        assert_eq!(doubled, 42, "{self:?}");
        assert!(!guest.is_poisoned(), "{self:?}");
        Ok(())
    }
}

fn alone(cases: &[Case]) -> Result<(), Error> {
    let arena = Arena::take(Case::kind(1, cases))?;
    for case in cases {
        let guest = case.guest(&arena)?;
        if case.is_given_up() {
            let guests = std::slice::from_ref(&guest);
            case.run_on(&a_thread_each, &arena, guests)?;
            case.run_on(&workers(1), &arena, guests)?;
            #[cfg(feature = "rayon")]
            case.run_on(&crate::rayon_pools::pool(1), &arena, guests)?;
            let comes_back =
                case.slice != Slice::Unbounded || [YIELD, WAIT, POLL].contains(&case.export);
            if comes_back && !matches!(case.end, End::CancelByHandle) {
                case.step_by_hand(&arena, &*guest)?;
            }
        } else {
            for &way in Way::ALL {
                let mut future = guest.harm(case.export)?;
                case.assert_end(way.finish(&mut future));
                assert!(future.is_disposed());
                case.assert_recovers(&*guest, |future| way.finish(future))?;
            }
        }
    }
    arena.give_back()
}

fn beside_fifty(pool: &impl JobPool, cases: &[Case]) -> Result<(), Error> {
    let arena = Arena::take(Case::kind(NEIGHBOURS + HOSTILE_CALLS, cases))?;
    for case in cases {
        let guests = [case.guest(&arena)?, case.guest(&arena)?];
        const { assert!(HOSTILE_CALLS == 2) };
        beside_fifty_calls(pool, &arena, || {
            case.run_on(pool, &arena, &guests)?;
            case.run_on(pool, &arena, &guests)
        })?;
    }
    arena.give_back()
}

fn is_trap(error: &Error, code: Trap) -> bool {
    matches!(error, Error::Trap(trap) if trap.code() == code)
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Host(error) if error.downcast_ref() == Some(&Refusal))
}

fn is_fire(error: &Error) -> bool {
    matches!(error, Error::Panic(panic) if panic.message().as_deref() == Some("the host is on fire"))
}

/// A call that fails by itself.
const fn fails(export: &'static str, is_right: IsRight) -> Case {
    Case::new(export, End::Failure(is_right))
}

/// A call that never ends by itself, with slices of each kind.
const fn never_ends(export: &'static str, end: End) -> [Case; 3] {
    let case = Case::new(export, end);
    [case, Case { slice: Slice::Time(MS), ..case }, Case { slice: Slice::Fuel(1_000), ..case }]
}

const LOOP: &str = "loop";
const YIELD: &str = "yield for ever";
const WAIT: &str = "wait for ever";
/// An export of the component alone.
const POLL: &str = "poll for ever";
const INNER_LOOP: &str = "loop inside the host";
const THROUGH_THE_HOST: &str = "recurse through the host";

const UNREACHABLE: Case =
    fails("be unreachable", |error| is_trap(error, Trap::UnreachableCodeReached));
const DIVISION: Case = fails("divide by zero", |error| is_trap(error, Trap::IntegerDivisionByZero));
const READ: Case = fails("read outside", |error| is_trap(error, Trap::MemoryOutOfBounds));
const WRITE: Case = fails("write outside", |error| is_trap(error, Trap::MemoryOutOfBounds));
const CALL_NOTHING: Case = fails("call nothing", |error| is_trap(error, Trap::IndirectCallToNull));
const CALL_ANOTHER: Case = fails("call another type", |error| is_trap(error, Trap::BadSignature));
const CALL_OUTSIDE: Case = fails("call outside", |error| is_trap(error, Trap::TableOutOfBounds));
const RECURSION: Case = fails("recurse", |error| is_trap(error, Trap::StackOverflow));
const AT_ONCE: Case =
    fails("recurse through the host at once", |error| matches!(error, Error::Host(_)));
const GROWTH: Case = Case {
    memory: Some(16 << 16),
    ..fails("grow to the limit and beyond", |error| is_trap(error, Trap::MemoryOutOfBounds))
};
const UNLIMITED_GROWTH: Case =
    fails("grow without a limit", |error| is_trap(error, Trap::MemoryOutOfBounds));
const FAILURE: Case = fails("have the host fail", is_refusal);
const LATE_FAILURE: Case = fails("have the host fail later", is_refusal);
const PANIC: Case = fails("have the host panic", is_fire);
const LATE_PANIC: Case = fails("have the host panic later", is_fire);
const UNWINDING: Case = fails("have the host unwind", is_fire);

#[cfg(feature = "wasi")]
const EXIT: Case = fails("exit", |error| matches!(error, Error::Exit(7)));
const NESTING: Case = Case {
    nesting: Some(8),
    ..fails(THROUGH_THE_HOST, |error| is_trap(error, Trap::StackOverflow))
};
const UNLIMITED_NESTING: Case =
    fails(THROUGH_THE_HOST, |error| matches!(error, Error::TooManyInstances { .. }));

macro_rules! hostile {
    ($($name:ident: $cases:expr;)*) => { $(
        mod $name {
            use super::*;

            #[test]
            fn alone() -> Result<(), Error> {
                super::alone(&$cases)
            }

            #[test]
            fn beside_fifty() -> Result<(), Error> {
                super::beside_fifty(&workers(2), &$cases)
            }

            #[cfg(feature = "rayon")]
            #[test]
            fn beside_fifty_on_rayon() -> Result<(), Error> {
                super::beside_fifty(&crate::rayon_pools::pool(2), &$cases)
            }
        }
    )* };
}

hostile! {
    an_endless_loop_until_its_running_timeout: never_ends(LOOP, End::RunningTimeout);
    an_endless_loop_until_its_elapsed_timeout: never_ends(LOOP, End::ElapsedTimeout);
    an_endless_loop_until_it_is_out_of_fuel: never_ends(LOOP, End::FuelLimit);
    an_endless_loop_until_it_is_cancelled: never_ends(LOOP, End::Cancel);
    an_endless_loop_until_its_handle_cancels_it: never_ends(LOOP, End::CancelByHandle);
    an_endless_loop_until_it_is_dropped: never_ends(LOOP, End::Drop);

    yields_for_ever_until_its_running_timeout: never_ends(YIELD, End::RunningTimeout);
    yields_for_ever_until_its_elapsed_timeout: never_ends(YIELD, End::ElapsedTimeout);
    yields_for_ever_until_it_is_out_of_fuel: never_ends(YIELD, End::FuelLimit);
    yields_for_ever_until_it_is_cancelled: never_ends(YIELD, End::Cancel);
    yields_for_ever_until_its_handle_cancels_it: never_ends(YIELD, End::CancelByHandle);
    yields_for_ever_until_it_is_dropped: never_ends(YIELD, End::Drop);

    a_host_function_never_completes_until_the_elapsed_timeout: never_ends(WAIT, End::ElapsedTimeout);
    a_host_function_never_completes_until_the_call_is_cancelled: never_ends(WAIT, End::Cancel);
    a_host_function_never_completes_until_its_handle_cancels_it: never_ends(WAIT, End::CancelByHandle);
    a_host_function_never_completes_until_the_call_is_dropped: never_ends(WAIT, End::Drop);

    endless_recursion: [RECURSION];
    memory_grows_to_its_limit_and_beyond: [GROWTH, UNLIMITED_GROWTH];
    unreachable_code_is_reached: [UNREACHABLE];
    division_by_zero: [DIVISION];
    memory_out_of_bounds: [READ, WRITE];
    bad_indirect_calls: [CALL_NOTHING, CALL_ANOTHER, CALL_OUTSIDE];
    a_host_function_fails: [FAILURE, LATE_FAILURE];
    a_host_function_panics: [PANIC, LATE_PANIC, UNWINDING];

    an_endless_loop_inside_the_host_until_its_running_timeout: never_ends(INNER_LOOP, End::RunningTimeout);
    an_endless_loop_inside_the_host_until_its_elapsed_timeout: never_ends(INNER_LOOP, End::ElapsedTimeout);
    an_endless_loop_inside_the_host_until_it_is_out_of_fuel: never_ends(INNER_LOOP, End::FuelLimit);
    an_endless_loop_inside_the_host_until_it_is_cancelled: never_ends(INNER_LOOP, End::Cancel);
    an_endless_loop_inside_the_host_until_its_handle_cancels_it: never_ends(INNER_LOOP, End::CancelByHandle);
    an_endless_loop_inside_the_host_until_it_is_dropped: never_ends(INNER_LOOP, End::Drop);
    recursion_between_guest_and_host: [NESTING];
    recursion_between_guest_and_host_without_a_limit: [UNLIMITED_NESTING];
    recursion_between_guest_and_host_that_does_not_await: [AT_ONCE];
}

#[cfg(feature = "wasi")]
hostile! {
    an_exit_half_way: [EXIT];
}

// Behind the macro, which it uses.
if_components! {
    #[cfg(feature = "wasi")]
    #[path = "hostile/components.rs"]
    mod components;
}

/// Makes a call that instantiates a guest of this text.
type Instantiate = fn(&Arena, &'static str, InstanceOptions) -> Result<Future<()>, Error>;

fn instantiate_module(
    arena: &Arena,
    text: &'static str,
    options: InstanceOptions,
) -> Result<Future<()>, Error> {
    let (linker, module) = (arena.linker.clone(), compile(arena.engine(), text)?);
    let state = arena.state(&Event::default());
    Ok(Future::new(async move {
        let pre = link(&linker, &module)?;
        Instance::with_options(&pre, options, state).map(drop)
    }))
}

/// A guest that does harm while it is instantiated.
#[derive(Clone, Copy, Debug)]
struct Start {
    text: &'static str,
    end: End,
    instantiate: Instantiate,
}

impl Start {
    const fn new(text: &'static str, end: End) -> Self {
        Self { text, end, instantiate: instantiate_module }
    }

    fn instantiation(self, arena: &Arena) -> Result<Future<()>, Error> {
        (self.instantiate)(arena, self.text, self.end.limits())
    }

    #[track_caller]
    fn assert_end(self, end: Result<(), Error>) {
        let error = end.expect_err("the guest cannot be instantiated");
        assert!(self.end.is_right(&error), "{self:?}: {error:?}");
    }
}

fn instantiate_alone(starts: &[Start]) -> Result<(), Error> {
    let arena = Arena::take(Kind { room: 1, counts_fuel: true, has_more_stacks: false })?;
    for start in starts {
        for &way in Way::ALL {
            start.assert_end(way.finish(&mut start.instantiation(&arena)?));
        }
    }
    arena.give_back()
}

fn instantiate_beside_fifty(pool: &impl JobPool, starts: &[Start]) -> Result<(), Error> {
    let arena = Arena::take(Kind {
        room: NEIGHBOURS + HOSTILE_CALLS,
        counts_fuel: true,
        has_more_stacks: false,
    })?;
    for start in starts {
        beside_fifty_calls(pool, &arena, || {
            for (mut future, _) in
                submit(pool, [start.instantiation(&arena), start.instantiation(&arena)])?
            {
                start.assert_end(future.wait());
            }
            Ok(())
        })?;
    }
    arena.give_back()
}

const ENDLESS_START: &str = "(module (func $start (loop $again (br $again))) (start $start))";
const WAITING_START: &str = r#"(module (import "env" "never" (func $never)) (memory 1) (func $start (call $never)) (start $start))"#;

const STARTS: [Start; 4] = [
    Start::new(ENDLESS_START, End::RunningTimeout),
    Start::new(ENDLESS_START, End::ElapsedTimeout),
    Start::new(ENDLESS_START, End::FuelLimit),
    Start::new(WAITING_START, End::ElapsedTimeout),
];

const IMPORTS: [Start; 2] = [
    Start::new(
        r#"(module (import "env" "format_disk" (func)))"#,
        End::Failure(|error| {
            let Error::MissingImport { module, name } = error else { return false };
            (&**module, &**name) == ("env", "format_disk")
        }),
    ),
    Start::new(
        r#"(module (import "env" "yield" (func (param i64) (result i64))))"#,
        End::Failure(|error| matches!(error, Error::Wasmtime(_))),
    ),
];

#[test]
fn an_endless_start_function_alone() -> Result<(), Error> {
    instantiate_alone(&STARTS)
}

#[test]
fn an_endless_start_function_beside_fifty() -> Result<(), Error> {
    instantiate_beside_fifty(&workers(2), &STARTS)
}

#[cfg(feature = "rayon")]
#[test]
fn an_endless_start_function_beside_fifty_on_rayon() -> Result<(), Error> {
    instantiate_beside_fifty(&crate::rayon_pools::pool(2), &STARTS)
}

#[test]
fn imports_that_a_module_may_not_have_alone() -> Result<(), Error> {
    instantiate_alone(&IMPORTS)
}

#[test]
fn imports_that_a_module_may_not_have_beside_fifty() -> Result<(), Error> {
    instantiate_beside_fifty(&workers(2), &IMPORTS)
}

#[cfg(feature = "rayon")]
#[test]
fn imports_that_a_module_may_not_have_beside_fifty_on_rayon() -> Result<(), Error> {
    instantiate_beside_fifty(&crate::rayon_pools::pool(2), &IMPORTS)
}

fn each_worker_has_an_endless_loop(pool: &impl JobPool, loops: &[Case]) -> Result<(), Error> {
    for case in loops.iter().filter(|case| case.slice != Slice::Unbounded) {
        let arena = Arena::take(Case::kind(NEIGHBOURS + HOSTILE_CALLS, &[*case]))?;
        let guests = [case.guest(&arena)?, case.guest(&arena)?];
        let calls = submit(pool, guests.iter().map(|guest| guest.harm(case.export)))?;
        assert!(receives(&arena.has_begun) && receives(&arena.has_begun));
        beside_fifty_calls(pool, &arena, || Ok(()))?;
        for (mut future, _) in calls {
            assert!(!future.has_result(), "the endless loop goes on");
            future.cancel();
            case.assert_end(future.wait());
        }
        drop(guests);
        arena.give_back()?;
    }
    Ok(())
}

#[test]
fn two_endless_loops_leave_fifty_calls_their_share() -> Result<(), Error> {
    each_worker_has_an_endless_loop(&workers(2), &never_ends(LOOP, End::Cancel))
}

#[cfg(feature = "rayon")]
#[test]
fn two_endless_loops_leave_fifty_calls_their_share_of_rayon() -> Result<(), Error> {
    each_worker_has_an_endless_loop(&crate::rayon_pools::pool(2), &never_ends(LOOP, End::Cancel))
}

/// Calls that fail at once.
const FAILURES: &[Case] = &[
    UNREACHABLE,
    DIVISION,
    READ,
    WRITE,
    CALL_NOTHING,
    CALL_ANOTHER,
    CALL_OUTSIDE,
    RECURSION,
    FAILURE,
    LATE_FAILURE,
    UNWINDING,
    AT_ONCE,
    #[cfg(feature = "wasi")]
    EXIT,
];

/// Makes ten failing calls at a time, a thousand times.
fn calls_fail(pool: &impl JobPool) -> Result<(), Error> {
    const AT_A_TIME: usize = 10;
    let kind = Kind { room: NEIGHBOURS + AT_A_TIME, counts_fuel: false, has_more_stacks: false };
    let arena = Arena::make(kind, &options_of_engines().backtraces(false))?;
    let guest = |_| {
        let state = arena.state(&Event::default());
        Instance::with_options(&arena.hostile, InstanceOptions::default(), state)
    };
    let guests = (0..AT_A_TIME).map(guest).collect::<Result<Vec<_>, _>>()?;
    beside_fifty_calls(pool, &arena, || {
        for round in 0..1_000 {
            let cases = FAILURES.iter().cycle().skip(round % FAILURES.len());
            let calls = zip(&guests, cases.clone());
            let calls = submit(pool, calls.map(|(guest, case)| guest.call(case.export, ())))?;
            for ((guest, case), (mut future, handle)) in zip(zip(&guests, cases), calls) {
                handle.wait();
                case.assert_end(
                    future
                        .try_get_result()
                        .map(|end: Option<()>| end.expect("the job of the call is over")),
                );
                assert!(guest.is_poisoned());
                if round % 2 == 0 { guest.clear_poison()? } else { guest.reset()? }
            }
        }
        Ok(())
    })?;
    drop(guests);
    arena.give_back()
}

#[test]
fn ten_thousand_calls_fail() -> Result<(), Error> {
    calls_fail(&workers(2))
}

#[cfg(feature = "rayon")]
#[test]
fn ten_thousand_calls_fail_on_rayon() -> Result<(), Error> {
    calls_fail(&crate::rayon_pools::pool(2))
}
