//! Instances, and calls of one instance after the other.

use crate::support::{Drops, guests};
use wasm_jobs::explore::{self, World};
use wasm_jobs::{EngineOptions, Error};

#[test]
fn an_instance_that_is_dropped_is_gone_at_once() {
    let pre = guests("(module)", &EngineOptions::default().pooling(1), |_| {});
    explore::dfs(1).run(|world: &World| -> Result<(), Error> {
        let drops = Drops::default();
        for round in 1..=3 {
            let guard = drops.clone();
            drop(world.instance(&pre, move || guard.guard())?);
            assert_eq!(drops.get(), round);
        }
        Ok(())
    });
}
