//! What the players do. It depends on the seed and the frame alone, so that a round has one right course, whatever the network does.

use crate::game::PLAYERS;

/// The frames for which a player keeps going one way.
const STRETCH: usize = 14;

/// Left, right, up and down, as the guest reads them, and the ways between them.
const WAYS: [u8; 8] = [0b0001, 0b0101, 0b0100, 0b0110, 0b0010, 0b1010, 0b1000, 0b1001];

/// What both players press in a frame.
#[must_use]
pub fn inputs(seed: u64, frame: usize) -> [u8; PLAYERS] {
    [0, 1].map(|player| {
        // The players do not change their ways in the same frames.
        let stretch = (frame + player * STRETCH / 2) / STRETCH;
        let random = hash(seed, [player as u64, stretch as u64]);
        WAYS[(random % WAYS.len() as u64) as usize]
    })
}

/// A random number for each place: two rounds of SplitMix64.
pub(crate) fn hash(seed: u64, place: [u64; 2]) -> u64 {
    place.into_iter().fold(seed, |state, number| {
        let mut mixed = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}
