//! [`Image`]: what the memories of a module contain before any of its code has run, with the [`Plan`] of the module. The first guest of a module
//! reads it from its own memories. The other guests in the same process share it.

use crate::error::Error;
use crate::guest::checkpoint::pages::{PAGE, Page, Pages, ZEROS};
use crate::guest::checkpoint::plan::Plan;
use crate::guest::checkpoint::written::Unasked;
use parking_lot::Mutex;
use std::collections::HashMap;
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
pub(crate) struct MemoryImage {
    pages: Pages,
    pub(crate) unasked: Unasked,
}

/// The images that are in use in this process, by the address of the module's code. The modules of one component share that, so there may be several. What a
/// module says of itself would not do as a key: a guest could take the place of another one's image. Nothing is kept alive here, because an image has its
/// module, and that its engine with all of its memory.
static IMAGES: LazyLock<Mutex<HashMap<usize, Vec<Weak<Image>>>>> = LazyLock::new(Mutex::default);

impl Image {
    /// The image of a module, if somebody uses it.
    pub(crate) fn find(module: &Module) -> Option<Arc<Self>> {
        let images = IMAGES.lock();
        let mut images = images.get(&key(module))?.iter().filter_map(Weak::upgrade);
        images.find(|image| Module::same(&image.plan.module, module))
    }

    /// Shares an image with other guests. If another thread has shared one of the same module, this gives that one.
    pub(crate) fn share(plan: Arc<Plan>, memories: Vec<MemoryImage>) -> Arc<Self> {
        let image = Arc::new(Self { plan, memories });
        let mut images = IMAGES.lock();
        images.retain(|_, images| {
            images.retain(|image| image.strong_count() > 0);
            !images.is_empty()
        });
        let of_key = images.entry(key(&image.plan.module)).or_default();
        let mut others = of_key.iter().filter_map(Weak::upgrade);
        let shared = others.find(|other| Module::same(&other.plan.module, &image.plan.module));
        match shared {
            Some(other) => {
                drop(images);
                other
            }
            None => {
                of_key.push(Arc::downgrade(&image));
                image
            }
        }
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
        Self { pages, unasked: Unasked::default() }
    }

    pub(crate) fn page(&self, index: usize) -> &[u8] {
        self.pages.page(index).map_or(ZEROS, Page::bytes)
    }
}
