//! [`ResumableParams`] and [`ResumableResults`]: the values that pass between a guest and a resumable host function. All of them are data.

use crate::guest::checkpoint::value::Value;
use wasmtime::{V128, Val, WasmRet, WasmTy, WasmTyList};

/// The parameters of a [resumable](crate::func_wrap_resumable) host function: a tuple of up to sixteen of `i32`, `u32`, `i64`, `u64`, `f32`, `f64`
/// and [`V128`]. It is sealed.
pub trait ResumableParams: WasmTyList + sealed::Params {}

/// What a [resumable](crate::func_wrap_resumable) host function returns: `()`, one of the types of [`ResumableParams`], or a tuple of them; or a
/// [`wasmtime::Result`] of that. It is sealed.
pub trait ResumableResults: sealed::Results {}

pub(crate) mod sealed {
    use super::Value;
    use wasmtime::{Val, WasmRet};

    pub trait Params: Copy + Send + Sync + 'static {
        fn to_values(self) -> Box<[Value]>;

        /// `None` if the values are of other types.
        fn from_values(values: &[Value]) -> Option<Self>;
    }

    pub trait Results: WasmRet + Send + 'static {
        /// Any results of these types.
        fn any() -> Self;

        fn write(self, to: &mut [Val]) -> wasmtime::Result<()>;
    }
}

/// A type of wasm's whose values are data.
pub(crate) trait Plain: WasmTy + Copy + Send + Sync + 'static {
    fn any() -> Self;
    fn to_value(self) -> Value;
    fn from_value(value: &Value) -> Option<Self>;
    fn to_val(self) -> Val;
}

macro_rules! plain {
    ($($ty:ty: $kind:ident, $any:expr, $to:expr, $from:expr, $val:expr;)*) => {$(
        impl Plain for $ty {
            fn any() -> Self {
                $any
            }

            fn to_value(self) -> Value {
                Value::$kind($to(self))
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$kind(value) => Some($from(*value)),
                    _ => None,
                }
            }

            fn to_val(self) -> Val {
                Val::$kind($val(self))
            }
        }

        impl ResumableResults for $ty {}

        impl sealed::Results for $ty {
            fn any() -> Self {
                Plain::any()
            }

            fn write(self, to: &mut [Val]) -> wasmtime::Result<()> {
                to[0] = self.to_val();
                Ok(())
            }
        }
    )*};
}

plain! {
    i32: I32, 0, |it| it, |it| it, |it| it;
    u32: I32, 0, u32::cast_signed, i32::cast_unsigned, u32::cast_signed;
    i64: I64, 0, |it| it, |it| it, |it| it;
    u64: I64, 0, u64::cast_signed, i64::cast_unsigned, u64::cast_signed;
    f32: F32, 0.0, f32::to_bits, f32::from_bits, f32::to_bits;
    f64: F64, 0.0, f64::to_bits, f64::from_bits, f64::to_bits;
    V128: V128, 0.into(), |it: V128| it.as_u128(), V128::from, |it| it;
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        impl<$($name: Plain),*> ResumableParams for ($($name,)*) {}

        #[allow(non_snake_case, reason = "the types name the values")]
        impl<$($name: Plain),*> sealed::Params for ($($name,)*) {
            fn to_values(self) -> Box<[Value]> {
                let ($($name,)*) = self;
                Box::new([$($name.to_value()),*])
            }

            fn from_values(values: &[Value]) -> Option<Self> {
                let [$($name),*] = values else { return None };
                Some(($($name::from_value($name)?,)*))
            }
        }

        impl<$($name: Plain),*> ResumableResults for ($($name,)*) {}

        #[allow(non_snake_case, reason = "the types name the values")]
        impl<$($name: Plain),*> sealed::Results for ($($name,)*) {
            fn any() -> Self {
                ($($name::any(),)*)
            }

            fn write(self, to: &mut [Val]) -> wasmtime::Result<()> {
                let ($($name,)*) = self;
                to.copy_from_slice(&[$($name.to_val()),*]);
                Ok(())
            }
        }
    )*};
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
    (A B C D E F G H I J K)
    (A B C D E F G H I J K L)
    (A B C D E F G H I J K L M)
    (A B C D E F G H I J K L M N)
    (A B C D E F G H I J K L M N O)
    (A B C D E F G H I J K L M N O P)
}

impl ResumableParams for () {}

impl sealed::Params for () {
    fn to_values(self) -> Box<[Value]> {
        Box::default()
    }

    fn from_values(values: &[Value]) -> Option<Self> {
        values.is_empty().then_some(())
    }
}

impl ResumableResults for () {}

impl sealed::Results for () {
    fn any() {}

    fn write(self, _: &mut [Val]) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl<R: ResumableResults> ResumableResults for wasmtime::Result<R> where Self: WasmRet {}

impl<R: ResumableResults> sealed::Results for wasmtime::Result<R>
where
    Self: WasmRet,
{
    fn any() -> Self {
        Ok(R::any())
    }

    fn write(self, to: &mut [Val]) -> wasmtime::Result<()> {
        self?.write(to)
    }
}
