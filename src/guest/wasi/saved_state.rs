//! [`State`]: what a [`WasiSaved`](super::WasiSaved) holds.

use crate::guest::wasi::files::Files;
use crate::guest::wasi::generator::Position;
use crate::guest::wasi::given::Given;
use crate::guest::wasi::shifted::Moment;
use std::sync::Arc;

pub(crate) struct State {
    /// Of the secure and of the insecure random numbers. `None` if they are the system's.
    pub(crate) generators: Option<[Position; 2]>,
    pub(crate) moment: Moment,
    /// The unfinished lines of standard output and standard error.
    pub(crate) lines: [Option<Vec<u8>>; 2],
    pub(crate) given: Arc<Given>,
    pub(crate) files: Files,
}
