//! Opens saved files again in a new context, each at its number and its offset, by wasmtime-wasi's own functions. The directories and their
//! permissions are those of the new context.

use crate::error::Error;
use crate::guest::wasi::files::{Files, OpenFile, Reopen, SavedFile, no_memory};
use crate::guest::wasi::given::{Given, cannot_restore};
use crate::guest::wasi::opened::{How, Opened, Slot};
use crate::wait::block::Sleeper;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{self, Fd, Fdflags, Lookupflags, Oflags, Rights, Whence};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wasmtime_wasi::{WasiCtxBuilder, WasiView as _};
use wiggle::{GuestMemory, GuestPtr};

impl Files {
    /// Makes the open files of `p1` those that were saved. `Some` is the former context, whose files are still open until it is dropped.
    pub(crate) fn restore(
        &self,
        p1: &mut WasiP1Ctx,
        opened: &mut Opened,
        given: &Given,
        may_reopen: Option<&Reopen>,
    ) -> Result<Option<WasiP1Ctx>, Error> {
        if self.are_open_in(opened) {
            for (&number, slot) in &self.slots {
                if let Some(SavedFile { file, offset }) = slot {
                    let fd = || Fd::from(number);
                    if let Some(offset) = offset {
                        block_on(seek(p1, number, *offset)).map_err(|why| refused(number, &why))?;
                        let flags = Fdflags::from_bits_truncate(file.how.flags);
                        // It succeeds for every open file.
                        let _ = p1.fd_fdstat_set_flags(&mut no_memory(), fd(), flags);
                        opened.set_flags(number, file.how.flags);
                    }
                }
            }
            return Ok(None);
        }

        self.ask(given, may_reopen)?;
        // A new context has no open files, and numbers them from the beginning.
        let mut swapped = Swapped::new(p1);
        if let Some(fresh) = &mut swapped.fresh {
            block_on(reopen(fresh, self, given)).map_err(|(number, why)| refused(number, &why))?;
        }
        let slots = self.slots.iter().map(|(&number, slot)| {
            let slot = slot.as_ref().map_or(Slot::Closed, |saved| Slot::File(saved.file.clone()));
            (number, slot)
        });
        *opened = Opened::new(slots.collect());
        Ok(swapped.keep())
    }

    /// Are the open files those that were saved, and no others?
    fn are_open_in(&self, opened: &Opened) -> bool {
        let is_same = |((a, saved), (b, slot)): ((&u32, &Option<SavedFile>), (&u32, &Slot))| {
            a == b
                && match (saved, slot) {
                    (None, Slot::Closed) => true,
                    (Some(saved), Slot::File(file)) => {
                        file.opening.is_some() && file.opening == saved.file.opening
                    }
                    _ => false,
                }
        };
        !opened.is_torn
            && self.slots.len() == opened.slots().len()
            && self.slots.iter().zip(opened.slots()).all(is_same)
    }

    fn ask(&self, given: &Given, may_reopen: Option<&Reopen>) -> Result<(), Error> {
        for (&descriptor, slot) in &self.slots {
            let Some(file) = slot else { continue };
            let directory = given.directory(file.file.base).unwrap_or_default();
            let path = format!("{directory}/{}", file.file.path.as_deref().unwrap_or_default());
            let open_file = OpenFile { descriptor, path, file };
            if !may_reopen.is_some_and(|may_reopen| may_reopen(&open_file)) {
                let why = format!(
                    "a file was open there at the save, and `WasiCtxBuilder::reopen_files` does not allow {:?}",
                    open_file.path
                );
                return Err(refused(descriptor, &why));
            }
        }
        Ok(())
    }
}

fn refused(number: u32, why: &str) -> Error {
    cannot_restore(format!("descriptor {number}"), why)
}

/// A context that has lent its contents, all but its descriptors, to a fresh context. Dropping this gives them back.
struct Swapped<'a> {
    p1: &'a mut WasiP1Ctx,
    fresh: Option<WasiP1Ctx>,
}

impl<'a> Swapped<'a> {
    fn new(p1: &'a mut WasiP1Ctx) -> Self {
        let mut fresh = WasiCtxBuilder::new().build_p1();
        mem::swap(p1.ctx().ctx, fresh.ctx().ctx);
        Self { p1, fresh: Some(fresh) }
    }

    /// Puts the fresh context in the place of the former one, and returns that one.
    fn keep(mut self) -> Option<WasiP1Ctx> {
        self.fresh.take().map(|fresh| mem::replace(self.p1, fresh))
    }
}

impl Drop for Swapped<'_> {
    fn drop(&mut self) {
        if let Some(fresh) = &mut self.fresh {
            mem::swap(self.p1.ctx().ctx, fresh.ctx().ctx);
        }
    }
}

/// A descriptor and what is wrong with it.
type Fault = (u32, String);

