//! [`Written`]: which pages of a memory may have been written since it was made. A page that was never written is as in the image, so a checkpoint
//! need not read it. A memory that is mostly untouched is not loaded.

#[cfg(target_os = "linux")]
use crate::guest::checkpoint::page_map::PageMap;
use crate::guest::checkpoint::pages::{PAGE, PER_CHUNK, PagesOfChunk};
#[cfg(target_os = "linux")]
use std::hint::black_box;

/// The kernel is asked about so many chunks at a time, so that a large memory takes no large buffer.
#[cfg(target_os = "linux")]
const MOST_CHUNKS: usize = 64;

#[derive(Debug)]
pub(crate) struct Written {
    has_image: bool,
    /// A bit for each page of each chunk. Once set it stays, because what was written may have been anything.
    chunks: Vec<PagesOfChunk>,
    #[cfg(target_os = "linux")]
    map: PageMap,
    /// Whether the kernel tells which pages of this memory were written. `None` until it was tried.
    #[cfg(target_os = "linux")]
    is_told: Option<bool>,
}

impl Written {
    /// Without an image, all pages count as written.
    pub(crate) fn new(has_image: bool) -> Self {
        Self {
            has_image,
            chunks: Vec::new(),
            #[cfg(target_os = "linux")]
            map: PageMap::default(),
            #[cfg(target_os = "linux")]
            is_told: None,
        }
    }

    pub(crate) fn has_image(&self) -> bool {
        self.has_image
    }

    /// The pages of a chunk that may have been written, of the first `count` that it has.
    pub(crate) fn of_chunk(&self, chunk: usize, count: usize) -> PagesOfChunk {
        self.chunks[chunk].and(PagesOfChunk::first(count))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn look(&mut self, memory: &mut [u8]) {
        let chunks = memory.len().div_ceil(PER_CHUNK * PAGE);
        self.chunks.resize(chunks, PagesOfChunk::ALL);
    }

    /// Asks the kernel about each chunk that still has pages which were not written at the last look.
    #[cfg(target_os = "linux")]
    pub(crate) fn look(&mut self, memory: &mut [u8]) {
        let pages = memory.len() / PAGE;
        let chunks = pages.div_ceil(PER_CHUNK);
        if !self.has_image || !self.is_told(memory) {
            self.chunks.resize(chunks, PagesOfChunk::ALL);
            return;
        }
        // A last chunk that was not whole may be now.
        self.chunks.resize(chunks, PagesOfChunk::NONE);
        let address = memory.as_ptr().addr();
        let mut from = 0;
        while let Some(next) =
            self.chunks[from..].iter().position(|&bits| bits != PagesOfChunk::ALL)
        {
            let first = from + next;
            let rest = &self.chunks[first..];
            let run = rest.iter().position(|&bits| bits == PagesOfChunk::ALL).unwrap_or(rest.len());
            let run = run.min(MOST_CHUNKS);
            let first_page = first * PER_CHUNK;
            let count = (run * PER_CHUNK).min(pages - first_page);
            let is_told = self.map.read(address + first_page * PAGE, count);
            for (bits, places) in
                self.chunks[first..][..run].iter_mut().zip((0..).step_by(PER_CHUNK))
            {
                let places = places..count.min(places + PER_CHUNK);
                *bits = match is_told {
                    true => bits.or(self.map.written(places)),
                    false => PagesOfChunk::ALL,
                };
            }
            from = first + run;
        }
    }

    /// Tries it, once: writes a byte as what it is, and asks for its page. A host may have given a memory that is shared with somebody, of whose pages the kernel
    /// does not tell.
    #[cfg(target_os = "linux")]
    fn is_told(&mut self, memory: &mut [u8]) -> bool {
        let Self { map, is_told, .. } = self;
        *is_told.get_or_insert_with(|| {
            let address = memory.as_ptr().addr();
            let Some(first) = memory.first_mut() else { return false };
            *first = black_box(*first);
            map.read(address, 1) && map.written(0..1).next().is_some()
        })
    }
}
