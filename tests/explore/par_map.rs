//! `par_map` on the pool of a world.

use crate::support::{Counter, SQUARES, linked, shared};
use wasm_jobs::explore::{self, World};
use wasm_jobs::{EngineOptions, Error, Instances};

#[test]
fn par_map_gives_the_results_in_every_order_of_its_jobs() {
    let pre = linked(SQUARES, &EngineOptions::default());
    let squares = |world: &World| -> Result<(), Error> {
        let stock = Counter::default();
        let instance = || world.instance(&pre, shared(world, &stock));
        let instances = [instance()?, instance()?];
        let squares = instances.par_map::<i32, i32, _>(&world.pool(), 1..=3, "square").collect()?;
        let squares = squares.into_iter().collect::<Result<Vec<_>, _>>()?;
        assert_eq!(squares, [1, 4, 9]);
        Ok(())
    };
    let report = explore::dfs(u64::MAX).run(squares);
    assert!(report.is_exhaustive);
    // The jobs yield after each input, so an instance with k inputs has k + 1 steps, and one more if it waits for inputs of the other one.
    assert_eq!(report.longest, 6);
}
