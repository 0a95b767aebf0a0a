//! [`TrackedMemory`]: what is known of a guest's memory since the last checkpoint or rollback, so that a save finds the pages that have changed.

use crate::guest::checkpoint::image::MemoryImage;
use crate::guest::checkpoint::pages::{PAGE, PER_CHUNK, Page, Pages, PagesOfChunk};
use crate::guest::checkpoint::seen::{Seen, seen};
use crate::guest::checkpoint::written::Written;

#[derive(Debug)]
pub(crate) struct TrackedMemory {
    /// What was in the memory at the last checkpoint or rollback.
    last: Pages,
    /// The hashes of the same pages. Hashing a page reads half as much as comparing it with a copy. `None` for a page that was not hashed: that is
    /// compared.
    seen: Vec<Option<Box<[Option<Seen>; PER_CHUNK]>>>,
    written: Written,
}

/// The bytes of a chunk.
const CHUNK: usize = PER_CHUNK * PAGE;

impl TrackedMemory {
    /// A memory that is as `last` says. `has_image` says that its image is known, and that a page that was never written is as in the image.
    pub(crate) fn new(last: Pages, has_image: bool) -> Self {
        Self { last, seen: Vec::new(), written: Written::new(has_image) }
    }

    /// What is in the memory now, and how many pages have changed. `is_last` says that the guest most likely ends, so its pages are not hashed. If it is
    /// saved again, whole pages are compared.
    pub(crate) fn save(
        &mut self,
        memory: &mut [u8],
        image: &MemoryImage,
        is_last: bool,
    ) -> (Pages, usize) {
        self.begin(memory, image);
        let mut changed = 0;
        for (bytes, chunk) in memory.chunks(CHUNK).zip(0..) {
            let written = self.written.of_chunk(chunk, bytes.len() / PAGE);
            if written == PagesOfChunk::NONE {
                continue;
            }
            if !is_last && self.seen[chunk].is_none() {
                self.seen[chunk] = Some(Box::new([None; PER_CHUNK]));
            }
            let mut hashes = self.seen[chunk].as_deref_mut();
            for in_chunk in written {
                let index = chunk * PER_CHUNK + in_chunk;
                let page = &bytes[in_chunk * PAGE..][..PAGE];
                let before = hashes.as_deref().and_then(|hashes| hashes[in_chunk]);
                let now = (!is_last || before.is_some()).then(|| seen(page));
                let is_unchanged = match before {
                    Some(_) => before == now,
                    None => {
                        page == self.last.page(index).map_or_else(|| image.page(index), Page::bytes)
                    }
                };
                if let Some(hashes) = &mut hashes {
                    hashes[in_chunk] = now;
                }
                if !is_unchanged {
                    changed += 1;
                    let is_initial = page == image.page(index);
                    self.last.set(index, (!is_initial).then(|| Page::new(index, page)));
                }
            }
        }
        (self.last.clone(), changed)
    }

    /// Makes the memory's contents those of `target`, which has to be as large.
    pub(crate) fn restore(&mut self, target: &Pages, memory: &mut [u8], image: &MemoryImage) {
        debug_assert_eq!(target.len(), memory.len(), "the memory was not grown");
        self.begin(memory, image);
        for (bytes, chunk) in memory.chunks_mut(CHUNK).zip(0..) {
            let held = target.chunk(chunk);
            // What is held and was never written is written now.
            let pages = self.written.of_chunk(chunk, bytes.len() / PAGE);
            let pages = pages.or(held.map_or(PagesOfChunk::NONE, |held| held.places()));
            let is_the_same = self.last.have_the_same_chunk(target, chunk);
            for in_chunk in pages {
                let index = chunk * PER_CHUNK + in_chunk;
                let page = &mut bytes[in_chunk * PAGE..][..PAGE];
                let before = held.and_then(|held| held.page(in_chunk));
                let before = before.map_or_else(|| image.page(index), Page::bytes);
                if page != before {
                    page.copy_from_slice(before);
                }
                if !is_the_same
                    && !self.last.have_the_same(target, index)
                    && let Some(seen) = &mut self.seen[chunk]
                {
                    seen[in_chunk] = None;
                }
            }
        }
        self.last = target.clone();
    }

    /// As [`restore`](Self::restore), for a new guest, none of whose code has run.
    pub(crate) fn fill(&mut self, target: &Pages, memory: &mut [u8], image: &MemoryImage) {
        if !self.written.has_image() {
            return self.restore(target, memory, image);
        }
        for (index, page) in target.held() {
            memory[index * PAGE..][..PAGE].copy_from_slice(page.bytes());
        }
        self.last = target.clone();
    }

    /// Looks at the memory's size, and at which of its pages were written.
    fn begin(&mut self, memory: &mut [u8], image: &MemoryImage) {
        self.last.set_len(memory.len());
        self.seen.resize(memory.len().div_ceil(CHUNK), None);
        self.written.look(memory, &image.unasked);
    }
}
