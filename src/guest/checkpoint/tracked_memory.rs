//! [`TrackedMemory`]: a memory of a guest beside what it was at the last checkpoint or rollback. Saving and rolling back look for the pages
//! that differ.

use crate::guest::checkpoint::image::MemoryImage;
#[cfg(target_os = "linux")]
use crate::guest::checkpoint::page_map::PageMap;
use crate::guest::checkpoint::pages::{PAGE, PER_CHUNK, Page, Pages, ZEROS};

/// What is known of a memory.
#[derive(Debug)]
pub(crate) struct TrackedMemory {
    /// What was in the memory at the last checkpoint or rollback.
    last: Pages,
    /// The same as bytes that follow each other, because they are compared faster so. A chunk is missing if it is as in the image, or
    /// was not yet compared.
    shadow: Vec<Option<Box<[u8]>>>,
    /// Whether a page that was never written is as in the image.
    has_image: bool,
    #[cfg(target_os = "linux")]
    map: PageMap,
}

/// The bytes of a chunk.
const CHUNK: usize = PER_CHUNK * PAGE;

impl TrackedMemory {
    /// A memory that is as `last` says. Without an image, it is compared with zeros, and nothing is known of it.
    pub(crate) fn new(last: Pages, has_image: bool) -> Self {
        Self {
            last,
            shadow: Vec::new(),
            has_image,
            #[cfg(target_os = "linux")]
            map: PageMap::default(),
        }
    }

    /// What is in the memory now.
    pub(crate) fn save(&mut self, memory: &[u8], image: &MemoryImage) -> Pages {
        self.last.set_len(memory.len());
        let knows_written = self.ask_for_written_pages(memory);
        for (bytes, chunk) in memory.chunks(CHUNK).zip(0..) {
            for (page, index) in bytes.chunks_exact(PAGE).zip(chunk * PER_CHUNK..) {
                if (knows_written && !self.may_be_written(index))
                    || page == self.last_page(index, image)
                {
                    continue;
                }
                let is_initial = page == image.page(index);
                self.last.set(index, (!is_initial).then(|| Page::new(index, page)));
                if let Some(shadow) = self.shadow_page(index) {
                    shadow.copy_from_slice(page);
                }
            }
            self.keep_shadow(chunk, bytes);
        }
        self.last.clone()
    }

    /// Makes the memory what it was. It has to be as large.
    pub(crate) fn restore(&mut self, target: &Pages, memory: &mut [u8], image: &MemoryImage) {
        debug_assert_eq!(target.len(), memory.len(), "the memory was not grown");
        let knows_written = self.ask_for_written_pages(memory);
        for (page, index) in memory.chunks_exact_mut(PAGE).zip(0..) {
            let is_the_same = self.last.have_the_same(target, index);
            if knows_written && !self.may_be_written(index) && target.page(index).is_none() {
                continue;
            }
            if is_the_same && page == self.last_page(index, image) {
                continue;
            }
            let bytes = target.page(index).map_or_else(|| image.page(index), Page::bytes);
            if page != bytes {
                page.copy_from_slice(bytes);
            }
            if !is_the_same && let Some(shadow) = self.shadow_page(index) {
                shadow.copy_from_slice(bytes);
            }
        }
        self.last = target.clone();
    }

    /// Makes the memory of a guest of which nothing has run yet what it was. It has to be as large.
    pub(crate) fn fill(&mut self, target: &Pages, memory: &mut [u8], image: &MemoryImage) {
        if !self.has_image {
            return self.restore(target, memory, image);
        }
        for (index, page) in target.held() {
            memory[index * PAGE..][..PAGE].copy_from_slice(page.bytes());
        }
        self.last = target.clone();
    }

    /// What a page was at the last checkpoint or rollback.
    fn last_page<'a>(&'a self, index: usize, image: &'a MemoryImage) -> &'a [u8] {
        match self.shadow.get(index / PER_CHUNK) {
            Some(Some(chunk)) => {
                let from = index % PER_CHUNK * PAGE;
                chunk.get(from..from + PAGE).unwrap_or(ZEROS)
            }
            _ => self.last.page(index).map_or_else(|| image.page(index), Page::bytes),
        }
    }

    fn shadow_page(&mut self, index: usize) -> Option<&mut [u8]> {
        let chunk = self.shadow.get_mut(index / PER_CHUNK)?.as_mut()?;
        let from = index % PER_CHUNK * PAGE;
        chunk.get_mut(from..from + PAGE)
    }

    /// Makes the shadow of a chunk that is no longer as in the image, or that has grown.
    fn keep_shadow(&mut self, chunk: usize, bytes: &[u8]) {
        if self.last.chunk(chunk).is_none() {
            return;
        }
        if chunk >= self.shadow.len() {
            self.shadow.resize_with(chunk + 1, || None);
        }
        let shadow = &mut self.shadow[chunk];
        if shadow.as_ref().is_none_or(|shadow| shadow.len() != bytes.len()) {
            *shadow = Some(bytes.into());
        }
    }

    #[cfg(target_os = "linux")]
    fn ask_for_written_pages(&mut self, memory: &[u8]) -> bool {
        self.has_image && self.map.read(memory.as_ptr().addr(), memory.len() / PAGE)
    }

    #[cfg(target_os = "linux")]
    fn may_be_written(&self, index: usize) -> bool {
        self.map.may_be_written(index)
    }

    #[cfg(not(target_os = "linux"))]
    fn ask_for_written_pages(&mut self, _: &[u8]) -> bool {
        false
    }

    #[cfg(not(target_os = "linux"))]
    fn may_be_written(&self, _: usize) -> bool {
        true
    }
}
