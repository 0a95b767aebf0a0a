//! [`Sources`]: the parts of a context whose position is saved: its clock, its random numbers, its unfinished lines and its open files.

use crate::error::Error;
use crate::guest::wasi::files::Reopen;
use crate::guest::wasi::generator::Generator;
use crate::guest::wasi::given::Given;
use crate::guest::wasi::lines::Lines;
use crate::guest::wasi::opened::Opened;
use crate::wait::clock::{Clock, RealtimeClock};
use std::any::Any;
use std::sync::Arc;
use wasmtime_wasi::p1::WasiP1Ctx;

pub(crate) struct Sources {
    /// The host's clock. The guest's clock may be shifted against it.
    pub(crate) clock: Arc<dyn Clock>,
    /// Is it the clock of the machine?
    pub(crate) is_real_time: bool,
    /// The secure and the insecure random numbers, if they follow from a seed.
    pub(crate) generators: Option<[Generator; 2]>,
    /// Standard output and standard error, if they are [`Lines`].
    pub(crate) lines: [Option<Lines>; 2],
    pub(crate) reopen: Option<Box<Reopen>>,
    /// Whether the guest has called preview 1.
    pub(crate) is_preview1: bool,
    pub(crate) opened: Opened,
    /// Read when it is first needed.
    given: Option<Arc<Given>>,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self {
            clock: Arc::new(RealtimeClock),
            is_real_time: true,
            generators: None,
            lines: [None, None],
            reopen: None,
            is_preview1: false,
            opened: Opened::default(),
            given: None,
        }
    }

    pub(crate) fn set_clock(&mut self, clock: Arc<dyn Clock>, is_real_time: bool) {
        self.clock = clock;
        self.is_real_time = is_real_time;
    }

    pub(crate) fn set_stdout(&mut self, stream: &dyn Any) {
        self.lines[0] = stream.downcast_ref::<Lines>().cloned();
    }

    pub(crate) fn set_stderr(&mut self, stream: &dyn Any) {
        self.lines[1] = stream.downcast_ref::<Lines>().cloned();
    }

    pub(crate) fn given(&mut self, p1: &mut WasiP1Ctx) -> Result<Arc<Given>, Error> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let given = Arc::new(Given::read(p1)?);
        self.given = Some(given.clone());
        Ok(given)
    }

    /// [`lines`](Self::lines). Standard error is left out if it is a clone of standard output, and so continues its lines.
    pub(crate) fn distinct_lines(&self) -> [Option<&Lines>; 2] {
        match &self.lines {
            [Some(stdout), Some(stderr)] if stderr.is_clone_of(stdout) => [Some(stdout), None],
            [stdout, stderr] => [stdout.as_ref(), stderr.as_ref()],
        }
    }
}

/// Is it the clock of the machine? One behind an `Arc<dyn Clock>` cannot be recognised.
pub(crate) fn is_real_time(clock: &dyn Any) -> bool {
    clock.is::<RealtimeClock>() || clock.is::<Arc<RealtimeClock>>()
}
