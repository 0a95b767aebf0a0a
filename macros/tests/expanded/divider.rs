/// A wrapper of the guest `tests/guests/divider.wat`. It derefs to its `Instance`; a method of that with the name of an export is reached by [`instance`](Self::instance).
struct Divider {
    instance: crate::Instance<World>,
    functions_0: [crate::Func<
        (::core::primitive::i32, ::core::primitive::i32),
        ::core::primitive::i32,
        World,
    >; 1],
    functions_1: [crate::Func<(), (), World>; 1],
}
#[allow(dead_code, reason = "no program needs all of it")]
impl Divider {
    const EXPORTS: &'static [(
        &'static ::core::primitive::str,
        &'static ::core::primitive::str,
    )] = &[("divide", "function (i32, i32) -> (i32)"), ("check", "function () -> ()")];
    /// Instantiates the guest, in a store with this state.
    ///
    /// `module` is the guest's module, from wherever the program has it.
    ///
    /// # Errors
    ///
    /// If the module does not have the exports that it had when this program was built, and as `Instance::new`.
    fn new(
        module: impl crate::ModuleSource<Self>,
        linker: &crate::wasmtime::Linker<World>,
        state: World,
    ) -> ::core::result::Result<Self, crate::Error> {
        let pre = crate::__wrapper::link::<Self, _>(module, linker, Self::EXPORTS)?;
        Self::from_instance(crate::Instance::new(&pre, state)?)
    }
    /// The same with options, and with the state as a function, which is asked for it again at each reset.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and as `Instance::with_options`.
    fn with_options(
        module: impl crate::ModuleSource<Self>,
        linker: &crate::wasmtime::Linker<World>,
        options: crate::InstanceOptions,
        state: impl ::core::ops::Fn(
        ) -> World + ::core::marker::Send + ::core::marker::Sync + 'static,
    ) -> ::core::result::Result<Self, crate::Error> {
        let pre = crate::__wrapper::link::<Self, _>(module, linker, Self::EXPORTS)?;
        Self::from_instance(crate::Instance::with_options(&pre, options, state)?)
    }
    /// The wrapper of an instance that was made otherwise: by `Instance::with_store`, or from an `InstancePre` that was made once for many.
    ///
    /// # Errors
    ///
    /// If the instance does not have the exports that the guest had when this program was built, or has a call in progress.
    fn from_instance(
        instance: crate::Instance<World>,
    ) -> ::core::result::Result<Self, crate::Error> {
        ::core::result::Result::Ok(Self {
            functions_0: crate::__wrapper::look_up(&instance, ["divide"])?,
            functions_1: crate::__wrapper::look_up(&instance, ["check"])?,
            instance,
        })
    }
    /// The instance, with the methods that exports have the names of.
    #[must_use]
    fn instance(&self) -> &crate::Instance<World> {
        &self.instance
    }
    /// The instance, without its wrapper.
    #[must_use]
    fn into_instance(self) -> crate::Instance<World> {
        self.instance
    }
    /// Calls the export `divide`, `(i32, i32) -> (i32)`.
    ///
    /// # Errors
    ///
    /// As `Func::try_call`.
    fn divide(
        &self,
        of: ::core::primitive::i32,
        by: ::core::primitive::i32,
    ) -> ::core::result::Result<
        crate::Future<::core::result::Result<::core::primitive::i32, crate::Trap>>,
        crate::Error,
    > {
        self.functions_0[0].try_call((of, by))
    }
    /// Calls the export `check`, `() -> ()`.
    ///
    /// # Errors
    ///
    /// As `Func::try_call`.
    fn check(
        &self,
    ) -> ::core::result::Result<
        crate::Future<::core::result::Result<(), crate::Trap>>,
        crate::Error,
    > {
        self.functions_1[0].try_call(())
    }
}
impl ::core::ops::Deref for Divider {
    type Target = crate::Instance<World>;
    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}
impl ::core::fmt::Debug for Divider {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Divider").field("instance", &self.instance).finish()
    }
}
const _: &[::core::primitive::u8] = ::core::include_bytes!(
    "$PACKAGE/tests/guests/divider.wat"
);
