//! [`PageMap`]: which pages of this process's memory were ever written, as Linux's `/proc/self/pagemap` tells it. A page that was never written is as it was
//! when it was mapped, so nobody has to read it. A page of zeros that was only read looks written, too.

use crate::guest::checkpoint::pages::{PAGE, PagesOfChunk};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::process;
use std::sync::OnceLock;

/// The entries of pages that follow each other.
#[derive(Debug, Default)]
pub(crate) struct PageMap {
    /// The entries as the kernel writes them. The allocation is used again.
    bytes: Vec<u8>,
}

/// The bits of an entry, from the kernel's `Documentation/admin-guide/mm/pagemap.rst`.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// The page is a file's, or shared. A private page that was written is neither.
const FILE: u64 = 1 << 61;

const ENTRY: usize = size_of::<u64>();

impl PageMap {
    /// Asks for `pages` pages from `address` on. `false` if the kernel does not tell.
    pub(crate) fn read(&mut self, address: usize, pages: usize) -> bool {
        let Some(file) = file() else { return false };
        self.ask(file, address, pages)
    }

    fn ask(&mut self, file: &File, address: usize, pages: usize) -> bool {
        if !address.is_multiple_of(PAGE) {
            return false;
        }
        self.bytes.resize(pages * ENTRY, 0);
        let at = (address / PAGE * ENTRY) as u64;
        file.read_exact_at(&mut self.bytes, at).is_ok()
    }

    /// Which of these pages, at most 64, may have been written since they were mapped. The bits are for their places after the first.
    pub(crate) fn written(&self, places: Range<usize>) -> PagesOfChunk {
        let entries = self.bytes[places.start * ENTRY..places.end * ENTRY].chunks_exact(ENTRY);
        let written = entries.zip(0..).filter(|(entry, _)| {
            let entry = entry.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
            entry & (PRESENT | SWAPPED) != 0 && entry & FILE == 0
        });
        PagesOfChunk::new(written.map(|(_, place)| place))
    }
}

/// The file, if the kernel's answer for a page of our own is right. A process that was forked has none, because the file is its parent's.
fn file() -> Option<&'static File> {
    static FILE: OnceLock<Option<(u32, File)>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = File::open("/proc/self/pagemap").ok()?;
        // The processor's page has to be ours.
        (rustix::param::page_size() == PAGE).then_some(())?;
        let written = vec![1_u8; 3 * PAGE];
        let address = written.as_ptr().addr().next_multiple_of(PAGE);
        let mut map = PageMap::default();
        let is_right = map.ask(&file, address, 1) && map.written(0..1).next().is_some();
        is_right.then(|| (process::id(), file))
    });
    let (owner, file) = file.as_ref()?;
    (*owner == process::id()).then_some(file)
}
