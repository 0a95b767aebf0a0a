//! [`Stops`]: what stops a guest that does not stop by itself.

use wasmtime::Engine;

/// What stops a running guest that neither yields nor waits nor ends: at the end of a [slice of time](crate::Slice::Time), after a timeout,
/// or when its call is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stops {
    /// Nothing does. Only fuel limits such a guest.
    Never,
    /// The epoch of its engine, which each guest of the engine looks at: see
    /// [`EngineOptions::epoch_interruption`](crate::EngineOptions::epoch_interruption).
    AtEpochs,
    /// Its own flag. The module was prepared for that: see [`EngineOptions::stop_flags`](crate::EngineOptions::stop_flags).
    AtFlags,
}

impl Stops {
    /// What stops a guest of this engine that has no flag.
    pub(crate) fn without_flag(engine: &Engine) -> Self {
        if engine.get_epoch_interruption() { Self::AtEpochs } else { Self::Never }
    }

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Never => 0,
            Self::AtEpochs => 1,
            Self::AtFlags => 2,
        }
    }

    #[inline]
    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Never,
            1 => Self::AtEpochs,
            _ => Self::AtFlags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stops;

    #[test]
    fn each_comes_back_out_of_its_byte() {
        for stops in [Stops::Never, Stops::AtEpochs, Stops::AtFlags] {
            assert_eq!(Stops::from_byte(stops.to_byte()), stops);
        }
    }
}
