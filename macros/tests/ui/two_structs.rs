macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { crate => $($declaration)* }
    };
}

wrapper! {
    pub struct One in "tests/guests/counter.wat";
    pub struct Two in "tests/guests/counter.wat";
}

fn main() {}
