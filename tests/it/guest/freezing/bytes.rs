//! Frozen calls as bytes, among them forged ones.

use super::{DEEP, Log, begin, linked};
use crate::guest::checkpoints::random::Chance;
use twox_hash::XxHash3_64;
use wasm_jobs::{Error, Frozen, InstanceOptions, PreparedPre, Slice, Step};

/// A call with functions in each other, values of all types, references, a loop, a table and a memory. Gives 1 + … + 6, and what its values add to that.
const GUEST: &str = r#"(module
    (import "env" "yield" (func $yield))
    (import "env" "sleep" (func $sleep (param i64)))
    (import "host" "wait" (func $wait (param i32) (result i32)))
    (import "host" "log" (func $log (param i32)))
    (type $t (func (param i32) (result i32)))
    (memory (export "memory") 1 4)
    (table $f 3 10 funcref) (elem (i32.const 0) $down $one)
    (global $g (mut i64) (i64.const 11))
    (func $one (type $t) (i32.add (call $wait (local.get 0)) (i32.const 1)))
    (func $down (type $t) (local $v v128) (local $d f64) (local $f (ref null $t)) (local $any funcref)
        (local.set $v (v128.const i32x4 1 2 3 4))
        (local.set $d (f64.const 0.5))
        (local.set $f (ref.func $one))
        (if (result i32) (local.get 0)
            (then (i32.add (local.get 0)
                (call_indirect $f (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))
            (else
                (i32.store (i32.const 5000) (i32.const 3))
                (global.set $g (i64.const 12))
                (call_ref $t (i32.const 6) (local.get $f))))
        (i32.add (i32.trunc_f64_s (f64.mul (local.get $d) (f64.const 2))))
        (i32.add (i32x4.extract_lane 2 (local.get $v)))
        (i32.add (ref.is_null (local.get $any))))
    (func (export "run") (param i32) (result i32)
        (i32.add (call $down (local.get 0)) (i32.load (i32.const 5000))))
    (func (export "sleep") (param i64) (result i64) (call $sleep (local.get 0)) (global.get $g)))"#;

/// 6 + … + 1, in each of seven functions 5 more, and then 8 and 3.
const RESULT: i32 = 21 + 7 * 5 + 8 + 3;

fn frozen(pre: &PreparedPre<Log>) -> Result<Frozen<i32>, Error> {
    let (_instance, mut call) = begin::<_, i32>(pre, "run", 6)?;
    assert_eq!(call.resume()?, Step::Yielded);
    call.freeze()
}

/// The same bytes with the hash that fits them.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some((checked, hash)) = bytes.split_last_chunk_mut::<8>() {
        *hash = XxHash3_64::oneshot(checked).to_le_bytes();
    }
    bytes
}

fn read(pre: &PreparedPre<Log>, bytes: &[u8]) -> Result<Frozen<i32>, Error> {
    let options = InstanceOptions::default().memory(1 << 20).table_elements(1_000);
    Frozen::from_bytes_within(pre, &options, bytes)
}

#[test]
fn they_are_the_same_each_time_and_go_on() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let bytes = frozen(&pre)?.to_bytes();
    assert!(bytes == frozen(&pre)?.to_bytes());
    assert!(bytes.len() < 1_024 + 4_096, "{} bytes", bytes.len());
    let there = read(&pre, &bytes)?;
    assert_eq!(there.export(), "run");
    let mut call = there.thaw(&pre, InstanceOptions::default(), Log::default())?;
    assert_eq!(call.wait()?, RESULT);
    Ok(())
}

#[test]
fn each_length_but_the_whole_is_refused() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let bytes = frozen(&pre)?.to_bytes();
    for length in 0..bytes.len() {
        for bytes in [bytes[..length].to_vec(), signed(bytes[..length].to_vec())] {
            match read(&pre, &bytes) {
                Err(Error::InvalidFrozen { .. } | Error::InvalidCheckpoint { .. }) => {}
                other => panic!("{length}: {other:?}"),
            }
        }
    }
    let longer = signed([&*bytes, &[0; 9]].concat());
    assert!(matches!(read(&pre, &longer), Err(Error::InvalidFrozen { .. })));
    Ok(())
}

