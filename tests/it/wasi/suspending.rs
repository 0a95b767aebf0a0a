//! Functions of WASI that suspend, by [`func_wrap_resumable`]: each yields once, and has its effect on the host after that. They take the place of the library's own in a linker.
//!
//! A thawed call begins the function anew. So what a function writes into the guest's memory it writes each time, and what it changes in the [`World`] it changes at the end of its
//! future, which comes once.

pub(super) mod files;

use self::files::Files;
use super::{BADF, SUCCESS};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use wasm_jobs::wasi::{self, WasiCtx};
use wasm_jobs::wasmtime::{Caller, Engine, Linker, Memory};
use wasm_jobs::{Error, func_wrap_resumable, yield_now};

const MODULE: &str = "wasi_snapshot_preview1";

/// The error number of a seek in a pipe.
const SPIPE: i32 = 70;

/// How far the clock is between two looks at it, in nanoseconds.
const TICK: u64 = 1_234_567;

/// The state of a store: the context of WASI, for the functions that do not suspend, and the world of those that do.
pub(super) struct Host {
    pub(super) ctx: WasiCtx,
    pub(super) world: World,
}

/// What is outside of the guest, and stays when the guest is frozen.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<Outside>>);

#[derive(Clone, Default, PartialEq)]
pub(super) struct Outside {
    pub(super) input: Vec<u8>,
    /// How much of the input was read.
    pub(super) read: usize,
    pub(super) output: Vec<u8>,
    /// In a terminal, the C library writes each line when it is complete.
    pub(super) is_terminal: bool,
    pub(super) time: u64,
    /// `Some` if the guest is given a directory, which is empty at first.
    pub(super) files: Option<Files>,
    /// How often each function has ended.
    pub(super) ended: BTreeMap<&'static str, usize>,
}

impl World {
    pub(super) fn new(outside: &Outside) -> Self {
        Self(Arc::new(Mutex::new(outside.clone())))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap()
    }
}

type Ends = Pin<Box<dyn Future<Output = i32> + Send>>;

/// The end of a function: it yields, has its effect, and gives its result.
fn ends(
    caller: &Caller<'_, Host>,
    name: &'static str,
    result: i32,
    effect: impl FnOnce(&mut Outside) + Send + 'static,
) -> Ends {
    let world = caller.data().world.clone();
    Box::pin(async move {
        yield_now().await;
        let mut outside = world.lock();
        if result == SUCCESS {
            effect(&mut outside);
        }
        *outside.ended.entry(name).or_default() += 1;
        result
    })
}

/// WASI, with functions that suspend in the place of all that a program needs but its arguments, its environment and its end.
pub(super) fn linker(engine: &Engine) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker, |host: &mut Host| &mut host.ctx)?;
    linker.allow_shadowing(true);
    func_wrap_resumable(&mut linker, MODULE, "fd_write", fd_write)?;
    func_wrap_resumable(&mut linker, MODULE, "fd_read", fd_read)?;
    func_wrap_resumable(&mut linker, MODULE, "fd_fdstat_get", fd_fdstat_get)?;
    func_wrap_resumable(&mut linker, MODULE, "fd_seek", fd_seek)?;
    func_wrap_resumable(&mut linker, MODULE, "clock_time_get", clock_time_get)?;
    files::add_to_linker(&mut linker)?;
    Ok(linker)
}

type Address = i32;

fn fd_write(
    caller: &mut Caller<'_, Host>,
    (fd, vectors, count, written): (i32, Address, i32, Address),
) -> Ends {
    let parts = parts(caller, vectors, count);
    let memory = memory(caller).data(&*caller);
    let bytes: Vec<u8> =
        parts.iter().flat_map(|&(address, length)| &memory[address..][..length]).copied().collect();
    put(caller, written, &(bytes.len() as u32).to_le_bytes());
    let can = matches!(fd, 1 | 2) || caller.data().world.lock().file(fd).is_some();
    ends(caller, "fd_write", if can { SUCCESS } else { BADF }, move |outside| {
        if matches!(fd, 1 | 2) {
            outside.output.extend_from_slice(&bytes);
        } else if let Some(mut file) = outside.file(fd) {
            file.write(&bytes);
        }
    })
}

