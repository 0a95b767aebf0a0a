//! [`Error`]: why a module cannot be transformed; and [`Place`]: where in the module the reason is.

use crate::export::{FLAGS_MODULE, PREFIX};
use std::fmt;

/// Why a module cannot be transformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no valid module.
    #[error("the module is not valid: {message}, at offset {offset:#x}")]
    Invalid {
        /// What wasmparser says.
        message: String,
        /// The place in the bytes.
        offset: usize,
    },
    /// The bytes are a component, and only modules can be transformed.
    #[error(
        "this is a component, not a module; transform the modules inside it before they become a component"
    )]
    Component,
    /// The module uses a proposal that the transformation does not support.
    #[error(
        "{what} needs the proposal `{proposal}`, which the transformation does not support: {place}"
    )]
    Unsupported {
        /// The proposal, by the name of its repository.
        proposal: &'static str,
        /// What needs the proposal: an instruction, in backquotes, or another part of the module, such as "a type".
        what: String,
        /// Where it stands.
        place: Place,
    },
    /// A memory is shared between threads. Other threads may write to it at any time, so there is no moment at which it could be saved.
    #[error(
        "memory {index} is shared between threads, and the state of one instance cannot hold it"
    )]
    SharedMemory {
        /// The index of the memory.
        index: u32,
    },
    /// The start function is an import. Called as an export, such a function would not see which instance calls it.
    #[error(
        "the start function is function {index}, which is imported; start with a function of the module that calls it"
    )]
    ImportedStart {
        /// The index of the function.
        index: u32,
    },
    /// An export of the module has a name with the prefix that the transformation uses for its own.
    #[error(
        "export {name:?}: names with the prefix `{}` are reserved for the transformation",
        PREFIX
    )]
    ReservedExport {
        /// The name.
        name: String,
    },
    /// The module imports from a module whose name has the prefix that the transformation uses for its own.
    #[error(
        "an import from {module:?}: modules whose names begin with `{}` are reserved for the transformation",
        FLAGS_MODULE
    )]
    ReservedImport {
        /// The name of the module from which it imports.
        module: String,
    },
    /// The module is a transformed one.
    #[error("the module is transformed already: it has the export {name:?}")]
    AlreadyTransformed {
        /// The export by which it is recognised.
        name: String,
    },
    /// Calls are to be saved, and those of a function cannot be.
    #[error("the calls of this function cannot be saved, because {why}: {place}")]
    CannotSave {
        /// The reason.
        why: &'static str,
        /// The function.
        place: Place,
    },
    /// The transformed module would be larger than WebAssembly's implementations allow.
    #[error("the transformed module would have {count} {what}, and at most {limit} are allowed")]
    TooLarge {
        /// The kind of item: "exports", for example.
        what: String,
        /// How many there would be.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// A place in a module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The index of the function, if the place is in a function's body.
    pub function: Option<u32>,
    /// The function's name, if the module has a name section that gives one.
    pub name: Option<String>,
    /// The section: "code", for example.
    pub section: &'static str,
    /// The offset in the module's bytes.
    pub offset: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.function, &self.name) {
            (Some(function), Some(name)) => write!(f, "function {function} (`{name}`)")?,
            (Some(function), None) => write!(f, "function {function}")?,
            (None, _) => write!(f, "the {} section", self.section)?,
        }
        write!(f, ", at offset {:#x}", self.offset)
    }
}

/// Refuses more than `limit` of something.
pub(crate) fn at_most(what: &str, count: usize, limit: usize) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what: what.to_owned(), count, limit })
}
