//! [`Memory`]: how much the process has, over time.

use crate::walk::Walk;
use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::prelude::*;
use plotters::style::register_font;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The size of the picture, in pixels.
const SIZE: (u32, u32) = (1000, 500);

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Memory {
    begun: Instant,
    shown: Option<Instant>,
    samples: Vec<Sample>,
}

struct Sample {
    seconds: f64,
    /// How many walkers are parked.
    parked: f64,
    megabytes: f64,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), shown: None, samples: Vec::new() }
    }

    /// Writes the line, if it is time for that.
    pub(crate) fn show(&mut self, walk: &Walk) {
        if self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let (parked, arrived, megabytes) = (walk.parked(), walk.arrived(), megabytes());
        let awake = walk.walkers() - parked - arrived;
        print!("\r{parked:7} parked, {awake:5} awake, {arrived:7} arrived; {megabytes:6.1} MB");
        // A line that is lost is no harm.
        let _ = io::stdout().flush();
        let seconds = self.begun.elapsed().as_secs_f64();
        self.samples.push(Sample { seconds, parked: parked as f64, megabytes });
    }

    /// Draws the memory and the walkers that are parked, over time.
    pub(crate) fn draw(&self) -> Result<PathBuf, Box<dyn Error>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sleepwalkers.png");
        let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
        self.draw_into(&mut pixels)?;
        fs::create_dir_all(path.with_file_name(""))?;
        let file = BufWriter::new(File::create(&path)?);
        let mut encoder = png::Encoder::new(file, SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(path)
    }

    fn draw_into(&self, pixels: &mut [u8]) -> Result<(), Box<dyn Error>> {
        let most = |of: fn(&Sample) -> f64| self.samples.iter().map(of).fold(1.0, f64::max) * 1.2;
        let (last, megabytes) = (most(|sample| sample.seconds), most(|sample| sample.megabytes));
        let parked = most(|sample| sample.parked);
        let area = BitMapBackend::with_buffer(pixels, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        // The machine may have no font, so the example brings one.
        register_font("sans-serif", FontStyle::Normal, UBUNTU_LIGHT)
            .map_err(|_| "the font cannot be read")?;
        let mut chart = ChartBuilder::on(&area)
            .caption("sleepwalkers", ("sans-serif", 28))
            .margin(15)
            .x_label_area_size(50)
            .y_label_area_size(60)
            .right_y_label_area_size(80)
            .build_cartesian_2d(0.0..last, 0.0..megabytes)?
            .set_secondary_coord(0.0..last, 0.0..parked);
        let font = ("sans-serif", 18);
        chart.configure_mesh().x_desc("seconds").y_desc("MB").label_style(font).draw()?;
        chart.configure_secondary_axes().y_desc("parked").label_style(font).draw()?;
        let line = |of: fn(&Sample) -> f64, style: ShapeStyle| {
            let points = self.samples.iter().map(move |sample| (sample.seconds, of(sample)));
            PathElement::new(points.collect::<Vec<_>>(), style)
        };
        let legend = |style: ShapeStyle| {
            move |(x, y): (i32, i32)| PathElement::new([(x, y), (x + 12, y)], style)
        };
        let (blue, red) = (BLUE.stroke_width(2), RED.stroke_width(2));
        chart
            .draw_series([line(|sample| sample.megabytes, blue)])?
            .label("memory of the process")
            .legend(legend(blue));
        chart
            .draw_secondary_series([line(|sample| sample.parked, red)])?
            .label("parked calls")
            .legend(legend(red));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(font)
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// The memory of the process that is in use. Zero where it is not known.
fn megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
