//! Calls that are saved and go on: [`go_on`] from where they were saved, [`parking`] from their beginning.
//!
//! What runs in the guest is in a box of its own, so that a call takes little memory while it is parked.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::guest::freeze::bring_to::has_twins;
use crate::guest::freeze::go_back::go_back;
use crate::guest::freeze::parked::{Until, park};
use crate::guest::freeze::rewind::{NewRewind, Rewinding};
use crate::guest::freeze::savable_steps::{SavableCall, SavableSteps};
use crate::guest::freeze::stopped::Stopped;
use crate::guest::freeze::waiting::Kept;
use crate::guest::guest::Guest;
use crate::guest::half_way::PoisonedUnlessDone;
use crate::guest::limit::limited::Limited;
use crate::guest::running::Running;
use crate::guest::trap::Attempt;
use crate::outcome::Outcome;
use std::sync::Arc;
use wasmtime::{TypedFunc, WasmParams, WasmResults};

/// How a run in the guest has ended.
enum Ran<S: 'static, R> {
    /// With the end of the call.
    Ended(R),
    Stopped(Stopped<S>),
}

/// Lets a call go on that has been saved, and that is not to end there.
pub(crate) async fn go_on<S, R, H>(
    guest: &mut Leased<Box<Guest<S>>, H>,
    export: &Arc<str>,
    mut stopped: Stopped<S>,
) -> Outcome<R>
where
    S: Send + 'static,
    R: WasmResults + Sync + 'static,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    loop {
        let (function, rewind) = bring_back(guest, export, stopped).await?;
        stopped = match Box::pin(run(guest, export, function, (), Some(rewind))).await? {
            Ran::Ended(results) => return Ok(results),
            Ran::Stopped(stopped) => stopped,
        };
    }
}

/// The work of a call that may be parked, or of one that was frozen. `rewind` is of a guest that is rewound once `function` is called. It comes before the guest so that, if
/// nobody ever polls the call, it is dropped first: the guest has to be poisoned when others get it.
pub(crate) async fn parking<S, P, R, H>(
    rewind: Option<NewRewind>,
    mut guest: Leased<Box<Guest<S>>, H>,
    export: Arc<str>,
    function: TypedFunc<P, R>,
    params: P,
) -> Outcome<R>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    match Box::pin(run(&mut guest, &export, function, params, rewind)).await? {
        Ran::Ended(results) => Ok(results),
        Ran::Stopped(stopped) => go_on(&mut guest, &export, stopped).await,
    }
}

/// Runs the guest until the call ends or is saved.
async fn run<S, P, R>(
    guest: &mut Guest<S>,
    export: &Arc<str>,
    function: TypedFunc<P, R>,
    params: P,
    rewind: Option<NewRewind>,
) -> Outcome<Ran<S, R>>
where
    S: Send + 'static,
    P: WasmParams + Sync + 'static,
    R: WasmResults + Sync + 'static,
{
    let savable = SavableCall::of(guest);
    let mut running = Running::begin(guest, Attempt::Export(export))?;
    let (store, control, _) = running.parts();
    let rewind = rewind.map(|(rewind, unless_begun)| {
        // From here on, `running` poisons the guest.
        unless_begun.done();
        // The fuel that the rewind uses is not the guest's.
        control.lend_fuel(store);
        rewind
    });
    let call = Rewinding::new(function.call_async(store, params), rewind);
    let call = Limited::new(call, control);
    let (ended, saved) = SavableSteps::new(call, &savable, control).await;
    let (store, control, _) = running.parts();
    control.take_back_fuel(store);
    match saved {
        None => running.end(ended).map(Ran::Ended),
        Some(saved) => running.stop(ended, saved, export).map(Ran::Stopped),
    }
}

/// Brings the guest of a saved call to where it was: at once, or, if the call is parked, when it has what it waits for.
async fn bring_back<S, R, H>(
    guest: &mut Leased<Box<Guest<S>>, H>,
    export: &str,
    stopped: Stopped<S>,
) -> Result<(TypedFunc<(), R>, NewRewind), Box<Error>>
where
    S: Send + 'static,
    R: WasmResults,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    let unless_begun = PoisonedUnlessDone::new(&guest.control);
    let Stopped { call, waiting, is_parked } = stopped;
    let (call, waiting) = if is_parked {
        let (call, waiting) = park(guest, export, call, waiting, Until::HasWaited).await?;
        (call, Kept::over(waiting))
    } else if has_twins(guest) {
        (call, Kept::stops(waiting))
    } else {
        let (call, waiting) = park(guest, export, call, waiting, Until::HasPlace).await?;
        (call, Kept::stops(waiting))
    };
    let (function, rewind) = go_back(guest, &call, Some(Box::new(waiting)), call.fuel)?;
    Ok((function, (rewind, unless_begun)))
}
