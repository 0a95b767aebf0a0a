//! Host functions that yield, wait and fail, and the guests that call them.

use super::{ENGINE, Host, TOTAL, compile, instance, instance_of, linker};
use crate::support::{Counter, Event, Way, alarm_clock, block_on, notifying, workers};
use std::sync::{Arc, mpsc};
use std::thread;
use wasm_jobs::wasmtime::{Caller, Extern, Linker};
use wasm_jobs::{Error, Instance, JobPool, Step, add_yield, yield_now};

#[test]
fn a_host_function_that_yields_ends_the_step() -> Result<(), Error> {
    let instance = instance(
        r#"(module
            (import "env" "twice" (func $twice (param i32) (result i32)))
            (func (export "eight_times") (param i32) (result i32)
                (call $twice (call $twice (call $twice (local.get 0))))))"#,
    )?;
    let mut future = instance.call::<i32, i32>("eight_times", 5)?;
    for _ in 0..3 {
        assert_eq!(future.resume()?, Step::Yielded);
    }
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.try_get_result()?, Some(40));
    Ok(())
}

#[test]
fn the_hosts_yield_has_whatever_name_the_guest_imports() -> Result<(), Error> {
    let mut linker = Linker::<()>::new(&ENGINE);
    add_yield(&mut linker, "os", "sched_yield")?;
    let module = compile(
        &ENGINE,
        r#"(module (import "os" "sched_yield" (func $yield)) (func (export "run") (call $yield)))"#,
    )?;
    let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    let mut future = instance.call::<(), ()>("run", ())?;
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(future.resume()?, Step::Done);
    future.wait()
}

#[test]
fn a_yield_under_a_name_that_is_taken_is_refused() -> Result<(), Error> {
    let mut linker = Linker::<()>::new(&ENGINE);
    add_yield(&mut linker, "env", "yield")?;
    let error = add_yield(&mut linker, "env", "yield").expect_err("the name is taken");
    assert!(matches!(error, Error::Wasmtime(_)));
    let message = error.to_string();
    assert!(message.contains("env") && message.contains("yield"), "{message}");
    linker.allow_shadowing(true);
    add_yield(&mut linker, "env", "yield")
}

#[test]
fn a_guest_that_waits_is_not_entered_until_it_is_woken() -> Result<(), Error> {
    let (polls, event) = (Counter::default(), Event::default());
    let mut linker = linker(&ENGINE)?;
    linker.allow_shadowing(true);
    linker.func_wrap_async("env", "wait", {
        let (polls, event) = (polls.clone(), event.clone());
        move |_: Caller<'_, Host>, ()| Box::new(crate::support::counted(&polls, event.happens()))
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, TOTAL)?)?;
    let instance = Instance::new(&pre, Host::default())?;
    let mut future = instance.call::<i32, i32>("add_when_it_happens", 3)?;
    for _ in 0..100 {
        assert_eq!(future.resume()?, Step::Waiting);
    }
    assert_eq!(polls.get(), 1);
    event.set();
    assert_eq!(future.resume()?, Step::Yielded);
    assert_eq!(polls.get(), 2);
    assert_eq!(future.resume()?, Step::Done);
    assert_eq!(future.wait()?, 3);
    Ok(())
}

#[test]
fn a_guest_is_woken_from_another_thread_whichever_way_it_is_finished() -> Result<(), Error> {
    let (alarm, clock) = alarm_clock();
    let host = Host { alarm: Some(alarm), ..Host::default() };
    let instance = instance_of(
        &ENGINE,
        r#"(module
            (import "env" "wait_for_alarm" (func $wait))
            (func (export "wait") (param $times i32) (result i32) (local $n i32)
                (loop $again
                    (call $wait)
                    (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if $again (i32.lt_s (local.get $n) (local.get $times))))
                (local.get $n)))"#,
        host,
    )?;
    for &way in Way::ALL {
        let mut future = instance.call::<i32, i32>("wait", 20)?;
        assert_eq!(way.finish(&mut future)?, 20, "{way:?}");
    }
    drop(instance);
    clock.join().expect("the thread ends with its last sender");
    Ok(())
}

/// An answer that another thread sends once, for example a game server.
struct Answer {
    event: Event,
    answer: Arc<std::sync::Mutex<Option<i32>>>,
}

