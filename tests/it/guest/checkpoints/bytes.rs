//! Checkpoints as bytes, among them forged ones.

use super::random::Chance;
use super::{MACHINE, ON_DEMAND, call, linked, machine};
use twox_hash::XxHash3_64;
use wasm_jobs::{Checkpoint, EngineOptions, Error, Instance, InstanceOptions, PreparedPre, engine};

/// A machine that has changed, as bytes.
fn changed() -> Result<Vec<u8>, Error> {
    let machine = machine()?;
    call::<_, (), _>(&machine, "set_numbers", 11)?;
    call::<_, (), _>(&machine, "set_function", 2)?;
    call::<_, (), _>(&machine, "put_function", (3, 3))?;
    call::<_, (), _>(&machine, "fill", (8_000, 7, 300))?;
    call::<_, i32, _>(&machine, "grow", 1)?;
    call::<_, (), _>(&machine, "drop", ())?;
    Ok(machine.checkpoint()?.to_bytes())
}

/// The same bytes with the checksum that fits them.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some((checked, hash)) = bytes.split_last_chunk_mut::<8>() {
        *hash = XxHash3_64::oneshot(checked).to_le_bytes();
    }
    bytes
}

fn read(pre: &PreparedPre<()>, bytes: &[u8]) -> Result<Checkpoint, Error> {
    let options = InstanceOptions::default().memory(1 << 20).table_elements(1_000);
    Checkpoint::from_bytes_within(pre, &options, bytes)
}

#[test]
fn another_engine_goes_on_from_them() -> Result<(), Error> {
    let bytes = changed()?;
    let options = EngineOptions::default().on_demand().epoch_interruption(false).fuel(true);
    let pre = linked(&engine(&options)?, MACHINE)?;
    let machine = Checkpoint::from_bytes(&pre, &bytes)?.instantiate(&pre, ())?;
    let numbers: (i32, i64, f32, f64, i64) = call(&machine, "numbers", ())?;
    assert_eq!(numbers, (11, 11, 11.0, 11.0, 11 << 32 | 11));
    assert_eq!(call::<_, i32, _>(&machine, "ask", 3)?, 7);
    assert_eq!(call::<_, i32, _>(&machine, "ask_global", ())?, 2);
    assert_eq!(call::<_, i32, _>(&machine, "size", ())?, 3);
    assert_eq!(call::<_, i32, _>(&machine, "load", 8_296)?, 0x0707_0707);
    assert_eq!(call::<_, i32, _>(&machine, "load", 8_300)?, 0);
    assert!(machine.try_call::<_, ()>("init", (0, 0, 1))?.wait()?.is_err());
    Ok(())
}

#[test]
fn they_are_the_same_each_time() -> Result<(), Error> {
    assert_eq!(changed()?, changed()?);
    Ok(())
}

#[test]
fn each_length_but_the_whole_is_refused() -> Result<(), Error> {
    let (pre, bytes) = (linked(&ON_DEMAND, MACHINE)?, changed()?);
    read(&pre, &bytes)?;
    for length in 0..bytes.len() {
        for bytes in [bytes[..length].to_vec(), signed(bytes[..length].to_vec())] {
            let refused = read(&pre, &bytes);
            assert!(
                matches!(refused, Err(Error::InvalidCheckpoint { .. })),
                "{length}: {refused:?}"
            );
        }
    }
    let longer = signed([&*bytes, &[0; 9]].concat());
    assert!(matches!(read(&pre, &longer), Err(Error::InvalidCheckpoint { .. })));
    Ok(())
}

#[test]
fn each_bit_that_is_changed_is_noticed() -> Result<(), Error> {
    let (pre, bytes) = (linked(&ON_DEMAND, MACHINE)?, changed()?);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let refused = read(&pre, &bytes);
            assert!(matches!(refused, Err(Error::InvalidCheckpoint { .. })), "{at}: {refused:?}");
        }
    }
    Ok(())
}

#[test]
fn another_version_is_named() -> Result<(), Error> {
    let (pre, mut bytes) = (linked(&ON_DEMAND, MACHINE)?, changed()?);
    bytes[8] = 9;
    let refused = read(&pre, &signed(bytes)).expect_err("there is no version 9");
    assert!(refused.to_string().contains("version 9"), "{refused}");
    Ok(())
}

