//! A directory of files in memory, by functions that suspend. SQLite calls them far down, where it reads and writes its pages.

use super::{Address, Ends, Host, Outside, ends, get, put};
use crate::wasi::{BADF, SUCCESS};
use std::collections::{BTreeMap, BTreeSet};
use wasm_jobs::wasmtime::{Caller, Linker};
use wasm_jobs::{Error, func_wrap_resumable};

const MODULE: &str = super::MODULE;

// Error numbers.
const EXIST: i32 = 20;
const NOENT: i32 = 44;

// Types of files.
const DIRECTORY: u8 = 3;
const REGULAR_FILE: u8 = 4;

/// The descriptor of the directory.
const ROOT: i32 = 3;

#[derive(Clone, Default, PartialEq)]
pub(in crate::wasi) struct Files {
    pub(in crate::wasi) contents: BTreeMap<String, Vec<u8>>,
    directories: BTreeSet<String>,
    open: BTreeMap<i32, (String, usize)>,
}

/// An open file.
pub(super) struct File<'a> {
    contents: &'a mut Vec<u8>,
    at: &'a mut usize,
}

impl Outside {
    pub(super) fn file(&mut self, fd: i32) -> Option<File<'_>> {
        let files = self.files.as_mut()?;
        let (name, at) = files.open.get_mut(&fd)?;
        // A file that was removed while it is open is gone.
        files.contents.get_mut(name).map(|contents| File { contents, at })
    }

    /// The type of what is open.
    pub(super) fn kind(&mut self, fd: i32) -> Option<u8> {
        match fd {
            ROOT => self.files.as_ref().map(|_| DIRECTORY),
            _ => self.file(fd).map(|_| REGULAR_FILE),
        }
    }

    fn files(&mut self) -> &mut Files {
        self.files.as_mut().expect("a guest without a directory opens none")
    }
}

impl File<'_> {
    pub(super) fn rest(&self) -> &[u8] {
        self.contents.get(*self.at..).unwrap_or_default()
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        *self.at += bytes;
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        let end = *self.at + bytes.len();
        if self.contents.len() < end {
            self.contents.resize(end, 0);
        }
        self.contents[*self.at..end].copy_from_slice(bytes);
        *self.at = end;
    }

    /// Where a seek leads to.
    pub(super) fn place(&self, offset: i64, whence: i32) -> usize {
        let from = [0, *self.at, self.contents.len()][whence as usize];
        from.checked_add_signed(offset as isize).expect("no guest seeks to before the beginning")
    }

    pub(super) fn go_to(&mut self, place: usize) {
        *self.at = place;
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Host>) -> Result<(), Error> {
    func_wrap_resumable(linker, MODULE, "fd_prestat_get", fd_prestat_get)?;
    func_wrap_resumable(linker, MODULE, "fd_prestat_dir_name", fd_prestat_dir_name)?;
    func_wrap_resumable(linker, MODULE, "fd_close", fd_close)?;
    func_wrap_resumable(linker, MODULE, "fd_filestat_get", fd_filestat_get)?;
    func_wrap_resumable(linker, MODULE, "fd_filestat_set_size", fd_filestat_set_size)?;
    func_wrap_resumable(linker, MODULE, "path_filestat_get", path_filestat_get)?;
    func_wrap_resumable(linker, MODULE, "fd_sync", |caller, (_fd,): (i32,)| {
        ends(caller, "fd_sync", SUCCESS, |_| ())
    })?;
    type Times = (i32, i32, Address, i32, i64, i64, i32);
    func_wrap_resumable(linker, MODULE, "path_filestat_set_times", |caller, _: Times| {
        ends(caller, "path_filestat_set_times", SUCCESS, |_| ())
    })?;
    func_wrap_resumable(linker, MODULE, "path_create_directory", |caller, path: Path| {
        let path = path_of(caller, path);
        let is_there = files(caller, |files| files.directories.contains(&path));
        let result = if is_there { EXIST } else { SUCCESS };
        ends(caller, "path_create_directory", result, |outside| {
            outside.files().directories.insert(path);
        })
    })?;
    func_wrap_resumable(linker, MODULE, "path_remove_directory", |caller, path: Path| {
        let path = path_of(caller, path);
        let is_there = files(caller, |files| files.directories.contains(&path));
        let result = if is_there { SUCCESS } else { NOENT };
        ends(caller, "path_remove_directory", result, move |outside| {
            outside.files().directories.remove(&path);
        })
    })?;
    func_wrap_resumable(linker, MODULE, "path_unlink_file", |caller, path: Path| {
        let path = path_of(caller, path);
        let is_there = files(caller, |files| files.contents.contains_key(&path));
        let result = if is_there { SUCCESS } else { NOENT };
        ends(caller, "path_unlink_file", result, move |outside| {
            outside.files().contents.remove(&path);
        })
    })?;
    // The number of the file goes into the guest's memory, which a future that opens it at its end does not have.
    linker.func_wrap(MODULE, "path_open", path_open)?;
    Ok(())
}

