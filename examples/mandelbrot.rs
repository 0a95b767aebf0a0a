//! Draws the Mandelbrot set with a guest that was compiled from C, `guests/mandelbrot.c`. Each tile of the picture has an
//! instance of its own. All instances run on a rayon pool, and each yields after every row. Meanwhile the main thread runs 60
//! frames a second, as a game does. In each frame it updates a progress bar, and copies the tiles that are ready out of the
//! memory of their guests.
//!
//! It does this on one thread and then on all, checks that the two pictures are the same, writes `target/mandelbrot.png`, and
//! prints how long each picture took and how long the longest frame was.
//!
//! ```sh
//! cargo run --release --example mandelbrot
//! ```

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker};
use wasm_jobs::{EngineOptions, Future, Instance, JobPool, RealtimeClock, engine, guest_kit};

wasm_jobs::wrapper! {
    /// Draws the tiles.
    struct Painter<Rows> in "guests/mandelbrot.wasm";
}

/// The size of a tile in pixels, and of a pixel in bytes. The guest has the same numbers.
const TILE_WIDTH: usize = 160;
const TILE_HEIGHT: usize = 90;
const BYTES: usize = 3;

/// The number of tiles in each row and column of the picture.
const TILES: usize = 10;
const COUNT: usize = TILES * TILES;
const WIDTH: usize = TILES * TILE_WIDTH;
const HEIGHT: usize = TILES * TILE_HEIGHT;

/// The part of the plane that the picture shows: the tail of a seahorse.
const LEFT: f64 = -0.7447108;
const TOP: f64 = 0.13204585;
const STEP: f64 = 0.0022878 / WIDTH as f64;

const FRAMES_PER_SECOND: u32 = 60;

/// The state of every instance: the number of rows that all of them together have drawn.
type Rows = Arc<AtomicU64>;

fn main() -> Result<(), Box<dyn Error>> {
    let engine = engine(&EngineOptions::default())?;
    let mut linker = Linker::new(&engine);
    guest_kit::add_to_linker(&mut linker, RealtimeClock)?;
    linker.func_wrap("env", "row_done", |caller: Caller<'_, Rows>| {
        caller.data().fetch_add(1, Ordering::Relaxed);
    })?;
    let guest = linker.instantiate_pre(&Painter::module(&engine)?)?;

    let one = draw(&guest, ThreadPoolBuilder::new().num_threads(1).build()?)?;
    let all = draw(&guest, ThreadPoolBuilder::new().build()?)?;
    assert!(one.pixels == all.pixels, "the pictures differ");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mandelbrot.png");
    write_png(&path, &all.pixels)?;

    println!("picture:          {WIDTH} x {HEIGHT} pixels, by {COUNT} instances");
    println!("one thread:       {:.2} s", one.time.as_secs_f64());
    println!("{:<18}{:.2} s", format!("all {} threads:", all.threads), all.time.as_secs_f64());
    println!(
        "longest frame:    {:.1} ms, of {} frames at {FRAMES_PER_SECOND} a second",
        one.longest_frame.max(all.longest_frame).as_secs_f64() * 1e3,
        one.frames + all.frames,
    );
    println!("written to:       {}", path.display());
    Ok(())
}

struct Drawing {
    pixels: Vec<u8>,
    threads: usize,
    /// The time from just before the first instance is made until the last tile is copied.
    time: Duration,
    frames: u32,
    /// The longest time from the start of a frame to the start of the next.
    longest_frame: Duration,
}

fn draw(guest: &InstancePre<Rows>, pool: ThreadPool) -> Result<Drawing, Box<dyn Error>> {
    let pool = Arc::new(pool);
    let rows = Rows::default();
    let mut drawing = Drawing {
        pixels: vec![0; WIDTH * HEIGHT * BYTES],
        threads: pool.current_num_threads(),
        time: Duration::ZERO,
        frames: 0,
        longest_frame: Duration::ZERO,
    };
    let bar = progress_bar(drawing.threads);

    // The first frame also makes the instances and submits their calls.
    let start = Instant::now();
    let mut frame = start;
    let mut tiles = Vec::new();
    for index in 0..COUNT {
        let mut tile = Tile::new(guest, rows.clone(), index)?;
        pool.submit(tile.future.to_job()?);
        tiles.push(tile);
    }
    while !tiles.is_empty() {
        for mut tile in tiles.extract_if(.., |tile| tile.future.has_result()) {
            tile.copy_to(&mut drawing.pixels)?;
        }
        bar.set_position(rows.load(Ordering::Relaxed));
        drawing.time = start.elapsed();
        drawing.frames += 1;
        // Counted from the start, so that one late frame does not delay all later ones.
        let next = start + Duration::from_secs(1) * drawing.frames / FRAMES_PER_SECOND;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        drawing.longest_frame = drawing.longest_frame.max(frame.elapsed());
        frame = Instant::now();
    }
    bar.finish_and_clear();
    Ok(drawing)
}

struct Tile {
    row: usize,
    column: usize,
    painter: Painter,
    /// Its result is the address of the pixels in the guest's memory.
    future: Future<i32>,
}

impl Tile {
    fn new(guest: &InstancePre<Rows>, rows: Rows, index: usize) -> Result<Self, wasm_jobs::Error> {
        let (row, column) = (index / TILES, index % TILES);
        let painter = Painter::from_instance(Instance::new(guest, rows)?)?;
        let left = LEFT + (column * TILE_WIDTH) as f64 * STEP;
        let top = TOP - (row * TILE_HEIGHT) as f64 * STEP;
        let future = painter.render(left, top, STEP)?;
        Ok(Self { row, column, painter, future })
    }

    fn copy_to(&mut self, pixels: &mut [u8]) -> Result<(), wasm_jobs::Error> {
        let address = self.future.wait()?.cast_unsigned() as usize;
        let memory = self.painter.memory()?;
        let tile = memory.slice(address, TILE_WIDTH * TILE_HEIGHT * BYTES)?;
        for (y, line) in tile.chunks_exact(TILE_WIDTH * BYTES).enumerate() {
            let at = (self.row * TILE_HEIGHT + y) * WIDTH + self.column * TILE_WIDTH;
            pixels[at * BYTES..][..line.len()].copy_from_slice(line);
        }
        Ok(())
    }
}

/// A progress bar that counts rows. It is shown only on a terminal.
fn progress_bar(threads: usize) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(FRAMES_PER_SECOND as u8);
    let bar = ProgressBar::with_draw_target(Some((TILES * HEIGHT) as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:50}] {percent:>3} %") {
        bar.set_style(style);
    }
    bar.with_message(format!("threads: {threads}"))
}

fn write_png(path: &Path, pixels: &[u8]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(path.with_file_name(""))?;
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(())
}
