//! [`go_on`]: a call from where it was saved to its end.

use crate::call::lease::{Lease, Leased};
use crate::error::Error;
use crate::guest::freeze::become_twins::{PoisonedUnlessBack, become_twins};
use crate::guest::freeze::frames::Purpose;
use crate::guest::freeze::go_back::go_back;
use crate::guest::freeze::parked::park;
use crate::guest::freeze::stopped::Stopped;
use crate::guest::freeze::taking::{Freezable, TakesRequest};
use crate::guest::freeze::waiting::Kept;
use crate::guest::guest::Guest;
use crate::guest::limit::limited::Limited;
use crate::guest::running::Running;
use crate::guest::trap::Attempt;
use crate::outcome::Outcome;
use std::sync::Arc;
use wasmtime::{TypedFunc, WasmResults};

/// Lets a call go on that has been saved, and that is not to end there.
pub(crate) async fn go_on<S, R, H>(
    mut guest: Leased<Box<Guest<S>>, H>,
    export: Arc<str>,
    stopped: Stopped<S>,
) -> Outcome<R>
where
    S: Send + 'static,
    R: WasmResults + Sync + 'static,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    let function = bring_back(&mut guest, &export, stopped).await?;
    run(guest, export, function).await
}

/// Runs a call whose guest goes back into its functions once `function` is called.
pub(crate) async fn run<S, R, H>(
    mut guest: Leased<Box<Guest<S>>, H>,
    export: Arc<str>,
    mut function: TypedFunc<(), R>,
) -> Outcome<R>
where
    S: Send + 'static,
    R: WasmResults + Sync + 'static,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    loop {
        let freezable = Freezable::of(&guest);
        let mut running = Running::begin(&mut guest, Attempt::Export(&export))?;
        let (store, control, _) = running.parts();
        let call = Limited::new(function.call_async(store, ()), control);
        let (ended, saved) = TakesRequest::new(call, &freezable, control).await;
        let stopped = match saved {
            None => return running.end(ended),
            Some(saved) => running.stop(ended, saved, &export)?,
        };
        function = bring_back(&mut guest, &export, stopped).await?;
    }
}

/// Brings the guest of a saved call to where it was: at once, or, if the call is to be parked, when it has what it waits for.
async fn bring_back<S, R, H>(
    guest: &mut Leased<Box<Guest<S>>, H>,
    export: &str,
    stopped: Stopped<S>,
) -> Result<TypedFunc<(), R>, Box<Error>>
where
    S: Send + 'static,
    R: WasmResults,
    H: AsRef<Lease<Box<Guest<S>>>> + Send + Sync + 'static,
{
    let unless_back = PoisonedUnlessBack::new(&guest.control);
    let (call, waiting) = match stopped.purpose {
        Purpose::Park => {
            let Stopped { call, waiting, .. } = park(guest, export, stopped).await?;
            (call, Kept::over(waiting))
        }
        Purpose::Freeze | Purpose::Checkpoint => {
            become_twins(guest, &stopped.call)?;
            (stopped.call, Kept::stops(stopped.waiting))
        }
    };
    let function = go_back(guest, &call, Some(Box::new(waiting)))?;
    unless_back.is_back();
    Ok(function)
}
