//! [`Files`]: the open files of a guest of preview 1, as data: their paths and offsets. `reopening` opens them again.

use crate::error::Error;
use crate::guest::wasi::given::{Given, cannot_save};
use crate::guest::wasi::opened::{File, Opened, Slot};
use std::collections::BTreeMap;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::Fd;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wiggle::GuestMemory;

/// The descriptors that differ from those of a new context, by their numbers. `None` is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) slots: BTreeMap<u32, Option<SavedFile>>,
}

#[derive(Clone, Debug)]
pub(crate) struct SavedFile {
    pub(crate) file: File,
    /// Where the guest reads and writes next. `None` is a directory.
    pub(crate) offset: Option<u64>,
}

/// A file or a directory that was open when a guest was saved. The function given to
/// [`WasiCtxBuilder::reopen_files`](super::WasiCtxBuilder::reopen_files) decides whether it is opened again.
#[derive(Debug)]
pub struct OpenFile<'a> {
    pub(crate) descriptor: u32,
    pub(crate) path: String,
    pub(crate) file: &'a SavedFile,
}

impl OpenFile<'_> {
    /// The number of the guest's descriptor.
    #[must_use]
    pub fn descriptor(&self) -> u32 {
        self.descriptor
    }

    /// The path, as the guest knows it: it begins with the guest's name of a directory that the host gave.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the guest reads and writes next, in bytes from the beginning. `None` if it is a directory.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.file.offset
    }

    /// Can the guest write to it?
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.file.file.how.writes
    }
}

/// Decides whether a file is opened again.
pub(crate) type Reopen = dyn Fn(&OpenFile<'_>) -> bool + Send + Sync;

impl Files {
    pub(crate) fn save(
        p1: &mut WasiP1Ctx,
        opened: &Opened,
        given: &Given,
        reopen: Option<&Reopen>,
    ) -> Result<Self, Error> {
        if opened.is_torn {
            return Err(cannot_save(
                "a descriptor",
                "a call was dropped while the guest closed or renumbered one",
            ));
        }
        let mut slots = BTreeMap::new();
        for (&number, slot) in opened.slots() {
            let file = match slot {
                Slot::Closed => None,
                Slot::Moved(_) => {
                    let why = "the guest has moved a stream or a directory of the host's there";
                    return Err(cannot_save(format!("descriptor {number}"), why));
                }
                Slot::File(_) if reopen.is_none() => {
                    let why = "a file is open there; close it, or say by \
                               `WasiCtxBuilder::reopen_files` that it may be opened again";
                    return Err(cannot_save(format!("descriptor {number}"), why));
                }
                Slot::File(file) => {
                    let offset = p1.fd_tell(&mut no_memory(), Fd::from(number)).ok();
                    Some(SavedFile { file: file.clone(), offset })
                }
            };
            slots.insert(number, file);
        }
        let files = Self { slots };
        match files.fault(given) {
            Some((number, why)) => Err(cannot_save(format!("descriptor {number}"), why)),
            None => Ok(files),
        }
    }

    /// Why these files cannot be opened again in a new context, and at which number.
    pub(crate) fn fault(&self, given: &Given) -> Option<(u32, &'static str)> {
        let mut next = given.descriptors();
        for (&number, slot) in &self.slots {
            if number >= given.descriptors() {
                if number != next {
                    return Some((number, "wasmtime-wasi would not give out this number"));
                }
                next = next.checked_add(1)?;
                if slot.is_none() && self.directory(given).is_none() {
                    return Some((number, "no directory of the host is left to number from"));
                }
            }
            let Some(SavedFile { file, .. }) = slot else { continue };
            if file.path.is_none() {
                return Some((number, "the path of its file is too long"));
            }
            if given.directory(file.base).is_none() {
                return Some((number, "its file is in no directory of the host"));
            }
            if self.is_replaced(file.base) {
                return Some((number, "another file is in the place of the directory of its file"));
            }
        }
        None
    }

    fn is_replaced(&self, number: u32) -> bool {
        matches!(self.slots.get(&number), Some(Some(_)))
    }

    /// The descriptor of a directory that is open while files are opened again.
    pub(crate) fn directory(&self, given: &Given) -> Option<u32> {
        let is_directory = |&number: &u32| given.directory(number).is_some();
        (0..given.descriptors()).find(|number| is_directory(number) && !self.is_replaced(*number))
    }
}

pub(crate) fn no_memory() -> GuestMemory<'static> {
    GuestMemory::Unshared(&mut [])
}
