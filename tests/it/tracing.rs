//! What a subscriber is told. There is one for all tests of the process; each test asks for what was told about the call of
//! some name.

use crate::support::{Event, Flag, Queue, Way, a_thread_each, at_once, workers};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, LazyLock, Mutex};
use std::thread;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use wasm_jobs::{Error, Future, JobPool, Step, yield_now};

/// A span that was closed, or an event.
#[derive(Clone, Debug, Default)]
struct Told {
    what: &'static str,
    fields: BTreeMap<&'static str, String>,
    /// How often the span was entered and left.
    entered: u32,
    left: u32,
    is_closed: bool,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let before = self.fields.insert(field.name(), format!("{value:?}"));
        assert_eq!(before, None, "a field is recorded once");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[derive(Default)]
struct Listener {
    told: Mutex<Vec<Told>>,
    more: Condvar,
}

static LISTENER: LazyLock<&'static Listener> = LazyLock::new(|| {
    let listener: &Listener = Box::leak(Box::default());
    tracing::subscriber::set_global_default(listener).expect("this is the only one");
    listener
});

thread_local! {
    static INSIDE: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

impl Listener {
    fn span(&self, id: &Id, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap()[usize::try_from(id.into_u64()).unwrap() - 1]);
    }

    fn tell(&self, told: Told) -> Id {
        let mut all = self.told.lock().unwrap();
        all.push(told);
        self.more.notify_all();
        Id::from_u64(all.len() as u64)
    }

    /// What was told about the calls of this name, with the end of each of `calls` of them.
    fn about(&self, name: &str, calls: usize) -> Vec<Told> {
        let mut all = self.told.lock().unwrap();
        loop {
            let is_it = |told: &&Told| told.fields.get("name").is_some_and(|its| its == name);
            let about: Vec<_> = all.iter().filter(is_it).cloned().collect();
            if about.iter().filter(|told| told.is_end()).count() >= calls {
                return about;
            }
            all = self.more.wait(all).unwrap();
        }
    }
}

impl Subscriber for &'static Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "wasm_jobs"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut told = Told { what: attributes.metadata().name(), ..Told::default() };
        attributes.record(&mut told);
        self.tell(told)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.span(span, |told| values.record(told));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut told = Told { what: event.metadata().name(), ..Told::default() };
        event.record(&mut told);
        self.tell(told);
    }

    fn enter(&self, span: &Id) {
        INSIDE.with_borrow_mut(|inside| inside.push(span.clone()));
        self.span(span, |told| told.entered += 1);
    }

    fn exit(&self, span: &Id) {
        assert_eq!(INSIDE.with_borrow_mut(Vec::pop).as_ref(), Some(span), "the innermost");
        self.span(span, |told| told.left += 1);
    }

    fn try_close(&self, span: Id) -> bool {
        self.span(&span, |told| told.is_closed = true);
        true
    }
}

impl Told {
    fn is_end(&self) -> bool {
        matches!(self.what, "complete" | "fail" | "cancel")
    }
}

/// A name of its own for each call.
fn a_name() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LazyLock::force(&LISTENER);
    format!("call {}", LAST.fetch_add(1, SeqCst))
}

/// What was told about a call that has ended, in order.
fn about(name: &str) -> Vec<&'static str> {
    LISTENER.about(name, 1).into_iter().map(|told| told.what).collect()
}

/// The end that was told, which must be one.
fn end_of(name: &str) -> Told {
    let about = LISTENER.about(name, 1);
    let ends: Vec<_> = about.iter().filter(|told| told.is_end()).collect();
    let [end] = ends[..] else { panic!("a call ends once, and not {ends:?}") };
    let number = &end.fields["call"];
    assert!(about.iter().all(|told| told.fields["call"] == *number), "the same call: {about:?}");
    end.clone()
}

#[test]
fn a_step_is_a_span_and_the_end_an_event() -> Result<(), Error> {
    let name = a_name();
    let work = async {
        yield_now().await;
        yield_now().await;
        Ok(())
    };
    let mut future = Future::new(work).named(name.clone());
    for _ in 0..2 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(about(&name), ["step", "step", "step", "complete"]);
    for step in &LISTENER.about(&name, 1)[..3] {
        assert_eq!((step.entered, step.left, step.is_closed), (1, 1, true));
        assert!(step.fields["time_us"].parse::<f64>().is_ok_and(|time| time > 0.0));
        assert!(!step.fields.contains_key("fuel") && !step.fields.contains_key("instance"));
    }
    // Neither asking for a result nor dropping the call is told.
    assert_eq!(future.try_get_result()?, Some(()));
    drop(future);
    assert_eq!(about(&name).len(), 4);
    Ok(())
}

