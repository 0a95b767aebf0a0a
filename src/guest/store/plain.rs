//! [`Plain`]: what is read from a guest's memory and written to it as it is.

/// A type that a [`MemoryGuard`](crate::MemoryGuard) reads and writes: an integer of 8 to 64 bits, a float, or an array of these that
/// is not empty. For other types, use the bytes of [`MemoryGuard::slice`](crate::MemoryGuard::slice).
///
/// With the feature `bytemuck`, also any [`Pod`](https://docs.rs/bytemuck/1/bytemuck/trait.Pod.html) type that is not empty, for example a `#[repr(C)]` struct that
/// derives `Pod`. Its fields need the same layout as in the guest. The feature needs a little-endian machine.
pub trait Plain: sealed::Plain {}

mod sealed {
    // With the feature, what is `Plain` is `Pod` in generic code too. Arrays of it are `Plain` then, as they are without the feature.
    #[cfg(feature = "bytemuck")]
    use bytemuck::Pod as Base;
    #[cfg(not(feature = "bytemuck"))]
    use std::marker::Copy as Base;

    pub trait Plain: Base {
        /// The size in bytes.
        const SIZE: usize;
        /// `bytes` has the length `SIZE`.
        fn from_le(bytes: &[u8]) -> Self;
        /// `bytes` has the length `SIZE`.
        fn to_le(self, bytes: &mut [u8]);
    }
}

#[cfg(feature = "bytemuck")]
mod pod {
    use super::{Plain, sealed};
    use bytemuck::Pod;

    #[cfg(target_endian = "big")]
    compile_error!(
        "the feature `bytemuck` needs a little-endian machine: the bytes of a guest's structs are read as they are"
    );

    impl<T: Pod> Plain for T {}

    impl<T: Pod> sealed::Plain for T {
        const SIZE: usize = {
            assert!(size_of::<T>() > 0, "an empty type has no bytes to read or write");
            size_of::<T>()
        };

        fn from_le(bytes: &[u8]) -> Self {
            bytemuck::pod_read_unaligned(bytes)
        }

        fn to_le(self, bytes: &mut [u8]) {
            bytes.copy_from_slice(bytemuck::bytes_of(&self));
        }
    }
}

#[cfg(not(feature = "bytemuck"))]
mod numbers {
    use super::{Plain, sealed};

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
}
