//! Two hundred creatures, each moved by a script of its own, for ten seconds at sixty frames a second, without a window. The scripts of ten of
//! them loop for ever and never wait; they are stopped at the end of their slices, and the others walk on.
//!
//! A script is `assets/creature.wat`. Each frame it computes its next step and asks the host to take it. The host function changes the
//! world while the script is suspended.
//!
//! It prints how long the frames took, and by how much they exceeded the budget of 2 ms. It writes the paths of the creatures to
//! `target/creatures.png`, and a histogram of the frames to `target/creatures_frames.png`.
//!
//! ```sh
//! cargo run --release --example creatures
//! ```

use bevy_app::{App, TaskPoolPlugin, Update};
use bevy_asset::{AssetPlugin, AssetServer};
use bevy_ecs::prelude::*;
use bevy_time::TimePlugin;
use bevy_wasm_jobs::wasm_jobs::wasmtime::{self, Caller, Linker};
use bevy_wasm_jobs::{
    Script, ScriptBudget, ScriptCall, ScriptFailed, ScriptHost, ScriptTrapped, WasmJobsPlugin,
    WasmJobsSystems,
};
use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const CREATURES: usize = 200;
const SPINNERS: usize = 10;
const FRAME: Duration = Duration::from_micros(1_000_000 / 60);
const FRAMES: u32 = 600;
const BUDGET: Duration = Duration::from_millis(2);

/// The creatures live between zero and this, in both directions.
const SIZE: f32 = 100.0;

#[derive(Component, Clone, Copy)]
struct Position(f32, f32);

/// Where a creature was, frame by frame.
#[derive(Component, Default)]
struct Track(Vec<(f32, f32)>);

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        TimePlugin,
        AssetPlugin {
            file_path: concat!(env!("CARGO_MANIFEST_DIR"), "/assets").to_owned(),
            ..AssetPlugin::default()
        },
        WasmJobsPlugin::default().budget(BUDGET).with_linker(host_functions),
    ))
    .add_observer(|failed: On<ScriptFailed>| panic!("{}", failed.error))
    .add_observer(|trapped: On<ScriptTrapped>| panic!("{}", trapped.trap))
    .add_systems(Update, note_positions.after(WasmJobsSystems::Collect));

    let module = app.world().resource::<AssetServer>().load("creature.wat");
    for n in 0..CREATURES {
        let entry = if n < SPINNERS { "spin" } else { "wander" };
        let column = (n % 20) as f32 + 0.5;
        let row = (n / 20) as f32 + 0.5;
        let position = Position(column * SIZE / 20.0, row * SIZE / 10.0);
        app.world_mut().spawn((Script::new(module.clone(), entry), position, Track::default()));
    }
    let mut calls = app.world_mut().query::<&ScriptCall>();
    while !calls.iter(app.world()).all(ScriptCall::is_running) {
        app.update();
        thread::sleep(Duration::from_millis(1));
    }

    let (mut scripts, mut overshoots, mut frames) = (Vec::new(), Vec::new(), Vec::new());
    let start = Instant::now();
    for frame in 1..=FRAMES {
        let begins = Instant::now();
        app.update();
        frames.push(begins.elapsed());
        let budget = app.world().resource::<ScriptBudget>();
        scripts.push(budget.used);
        overshoots.push(budget.overshoot());
        // Counted from the start, so that one late frame does not delay all later ones.
        thread::sleep((start + FRAME * frame).saturating_duration_since(Instant::now()));
    }

    let mut creatures = app.world_mut().query::<(&Script, &Track)>();
    let tracks: Vec<&Track> = creatures
        .iter(app.world())
        .filter(|(script, _)| script.entry == "wander")
        .map(|(_, track)| track)
        .collect();
    let still = tracks.iter().filter(|track| length(track) < 1.0).count();
    assert_eq!(still, 0, "a creature walks, whichever walls it meets");
    assert!(calls.iter(app.world()).all(ScriptCall::is_running), "all scripts run to this moment");

    println!("{} creatures, {SPINNERS} of which loop for ever; {FRAMES} frames", CREATURES);
    println!("the whole frame:    {}", percentiles(&frames));
    println!("the scripts in it:  {}", percentiles(&scripts));
    println!("over the budget:    {}", percentiles(&overshoots));

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&folder)?;
    let (paths, histogram) = (folder.join("creatures.png"), folder.join("creatures_frames.png"));
    // The machine may have no font, so the example brings one.
    register_font("sans-serif", FontStyle::Normal, UBUNTU_LIGHT)
        .map_err(|_| "the font cannot be read")?;
    write_picture(&paths, (1000, 1000), |area| draw_tracks(area, &tracks))?;
    write_picture(&histogram, (1000, 500), |area| draw_histogram(area, &scripts, &frames))?;
    println!("{}\n{}", paths.display(), histogram.display());
    Ok(())
}

