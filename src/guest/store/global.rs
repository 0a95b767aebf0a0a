//! [`GlobalType`]: the Rust types of the values that a `StoreGuard` gets and sets in a guest's globals.

use wasmtime::Val;

/// A Rust type for the value of a global: `i32`, `i64`, `f32`, `f64`, or [`V128`](wasmtime::V128).
pub trait GlobalType: sealed::GlobalType {}

mod sealed {
    use wasmtime::Val;

    pub trait GlobalType: Sized {
        /// The name of the type in the text format.
        const NAME: &'static str;
        fn from_val(value: Val) -> Option<Self>;
        fn into_val(self) -> Val;
    }
}

macro_rules! global_types {
    ($($type:ty, $name:literal, $get:ident;)*) => {$(
        impl GlobalType for $type {}

        impl sealed::GlobalType for $type {
            const NAME: &'static str = $name;

            fn from_val(value: Val) -> Option<Self> {
                value.$get()
            }

            fn into_val(self) -> Val {
                self.into()
            }
        }
    )*};
}

global_types! {
    i32, "i32", i32;
    i64, "i64", i64;
    f32, "f32", f32;
    f64, "f64", f64;
    wasmtime::V128, "v128", v128;
}
