//! The picture of a round: the painted field with both players' ways over it, and below it how many frames were rolled back.

use crate::Error;
use crate::game::{Game, PLAYERS};
use crate::round::Round;
use crate::saving::Saving;
use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

/// The pixels of a cell of the field, in each direction.
const CELL: usize = 3;
/// The size of the picture, in pixels.
const SIZE: (u32, u32) = ((Game::WIDTH * CELL) as u32, 880);
/// Where the field begins, and where it ends.
const FIELD: [u32; 2] = [44, 44 + (Game::HEIGHT * CELL) as u32];

const PAINTS: [RGBColor; 3] =
    [RGBColor(250, 250, 250), RGBColor(207, 226, 240), RGBColor(252, 226, 200)];
const PLAYER: [RGBColor; PLAYERS] = [RGBColor(31, 119, 180), RGBColor(230, 110, 0)];
const TAKEN_BACK: RGBColor = RGBColor(200, 20, 60);

/// Draws a round and its field at the end.
///
/// # Errors
///
/// Those of the picture and of the file.
pub fn draw<S: Saving>(round: &Round<S>, field: &[u8], path: &Path) -> Result<(), Error> {
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    // The machine may have no font, so the example brings one.
    register_font("sans-serif", FontStyle::Normal, UBUNTU_LIGHT)
        .map_err(|_| "the font cannot be read")?;
    let (legend, rest) = area.split_vertically(FIELD[0]);
    let (top, charts) = rest.split_vertically(FIELD[1] - FIELD[0]);
    draw_legend(&legend)?;
    draw_field(&top, round, field)?;
    for (player, (area, peer)) in
        charts.split_evenly((PLAYERS, 1)).iter().zip(&round.peers).enumerate()
    {
        draw_rollbacks(area, player, &peer.rolled_back)?;
    }
    area.present()?;
    drop((area, legend, rest, top, charts));

    fs::create_dir_all(path.with_file_name(""))?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    Ok(writer.finish()?)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

fn draw_legend(area: &Area<'_>) -> Result<(), Error> {
    let font = ("sans-serif", 20).into_font();
    let labels = [
        ("way of player 1", PLAYER[0]),
        ("way of player 2", PLAYER[1]),
        ("predicted by the other side, and taken back", TAKEN_BACK),
    ];
    for ((text, color), x) in labels.into_iter().zip([20, 220, 420]) {
        area.draw(&Circle::new((x, 22), 6, color.filled()))?;
        area.draw(&Text::new(text, (x + 14, 12), font.clone()))?;
    }
    Ok(())
}

fn draw_field<S: Saving>(area: &Area<'_>, round: &Round<S>, field: &[u8]) -> Result<(), Error> {
    let pixel = |cell: usize| (cell * CELL) as i32;
    for (row, cells) in field.chunks(Game::WIDTH).enumerate() {
        for (column, paint) in cells.iter().enumerate() {
            let (x, y) = (pixel(column), pixel(row));
            let end = (x + CELL as i32, y + CELL as i32);
            let paint = PAINTS[usize::from(*paint)];
            area.draw(&Rectangle::new([(x, y), end], paint.filled()))?;
        }
    }
    let place = |[x, y]: [f32; 2]| ((x * CELL as f32) as i32, (y * CELL as f32) as i32);
    for (player, color) in PLAYER.into_iter().enumerate() {
        let path = round.peers[player].paths[..=round.last].iter();
        let points: Vec<_> = path.map(|players| place(players[player])).collect();
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            area.draw(&Circle::new(*first, 5, color.stroke_width(2)))?;
            area.draw(&Circle::new(*last, 7, color.filled()))?;
        }
        area.draw(&PathElement::new(points, color.stroke_width(2)))?;
    }
    for peer in &round.peers {
        for taken_back in &peer.taken_back {
            area.draw(&Circle::new(place(*taken_back), 2, TAKEN_BACK.mix(0.7).filled()))?;
        }
    }
    Ok(())
}

fn draw_rollbacks(area: &Area<'_>, player: usize, rolled_back: &[usize]) -> Result<(), Error> {
    let most = rolled_back.iter().max().copied().unwrap_or_default();
    let seconds = |frame: usize| frame as f64 / 60.0;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("frames that player {} rolls back", player + 1), ("sans-serif", 20))
        .margin_right(20)
        .x_label_area_size(30)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..seconds(rolled_back.len()), 0..most + 1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_labels(5)
        .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .label_style(("sans-serif", 15))
        .draw()?;
    let bars = rolled_back.iter().enumerate().filter(|(_, frames)| **frames > 0);
    chart.draw_series(bars.map(|(frame, frames)| {
        Rectangle::new(
            [(seconds(frame), 0), (seconds(frame + 1), *frames)],
            PLAYER[player].filled(),
        )
    }))?;
    Ok(())
}
