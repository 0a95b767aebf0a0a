//! A game of two players, whose simulation is a guest, on a network that delays and loses packets. Each player's machine predicts what the
//! other one does, and rolls its guest back when it was wrong. GGRS is the netcode.
//!
//! [`game`](Game) is the guest. [`saving`](Saving) is how its state is saved: as a checkpoint, or, to see what goes wrong then, as a copy
//! of its memory. A [`peer`](Peer) does what GGRS asks for, over the [`network`](Network), and a [`round`](play) is two peers. A
//! [`save game`](SaveGame) goes on elsewhere, and the [`picture`](draw) shows a round.

#![expect(missing_debug_implementations, reason = "nobody prints the parts of an example")]

mod game;
mod network;
mod peer;
mod picture;
mod round;
mod save_game;
mod saving;
mod script;
mod times;

pub use game::{Game, Guest, PLAYERS, Point};
pub use network::{Network, Socket};
pub use peer::{Netcode, Peer};
pub use picture::draw;
pub use round::{Round, play, play_alone};
pub use save_game::SaveGame;
pub use saving::{MemoryAlone, Saving, WholeGuest};
pub use script::inputs;
pub use times::Times;

/// What goes wrong: errors of the library, of GGRS, of files and of the picture.
pub type Error = Box<dyn std::error::Error>;