fn fd_read(
    caller: &mut Caller<'_, Host>,
    (fd, vectors, count, read): (i32, Address, i32, Address),
) -> Ends {
    let bytes = {
        let mut outside = caller.data().world.lock();
        match fd {
            0 => Some(outside.input[outside.read..].to_vec()),
            _ => outside.file(fd).map(|file| file.rest().to_vec()),
        }
    };
    let result = if bytes.is_some() { SUCCESS } else { BADF };
    let mut rest = &bytes.unwrap_or_default()[..];
    let whole = rest.len();
    for (address, room) in parts(caller, vectors, count) {
        let (part, after) = rest.split_at(room.min(rest.len()));
        put(caller, address as i32, part);
        rest = after;
    }
    let length = whole - rest.len();
    put(caller, read, &(length as u32).to_le_bytes());
    ends(caller, "fd_read", result, move |outside| match fd {
        0 => outside.read += length,
        _ => {
            if let Some(mut file) = outside.file(fd) {
                file.skip(length);
            }
        }
    })
}

fn fd_fdstat_get(caller: &mut Caller<'_, Host>, (fd, at): (i32, Address)) -> Ends {
    const CHARACTER_DEVICE: u8 = 2;
    const READ_AND_WRITE: u64 = 1 << 1 | 1 << 6;
    let (kind, rights) = {
        let mut outside = caller.data().world.lock();
        match fd {
            0..3 if outside.is_terminal => (Some(CHARACTER_DEVICE), READ_AND_WRITE),
            0..3 => (Some(0), READ_AND_WRITE),
            _ => (outside.kind(fd), u64::MAX),
        }
    };
    if let Some(kind) = kind {
        let mut stat = [0; 24];
        stat[0] = kind;
        stat[8..16].copy_from_slice(&rights.to_le_bytes());
        stat[16..].copy_from_slice(&rights.to_le_bytes());
        put(caller, at, &stat);
    }
    ends(caller, "fd_fdstat_get", if kind.is_some() { SUCCESS } else { BADF }, |_| ())
}

fn fd_seek(
    caller: &mut Caller<'_, Host>,
    (fd, offset, whence, at): (i32, i64, i32, Address),
) -> Ends {
    let place = caller.data().world.lock().file(fd).map(|file| file.place(offset, whence));
    let result = match place {
        Some(place) => {
            put(caller, at, &(place as u64).to_le_bytes());
            SUCCESS
        }
        None if (0..3).contains(&fd) => SPIPE,
        None => BADF,
    };
    ends(caller, "fd_seek", result, move |outside| {
        if let (Some(mut file), Some(place)) = (outside.file(fd), place) {
            file.go_to(place);
        }
    })
}

fn clock_time_get(
    caller: &mut Caller<'_, Host>,
    (_clock, _precision, at): (i32, i64, Address),
) -> Ends {
    let time = caller.data().world.lock().time + TICK;
    put(caller, at, &time.to_le_bytes());
    ends(caller, "clock_time_get", SUCCESS, move |outside| outside.time = time)
}

/// The addresses and lengths of a list of buffers.
fn parts(caller: &mut Caller<'_, Host>, vectors: Address, count: i32) -> Vec<(usize, usize)> {
    let bytes = get(caller, vectors, count * 8);
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    bytes.chunks(8).map(|vector| (number(&vector[..4]), number(&vector[4..]))).collect()
}

fn get(caller: &mut Caller<'_, Host>, at: Address, length: i32) -> Vec<u8> {
    memory(caller).data(&*caller)[at as usize..][..length as usize].to_vec()
}

fn put(caller: &mut Caller<'_, Host>, at: Address, bytes: &[u8]) {
    memory(caller).write(caller, at as usize, bytes).expect("the guest gives addresses of its own");
}

fn memory(caller: &mut Caller<'_, Host>) -> Memory {
    let export = caller.get_export("memory");
    export.and_then(|export| export.into_memory()).expect("programs of WASI export their memory")
}
