/// A wrapper of the guest `tests/guests/everything.wat`. It derefs to its `Instance`. If an export hides a method of the instance, call that method through [`instance`](Self::instance).
///
/// These exports have no method. Reach them through `store()`:
///
/// - `tag`: it is a tag
/// - `a_funcref`: it is a global of type `funcref`
/// - `a_externref`: it is a global of type `externref`
/// - `a_point`: it is a global of a reference type that the module defines
/// - `takes_any`: it has a parameter of type `anyref`
/// - `gives_point`: it has a result of a reference type that the module defines
/// - `takes_func`: it has a parameter of type `(ref func)`
/// - `too_many`: it has 18 parameters, and a typed function has at most 17
/// - `too_many_results`: it has 18 results, and a typed function has at most 17
#[allow(non_snake_case, reason = "as the guest has it")]
pub(crate) struct Everything {
    instance: wasm_jobs::Instance<Vec<World>>,
    functions_0: [wasm_jobs::Func<
        (::core::primitive::i32,),
        ::core::primitive::i64,
        Vec<World>,
    >; 1],
    functions_1: [wasm_jobs::Func<(), (), Vec<World>>; 13],
    functions_2: [wasm_jobs::Func<
        (::core::primitive::i32,),
        ::core::primitive::i32,
        Vec<World>,
    >; 2],
    functions_3: [wasm_jobs::Func<
        (::core::primitive::f64, ::core::primitive::f32),
        (),
        Vec<World>,
    >; 1],
    functions_4: [wasm_jobs::Func<
        (::core::primitive::i32, ::core::primitive::i32),
        (::core::primitive::i32, ::core::primitive::i32),
        Vec<World>,
    >; 1],
    functions_5: [wasm_jobs::Func<
        (wasm_jobs::wasmtime::V128,),
        wasm_jobs::wasmtime::V128,
        Vec<World>,
    >; 1],
    functions_6: [wasm_jobs::Func<
        (
            ::core::option::Option<wasm_jobs::wasmtime::Func>,
            ::core::option::Option<
                wasm_jobs::wasmtime::OwnedRooted<wasm_jobs::wasmtime::ExternRef>,
            >,
        ),
        (
            ::core::option::Option<
                wasm_jobs::wasmtime::OwnedRooted<wasm_jobs::wasmtime::ExternRef>,
            >,
            ::core::option::Option<wasm_jobs::wasmtime::Func>,
        ),
        Vec<World>,
    >; 1],
    functions_7: [wasm_jobs::Func<
        (
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
        ),
        (),
        Vec<World>,
    >; 1],
    functions_8: [wasm_jobs::Func<
        (
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
        ),
        (
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
        ),
        Vec<World>,
    >; 1],
    functions_9: [wasm_jobs::Func<
        (::core::primitive::i32, ::core::primitive::i32),
        (),
        Vec<World>,
    >; 1],
    functions_10: [wasm_jobs::Func<
        (
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
            ::core::primitive::i32,
        ),
        (),
        Vec<World>,
    >; 1],
    functions_11: [wasm_jobs::Func<
        (::core::primitive::i32, ::core::primitive::i32, ::core::primitive::i32),
        (),
        Vec<World>,
    >; 1],
    functions_12: [wasm_jobs::Func<(::core::primitive::i64,), (), Vec<World>>; 1],
    functions_13: [wasm_jobs::Func<(), ::core::primitive::i32, Vec<World>>; 1],
}
#[allow(dead_code, reason = "no program needs all of it")]
#[allow(non_snake_case, reason = "as the guest has it")]
impl Everything {
    const EXPORTS: &'static [(
        &'static ::core::primitive::str,
        &'static ::core::primitive::str,
    )] = &[
        ("reexported", "function (i32) -> (i64)"),
        ("nothing", "function () -> ()"),
        ("identity", "function (i32) -> (i32)"),
        ("two", "function (f64, f32) -> ()"),
        ("divide", "function (i32, i32) -> (i32, i32)"),
        ("vector", "function (v128) -> (v128)"),
        ("references", "function (funcref, externref) -> (externref, funcref)"),
        ("many", "function (i32, i32, i32, i32, i32, i32, i32) -> ()"),
        (
            "most",
            "function (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32)",
        ),
        ("with-dash.and#more", "function (i32, i32) -> ()"),
        ("", "function (i32, i32, i32, i32) -> ()"),
        ("2d", "function (i32, i32, i32) -> ()"),
        ("self", "function () -> ()"),
        ("gen", "function () -> ()"),
        ("---", "function () -> ()"),
        ("ünder\"`", "function () -> ()"),
        ("new", "function () -> ()"),
        ("instance", "function () -> ()"),
        ("EXPORTS", "function () -> ()"),
        ("takesFrames", "function (i64) -> ()"),
        ("store", "function () -> ()"),
        ("deref", "function () -> ()"),
        ("eq", "function (i32) -> (i32)"),
        ("from_file", "function () -> ()"),
        ("is_done", "function () -> (i32)"),
        ("renamed", "function () -> ()"),
        ("a keyword", "function () -> ()"),
        ("type", "global mut i32"),
        ("i32", "global i32"),
        ("i64", "global i64"),
        ("f32", "global f32"),
        ("f64", "global f64"),
        ("v128", "global v128"),
        ("mut-i32", "global mut i32"),
        ("mut-i64", "global mut i64"),
        ("mut-f32", "global mut f32"),
        ("mut-f64", "global mut f64"),
        ("mut-v128", "global mut v128"),
        ("base", "global i32"),
        ("memory", "memory"),
        ("memory64", "memory"),
        ("shared", "shared memory"),
        ("table", "table"),
        ("externs", "table"),
    ];
    /// Instantiates the guest, in a store with this state.
    ///
    /// `module` is the guest's module; or an engine, which then compiles the bytes in this program. Compiling takes long: for several instances, compile once, with [`module`](Self::module).
    ///
    /// # Errors
    ///
    /// If the module lacks an export that the guest had when this program was built, or has it with another type; and those of `Instance::new`.
    pub(crate) fn new(
        module: impl wasm_jobs::ModuleSource<Self>,
        linker: &wasm_jobs::wasmtime::Linker<Vec<World>>,
        state: Vec<World>,
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
    pub(crate) fn with_options(
        module: impl wasm_jobs::ModuleSource<Self>,
        linker: &wasm_jobs::wasmtime::Linker<Vec<World>>,
        options: wasm_jobs::InstanceOptions,
        state: impl ::core::ops::Fn(
        ) -> Vec<World> + ::core::marker::Send + ::core::marker::Sync + 'static,
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
    pub(crate) fn from_instance(
        instance: wasm_jobs::Instance<Vec<World>>,
    ) -> ::core::result::Result<Self, wasm_jobs::Error> {
        wasm_jobs::__wrapper::check(&instance, &Self::EXPORTS[27..])?;
        ::core::result::Result::Ok(Self {
            functions_0: wasm_jobs::__wrapper::look_up(&instance, ["reexported"])?,
            functions_1: wasm_jobs::__wrapper::look_up(
                &instance,
                [
                    "nothing",
                    "self",
                    "gen",
                    "---",
                    "ünder\"`",
                    "new",
                    "instance",
                    "EXPORTS",
                    "store",
                    "deref",
                    "from_file",
                    "renamed",
                    "a keyword",
                ],
            )?,
            functions_2: wasm_jobs::__wrapper::look_up(&instance, ["identity", "eq"])?,
            functions_3: wasm_jobs::__wrapper::look_up(&instance, ["two"])?,
            functions_4: wasm_jobs::__wrapper::look_up(&instance, ["divide"])?,
            functions_5: wasm_jobs::__wrapper::look_up(&instance, ["vector"])?,
            functions_6: wasm_jobs::__wrapper::look_up(&instance, ["references"])?,
            functions_7: wasm_jobs::__wrapper::look_up(&instance, ["many"])?,
            functions_8: wasm_jobs::__wrapper::look_up(&instance, ["most"])?,
            functions_9: wasm_jobs::__wrapper::look_up(
                &instance,
                ["with-dash.and#more"],
            )?,
            functions_10: wasm_jobs::__wrapper::look_up(&instance, [""])?,
            functions_11: wasm_jobs::__wrapper::look_up(&instance, ["2d"])?,
            functions_12: wasm_jobs::__wrapper::look_up(&instance, ["takesFrames"])?,
            functions_13: wasm_jobs::__wrapper::look_up(&instance, ["is_done"])?,
            instance,
        })
    }
    /// Compiles the bytes in this program. That takes long: compile once, for all instances.
    ///
    /// # Errors
    ///
    /// If the engine does not support what the module needs.
    pub(crate) fn module(
        engine: &wasm_jobs::wasmtime::Engine,
    ) -> ::core::result::Result<wasm_jobs::wasmtime::Module, wasm_jobs::Error> {
        wasm_jobs::__wrapper::compile::<Self>(engine)
    }
    /// The instance. Through this, call a method of the instance that an export of the same name hides.
    #[must_use]
    pub(crate) fn instance(&self) -> &wasm_jobs::Instance<Vec<World>> {
        &self.instance
    }
    /// Gives the instance, without its wrapper.
    #[must_use]
    pub(crate) fn into_instance(self) -> wasm_jobs::Instance<Vec<World>> {
        self.instance
    }
    /// Reads the global `type`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn type_(
        &self,
    ) -> ::core::result::Result<::core::primitive::i32, wasm_jobs::Error> {
        self.instance.store()?.get_global("type")
    }
    /// Sets the global `type`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn set_type_(
        &self,
        value: ::core::primitive::i32,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("type", value)
    }
    /// Reads the global `i32`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn i32(
        &self,
    ) -> ::core::result::Result<::core::primitive::i32, wasm_jobs::Error> {
        self.instance.store()?.get_global("i32")
    }
    /// Reads the global `i64`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn i64(
        &self,
    ) -> ::core::result::Result<::core::primitive::i64, wasm_jobs::Error> {
        self.instance.store()?.get_global("i64")
    }
    /// Reads the global `f32`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn f32(
        &self,
    ) -> ::core::result::Result<::core::primitive::f32, wasm_jobs::Error> {
        self.instance.store()?.get_global("f32")
    }
    /// Reads the global `f64`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn f64(
        &self,
    ) -> ::core::result::Result<::core::primitive::f64, wasm_jobs::Error> {
        self.instance.store()?.get_global("f64")
    }
    /// Reads the global `v128`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn v128(
        &self,
    ) -> ::core::result::Result<wasm_jobs::wasmtime::V128, wasm_jobs::Error> {
        self.instance.store()?.get_global("v128")
    }
    /// Reads the global `mut-i32`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn mut_i32(
        &self,
    ) -> ::core::result::Result<::core::primitive::i32, wasm_jobs::Error> {
        self.instance.store()?.get_global("mut-i32")
    }
    /// Sets the global `mut-i32`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn set_mut_i32(
        &self,
        value: ::core::primitive::i32,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("mut-i32", value)
    }
    /// Reads the global `mut-i64`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn mut_i64(
        &self,
    ) -> ::core::result::Result<::core::primitive::i64, wasm_jobs::Error> {
        self.instance.store()?.get_global("mut-i64")
    }
    /// Sets the global `mut-i64`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn set_mut_i64(
        &self,
        value: ::core::primitive::i64,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("mut-i64", value)
    }
    /// Reads the global `mut-f32`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn mut_f32(
        &self,
    ) -> ::core::result::Result<::core::primitive::f32, wasm_jobs::Error> {
        self.instance.store()?.get_global("mut-f32")
    }
    /// Sets the global `mut-f32`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn set_mut_f32(
        &self,
        value: ::core::primitive::f32,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("mut-f32", value)
    }
    /// Reads the global `mut-f64`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn mut_f64(
        &self,
    ) -> ::core::result::Result<::core::primitive::f64, wasm_jobs::Error> {
        self.instance.store()?.get_global("mut-f64")
    }
    /// Sets the global `mut-f64`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn set_mut_f64(
        &self,
        value: ::core::primitive::f64,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("mut-f64", value)
    }
    /// Reads the global `mut-v128`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn mut_v128(
        &self,
    ) -> ::core::result::Result<wasm_jobs::wasmtime::V128, wasm_jobs::Error> {
        self.instance.store()?.get_global("mut-v128")
    }
    /// Sets the global `mut-v128`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn set_mut_v128(
        &self,
        value: wasm_jobs::wasmtime::V128,
    ) -> ::core::result::Result<(), wasm_jobs::Error> {
        self.instance.store()?.set_global("mut-v128", value)
    }
    /// Reads the global `base`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn base(
        &self,
    ) -> ::core::result::Result<::core::primitive::i32, wasm_jobs::Error> {
        self.instance.store()?.get_global("base")
    }
    /// The memory `memory`. No call can be made while its guard exists.
    ///
    /// # Errors
    ///
    /// Those of `Instance::memory`.
    pub(crate) fn memory(
        &self,
    ) -> ::core::result::Result<
        wasm_jobs::MemoryGuard<'_, Vec<World>>,
        wasm_jobs::Error,
    > {
        self.instance.memory("memory")
    }
    /// The memory `memory64`. No call can be made while its guard exists.
    ///
    /// # Errors
    ///
    /// Those of `Instance::memory`.
    pub(crate) fn memory64(
        &self,
    ) -> ::core::result::Result<
        wasm_jobs::MemoryGuard<'_, Vec<World>>,
        wasm_jobs::Error,
    > {
        self.instance.memory("memory64")
    }
    /// The shared memory `shared`.
    ///
    /// # Errors
    ///
    /// Those of `Instance::store`.
    pub(crate) fn shared(
        &self,
    ) -> ::core::result::Result<wasm_jobs::wasmtime::SharedMemory, wasm_jobs::Error> {
        self.instance.store()?.shared_memory("shared")
    }
    /// The table `table`. No call can be made while its guard exists.
    ///
    /// # Errors
    ///
    /// Those of `Instance::table`.
    pub(crate) fn table(
        &self,
    ) -> ::core::result::Result<
        wasm_jobs::TableGuard<'_, Vec<World>>,
        wasm_jobs::Error,
    > {
        self.instance.table("table")
    }
    /// The table `externs`. No call can be made while its guard exists.
    ///
    /// # Errors
    ///
    /// Those of `Instance::table`.
    pub(crate) fn externs(
        &self,
    ) -> ::core::result::Result<
        wasm_jobs::TableGuard<'_, Vec<World>>,
        wasm_jobs::Error,
    > {
        self.instance.table("externs")
    }
}
const _: () = {
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn _2d() {}
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
    const fn byFrames() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn move_() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn of() {}
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
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p10() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p11() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p12() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p13() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p14() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p15() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p16() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p2() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p22() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p3() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p4() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p5() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p6() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p7() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p8() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn p9() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn self_() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn v() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn with_dash() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn with_dash1() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn x() {}
    #[allow(
        dead_code,
        non_snake_case,
        reason = "so that no item of the host is taken for a parameter"
    )]
    const fn x1() {}
    #[allow(dead_code, reason = "no program needs all of it")]
    #[allow(non_snake_case, reason = "as the guest has it")]
    impl Everything {
        /// Calls the export `reexported`, `(i32) -> (i64)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn reexported(
            &self,
            p0: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<::core::primitive::i64>,
            wasm_jobs::Error,
        > {
            self.functions_0[0].call((p0,))
        }
        /// Calls the export `nothing`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn nothing(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[0].call(())
        }
        /// Calls the export `identity`, `(i32) -> (i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn identity(
            &self,
            p0: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<::core::primitive::i32>,
            wasm_jobs::Error,
        > {
            self.functions_2[0].call((p0,))
        }
        /// Calls the export `two`, `(f64, f32) -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn two(
            &self,
            p0: ::core::primitive::f64,
            p1: ::core::primitive::f32,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_3[0].call((p0, p1))
        }
        /// Calls the export `divide`, `(i32, i32) -> (i32, i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn divide(
            &self,
            of: ::core::primitive::i32,
            by: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<(::core::primitive::i32, ::core::primitive::i32)>,
            wasm_jobs::Error,
        > {
            self.functions_4[0].call((of, by))
        }
        /// Calls the export `vector`, `(v128) -> (v128)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn vector(
            &self,
            v: wasm_jobs::wasmtime::V128,
        ) -> ::core::result::Result<
            wasm_jobs::Future<wasm_jobs::wasmtime::V128>,
            wasm_jobs::Error,
        > {
            self.functions_5[0].call((v,))
        }
        /// Calls the export `references`, `(funcref, externref) -> (externref, funcref)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn references(
            &self,
            p0: ::core::option::Option<wasm_jobs::wasmtime::Func>,
            p1: ::core::option::Option<
                wasm_jobs::wasmtime::OwnedRooted<wasm_jobs::wasmtime::ExternRef>,
            >,
        ) -> ::core::result::Result<
            wasm_jobs::Future<
                (
                    ::core::option::Option<
                        wasm_jobs::wasmtime::OwnedRooted<wasm_jobs::wasmtime::ExternRef>,
                    >,
                    ::core::option::Option<wasm_jobs::wasmtime::Func>,
                ),
            >,
            wasm_jobs::Error,
        > {
            self.functions_6[0].call((p0, p1))
        }
        /// Calls the export `many`, `(i32, i32, i32, i32, i32, i32, i32) -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn many(
            &self,
            p0: ::core::primitive::i32,
            p1: ::core::primitive::i32,
            p2: ::core::primitive::i32,
            p3: ::core::primitive::i32,
            p4: ::core::primitive::i32,
            p5: ::core::primitive::i32,
            p6: ::core::primitive::i32,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_7[0].call((p0, p1, p2, p3, p4, p5, p6))
        }
        /// Calls the export `most`, `(i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32) -> (i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn most(
            &self,
            p0: ::core::primitive::i32,
            p1: ::core::primitive::i32,
            p2: ::core::primitive::i32,
            p3: ::core::primitive::i32,
            p4: ::core::primitive::i32,
            p5: ::core::primitive::i32,
            p6: ::core::primitive::i32,
            p7: ::core::primitive::i32,
            p8: ::core::primitive::i32,
            p9: ::core::primitive::i32,
            p10: ::core::primitive::i32,
            p11: ::core::primitive::i32,
            p12: ::core::primitive::i32,
            p13: ::core::primitive::i32,
            p14: ::core::primitive::i32,
            p15: ::core::primitive::i32,
            p16: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<
                (
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                    ::core::primitive::i32,
                ),
            >,
            wasm_jobs::Error,
        > {
            self.functions_8[0]
                .call((
                    p0,
                    p1,
                    p2,
                    p3,
                    p4,
                    p5,
                    p6,
                    p7,
                    p8,
                    p9,
                    p10,
                    p11,
                    p12,
                    p13,
                    p14,
                    p15,
                    p16,
                ))
        }
        /// Calls the export `with-dash.and#more`, `(i32, i32) -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn with_dash_and_more(
            &self,
            with_dash: ::core::primitive::i32,
            with_dash1: ::core::primitive::i32,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_9[0].call((with_dash, with_dash1))
        }
        /// Calls the export `` "" ``, `(i32, i32, i32, i32) -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn __(
            &self,
            self_: ::core::primitive::i32,
            move_: ::core::primitive::i32,
            x: ::core::primitive::i32,
            x1: ::core::primitive::i32,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_10[0].call((self_, move_, x, x1))
        }
        /// Calls the export `2d`, `(i32, i32, i32) -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn _2d(
            &self,
            _2d: ::core::primitive::i32,
            p2: ::core::primitive::i32,
            p22: ::core::primitive::i32,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_11[0].call((_2d, p2, p22))
        }
        /// Calls the export `self`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn self_(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[1].call(())
        }
        /// Calls the export `gen`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn gen_(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[2].call(())
        }
        /// Calls the export `---`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn ___(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[3].call(())
        }
        /// Calls the export `` "ünder\\\"`" ``, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn _nder__(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[4].call(())
        }
        /// Calls the export `new`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn new_(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[5].call(())
        }
        /// Calls the export `instance`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn instance_(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[6].call(())
        }
        /// Calls the export `EXPORTS`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn EXPORTS_(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[7].call(())
        }
        /// Calls the export `takesFrames`, `(i64) -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn takesFrames(
            &self,
            byFrames: ::core::primitive::i64,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_12[0].call((byFrames,))
        }
        /// Calls the export `store`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn store(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[8].call(())
        }
        /// Calls the export `deref`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn deref(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[9].call(())
        }
        /// Calls the export `eq`, `(i32) -> (i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn eq(
            &self,
            p0: ::core::primitive::i32,
        ) -> ::core::result::Result<
            wasm_jobs::Future<::core::primitive::i32>,
            wasm_jobs::Error,
        > {
            self.functions_2[1].call((p0,))
        }
        /// Calls the export `from_file`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn from_file(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[10].call(())
        }
        /// Calls the export `is_done`, `() -> (i32)`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn is_done(
            &self,
        ) -> ::core::result::Result<
            wasm_jobs::Future<::core::primitive::i32>,
            wasm_jobs::Error,
        > {
            self.functions_13[0].call(())
        }
        /// Calls the export `renamed`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn another_name(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[11].call(())
        }
        /// Calls the export `a keyword`, `() -> ()`.
        ///
        /// # Errors
        ///
        /// Those of `Func::call`.
        pub(crate) fn r#loop(
            &self,
        ) -> ::core::result::Result<wasm_jobs::Future<()>, wasm_jobs::Error> {
            self.functions_1[12].call(())
        }
    }
};
impl ::core::ops::Deref for Everything {
    type Target = wasm_jobs::Instance<Vec<World>>;
    fn deref(&self) -> &Self::Target {
        &self.instance
    }
}
impl ::core::fmt::Debug for Everything {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        f.debug_struct("Everything").field("instance", &self.instance).finish()
    }
}
impl wasm_jobs::Embedded for Everything {
    const WASM: &'static [::core::primitive::u8] = b"\0asm\x01\0\0\0\x01\xB6\x01\x15_\x01\x7F\0N\x02`\x01\x7F\x01\x7F`\x02|}\0`\x01~\0`\x01\x7F\x01~`\x01\x7F\0`\0\0`\x02\x7F\x7F\x02\x7F\x7F`\x01{\x01{`\x02po\x02op`\x07\x7F\x7F\x7F\x7F\x7F\x7F\x7F\0`\x11\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x11\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F`\x02\x7F\x7F\0`\x04\x7F\x7F\x7F\x7F\0`\x03\x7F\x7F\x7F\0`\x01\x7F\x01\x7F`\0\x01\x7F`\x01n\0`\0\x01c\0`\x01dp\0`\x12\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\0`\0\x12\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x7F\x02;\x04\x03env\x08imported\0\x03\x03env\nreexported\0\x04\x03env\x04base\x03\x7F\0\x03env\x06thrown\x04\0\x05\x03 \x1F\x06\x01\x02\x07\x08\t\n\x0B\x0C\r\x0E\x06\x06\x06\x06\x06\x06\x06\x03\x06\x06\x0F\x06\x10\x06\x06\x11\x12\x13\x14\x15\x04\x07\x02p\0\x01o\0\x01\x05\x08\x03\0\x01\x04\x01\x03\x01\x01\r\x03\x01\0\x05\x06|\x0E\x7F\x01A\0\x0B\x7F\0A\x01\x0B~\0B\x01\x0B}\0C\0\0\x80?\x0B|\0D\0\0\0\0\0\0\xF0?\x0B{\0\xFD\x0C\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0B\x7F\x01A\x01\x0B~\x01B\x01\x0B}\x01C\0\0\x80?\x0B|\x01D\0\0\0\0\0\0\xF0?\x0B{\x01\xFD\x0C\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0Bp\0\xD0p\x0Bo\x01\xD0o\x0Bc\0\0\xD0\0\x0B\x07\xF9\x035\nreexported\0\x01\x07nothing\0\x02\x08identity\0\x03\x03two\0\x04\x06divide\0\x05\x06vector\0\x06\nreferences\0\x07\x04many\0\x08\x04most\0\t\x12with-dash.and#more\0\n\0\0\x0B\x022d\0\x0C\x04self\0\r\x03gen\0\x0E\x03---\0\x0F\x08\xC3\xBCnder\"`\0\x10\x03new\0\x11\x08instance\0\x12\x07EXPORTS\0\x13\x0BtakesFrames\0\x14\x05store\0\x15\x05deref\0\x16\x02eq\0\x17\tfrom_file\0\x18\x07is_done\0\x19\x07renamed\0\x1A\ta keyword\0\x1B\x04type\x03\x01\x03i32\x03\x02\x03i64\x03\x03\x03f32\x03\x04\x03f64\x03\x05\x04v128\x03\x06\x07mut-i32\x03\x07\x07mut-i64\x03\x08\x07mut-f32\x03\t\x07mut-f64\x03\n\x08mut-v128\x03\x0B\x04base\x03\0\x06memory\x02\0\x08memory64\x02\x01\x06shared\x02\x02\x05table\x01\0\x07externs\x01\x01\x03tag\x04\x01\ta_funcref\x03\x0C\x0Ba_externref\x03\r\x07a_point\x03\x0E\ttakes_any\0\x1C\x0Bgives_point\0\x1D\ntakes_func\0\x1E\x08too_many\0\x1F\x10too_many_results\0 \ni\x1F\x02\0\x0B\x04\0 \0\x0B\x02\0\x0B\x03\0\0\x0B\x04\0 \0\x0B\x03\0\0\x0B\x02\0\x0B\x03\0\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x03\0\0\x0B\x02\0\x0B\x03\0\0\x0B\x02\0\x0B\x02\0\x0B\x02\0\x0B\x03\0\0\x0B\x02\0\x0B\x02\0\x0B\x03\0\0\x0B\0\x84\x01\x04name\x01\x0B\x01\0\x08imported\x02S\x06\x05\x02\0\x02of\x01\x02by\x06\x01\0\x01v\n\x02\0\twith-dash\x01\twith_dash\x0B\x04\0\x04self\x01\x04move\x02\x01x\x03\x02x1\x0C\x02\0\x022d\x01\x02p2\x14\x01\0\x08byFrames\x04\x12\x03\0\x05point\x01\x03one\x02\x03two\x07\x07\x01\0\x04base";
}
const _: &[::core::primitive::u8] = ::core::include_bytes!(
    "$PACKAGE/tests/guests/everything.wat"
);
