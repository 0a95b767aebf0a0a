//! [`Given`]: the arguments, the environment and the directories of a context. wasmtime-wasi has no function that exchanges them later.

use crate::error::Error;
use crate::guest::wasi::opened::STREAMS;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::WasiCliView as _;
use wasmtime_wasi::filesystem::WasiFilesystemView as _;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::cli::environment::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    /// The guest's names of the directories.
    pub(crate) directories: Vec<String>,
}

impl Given {
    pub(crate) fn read(p1: &mut WasiP1Ctx) -> Result<Self, Error> {
        let arguments = p1.cli().get_arguments()?;
        let variables = p1.cli().get_environment()?;
        let mut directories = Vec::new();
        for (directory, name) in p1.filesystem().get_directories()? {
            p1.ctx().table.delete(directory).map_err(wasmtime::Error::from)?;
            directories.push(name);
        }
        Ok(Self { arguments, variables, directories })
    }

    /// The number of descriptors that a new context has.
    pub(crate) fn descriptors(&self) -> u32 {
        u32::try_from(self.directories.len())
            .map_or(u32::MAX, |count| STREAMS.saturating_add(count))
    }

    /// The guest's name of the directory at this descriptor of a new context.
    pub(crate) fn directory(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number.checked_sub(STREAMS)?).ok()?;
        self.directories.get(index).map(String::as_str)
    }

    /// Refuses to restore a guest that was saved with `self` in a context that has `here`, if the two differ.
    pub(crate) fn check(&self, here: &Self) -> Result<(), Error> {
        same("argument", &self.arguments, &here.arguments)?;
        // The values may be secrets.
        let names = |given: &Self| given.variables.iter().map(|(name, _)| name.clone()).collect();
        let (saved, found): (Vec<_>, Vec<_>) = (names(self), names(here));
        same("environment variable", &saved, &found)?;
        for ((name, saved), (_, found)) in self.variables.iter().zip(&here.variables) {
            if saved != found {
                let what = format!("environment variable {name:?}");
                return Err(cannot_restore(what, "it has another value here"));
            }
        }
        same("directory", &self.directories, &here.directories)
    }
}

fn same(what: &str, saved: &[String], here: &[String]) -> Result<(), Error> {
    for index in 0..saved.len().max(here.len()) {
        let why = match (saved.get(index), here.get(index)) {
            (Some(saved), Some(here)) if saved != here => {
                format!("it is {here:?} here, and was {saved:?} at the save")
            }
            (Some(saved), None) => format!("there is none here, and it was {saved:?} at the save"),
            (None, Some(here)) => format!("it is {here:?} here, and there was none at the save"),
            _ => continue,
        };
        return Err(cannot_restore(
            format!("{what} {index}"),
            &format!("{why}: build the context with what the saved one had"),
        ));
    }
    Ok(())
}

pub(crate) fn cannot_restore(what: impl Into<Box<str>>, why: &str) -> Error {
    Error::CannotRestore { what: what.into(), why: why.into() }
}

pub(crate) fn cannot_save(what: impl Into<Box<str>>, why: &str) -> Error {
    Error::CannotSave { what: what.into(), why: why.into() }
}
