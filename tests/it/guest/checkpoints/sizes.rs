//! How many bytes checkpoints hold.

use super::super::ENGINE;
use super::{call, linked};
use wasm_jobs::{Error, Instance};

const WRITER: &str = r#"(module
    (memory 16)
    (data (i32.const 0) "some contents")
    (func (export "store") (param $at i32) (param $value i32)
        (i32.store (local.get $at) (local.get $value))))"#;

const PAGE: usize = 4096;

#[test]
fn checkpoints_that_follow_each_other_share_what_did_not_change() -> Result<(), Error> {
    let instance = Instance::new(&linked(&ENGINE, WRITER)?, ())?;
    let store = |at, value| call::<_, (), _>(&instance, "store", (at, value));
    let first = instance.checkpoint()?;
    assert_eq!((first.size().bytes, first.size().shared), (0, 0), "all is as in the beginning");
    for page in 0..10 {
        store(page * 4096 + 100, 1)?;
    }
    let second = instance.checkpoint()?;
    assert_eq!((second.size().bytes, second.size().changed), (10 * PAGE, 10 * PAGE));
    store(100, 2)?;
    let third = instance.checkpoint()?;
    assert_eq!((third.size().bytes, third.size().changed), (10 * PAGE, PAGE));
    drop(instance);
    assert_eq!(second.size().shared, 9 * PAGE);
    assert_eq!(third.size().shared, 9 * PAGE);
    drop(third);
    assert_eq!(second.size().shared, 0);
    Ok(())
}

#[test]
fn pages_that_are_as_in_the_beginning_are_not_held() -> Result<(), Error> {
    let instance = Instance::new(&linked(&ENGINE, WRITER)?, ())?;
    let store = |at, value| call::<_, (), _>(&instance, "store", (at, value));
    let begin = instance.checkpoint()?.hash();
    store(500_000, 1)?;
    assert_eq!(instance.checkpoint()?.size().bytes, PAGE);
    store(500_000, 0)?;
    let here = instance.checkpoint()?;
    assert_eq!(here.size().bytes, 0);
    assert_eq!(here.hash(), begin);
    Ok(())
}

#[test]
fn bytes_have_what_the_guest_wrote_and_no_zeros() -> Result<(), Error> {
    let instance = Instance::new(&linked(&ENGINE, WRITER)?, ())?;
    let empty = instance.checkpoint()?.to_bytes().len();
    assert!(empty < 100, "{empty} bytes");
    for page in 0..10 {
        call::<_, (), _>(&instance, "store", (page * 8192 + 5_000, 1))?;
    }
    let bytes = instance.checkpoint()?.to_bytes().len();
    assert!(bytes < empty + 10 * 20, "{bytes} bytes");
    Ok(())
}
