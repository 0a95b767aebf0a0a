//! A [`Round`]: two peers that play until a frame can no longer change. Nothing in it waits for real time.

use crate::Error;
use crate::game::{Game, Guest, PLAYERS};
use crate::network::Network;
use crate::peer::Peer;
use crate::saving::Saving;
use crate::script::inputs;

/// What became of a round.
pub struct Round<S: Saving> {
    /// The two machines.
    pub peers: [Peer<S>; PLAYERS],
    /// The last frame.
    pub last: usize,
}

impl<S: Saving> Round<S> {
    /// The first frame in which the two simulations differ.
    #[must_use]
    pub fn first_difference(&self) -> Option<usize> {
        let [one, two] = &self.peers;
        (0..=self.last).find(|frame| one.hashes[*frame] != two.hashes[*frame])
    }
}

/// Plays a round over a bad network, until both players know all of it up to the frame `last`. Both keep the frame in the middle.
///
/// # Errors
///
/// Those of the library and of GGRS, and one if the network is so bad that the round does not end.
pub fn play<S: Saving>(game: &Game, seed: u64, last: usize) -> Result<Round<S>, Error> {
    let network = Network::new(seed);
    let peer = |player| Peer::new(game, &network, player, seed, last / 2);
    let mut peers = [peer(0)?, peer(1)?];

    // The round begins when both players are there.
    let mut ticks = 0..1_000 + 4 * last;
    let mut tick = || {
        network.tick();
        ticks.next().ok_or("the network is too bad")
    };
    while !peers.each_mut().map(Peer::is_ready).iter().all(|ready| *ready) {
        tick()?;
    }
    network.lose_packets();
    while peers.iter().any(|peer| peer.confirmed() < last) {
        tick()?;
        for peer in &mut peers {
            peer.show()?;
        }
    }
    Ok(Round { peers, last })
}

/// Plays a round with both players on one machine. Gives the hash at the beginning of each frame, and the guest.
///
/// # Errors
///
/// Those of the library.
pub fn play_alone(game: &Game, seed: u64, last: usize) -> Result<(Vec<u128>, Guest), Error> {
    let guest = game.begin(seed)?;
    let mut hashes = vec![guest.instance.checkpoint()?.hash()];
    for frame in 0..last {
        guest.frame(inputs(seed, frame))?;
        hashes.push(guest.instance.checkpoint()?.hash());
    }
    Ok((hashes, guest))
}