fn host_functions(linker: &mut Linker<ScriptHost>) -> wasmtime::Result<()> {
    linker.func_wrap("game", "seed", |caller: Caller<'_, ScriptHost>| {
        // Any number but zero, and another one for each creature.
        (caller.data().entity().to_bits() as u32).wrapping_mul(2_654_435_761) | 1
    })?;
    // Gives zero if there is a wall.
    linker
        .func_wrap_async("game", "move_by", |caller: Caller<'_, ScriptHost>, (x, y): (f32, f32)| {
            let moves = caller.data().with_entity(move |mut entity| {
                let Some(mut position) = entity.get_mut::<Position>() else { return 0 };
                let next = Position(position.0 + x, position.1 + y);
                let fits = [next.0, next.1].iter().all(|place| (0.0..SIZE).contains(place));
                if fits {
                    *position = next;
                }
                i32::from(fits)
            });
            Box::new(async move { wasmtime::Result::Ok(moves.await?) })
        })
        .map(drop)
}

fn note_positions(mut creatures: Query<(&Position, &mut Track)>) {
    for (position, mut track) in &mut creatures {
        track.0.push((position.0, position.1));
    }
}

fn length(track: &Track) -> f32 {
    track.0.windows(2).map(|two| (two[1].0 - two[0].0).hypot(two[1].1 - two[0].1)).sum()
}

fn percentiles(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let [p50, p99, worst] =
        [50, 99, 100].map(|percent| ms(times[(times.len() - 1) * percent / 100]));
    format!("p50 {p50:.3} ms, p99 {p99:.3} ms, worst {worst:.3} ms")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

fn write_picture(
    path: &PathBuf,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    area.fill(&WHITE)?;
    draw(&area)?;
    area.present()?;
    drop(area);
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    Ok(writer.finish()?)
}

fn draw_tracks(area: &Area<'_>, tracks: &[&Track]) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area).margin(10).build_cartesian_2d(0.0..SIZE, 0.0..SIZE)?;
    for (n, track) in tracks.iter().enumerate() {
        let color = HSLColor(n as f64 / tracks.len() as f64, 0.8, 0.45);
        chart.draw_series(LineSeries::new(track.0.iter().copied(), color.stroke_width(2)))?;
        if let Some(end) = track.0.last() {
            chart.draw_series([Circle::new(*end, 4, color.filled())])?;
        }
    }
    Ok(())
}

const BINS: usize = 60;

fn draw_histogram(
    area: &Area<'_>,
    scripts: &[Duration],
    frames: &[Duration],
) -> Result<(), Box<dyn Error>> {
    // Rare frames that were much longer are counted in the last bin, so that the others can be told apart.
    let end = ms(BUDGET) * 3.0;
    let (scripts, frames) = (count(scripts, end), count(frames, end));
    let highest = *scripts.iter().chain(&frames).max().unwrap_or(&1);
    let mut chart = ChartBuilder::on(area)
        .caption("frame times", ("sans-serif", 28))
        .margin(15)
        .x_label_area_size(50)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0..highest + highest / 10 + 1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("milliseconds; the last bars are of all longer frames")
        .y_desc("frames")
        .label_style(("sans-serif", 18))
        .draw()?;
    let bin = end / BINS as f64;
    // The two series stand beside each other, each in a half of the bin.
    for (label, counts, color, half) in
        [("scripts", scripts, BLUE, 0.0), ("the whole frame", frames, MAGENTA, 0.5)]
    {
        let bars = counts.into_iter().enumerate().map(|(n, count)| {
            let left = (n as f64 + half) * bin;
            Rectangle::new([(left, 0), (left + bin / 2.0, count)], color.filled())
        });
        chart
            .draw_series(bars)?
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 6), (x + 12, y + 6)], color.filled()));
    }
    let top = highest + highest / 10;
    chart
        .draw_series([PathElement::new([(ms(BUDGET), 0), (ms(BUDGET), top)], RED.stroke_width(2))])?
        .label("budget of the scripts")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], RED.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 18))
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

/// Counts the times in each of [`BINS`] bins between zero and `end` milliseconds.
fn count(times: &[Duration], end: f64) -> Vec<u32> {
    let mut counts = vec![0; BINS];
    for &time in times {
        counts[((ms(time) / end * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    counts
}
