//! A market whose host functions have a race. Two buyers wait for apples, and a merchant brings two, one after the other. For each one, the merchant
//! counts the apples on the shelf, and then sets that number to one more. If a buyer takes an apple in between, the number is wrong.
//!
//! The test of a day at the market passes on rayon, because a buyer hardly ever comes in between. `explore` finds an order of steps in which it fails, and
//! makes that short. The example prints these steps, runs them again, and draws them in `target/market.svg`. At last it mends the host, and runs the
//! test in every order.
//!
//! ```sh
//! cargo run --release --example market --features explore
//! ```

use parking_lot::Mutex;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wasm_jobs::explore::{self, Explorer, World};
use wasm_jobs::wasmtime::{Caller, InstancePre, Linker, Module};
use wasm_jobs::{
    Clock, EngineOptions, Event, Future, Instance, JobHandle, JobPool, RayonGlobal, RealtimeClock,
    engine,
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The number of runs on rayon.
const RUNS: usize = 200;

/// The number of apples that the merchant brings.
const APPLES: i32 = 2;

/// How long the merchant sleeps. On rayon it passes, so it is short.
const NIGHT: Duration = Duration::from_millis(1);

fn main() -> Result {
    println!("Two buyers wait at a shelf, and a merchant brings an apple for each of them.\n");
    // The hasty host believes the merchant. The careful one adds what the merchant has added.
    let hasty = Market::new(|shelf, _, count| shelf.apples = count)?;
    let careful = Market::new(|shelf, counted, count| shelf.apples += count - counted)?;

    let passed = (0..RUNS).filter(|_| a_day(&hasty, None).is_ok()).count();
    println!("On rayon, {passed} of {RUNS} days end well.");
    assert!(passed > RUNS / 2, "the bug is not rare");

    let hasty_day = |world: &World| a_day(&hasty, Some(world));
    let found = hasty.names(explore::pct(1_000, 2)).check(hasty_day);
    let failure = found.expect_err("there is a race");
    println!(
        "Of the orders that pct tries, number {} does not:\n\n{failure}\n",
        failure.schedule_number()
    );

    let again = hasty.names(explore::replay(failure.schedule())).check(hasty_day);
    let again = again.expect_err("it fails each time");
    assert_eq!((again.message(), again.steps()), (failure.message(), failure.steps()));
    println!("The replay fails in the same way.");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/market.svg");
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(&path, failure.to_svg())?;
    println!("The picture is in {}.\n", path.display());

    let careful_day = |world: &World| a_day(&careful, Some(world));
    let all = explore::dfs(1_000_000).run(careful_day);
    let fewer = explore::dfs(1_000_000).reduce().run(careful_day);
    println!("With a careful host, each day ends well, in every order:");
    println!("  dfs:          {all}");
    println!("  dfs, reduced: {fewer}");
    assert!(all.is_exhaustive && fewer.is_exhaustive && fewer.schedules < all.schedules);
    Ok(())
}

/// One day of the market, in the order of a world's schedule, or on rayon. It fails if an apple was lost, or came from nowhere.
fn a_day(market: &Market, world: Option<&World>) -> Result {
    let guest = Guest {
        shelf: Arc::default(),
        bell: Event::new(),
        counted: 0,
        clock: world.map_or(Arc::new(RealtimeClock), |world| Arc::new(world.clock())),
        world: world.cloned(),
    };
    let mut calls = [
        guest.instance(&market.buyer)?.call::<(), ()>("buy", ())?.named("ann"),
        guest.instance(&market.buyer)?.call::<(), ()>("buy", ())?.named("bob"),
        guest.instance(&market.merchant)?.call::<i32, ()>("restock", APPLES)?.named("merchant"),
    ];
    match world {
        Some(world) => {
            submit(&world.pool(), &mut calls)?;
            world.run_all();
        }
        None => JobHandle::all(submit(&RayonGlobal, &mut calls)?).wait(),
    }
    for call in &mut calls {
        call.try_get_result()?;
    }
    let Shelf { apples, sold, coins } = *guest.shelf.lock();
    assert_eq!(coins, 3 * sold);
    if apples + sold != APPLES {
        return Err(format!("{APPLES} apples came: {sold} sold, {apples} left").into());
    }
    Ok(())
}

fn submit(pool: &impl JobPool, calls: &mut [Future<()>]) -> Result<Vec<JobHandle>> {
    calls.iter_mut().map(|call| Ok(pool.submit(call.to_job()?))).collect()
}

#[derive(Default)]
struct Shelf {
    apples: i32,
    sold: i32,
    coins: i32,
}

/// The state of a guest. All but `counted` is shared.
#[derive(Clone)]
struct Guest {
    shelf: Arc<Mutex<Shelf>>,
    /// Rings when an apple comes.
    bell: Event,
    /// The number of apples that this guest has counted last.
    counted: i32,
    clock: Arc<dyn Clock>,
    world: Option<World>,
}

impl Guest {
    fn instance(&self, pre: &InstancePre<Self>) -> Result<Instance<Self>> {
        let state = self.clone();
        Ok(match &self.world {
            Some(world) => world.instance(pre, move || state.clone())?,
            None => Instance::new(pre, state)?,
        })
    }

    /// Tells the world, if there is one, what this step shares with others.
    fn touches(&self, what: &'static str) {
        self.world.iter().for_each(|world| world.touches(what));
    }

    /// Takes an apple, if there is one.
    fn take(&self) -> bool {
        self.touches("shelf");
        let mut shelf = self.shelf.lock();
        if shelf.apples == 0 {
            self.bell.reset();
            return false;
        }
        shelf.apples -= 1;
        shelf.sold += 1;
        true
    }
}

/// The guests, linked with their host functions.
struct Market {
    buyer: InstancePre<Guest>,
    merchant: InstancePre<Guest>,
}

const BUYER: &str = include_str!("buyer.wat");
const MERCHANT: &str = include_str!("merchant.wat");

impl Market {
    /// `set_count` gets what the guest has counted, and what it says now.
    fn new(set_count: fn(&mut Shelf, i32, i32)) -> Result<Self> {
        let engine = engine(&EngineOptions::default())?;
        let mut shop = Linker::<Guest>::new(&engine);
        shop.func_wrap_async("shop", "take", |caller: Caller<'_, Guest>, ()| {
            let guest = caller.data().clone();
            Box::new(async move {
                while !guest.take() {
                    guest.bell.wait().await;
                }
            })
        })?;
        shop.func_wrap("shop", "pay", |caller: Caller<'_, Guest>, coins: i32| {
            caller.data().touches("till");
            caller.data().shelf.lock().coins += coins;
        })?;
        shop.func_wrap_async("shop", "sleep", |caller: Caller<'_, Guest>, ()| {
            Box::new(caller.data().clock.sleep(NIGHT))
        })?;
        shop.func_wrap("shop", "count", |mut caller: Caller<'_, Guest>| {
            let guest = caller.data_mut();
            guest.touches("shelf");
            guest.counted = guest.shelf.lock().apples;
            guest.counted
        })?;
        shop.func_wrap("shop", "set_count", move |caller: Caller<'_, Guest>, count: i32| {
            let guest = caller.data();
            guest.touches("shelf");
            set_count(&mut guest.shelf.lock(), guest.counted, count);
            guest.bell.set();
        })?;
        Ok(Self {
            buyer: shop.instantiate_pre(&Module::new(&engine, wat::parse_str(BUYER)?)?)?,
            merchant: shop.instantiate_pre(&Module::new(&engine, wat::parse_str(MERCHANT)?)?)?,
        })
    }

    /// Has a failure name the host functions that the guests call.
    fn names(&self, explorer: Explorer) -> Explorer {
        let wasm = |wat| wat::parse_str(wat).expect("it was parsed before");
        explorer
            .host_names(self.buyer.module(), &wasm(BUYER))
            .host_names(self.merchant.module(), &wasm(MERCHANT))
    }
}
