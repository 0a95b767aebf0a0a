//! Source lines of calls, by the DWARF sections of their module.

use addr2line::Context;
use addr2line::gimli::{Dwarf, EndianSlice, Error, LittleEndian};
use std::fmt;
use wasm_jobs_transform::{custom_section, offset_of_call};

/// A place in the source of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    file: Option<Box<str>>,
    line: Option<u32>,
    column: Option<u32>,
}

impl SourceLocation {
    /// The file, as the compiler has named it.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// The column, counted from 1. For the left edge of the line, it may be 0.
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        self.column
    }
}

impl fmt::Display for SourceLocation {
    /// As in `./debug/dream.c:10:17`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file().unwrap_or("?"))?;
        let numbers = [self.line, self.column].into_iter().map_while(|number| number);
        numbers.into_iter().try_for_each(|number| write!(f, ":{number}"))
    }
}

/// Where a call of a function is in the source, if the module has the sections for it.
pub(crate) fn of_call(wasm: &[u8], function: u32, call: u32) -> Option<SourceLocation> {
    let section = |name: &str| custom_section(wasm, name).unwrap_or_default();
    let load = |id: addr2line::gimli::SectionId| -> Result<_, Error> {
        Ok(EndianSlice::new(section(id.name()), LittleEndian))
    };
    if section(".debug_info").is_empty() {
        return None;
    }
    let context = Context::from_dwarf(Dwarf::load(load).ok()?).ok()?;
    let location = context.find_location(offset_of_call(wasm, function, call)?).ok()??;
    let (file, line, column) = (location.file.map(Into::into), location.line, location.column);
    Some(SourceLocation { file, line, column })
}
