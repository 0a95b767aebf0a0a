//! The bytes of a frozen call: [`encode`] writes them, and [`decode`] reads and checks them.
//!
//! A name, the version of the format and the hash of the module's points come first. Then come the export, the function that the call waits in, the fuel, and the functions
//! on the stack, the innermost first. Words of functions have as many bytes as they need, 7 bits in each. Then come the bytes of the guest, as those of a checkpoint, with the differences of its memories in the place of their contents. At the end is a hash of all bytes before it.

use crate::error::Error;
use crate::guest::checkpoint::bytes::{self, Reader, Writer};
use crate::guest::checkpoint::saved_guest::SavedGuest;
use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::frames::{FrameStart, Frames, Pending};
use crate::guest::freeze::freezable_module::{FreezableModule, WORDS};
use crate::guest::freeze::frozen_call::FrozenCall;
use crate::guest::limit::options::InstanceOptions;
use crate::guest::module_name::module_name;
use crate::guest::prepared::pre::PreparedPre;
use std::sync::Arc;
use std::time::Duration;

/// What all frozen calls begin with.
const NAME: &[u8; 8] = b"wjfrozen";

/// The version of the format.
const VERSION: u32 = 1;

pub(crate) fn encode(call: &FrozenCall) -> Vec<u8> {
    let FrozenCall { export, guest, frames, pending, fuel, freezable } = call;
    let mut out = Writer::new(NAME, VERSION);
    out.0.extend_from_slice(&freezable.hash);
    out.text(export);
    out.text(&pending.module);
    out.text(&pending.name);
    out.count(pending.params.len());
    pending.params.iter().for_each(|value| out.value(value));
    let waited = u64::try_from(pending.waited.as_nanos()).unwrap_or(u64::MAX);
    out.word(waited);
    out.count(usize::from(fuel.is_some()));
    out.word(fuel.unwrap_or(0));
    out.count(frames.starts.len());
    for (frame, start) in frames.starts.iter().enumerate() {
        let point = frames.point(frame) as usize;
        let words = freezable.frames.points[point].words();
        for word in &frames.words[start.word..][..words] {
            out.word(word.cast_unsigned());
        }
        let references = freezable.points[point].references;
        for reference in &frames.references[start.reference..][..references] {
            out.value(reference);
        }
    }
    let guest = bytes::encode(guest.layout, &freezable.initial.differences(&guest.state));
    out.word(guest.len() as u64);
    out.0.extend_from_slice(&guest);
    out.finish()
}

/// Reads a call of the module.
///
/// # Errors
///
/// As [`Frozen::from_bytes_within`](crate::Frozen::from_bytes_within).
pub(crate) fn decode<S: Send + 'static>(
    pre: &PreparedPre<S>,
    options: &InstanceOptions,
    bytes: &[u8],
) -> Result<FrozenCall, Error> {
    let module = pre.module();
    let Some(freezable) = pre.prepared().freezable() else {
        return Err(Error::NotFreezable { module: module_name(module) });
    };
    let mut reader = Reader::open(bytes, NAME, VERSION, "a frozen call").map_err(of_frozen)?;
    if *reader.array().map_err(of_frozen)? != freezable.hash {
        return Err(Error::OtherModule { module: module_name(module) });
    }
    let contents = read(&mut reader, freezable).map_err(of_frozen)?;
    let Contents { export, pending, fuel, frames, guest } = contents;
    let mut guest = SavedGuest::from_bytes(module, options, guest)?;
    guest.state = freezable.initial.differences(&guest.state);
    let guest = Arc::new(guest);
    Ok(FrozenCall { export, guest, frames, pending, fuel, freezable: freezable.clone() })
}

/// What the bytes have after the hash of the points.
struct Contents<'a> {
    export: Arc<str>,
    pending: Pending,
    fuel: Option<u64>,
    frames: Frames<Value>,
    guest: &'a [u8],
}

fn read<'a>(reader: &mut Reader<'a>, freezable: &FreezableModule) -> Result<Contents<'a>, Error> {
    let export = reader.text()?.into();
    let (module, name) = (reader.text()?.into(), reader.text()?.into());
    let params = reader.list(Reader::value)?.into();
    let waited = Duration::from_nanos(reader.word()?);
    let fuel = match (reader.u32()?, reader.word()?) {
        (0, 0) => None,
        (1, fuel) => Some(fuel),
        _ => return Err(invalid("its fuel is no number")),
    };
    let mut frames = Frames::new();
    for _ in 0..reader.u32()? {
        let start = FrameStart { word: frames.words.len(), reference: frames.references.len() };
        let point = reader.word()?;
        let place = usize::try_from(point).ok();
        let described = place.and_then(|place| freezable.frames.points.get(place));
        let (Some(place), Some(described)) = (place, described) else {
            return Err(invalid("a function is where it never waits"));
        };
        frames.starts.push(start);
        frames.words.push(point.cast_signed());
        for _ in 1..described.words() {
            frames.words.push(reader.word()?.cast_signed());
        }
        frames.words.resize(frames.words.len().next_multiple_of(WORDS), 0);
        for _ in 0..freezable.points[place].references {
            frames.references.push(reader.value()?);
        }
    }
    let len = usize::try_from(reader.word()?).map_err(|_| truncated())?;
    let guest = reader.take(len)?;
    match reader.0 {
        [] => {
            let pending = Pending { module, name, params, waited };
            Ok(Contents { export, pending, fuel, frames, guest })
        }
        _ => Err(invalid("there are bytes after its end")),
    }
}

impl Writer {
    /// A number with as many bytes as it needs.
    fn word(&mut self, mut word: u64) {
        while word >= 1 << 7 {
            self.0.push(word as u8 | 1 << 7);
            word >>= 7;
        }
        self.0.push(word as u8);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}

impl<'a> Reader<'a> {
    fn word(&mut self) -> Result<u64, Error> {
        let mut word = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = *self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            word |= bits << shift;
            if byte < 1 << 7 {
                return Ok(word);
            }
        }
        Err(invalid("a number has more than 64 bits"))
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let len = self.u32()? as usize;
        let text = str::from_utf8(self.take(len)?);
        text.map_err(|_| invalid("a name is no text"))
    }
}

/// What is read in the same way as a checkpoint is none.
fn of_frozen(error: Error) -> Error {
    match error {
        Error::InvalidCheckpoint { why } => Error::InvalidFrozen { why },
        error => error,
    }
}

fn truncated() -> Error {
    invalid("bytes are missing at its end")
}

fn invalid(why: &str) -> Error {
    Error::InvalidFrozen { why: why.into() }
}
