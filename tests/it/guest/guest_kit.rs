//! The guests that use the kit, each written in another language or built for another target. All of them do the same.

use super::{ENGINE, compile};
use crate::support::{a_thread_each, workers};
use std::time::Duration;
use wasm_jobs::wasmtime::{Linker, Module, Trap};
use wasm_jobs::{Error, Future, Instance, JobPool, ManualClock, Slice, Step, guest_kit};

/// What each guest exports.
trait Guest {
    /// The sum of the numbers from 1 to `last`. Yields after each.
    fn sum(&self, last: i32) -> Result<Future<i64>, Error>;
    fn nap(&self, milliseconds: i32) -> Result<Future<()>, Error>;
    /// Computes, and never stops.
    fn spin(&self) -> Result<Future<()>, Error>;
    /// Ends with the message "the berries are gone".
    fn fail(&self) -> Result<Future<()>, Error>;
    fn set_slice(&self, slice: Slice) -> Result<(), Error>;
}

impl<S: Send + 'static> Guest for Instance<S> {
    fn sum(&self, last: i32) -> Result<Future<i64>, Error> {
        self.call("sum", last)
    }

    fn nap(&self, milliseconds: i32) -> Result<Future<()>, Error> {
        self.call("nap", milliseconds)
    }

    fn spin(&self) -> Result<Future<()>, Error> {
        self.call("spin", ())
    }

    fn fail(&self) -> Result<Future<()>, Error> {
        self.call("fail", ())
    }

    fn set_slice(&self, slice: Slice) -> Result<(), Error> {
        self.set_slice(slice)
    }
}

/// Makes instances of a guest that sleep by this clock.
type Make = Box<dyn Fn(&ManualClock) -> Result<Box<dyn Guest>, Error>>;

/// A module that imports nothing but the kit.
fn module(name: &str) -> Result<Make, Error> {
    let module = Module::from_file(&ENGINE, format!("guests/kit/{name}.wasm"))?;
    Ok(Box::new(move |clock| {
        let mut linker = Linker::new(&ENGINE);
        guest_kit::add_to_linker(&mut linker, clock.clone())?;
        Ok(Box::new(Instance::new(&linker.instantiate_pre(&module)?, ())?))
    }))
}

/// A module that imports WASI as well.
#[cfg(feature = "wasi")]
fn wasi_module(name: &str) -> Result<Make, Error> {
    use wasm_jobs::wasi;

    let module = Module::from_file(&ENGINE, format!("guests/kit/{name}.wasm"))?;
    Ok(Box::new(move |clock| {
        let mut linker = Linker::new(&ENGINE);
        guest_kit::add_to_linker(&mut linker, clock.clone())?;
        wasi::add_to_linker(&mut linker, |ctx| ctx)?;
        let ctx = wasi::WasiCtxBuilder::new().clock(clock.clone()).build()?;
        let guest = Instance::new(&linker.instantiate_pre(&module)?, ctx)?;
        if guest.func::<(), ()>("_initialize").is_ok() {
            guest.call::<(), ()>("_initialize", ())?.wait()?;
        }
        Ok(Box::new(guest))
    }))
}

/// Components that import the kit's interface.
#[cfg(feature = "component-model")]
mod components {
    use self::bindings::{Berries, BerriesPre};
    use super::{Guest, Make, guest_kit, message_of};
    use std::sync::LazyLock;
    use wasm_jobs::wasmtime::Engine;
    use wasm_jobs::wasmtime::component::{Component, Linker};
    use wasm_jobs::{
        EngineOptions, Error, Future, Instance, InstanceOptions, ManualClock, Slice, engine,
    };

