//! The interfaces that WASI 0.2 and 0.3 have in common. They have the same names in the bindings of both, and are different functions.

/// Defines them in `$linker`, for stores of `$state`. The modules `random`, `cli` and `filesystem` are those of the caller.
macro_rules! define_common {
    ($linker:ident, $state:ident) => {
        random::random::add_to_linker::<$state, WasiRandom>($linker, |s| s.wasi().p1().random())?;
        random::insecure::add_to_linker::<$state, WasiRandom>($linker, |s| s.wasi().p1().random())?;
        random::insecure_seed::add_to_linker::<$state, WasiRandom>($linker, |s| {
            s.wasi().p1().random()
        })?;

        cli::environment::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::exit::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::stdin::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::stdout::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::stderr::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::terminal_input::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::terminal_output::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::terminal_stdin::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::terminal_stdout::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;
        cli::terminal_stderr::add_to_linker::<$state, WasiCli>($linker, |s| s.wasi().p1().cli())?;

        filesystem::preopens::add_to_linker::<$state, WasiFilesystem>($linker, |s| {
            s.wasi().p1().filesystem()
        })?;
        filesystem::types::add_to_linker::<$state, WasiFilesystem>($linker, |s| {
            s.wasi().p1().filesystem()
        })?;
    };
}

pub(super) use define_common;
