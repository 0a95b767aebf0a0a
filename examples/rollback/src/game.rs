//! The guest, `game.wat`, and where its memory has what the picture shows.

use crate::Error;
use wasm_jobs::wasmtime::{Engine, Linker};
use wasm_jobs::{Checkpoint, EngineOptions, Func, Instance, PreparedPre, prepare};

/// The number of players.
pub const PLAYERS: usize = 2;

/// A place on the field, which is [`Game::WIDTH`] wide and [`Game::HEIGHT`] high.
pub type Point = [f32; 2];

/// The game, compiled and linked. All guests of a process are made from it.
#[derive(Clone)]
pub struct Game {
    pre: PreparedPre<()>,
}

impl Game {
    /// The cells in a row of the field.
    pub const WIDTH: usize = 320;
    /// The rows of the field.
    pub const HEIGHT: usize = 180;

    const FIELD: usize = 4096;
    const PLAYER_BYTES: usize = 16;

    /// Compiles the game.
    ///
    /// # Errors
    ///
    /// Those of the library, if the machine cannot run it.
    pub fn load() -> Result<Self, Error> {
        let mut config = EngineOptions::default().config();
        // The players' machines may differ. The bits of a NaN would, too.
        config.cranelift_nan_canonicalization(true);
        let engine = Engine::new(&config)?;
        let module = prepare(&engine, wat::parse_str(include_str!("game.wat"))?)?;
        Ok(Self { pre: module.instantiate_pre(&Linker::new(&engine))? })
    }

    /// What guests are made from.
    #[must_use]
    pub fn pre(&self) -> &PreparedPre<()> {
        &self.pre
    }

    /// Begins a round. The seed decides where the balls are, and how the dice fall.
    ///
    /// # Errors
    ///
    /// Those of the guest.
    pub fn begin(&self, seed: u64) -> Result<Guest, Error> {
        let instance = Instance::new(&self.pre, ())?;
        instance.call::<i64, ()>("begin", seed.cast_signed())?.wait()?;
        Guest::new(instance)
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    ///
    /// Those of the library, if the checkpoint is not of this game.
    pub fn go_on(&self, here: &Checkpoint) -> Result<Guest, Error> {
        Guest::new(here.instantiate(&self.pre, ())?)
    }
}

/// One machine's copy of the simulation.
pub struct Guest {
    /// The instance, to save and to roll back.
    pub instance: Instance<()>,
    frame: Func<(i32, i32), ()>,
}

impl Guest {
    fn new(instance: Instance<()>) -> Result<Self, Error> {
        let frame = instance.func("frame")?;
        Ok(Self { instance, frame })
    }

    /// Advances the simulation by a frame.
    ///
    /// # Errors
    ///
    /// Those of the guest.
    pub fn frame(&self, [one, two]: [u8; PLAYERS]) -> Result<(), wasm_jobs::Error> {
        self.frame.call((one.into(), two.into()))?.wait()
    }

    /// Where the players are.
    ///
    /// # Errors
    ///
    /// Those of the library, if the guest has failed.
    pub fn players(&self) -> Result<[Point; PLAYERS], wasm_jobs::Error> {
        let memory = self.instance.memory("memory")?;
        Ok([memory.read(0)?, memory.read(Game::PLAYER_BYTES)?])
    }

    /// The field: a byte for each cell, row by row, which is the number of the player who painted it last, or zero.
    ///
    /// # Errors
    ///
    /// Those of the library, if the guest has failed.
    pub fn field(&self) -> Result<Vec<u8>, wasm_jobs::Error> {
        let memory = self.instance.memory("memory")?;
        Ok(memory.slice(Game::FIELD, Game::WIDTH * Game::HEIGHT)?.to_vec())
    }
}
