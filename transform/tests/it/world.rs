//! [`World`]: a host for guests of all kinds, which does the same in each run: time goes by when somebody looks at the clock, and there are no files.

use std::fmt::Write;
use wasmtime::{Caller, ExternType, Linker, Memory, Module, Val};

/// How often a guest may call the host.
const MOST_CALLS: u64 = 20_000;

const WASI: &str = "wasi_snapshot_preview1";

const BAD_DESCRIPTOR: i32 = 8;
const NO_ENTRY: i32 = 44;
const NO_SEEKING: i32 = 70;

#[derive(Debug, Default)]
pub(crate) struct World {
    /// What the guest told the host.
    pub(crate) log: String,
    arguments: Vec<String>,
    input: Vec<u8>,
    calls: u64,
    clock: u64,
}

type Result<T> = wasmtime::Result<T>;

/// A guest's memory, with what a call of the host does there.
struct Call<'a> {
    memory: &'a mut [u8],
    world: &'a mut World,
}

impl Call<'_> {
    fn bytes(&mut self, at: u32, len: u32) -> Result<&mut [u8]> {
        let (start, end) = (at as usize, at as usize + len as usize);
        self.memory.get_mut(start..end).ok_or_else(|| wasmtime::format_err!("out of bounds"))
    }

    fn number(&mut self, at: u32) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(at, 4)?.try_into()?))
    }

    fn long(&mut self, at: u32) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(at, 8)?.try_into()?))
    }

    fn set(&mut self, at: u32, bytes: &[u8]) -> Result<i32> {
        self.bytes(at, bytes.len() as u32)?.copy_from_slice(bytes);
        Ok(0)
    }

    /// The pieces of memory of a list.
    fn pieces(&mut self, list: u32, count: u32) -> Result<Vec<(u32, u32)>> {
        (0..count)
            .map(|n| Ok((self.number(list + 8 * n)?, self.number(list + 8 * n + 4)?)))
            .collect()
    }

    fn wasi(&mut self, name: &str, arguments: &[Val]) -> Result<i32> {
        let argument = |n: usize| match arguments[n] {
            Val::I32(number) => number as u32,
            Val::I64(number) => number as u32,
            _ => 0,
        };
        match name {
            "args_sizes_get" => {
                let all = &self.world.arguments;
                let bytes: usize = all.iter().map(|text| text.len() + 1).sum();
                let count = all.len() as u32;
                self.set(argument(0), &count.to_le_bytes())?;
                self.set(argument(1), &(bytes as u32).to_le_bytes())
            }
            "args_get" => {
                let mut at = argument(1);
                for (n, text) in self.world.arguments.clone().into_iter().enumerate() {
                    self.set(argument(0) + 4 * n as u32, &at.to_le_bytes())?;
                    self.set(at, (text.clone() + "\0").as_bytes())?;
                    at += text.len() as u32 + 1;
                }
                Ok(0)
            }
            "environ_sizes_get" => {
                self.set(argument(0), &[0; 4])?;
                self.set(argument(1), &[0; 4])
            }
            "clock_time_get" => {
                self.world.clock += 1_000_000;
                let now = self.world.clock.to_le_bytes();
                self.set(argument(2), &now)
            }
            "random_get" => {
                let byte = self.world.calls as u8;
                self.bytes(argument(0), argument(1))?.fill(byte);
                Ok(0)
            }
            "fd_fdstat_get" if argument(0) < 3 => {
                let mut stat = [0xff; 24];
                stat[..8].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
                self.set(argument(1), &stat)
            }
            "fd_write" => {
                let mut written = 0;
                for (at, len) in self.pieces(argument(1), argument(2))? {
                    let text = self.bytes(at, len)?.escape_ascii().to_string();
                    self.world.log.push_str(&text);
                    written += len;
                }
                self.set(argument(3), &written.to_le_bytes())
            }
            "fd_read" if argument(0) == 0 => {
                let mut read = 0;
                for (at, len) in self.pieces(argument(1), argument(2))? {
                    let len = len.min(self.world.input.len() as u32);
                    let bytes: Vec<u8> = self.world.input.drain(..len as usize).collect();
                    self.set(at, &bytes)?;
                    read += len;
                }
                self.set(argument(3), &read.to_le_bytes())
            }
            "poll_oneoff" => self.poll(argument(0), argument(1), argument(2), argument(3)),
            "fd_close" | "sched_yield" | "environ_get" => Ok(0),
            "fd_seek" => Ok(NO_SEEKING),
            _ if name.starts_with("fd_") => Ok(BAD_DESCRIPTOR),
            _ => Ok(NO_ENTRY),
        }
    }

    /// All that is waited for comes at once. Time goes by as far as somebody waits.
    fn poll(&mut self, waits: u32, events: u32, count: u32, many: u32) -> Result<i32> {
        const CLOCK: u8 = 0;
        for n in 0..count {
            let (wait, event) = (waits + 48 * n, events + 32 * n);
            let kind = self.bytes(wait + 8, 1)?[0];
            if kind == CLOCK {
                let time = self.long(wait + 24)?;
                let is_absolute = self.bytes(wait + 40, 1)?[0] & 1 == 1;
                let clock = self.world.clock;
                self.world.clock =
                    if is_absolute { clock.max(time) } else { clock.saturating_add(time) };
            }
            let user = self.long(wait)?;
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&user.to_le_bytes());
            bytes[10] = kind;
            self.set(event, &bytes)?;
        }
        self.set(many, &count.to_le_bytes())
    }
}

impl World {
    pub(crate) fn new(arguments: &[&str], input: &[u8]) -> Self {
        let arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        Self { arguments, input: input.to_vec(), ..Self::default() }
    }

    /// Defines all functions that a module imports.
    pub(crate) fn define(linker: &mut Linker<Self>, module: &Module) {
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { continue };
            let (from, name) = (import.module().to_owned(), import.name().to_owned());
            let function = move |mut caller: Caller<'_, Self>,
                                 given: &[Val],
                                 results: &mut [Val]| {
                let memory = caller.get_export("memory").and_then(|memory| memory.into_memory());
                let (memory, world) = match &memory {
                    Some(memory) => Memory::data_and_store_mut(memory, &mut caller),
                    None => (&mut [][..], caller.data_mut()),
                };
                world.called(&from, &name, memory, given, results)
            };
            linker.func_new(import.module(), import.name(), ty, function).unwrap();
        }
    }

    fn called(
        &mut self,
        from: &str,
        name: &str,
        memory: &mut [u8],
        arguments: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        write!(self.log, "[{name} {arguments:?}]")?;
        self.calls += 1;
        if self.calls > MOST_CALLS || name == "proc_exit" {
            wasmtime::bail!("{name} {arguments:?} ends it");
        }
        let number = match from == WASI {
            true => Call { memory, world: self }.wasi(name, arguments)?,
            false => (self.calls * 7 % 5) as i32,
        };
        for result in results {
            *result = match result {
                Val::I64(_) => Val::I64(number.into()),
                Val::F32(_) => Val::F32((number as f32).to_bits()),
                Val::F64(_) => Val::F64(f64::from(number).to_bits()),
                _ => Val::I32(number),
            };
        }
        Ok(())
    }
}
