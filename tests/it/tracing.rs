//! Spans and events that a subscriber receives. All tests of the process share one subscriber. Each test gives its calls a name of its own, and
//! asks for the reports with that name.

use crate::support::{Event, Flag, Queue, Way, a_thread_each, at_once, workers};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, LazyLock, Mutex};
use std::{mem, thread};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Metadata, Subscriber};
use wasm_jobs::{Error, Future, JobPool, Step, yield_now};

/// A span or an event that the subscriber received.
#[derive(Clone, Debug, Default)]
struct Report {
    kind: &'static str,
    fields: BTreeMap<&'static str, String>,
    /// The number of times the span was entered, and left.
    entered: u32,
    left: u32,
    is_closed: bool,
}

impl Visit for Report {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let before = self.fields.insert(field.name(), format!("{value:?}"));
        assert_eq!(before, None, "a field was recorded twice");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[derive(Default)]
struct Listener {
    reports: Mutex<Vec<Report>>,
    has_grown: Condvar,
}

static LISTENER: LazyLock<&'static Listener> = LazyLock::new(|| {
    // Calls of other tests run meanwhile. A span that is first met after `tracing` has let its level through, and before it has the global
    // subscriber, stays off for good, unless there is another subscriber: then `tracing` asks all of them.
    mem::forget(Dispatch::new(Deaf));
    let listener: &Listener = Box::leak(Box::default());
    tracing::subscriber::set_global_default(listener).expect("this is the only subscriber");
    listener
});

/// A subscriber that lets no level through.
struct Deaf;

impl Subscriber for Deaf {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("no level is let through")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

thread_local! {
    static INSIDE: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

impl Listener {
    fn span(&self, id: &Id, change: impl FnOnce(&mut Report)) {
        change(&mut self.reports.lock().unwrap()[usize::try_from(id.into_u64()).unwrap() - 1]);
    }

    fn add(&self, report: Report) -> Id {
        let mut all = self.reports.lock().unwrap();
        all.push(report);
        self.has_grown.notify_all();
        Id::from_u64(all.len() as u64)
    }

    /// Waits until `calls` calls of this name have ended, and returns the reports with that name.
    fn reports(&self, name: &str, calls: usize) -> Vec<Report> {
        let mut all = self.reports.lock().unwrap();
        loop {
            let has_name =
                |report: &&Report| report.fields.get("name").is_some_and(|other| other == name);
            let reports: Vec<_> = all.iter().filter(has_name).cloned().collect();
            if reports.iter().filter(|report| report.is_end()).count() >= calls {
                return reports;
            }
            all = self.has_grown.wait(all).unwrap();
        }
    }
}

impl Subscriber for &'static Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "wasm_jobs"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut report = Report { kind: attributes.metadata().name(), ..Report::default() };
        attributes.record(&mut report);
        self.add(report)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.span(span, |report| values.record(report));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut report = Report { kind: event.metadata().name(), ..Report::default() };
        event.record(&mut report);
        self.add(report);
    }

    fn enter(&self, span: &Id) {
        INSIDE.with_borrow_mut(|inside| inside.push(span.clone()));
        self.span(span, |report| report.entered += 1);
    }

    fn exit(&self, span: &Id) {
        assert_eq!(
            INSIDE.with_borrow_mut(Vec::pop).as_ref(),
            Some(span),
            "a span was left that is not the innermost"
        );
        self.span(span, |report| report.left += 1);
    }

    fn try_close(&self, span: Id) -> bool {
        self.span(&span, |report| report.is_closed = true);
        true
    }
}

impl Report {
    fn is_end(&self) -> bool {
        matches!(self.kind, "complete" | "fail" | "cancel")
    }
}

/// A name that no other call has.
fn unique_name() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LazyLock::force(&LISTENER);
    format!("call {}", LAST.fetch_add(1, SeqCst))
}

/// Waits for the end of a call, and returns the kinds of its reports in order.
fn kinds(name: &str) -> Vec<&'static str> {
    LISTENER.reports(name, 1).into_iter().map(|report| report.kind).collect()
}

