//! Reading and writing the memory of the guest that called a function of WASI.

use crate::guest::wasi::failure::Failure;
use wasmtime::{Caller, Extern};
use wiggle::{GuestMemory, GuestPtr, GuestType};

/// Runs `code` with the guest's memory. Every WASI program exports it under the name `memory`.
pub(crate) fn with_memory<S, R>(
    caller: &mut Caller<'_, S>,
    code: impl FnOnce(&mut GuestMemory<'_>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => code(&mut GuestMemory::Unshared(memory.data_mut(caller))),
        Some(Extern::SharedMemory(memory)) => code(&mut GuestMemory::Shared(memory.data())),
        _ => Err(Failure::Host(wasmtime::Error::msg("a WASI guest must export its memory"))),
    }
}

/// A parameter of the guest as a pointer into its memory. Addresses are unsigned, parameters signed.
pub(crate) fn pointer<T: GuestType>(address: i32) -> GuestPtr<T> {
    GuestPtr::new(address.cast_unsigned())
}
