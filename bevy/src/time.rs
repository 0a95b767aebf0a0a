//! [`ScriptTime`]: the clocks of the guests. `Wake` ticks them, once in each run of the schedule.

use bevy_ecs::resource::Resource;
use bevy_ecs::system::Res;
use bevy_time::Time;
use std::time::Duration;
use wasm_jobs::{Clock, ManualClock, Sleep};

#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct ScriptTime {
    /// `Time<Virtual>` or `Time<Fixed>`.
    pub(crate) game: ManualClock,
    /// Counts the runs of the schedule: each is a nanosecond.
    frames: ManualClock,
}

impl ScriptTime {
    const FRAME: Duration = Duration::from_nanos(1);

    /// Waits for the next run of the schedule, also if the game is paused.
    pub(crate) fn next_frame(&self) -> Sleep {
        self.frames.sleep(Self::FRAME)
    }

    fn tick(&self, by: Duration) {
        self.game.tick(by);
        self.frames.tick(Self::FRAME);
    }
}

/// Bevy's `Time` without a parameter is `Time<Virtual>` in `Update`, and `Time<Fixed>` in `FixedUpdate`.
pub(crate) fn wake(time: Res<'_, Time>, clocks: Res<'_, ScriptTime>) {
    clocks.tick(time.delta());
}