/// Bytes with the right checksum, but with other contents. Each is refused, or makes a guest that keeps within its limits and runs.
#[test]
fn forged_ones_are_refused_or_make_a_guest_in_its_bounds() -> Result<(), Error> {
    let (pre, original) = (linked(&ON_DEMAND, MACHINE)?, changed()?);
    let other = machine()?.checkpoint()?.to_bytes();
    let chance = &mut Chance::new(5);
    let machine = Instance::new(&pre, ())?;
    let mut read_count = 0;
    for _ in 0..100_000 {
        let mut bytes = original.clone();
        for _ in 0..=chance.below(3) {
            let at = chance.below(bytes.len());
            match chance.below(6) {
                0 => bytes[at] ^= 1 << chance.below(8),
                1 => bytes[at] = chance.below(256) as u8,
                2 => bytes.truncate(at.max(40)),
                3 => {
                    let value = [u32::MAX, 0, 1 << 31, 65_536][chance.below(4)].to_le_bytes();
                    let end = bytes.len().min(at + 4);
                    bytes[at..end].copy_from_slice(&value[..end - at]);
                }
                4 => {
                    let from = chance.below(other.len());
                    let piece = &other[from..other.len().min(from + chance.below(60))];
                    bytes.splice(at..at, piece.iter().copied());
                }
                _ => {
                    let end = bytes.len().min(at + chance.below(60));
                    bytes.drain(at..end);
                }
            }
            if bytes.len() < 40 {
                break;
            }
        }
        match read(&pre, &signed(bytes)) {
            Err(Error::InvalidCheckpoint { .. } | Error::OtherModule { .. }) => {}
            Err(error) => panic!("another error: {error}"),
            Ok(forged) => {
                assert!(forged.size().bytes <= 1 << 20);
                read_count += 1;
                // Some of them run.
                if read_count % 50 == 0 {
                    machine.rollback(&forged)?;
                    assert_eq!(machine.checkpoint()?.hash(), forged.hash());
                    let _: (i32, i64, f32, f64, i64) = call(&machine, "numbers", ())?;
                    assert!(call::<_, i32, _>(&machine, "size", ())? <= 16);
                }
            }
        }
    }
    assert!(read_count > 1_000, "only {read_count} were read");
    Ok(())
}

#[test]
fn a_guest_larger_than_the_limits_is_not_read() -> Result<(), Error> {
    let (pre, bytes) = (linked::<()>(&ON_DEMAND, MACHINE)?, changed()?);
    let within = |options: InstanceOptions| Checkpoint::from_bytes_within(&pre, &options, &bytes);
    within(InstanceOptions::default().memory(3 * 65_536).table_elements(6))?;
    for options in [
        InstanceOptions::default().memory(3 * 65_536 - 1),
        InstanceOptions::default().table_elements(5),
    ] {
        let refused = within(options);
        assert!(matches!(refused, Err(Error::InvalidCheckpoint { .. })), "{refused:?}");
    }
    Ok(())
}

#[cfg(feature = "serde")]
#[test]
fn serde_writes_the_state_of_the_host_too() -> Result<(), Error> {
    let pre = linked(&ON_DEMAND, MACHINE)?;
    let machine = Instance::new(&pre, String::from("the host's"))?;
    call::<_, (), _>(&machine, "set_numbers", 11)?;
    let here = machine.checkpoint_with_state()?;
    let bytes = postcard::to_allocvec(&here).expect("it can be written");
    let loaded: Checkpoint<String> = postcard::from_bytes(&bytes).expect("it can be read");
    assert_eq!(loaded.state(), "the host's");
    assert_eq!(loaded.hash(), here.hash());
    let twin = loaded.instantiate(&pre, loaded.state().clone())?;
    assert_eq!(call::<_, (i32, i64, f32, f64, i64), _>(&twin, "numbers", ())?.0, 11);
    assert!(postcard::from_bytes::<Checkpoint<String>>(&bytes[1..]).is_err());
    Ok(())
}
