//! What can be seen of a [`Frozen`] call: a debugger's view of a call that sleeps.

use crate::guest::checkpoint::value::Value;
use crate::guest::freeze::freezable_module::FreezableModule;
use crate::guest::freeze::frozen::Frozen;
use crate::guest::freeze::lines::{self, SourceLocation};
use std::fmt;
use std::time::Duration;
use wasm_jobs_transform::{Point, SlotValue, ValueType};
use wasmtime::Val;

/// A function on the stack of a [`Frozen`] call.
#[derive(Debug)]
pub struct FrozenFrame<'a> {
    freezable: &'a FreezableModule,
    point: &'a Point,
    values: Vec<(SlotValue, Value)>,
}

/// The host function that a [`Frozen`] call waits in.
#[derive(Clone, Debug)]
pub struct FrozenWait<'a> {
    module: &'a str,
    name: &'a str,
    params: &'a [Value],
    waited: Duration,
}

impl<T> Frozen<T> {
    /// The functions on the stack of the call, the innermost first.
    ///
    /// ```
    /// # use wasm_jobs::{EngineOptions, FrozenValue, Instance, PrepareOptions, engine, guest_kit, prepare_with, wasmtime, ManualClock, transform::SlotValue};
    /// # let engine = engine(&EngineOptions::default())?;
    /// # let mut linker = wasmtime::Linker::<()>::new(&engine);
    /// # guest_kit::add_to_linker(&mut linker, ManualClock::new())?;
    /// let wasm = wat::parse_str(r#"(module
    ///     (import "env" "sleep" (func $sleep (param i64)))
    ///     (func $dream (param $depth i32) (result i32)
    ///         (if (i32.eqz (local.get $depth)) (then (call $sleep (i64.const 1_000))))
    ///         (if (local.get $depth) (then (drop (call $dream (i32.sub (local.get $depth) (i32.const 1))))))
    ///         (local.get $depth))
    ///     (export "dream" (func $dream)))"#)?;
    /// let pre = prepare_with(&engine, wasm, &PrepareOptions::default().freezable(true))?.instantiate_pre(&linker)?;
    /// let mut future = Instance::new(&pre, ())?.call::<i32, i32>("dream", 2)?;
    /// let frozen = future.freeze()?;
    ///
    /// let frames = frozen.frames();
    /// assert_eq!(frames.len(), 3);
    /// assert_eq!(frames[2].name(), Some("dream"));
    /// assert_eq!(frames[2].values().next(), Some((SlotValue::Local(0), &FrozenValue::I32(2))));
    /// assert_eq!((frozen.pending().module(), frozen.pending().name()), ("env", "sleep"));
    /// assert_eq!(frozen.pending().params()[0].i64(), Some(1_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn frames(&self) -> Vec<FrozenFrame<'_>> {
        let (frames, freezable) = (&self.call().frames, &*self.call().freezable);
        let starts = frames.starts.iter();
        let frames = starts.map(|start| {
            let references = &frames.references[start.reference..];
            frame(freezable, &frames.words[start.word..], references)
        });
        frames.collect()
    }

    /// The host function that the call waits in.
    #[must_use]
    pub fn pending(&self) -> FrozenWait<'_> {
        let pending = &self.call().pending;
        let (module, name, params) = (&*pending.module, &*pending.name, &*pending.params);
        FrozenWait { module, name, params, waited: pending.waited }
    }
}

fn frame<'a>(
    freezable: &'a FreezableModule,
    words: &[i64],
    references: &[Value],
) -> FrozenFrame<'a> {
    let (mut words, mut references) = (words.iter().copied(), references.iter());
    let mut word = move || words.next().unwrap_or(0);
    let point = &freezable.frames.points[word() as usize];
    let mut values = Vec::new();
    for slot in &point.slots {
        let value = match slot.ty {
            ValueType::I32 => Value::I32(word() as i32),
            ValueType::I64 => Value::I64(word()),
            ValueType::F32 => Value::F32(word() as u32),
            ValueType::F64 => Value::F64(word().cast_unsigned()),
            ValueType::V128 => {
                let low = u128::from(word().cast_unsigned());
                Value::V128(low | u128::from(word().cast_unsigned()) << 64)
            }
            _ if slot.reference().is_none() => Value::Null,
            _ => match references.next() {
                Some(value @ (Value::Function(_) | Value::Object(_))) => value.clone(),
                // Bytes may have a number in the place of a reference. It does not go on.
                _ => Value::Null,
            },
        };
        if slot.what != SlotValue::Nothing {
            values.push((slot.what, value));
        }
    }
    FrozenFrame { freezable, point, values }
}

impl FrozenFrame<'_> {
    /// The index of the function in its module.
    #[must_use]
    pub fn function(&self) -> u32 {
        self.point.function
    }

    /// The name of the function, if its module tells it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.freezable.frames.name(self.function())
    }

    /// Where the function is in the source of the guest, if its module has DWARF sections. Each call of this reads the sections anew.
    ///
    /// A function that the compiler has inlined is not among the frames: the location is in it, and the frame is that of the function that it was inlined into.
    #[must_use]
    pub fn location(&self) -> Option<SourceLocation> {
        lines::of_call(self.freezable.wasm(), self.point.function, self.point.call)
    }

    /// The values that the function still needs, and what they are: its locals, of which the parameters come first, and operands on its stack.
    pub fn values(&self) -> impl Iterator<Item = (SlotValue, &Value)> {
        self.values.iter().map(|(what, value)| (*what, value))
    }
}

impl FrozenWait<'_> {
    /// The module that the function was imported from.
    #[must_use]
    pub fn module(&self) -> &str {
        self.module
    }

    /// The name that it was imported by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The arguments.
    #[must_use]
    pub fn params(&self) -> Vec<Val> {
        let params = self.params.iter().map(|value| match value {
            Value::I32(value) => Val::I32(*value),
            Value::I64(value) => Val::I64(*value),
            Value::F32(bits) => Val::F32(*bits),
            Value::F64(bits) => Val::F64(*bits),
            Value::V128(value) => Val::V128((*value).into()),
            // Resumable functions have no references, and bytes with one in its place do not go on.
            Value::Null | Value::Function(_) | Value::Object(_) => Val::FuncRef(None),
        });
        params.collect()
    }

    /// How long the call had waited, by the clock of the function. It is zero for a function of [`func_wrap_resumable`](crate::func_wrap_resumable).
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl fmt::Display for FrozenFrame<'_> {
    /// The function, where it is, and its values, as in `dream (./debug/dream.c:10:17): local 0 = 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "function {}", self.function())?,
        }
        if let Some(location) = self.location() {
            write!(f, " ({location})")?;
        }
        for (place, (what, value)) in self.values.iter().enumerate() {
            f.write_str(if place == 0 { ": " } else { ", " })?;
            match what {
                SlotValue::Local(index) => write!(f, "local {index} = {value}")?,
                SlotValue::Operand(height) => write!(f, "operand {height} = {value}")?,
                SlotValue::Nothing => {}
            }
        }
        Ok(())
    }
}
