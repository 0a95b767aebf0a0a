/// A wrapper of the guest `tests/guests/divider.wat`. It derefs to its `Instance`. If an export hides a method of the instance, call that method through [`instance`](Self::instance).
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
    /// `module` is the guest's module.
    ///
    /// # Errors
    ///
    /// If the module lacks an export that the guest had when this program was built, or has it with another type; and those of `Instance::new`.
    fn new(
        module: impl crate::ModuleSource<Self>,
        linker: &crate::wasmtime::Linker<World>,
        state: World,
    ) -> ::core::result::Result<Self, crate::Error> {
        let pre = crate::__wrapper::link::<
            Self,
            _,
        >(module, linker, Self::EXPORTS, false)?;
        Self::from_instance(crate::Instance::new(&pre, state)?)
    }
    /// Instantiates the guest with options. `state` makes the state of the store, at once and again at each reset.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new) and of `Instance::with_options`.
    fn with_options(
        module: impl crate::ModuleSource<Self>,
        linker: &crate::wasmtime::Linker<World>,
        options: crate::InstanceOptions,
        state: impl ::core::ops::Fn(
        ) -> World + ::core::marker::Send + ::core::marker::Sync + 'static,
    ) -> ::core::result::Result<Self, crate::Error> {
        let pre = crate::__wrapper::link::<
            Self,
            _,
        >(module, linker, Self::EXPORTS, false)?;
        Self::from_instance(crate::Instance::with_options(&pre, options, state)?)
    }
    /// Wraps an instance that was made in another way, such as `Instance::with_store`.
    ///
    /// # Errors
    ///
    /// If the instance lacks an export that the guest had when this program was built, has it with another type, or has a call in progress.
    fn from_instance(
        instance: crate::Instance<World>,
    ) -> ::core::result::Result<Self, crate::Error> {
        ::core::result::Result::Ok(Self {
            functions_0: crate::__wrapper::look_up(&instance, ["divide"])?,
            functions_1: crate::__wrapper::look_up(&instance, ["check"])?,
            instance,
        })
    }
    /// The instance. Through this, call a method of the instance that an export of the same name hides.
    #[must_use]
    fn instance(&self) -> &crate::Instance<World> {
        &self.instance
    }
    /// Gives the instance, without its wrapper.
    #[must_use]
    fn into_instance(self) -> crate::Instance<World> {
        self.instance
    }
}
const _: () = {
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn by() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn of() {}
    #[allow(dead_code, reason = "no program needs all of it")]
    impl Divider {
        /// Calls the export `divide`, `(i32, i32) -> (i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::try_call`.
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
        /// Those of `Func::try_call`.
        fn check(
            &self,
        ) -> ::core::result::Result<
            crate::Future<::core::result::Result<(), crate::Trap>>,
            crate::Error,
        > {
            self.functions_1[0].try_call(())
        }
    }
};
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
