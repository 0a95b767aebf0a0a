macro_rules! wrapper {
    ($($declaration:tt)*) => {
        wasm_jobs_macros::wrapper! { crate => $($declaration)* }
    };
}

wrapper! {
    pub struct Creature in "/there/is/no/creature.wasm";
}

fn main() {}
