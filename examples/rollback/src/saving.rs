//! [`Saving`]: two ways to save a guest.

use wasm_jobs::{Checkpoint, Error, Instance};

/// How the state of a guest is saved and loaded.
pub trait Saving: 'static {
    /// What GGRS keeps for each frame.
    type State: Clone + 'static;

    /// Saves the guest.
    ///
    /// # Errors
    ///
    /// Those of the library, if the guest has failed.
    fn save(instance: &Instance<()>) -> Result<Self::State, Error>;

    /// Brings the guest back.
    ///
    /// # Errors
    ///
    /// Those of the library.
    fn load(instance: &Instance<()>, state: &Self::State) -> Result<(), Error>;

    /// A hash of the whole guest, which has this state now.
    ///
    /// # Errors
    ///
    /// Those of the library, if the guest has failed.
    fn hash(instance: &Instance<()>, state: &Self::State) -> Result<u128, Error>;
}

/// Checkpoints: memories, globals and tables.
pub enum WholeGuest {}

impl Saving for WholeGuest {
    type State = Checkpoint;

    fn save(instance: &Instance<()>) -> Result<Checkpoint, Error> {
        instance.checkpoint()
    }

    fn load(instance: &Instance<()>, here: &Checkpoint) -> Result<(), Error> {
        instance.rollback(here)
    }

    fn hash(_: &Instance<()>, here: &Checkpoint) -> Result<u128, Error> {
        Ok(here.hash())
    }
}

/// A copy of the exported memory, as many games make it. It lacks the dice and the behaviours of the balls, so the simulations of the two players
/// come to differ.
pub enum MemoryAlone {}

impl Saving for MemoryAlone {
    type State = Vec<u8>;

    fn save(instance: &Instance<()>) -> Result<Vec<u8>, Error> {
        Ok(instance.memory("memory")?.data().to_vec())
    }

    fn load(instance: &Instance<()>, bytes: &Vec<u8>) -> Result<(), Error> {
        instance.memory("memory")?.data_mut().copy_from_slice(bytes);
        Ok(())
    }

    fn hash(instance: &Instance<()>, _: &Vec<u8>) -> Result<u128, Error> {
        Ok(instance.checkpoint()?.hash())
    }
}
