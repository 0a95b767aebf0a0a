//! [`Compiled`]: a guest's module, as it is or prepared.

use crate::guests::GUEST;
use wasm_jobs::wasmtime::{Engine, InstancePre, Linker, Module};
use wasm_jobs::{
    EngineOptions, Instance, InstanceOptions, PrepareOptions, Prepared, PreparedPre, add_yield,
    prepare, prepare_with,
};

pub(super) enum Compiled {
    AsItIs(Module),
    Prepared(Prepared),
}

impl Compiled {
    pub(super) fn as_it_is(engine: &Engine, wasm: &[u8]) -> Self {
        Self::AsItIs(Module::new(engine, wasm).expect("the guest is valid"))
    }

    pub(super) fn prepared(engine: &Engine, wasm: &[u8]) -> Self {
        Self::Prepared(prepare(engine, wasm).expect("the guest can be prepared"))
    }

    pub(super) fn freezable(engine: &Engine, wasm: &[u8]) -> Self {
        Self::Prepared(freezable(engine, wasm))
    }

    /// As [`freezable`](Self::freezable), in any import.
    pub(super) fn freezable_anywhere(engine: &Engine, wasm: &[u8]) -> Self {
        let options = PrepareOptions::default().freezable(true).waits_in(|_, _| true);
        Self::Prepared(prepare_with(engine, wasm, &options).expect("the guest can be prepared"))
    }

    /// The bytes of the machine code, with what is beside it in memory.
    pub(super) fn code(&self) -> usize {
        let range = match self {
            Self::AsItIs(module) => module.image_range(),
            Self::Prepared(module) => module.module().image_range(),
        };
        range.end.addr() - range.start.addr()
    }

    pub(super) fn engine(&self) -> &Engine {
        match self {
            Self::AsItIs(module) => module.engine(),
            Self::Prepared(module) => module.module().engine(),
        }
    }

    pub(super) fn link<S: Send + 'static>(&self, linker: &Linker<S>) -> Linked<S> {
        const LINKED: &str = "the guest imports what is linked";
        match self {
            Self::AsItIs(module) => {
                Linked::AsItIs(Box::new(linker.instantiate_pre(module).expect(LINKED)))
            }
            Self::Prepared(module) => {
                Linked::Prepared(module.instantiate_pre(linker).expect(LINKED))
            }
        }
    }

    /// An instance of a guest without state.
    pub(super) fn instance(&self, options: InstanceOptions) -> Instance<()> {
        let mut linker = Linker::new(self.engine());
        add_yield(&mut linker, "env", "yield").expect("the linker is new");
        linker.func_wrap("env", "row_done", || {}).expect("there is none of that name");
        self.link(&linker).instance(options, ())
    }
}

/// A guest whose calls can be frozen.
pub(super) fn freezable(engine: &Engine, wasm: &[u8]) -> Prepared {
    let options = PrepareOptions::default().freezable(true);
    prepare_with(engine, wasm, &options).expect("the guest can be prepared")
}

pub(super) enum Linked<S: 'static> {
    AsItIs(Box<InstancePre<S>>),
    Prepared(PreparedPre<S>),
}

impl<S: Send + 'static> Linked<S> {
    pub(super) fn instance(&self, options: InstanceOptions, state: S) -> Instance<S> {
        let instance = match self {
            Self::AsItIs(pre) => Instance::with_state(&**pre, options, state),
            Self::Prepared(pre) => Instance::with_state(pre, options, state),
        };
        instance.expect("the pool has room")
    }
}

/// An instance of the [guest](GUEST) of most measures that looks at a flag.
pub(super) fn at_flags(options: InstanceOptions) -> Instance<()> {
    let wasm = wat::parse_str(GUEST).expect("the guest is well-formed");
    Compiled::prepared(&engine_with_flags(), &wasm).instance(options)
}

/// An engine with a pool of the guests of one measure: three forms of a guest in each layout.
pub(super) fn engine(epochs: bool, fuel: bool) -> Engine {
    made(options().epoch_interruption(epochs).fuel(fuel))
}

/// The same, for prepared guests that look at flags.
pub(super) fn engine_with_flags() -> Engine {
    made(options().epoch_interruption(false).stop_flags(true))
}

fn options() -> EngineOptions {
    EngineOptions::default().pooling(15)
}

fn made(options: EngineOptions) -> Engine {
    wasm_jobs::engine(&options).expect("the options go together")
}
