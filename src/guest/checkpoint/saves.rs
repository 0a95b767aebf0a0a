//! [`Saves`]: what a guest keeps for its checkpoints.

use crate::error::Error;
use crate::guest::checkpoint::codec::RefCodec;
use crate::guest::checkpoint::image::{Image, MemoryImage};
use crate::guest::checkpoint::plan::Plan;
use crate::guest::checkpoint::state::Tracked;
use crate::guest::module_name::module_name;
use crate::guest::prepared::is_prepared::is_prepared;
use std::sync::Arc;
use wasmtime::{Extern, Instance, Module, Store};

/// The module's image, and what was last saved. Both are of one instance in one store.
pub(crate) struct Saves<S: 'static> {
    /// `None` if the module was not prepared.
    image: Option<Arc<Image>>,
    /// Made for the first checkpoint.
    tracked: Option<Box<Tracked>>,
    /// Whether the guest is to get a state, and has not got all of it. Its start function has not run, so it is fit for nothing.
    pub(crate) is_half_made: bool,
    /// It stays when the guest is replaced.
    pub(crate) codec: Option<Arc<dyn RefCodec<S>>>,
}

impl<S: 'static> Saves<S> {
    pub(crate) fn new() -> Self {
        Self { image: None, tracked: None, is_half_made: false, codec: None }
    }

    /// The guest has a new instance, none of whose code has run.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrepared`] if another version of the library has prepared the module.
    pub(crate) fn begin(
        &mut self,
        instance: Instance,
        module: &Module,
        store: &mut Store<S>,
    ) -> Result<(), Error> {
        self.tracked = None;
        // The image of the guest before this one, which is often the same, is dropped after this one was found.
        self.image = match is_prepared(module).then(|| Image::find(module)) {
            None => None,
            Some(Some(image)) => Some(image),
            Some(None) => Some(read_image(instance, module, store)?),
        };
        self.is_half_made = false;
        Ok(())
    }

    /// What is known of the guest's state, and the codec of its references.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrepared`] if its module was not prepared.
    pub(crate) fn tracked(
        &mut self,
        instance: Instance,
        store: &mut Store<S>,
    ) -> Result<(&mut Tracked, Option<&dyn RefCodec<S>>), Error> {
        let tracked = match (self.tracked.take(), &self.image) {
            (Some(tracked), _) => tracked,
            (None, Some(image)) => Box::new(Tracked::new(image.clone(), instance, store)),
            (None, None) => {
                let module = module_name(instance.module(&*store));
                return Err(Error::NotPrepared { module });
            }
        };
        Ok((self.tracked.insert(tracked), self.codec.as_deref()))
    }
}

fn read_image<S: 'static>(
    instance: Instance,
    module: &Module,
    store: &mut Store<S>,
) -> Result<Arc<Image>, Error> {
    let plan = Plan::of(module)?;
    let memories = plan.memories.iter().zip(&plan.images).map(|(memory, image)| {
        let memory = instance.get_module_export(&mut *store, &memory.export);
        match (memory.and_then(Extern::into_memory), image) {
            (Some(memory), Some(image)) => MemoryImage::read(memory.data(&*store), image.clone()),
            _ => MemoryImage::default(),
        }
    });
    let memories = memories.collect();
    Ok(Image::share(plan, memories))
}
