//! Plays a round of a game whose simulation is a guest, `game.wat`: two players, 60 frames a second, and a network that delivers packets 100 to
//! 150 ms late, in any order, and loses one in twenty. Each player's machine predicts the other player's input. When the real
//! input arrives and is another one, the machine rolls its guest back, and computes the frames since then again. GGRS tells it when.
//!
//! The time of the network is counted in frames, so the example takes a second, and is the same each time. It checks that both machines have the same
//! simulation in every frame, and that it is the same as in a round without a network. Then it plays the same round with copies of the memory in the
//! place of checkpoints, and checks that the simulations differ. It prints how long the saves and loads took, and writes a picture to
//! `target/rollback.png`.
//!
//! ```sh
//! cargo run --release -p wasm-jobs-rollback
//! ```
//!
//! It can save the round in the middle, and another process goes on from there to the same end:
//!
//! ```sh
//! cargo run --release -p wasm-jobs-rollback -- --save target/round.save
//! cargo run --release -p wasm-jobs-rollback -- --load target/round.save
//! ```

use std::path::Path;
use std::{env, fs};
use wasm_jobs_rollback::{
    Error, Game, MemoryAlone, Peer, Round, SaveGame, Times, WholeGuest, draw, play, play_alone,
};

/// The last frame, after fifteen seconds.
const LAST: usize = 900;

const SEED: u64 = 7;

fn main() -> Result<(), Error> {
    let game = Game::load()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show(&game, None),
        ["--save", file] => show(&game, Some(Path::new(file))),
        ["--load", file] => {
            let save_game = SaveGame::from_bytes(&game, &fs::read(file)?)?;
            println!("loaded:           frame {}", save_game.frame);
            print_end(save_game.go_on(&game, LAST)?);
            Ok(())
        }
        _ => Err("usage: wasm-jobs-rollback [--save FILE | --load FILE]".into()),
    }
}

fn show(game: &Game, save: Option<&Path>) -> Result<(), Error> {
    let round: Round<WholeGuest> = play(game, SEED, LAST)?;
    let [one, two] = &round.peers;
    let (alone, guest) = play_alone(game, SEED, LAST)?;
    assert_eq!(round.first_difference(), None, "the simulations differ");
    assert!(one.hashes[..=LAST] == alone, "another round than without a network");
    assert!(one.desyncs.is_empty() && two.desyncs.is_empty(), "GGRS has found a difference");

    println!("frames:           {LAST}, in each of which both sides have the same hash");
    for (number, peer) in (1..).zip(&round.peers) {
        print_rollbacks(number, peer);
    }
    print_times("save:", &one.saves.and(&two.saves));
    print_times("hash:", &one.hashing.and(&two.hashing));
    print_times("load:", &one.loads.and(&two.loads));
    let middle = one.kept.clone().ok_or("the frame in the middle was not kept")?;
    let (held, written) = (middle.size().bytes, middle.to_bytes().len());
    println!("checkpoint:       {held} bytes, and {written} as a save game");

    let copied: Round<MemoryAlone> = play(game, SEED, LAST)?;
    let parted = copied.first_difference().ok_or("copies of the memory should not be enough")?;
    let found = copied.peers.iter().filter_map(|peer| peer.desyncs.first()).min();
    let found = found.ok_or("GGRS has not found the difference")?;
    println!("memory alone:     differs from frame {parted} on; GGRS finds it in frame {found}");

    if let Some(file) = save {
        let save_game = SaveGame { seed: SEED, frame: LAST as u64 / 2, here: middle };
        fs::write(file, save_game.to_bytes())?;
        println!("saved:            frame {}", save_game.frame);
    }
    print_end(one.hashes[LAST]);

    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.ancestors().nth(2).ok_or("the package is not in its workspace")?;
    let path = workspace.join("target/rollback.png");
    draw(&round, &guest.field()?, &path)?;
    println!("written to:       {}", path.display());
    Ok(())
}

fn print_rollbacks(number: usize, peer: &Peer<WholeGuest>) {
    let frames: usize = peer.rolled_back.iter().sum();
    let most = peer.rolled_back.iter().max().copied().unwrap_or_default();
    let times = peer.loads.count();
    println!(
        "player {number}:         {frames} frames rolled back, in {times} rollbacks of up to {most}"
    );
}

fn print_times(name: &str, times: &Times) {
    let [mean, worst] = times.mean_and_worst();
    println!("{name:<18}{mean:.1} µs, at worst {worst:.1} µs, of {}", times.count());
}

fn print_end(hash: u128) {
    println!("hash at the end:  {hash:032x}");
}