/// Waits for the end of a call, and returns the report of it. There must be exactly one.
fn end_of(name: &str) -> Report {
    let reports = LISTENER.reports(name, 1);
    let ends: Vec<_> = reports.iter().filter(|report| report.is_end()).collect();
    let [end] = ends[..] else { panic!("a call ends once: {ends:?}") };
    let number = &end.fields["call"];
    assert!(reports.iter().all(|report| report.fields["call"] == *number), "one call: {reports:?}");
    end.clone()
}

#[test]
fn a_step_is_a_span_and_the_end_an_event() -> Result<(), Error> {
    let name = unique_name();
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
    assert_eq!(kinds(&name), ["step", "step", "step", "complete"]);
    for step in &LISTENER.reports(&name, 1)[..3] {
        assert_eq!((step.entered, step.left, step.is_closed), (1, 1, true));
        assert!(step.fields["time_us"].parse::<f64>().is_ok_and(|time| time > 0.0));
        assert!(!step.fields.contains_key("fuel") && !step.fields.contains_key("instance"));
    }
    // Taking the result and dropping the future are not reported.
    assert_eq!(future.try_get_result()?, Some(()));
    drop(future);
    assert_eq!(kinds(&name).len(), 4);
    Ok(())
}

#[test]
fn resuming_a_call_that_waits_is_no_step() -> Result<(), Error> {
    let (name, event) = (unique_name(), Event::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    event.set();
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(kinds(&name), ["step", "step", "complete"]);
    Ok(())
}

#[test]
fn a_call_ends_once_whichever_way() {
    for &way in Way::ALL {
        let name = unique_name();
        let work = async {
            yield_now().await;
            Ok(())
        };
        let mut future = Future::new(work).named(name.clone());
        way.finish(&mut future).expect("the call succeeds");
        drop(future);
        assert_eq!(end_of(&name).kind, "complete", "{way:?}");
        let steps = kinds(&name).into_iter().filter(|&kind| kind == "step").count();
        assert_eq!(steps, 2, "{way:?}");
    }
}

#[test]
fn a_failure_is_told_with_its_error() {
    for &way in Way::ALL {
        let name = unique_name();
        let work = async { Err::<(), _>(Error::Other("no way".into())) };
        way.finish(&mut Future::new(work).named(name.clone())).expect_err("the call fails");
        let end = end_of(&name);
        assert_eq!((end.kind, &*end.fields["error"]), ("fail", "no way"), "{way:?}");

        let name = unique_name();
        let work = async { panic!("on purpose") };
        way.finish::<(), _>(&mut Future::new(work).named(name.clone()))
            .expect_err("the call panics");
        let end = end_of(&name);
        assert_eq!(end.kind, "fail", "{way:?}");
        assert!(end.fields["error"].ends_with("on purpose"), "{end:?}");
    }
}

#[test]
fn a_call_that_is_given_up_is_told_as_cancelled() -> Result<(), Error> {
    let call = || {
        let name = unique_name();
        (Future::new(Event::default().awaited()).named(name.clone()), name)
    };

    let (mut future, name) = call();
    future.cancel();
    drop(future);
    assert_eq!(end_of(&name).kind, "cancel");

    let (mut future, name) = call();
    assert_eq!(future.resume()?, Step::Waiting);
    drop(future);
    assert_eq!(kinds(&name), ["step", "cancel"]);

    let (mut future, name) = call();
    let runner = future.to_job()?;
    drop(runner);
    drop(future);
    assert_eq!(end_of(&name).kind, "cancel");

    let (mut future, name) = call();
    let queue = Queue::default();
    let handle = queue.submit(future.to_job()?);
    handle.cancel();
    drop(future);
    queue.run();
    assert_eq!(kinds(&name), ["submit", "cancel"]);

    // The call is cancelled during its step.
    let (name, begun) = (unique_name(), Flag::default());
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
    may_end.send(()).expect("the step is receiving");
    handle.wait();
    assert!(matches!(future.try_get_result(), Err(Error::Cancelled)));
    assert_eq!(kinds(&name), ["submit", "step", "cancel"]);
    Ok(())
}

#[test]
fn a_job_is_told_from_its_submission_to_its_end() -> Result<(), Error> {
    let (name, event, queue) = (unique_name(), Event::default(), Queue::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    let handle = queue.submit(future.to_job()?);
    queue.run();
    event.set();
    queue.run();
    assert!(handle.is_complete());
    assert_eq!(kinds(&name), ["submit", "step", "wake", "step", "complete"]);
    Ok(())
}

#[test]
fn a_turn_on_another_thread_is_told_as_stolen() -> Result<(), Error> {
    let (name, event, queue) = (unique_name(), Event::default(), Queue::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    let _handle = queue.submit(future.to_job()?);
    queue.run();
    event.wake_for_nothing();
    queue.run();
    event.set();
    thread::scope(|scope| drop(scope.spawn(|| queue.run())));
    let expected = ["submit", "step", "wake", "step", "wake", "steal", "step", "complete"];
    assert_eq!(kinds(&name), expected);
    Ok(())
}

#[test]
fn an_owner_that_sleeps_is_told_to_be_woken() {
    let (name, event) = (unique_name(), Event::default());
    let mut future = Future::new(event.awaited()).named(name.clone());
    let wakes = std::sync::Arc::default();
    assert!(crate::support::poll_once(&mut future, &wakes).is_pending());
    event.set();
    assert!(crate::support::poll_once(&mut future, &wakes).is_ready());
    assert_eq!(kinds(&name), ["step", "wake", "step", "complete"]);
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
    for report in LISTENER.reports.lock().unwrap().iter() {
        let name = report.fields.get("name").map_or("", |name| name);
        if name.contains("a_closure_is_told_by_its_type") {
            let number = report.fields["call"].parse().expect("the field is a number");
            of_each.entry(number).or_default().push(report.kind);
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
    let (name, pool) = (unique_name(), workers(3));
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
    for report in LISTENER.reports(&name, CALLS) {
        of_each.entry(report.fields["call"].clone()).or_default().push(report.kind);
    }
    assert_eq!(of_each.len(), CALLS);
    for mut kinds in of_each.into_values() {
        kinds.retain(|&kind| kind != "steal");
        assert_eq!(kinds, ["submit", "step", "step", "step", "step", "complete"]);
    }
    Ok(())
}

#[test]
fn the_first_name_stays() {
    let (first, second) = (unique_name(), unique_name());
    let call = Future::new(async { Ok(()) }).named(first.clone()).named(second);
    drop(call);
    assert_eq!(kinds(&first), ["cancel"]);
}

#[cfg(feature = "wasm")]
mod guest {
    use super::{LISTENER, end_of, kinds};
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
            .reports("is traced", 3)
            .into_iter()
            .filter(|report| report.kind == "complete")
            .map(|report| report.fields["instance"].clone())
            .collect();
        assert!(numbers[0] == numbers[1] && numbers[1] != numbers[2], "{numbers:?}");

        let mut future = one.call::<(), ()>("is traced", ())?.named("by its owner");
        assert_eq!(future.resume()?, Step::Yielded);
        drop(future);
        assert_eq!(kinds("by its owner"), ["step", "cancel"]);

        other.call::<(), ()>("is traced and traps", ())?.wait().expect_err("the guest traps");
        let end = end_of("is traced and traps");
        assert_eq!(end.kind, "fail");
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

        let steps = LISTENER.reports("burns", 1);
        let fuel = |report: &super::Report| report.fields.get("fuel")?.parse::<u64>().ok();
        let fuel: Vec<_> = steps.iter().filter_map(fuel).collect();
        let [first, second, third] = fuel[..] else { panic!("three steps, not {steps:?}") };
        assert!(second > 0 && first > 10 * second && third > 10 * second, "{fuel:?}");
        assert_eq!(first + second + third, used);
        Ok(())
    }
}
