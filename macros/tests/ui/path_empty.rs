macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { crate => $($declaration)* }
    };
}

wrapper! {
    struct Counter in "";
}

fn main() {}
