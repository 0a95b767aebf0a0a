//! [`Opened`]: which descriptors of a guest of preview 1 are open. wasmtime-wasi does not tell, so the functions of `opening` record it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The number of standard streams. The directories that the host gave come after them.
pub(crate) const STREAMS: u32 = 3;

/// The greatest length in bytes of a path that is remembered.
const LONGEST_PATH: usize = 4096;

/// The descriptors that differ from those of a new context.
///
/// wasmtime-wasi gives out the number that was closed last, or else the next higher one. So each number up to the greatest that was ever given
/// out is open or closed. The closed ones decide which numbers come next.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    slots: BTreeMap<u32, Slot>,
    /// Whether a function that changes descriptors has begun and not ended, because its call was dropped.
    pub(crate) is_torn: bool,
}

/// What is at a number.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Closed,
    /// The stream or the directory that was at this number when the context was new.
    Moved(u32),
    File(File),
}

/// How a file, or a directory, was opened.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The number of the opening. Two equal numbers are one open file. `None` in a checkpoint that was read from bytes.
    pub(crate) opening: Option<u64>,
    /// The descriptor that the path begins at: a directory that the host gave, by its number in a new context.
    pub(crate) base: u32,
    /// `None` if it is too long.
    pub(crate) path: Option<Box<str>>,
    pub(crate) how: How,
}

/// The flags of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) follows_links: bool,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    /// The bits of preview 1's `fdflags`.
    pub(crate) flags: u16,
}

impl Opened {
    pub(crate) fn new(slots: BTreeMap<u32, Slot>) -> Self {
        Self { slots, is_torn: false }
    }

    pub(crate) fn slots(&self) -> &BTreeMap<u32, Slot> {
        &self.slots
    }

    /// The guest has opened `path`, from the directory at `directory`, at this number.
    pub(crate) fn open(&mut self, number: u32, directory: u32, path: Option<String>, how: How) {
        static OPENINGS: AtomicU64 = AtomicU64::new(0);
        let (base, path) = match self.slots.get(&directory) {
            Some(Slot::File(File { base, path: parent, .. })) => {
                let parent = parent.as_deref();
                (*base, parent.zip(path).map(|(parent, path)| format!("{parent}/{path}")))
            }
            Some(Slot::Moved(from)) => (*from, path),
            Some(Slot::Closed) | None => (directory, path),
        };
        let path = path.filter(|path| path.len() <= LONGEST_PATH).map(String::into_boxed_str);
        let opening = Some(OPENINGS.fetch_add(1, Relaxed));
        self.slots.insert(number, Slot::File(File { opening, base, path, how }));
    }

    pub(crate) fn close(&mut self, number: u32) {
        self.slots.insert(number, Slot::Closed);
    }

    pub(crate) fn renumber(&mut self, from: u32, to: u32) {
        if from != to {
            let slot = self.slots.insert(from, Slot::Closed).unwrap_or(Slot::Moved(from));
            self.slots.insert(to, slot);
        }
    }

    pub(crate) fn set_flags(&mut self, number: u32, flags: u16) {
        if let Some(Slot::File(file)) = self.slots.get_mut(&number) {
            file.how.flags = flags;
        }
    }
}
