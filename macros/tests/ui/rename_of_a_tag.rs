macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { crate => $($declaration)* }
    };
}

wrapper! {
    pub struct Creature in "tests/ui/guests/left_out.wat" {
        rename: { "thrown" => catch },
    }
}

fn main() {}
