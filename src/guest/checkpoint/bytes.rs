//! The bytes of a checkpoint: [`encode`] writes them, and [`decode`] reads and checks them. The [`Limits`] of a guest bound how much memory reading
//! takes.
//!
//! All numbers are little-endian. A name, the version of the format, and the hash of the module's layout come first. Then come the globals, and the
//! tables. Then come the memories, each with its size and the pages that differ from the image. At the end is a hash of all bytes before it. In a
//! page, longer runs of zeros are left out.

use crate::error::Error;
use crate::guest::checkpoint::pages::{LARGEST, PAGE, Page, Pages};
use crate::guest::checkpoint::plan::Hash;
use crate::guest::checkpoint::state::GuestState;
use crate::guest::checkpoint::value::{Run, Value, elements};
use std::sync::Arc;
use twox_hash::{XxHash3_64, XxHash3_128};

/// What all checkpoints begin with.
const NAME: &[u8; 8] = b"wasmjobs";

/// The version of the format.
const VERSION: u32 = 1;

/// In a page, at least as many zeros as this are left out.
const GAP: usize = 8;

/// How much a guest may have in all, for which bytes are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The bytes of all memories.
    pub(crate) memory: Option<usize>,
    /// The elements of all tables.
    pub(crate) elements: Option<usize>,
}

pub(crate) fn encode(layout: Hash, state: &GuestState) -> Vec<u8> {
    let mut bytes = Writer::new(NAME, VERSION);
    bytes.0.extend_from_slice(&layout);
    bytes.values(state);
    bytes.count(state.memories.len());
    for memory in &state.memories {
        bytes.u64(memory.len() as u64);
        bytes.count(memory.held().count());
        for (index, page) in memory.held() {
            bytes.count(index);
            bytes.page(page.bytes());
        }
    }
    bytes.finish()
}

/// The hash of a state: of its values, and of the pages that differ from the image.
pub(crate) fn hash(layout: Hash, state: &GuestState) -> u128 {
    let mut bytes = Writer(layout.to_vec());
    bytes.values(state);
    for memory in &state.memories {
        bytes.u64(memory.len() as u64);
        bytes.0.extend_from_slice(&memory.hash().to_le_bytes());
    }
    XxHash3_128::oneshot(&bytes.0)
}

/// The layout and the state. Whether they are those of a module is not yet known.
///
/// # Errors
///
/// [`Error::InvalidCheckpoint`] if these are not the bytes of a checkpoint, or not all of them, or of another version, or were changed, or
/// beyond the limits.
pub(crate) fn decode(bytes: &[u8], limits: Limits) -> Result<(Hash, GuestState), Error> {
    let mut reader = Reader::open(bytes, NAME, VERSION, "a checkpoint")?;
    let layout = *reader.array()?;
    let globals = reader.list(|reader| reader.value())?;
    let tables = reader.list(|reader| {
        let mut runs: Vec<Run> = Vec::new();
        for run in reader.list(|reader| Ok(Run { count: reader.u64()?, value: reader.value()? }))? {
            match runs.last() {
                _ if run.count == 0 => return Err(invalid("a table has a run of no elements")),
                Some(last) if last.value == run.value => {
                    return Err(invalid("a table has two runs of the same elements"));
                }
                _ => runs.push(run),
            }
        }
        Ok(Arc::from(runs))
    })?;
    let all =
        tables.iter().fold(0_u64, |all, runs: &Arc<[Run]>| all.saturating_add(elements(runs)));
    if limits.elements.is_some_and(|limit| all > limit as u64) {
        return Err(invalid("its tables have more elements than the guest may have"));
    }
    let mut memory_left = limits.memory.map_or(LARGEST, |limit| LARGEST.min(limit as u64));
    let memories = reader.list(|reader| {
        let len = reader.u64()?;
        memory_left = match memory_left.checked_sub(len) {
            Some(left) => left,
            None => return Err(invalid("it has more memory than the guest may have")),
        };
        let len = usize::try_from(len).map_err(|_| invalid("it has too much memory"))?;
        let mut pages = Pages::initial(len);
        let mut next = 0;
        for _ in 0..reader.u32()? {
            let index = reader.u32()? as usize;
            if index < next || index >= len / PAGE {
                return Err(invalid("a page is not at its place"));
            }
            next = index + 1;
            pages.set(index, Some(Page::new(index, &reader.page()?)));
        }
        Ok(pages)
    })?;
    match reader.0 {
        [] => Ok((layout, GuestState { globals, memories, tables })),
        _ => Err(invalid("there are bytes after its end")),
    }
}

pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// Begins bytes of a kind, which has a name and a version.
    pub(crate) fn new(name: &[u8; 8], version: u32) -> Self {
        let mut bytes = Self(name.to_vec());
        bytes.u32(version);
        bytes
    }

    /// Ends the bytes, with a hash of all of them.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let hash = XxHash3_64::oneshot(&self.0);
        self.u64(hash);
        self.0
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A number of things of a state that was saved: of its globals, memories or tables, of which a module has fewer than 2³²; of pages in [`LARGEST`] bytes; of runs of
    /// a table, each of which takes 40 bytes here; or of an object's bytes, which [`Refs`](super::refs::Refs) refuses if they are more.
    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("a state that was saved has fewer than 2³²"));
    }

    /// The globals and the tables.
    fn values(&mut self, state: &GuestState) {
        self.count(state.globals.len());
        state.globals.iter().for_each(|value| self.value(value));
        self.count(state.tables.len());
        for runs in &state.tables {
            self.count(runs.len());
            for Run { count, value } in runs.iter() {
                self.u64(*count);
                self.value(value);
            }
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::I32(value) => self.tagged(0, &value.to_le_bytes()),
            Value::I64(value) => self.tagged(1, &value.to_le_bytes()),
            Value::F32(bits) => self.tagged(2, &bits.to_le_bytes()),
            Value::F64(bits) => self.tagged(3, &bits.to_le_bytes()),
            Value::V128(value) => self.tagged(4, &value.to_le_bytes()),
            Value::Null => self.tagged(5, &[]),
            Value::Function(number) => self.tagged(6, &number.to_le_bytes()),
            Value::Object(bytes) => {
                self.0.push(7);
                self.count(bytes.len());
                self.0.extend_from_slice(bytes);
            }
        }
    }

    fn tagged(&mut self, tag: u8, value: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(value);
    }

    /// The parts of a page that are not zero, each after its place and its length.
    fn page(&mut self, page: &[u8]) {
        let count_at = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        let mut count = 0_u16;
        let mut at = 0;
        while let Some(from) = page[at..].iter().position(|byte| *byte != 0) {
            let from = at + from;
            let mut end = from + 1;
            while let Some(gap) = page[end..].iter().position(|byte| *byte != 0)
                && gap < GAP
            {
                end += gap + 1;
            }
            for number in [from, end - from] {
                // Both are at most the size of a page.
                self.0.extend_from_slice(&(number as u16).to_le_bytes());
            }
            self.0.extend_from_slice(&page[from..end]);
            count += 1;
            at = end;
        }
        self.0[count_at..][..2].copy_from_slice(&count.to_le_bytes());
    }
}

pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// What a [`Writer`] of this name and version has written, between both and the hash. `kind` is what messages call it.
    pub(crate) fn open(
        bytes: &'a [u8],
        name: &[u8; 8],
        version: u32,
        kind: &str,
    ) -> Result<Self, Error> {
        let Some(contents) = bytes.strip_prefix(name) else {
            return Err(invalid(&format!("these are not the bytes of {kind}")));
        };
        let (found, _) = contents.split_first_chunk().ok_or_else(truncated)?;
        let found = u32::from_le_bytes(*found);
        if found != version {
            let why =
                format!("its format is version {found}, and this library reads version {version}");
            return Err(invalid(&why));
        }
        let (checked, hash) = bytes.split_last_chunk().ok_or_else(truncated)?;
        if XxHash3_64::oneshot(checked) != u64::from_le_bytes(*hash) {
            return Err(invalid("its bytes were changed, or are not all of them"));
        }
        Ok(Self(&checked[name.len() + size_of::<u32>()..]))
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(*self.array()?))
    }

    /// A list. It grows while it is read, because its length may be wrong.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        for _ in 0..self.u32()? {
            list.push(read(self)?);
        }
        Ok(list)
    }

    pub(crate) fn value(&mut self) -> Result<Value, Error> {
        let [tag] = *self.array()?;
        Ok(match tag {
            0 => Value::I32(i32::from_le_bytes(*self.array()?)),
            1 => Value::I64(i64::from_le_bytes(*self.array()?)),
            2 => Value::F32(self.u32()?),
            3 => Value::F64(self.u64()?),
            4 => Value::V128(u128::from_le_bytes(*self.array()?)),
            5 => Value::Null,
            6 => Value::Function(self.u32()?),
            7 => {
                let len = self.u32()? as usize;
                Value::Object(self.take(len)?.into())
            }
            _ => return Err(invalid("a value has an unknown type")),
        })
    }

    fn page(&mut self) -> Result<[u8; PAGE], Error> {
        let mut page = [0; PAGE];
        for _ in 0..u16::from_le_bytes(*self.array()?) {
            let from = u16::from_le_bytes(*self.array()?) as usize;
            let len = u16::from_le_bytes(*self.array()?) as usize;
            let part = page.get_mut(from..from + len);
            let part = part.ok_or_else(|| invalid("a part of a page is not in the page"))?;
            part.copy_from_slice(self.take(len)?);
        }
        Ok(page)
    }
}

fn truncated() -> Error {
    invalid("bytes are missing at its end")
}

fn invalid(why: &str) -> Error {
    Error::InvalidCheckpoint { why: why.into() }
}
