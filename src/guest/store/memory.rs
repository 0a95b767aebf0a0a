//! [`MemoryGuard`]: a guest's memory between two calls.

use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::store::guard::StoreGuard;
use crate::guest::store::plain::Plain;
use std::fmt;
use std::ops::Range;
use wasmtime::Memory;

impl<S: Send + 'static> Instance<S> {
    /// Gives access to an exported memory between calls.
    ///
    /// # Errors
    ///
    /// [`Error::CallInProgress`] if a call or a guard has the store; [`Error::Poisoned`] if there is no guest, because a
    /// [`reset`](Self::reset) failed; and [`Error::ExportNotFound`] or [`Error::ExportKind`] if there is no memory of that name.
    pub fn memory(&self, export: &str) -> Result<MemoryGuard<'_, S>, Error> {
        MemoryGuard::new(self.store()?, export)
    }
}

/// An exported memory of an [`Instance`](crate::Instance), from [`Instance::memory`](crate::Instance::memory).
///
/// The guard has the store: while it exists, the instance makes no calls. Addresses count bytes from the beginning of the memory.
/// Most guests' pointers are such addresses; a function passes one as an `i32`, which is to be read as unsigned. Numbers are
/// little-endian, as in wasm.
///
/// ```
/// # use wasm_jobs::{EngineOptions, Instance, engine, wasmtime};
/// # let engine = engine(&EngineOptions::default())?;
/// # let module = wasmtime::Module::new(&engine, wat::parse_str(r#"(module (memory (export "memory") 1))"#)?)?;
/// # let linker = wasmtime::Linker::<()>::new(&engine);
/// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
/// let mut memory = instance.memory("memory")?;
/// memory.write(64, [0.5_f32, 1.5])?;
/// memory.slice_mut(72, 5)?.copy_from_slice(b"hello");
///
/// assert_eq!(memory.read::<f32>(68)?, 1.5);
/// assert_eq!(memory.read_vec::<u8>(72, 5)?, b"hello");
/// assert!(memory.read::<i64>(memory.size() - 7).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryGuard<'a, S: 'static> {
    store: StoreGuard<'a, S>,
    memory: Memory,
}

