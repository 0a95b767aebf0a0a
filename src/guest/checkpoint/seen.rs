//! [`seen`]: a hash by which a page that has changed is found.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use twox_hash::XxHash3_128;

/// The hash of a page, of 128 bits.
///
/// Two different pages have the same hash with a chance of about 2⁻¹²⁸. XXH3 is no cryptographic hash: someone who knows the seed can make two
/// pages with one hash. So the seed is a secret of the process, and differs from run to run. A guest that guessed it could keep a page of its own
/// memory from being saved. It could do nothing to other guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u128);

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

pub(crate) fn seen(page: &[u8]) -> Seen {
    Seen(XxHash3_128::oneshot_with_seed(*SEED, page))
}
