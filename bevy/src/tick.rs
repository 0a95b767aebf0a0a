//! The system of [`Tick`](crate::WasmJobsSystems::Tick): steps the scripts that run in the frame, and gives all scripts access to the world between the
//! steps. It keeps to the budget of the frame.

use crate::call::ScriptCall;
use crate::host::WorldQueue;
use bevy_ecs::entity::Entity;
use bevy_ecs::query::QueryState;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Local, ResMut};
use bevy_ecs::world::World;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wasm_jobs::{Slice, Step};

/// The least time of a step. To stop a guest takes about as long, so a shorter step is not worth its cost.
const LEAST: Duration = Duration::from_micros(100);

/// The time that all scripts together may take in a frame, and what they took.
///
/// A system may change [`per_frame`](Self::per_frame) at any time.
#[derive(Resource, Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScriptBudget {
    /// The budget of each frame.
    pub per_frame: Duration,
    /// What the scripts and their accesses to the world have taken since the beginning of this frame.
    pub used: Duration,
}

impl ScriptBudget {
    pub(crate) fn new(per_frame: Duration) -> Self {
        Self { per_frame, used: Duration::ZERO }
    }

    /// By how much this frame has exceeded the budget.
    #[must_use]
    pub fn overshoot(&self) -> Duration {
        self.used.saturating_sub(self.per_frame)
    }
}

/// Runs in `First`: a frame begins. `FixedUpdate` may run several times in it.
pub(crate) fn begin_frame(mut budget: ResMut<'_, ScriptBudget>) {
    budget.used = Duration::ZERO;
}

/// Counts the steps of all frames, to tell which call was stepped last.
#[derive(Default)]
pub(crate) struct Turns(u64);

/// First comes one of the hungry calls, those that used up their last slice, so that the others cannot keep all of them out. Then come the
/// calls that are not hungry, and the accesses to the world that they ask for, until each of them waits. The hungry calls share what is
/// left. In each group, the call whose last step is longest ago is first.
pub(crate) fn tick(
    world: &mut World,
    calls: &mut QueryState<(Entity, &mut ScriptCall)>,
    mut turns: Local<'_, Turns>,
) {
    let begins = Instant::now();
    let queue = world.resource::<WorldQueue>().0.clone();
    let left = {
        let budget = world.resource::<ScriptBudget>();
        budget.per_frame.saturating_sub(budget.used)
    };

    let (mut calm, mut hungry) = (Vec::new(), Vec::new());
    for (entity, mut call) in calls.iter_mut(world) {
        if call.in_frame().is_some() {
            let group = if call.hungry { &mut hungry } else { &mut calm };
            group.push((call.last_turn, entity));
        }
    }
    calm.sort_unstable();
    hungry.sort_unstable();
    let mut frame = Frame {
        ends: begins + left,
        calm: calm.into_iter().map(|(_, entity)| entity).collect(),
        hungry: hungry.into_iter().map(|(_, entity)| entity).collect(),
    };

    queue.run(world);
    frame.step_hungry(world, calls, &mut turns);
    loop {
        frame.step_calm(world, calls, &mut turns);
        if queue.run(world) > 0 {
            if frame.is_over() {
                break;
            }
            continue;
        }
        if frame.is_over() || !frame.step_hungry(world, calls, &mut turns) {
            break;
        }
    }

    let mut budget = world.resource_mut::<ScriptBudget>();
    budget.used += begins.elapsed();
}

struct Frame {
    ends: Instant,
    /// The calls that wait, or were not stepped in this frame.
    calm: Vec<Entity>,
    hungry: VecDeque<Entity>,
}

impl Frame {
    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// Takes a step of each call that is not hungry and can go on.
    fn step_calm(
        &mut self,
        world: &mut World,
        calls: &mut QueryState<(Entity, &mut ScriptCall)>,
        turns: &mut Turns,
    ) {
        let mut calm = std::mem::take(&mut self.calm);
        let mut sharers = calm.len();
        calm.retain(|&entity| {
            sharers -= 1;
            match self.step(world, calls, turns, entity, sharers) {
                Stepped::Waits | Stepped::Late => true,
                Stepped::Hungry => {
                    self.hungry.push_back(entity);
                    false
                }
                Stepped::Over => false,
            }
        });
        self.calm.append(&mut calm);
    }

    /// Takes a step of the hungry call that is first. Gives whether there was one, and time for it.
    fn step_hungry(
        &mut self,
        world: &mut World,
        calls: &mut QueryState<(Entity, &mut ScriptCall)>,
        turns: &mut Turns,
    ) -> bool {
        let Some(entity) = self.hungry.pop_front() else { return false };
        let sharers = self.hungry.len() + self.calm.len();
        match self.step(world, calls, turns, entity, sharers) {
            Stepped::Hungry => self.hungry.push_back(entity),
            Stepped::Waits => self.calm.push(entity),
            Stepped::Over => {}
            Stepped::Late => return false,
        }
        true
    }

    /// Takes a step of a call that shares the time that is left with others.
    fn step(
        &mut self,
        world: &mut World,
        calls: &mut QueryState<(Entity, &mut ScriptCall)>,
        turns: &mut Turns,
        entity: Entity,
        sharers: usize,
    ) -> Stepped {
        // An access to the world may have removed the script.
        let Ok((_, mut call)) = calls.get_mut(world, entity) else { return Stepped::Over };
        let Some(running) = call.in_frame() else { return Stepped::Over };
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Stepped::Late;
        }
        if !matches!(running.instance.slice(), Slice::Fuel(_)) {
            let share = left / u32::try_from(sharers + 1).unwrap_or(u32::MAX);
            // An engine without epochs has no slices; its scripts run to their next stop.
            let _ = running.instance.set_slice(Slice::Time(share.max(LEAST).min(left)));
        }
        let step = running.future.resume();
        turns.0 += 1;
        call.last_turn = turns.0;
        call.hungry = matches!(step, Ok(Step::Yielded));
        match step {
            Ok(Step::Yielded) => Stepped::Hungry,
            Ok(Step::Waiting) => Stepped::Waits,
            Ok(Step::Done) | Err(_) => Stepped::Over,
        }
    }
}

/// What has become of a call.
enum Stepped {
    /// It waits.
    Waits,
    /// It has used up its slice, or has yielded.
    Hungry,
    /// It has ended, or its script was removed.
    Over,
    /// There was no time left for it.
    Late,
}