    /// In a module of its own, because it has a module that is named as the library: that of the kit's interface.
    mod bindings {
        ::wasm_jobs::wasmtime::component::bindgen!({
            path: ["guest-kit/wit", "guests/kit/berries.wit"],
            world: "orchard:berries/berries",
            wasmtime_crate: ::wasm_jobs::wasmtime,
            exports: { default: async },
        });
    }

    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        engine(&EngineOptions::default().pooling(4).core_instances_per_component(3))
            .expect("the options of a small engine")
    });

    impl<S: Send + 'static> Guest for Instance<S, Berries> {
        fn sum(&self, last: i32) -> Result<Future<i64>, Error> {
            self.start(move |store, guest| Box::pin(guest.call_sum(store, last)))
        }

        fn nap(&self, milliseconds: i32) -> Result<Future<()>, Error> {
            self.start(move |store, guest| Box::pin(guest.call_nap(store, milliseconds)))
        }

        fn spin(&self) -> Result<Future<()>, Error> {
            self.start(|store, guest| Box::pin(guest.call_spin(store)))
        }

        fn fail(&self) -> Result<Future<()>, Error> {
            self.start(|store, guest| Box::pin(guest.call_fail(store)))
        }

        fn set_slice(&self, slice: Slice) -> Result<(), Error> {
            self.set_slice(slice)
        }
    }

    /// A component whose other imports `add` defines.
    fn made<S: Send + 'static>(
        name: &str,
        add: impl Fn(&mut Linker<S>) -> Result<(), Error> + 'static,
        state: impl Fn(&ManualClock) -> S + Clone + Send + Sync + 'static,
    ) -> Result<Make, Error> {
        let component = Component::from_file(&ENGINE, format!("guests/kit/{name}.wasm"))?;
        Ok(Box::new(move |clock| {
            let mut linker = Linker::new(&ENGINE);
            add(&mut linker)?;
            guest_kit::add_to_component_linker(&mut linker, clock.clone())?;
            let guest = BerriesPre::new(linker.instantiate_pre(&component)?)?;
            let (state, clock) = (state.clone(), clock.clone());
            let state = move || state(&clock);
            Ok(Box::new(Instance::with_exports(
                &ENGINE,
                InstanceOptions::default(),
                state,
                move |store| {
                    let guest = guest.clone();
                    Box::pin(async move { guest.instantiate_async(store).await })
                },
            )?))
        }))
    }

    pub(super) fn component(name: &str) -> Result<Make, Error> {
        made::<()>(name, |_| Ok(()), |_| ())
    }

    /// A component that panics with the message at an address.
    const PANICS: &str = r#"(component
        (import "wasm-jobs:guest/host@0.1.0" (instance $host
            (export "panic" (func (param "message" string)))))
        (core module $memory
            (memory (export "memory") 1)
            (data (i32.const 0) "ber\fcries"))
        (core instance $memory (instantiate $memory))
        (core func $panic (canon lower (func $host "panic") (memory $memory "memory")))
        (core module $run
            (import "host" "panic" (func $panic (param i32 i32)))
            (func (export "run") (param i32 i32) (call $panic (local.get 0) (local.get 1))))
        (core instance $run (instantiate $run
            (with "host" (instance (export "panic" (func $panic))))))
        (func (export "run") (param "address" u32) (param "bytes" u32)
            (canon lift (core func $run "run"))))"#;

    #[test]
    fn a_components_message_is_cut_off_and_one_that_is_no_string_fails_the_call()
    -> Result<(), Error> {
        let component = Component::new(&ENGINE, wat::parse_str(PANICS).expect("the text"))?;
        let mut linker = Linker::<()>::new(&ENGINE);
        guest_kit::add_to_component_linker(&mut linker, ManualClock::new())?;
        let pre = linker.instantiate_pre(&component)?;
        let guest = Instance::with_exports(
            &ENGINE,
            InstanceOptions::default(),
            || (),
            move |mut store| {
                let pre = pre.clone();
                Box::pin(async move {
                    let guest = pre.instantiate_async(&mut store).await?;
                    guest.get_typed_func::<(u32, u32), ()>(&mut store, "run")
                })
            },
        )?;
        let panics_with = |address, bytes| -> Result<Error, Error> {
            guest.reset()?;
            let mut call =
                guest.start(move |store, run| Box::pin(run.call_async(store, (address, bytes))))?;
            Ok(call.wait().expect_err("the guest panics"))
        };
        assert_eq!(message_of(&panics_with(0, 3)?), "ber");
        let message = format!("{}…", "\0".repeat(guest_kit::MAX_MESSAGE));
        assert_eq!(message_of(&panics_with(9, 60_000)?), message);
        for (address, bytes) in [(0, 4), (65_536, 1), (u32::MAX, u32::MAX)] {
            let error = panics_with(address, bytes)?;
            assert!(matches!(error, Error::Host(_)), "{error:?}");
            assert!(guest.is_poisoned());
        }
        Ok(())
    }

    #[cfg(feature = "wasi")]
    pub(super) fn wasi_component(name: &str) -> Result<Make, Error> {
        use wasm_jobs::wasi::{self, WasiCtx, WasiCtxBuilder};

        made::<WasiCtx>(name, wasi::add_to_component_linker, |clock| {
            WasiCtxBuilder::new().clock(clock.clone()).build().expect("a context of no files")
        })
    }
}