/// A directory, and the address and the length of a path in it.
type Path = (i32, Address, i32);

fn path_of(caller: &mut Caller<'_, Host>, (_, at, length): Path) -> String {
    String::from_utf8(get(caller, at, length)).expect("the paths of the tests are text")
}

fn files<T>(caller: &Caller<'_, Host>, look: impl FnOnce(&mut Files) -> T) -> T {
    look(caller.data().world.lock().files())
}

fn fd_prestat_get(caller: &mut Caller<'_, Host>, (fd, at): (i32, Address)) -> Ends {
    let is_root = fd == ROOT && caller.data().world.lock().files.is_some();
    if is_root {
        // A directory whose name has one byte.
        put(caller, at, &[0, 0, 0, 0, 1, 0, 0, 0]);
    }
    ends(caller, "fd_prestat_get", if is_root { SUCCESS } else { BADF }, |_| ())
}

fn fd_prestat_dir_name(
    caller: &mut Caller<'_, Host>,
    (_fd, at, _length): (i32, Address, i32),
) -> Ends {
    put(caller, at, b"/");
    ends(caller, "fd_prestat_dir_name", SUCCESS, |_| ())
}

fn fd_close(caller: &mut Caller<'_, Host>, (fd,): (i32,)) -> Ends {
    ends(caller, "fd_close", SUCCESS, move |outside| {
        if let Some(files) = &mut outside.files {
            files.open.remove(&fd);
        }
    })
}

fn fd_filestat_get(caller: &mut Caller<'_, Host>, (fd, at): (i32, Address)) -> Ends {
    let stat = files(caller, |files| files.open.get(&fd).and_then(|(name, _)| files.stat(name)));
    if let Some(stat) = stat {
        put(caller, at, &stat);
    }
    ends(caller, "fd_filestat_get", if stat.is_some() { SUCCESS } else { BADF }, |_| ())
}

fn path_filestat_get(
    caller: &mut Caller<'_, Host>,
    (fd, _flags, path, length, at): (i32, i32, Address, i32, Address),
) -> Ends {
    let path = path_of(caller, (fd, path, length));
    let stat = files(caller, |files| files.stat(&path));
    if let Some(stat) = stat {
        put(caller, at, &stat);
    }
    ends(caller, "path_filestat_get", if stat.is_some() { SUCCESS } else { NOENT }, |_| ())
}

fn fd_filestat_set_size(caller: &mut Caller<'_, Host>, (fd, size): (i32, i64)) -> Ends {
    ends(caller, "fd_filestat_set_size", SUCCESS, move |outside| {
        if let Some(file) = outside.file(fd) {
            file.contents.resize(size as usize, 0);
        }
    })
}

impl Files {
    /// The size of a file, its type, and a number that no other file has.
    fn stat(&self, name: &str) -> Option<[u8; 64]> {
        let mut stat = [0; 64];
        stat[0] = 1;
        if let Some(contents) = self.contents.get(name) {
            let number =
                name.bytes().fold(1_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
            stat[8..16].copy_from_slice(&number.to_le_bytes());
            stat[16] = REGULAR_FILE;
            stat[32..40].copy_from_slice(&(contents.len() as u64).to_le_bytes());
        } else if self.directories.contains(name) || matches!(name, "" | "." | "/") {
            stat[16] = DIRECTORY;
        } else {
            return None;
        }
        // How many names it has.
        stat[24] = 1;
        Some(stat)
    }
}

#[expect(clippy::too_many_arguments, reason = "WASI has it so")]
fn path_open(
    mut caller: Caller<'_, Host>,
    fd: i32,
    _lookup: i32,
    path: Address,
    length: i32,
    flags: i32,
    _rights: i64,
    _inherited: i64,
    _fd_flags: i32,
    opened: Address,
) -> i32 {
    const CREATE: i32 = 1;
    const EXCLUSIVE: i32 = 4;
    const TRUNCATE: i32 = 8;
    let path = path_of(&mut caller, (fd, path, length));
    let new = files(&caller, |files| {
        match files.contents.get_mut(&path) {
            Some(_) if flags & EXCLUSIVE != 0 => return Err(EXIST),
            Some(contents) if flags & TRUNCATE != 0 => contents.clear(),
            Some(_) => {}
            None if flags & CREATE == 0 => return Err(NOENT),
            None => {
                files.contents.insert(path.clone(), Vec::new());
            }
        }
        let free = (ROOT + 1..).find(|fd| !files.open.contains_key(fd)).expect("there are some");
        files.open.insert(free, (path, 0));
        Ok(free)
    });
    match new {
        Ok(fd) => {
            put(&mut caller, opened, &fd.to_le_bytes());
            SUCCESS
        }
        Err(error) => error,
    }
}
