//! [`Image`]: what the memories of a module contain before any of its code has run, with the [`Plan`] of the module. The first guest of a module
//! reads it from its own memories. The other guests in the same process share it.

use crate::error::Error;
use crate::guest::checkpoint::pages::{PAGE, Page, Pages, ZEROS};
use crate::guest::checkpoint::plan::Plan;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Weak};
use wasmtime::Module;

/// A prepared module: where its state is, and the initial contents of its memories, in the order of the plan.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) plan: Arc<Plan>,
    memories: Vec<MemoryImage>,
}

/// The initial contents of a memory: these pages, and zeros in all other places.
#[derive(Debug, Default)]
pub(crate) struct MemoryImage(Pages);

/// The images of this process.
#[derive(Default)]
struct Images {
    /// By the address of the module's code, which no other module has while the image keeps its module alive. The hash in a module's exports would
    /// not do as a key: a stranger's module could claim the hash of another one, and replace its image.
    all: HashMap<usize, Weak<Image>>,
    /// The images that were made last. They stay while no guest uses them, so that a host that makes one guest after another reads the image
    /// once.
    latest: VecDeque<Arc<Image>>,
}

/// The number of images that stay while no guest uses them.
const LATEST: usize = 4;

static IMAGES: LazyLock<Mutex<Images>> = LazyLock::new(Mutex::default);

impl Image {
    /// The image of a module, if this process has it.
    pub(crate) fn find(module: &Module) -> Option<Arc<Self>> {
        let image = IMAGES.lock().all.get(&key(module)).and_then(Weak::upgrade)?;
        Module::same(&image.plan.module, module).then_some(image)
    }

    /// Keeps an image for other guests. If another thread has kept one of the module, this gives that one.
    pub(crate) fn keep(plan: Arc<Plan>, memories: Vec<MemoryImage>) -> Arc<Self> {
        let key = key(&plan.module);
        let image = Arc::new(Self { plan, memories });
        let mut images = IMAGES.lock();
        let Images { all, latest } = &mut *images;
        if let Some(image) = all.get(&key).and_then(Weak::upgrade) {
            return image;
        }
        let oldest = if latest.len() == LATEST { latest.pop_front() } else { None };
        latest.push_back(image.clone());
        all.retain(|_, image| image.strong_count() > 0);
        all.insert(key, Arc::downgrade(&image));
        drop(images);
        drop(oldest);
        image
    }

    /// The image of a memory. One that is not known from the module has zeros here.
    pub(crate) fn memory(&self, place: usize) -> &MemoryImage {
        &self.memories[place]
    }
}

/// The plan of a module.
///
/// # Errors
///
/// As [`Plan::of`].
pub(crate) fn plan_of(module: &Module) -> Result<Arc<Plan>, Error> {
    Image::find(module).map_or_else(|| Plan::of(module), |image| Ok(image.plan.clone()))
}

fn key(module: &Module) -> usize {
    module.image_range().start.addr()
}

impl MemoryImage {
    /// Reads the part of a memory that is not zero.
    pub(crate) fn read(memory: &[u8], part: Range<usize>) -> Self {
        let mut pages = Pages::initial(memory.len());
        let first = part.start / PAGE;
        let places = first..part.end.min(memory.len()).div_ceil(PAGE).max(first);
        for (page, index) in memory.chunks_exact(PAGE).zip(0..).take(places.end).skip(first) {
            if page != ZEROS {
                pages.set(index, Some(Page::new(index, page)));
            }
        }
        Self(pages)
    }

    pub(crate) fn page(&self, index: usize) -> &[u8] {
        self.0.page(index).map_or(ZEROS, Page::bytes)
    }
}
