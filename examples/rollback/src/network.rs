//! [`Network`]: a bad connection between two players, inside this process. Its time is counted in frames, and moves when the round says so. The
//! seed decides how late each packet is and which are lost.

use crate::game::PLAYERS;
use crate::script::hash;
use ggrs::{Message, NonBlockingSocket};
use std::cell::RefCell;
use std::rc::Rc;

/// 100 ms, at 60 frames a second.
const DELAY: u64 = 6;
/// How much later a packet may be, in frames: up to 50 ms. It may overtake others.
const JITTER: u64 = 3;
/// How many packets of a hundred are lost.
const LOST: u64 = 5;

/// The connection. A clone is the same one.
#[derive(Clone)]
pub struct Network(Rc<RefCell<State>>);

struct State {
    seed: u64,
    now: u64,
    loses_packets: bool,
    /// The packets that are on their way to each player.
    packets: [Vec<Packet>; PLAYERS],
}

struct Packet {
    arrives: u64,
    message: Message,
}

impl Network {
    /// A connection that loses no packets yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let packets = Default::default();
        Self(Rc::new(RefCell::new(State { seed, now: 0, loses_packets: false, packets })))
    }

    /// A player's end.
    #[must_use]
    pub fn socket(&self, player: usize) -> Socket {
        Socket { network: self.clone(), player }
    }

    /// Moves the time by a frame.
    pub fn tick(&self) {
        self.0.borrow_mut().now += 1;
    }

    /// From now on, packets get lost. Before, they do not, because GGRS waits for 200 ms of real time before it repeats a handshake.
    pub fn lose_packets(&self) {
        self.0.borrow_mut().loses_packets = true;
    }
}

/// A player's end of a [`Network`].
pub struct Socket {
    network: Network,
    player: usize,
}

impl NonBlockingSocket<usize> for Socket {
    fn send_to(&mut self, message: &Message, to: &usize) {
        let state = &mut *self.network.0.borrow_mut();
        // What a player sends in one frame has one fate. GGRS sends some packets by real time, and so they change nothing for the others.
        let random = hash(state.seed, [self.player as u64, state.now]);
        if state.loses_packets && random % 100 < LOST {
            return;
        }
        let arrives = state.now + DELAY + (random >> 32) % (JITTER + 1);
        state.packets[*to].push(Packet { arrives, message: message.clone() });
    }

    fn receive_all_messages(&mut self) -> Vec<(usize, Message)> {
        let state = &mut *self.network.0.borrow_mut();
        let (now, from) = (state.now, 1 - self.player);
        let arrived = state.packets[self.player].extract_if(.., |packet| packet.arrives <= now);
        arrived.map(|packet| (from, packet.message)).collect()
    }
}