#[test]
fn resuming_a_call_that_waits_is_no_step() -> Result<(), Error> {
    let (name, event) = (a_name(), Event::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    event.set();
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(about(&name), ["step", "step", "complete"]);
    Ok(())
}

#[test]
fn a_call_ends_once_whichever_way() {
    for &way in Way::ALL {
        let name = a_name();
        let work = async {
            yield_now().await;
            Ok(())
        };
        let mut future = Future::new(work).named(name.clone());
        way.finish(&mut future).expect("it succeeds");
        drop(future);
        assert_eq!(end_of(&name).what, "complete", "{way:?}");
        let steps = about(&name).into_iter().filter(|&what| what == "step").count();
        assert_eq!(steps, 2, "{way:?}");
    }
}

#[test]
fn a_failure_is_told_with_its_error() {
    for &way in Way::ALL {
        let name = a_name();
        let work = async { Err::<(), _>(Error::Other("no way".into())) };
        way.finish(&mut Future::new(work).named(name.clone())).expect_err("it fails");
        let end = end_of(&name);
        assert_eq!((end.what, &*end.fields["error"]), ("fail", "no way"), "{way:?}");

        let name = a_name();
        let work = async { panic!("on purpose") };
        way.finish::<()>(&mut Future::new(work).named(name.clone())).expect_err("it panics");
        let end = end_of(&name);
        assert_eq!(end.what, "fail", "{way:?}");
        assert!(end.fields["error"].ends_with("on purpose"), "{end:?}");
    }
}

#[test]
fn a_call_that_is_given_up_is_told_as_cancelled() -> Result<(), Error> {
    let call = || {
        let name = a_name();
        (Future::new(Event::default().awaited()).named(name.clone()), name)
    };

    let (mut future, name) = call();
    future.cancel();
    drop(future);
    assert_eq!(end_of(&name).what, "cancel");

    let (mut future, name) = call();
    assert_eq!(future.resume()?, Step::Waiting);
    drop(future);
    assert_eq!(about(&name), ["step", "cancel"]);

    let (mut future, name) = call();
    let runner = future.to_job()?;
    drop(runner);
    drop(future);
    assert_eq!(end_of(&name).what, "cancel");

    let (mut future, name) = call();
    let queue = Queue::default();
    let handle = queue.submit(future.to_job()?);
    handle.cancel();
    drop(future);
    queue.run();
    assert_eq!(about(&name), ["submit", "cancel"]);

    // During its step.
    let (name, begun) = (a_name(), Flag::default());
    let (may_end, wait) = std::sync::mpsc::channel::<()>();
    let mut future = Future::new({
        let begun = begun.clone();
        async move {
            begun.set();
            Ok(wait.recv().is_ok())
        }
    })
    .named(name.clone());
    let handle = a_thread_each.submit(future.to_job()?);
    while !begun.is_set() {
        thread::yield_now();
    }
    future.cancel();
    may_end.send(()).expect("it waits");
    handle.wait();
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    assert_eq!(about(&name), ["submit", "step", "cancel"]);
    Ok(())
}

#[test]
fn a_job_is_told_from_its_submission_to_its_end() -> Result<(), Error> {
    let (name, event, queue) = (a_name(), Event::default(), Queue::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    let handle = queue.submit(future.to_job()?);
    queue.run();
    event.set();
    queue.run();
    assert!(handle.is_complete());
    assert_eq!(about(&name), ["submit", "step", "wake", "step", "complete"]);
    Ok(())
}

#[test]
fn a_turn_on_another_thread_is_told_as_stolen() -> Result<(), Error> {
    let (name, event, queue) = (a_name(), Event::default(), Queue::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    let _handle = queue.submit(future.to_job()?);
    queue.run();
    event.wake_for_nothing();
    queue.run();
    event.set();
    thread::scope(|scope| drop(scope.spawn(|| queue.run())));
    let told = ["submit", "step", "wake", "step", "wake", "steal", "step", "complete"];
    assert_eq!(about(&name), told);
    Ok(())
}

#[test]
fn an_owner_that_sleeps_is_told_to_be_woken() {
    let (name, event) = (a_name(), Event::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    let wakes = std::sync::Arc::default();
    assert!(crate::support::poll_once(&mut future, &wakes).is_pending());
    event.set();
    assert!(crate::support::poll_once(&mut future, &wakes).is_ready());
    assert_eq!(about(&name), ["step", "wake", "step", "complete"]);
}

#[test]
fn a_closure_is_told_by_its_type() {
    LazyLock::force(&LISTENER);
    at_once.submit_fn(|| ()).wait();
    let failed = at_once.submit_fn(|| panic!("on purpose"));
    Queue::default().submit_fn(|| ()).cancel();
    drop(Queue::default().submit_fn(|| ()));
    at_once.submit_after_ok(|| (), &[failed]).wait();

    let mut of_each = BTreeMap::<u64, Vec<_>>::new();
    for told in LISTENER.told.lock().unwrap().iter() {
        let name = told.fields.get("name").map_or("", |name| name);
        if name.contains("a_closure_is_told_by_its_type") {
            let number = told.fields["call"].parse().expect("a number");
            of_each.entry(number).or_default().push(told.what);
        }
    }
    let of_each: Vec<_> = of_each.into_values().collect();
    let expected: [&[_]; 5] = [
        &["submit", "step", "complete"],
        &["submit", "step", "fail"],
        &["submit", "cancel"],
        &["submit", "cancel"],
        &["submit", "fail"],
    ];
    assert_eq!(of_each, expected);
}

#[test]
fn many_jobs_on_workers_are_each_told_once() -> Result<(), Error> {
    const CALLS: usize = 200;
    let (name, pool) = (a_name(), workers(3));
    let call = |_| {
        let work = async {
            for _ in 0..3 {
                yield_now().await;
            }
            Ok(())
        };
        Future::new(work).named(name.clone())
    };
    let mut calls: Vec<_> = (0..CALLS).map(call).collect();
    let runners = calls.iter_mut().map(Future::to_job).collect::<Result<Vec<_>, _>>()?;
    pool.submit_all(runners).wait();

    let mut of_each = HashMap::<_, Vec<_>>::new();
    for told in LISTENER.about(&name, CALLS) {
        of_each.entry(told.fields["call"].clone()).or_default().push(told.what);
    }
    assert_eq!(of_each.len(), CALLS);
    for mut told in of_each.into_values() {
        told.retain(|&what| what != "steal");
        assert_eq!(told, ["submit", "step", "step", "step", "step", "complete"]);
    }
    Ok(())
}

#[test]
fn the_first_name_stays() {
    let (first, second) = (a_name(), a_name());
    let call = Future::new(async { Ok(()) }).named(first.clone()).named(second);
    drop(call);
    assert_eq!(about(&first), ["cancel"]);
}

#[cfg(feature = "wasm")]
mod guest {
    use super::{LISTENER, about, end_of};
    use crate::guest::instance;
    use std::sync::LazyLock;
    use wasm_jobs::wasmtime::{Linker, Module};
    use wasm_jobs::{EngineOptions, Error, Instance, Step, add_yield, engine};

    #[test]
    fn a_call_has_the_name_of_its_export_and_the_number_of_its_instance() -> Result<(), Error> {
        LazyLock::force(&LISTENER);
        let guest = r#"(module
            (import "env" "yield" (func $yield))
            (func (export "is traced") (call $yield))
            (func (export "is traced and traps") unreachable))"#;
        let (one, other) = (instance(guest)?, instance(guest)?);
        for instance in [&one, &one, &other] {
            instance.call::<(), ()>("is traced", ())?.wait()?;
        }
        let numbers: Vec<_> = LISTENER
            .about("is traced", 3)
            .into_iter()
            .filter(|told| told.what == "complete")
            .map(|told| told.fields["instance"].clone())
            .collect();
        assert!(numbers[0] == numbers[1] && numbers[1] != numbers[2], "{numbers:?}");

        let mut future = one.call::<(), ()>("is traced", ())?.named("by its owner");
        assert_eq!(future.resume()?, Step::Yielded);
        drop(future);
        assert_eq!(about("by its owner"), ["step", "cancel"]);

        other.call::<(), ()>("is traced and traps", ())?.wait().expect_err("it traps");
        let end = end_of("is traced and traps");
        assert_eq!(end.what, "fail");
        assert!(end.fields["error"].contains("unreachable"), "{end:?}");
        assert!(!end.fields.contains_key("fuel"));
        Ok(())
    }

    #[test]
    fn a_step_tells_the_fuel_that_was_used_in_it() -> Result<(), Error> {
        LazyLock::force(&LISTENER);
        let engine = engine(&EngineOptions::default().pooling(2).fuel(true))?;
        let guest = r#"(module
            (import "env" "yield" (func $yield))
            (func $count (param i32)
                (loop $again
                    (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
            (func (export "burns")
                (call $count (i32.const 1000)) (call $yield)
                (call $count (i32.const 10)) (call $yield)
                (call $count (i32.const 1000))))"#;
        let module = Module::new(&engine, wat::parse_str(guest).expect("the text of a module"))?;
        let mut linker = Linker::<()>::new(&engine);
        add_yield(&mut linker, "env", "yield")?;
        let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
        let before = instance.fuel_remaining()?;
        instance.call::<(), ()>("burns", ())?.wait()?;
        let used = before - instance.fuel_remaining()?;

        let steps = LISTENER.about("burns", 1);
        let fuel = |told: &super::Told| told.fields.get("fuel")?.parse::<u64>().ok();
        let fuel: Vec<_> = steps.iter().filter_map(fuel).collect();
        let [first, second, third] = fuel[..] else { panic!("three steps, not {steps:?}") };
        assert!(second > 0 && first > 10 * second && third > 10 * second, "{fuel:?}");
        assert_eq!(first + second + third, used);
        Ok(())
    }
}
