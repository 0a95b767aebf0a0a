//! [`SaveGame`]: a round that goes on later, from a file.

use crate::Error;
use crate::game::Game;
use crate::script::inputs;
use wasm_jobs::{Checkpoint, InstanceOptions};

/// The state of a round. The host's half of it is small: which round it is, and which frame comes next.
pub struct SaveGame {
    /// The seed of the round.
    pub seed: u64,
    /// The frame that comes next.
    pub frame: u64,
    /// The simulation.
    pub here: Checkpoint,
}

/// The most memory that the guest of a save game may have. The game's own has 64 KiB.
const MEMORY: usize = 1 << 20;

impl SaveGame {
    /// The save game as the contents of a file: the host's half, and then the guest.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [self.seed.to_le_bytes(), self.frame.to_le_bytes()].concat();
        bytes.extend(self.here.to_bytes());
        bytes
    }

    /// Reads a file. It may come from a stranger.
    ///
    /// # Errors
    ///
    /// Those of the library, if it is not a save game of this game.
    pub fn from_bytes(game: &Game, bytes: &[u8]) -> Result<Self, Error> {
        let cut_off = "the file is cut off";
        let (seed, bytes) = bytes.split_first_chunk().ok_or(cut_off)?;
        let (frame, guest) = bytes.split_first_chunk().ok_or(cut_off)?;
        let options = InstanceOptions::default().memory(MEMORY);
        let here = Checkpoint::from_bytes_within(game.pre(), &options, guest)?;
        Ok(Self { seed: u64::from_le_bytes(*seed), frame: u64::from_le_bytes(*frame), here })
    }

    /// Plays on until the beginning of a frame, with both players on this machine. Gives the hash of the guest.
    ///
    /// # Errors
    ///
    /// Those of the library.
    pub fn go_on(&self, game: &Game, last: usize) -> Result<u128, Error> {
        let guest = game.go_on(&self.here)?;
        for frame in usize::try_from(self.frame)?..last {
            guest.frame(inputs(self.seed, frame))?;
        }
        Ok(guest.instance.checkpoint()?.hash())
    }
}