/// A component whose exports are async functions.
#[cfg(feature = "wasi-p3-preview")]
mod async_components {
    use super::{Guest, Make, guest_kit};
    use std::sync::LazyLock;
    use wasm_jobs::wasmtime::Engine;
    use wasm_jobs::wasmtime::component::{Component, Linker, TypedFunc};
    use wasm_jobs::{
        EngineOptions, Error, Future, Instance, InstanceOptions, ManualClock, Slice, engine,
    };

    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let options = EngineOptions::default().pooling(4).core_instances_per_component(3);
        engine(&options.component_async(true)).expect("the options of a small engine")
    });

    struct Berries {
        sum: TypedFunc<(i32,), (i64,)>,
        nap: TypedFunc<(i32,), ()>,
        spin: TypedFunc<(), ()>,
        fail: TypedFunc<(), ()>,
    }

    impl Guest for Instance<(), Berries> {
        fn sum(&self, last: i32) -> Result<Future<i64>, Error> {
            self.start(move |store, guest| {
                Box::pin(async move { Ok(guest.sum.call_async(store, (last,)).await?.0) })
            })
        }

        fn nap(&self, milliseconds: i32) -> Result<Future<()>, Error> {
            self.start(move |store, guest| Box::pin(guest.nap.call_async(store, (milliseconds,))))
        }

        fn spin(&self) -> Result<Future<()>, Error> {
            self.start(|store, guest| Box::pin(guest.spin.call_async(store, ())))
        }

        fn fail(&self) -> Result<Future<()>, Error> {
            self.start(|store, guest| Box::pin(guest.fail.call_async(store, ())))
        }

        fn set_slice(&self, slice: Slice) -> Result<(), Error> {
            self.set_slice(slice)
        }
    }

    pub(super) fn component(name: &str) -> Result<Make, Error> {
        let component = Component::from_file(&ENGINE, format!("guests/kit/{name}.wasm"))?;
        Ok(Box::new(move |clock: &ManualClock| {
            let mut linker = Linker::<()>::new(&ENGINE);
            guest_kit::add_to_component_linker(&mut linker, clock.clone())?;
            let pre = linker.instantiate_pre(&component)?;
            let options = InstanceOptions::default();
            Ok(Box::new(Instance::with_exports(
                &ENGINE,
                options,
                || (),
                move |mut store| {
                    let pre = pre.clone();
                    Box::pin(async move {
                        let guest = pre.instantiate_async(&mut store).await?;
                        Ok(Berries {
                            sum: guest.get_typed_func(&mut store, "sum")?,
                            nap: guest.get_typed_func(&mut store, "nap")?,
                            spin: guest.get_typed_func(&mut store, "spin")?,
                            fail: guest.get_typed_func(&mut store, "fail")?,
                        })
                    })
                },
            )?))
        }))
    }
}

fn guests() -> Result<Vec<(&'static str, Make)>, Error> {
    Ok(vec![
        ("C", module("c")?),
        ("Rust", module("rust")?),
        ("AssemblyScript", module("assemblyscript")?),
        ("Zig", module("zig")?),
        #[cfg(feature = "component-model")]
        ("C in a component", components::component("c-component")?),
        #[cfg(feature = "component-model")]
        ("Rust in a component", components::component("rust-component")?),
        #[cfg(all(feature = "component-model", feature = "wasi"))]
        ("Rust for WASI 0.2", components::wasi_component("rust-preview2")?),
        #[cfg(feature = "wasi-p3-preview")]
        ("Rust for WASI 0.3", async_components::component("rust-preview3")?),
        #[cfg(feature = "wasi")]
        ("C for WASI preview 1", wasi_module("c-wasi")?),
        #[cfg(feature = "wasi")]
        ("Rust for WASI preview 1", wasi_module("rust-wasi")?),
    ])
}

