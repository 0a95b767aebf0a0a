//! [`WatchGuest`]: who is told when a guest calls the host and when it returns. A world of `explore` is.

use std::fmt;
use std::sync::Arc;
use twox_hash::XxHash3_64;
use wasmtime::{AsContextMut, CallHook, Extern, StoreContextMut, Val, WasmBacktrace};

/// Is told of each crossing between a guest and the host.
pub(crate) trait WatchGuest: Send + Sync {
    /// An error ends the call.
    fn crosses(&self, hook: CallHook, guest: &mut dyn WatchedGuest) -> wasmtime::Result<()>;

    /// A new guest is to be instantiated.
    fn begins(&self);

    /// The guest is instantiated, and exports this.
    fn is_instantiated(&self, exports: Vec<Extern>, guest: &mut dyn WatchedGuest);
}

/// A guest that is at a crossing.
pub(crate) trait WatchedGuest {
    fn backtrace(&self) -> WasmBacktrace;

    /// The fuel that is left; `None` if the engine counts none.
    fn fuel(&self) -> Option<u64>;

    /// A hash of these exports of its, as far as they are memories, or globals of numbers.
    fn hash(&mut self, exports: &[Extern]) -> u64;
}

impl<S: 'static> WatchedGuest for StoreContextMut<'_, S> {
    fn backtrace(&self) -> WasmBacktrace {
        WasmBacktrace::force_capture(self)
    }

    fn fuel(&self) -> Option<u64> {
        self.get_fuel().ok()
    }

    fn hash(&mut self, exports: &[Extern]) -> u64 {
        exports.iter().fold(0, |seed, export| match export {
            Extern::Memory(memory) => XxHash3_64::oneshot_with_seed(seed, memory.data(&*self)),
            Extern::Global(global) => match global.get(self.as_context_mut()) {
                Val::I32(value) => mixed(seed, &value.to_le_bytes()),
                Val::I64(value) => mixed(seed, &value.to_le_bytes()),
                Val::F32(bits) => mixed(seed, &bits.to_le_bytes()),
                Val::F64(bits) => mixed(seed, &bits.to_le_bytes()),
                Val::V128(value) => mixed(seed, &value.as_u128().to_le_bytes()),
                _ => seed,
            },
            _ => seed,
        })
    }
}

fn mixed(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// Who watches a guest, as an option.
#[derive(Clone, Default)]
pub(crate) struct Watcher(pub(crate) Option<Arc<dyn WatchGuest>>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watcher").field(&self.0.is_some()).finish()
    }
}
