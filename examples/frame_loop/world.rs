//! The world, a plane of cells with creatures on it, and the picture of it on the screen.

use std::io::{self, IsTerminal, Write};

/// The size of the world in cells. The guest has the same numbers.
const WIDTH: usize = 80;
const HEIGHT: usize = 22;

const GROUND: u8 = b' ';
const ROCK: u8 = b'#';
const BERRY: u8 = b'*';

const ROCKS: usize = 150;
const BERRIES: usize = 100;

pub(crate) struct World {
    /// The cells, row by row. Those at the edge are rocks.
    pub(crate) cells: Vec<u8>,
    pub(crate) creatures: Vec<Body>,
    pub(crate) is_evening: bool,
    pub(crate) random: Random,
}

pub(crate) struct Body {
    /// The index of its cell.
    pub(crate) at: usize,
    pub(crate) looks: Looks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    Awake = b'o' as isize,
    Asleep = b'z' as isize,
    Thinking = b'?' as isize,
}

impl World {
    pub(crate) fn new(creatures: usize, seed: u64) -> Self {
        let cell = |index: usize| match (index % WIDTH, index / WIDTH) {
            (0, _) | (_, 0) => ROCK,
            (x, y) if x == WIDTH - 1 || y == HEIGHT - 1 => ROCK,
            _ => GROUND,
        };
        let mut world = Self {
            cells: (0..WIDTH * HEIGHT).map(cell).collect(),
            creatures: Vec::new(),
            is_evening: false,
            random: Random(seed),
        };
        for _ in 0..ROCKS {
            world.put(ROCK);
        }
        for _ in 0..BERRIES {
            world.put(BERRY);
        }
        for _ in 0..creatures {
            let body = Body { at: world.somewhere(), looks: Looks::Awake };
            world.creatures.push(body);
        }
        world
    }

    /// Moves a creature by one cell, unless there is a rock, and returns the index of its cell.
    pub(crate) fn walk(&mut self, creature: usize, direction: u32) -> usize {
        let at = &mut self.creatures[creature].at;
        let next = match direction % 4 {
            0 => *at - WIDTH,
            1 => *at + 1,
            2 => *at + WIDTH,
            _ => *at - 1,
        };
        if self.cells[next] != ROCK {
            *at = next;
        }
        *at
    }

    /// Eats the berry in the creature's cell, and lets another grow elsewhere. Returns whether there was one.
    pub(crate) fn eat(&mut self, creature: usize) -> bool {
        let at = self.creatures[creature].at;
        let is_berry = self.cells[at] == BERRY;
        if is_berry {
            self.cells[at] = GROUND;
            self.put(BERRY);
        }
        is_berry
    }

    pub(crate) fn are_all_awake(&self) -> bool {
        self.creatures.iter().all(|body| body.looks == Looks::Awake)
    }

    fn put(&mut self, thing: u8) {
        let at = self.somewhere();
        self.cells[at] = thing;
    }

    /// The index of a random cell without rock or berry.
    fn somewhere(&mut self) -> usize {
        loop {
            let cell = self.random.below(self.cells.len() as u32) as usize;
            if self.cells[cell] == GROUND {
                return cell;
            }
        }
    }
}

/// SplitMix64, by Sebastiano Vigna: <https://prng.di.unimi.it/splitmix64.c>.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u64::from(below) * ((z ^ (z >> 31)) >> 32)) >> 32) as u32
    }
}

/// Standard output, whether or not it is a terminal.
#[derive(Default)]
pub(crate) struct Screen {
    picture: Vec<u8>,
}

impl Screen {
    /// Draws the world over the last picture of it. If standard output is not a terminal, only a kept picture is drawn.
    pub(crate) fn draw(&mut self, world: &World, is_kept: bool) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let is_terminal = stdout.is_terminal();
        let is_first = self.picture.is_empty();
        self.picture.clear();
        if is_terminal && !is_first {
            write!(self.picture, "\x1b[{HEIGHT}F")?; // Moves the cursor up by that many lines.
        }
        let mut cells = world.cells.clone();
        for body in &world.creatures {
            cells[body.at] = body.looks as u8;
        }
        for row in cells.chunks_exact(WIDTH) {
            self.picture.extend_from_slice(row);
            self.picture.push(b'\n');
        }
        if is_terminal || is_kept {
            stdout.write_all(&self.picture)?;
        }
        Ok(())
    }
}
