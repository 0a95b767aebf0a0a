//! [`Peer`]: the machine of one player. It does what GGRS asks for.

use crate::Error;
use crate::game::{Game, Guest, PLAYERS, Point};
use crate::network::Network;
use crate::saving::Saving;
use crate::script::inputs;
use crate::times::Times;
use ggrs::{
    Config, DesyncDetection, GameStateCell, GgrsEvent, GgrsRequest, P2PSession, PlayerType,
    PredictRepeatLast, SessionBuilder, SessionState,
};
use std::marker::PhantomData;
use std::time::Duration;

/// How many frames a peer may be ahead of what it knows of the other one.
const PREDICTED: usize = 16;

/// The types that GGRS works with. Each frame's state is what the guest was saved as.
pub struct Netcode<S>(PhantomData<S>);

impl<S: Saving> Config for Netcode<S> {
    type Input = u8;
    type InputPredictor = PredictRepeatLast;
    type State = S::State;
    type Address = usize;
}

/// The machine of one player.
pub struct Peer<S: Saving> {
    player: usize,
    seed: u64,
    session: P2PSession<Netcode<S>>,
    /// Its copy of the simulation.
    pub guest: Guest,
    /// The hash of the guest at the beginning of each frame, as it was saved last.
    pub hashes: Vec<u128>,
    /// Where the players are at the beginning of each frame, as far as it is known now.
    pub paths: Vec<[Point; PLAYERS]>,
    /// The places of the other player that were predicted and were wrong.
    pub taken_back: Vec<Point>,
    /// How many frames were computed again, each time that a frame was to be shown.
    pub rolled_back: Vec<usize>,
    /// The frames that GGRS has found to differ between the players.
    pub desyncs: Vec<usize>,
    /// The guest in the frame that is to be kept.
    pub kept: Option<S::State>,
    keep: usize,
    /// The times of the saves.
    pub saves: Times,
    /// The times of the hashes.
    pub hashing: Times,
    /// The times of the loads.
    pub loads: Times,
}

impl<S: Saving> Peer<S> {
    /// The machine of a player, who begins a round. What the guest was in the frame `keep` is kept.
    ///
    /// # Errors
    ///
    /// Those of the library, and of GGRS.
    pub fn new(
        game: &Game,
        network: &Network,
        player: usize,
        seed: u64,
        keep: usize,
    ) -> Result<Self, Error> {
        // GGRS takes real time for this. A machine that is busy with something else is not to be taken for a player who has left.
        let hours = Duration::from_secs(10_000);
        let session = SessionBuilder::<Netcode<S>>::new()
            .with_num_players(PLAYERS)?
            .with_max_prediction_window(PREDICTED)
            .with_desync_detection_mode(DesyncDetection::On { interval: 10 })
            .with_disconnect_timeout(hours)
            .with_disconnect_notify_delay(hours)
            .add_player(PlayerType::Local, player)?
            .add_player(PlayerType::Remote(1 - player), 1 - player)?
            .start_p2p_session(network.socket(player))?;
        Ok(Self {
            player,
            seed,
            session,
            guest: game.begin(seed)?,
            hashes: Vec::new(),
            paths: Vec::new(),
            taken_back: Vec::new(),
            rolled_back: Vec::new(),
            desyncs: Vec::new(),
            kept: None,
            keep,
            saves: Times::default(),
            hashing: Times::default(),
            loads: Times::default(),
        })
    }

    /// Whether the players know each other.
    pub fn is_ready(&mut self) -> bool {
        self.session.poll_remote_clients();
        self.session.current_state() == SessionState::Running
    }

    /// The last frame that can no longer change: all inputs before it are known, and it was saved.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        // GGRS gives the last frame whose inputs are known, or -1. They decide what the next frame is.
        let known = usize::try_from(self.session.confirmed_frame() + 1).unwrap_or(0);
        known.min(self.hashes.len().saturating_sub(1))
    }

    /// Shows a frame.
    ///
    /// # Errors
    ///
    /// Those of the guest, and of GGRS.
    pub fn show(&mut self) -> Result<(), Error> {
        let shown = usize::try_from(self.session.current_frame())?;
        let input = inputs(self.seed, shown)[self.player];
        self.session.add_local_input(self.player, input)?;
        self.rolled_back.push(0);
        for request in self.session.advance_frame()? {
            match request {
                GgrsRequest::SaveGameState { cell, frame } => self.save(&cell, frame)?,
                GgrsRequest::LoadGameState { cell, frame } => self.load(&cell, shown, frame)?,
                GgrsRequest::AdvanceFrame { inputs } => {
                    self.guest.frame([inputs[0].0, inputs[1].0])?
                }
            }
        }
        for event in self.session.events() {
            if let GgrsEvent::DesyncDetected { frame, .. } = event {
                self.desyncs.push(usize::try_from(frame)?);
            }
        }
        Ok(())
    }

    fn save(&mut self, cell: &GameStateCell<S::State>, frame: i32) -> Result<(), Error> {
        let here = self.saves.take(|| S::save(&self.guest.instance))?;
        let hash = self.hashing.take(|| S::hash(&self.guest.instance, &here))?;
        cell.save(frame, Some(here.clone()), Some(hash));

        // All else is for the picture, and to see that the players agree.
        let (frame, other) = (usize::try_from(frame)?, 1 - self.player);
        if frame == self.keep {
            self.kept = Some(here);
        }
        let players = self.guest.players()?;
        if let Some(predicted) = self.paths.get_mut(frame) {
            if predicted[other] != players[other] {
                self.taken_back.push(predicted[other]);
            }
            *predicted = players;
            self.hashes[frame] = hash;
        } else {
            self.paths.push(players);
            self.hashes.push(hash);
        }
        Ok(())
    }

    fn load(
        &mut self,
        cell: &GameStateCell<S::State>,
        shown: usize,
        frame: i32,
    ) -> Result<(), Error> {
        let here = cell.load().ok_or("GGRS loads a frame that was never saved")?;
        self.loads.take(|| S::load(&self.guest.instance, &here))?;
        if let Some(rolled_back) = self.rolled_back.last_mut() {
            *rolled_back = shown - usize::try_from(frame)?;
        }
        Ok(())
    }
}
