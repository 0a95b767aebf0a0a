//! [`Written`]: which pages of a memory may have been written since it was made. A page that was never written is as in the image, so a checkpoint
//! need not read it. A memory that is mostly untouched is not loaded.

#[cfg(target_os = "linux")]
use crate::guest::checkpoint::page_map::PageMap;
use crate::guest::checkpoint::pages::{PAGE, PER_CHUNK, PagesOfChunk};
#[cfg(target_os = "linux")]
use std::hint::black_box;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The kernel is asked about so many chunks at a time, so that a large memory takes no large buffer.
#[cfg(target_os = "linux")]
const MOST_CHUNKS: usize = 64;

/// For how many of the next looks at the small memories of a module the kernel is not asked.
///
/// After the kernel has reported every page of a small memory as written, its next 63 answers are not asked for: each page is compared instead. Pools that keep pages resident
/// always report this.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
pub(crate) struct Unasked(AtomicU8);

/// How many answers are not asked for after such a report.
#[cfg(target_os = "linux")]
const UNASKED: u8 = 63;

#[cfg(not(target_os = "linux"))]
#[derive(Debug, Default)]
pub(crate) struct Unasked;

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
    pub(crate) fn look(&mut self, memory: &mut [u8], _: &Unasked) {
        let chunks = memory.len().div_ceil(PER_CHUNK * PAGE);
        self.chunks.resize(chunks, PagesOfChunk::ALL);
    }

    /// Asks the kernel about each chunk that still has pages which were not written at the last look.
    #[cfg(target_os = "linux")]
    pub(crate) fn look(&mut self, memory: &mut [u8], unasked: &Unasked) {
        let pages = memory.len() / PAGE;
        let chunks = pages.div_ceil(PER_CHUNK);
        let is_small = chunks <= 1;
        let left = unasked.0.load(Relaxed);
        if !self.has_image || self.is_told == Some(false) || is_small && left > 0 {
            if self.has_image && left > 0 {
                // Another thread may do the same. Then the kernel is asked a little earlier or later.
                unasked.0.store(left - 1, Relaxed);
            }
            // Of a chunk that was not whole, there may be more pages now.
            self.chunks.clear();
            self.chunks.resize(chunks, PagesOfChunk::ALL);
            return;
        }
        if self.is_told.is_none()
            && let Some(first) = memory.first_mut()
        {
            // The page of this byte has to look written. The kernel is asked for it first, because nothing was told before.
            *first = black_box(*first);
            self.chunks.clear();
        }
        // A last chunk that was not whole may be now.
        self.chunks.resize(chunks, PagesOfChunk::NONE);
        let address = memory.as_ptr().addr();
        let (mut from, mut was_asked) = (0, false);
        while let Some(next) =
            self.chunks[from..].iter().position(|&bits| bits != PagesOfChunk::ALL)
        {
            let first = from + next;
            let rest = &self.chunks[first..];
            let run = rest.iter().position(|&bits| bits == PagesOfChunk::ALL).unwrap_or(rest.len());
            let run = run.min(MOST_CHUNKS);
            let first_page = first * PER_CHUNK;
            let count = (run * PER_CHUNK).min(pages - first_page);
            let is_answered = self.map.read(address + first_page * PAGE, count);
            was_asked = true;
            if self.is_told.is_none() {
                // A host may have given a memory that is shared with somebody, of whose pages the kernel does not tell.
                let is_told = is_answered && self.map.written(0..1).next().is_some();
                self.is_told = Some(is_told);
                if !is_told {
                    self.chunks.fill(PagesOfChunk::ALL);
                    return;
                }
            }
            for (bits, places) in
                self.chunks[first..][..run].iter_mut().zip((0..).step_by(PER_CHUNK))
            {
                let places = places..count.min(places + PER_CHUNK);
                *bits = match is_answered {
                    true => bits.or(self.map.written(places)),
                    false => PagesOfChunk::ALL,
                };
            }
            from = first + run;
        }
        let all = PagesOfChunk::first(pages);
        // A memory that needs no question tells nothing of the others.
        if was_asked && is_small && self.chunks.first().is_some_and(|bits| bits.and(all) == all) {
            unasked.0.store(UNASKED, Relaxed);
        }
    }
}
