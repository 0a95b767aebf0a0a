//! How long the frames took: percentiles, and a histogram.

use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::prelude::*;
use plotters::style::register_font;
use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

/// The size of the picture, in pixels.
const SIZE: (u32, u32) = (1000, 500);

const BINS: usize = 60;

#[derive(Default)]
pub(crate) struct FrameTimes {
    /// The time of the scripts in each frame.
    pub(crate) ticks: Vec<Duration>,
    /// The time of the scripts and of the drawing in each frame.
    pub(crate) frames: Vec<Duration>,
}

pub(crate) fn percentiles(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let [p50, p99, worst] =
        [50, 99, 100].map(|percent| ms(times[(times.len() - 1) * percent / 100]));
    format!("p50 {p50:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl FrameTimes {
    pub(crate) fn write_histogram(
        &self,
        budget: Duration,
        path: &Path,
    ) -> Result<(), Box<dyn Error>> {
        let worst = self.frames.iter().max().copied().unwrap_or_default();
        let end = ms(worst).max(ms(budget) * 1.5).ceil();
        let ticks = count(&self.ticks, end);
        let frames = count(&self.frames, end);
        let highest = *ticks.iter().chain(&frames).max().unwrap_or(&1);

        let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        // The machine may have no font, so the example brings one.
        register_font("sans-serif", FontStyle::Normal, UBUNTU_LIGHT)
            .map_err(|_| "the font cannot be read")?;
        let mut chart = ChartBuilder::on(&area)
            .caption("frame times", ("sans-serif", 28))
            .margin(15)
            .x_label_area_size(50)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end, 0..highest + highest / 10 + 1)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc("milliseconds")
            .y_desc("frames")
            .label_style(("sans-serif", 18))
            .draw()?;

        let bin = end / BINS as f64;
        // The two series stand beside each other, each in a half of the bin.
        for (label, counts, color, half) in
            [("scripts", ticks, BLUE, 0.0), ("scripts and drawing", frames, ORANGE, 0.5)]
        {
            let bars = counts.into_iter().enumerate().map(|(n, count)| {
                let left = (n as f64 + half) * bin;
                Rectangle::new([(left, 0), (left + bin / 2.0, count)], color.filled())
            });
            chart.draw_series(bars)?.label(label).legend(move |(x, y)| {
                Rectangle::new([(x, y - 6), (x + 12, y + 6)], color.filled())
            });
        }
        chart
            .draw_series([PathElement::new(
                [(ms(budget), 0), (ms(budget), highest + highest / 10)],
                RED.stroke_width(2),
            )])?
            .label("budget of the scripts")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], RED.stroke_width(2)));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 18))
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE)
            .draw()?;
        area.present()?;
        drop((chart, area));

        fs::create_dir_all(path.with_file_name(""))?;
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        Ok(writer.finish()?)
    }
}

const BLUE: RGBColor = RGBColor(31, 119, 180);
const ORANGE: RGBColor = RGBColor(255, 127, 14);

/// Counts the times in each of [`BINS`] bins between zero and `end` milliseconds.
fn count(times: &[Duration], end: f64) -> Vec<u32> {
    let mut counts = vec![0; BINS];
    for &time in times {
        counts[((ms(time) / end * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    counts
}
