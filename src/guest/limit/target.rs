//! [`Target`]: which guests a stop is meant for.

/// The index of a ticker among all tickers, which fits into an atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TickerNumber(pub(crate) u32);

/// What stops a running guest: the epoch of its engine, or the guest's own flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// The ticker of the engine.
    pub(crate) ticker: TickerNumber,
    /// The address of the flag among those of the engine, or one of the two below, which are the addresses of no guest's flag.
    pub(crate) flag: u32,
}

impl Target {
    /// In the place of a flag's address: the epoch.
    pub(crate) const EPOCH: u32 = 0;

    /// In the place of a flag's address: the epoch and all flags.
    pub(crate) const ALL: u32 = u32::MAX;

    pub(crate) fn epoch(ticker: TickerNumber) -> Self {
        Self { ticker, flag: Self::EPOCH }
    }

    /// Whatever stops the guests of the engine.
    pub(crate) fn all(ticker: TickerNumber) -> Self {
        Self { ticker, flag: Self::ALL }
    }

    /// The target in one word, which fits into an atomic.
    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.ticker.0) << 32 | u64::from(self.flag)
    }

    pub(crate) fn from_word(word: u64) -> Self {
        let [ticker, flag] = [word >> 32, word & u64::from(u32::MAX)];
        // Both are less than 2³².
        Self { ticker: TickerNumber(ticker as u32), flag: flag as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, TickerNumber};

    #[test]
    fn a_target_comes_back_out_of_its_word() {
        for ticker in [0, 7, u32::MAX] {
            for flag in [0, 64, u32::MAX] {
                let target = Target { ticker: TickerNumber(ticker), flag };
                assert_eq!(Target::from_word(target.to_word()), target);
            }
        }
    }
}
