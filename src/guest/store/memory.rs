//! [`MemoryGuard`]: a guest's memory between two calls.

use crate::error::Error;
use crate::guest::instance::Instance;
use crate::guest::store::guard::StoreGuard;
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

    /// Reads a number, or an array of numbers.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if it ends beyond the memory.
    pub fn read<T: Plain>(&self, address: usize) -> Result<T, Error> {
        Ok(T::from_le(self.slice(address, T::SIZE)?))
    }

    /// Writes a number, or an array of numbers.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if it ends beyond the memory, which is then as it was.
    pub fn write<T: Plain>(&mut self, address: usize, value: T) -> Result<(), Error> {
        value.to_le(self.slice_mut(address, T::SIZE)?);
        Ok(())
    }

    /// Reads `count` numbers, one after another.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] if they end beyond the memory.
    pub fn read_vec<T: Plain>(&self, address: usize, count: usize) -> Result<Vec<T>, Error> {
        let range = self.range(address, count.checked_mul(T::SIZE))?;
        let bytes = &self.data()[range];
        Ok(bytes.chunks_exact(T::SIZE).map(T::from_le).collect())
    }

    /// Writes some numbers, one after another.
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

impl<S: 'static> fmt::Debug for MemoryGuard<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryGuard")
            .field("size", &self.memory.data_size(&self.store))
            .finish_non_exhaustive()
    }
}

/// A type that a [`MemoryGuard`] reads and writes: an integer of 8 to 64 bits, a float, or an array of these that is not empty. For
/// other types, use the bytes of [`MemoryGuard::slice`].
pub trait Plain: sealed::Plain {}

mod sealed {
    pub trait Plain: Copy {
        /// The size in bytes.
        const SIZE: usize;
        /// `bytes` has the length `SIZE`.
        fn from_le(bytes: &[u8]) -> Self;
        /// `bytes` has the length `SIZE`.
        fn to_le(self, bytes: &mut [u8]);
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Plain for $number {}

        impl sealed::Plain for $number {
            const SIZE: usize = size_of::<Self>();

            fn from_le(bytes: &[u8]) -> Self {
                match bytes.try_into() {
                    Ok(bytes) => Self::from_le_bytes(bytes),
                    Err(_) => unreachable!("the slice has its size"),
                }
            }

            fn to_le(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

numbers!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

impl<T: Plain, const N: usize> Plain for [T; N] {}

impl<T: Plain, const N: usize> sealed::Plain for [T; N] {
    const SIZE: usize = {
        assert!(N > 0, "an empty array has no bytes to read or write");
        N * T::SIZE
    };

    fn from_le(bytes: &[u8]) -> Self {
        std::array::from_fn(|index| T::from_le(&bytes[index * T::SIZE..][..T::SIZE]))
    }

    fn to_le(self, bytes: &mut [u8]) {
        for (index, value) in self.into_iter().enumerate() {
            value.to_le(&mut bytes[index * T::SIZE..][..T::SIZE]);
        }
    }
}
