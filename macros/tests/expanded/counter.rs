/// Counts.
///
/// A wrapper of the guest `tests/guests/counter.wat`. It derefs to its `Instance`. If an export hides a method of the instance, call that method through [`instance`](Self::instance).
pub struct Counter {
    instance: wasm_jobs::Instance<()>,
    functions_0: [wasm_jobs::Func<
        (::core::primitive::i32,),
        ::core::primitive::i32,
        (),
    >; 1],
}
#[allow(dead_code, reason = "no program needs all of it")]
impl Counter {
    const EXPORTS: &'static [(
        &'static ::core::primitive::str,
        &'static ::core::primitive::str,
    )] = &[
        ("increment", "function (i32) -> (i32)"),
        ("count", "global mut i32"),
        ("memory", "memory"),
    ];
    /// Instantiates the guest, in a store with this state.
    ///
    /// `module` is the guest's module; or an engine, which then compiles the bytes in this program. Compiling takes long: for several instances, compile once, with [`module`](Self::module).
    ///
    /// # Errors
    ///
    /// If the module lacks an export that the guest had when this program was built, or has it with another type; and those of `Instance::new`.
    pub fn new(
        module: impl wasm_jobs::ModuleSource<Self>,
        linker: &wasm_jobs::wasmtime::Linker<()>,
        state: (),
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        let pre = wasm_jobs::__wrapper::link::<
            Self,
            _,
        >(module, linker, Self::EXPORTS, false)?;
        Self::from_instance(wasm_jobs::Instance::new(&pre, state)?)
    }
    /// Instantiates the guest with options. `state` makes the state of the store, at once and again at each reset.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) and of `Instance::with_options`.
    pub fn with_options(
        module: impl wasm_jobs::ModuleSource<Self>,
        linker: &wasm_jobs::wasmtime::Linker<()>,
        options: wasm_jobs::InstanceOptions,
        state: impl ::core::ops::Fn(
        ) -> () + ::core::marker::Send + ::core::marker::Sync + 'static,
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        let pre = wasm_jobs::__wrapper::link::<
            Self,
            _,
        >(module, linker, Self::EXPORTS, false)?;
        Self::from_instance(wasm_jobs::Instance::with_options(&pre, options, state)?)
    }
    /// Wraps an instance that was made in another way, such as `Instance::with_store`.
    ///
    /// # Errors
    ///
    /// If the instance lacks an export that the guest had when this program was built, has it with another type, or has a call in progress.
    pub fn from_instance(
        instance: wasm_jobs::Instance<()>,
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        wasm_jobs::__wrapper::check(&instance, &Self::EXPORTS[1..])?;
        ::core::result::Result::Ok(Self {
            functions_0: wasm_jobs::__wrapper::look_up(&instance, ["increment"])?,
            instance,
        })
    }
    /// Compiles the bytes in this program. That takes long: compile once, for all instances.
    ///
    /// # Errors
    ///
    /// If the engine does not support what the module needs.
    pub fn module(
        engine: &wasm_jobs::wasmtime::Engine,
    ) -> ::core::result::Result<wasm_jobs::wasmtime::Module, wasm_jobs::Error> {
        wasm_jobs::__wrapper::compile::<Self>(engine)
    }
    /// The instance. Through this, call a method of the instance that an export of the same name hides.
    #[must_use]
    pub fn instance(&self) -> &wasm_jobs::Instance<()> {
        &self.instance
    }
    /// Gives the instance, without its wrapper.
    #[must_use]
    pub fn into_instance(self) -> wasm_jobs::Instance<()> {
        self.instance
    }
    /// Reads the global `count`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub fn count(
        &self,
    ) -> ::core::result::Result<::core::primitive::i32, wasm_jobs::Error> {
        self.instance.store()?.get_global("count")
    }
    /// Sets the global `count`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub fn set_count(
        &self,
        value: ::core::primitive::i32,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("count", value)
    }
    /// The memory `memory`. No call can be made while its guard exists.
    ///
    /// # Errors
    ///
    /// Those of `Instance::memory`.
    pub fn memory(
        &self,
    ) -> ::core::result::Result<wasm_jobs::MemoryGuard<'_, ()>, wasm_jobs::Error> {
        self.instance.memory("memory")
    }
}
const _: () = {
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn by() {}
    #[allow(dead_code, reason = "no program needs all of it")]
    impl Counter {
        /// Calls the export `increment`, `(i32) -> (i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub fn increment(
            &self,
            by: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<::core::primitive::i32>,
            wasm_jobs::Error,
        > {
            self.functions_0[0].call((by,))
        }
    }
};
impl ::core::ops::Deref for Counter {
    type Target = wasm_jobs::Instance<()>;
    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}
impl ::core::fmt::Debug for Counter {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Counter").field("instance", &self.instance).finish()
    }
}
impl wasm_jobs::Embedded for Counter {
    const WASM: &'static [::core::primitive::u8] = b"\0asm\x01\0\0\0\x01\x06\x01`\x01\x7F\x01\x7F\x03\x02\x01\0\x05\x03\x01\0\x01\x06\x06\x01\x7F\x01A\0\x0B\x07\x1E\x03\tincrement\0\0\x05count\x03\0\x06memory\x02\0\n\r\x01\x0B\0#\0 \0j$\0#\0\x0B\0\x18\x04name\x02\x07\x01\0\x01\0\x02by\x07\x08\x01\0\x05count";
}
const _: &[::core::primitive::u8] = ::core::include_bytes!(
    "$PACKAGE/tests/guests/counter.wat"
);
