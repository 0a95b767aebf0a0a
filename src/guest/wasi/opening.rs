//! The functions of preview 1 that change which descriptors are open. They call wasmtime-wasi's, and record the change in [`Opened`].

use crate::guest::wasi::ctx::WasiCtx;
use crate::guest::wasi::memory::pointer;
use crate::guest::wasi::opened::{How, Opened};
use wasmtime::{AsContextMut, Caller, Extern, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{Errno, Fdflags, Lookupflags, Oflags, Rights};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as wasi, WasiSnapshotPreview1 as _};
use wiggle::{GuestMemory, GuestPtr};

const SUCCESS: i32 = Errno::Success as i32;

pub(crate) fn define_opening<S: Send + 'static>(
    linker: &mut Linker<S>,
    module: &str,
    ctx: impl Fn(&mut S) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        module,
        "path_open",
        move |mut caller: Caller<'_, S>, parameters: PathOpen| {
            Box::new(async move {
                let memory = caller.get_export("memory");
                let (mut memory, p1, opened) = parts(&mut caller, &memory, ctx)?;
                path_open(&mut memory, p1, opened, parameters).await
            })
        },
    )?;
    linker.func_wrap_async(
        module,
        "fd_close",
        move |mut caller: Caller<'_, S>, (number,): (i32,)| {
            Box::new(async move {
                let memory = caller.get_export("memory");
                let (mut memory, p1, opened) = parts(&mut caller, &memory, ctx)?;
                opened.is_torn = true;
                let errno = wasi::fd_close(p1, &mut memory, number).await?;
                opened.is_torn = false;
                if errno == SUCCESS {
                    opened.close(number.cast_unsigned());
                }
                Ok(errno)
            })
        },
    )?;
    linker.func_wrap_async(
        module,
        "fd_renumber",
        move |mut caller: Caller<'_, S>, (from, to): (i32, i32)| {
            Box::new(async move {
                let memory = caller.get_export("memory");
                let (mut memory, p1, opened) = parts(&mut caller, &memory, ctx)?;
                opened.is_torn = true;
                let errno = wasi::fd_renumber(p1, &mut memory, from, to).await?;
                opened.is_torn = false;
                if errno == SUCCESS {
                    opened.renumber(from.cast_unsigned(), to.cast_unsigned());
                }
                Ok(errno)
            })
        },
    )?;
    linker.func_wrap(
        module,
        "fd_fdstat_set_flags",
        move |mut caller: Caller<'_, S>, number: i32, flags: i32| {
            let memory = caller.get_export("memory");
            let (mut memory, p1, opened) = parts(&mut caller, &memory, ctx)?;
            let errno = wasi::fd_fdstat_set_flags(p1, &mut memory, number, flags)?;
            if let (SUCCESS, Ok(flags)) = (errno, u16::try_from(flags)) {
                opened.set_flags(number.cast_unsigned(), flags);
            }
            Ok(errno)
        },
    )?;
    Ok(())
}

/// What a function needs: the guest's memory, wasmtime-wasi's context, and the record.
fn parts<'a, S>(
    caller: &'a mut Caller<'_, S>,
    memory: &'a Option<Extern>,
    ctx: impl Fn(&mut S) -> &mut WasiCtx,
) -> wasmtime::Result<(GuestMemory<'a>, &'a mut WasiP1Ctx, &'a mut Opened)> {
    // The store bounds how much the host copies for a guest.
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (memory, ctx) = match memory {
        Some(Extern::Memory(memory)) => {
            let (bytes, state) = memory.data_and_store_mut(caller);
            (GuestMemory::Unshared(bytes), ctx(state))
        }
        Some(Extern::SharedMemory(memory)) => {
            (GuestMemory::Shared(memory.data()), ctx(caller.data_mut()))
        }
        _ => return Err(wasmtime::Error::msg("a WASI guest must export its memory")),
    };
    let (p1, opened) = ctx.p1_and_opened();
    p1.set_hostcall_fuel(fuel);
    Ok((memory, p1, opened))
}

/// The directory's descriptor and the flags of the look-up, the address and the length of the path, how to open, the rights on the file
/// and those that it hands on, the file's flags, and the address for its descriptor.
type PathOpen = (i32, i32, i32, i32, i32, i64, i64, i32, i32);

async fn path_open(
    memory: &mut GuestMemory<'_>,
    p1: &mut WasiP1Ctx,
    opened: &mut Opened,
    (directory, look_up, path, length, open, rights, inheriting, flags, number): PathOpen,
) -> wasmtime::Result<i32> {
    // The function may write the descriptor over the path.
    let name = read_path(memory, path, length);
    let errno = wasi::path_open(
        p1, memory, directory, look_up, path, length, open, rights, inheriting, flags, number,
    );
    let errno = errno.await?;
    if errno == SUCCESS {
        let number = memory.read(pointer::<u32>(number))?;
        opened.open(number, directory.cast_unsigned(), name, how(look_up, open, rights, flags));
    }
    Ok(errno)
}

/// `None` if the path is not UTF-8, or so long that no system opens it.
fn read_path(memory: &GuestMemory<'_>, path: i32, length: i32) -> Option<String> {
    let length = length.cast_unsigned();
    let path = GuestPtr::<str>::new((path.cast_unsigned(), length));
    // Linux opens no path of 4096 bytes, and no system one of 64 KiB.
    (length < 1 << 16).then(|| memory.as_cow_str(path).ok().map(|path| path.into_owned()))?
}

/// The flags with which to open the file again. They are valid, because it was opened with them.
fn how(look_up: i32, open: i32, rights: i64, flags: i32) -> How {
    let has = |bits: u64, flag: u64| bits & flag != 0;
    let rights = rights.cast_unsigned();
    let open = u64::from(open.cast_unsigned());
    let look_up = u64::from(look_up.cast_unsigned());
    let reads = has(rights, Rights::FD_READ.bits());
    let writes = has(rights, Rights::FD_WRITE.bits());
    // A file that is created or truncated is opened for writing, whatever its rights are.
    let creates = Oflags::CREAT | Oflags::TRUNC;
    let creates = has(open, u64::from(creates.bits()));
    How {
        follows_links: has(look_up, u64::from(Lookupflags::SYMLINK_FOLLOW.bits())),
        reads: reads || creates && !writes,
        writes: writes || creates,
        flags: u16::try_from(flags).unwrap_or_default() & Fdflags::all().bits(),
    }
}
