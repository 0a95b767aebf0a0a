/// A wrapper of the guest `tests/guests/adder.wasm`. It derefs to its `Instance`; a method of that with the name of an export is reached by [`instance`](Self::instance).
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
    /// `module` is the module, or the engine to compile it with out of the bytes that are in this program. Compiling takes long: for more than one instance, keep what [`module`](Self::module) gives.
    ///
    /// # Errors
    ///
    /// If the module does not have the exports that it had when this program was built, and as `Instance::new`.
    pub fn new(
        module: impl wasm_jobs::ModuleSource<Self>,
        linker: &wasm_jobs::wasmtime::Linker<()>,
        state: (),
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        let pre = wasm_jobs::__wrapper::link::<Self, _>(module, linker, Self::EXPORTS)?;
        Self::from_instance(wasm_jobs::Instance::new(&pre, state)?)
    }
    /// The same with options, and with the state as a function, which is asked for it again at each reset.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and as `Instance::with_options`.
    pub fn with_options(
        module: impl wasm_jobs::ModuleSource<Self>,
        linker: &wasm_jobs::wasmtime::Linker<()>,
        options: wasm_jobs::InstanceOptions,
        state: impl ::core::ops::Fn(
        ) -> () + ::core::marker::Send + ::core::marker::Sync + 'static,
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        let pre = wasm_jobs::__wrapper::link::<Self, _>(module, linker, Self::EXPORTS)?;
        Self::from_instance(wasm_jobs::Instance::with_options(&pre, options, state)?)
    }
    /// The wrapper of an instance that was made otherwise: by `Instance::with_store`, or from an `InstancePre` that was made once for many.
    ///
    /// # Errors
    ///
    /// If the instance does not have the exports that the guest had when this program was built, or has a call in progress.
    pub fn from_instance(
        instance: wasm_jobs::Instance<()>,
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        ::core::result::Result::Ok(Self {
            functions_0: wasm_jobs::__wrapper::look_up(&instance, ["add"])?,
            instance,
        })
    }
    /// Compiles the module out of the bytes that are in this program. That takes long, so keep it for all instances.
    ///
    /// # Errors
    ///
    /// If the engine does not support what the module needs.
    pub fn module(
        engine: &wasm_jobs::wasmtime::Engine,
    ) -> ::core::result::Result<wasm_jobs::wasmtime::Module, wasm_jobs::Error> {
        ::core::result::Result::Ok(
            wasm_jobs::wasmtime::Module::new(
                engine,
                <Self as wasm_jobs::Embedded>::WASM,
            )?,
        )
    }
    /// The instance, with the methods that exports have the names of.
    #[must_use]
    pub fn instance(&self) -> &wasm_jobs::Instance<()> {
        &self.instance
    }
    /// The instance, without its wrapper.
    #[must_use]
    pub fn into_instance(self) -> wasm_jobs::Instance<()> {
        self.instance
    }
    /// Calls the export `add`, `(i32, i32) -> (i32)`.
    ///
    /// # Errors
    ///
    /// As `Func::call`.
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
