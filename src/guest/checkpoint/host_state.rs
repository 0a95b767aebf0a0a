//! [`HostState`]: how the host's half of a guest, the state of its store, becomes data.

use crate::error::Error;

/// The state of a store, if it can be saved with its guest, and restored.
///
/// A state that is `Clone + Send + Sync` has this trait already, and is saved as a clone. A handle is cloned as a handle: what an `Arc` in the state
/// refers to is neither saved nor restored. To choose what is saved, implement the trait for a type that is not `Clone`.
///
/// A [`WasiCtx`](crate::wasi::WasiCtx) is saved as a [`WasiSaved`](crate::wasi::WasiSaved). A state that is made of several parts saves each of them:
///
/// ```
/// # #[cfg(feature = "wasi")]
/// # fn main() -> Result<(), wasm_jobs::Error> {
/// use wasm_jobs::wasi::{WasiCtx, WasiCtxBuilder, WasiSaved};
/// use wasm_jobs::{Error, HostState};
///
/// struct Creature {
///     wasi: WasiCtx,
///     lives: u32,
/// }
///
/// impl HostState for Creature {
///     type Saved = (WasiSaved, u32);
///
///     fn save(&mut self) -> Result<Self::Saved, Error> {
///         Ok((self.wasi.save()?, self.lives))
///     }
///
///     fn restore(&mut self, (wasi, lives): &Self::Saved) -> Result<(), Error> {
///         self.wasi.restore(wasi)?;
///         self.lives = *lives;
///         Ok(())
///     }
/// }
///
/// let mut creature = Creature { wasi: WasiCtxBuilder::new().seed(7).build()?, lives: 3 };
/// let saved = creature.save()?;
/// creature.lives = 0;
/// creature.restore(&saved)?;
/// assert_eq!(creature.lives, 3);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "wasi"))]
/// # fn main() {}
/// ```
pub trait HostState {
    /// The state as data.
    type Saved: Clone + Send + Sync + 'static;

    /// Makes data of the state. The state stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::CannotSave`] if a part of the state cannot become data.
    fn save(&mut self) -> Result<Self::Saved, Error>;

    /// Makes this state what the saved one was. The saved one may have been the state of another guest, or of one in another process.
    ///
    /// # Errors
    ///
    /// [`Error::CannotRestore`] if what was saved does not fit this state. An implementation should then leave the state as it was.
    fn restore(&mut self, saved: &Self::Saved) -> Result<(), Error>;
}

impl<T: Clone + Send + Sync + 'static> HostState for T {
    type Saved = T;

    fn save(&mut self) -> Result<T, Error> {
        Ok(self.clone())
    }

    fn restore(&mut self, saved: &T) -> Result<(), Error> {
        self.clone_from(saved);
        Ok(())
    }
}