#[test]
fn every_guest_computes_yields_sleeps_ends_when_cancelled_and_says_why_it_panics()
-> Result<(), Error> {
    for (name, make) in guests()? {
        println!("{name}");
        computes_and_yields(&make)?;
        sleeps(&make)?;
        is_cancelled_while_it_computes(&make)?;
        is_cancelled_while_it_sleeps(&make)?;
        says_why_it_panics(&make)?;
    }
    Ok(())
}

fn computes_and_yields(make: &Make) -> Result<(), Error> {
    let guest = make(&ManualClock::new())?;
    let mut sum = guest.sum(100)?;
    for _ in 0..100 {
        assert_eq!(sum.resume()?, Step::Yielded);
    }
    assert_eq!(sum.resume()?, Step::Done);
    assert_eq!(sum.try_get_result()?, Some(5050));

    // On other threads.
    let mut sum = guest.sum(1000)?;
    workers(2).submit(sum.to_job()?).wait();
    assert_eq!(sum.try_get_result()?, Some(500_500));
    Ok(())
}

fn sleeps(make: &Make) -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = make(&clock)?;
    let mut nap = guest.nap(60_000)?;
    assert_eq!(nap.resume()?, Step::Waiting);
    clock.tick(Duration::from_millis(59_999));
    assert_eq!(nap.resume()?, Step::Waiting);
    clock.tick(Duration::from_millis(1));
    assert_eq!(nap.resume()?, Step::Done);
    assert_eq!(nap.try_get_result()?, Some(()));

    // A tick wakes a job.
    let mut nap = guest.nap(1)?;
    let job = a_thread_each.submit(nap.to_job()?);
    clock.wait_for_sleepers(1);
    clock.tick(Duration::from_millis(1));
    job.wait();
    assert_eq!(nap.try_get_result()?, Some(()));

    // A guest that sleeps for no time yields.
    let mut nap = guest.nap(0)?;
    assert_eq!(nap.resume()?, Step::Yielded);
    assert_eq!(nap.resume()?, Step::Done);
    Ok(())
}

fn is_cancelled_while_it_computes(make: &Make) -> Result<(), Error> {
    let guest = make(&ManualClock::new())?;
    guest.set_slice(Slice::Time(Duration::from_millis(1)))?;
    let mut spin = guest.spin()?;
    assert_eq!(spin.resume()?, Step::Yielded, "its slice ends in the loop");
    guest.set_slice(Slice::Unbounded)?;
    let job = a_thread_each.submit(spin.to_job()?);
    spin.cancel();
    job.wait();
    assert!(matches!(spin.try_get_result(), Err(Error::Cancelled)));
    Ok(())
}

fn is_cancelled_while_it_sleeps(make: &Make) -> Result<(), Error> {
    let clock = ManualClock::new();
    let guest = make(&clock)?;
    let mut nap = guest.nap(i32::MAX)?;
    let job = a_thread_each.submit(nap.to_job()?);
    clock.wait_for_sleepers(1);
    nap.cancel();
    job.wait();
    assert!(matches!(nap.try_get_result(), Err(Error::Cancelled)));
    assert_eq!(clock.sleepers(), 0);
    Ok(())
}

fn says_why_it_panics(make: &Make) -> Result<(), Error> {
    let guest = make(&ManualClock::new())?;
    let error = guest.fail()?.wait().expect_err("the guest panics");
    assert!(error.to_string().contains("the berries are gone"), "{error}");
    let Error::Trap(trap) = error else { panic!("{error:?}") };
    assert!(trap.message().is_some_and(|message| message.contains("the berries are gone")));
    assert!(trap.backtrace().is_some());
    Ok(())
}

