macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { crate => $($declaration)* }
    };
}

wrapper! {
    struct Counter in "tests/guests/counter.wat" { rename: { increment => "add" } }
}

fn main() {}
