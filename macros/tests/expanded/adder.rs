/// A wrapper of the guest `tests/guests/adder.wasm`. It derefs to its `Instance`. If an export hides a method of the instance, call that method through [`instance`](Self::instance).
pub struct Adder {
    instance: wasm_jobs::Instance<()>,
    functions_0: [wasm_jobs::Func<
        (::core::primitive::i32, ::core::primitive::i32),
        ::core::primitive::i32,
        (),
    >; 1],
}
#[allow(dead_code, reason = "no program needs all of it")]
impl Adder {
    const EXPORTS: &'static [(
        &'static ::core::primitive::str,
        &'static ::core::primitive::str,
    )] = &[("add", "function (i32, i32) -> (i32)")];
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
        ::core::result::Result::Ok(Self {
            functions_0: wasm_jobs::__wrapper::look_up(&instance, ["add"])?,
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
}
const _: () = {
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p0() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p1() {}
    #[allow(dead_code, reason = "no program needs all of it")]
    impl Adder {
        /// Calls the export `add`, `(i32, i32) -> (i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub fn add(
            &self,
            p0: ::core::primitive::i32,
            p1: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<::core::primitive::i32>,
            wasm_jobs::Error,
        > {
            self.functions_0[0].call((p0, p1))
        }
    }
};
impl ::core::ops::Deref for Adder {
    type Target = wasm_jobs::Instance<()>;
    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}
impl ::core::fmt::Debug for Adder {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Adder").field("instance", &self.instance).finish()
    }
}
impl wasm_jobs::Embedded for Adder {
    const WASM: &'static [::core::primitive::u8] = ::core::include_bytes!(
        "$PACKAGE/tests/guests/adder.wasm"
    );
}
