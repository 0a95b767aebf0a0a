//! [`Generator`]: the random numbers that follow from a seed. wasmtime-wasi has one clone of it, and the context another, to read its position.

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng as _, TryRng};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;

/// The position of a generator in its stream of numbers, with all that the numbers follow from: the seed, the stream, the position.
pub(crate) type Position = chacha20::SerializedRngState;

#[derive(Clone)]
pub(crate) struct Generator(Arc<Mutex<ChaCha12Rng>>);

impl Generator {
    pub(crate) fn new(numbers: ChaCha12Rng) -> Self {
        Self(Arc::new(Mutex::new(numbers)))
    }

    pub(crate) fn position(&self) -> Position {
        self.0.lock().serialize_state()
    }

    pub(crate) fn set_position(&self, position: &Position) {
        *self.0.lock() = ChaCha12Rng::deserialize_state(position);
    }
}

/// Is this a position that [`Generator::position`] can return? The position in the stream has 68 bits, in 9 bytes.
pub(crate) fn is_position(bytes: &Position) -> bool {
    bytes[bytes.len() - 1] < 16
}

impl TryRng for Generator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.lock().next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.lock().next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.lock().fill_bytes(bytes);
        Ok(())
    }
}
