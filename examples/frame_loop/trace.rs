//! Writes a trace to a file, in the format of Chrome's traces.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tracing::level_filters::LevelFilter;
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Starts a trace if the arguments are `--trace FILE`. The file is complete when the guard is dropped.
pub(crate) fn start() -> Result<Option<FlushGuard>, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let path = match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => return Ok(None),
        (Some(option), Some(path), None) if option == "--trace" => PathBuf::from(path),
        _ => return Err("usage: frame_loop [--trace FILE]".into()),
    };
    let file = create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (layer, complete) =
        ChromeLayerBuilder::new().writer(file).include_args(true).include_locations(false).build();
    let ours = Targets::new()
        .with_target("wasm_jobs", LevelFilter::TRACE)
        .with_target("frame_loop", LevelFilter::TRACE);
    tracing_subscriber::registry().with(layer.with_filter(ours)).init();
    Ok(Some(complete))
}

/// Creates a file, and the folders above it.
fn create(path: &Path) -> std::io::Result<File> {
    fs::create_dir_all(path.with_file_name(""))?;
    File::create(path)
}