#[test]
fn a_host_function_waits_for_an_answer_of_another_thread() -> Result<(), Error> {
    let (questions, asked) = mpsc::channel::<(i32, Answer)>();
    let answering = thread::spawn(move || {
        for (question, Answer { event, answer }) in asked {
            *answer.lock().unwrap() = Some(question + 1);
            event.set();
        }
    });
    let mut linker = Linker::<mpsc::Sender<(i32, Answer)>>::new(&ENGINE);
    linker.func_wrap_async(
        "server",
        "ask",
        |host: Caller<'_, mpsc::Sender<(i32, Answer)>>, (question,): (i32,)| {
            Box::new(async move {
                let (event, answer) = (Event::default(), Arc::default());
                let mine = Answer { event: event.clone(), answer: Arc::clone(&answer) };
                host.data().send((question, mine)).expect("the other thread is receiving");
                event.happens().await;
                answer.lock().unwrap().take().expect("the other thread has answered")
            })
        },
    )?;
    let module = compile(
        &ENGINE,
        r#"(module
            (import "server" "ask" (func $ask (param i32) (result i32)))
            (func (export "count_to") (param $to i32) (result i32) (local $n i32)
                (loop $next
                    (local.set $n (call $ask (local.get $n)))
                    (br_if $next (i32.lt_s (local.get $n) (local.get $to))))
                (local.get $n)))"#,
    )?;
    let instance = Instance::new(&linker.instantiate_pre(&module)?, questions)?;
    for &way in Way::ALL {
        let mut future = instance.call::<i32, i32>("count_to", 25)?;
        assert_eq!(way.finish(&mut future)?, 25, "{way:?}");
    }
    drop(instance);
    answering.join().expect("the thread ends with its last sender");
    Ok(())
}

#[test]
fn a_host_function_reads_and_writes_the_guests_memory_before_and_after_it_waits()
-> Result<(), Error> {
    let event = Event::default();
    let mut linker = Linker::<Host>::new(&ENGINE);
    linker.func_wrap_async(
        "env",
        "shout",
        |mut host: Caller<'_, Host>, (at, length): (u32, u32)| {
            Box::new(async move {
                let Some(Extern::Memory(memory)) = host.get_export("memory") else {
                    return Err(wasm_jobs::wasmtime::Error::msg("the guest has no memory"));
                };
                let mut text = vec![0; length as usize];
                memory.read(&host, at as usize, &mut text)?;
                let happens = host.data().event.happens();
                happens.await;
                text.make_ascii_uppercase();
                memory.write(&mut host, at as usize, &text)?;
                Ok(())
            })
        },
    )?;
    let module = compile(
        &ENGINE,
        r#"(module
            (import "env" "shout" (func $shout (param i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "hello")
            (func (export "run") (call $shout (i32.const 16) (i32.const 5))))"#,
    )?;
    let host = Host { event: event.clone(), ..Host::default() };
    let instance = Instance::new(&linker.instantiate_pre(&module)?, host)?;
    let mut future = instance.call::<(), ()>("run", ())?;
    let handle = workers(1).submit(future.to_job()?);
    event.set();
    handle.wait();
    assert_eq!(future.try_get_result()?, Some(()));
    let mut store = instance.store()?;
    let memory = store.memory("memory")?;
    assert_eq!(memory.data(&store)[16..21], *b"HELLO");
    Ok(())
}

#[test]
fn a_host_function_calls_another_instance() -> Result<(), Error> {
    let inner = Arc::new(instance(TOTAL)?);
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("other", "add", {
        let inner = inner.clone();
        move |number: i32| -> wasm_jobs::wasmtime::Result<i32> {
            Ok(inner.call::<i32, i32>("add", number)?.wait()?)
        }
    })?;
    let module = compile(
        &ENGINE,
        r#"(module
            (import "env" "yield" (func $yield))
            (import "other" "add" (func $add (param i32) (result i32)))
            (func (export "run") (result i32)
                (call $yield)
                (drop (call $add (i32.const 1)))
                (call $yield)
                (call $add (i32.const 2))))"#,
    )?;
    let outer = Instance::new(&linker.instantiate_pre(&module)?, Host::default())?;
    for (round, &way) in (1..).zip(Way::ALL) {
        let mut future = outer.call::<(), i32>("run", ())?;
        assert_eq!(way.finish(&mut future)?, 3 * round, "{way:?}");
    }
    Ok(())
}

#[test]
fn a_host_function_that_calls_its_own_instance_is_refused() -> Result<(), Error> {
    let own = Arc::new(std::sync::OnceLock::<Instance<Host>>::new());
    let mut linker = linker(&ENGINE)?;
    linker.func_wrap("own", "is_busy", {
        let own = own.clone();
        move || {
            let own = own.get().expect("the instance was set before the call");
            let refused = own.call::<i32, i32>("add", 1);
            i32::from(matches!(refused, Err(Error::CallInProgress)))
        }
    })?;
    let module = compile(
        &ENGINE,
        r#"(module
            (import "own" "is_busy" (func $is_busy (result i32)))
            (func (export "add") (param i32) (result i32) (local.get 0))
            (func (export "run") (result i32) (call $is_busy)))"#,
    )?;
    let instance = Instance::new(&linker.instantiate_pre(&module)?, Host::default())?;
    let instance = own.get_or_init(|| instance);
    assert_eq!(instance.call::<(), i32>("run", ())?.wait()?, 1);
    assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
    Ok(())
}

