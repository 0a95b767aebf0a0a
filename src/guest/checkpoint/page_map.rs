//! [`PageMap`]: which pages of this process's memory were ever written, as Linux's `/proc/self/pagemap` tells it. A page that was never
//! written is as it was when it was mapped, so nobody has to read it.

use crate::guest::checkpoint::pages::PAGE;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

/// Which of the pages that follow each other from some address on may have been written.
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

    /// Whether a page may have been written since it was mapped.
    pub(crate) fn may_be_written(&self, page: usize) -> bool {
        let Some(entry) = self.bytes.get(page * ENTRY..).and_then(<[u8]>::first_chunk) else {
            return true;
        };
        let entry = u64::from_ne_bytes(*entry);
        entry & (PRESENT | SWAPPED) != 0 && entry & FILE == 0
    }
}

/// The file, if the kernel's answers for two pages of our own are right.
fn file() -> Option<&'static File> {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    FILE.get_or_init(|| {
        let file = File::open("/proc/self/pagemap").ok()?;
        // The processor's page has to be ours. On a machine with larger ones the written page is found at another place, or not at all.
        (rustix::param::page_size() == PAGE).then_some(())?;
        let written = vec![1_u8; 3 * PAGE];
        let address = written.as_ptr().addr().next_multiple_of(PAGE);
        let mut map = PageMap::default();
        (map.ask(&file, address, 1) && map.may_be_written(0)).then_some(file)
    })
    .as_ref()
}