#[test]
fn each_byte_that_is_changed_is_noticed() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let bytes = frozen(&pre)?.to_bytes();
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            let refused = read(&pre, &bytes);
            assert!(matches!(refused, Err(Error::InvalidFrozen { .. })), "{at}: {refused:?}");
        }
    }
    Ok(())
}

#[test]
fn another_version_and_another_module_are_named() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let frozen = frozen(&pre)?;
    let mut bytes = frozen.to_bytes();
    bytes[8] = 9;
    let refused = read(&pre, &signed(bytes)).expect_err("there is no version 9");
    assert!(refused.to_string().contains("version 9"), "{refused}");
    let other = linked(&DEEP, &GUEST.replace("(i32.const 5000)", "(i32.const 5001)"))?;
    let refused = read(&other, &frozen.to_bytes());
    assert!(matches!(refused, Err(Error::OtherModule { .. })), "{refused:?}");
    let refused = frozen.thaw(&other, InstanceOptions::default(), Log::default());
    assert!(matches!(refused, Err(Error::OtherModule { .. })), "{refused:?}");
    Ok(())
}

/// Has a call go on that strangers have written. It may do anything that its guest could do, within its limits.
fn goes_on_in_its_sandbox(pre: &PreparedPre<Log>, forged: &Frozen<i32>) -> &'static str {
    // The fuel of its bytes counts, and the time does not pass by itself. So the steps are limited.
    let options =
        InstanceOptions::default().memory(1 << 20).table_elements(1_000).slice(Slice::Fuel(10_000));
    let (instance, mut call) = match forged.thaw_with_instance(pre, options, Log::default()) {
        Ok(both) => both,
        Err(Error::Panic(panic)) => panic!("{panic:?}"),
        Err(_) => return "not thawed",
    };
    for _ in 0..20 {
        match call.resume() {
            Ok(Step::Yielded) => {}
            Ok(Step::Waiting) => return "waits",
            Ok(Step::Done) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let outcome = match call.try_get_result() {
        Ok(None) => "runs on",
        Ok(Some(RESULT)) => "as it would have",
        Ok(Some(_)) => "another result",
        Err(Error::Panic(panic)) => panic!("{panic:?}"),
        Err(_) => "failed",
    };
    drop(call);
    let mut store = instance.store().expect("no call has the guest");
    let memory = store.memory("memory").expect("it has one");
    assert!(memory.data_size(&store) <= 1 << 20);
    outcome
}

#[test]
fn forged_ones_are_refused_or_stay_in_their_sandbox() -> Result<(), Error> {
    let engine = super::deep(&wasm_jobs::EngineOptions::default().fuel(true));
    let pre = linked(&engine, GUEST)?;
    let original = frozen(&pre)?.to_bytes();
    // The name, the version and the hash of the module say who wrote the bytes. All others are changed.
    const FROM: usize = 8 + 4 + 16;
    let mut outcomes = std::collections::BTreeMap::new();
    let mut count = |bytes: Vec<u8>| match read(&pre, &signed(bytes)) {
        Err(
            Error::InvalidFrozen { .. }
            | Error::InvalidCheckpoint { .. }
            | Error::OtherModule { .. },
        ) => *outcomes.entry("refused").or_insert(0) += 1,
        Err(error) => panic!("another error: {error}"),
        Ok(forged) => *outcomes.entry(goes_on_in_its_sandbox(&pre, &forged)).or_insert(0) += 1,
    };
    // Each byte of the call alone.
    for at in FROM..original.len() - 8 {
        for change in [1, 2, 0x7f, 0x80, 0xff] {
            let mut bytes = original.clone();
            bytes[at] ^= change;
            count(bytes);
        }
    }
    let more = std::env::var("WASM_JOBS_FORGED").ok();
    let more = more.map_or(3_000, |text| text.parse().expect("it is a number"));
    let chance = &mut Chance::new(11);
    for _ in 0..more {
        let mut bytes = original.clone();
        for _ in 0..=chance.below(3) {
            let at = FROM + chance.below(bytes.len() - FROM - 8);
            let end = (bytes.len() - 8).min(at + chance.below(30));
            match chance.below(5) {
                0 => bytes[at] ^= 1 << chance.below(8),
                1 => bytes[at] = chance.below(256) as u8,
                2 => {
                    let value = [u32::MAX, 0, 1 << 31, 7][chance.below(4)].to_le_bytes();
                    let end = (bytes.len() - 8).min(at + 4);
                    bytes[at..end].copy_from_slice(&value[..end - at]);
                }
                3 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => drop(bytes.drain(at..end)),
            }
            if bytes.len() < FROM + 16 {
                break;
            }
        }
        count(bytes);
    }
    println!("{outcomes:?}");
    for outcome in ["refused", "not thawed", "failed", "another result"] {
        assert!(outcomes.get(outcome).is_some_and(|count| *count > 5), "{outcomes:?}");
    }
    Ok(())
}

#[test]
fn what_a_forged_call_waits_in_is_checked() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let original = frozen(&pre)?.to_bytes();
    let renamed = |from: &[u8], to: &[u8]| {
        let at = original.windows(from.len()).position(|piece| piece == from).expect("it is there");
        signed([&original[..at], to, &original[at + from.len()..]].concat())
    };
    let name = |module: &str, name: &str| {
        let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        [text(module), text(name)].concat()
    };
    let wait = name("host", "wait");
    let thaw = |bytes: &[u8]| {
        let forged = read(&pre, bytes)?;
        forged.thaw(&pre, InstanceOptions::default(), Log::default())
    };
    for other in [name("host", "log"), name("host", "none"), name("wait", "host")] {
        let refused = thaw(&renamed(&wait, &other));
        assert!(matches!(refused, Err(Error::InvalidFrozen { .. })), "{refused:?}");
    }
    // A function of other parameters and results is one that the innermost function did not call.
    for other in [name("env", "sleep"), name("env", "yield")] {
        let failed = thaw(&renamed(&wait, &other)).and_then(|mut call| call.wait());
        assert!(failed.is_err(), "{failed:?}");
    }
    Ok(())
}