impl<'a, S: Send + 'static> MemoryGuard<'a, S> {
    pub(crate) fn new(mut store: StoreGuard<'a, S>, export: &str) -> Result<Self, Error> {
        let memory = store.memory(export)?;
        Ok(Self { store, memory })
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// All bytes of the memory.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// All bytes of the memory, to be changed.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    /// The bytes from an address on.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory.
    pub fn slice(&self, address: usize, bytes: usize) -> Result<&[u8], Error> {
        let range = self.range(address, Some(bytes))?;
        Ok(&self.data()[range])
    }

    /// The bytes from an address on, to be changed.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory.
    pub fn slice_mut(&mut self, address: usize, bytes: usize) -> Result<&mut [u8], Error> {
        let range = self.range(address, Some(bytes))?;
        Ok(&mut self.data_mut()[range])
    }

    /// Reads a number, an array of numbers, or with the feature `bytemuck` a struct. The address need not be aligned.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if it ends beyond the memory.
    pub fn read<T: Plain>(&self, address: usize) -> Result<T, Error> {
        Ok(T::from_le(self.slice(address, T::SIZE)?))
    }

    /// Writes a number, an array of numbers, or with the feature `bytemuck` a struct. The address need not be aligned.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if it ends beyond the memory, which is then as it was.
    pub fn write<T: Plain>(&mut self, address: usize, value: T) -> Result<(), Error> {
        value.to_le(self.slice_mut(address, T::SIZE)?);
        Ok(())
    }

    /// Reads `count` values, one after another.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory.
    pub fn read_vec<T: Plain>(&self, address: usize, count: usize) -> Result<Vec<T>, Error> {
        let range = self.range(address, count.checked_mul(T::SIZE))?;
        let bytes = &self.data()[range];
        Ok(bytes.chunks_exact(T::SIZE).map(T::from_le).collect())
    }

    /// Writes some values, one after another.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory, which is then as it was.
    pub fn write_slice<T: Plain>(&mut self, address: usize, values: &[T]) -> Result<(), Error> {
        let range = self.range(address, values.len().checked_mul(T::SIZE))?;
        let bytes = &mut self.data_mut()[range];
        for (value, bytes) in values.iter().zip(bytes.chunks_exact_mut(T::SIZE)) {
            value.to_le(bytes);
        }
        Ok(())
    }

    /// Borrows `count` values in place, from an address on, without copying.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, Error, Instance, engine, wasmtime};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let module = wasmtime::Module::new(&engine, wat::parse_str(r#"(module (memory (export "memory") 1))"#)?)?;
    /// # let linker = wasmtime::Linker::<()>::new(&engine);
    /// # let instance = Instance::new(&linker.instantiate_pre(&module)?, ())?;
    /// #[repr(C)]
    /// #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    /// struct Creature {
    ///     position: [f32; 2],
    ///     health: u32,
    /// }
    ///
    /// let mut memory = instance.memory("memory")?;
    /// let ada = Creature { position: [1.0, 2.0], health: 100 };
    /// memory.write_slice(64, &[ada; 3])?;
    /// for creature in memory.typed_slice_mut::<Creature>(64, 3)? {
    ///     creature.health -= 1;
    /// }
    /// assert_eq!(memory.typed_slice::<Creature>(64, 3)?[2].health, 99);
    /// assert_eq!(memory.read::<Creature>(64)?.position, ada.position);
    /// assert!(matches!(memory.typed_slice::<Creature>(66, 3), Err(Error::Misaligned { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory, and [`Error::Misaligned`] if the address is not a multiple of the type's
    /// alignment. [`read_vec`](Self::read_vec) copies from any address.
    #[cfg(feature = "bytemuck")]
    pub fn typed_slice<T: Plain>(&self, address: usize, count: usize) -> Result<&[T], Error> {
        let range = self.range(address, count.checked_mul(T::SIZE))?;
        let values = bytemuck::try_cast_slice(&self.data()[range]);
        values.map_err(|_| misaligned::<T>(address))
    }

    /// Borrows `count` values in place, from an address on, to be changed. See [`typed_slice`](Self::typed_slice) for an example.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory, and [`Error::Misaligned`] if the address is not a multiple of the type's
    /// alignment. [`write_slice`](Self::write_slice) copies to any address.
    #[cfg(feature = "bytemuck")]
    pub fn typed_slice_mut<T: Plain>(
        &mut self,
        address: usize,
        count: usize,
    ) -> Result<&mut [T], Error> {
        let range = self.range(address, count.checked_mul(T::SIZE))?;
        let values = bytemuck::try_cast_slice_mut(&mut self.data_mut()[range]);
        values.map_err(|_| misaligned::<T>(address))
    }

    /// Grows the memory by this many pages, and returns the number that it had before. A page is 64 KiB, unless the type of the
    /// memory says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Wasmtime`] if the memory may not be as large as that.
    pub fn grow(&mut self, pages: u64) -> Result<u64, Error> {
        // A limiter of the user's may be asynchronous.
        Ok(crate::wait::block::block_on(self.memory.grow_async(&mut self.store, pages))?)
    }

    /// The store, for everything else.
    pub fn store(&mut self) -> &mut StoreGuard<'a, S> {
        &mut self.store
    }

    /// The range of these bytes, if they are in the memory. `None` stands for a count that overflowed.
    fn range(&self, address: usize, bytes: Option<usize>) -> Result<Range<usize>, Error> {
        let size = self.size();
        bytes
            .and_then(|bytes| address.checked_add(bytes))
            .filter(|end| *end <= size)
            .map(|end| address..end)
            .ok_or(Error::OutOfBounds {
                at: address as u64,
                count: bytes.map_or(u64::MAX, |bytes| bytes as u64),
                size: size as u64,
            })
    }
}

/// The whole values fit, so only the alignment can be wrong.
#[cfg(feature = "bytemuck")]
fn misaligned<T>(address: usize) -> Error {
    Error::Misaligned { at: address as u64, align: align_of::<T>() }
}

impl<S: 'static> fmt::Debug for MemoryGuard<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryGuard")
            .field("size", &self.memory.data_size(&self.store))
            .finish_non_exhaustive()
    }
}