async fn reopen(p1: &mut WasiP1Ctx, files: &Files, given: &Given) -> Result<(), Fault> {
    let directory = files.directory(given);
    // In the order of their numbers: a new context gives out the one that was just closed, or else the next one.
    for (&number, slot) in &files.slots {
        let at = |why| (number, why);
        match slot {
            Some(file) => {
                if number < given.descriptors() {
                    close(p1, number).await.map_err(at)?;
                }
                let path = file.file.path.as_deref().unwrap_or_default();
                let opened = open(p1, file.file.base, path, Some(file)).await.map_err(at)?;
                check(p1, opened, number, file).map_err(at)?;
                if let Some(offset) = file.offset {
                    seek(p1, number, offset).await.map_err(at)?;
                }
            }
            // Occupies the number until all files are open.
            None if number >= given.descriptors() => {
                let directory = directory.ok_or_else(|| at("there is no directory".into()))?;
                let opened = open(p1, directory, ".", None).await.map_err(at)?;
                if opened != number {
                    return Err(at(format!("it would be descriptor {opened} here")));
                }
            }
            None => {}
        }
    }
    for (&number, _) in files.slots.iter().filter(|(_, slot)| slot.is_none()) {
        close(p1, number).await.map_err(|why| (number, why))?;
    }
    Ok(())
}

/// Is it the right number, and a file if it was one?
fn check(p1: &mut WasiP1Ctx, opened: u32, number: u32, file: &SavedFile) -> Result<(), String> {
    let is_file = p1.fd_tell(&mut no_memory(), Fd::from(opened)).is_ok();
    if opened != number {
        Err(format!("it would be descriptor {opened} here"))
    } else if is_file != file.offset.is_some() {
        let (found, expected) =
            if is_file { ("a file", "a directory") } else { ("a directory", "a file") };
        Err(format!("{:?} is {found} now, and was {expected}", file.file.path))
    } else {
        Ok(())
    }
}

/// Opens a path. Without a `file`, it opens a directory, from which nothing will be read.
async fn open(
    p1: &mut WasiP1Ctx,
    directory: u32,
    path: &str,
    file: Option<&SavedFile>,
) -> Result<u32, String> {
    let how = file.map(|file| file.file.how);
    let has = |flag: fn(&How) -> bool| how.as_ref().is_some_and(flag);
    let mut look_up = Lookupflags::empty();
    look_up.set(Lookupflags::SYMLINK_FOLLOW, has(|how| how.follows_links));
    let mut rights = Rights::empty();
    rights.set(Rights::FD_READ, has(|how| how.reads));
    rights.set(Rights::FD_WRITE, has(|how| how.writes));
    let flags = Fdflags::from_bits_truncate(how.map_or(0, |how| how.flags));
    // It creates nothing, and truncates nothing.
    let open = match file {
        Some(SavedFile { offset: Some(_), .. }) => Oflags::empty(),
        _ => Oflags::DIRECTORY,
    };

    let mut bytes = path.as_bytes().to_vec();
    let length = u32::try_from(bytes.len()).map_err(|_| "its path is too long".to_owned())?;
    p1.set_hostcall_fuel(bytes.len());
    let name = GuestPtr::<str>::new((0, length));
    let memory = &mut GuestMemory::Unshared(&mut bytes);
    let opened =
        p1.path_open(memory, Fd::from(directory), look_up, name, open, rights, rights, flags);
    match opened.await {
        Ok(opened) => Ok(opened.into()),
        Err(error) => Err(format!("{path:?} cannot be opened: {}", reason(error))),
    }
}

async fn close(p1: &mut WasiP1Ctx, number: u32) -> Result<(), String> {
    p1.fd_close(&mut no_memory(), Fd::from(number)).await.map_err(reason)
}

/// Moves the offset of a file. The function takes signed numbers, and the offset is unsigned.
async fn seek(p1: &mut WasiP1Ctx, number: u32, offset: u64) -> Result<(), String> {
    let mut from = Whence::Set;
    let mut left = offset;
    loop {
        let by = i64::try_from(left).unwrap_or(i64::MAX);
        let sought = p1.fd_seek(&mut no_memory(), Fd::from(number), by, from).await;
        sought.map_err(reason)?;
        left -= by.cast_unsigned();
        if left == 0 {
            return Ok(());
        }
        from = Whence::Cur;
    }
}

fn reason(error: types::Error) -> String {
    match error.downcast() {
        Ok(errno) => format!("error {errno:?}"),
        Err(error) => format!("{error:#}"),
    }
}

/// Runs a future to its end on this thread, which blocks while the future waits. Another thread reads the file system meanwhile.
fn block_on<F: Future>(future: F) -> F::Output {
    let sleeper = Sleeper::new();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(sleeper.waker())) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}
