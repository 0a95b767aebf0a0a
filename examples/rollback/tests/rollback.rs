//! Rounds under some seeds, each of which makes another network, other players and another game.

use std::fs;
use std::path::Path;
use std::process::Command;
use wasm_jobs_rollback::{Error, Game, MemoryAlone, Round, SaveGame, WholeGuest, play, play_alone};

/// Ten seconds.
const LAST: usize = 600;

const SEEDS: [u64; 4] = [1, 2, 3, u64::MAX];

#[test]
fn both_sides_agree_with_a_round_that_has_no_network() -> Result<(), Error> {
    let game = Game::load()?;
    for seed in SEEDS {
        let round: Round<WholeGuest> = play(&game, seed, LAST)?;
        let (alone, _) = play_alone(&game, seed, LAST)?;
        for peer in &round.peers {
            assert!(peer.hashes[..=LAST] == alone, "seed {seed}");
            assert!(peer.desyncs.is_empty(), "seed {seed}");
            let rolled_back: usize = peer.rolled_back.iter().sum();
            assert!(rolled_back > 100, "seed {seed}: there was little to roll back: {rolled_back}");
            assert!(!peer.taken_back.is_empty(), "seed {seed}");
        }
    }
    Ok(())
}

#[test]
fn copies_of_the_memory_alone_desync() -> Result<(), Error> {
    let game = Game::load()?;
    for seed in SEEDS {
        let round: Round<MemoryAlone> = play(&game, seed, LAST)?;
        assert!(round.first_difference().is_some(), "seed {seed}");
        assert!(round.peers.iter().any(|peer| !peer.desyncs.is_empty()), "seed {seed}");
        let (alone, _) = play_alone(&game, seed, LAST)?;
        assert!(round.peers.iter().all(|peer| peer.hashes[LAST] != alone[LAST]), "seed {seed}");
    }
    Ok(())
}

#[test]
fn a_round_is_the_same_each_time() -> Result<(), Error> {
    let game = Game::load()?;
    let rolled_back = || -> Result<_, Error> {
        let round: Round<WholeGuest> = play(&game, 1, LAST)?;
        Ok(round.peers.map(|peer| peer.rolled_back))
    };
    assert_eq!(rolled_back()?, rolled_back()?);
    Ok(())
}

#[test]
fn a_save_game_goes_on_in_a_new_instance_to_the_same_end() -> Result<(), Error> {
    let game = Game::load()?;
    for seed in SEEDS {
        let Round { peers, .. } = play::<WholeGuest>(&game, seed, LAST)?;
        let [Some(one), Some(two)] = peers.each_ref().map(|peer| peer.kept.clone()) else {
            return Err("the frame in the middle was not kept".into());
        };
        assert!(one.to_bytes() == two.to_bytes(), "seed {seed}: the save games of the two differ");
        let file = SaveGame { seed, frame: LAST as u64 / 2, here: one }.to_bytes();

        // Another engine, with code that was compiled anew.
        let other = Game::load()?;
        let loaded = SaveGame::from_bytes(&other, &file)?;
        assert_eq!(loaded.go_on(&other, LAST)?, peers[0].hashes[LAST], "seed {seed}");
    }
    Ok(())
}

#[test]
fn a_save_game_that_was_cut_off_or_changed_is_refused() -> Result<(), Error> {
    let game = Game::load()?;
    let (_, guest) = play_alone(&game, 1, 10)?;
    let save_game = SaveGame { seed: 1, frame: 10, here: guest.instance.checkpoint()? };
    let mut file = save_game.to_bytes();
    for len in [0, 8, 16, 100, file.len() - 1] {
        assert!(SaveGame::from_bytes(&game, &file[..len]).is_err(), "{len} bytes");
    }
    *file.last_mut().ok_or("the file is empty")? ^= 1;
    assert!(SaveGame::from_bytes(&game, &file).is_err());
    Ok(())
}

#[test]
fn a_save_game_goes_on_in_another_process_to_the_same_end() -> Result<(), Error> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("round.save");
    let saved = run("--save", &file)?;
    let loaded = run("--load", &file)?;
    fs::remove_file(file)?;
    let end = |printed: &str| {
        printed.lines().find(|line| line.starts_with("hash at the end:")).map(str::to_owned)
    };
    assert!(end(&saved).is_some(), "{saved}");
    assert_eq!(end(&saved), end(&loaded));
    Ok(())
}

/// Runs the example, and gives what it prints.
fn run(argument: &str, file: &Path) -> Result<String, Error> {
    let example = env!("CARGO_BIN_EXE_wasm-jobs-rollback");
    let output = Command::new(example).arg(argument).arg(file).output()?;
    let printed = String::from_utf8(output.stdout)?;
    if output.status.success() {
        Ok(printed)
    } else {
        Err(String::from_utf8(output.stderr)?.into())
    }
}
