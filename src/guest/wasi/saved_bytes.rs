//! A [`WasiSaved`](super::WasiSaved) as bytes: a mark and a version, the parts one after the other, and a checksum. Numbers are little-endian.

use crate::error::Error;
use crate::guest::wasi::files::{Files, SavedFile};
use crate::guest::wasi::generator::{Position, is_position};
use crate::guest::wasi::given::Given;
use crate::guest::wasi::lines::Lines;
use crate::guest::wasi::opened::{File, How};
use crate::guest::wasi::saved_state::State;
use crate::guest::wasi::shifted::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wasmtime_wasi::p1::types::Fdflags;

/// The mark, and the version in its last byte.
const START: [u8; 5] = *b"WASI\x01";

pub(crate) fn write(state: &State) -> Vec<u8> {
    let mut to = Writer(START.to_vec());
    to.option(state.generators.as_ref(), |to, both| {
        both.iter().for_each(|position| to.0.extend_from_slice(position));
    });

    to.duration(state.moment.now);
    let since_1970 = state.moment.wall_time.duration_since(SystemTime::UNIX_EPOCH);
    to.flag(since_1970.is_err());
    to.duration(since_1970.unwrap_or_else(|before| before.duration()));

    for line in &state.lines {
        to.option(line.as_ref(), |to, line| to.bytes(line));
    }

    let Given { arguments, variables, directories } = &*state.given;
    to.list(arguments, |to, argument| to.bytes(argument.as_bytes()));
    to.list(variables, |to, (name, value)| {
        to.bytes(name.as_bytes());
        to.bytes(value.as_bytes());
    });
    to.list(directories, |to, directory| to.bytes(directory.as_bytes()));

    to.list(&state.files.slots, |to, (number, file)| {
        to.0.extend_from_slice(&number.to_le_bytes());
        to.option(file.as_ref(), |to, SavedFile { file, offset }| {
            to.0.extend_from_slice(&file.base.to_le_bytes());
            to.bytes(file.path.as_deref().unwrap_or_default().as_bytes());
            to.flag(file.how.follows_links);
            to.flag(file.how.reads);
            to.flag(file.how.writes);
            to.0.extend_from_slice(&file.how.flags.to_le_bytes());
            to.option(offset.as_ref(), |to, offset| to.0.extend_from_slice(&offset.to_le_bytes()));
        });
    });

    let checksum = checksum(&to.0);
    to.0.extend_from_slice(&checksum.to_le_bytes());
    to.0
}

pub(crate) fn read(bytes: &[u8]) -> Result<State, Error> {
    let body = body(bytes).map_err(invalid)?;
    let mut from = Reader(body);
    let state = state(&mut from).ok_or_else(|| invalid("a part of it is not valid"))?;
    if !from.0.is_empty() {
        return Err(invalid("there are bytes after its end"));
    }
    if let Some((number, why)) = state.files.fault(&state.given) {
        return Err(invalid(&format!("descriptor {number}: {why}")));
    }
    Ok(state)
}

fn invalid(why: &str) -> Error {
    Error::InvalidCheckpoint { why: why.into() }
}

/// The bytes between the mark and the checksum.
fn body(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let (rest, sum) = bytes.split_last_chunk().ok_or("bytes are missing at its end")?;
    let (mark, version) = START.split_at(START.len() - 1);
    let after = rest.strip_prefix(mark).ok_or("the bytes are not those of a WASI context")?;
    let body =
        after.strip_prefix(version).ok_or("another version of the library has written it")?;
    if checksum(rest) == u64::from_le_bytes(*sum) {
        Ok(body)
    } else {
        Err("its bytes were changed, or are not all of them")
    }
}

/// FNV-1a. Every change of a single byte changes it.
fn checksum(bytes: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

fn state(from: &mut Reader<'_>) -> Option<State> {
    let generators = from.option(|from| Some([position(from)?, position(from)?]))?;
    let now = from.duration()?;
    let is_before_1970 = from.flag()?;
    let wall_time = match (is_before_1970, from.duration()?) {
        // Each state has one form as bytes: zero is written as a time after 1970.
        (true, Duration::ZERO) => return None,
        (true, before) => SystemTime::UNIX_EPOCH.checked_sub(before)?,
        (false, after) => SystemTime::UNIX_EPOCH.checked_add(after)?,
    };
    let lines = [from.option(line)?, from.option(line)?];
    let given = Given {
        arguments: from.list(Reader::text)?,
        variables: from.list(|from| Some((from.text()?, from.text()?)))?,
        directories: from.list(Reader::text)?,
    };
    let mut slots = BTreeMap::new();
    for (number, slot) in from.list(|from| Some((from.u32()?, from.option(file)?)))? {
        if slots.last_key_value().is_some_and(|(last, _)| *last >= number) {
            return None;
        }
        slots.insert(number, slot);
    }
    let (moment, given) = (Moment { now, wall_time }, Arc::new(given));
    Some(State { generators, moment, lines, given, files: Files { slots } })
}

fn position(from: &mut Reader<'_>) -> Option<Position> {
    from.array().filter(is_position)
}

/// The beginning of a line: it has no end, and is no longer than [`Lines`] lets it get.
fn line(from: &mut Reader<'_>) -> Option<Vec<u8>> {
    let line = from.bytes()?;
    (line.len() <= Lines::LONGEST && !line.contains(&b'\n')).then(|| line.to_vec())
}

fn file(from: &mut Reader<'_>) -> Option<SavedFile> {
    let base = from.u32()?;
    let path = Some(from.text()?.into_boxed_str());
    let (follows_links, reads, writes) = (from.flag()?, from.flag()?, from.flag()?);
    let flags = Fdflags::from_bits(u16::from_le_bytes(from.array()?))?.bits();
    let offset = from.option(Reader::u64)?;
    let how = How { follows_links, reads, writes, flags };
    Some(SavedFile { file: File { opening: None, base, path, how }, offset })
}

struct Writer(Vec<u8>);

impl Writer {
    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn length(&mut self, length: usize) {
        self.0.extend_from_slice(&(length as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn duration(&mut self, duration: Duration) {
        self.0.extend_from_slice(&duration.as_secs().to_le_bytes());
        self.0.extend_from_slice(&duration.subsec_nanos().to_le_bytes());
    }

    fn option<T>(&mut self, option: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.flag(option.is_some());
        if let Some(value) = option {
            write(self, value);
        }
    }

    fn list<L: IntoIterator<IntoIter: ExactSizeIterator>>(
        &mut self,
        list: L,
        write: impl Fn(&mut Self, L::Item),
    ) {
        let list = list.into_iter();
        self.length(list.len());
        list.for_each(|item| write(self, item));
    }
}

/// The bytes that are left. Each function takes some of them; it gives `None` if there are too few, or if they are not valid.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u64()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn duration(&mut self) -> Option<Duration> {
        let (seconds, nanoseconds) = (self.u64()?, self.u32()?);
        (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    /// Each item has at least one byte, so a false length ends with the bytes.
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u64()?;
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(read(self)?);
        }
        Some(list)
    }
}
