//! [`Method`]: how an explorer chooses its schedules.

use crate::explore::choice::Choice;
use crate::explore::dfs::Dfs;
use crate::explore::pct::Pct;
use crate::explore::random::{Preemption, Random};
use crate::explore::state::Carried;
use crate::explore::strategy::Script;
use std::fmt;

#[derive(Clone, Debug)]
pub(crate) enum Method {
    Random { schedules: u64 },
    Pct { schedules: u64, depth: u32 },
    Dfs { limit: u64 },
    Replay { choices: Vec<Choice> },
}

impl Method {
    /// The strategy, which ends steps by up to `preempt` units of fuel, if that is not zero.
    pub(crate) fn strategy(&self, seed: u64, preempt: u32, reduces: bool) -> Carried {
        let preemption = Preemption { most: preempt };
        match self {
            Self::Random { schedules } => Carried::of(Random::new(seed, *schedules, preemption)),
            Self::Pct { schedules, depth } => {
                Carried::of(Pct::new(seed, *schedules, *depth, preemption))
            }
            Self::Dfs { limit } => Carried::of(Dfs::new(*limit, reduces)),
            Self::Replay { choices } => Carried::of(Script::new(choices.clone())),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random { schedules } => write!(f, "random({schedules})"),
            Self::Pct { schedules, depth } => write!(f, "pct({schedules}, {depth})"),
            Self::Dfs { limit } => write!(f, "dfs({limit})"),
            Self::Replay { .. } => f.write_str("replay"),
        }
    }
}