#[test]
fn a_host_function_awaits_a_job() -> Result<(), Error> {
    let pool = workers(1);
    let mut part = wasm_jobs::Future::new(async {
        yield_now().await;
        Ok(21)
    });
    let handle = pool.submit(part.to_job()?);
    let mut linker = linker(&ENGINE)?;
    linker
        .func_wrap_async("env", "join", move |_: Caller<'_, Host>, ()| Box::new(handle.clone()))?;
    let module = compile(
        &ENGINE,
        r#"(module (import "env" "join" (func $join)) (func (export "run") (call $join)))"#,
    )?;
    let instance = Instance::new(&linker.instantiate_pre(&module)?, Host::default())?;
    let mut whole = instance.call::<(), ()>("run", ())?;
    pool.submit(whole.to_job()?).wait();
    assert_eq!(whole.try_get_result()?, Some(()));
    assert_eq!(part.try_get_result()?, Some(21));
    Ok(())
}

#[test]
fn a_call_is_awaited_from_an_async_block() -> Result<(), Error> {
    let event = Event::default();
    let host = Host { event: event.clone(), ..Host::default() };
    let instance = instance_of(&ENGINE, TOTAL, host)?;
    let (waiting, is_waiting) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            is_waiting.recv().expect("the call is awaited");
            event.set();
        });
        let sum = block_on(async {
            let first = instance.call::<i32, i32>("add_when_it_happens", 1)?;
            let first =
                notifying(|| waiting.send(()).expect("the test is receiving"), first).await?;
            let second = instance.call::<i32, i32>("add", 1)?.await?;
            Ok::<_, Error>((first, second))
        })?;
        assert_eq!(sum, (1, 2));
        Ok(())
    })
}

#[test]
fn a_waiting_guest_that_is_dropped_drops_what_its_host_function_holds() -> Result<(), Error> {
    let drops = Counter::default();
    let mut linker = linker(&ENGINE)?;
    linker.allow_shadowing(true);
    linker.func_wrap_async("env", "wait", {
        let drops = drops.clone();
        move |host: Caller<'_, Host>, ()| {
            let (guard, happens) = (drops.on_drop(), host.data().event.happens());
            Box::new(async move {
                let _guard = guard;
                happens.await;
            })
        }
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, TOTAL)?)?;
    let (by_hand, as_a_job) =
        (Instance::new(&pre, Host::default())?, Instance::new(&pre, Host::default())?);

    let mut future = by_hand.call::<i32, i32>("add_when_it_happens", 1)?;
    assert_eq!(future.resume()?, Step::Waiting);
    drop(future);
    assert_eq!(drops.get(), 1);

    let mut future = as_a_job.call::<i32, i32>("add_when_it_happens", 1)?;
    let handle = workers(1).submit(future.to_job()?);
    drop(future);
    handle.wait();
    let began = as_a_job.is_poisoned();
    assert_eq!(drops.get(), 1 + usize::from(began), "if the job has begun, it held a guard");
    Ok(())
}

/// Its destructor panics.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

#[test]
fn a_host_function_whose_destructor_panics_when_its_call_is_given_up() -> Result<(), Error> {
    let mut linker = linker(&ENGINE)?;
    linker.allow_shadowing(true);
    linker.func_wrap_async("env", "wait", |host: Caller<'_, Host>, ()| {
        let happens = host.data().event.happens();
        Box::new(async {
            let _panics = PanicsWhenDropped;
            happens.await;
        })
    })?;
    let pre = linker.instantiate_pre(&compile(&ENGINE, TOTAL)?)?;
    let instance = Instance::new(&pre, Host::default())?;
    for is_dropped in [false, true] {
        let mut future = instance.call::<i32, i32>("add_when_it_happens", 1)?;
        assert_eq!(future.resume()?, Step::Waiting);
        if is_dropped {
            drop(future);
        } else {
            future.cancel();
            assert!(matches!(future.wait(), Err(Error::Cancelled)));
        }
        assert!(instance.is_poisoned());
        instance.reset_with(Host::default())?;
        assert_eq!(instance.call::<i32, i32>("add", 1)?.wait()?, 1);
    }
    Ok(())
}