#[test]
fn the_result_has_to_be_of_the_type_that_is_asked_for() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let bytes = frozen(&pre)?.to_bytes();
    let of_another = Frozen::<i64>::from_bytes(&pre, &bytes)?;
    let refused = of_another.thaw(&pre, InstanceOptions::default(), Log::default());
    assert!(matches!(refused, Err(Error::InvalidFrozen { .. })), "{refused:?}");
    let of_none = Frozen::<()>::from_bytes(&pre, &bytes)?;
    let refused = of_none.thaw(&pre, InstanceOptions::default(), Log::default());
    assert!(matches!(refused, Err(Error::InvalidFrozen { .. })), "{refused:?}");
    Ok(())
}

#[test]
fn a_guest_larger_than_the_limits_is_not_read() -> Result<(), Error> {
    let pre = linked(&DEEP, GUEST)?;
    let frozen = frozen(&pre)?;
    let bytes = frozen.to_bytes();
    let within =
        |options: &InstanceOptions| Frozen::<i32>::from_bytes_within(&pre, options, &bytes);
    // The table is not counted, because it never changes.
    let exact = InstanceOptions::default().memory(65_536).table_elements(3);
    let mut call = within(&exact)?.thaw(&pre, exact, Log::default())?;
    assert_eq!(call.wait()?, RESULT, "the functions' twins count for nothing");
    let less = InstanceOptions::default().memory(65_535);
    let refused = within(&less);
    assert!(matches!(refused, Err(Error::InvalidCheckpoint { .. })), "{refused:?}");
    // Nor is an instance made with such limits.
    assert!(frozen.thaw(&pre, less, Log::default()).is_err());
    Ok(())
}

/// A pool gives each guest one table and one memory.
#[test]
fn in_a_pool_a_guest_with_a_table_goes_on() -> Result<(), Error> {
    let pool = wasm_jobs::engine(&wasm_jobs::EngineOptions::default().pooling(3))?;
    let pre = linked(&pool, GUEST)?;
    let frozen = frozen(&pre)?;
    for frozen in [frozen.clone(), read(&pre, &frozen.to_bytes())?] {
        let mut call = frozen.thaw(&pre, InstanceOptions::default(), Log::default())?;
        assert_eq!(call.wait()?, RESULT);
    }
    Ok(())
}