/// A module that panics with a message at this address.
fn panics_with(memory: &str, address: u32, bytes: u32) -> Result<Error, Error> {
    let text = format!(
        r#"(module
            (import "env" "panic" (func $panic (param i32 i32)))
            {memory}
            (func (export "run") (call $panic (i32.const {address}) (i32.const {bytes}))))"#
    );
    let mut linker = Linker::<()>::new(&ENGINE);
    guest_kit::add_to_linker(&mut linker, ManualClock::new())?;
    let guest = Instance::new(&linker.instantiate_pre(&compile(&ENGINE, &text)?)?, ())?;
    let error = guest.call::<(), ()>("run", ())?.wait().expect_err("the guest panics");
    assert!(guest.is_poisoned());
    Ok(error)
}

fn message_of(error: &Error) -> &str {
    let Error::Trap(trap) = error else { panic!("{error:?}") };
    assert_eq!(trap.code(), Trap::UnreachableCodeReached);
    trap.message().expect("the trap has a message")
}

#[test]
fn a_message_that_is_not_text_or_lies_outside_the_memory_is_a_trap_all_the_same()
-> Result<(), Error> {
    let memory = r#"(memory (export "memory") 1) (data (i32.const 0) "gr\fc\c3\bc\c3")"#;
    assert_eq!(message_of(&panics_with(memory, 0, 6)?), "gr\u{fffd}ü\u{fffd}");
    assert_eq!(message_of(&panics_with(memory, 65_536, 0)?), "");
    for (address, bytes) in [(65_536, 1), (0, 65_537), (u32::MAX, u32::MAX), (65_530, u32::MAX)] {
        let error = panics_with(memory, address, bytes)?;
        assert_eq!(message_of(&error), "(its message lies outside its memory)");
    }
    let unread = r#"(its message cannot be read: no memory named "memory")"#;
    for memory in ["", r#"(memory (export "berries") 1)"#] {
        assert_eq!(message_of(&panics_with(memory, 0, 1)?), unread);
    }
    Ok(())
}

#[test]
fn a_long_message_is_cut_off_between_two_characters() -> Result<(), Error> {
    let fits = "ab".repeat(guest_kit::MAX_MESSAGE / 2);
    let memory = format!(r#"(memory (export "memory") 1) (data (i32.const 0) "{fits}c")"#);
    let bytes = u32::try_from(guest_kit::MAX_MESSAGE).expect("the bound is small");
    assert_eq!(message_of(&panics_with(&memory, 0, bytes)?), fits);
    assert_eq!(message_of(&panics_with(&memory, 0, bytes + 1)?), format!("{fits}…"));

    // The cut goes through the last character of three bytes.
    let characters = guest_kit::MAX_MESSAGE / 3;
    let text = "€".repeat(characters + 1);
    let memory = format!(r#"(memory (export "memory") 1) (data (i32.const 0) "{text}")"#);
    let message = format!("{}…", "€".repeat(characters));
    assert_eq!(message_of(&panics_with(&memory, 0, bytes + 2)?), message);
    Ok(())
}

#[test]
fn a_guest_that_panics_is_a_trap_as_a_value() -> Result<(), Error> {
    let mut linker = Linker::<()>::new(&ENGINE);
    guest_kit::add_to_linker(&mut linker, ManualClock::new())?;
    let module = Module::from_file(&ENGINE, "guests/kit/c.wasm")?;
    let guest = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    let trap = guest.try_call::<(), ()>("fail", ())?.wait()?.expect_err("the guest panics");
    assert_eq!(trap.message(), Some("the berries are gone"));
    assert_eq!(trap.to_string(), "the guest trapped: the berries are gone");
    Ok(())
}

#[test]
fn a_linker_that_has_one_of_the_functions_refuses_the_kit() -> Result<(), Error> {
    let mut linker = Linker::<()>::new(&ENGINE);
    linker.func_wrap("env", "sleep", |_: i64| ())?;
    let refused = guest_kit::add_to_linker(&mut linker, ManualClock::new());
    assert!(matches!(refused, Err(Error::Wasmtime(_))));
    Ok(())
}
