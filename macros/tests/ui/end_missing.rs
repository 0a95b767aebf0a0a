macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { crate => $($declaration)* }
    };
}

wrapper! {
    pub struct Creature<u64> in "tests/guests/counter.wat"
}

fn main() {}
