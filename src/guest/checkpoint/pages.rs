//! [`Pages`]: the contents of a memory, as data. It holds the pages that differ from the memory's initial contents, its image. Checkpoints
//! that follow each other share the pages that have not changed.

use std::iter;
use std::ptr;
use std::sync::Arc;
use twox_hash::xxhash3_128::Hasher;

/// The size of a page, in bytes. Most machines have pages of this size, so a page that is not read is not loaded. A page of wasm is 16 of these.
pub(crate) const PAGE: usize = 4096;

/// The most memory that a checkpoint holds, in bytes: 64 GiB.
pub(crate) const LARGEST: u64 = 1 << 36;

/// The number of pages in a [`Chunk`].
pub(crate) const PER_CHUNK: usize = 64;

/// A page of zeros.
pub(crate) const ZEROS: &[u8; PAGE] = &[0; PAGE];

/// A page that differs from the image.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    bytes: Arc<[u8]>,
    hash: u128,
}

/// 64 pages that follow each other. `None` stands for a page that is as in the image.
#[derive(Clone, Debug)]
pub(crate) struct Chunk([Option<Page>; PER_CHUNK]);

/// The contents of a memory. A clone shares all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    /// The size of the memory, in bytes.
    len: usize,
    /// `None` stands for a chunk that is as in the image. Chunks at the end may be missing, and are as in the image too.
    chunks: Vec<Option<Arc<Chunk>>>,
    /// The sum of the hashes of the pages that are held.
    hash: u128,
}

/// Some pages of a chunk: a bit for each. As an iterator, their places in the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PagesOfChunk(u64);

impl PagesOfChunk {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// The first `count` pages; all, if that is more.
    pub(crate) fn first(count: usize) -> Self {
        if count < PER_CHUNK { Self((1 << count) - 1) } else { Self::ALL }
    }

    pub(crate) fn new(places: impl Iterator<Item = usize>) -> Self {
        Self(places.fold(0, |bits, place| bits | 1 << place))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Iterator for PagesOfChunk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0.checked_sub(1)?;
        Some(place)
    }
}

impl Page {
    /// Copies a page. `index` is its place in the memory, which is a part of its hash.
    pub(crate) fn new(index: usize, bytes: &[u8]) -> Self {
        Self { bytes: Arc::from(bytes), hash: Hasher::oneshot_with_seed(index as u64, bytes) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether both are the same copy.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }
}

impl Chunk {
    const EMPTY: Self = Self([const { None }; PER_CHUNK]);

    pub(crate) fn page(&self, in_chunk: usize) -> Option<&Page> {
        self.0[in_chunk].as_ref()
    }

    /// The places of the pages that are held.
    pub(crate) fn places(&self) -> PagesOfChunk {
        let places = self.0.iter().zip(0..).filter(|(page, _)| page.is_some());
        PagesOfChunk::new(places.map(|(_, place)| place))
    }
}

impl Pages {
    /// A memory that is as in its image.
    pub(crate) fn initial(len: usize) -> Self {
        Self { len, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    /// `None` if all of its pages are as in the image.
    pub(crate) fn chunk(&self, chunk: usize) -> Option<&Chunk> {
        self.chunks.get(chunk)?.as_deref()
    }

    /// Whether both have the same copy of a chunk, or both have it as in the image. If not, its pages may still be the same.
    pub(crate) fn have_the_same_chunk(&self, other: &Self, chunk: usize) -> bool {
        match (self.chunk(chunk), other.chunk(chunk)) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => ptr::eq(ours, theirs),
            _ => false,
        }
    }

    pub(crate) fn page(&self, index: usize) -> Option<&Page> {
        self.chunk(index / PER_CHUNK)?.page(index % PER_CHUNK)
    }

    /// Replaces a page. `None` says that it is as in the image.
    pub(crate) fn set(&mut self, index: usize, page: Option<Page>) {
        let chunk = index / PER_CHUNK;
        if chunk >= self.chunks.len() {
            if page.is_none() {
                return;
            }
            self.chunks.resize(chunk + 1, None);
        }
        if self.chunks[chunk].is_none() && page.is_none() {
            return;
        }
        let chunk = self.chunks[chunk].get_or_insert_with(|| Arc::new(Chunk::EMPTY));
        let place = &mut Arc::make_mut(chunk).0[index % PER_CHUNK];
        let hash = |page: &Option<Page>| page.as_ref().map_or(0, |page| page.hash);
        self.hash = self.hash.wrapping_sub(hash(place)).wrapping_add(hash(&page));
        *place = page;
    }

    /// Whether both have the same copy of a page, or both have it as in the image. If not, the page may still be equal.
    pub(crate) fn have_the_same(&self, other: &Self, index: usize) -> bool {
        match (self.page(index), other.page(index)) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => ours.is(theirs),
            _ => false,
        }
    }

    /// The pages that are held, with their places.
    pub(crate) fn held(&self) -> impl Iterator<Item = (usize, &Page)> {
        let chunks = self.chunks.iter().zip((0..).step_by(PER_CHUNK));
        let chunks = chunks.filter_map(|(chunk, first)| Some((chunk.as_deref()?, first)));
        chunks.flat_map(|(chunk, first)| {
            let pages = iter::zip(first.., &chunk.0);
            pages.filter_map(|(index, page)| Some((index, page.as_ref()?)))
        })
    }

    /// The bytes of the pages that are held, and how many of these others hold too.
    pub(crate) fn size(&self) -> (usize, usize) {
        let mut size = (0, 0);
        for chunk in self.chunks.iter().flatten() {
            let is_shared = Arc::strong_count(chunk) > 1;
            for page in chunk.0.iter().flatten() {
                size.0 += PAGE;
                if is_shared || Arc::strong_count(&page.bytes) > 1 {
                    size.1 += PAGE;
                }
            }
        }
        size
    }
}
