//! [`StateExport`]: the names of the exports that a transformed module has for its state. [`Layout`](crate::Layout) lists them,
//! [`parse_export`] reads them back.

use std::fmt;
use std::ops::Range;

/// The prefix of all exports that the transformation adds. A module that uses it for an export of its own is refused.
pub const PREFIX: &str = "__wasm_jobs_";

/// The export with the first half of the hash, an immutable global of type i64.
pub const HASH_LOW: &str = "__wasm_jobs_hash_low";

/// The export with the second half of the hash, an immutable global of type i64.
pub const HASH_HIGH: &str = "__wasm_jobs_hash_high";

/// The export that was the module's start function. In a new instance, the host calls it once, before any other export. In an instance that gets
/// the state of another one, the host does not call it.
pub const START: &str = "__wasm_jobs_start";

/// The export with the address of the instance's stop flag, a mutable global of type i32. Only modules with [checks](crate::Options::stops) have it. The host sets it before
/// the instance runs.
pub const FLAG: &str = "__wasm_jobs_flag";

/// The export with the stop function, a mutable global whose type is a nullable reference to a function that takes an i32. Only modules with
/// [checks](crate::Options::stops) have it. The host sets it before the instance runs.
pub const STOP: &str = "__wasm_jobs_stop";

/// The module from which a module with [checks](crate::Options::stops) imports the memory with the stop flags.
pub const FLAGS_MODULE: &str = "__wasm_jobs";

/// The name of that memory in [`FLAGS_MODULE`].
pub const FLAGS_MEMORY: &str = "flags";

/// The least size of that memory, in pages of 64 KiB.
pub const FLAGS_MIN_PAGES: u64 = 1;

/// The greatest size of that memory, in pages of 64 KiB.
pub const FLAGS_MAX_PAGES: u64 = 64;

/// The export that is 1 while a call is being saved, and else 0: a mutable global of type i32. Only modules whose calls
/// [can be saved](crate::Options::saves_calls) have it.
pub const SAVING: &str = "__wasm_jobs_saving";

/// The export with the function that takes words of a frame, a mutable global whose type is a nullable reference to a function that takes eight i64.
pub const SAVE: &str = "__wasm_jobs_save";

/// The export with the function that gives words of a frame, a mutable global whose type is a nullable reference to a function that gives eight i64.
pub const LOAD: &str = "__wasm_jobs_load";

/// The export with the function that gives the index of the next frame's function in [`TWINS`], a mutable global whose type is a nullable reference to a
/// function that gives an i32.
pub const NEXT: &str = "__wasm_jobs_next";

/// The export with the function that goes on to the next frame and gives its point, a mutable global whose type is a nullable reference to a function that gives an
/// i32.
pub const POINT: &str = "__wasm_jobs_point";

/// The export with the table of the twins. Each is at the index of its function. The last place is that of the host function in which the call waits.
pub const TWINS: &str = "__wasm_jobs_twins";

/// The export with the function that takes or gives references of the type with this number in [`FrameLayout::references`](crate::FrameLayout::references). `of` is [`SAVE`] or
/// [`LOAD`].
#[must_use]
pub fn reference_export(of: &str, number: u32) -> String {
    format!("{of}_reference_{number}")
}

/// The name of an export by which a module says how it was transformed: `__wasm_jobs_code_{hash}`, with the [hash](crate::FrameLayout::code_hash) of that. It is a second name of
/// [`SAVING`]'s global. A host that has a module without its [`FrameLayout`](crate::FrameLayout) makes the layout again, by the same
/// transformation, and sees here whether it is the module's.
#[must_use]
pub fn code_export(hash: &[u8; 16]) -> String {
    let hash = u128::from_be_bytes(*hash);
    format!("{PREFIX}code_{hash:032x}")
}

/// The version of the layout that this package writes.
pub const LAYOUT_VERSION: u32 = 1;

/// An export that the transformation adds. Its `Display` is the export's name, and [`parse_export`] reads that back.
///
/// All indices are those of the module before the transformation, which the transformed module has too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateExport {
    /// `__wasm_jobs_layout_{version}_{hash}`: an immutable global of type i64, the first half of the hash.
    Layout {
        /// The version of the layout.
        version: u32,
        /// The hash of the module, [`Layout::hash`](crate::Layout::hash).
        hash: [u8; 16],
    },
    /// [`HASH_LOW`]: bytes 0 to 7 of the hash, as a little-endian number.
    HashLow,
    /// [`HASH_HIGH`]: bytes 8 to 15 of the hash, as a little-endian number.
    HashHigh,
    /// `__wasm_jobs_global_{index}`: a mutable global.
    Global(u32),
    /// `__wasm_jobs_memory_{index}` or `__wasm_jobs_memory_{index}_{from}_{to}`: a memory.
    Memory {
        /// The memory's index.
        index: u32,
        /// When an instance is made, all bytes of the memory outside of this range are zero. `None` if that is not known: the memory
        /// is imported, or one of its segments has an offset that is not constant, or its data is [spread](crate::Image::is_dense) too widely.
        image: Option<Range<u64>>,
    },
    /// `__wasm_jobs_table_{index}`: a table that can change.
    Table(u32),
    /// `__wasm_jobs_function_{index}`: a function that a reference in the state may refer to.
    Function(u32),
    /// `__wasm_jobs_dropped_data_{index}`: a mutable global of type i32. It is 0, or -1 once the data segment was dropped.
    DroppedData(u32),
    /// `__wasm_jobs_dropped_elem_{index}`: a mutable global of type i32. It is 0, or -1 once the element segment was dropped.
    DroppedElem(u32),
    /// [`START`]: the function that was the module's start function.
    Start,
    /// [`FLAG`]: the address of the instance's stop flag. It is no state.
    Flag,
    /// [`STOP`]: the stop function. It is no state.
    Stop,
}

impl fmt::Display for StateExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { version, hash } => {
                write!(f, "{PREFIX}layout_{version}_")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::HashLow => f.write_str(HASH_LOW),
            Self::HashHigh => f.write_str(HASH_HIGH),
            Self::Global(index) => write!(f, "{PREFIX}global_{index}"),
            Self::Memory { index, image: None } => write!(f, "{PREFIX}memory_{index}"),
            Self::Memory { index, image: Some(Range { start, end }) } => {
                write!(f, "{PREFIX}memory_{index}_{start}_{end}")
            }
            Self::Table(index) => write!(f, "{PREFIX}table_{index}"),
            Self::Function(index) => write!(f, "{PREFIX}function_{index}"),
            Self::DroppedData(index) => write!(f, "{PREFIX}dropped_data_{index}"),
            Self::DroppedElem(index) => write!(f, "{PREFIX}dropped_elem_{index}"),
            Self::Start => f.write_str(START),
            Self::Flag => f.write_str(FLAG),
            Self::Stop => f.write_str(STOP),
        }
    }
}

/// Reads the name of an export that the transformation adds. `None` for all other names.
///
/// Names of other versions of the layout are read too; [`StateExport::Layout`] tells the version.
///
/// ```
/// use wasm_jobs_transform::{StateExport, parse_export};
///
/// assert_eq!(parse_export("__wasm_jobs_table_2"), Some(StateExport::Table(2)));
/// assert_eq!(parse_export("memory"), None);
/// ```
#[must_use]
pub fn parse_export(name: &str) -> Option<StateExport> {
    let rest = name.strip_prefix(PREFIX)?;
    match rest {
        "hash_low" => return Some(StateExport::HashLow),
        "hash_high" => return Some(StateExport::HashHigh),
        "start" => return Some(StateExport::Start),
        "flag" => return Some(StateExport::Flag),
        "stop" => return Some(StateExport::Stop),
        _ => {}
    }
    let index = |text| u32::try_from(number(text)?).ok();
    if let Some(rest) = rest.strip_prefix("dropped_data_") {
        return index(rest).map(StateExport::DroppedData);
    }
    if let Some(rest) = rest.strip_prefix("dropped_elem_") {
        return index(rest).map(StateExport::DroppedElem);
    }
    let (kind, rest) = rest.split_once('_')?;
    match kind {
        "layout" => {
            let (version, hash) = rest.split_once('_')?;
            Some(StateExport::Layout { version: index(version)?, hash: hash_of(hash)? })
        }
        "global" => index(rest).map(StateExport::Global),
        "table" => index(rest).map(StateExport::Table),
        "function" => index(rest).map(StateExport::Function),
        "memory" => {
            let Some((memory, image)) = rest.split_once('_') else {
                return Some(StateExport::Memory { index: index(rest)?, image: None });
            };
            let (start, end) = image.split_once('_')?;
            let image = number(start)?..number(end)?;
            let sound = image.start <= image.end;
            sound.then_some(StateExport::Memory { index: index(memory)?, image: Some(image) })
        }
        _ => None,
    }
}

/// Reads a number as `Display` writes it: no sign, and no zeros before it.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let short = text == "0" || !text.starts_with('0');
    if digits && short { text.parse().ok() } else { None }
}

/// Reads 32 lower-case hex digits.
fn hash_of(text: &str) -> Option<[u8; 16]> {
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 32 && text.bytes().all(lower_hex) {
        u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
    } else {
        None
    }
}
