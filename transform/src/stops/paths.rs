//! [`Paths`]: what is known of the paths that lead to one place in a body, and [`Unchecked`]: of those through a whole function.
//!
//! A path is a list of instructions that follow each other. Two things are asked of it: whether it has passed a check since the function
//! was entered, and how much it has done since its last check. Where paths meet, the worse one counts.

/// What a call counts for, beside what it calls.
pub(crate) const CALL: u64 = 4;

/// No loop: deeper than all.
pub(crate) const NO_LOOP: u32 = u32::MAX;

/// What is known of a function that is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callee {
    /// It may lead back here. All such circles have to have a check, and this is where this one gets it.
    LeadsBack,
    Leaves(Unchecked),
}

/// The most that a function may do without any check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unchecked {
    /// From its beginning to its first check. 0 if it has none.
    pub(crate) until_check: u64,
    pub(crate) until_return: Exit,
    /// No path does so if nobody in the module catches anything.
    pub(crate) until_throw: Exit,
}

/// The most that the paths do that leave a function in one way. `None`: no path does so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exit {
    /// Those that pass no check in the function.
    pub(crate) free: Option<u64>,
    /// The others, after their last check.
    pub(crate) checked: Option<u64>,
}

impl Exit {
    pub(crate) fn join(&mut self, other: Self) {
        self.free = self.free.max(other.free);
        self.checked = self.checked.max(other.checked);
    }
}

/// What a call of the host counts for.
const HOST_CALL: u64 = 100;

impl Unchecked {
    pub(crate) const NOTHING: Self = Self {
        until_check: 0,
        until_return: Exit { free: None, checked: None },
        until_throw: Exit { free: None, checked: None },
    };

    /// Of a function with a check at its entry, and in a circle with its caller, so that no more is known of it. On the way back out of a circle, each function that
    /// returns counts alone.
    pub(crate) const CHECKED: Self = {
        let exit = Exit { free: None, checked: Some(0) };
        Self { until_check: 0, until_return: exit, until_throw: exit }
    };

    /// Of a call of the host.
    pub(crate) fn host(catches: bool) -> Self {
        let exit = Exit { free: Some(HOST_CALL), checked: None };
        let until_throw = if catches { exit } else { Exit::default() };
        Self { until_check: 0, until_return: exit, until_throw }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.until_check = self.until_check.max(other.until_check);
        self.until_return.join(other.until_return);
        self.until_throw.join(other.until_throw);
    }
}

/// All paths that lead to one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths {
    /// The most that any has done that has passed no check since the function was entered. `None` if there is none.
    pub(crate) free: Option<u64>,
    /// The most that any other has done since its last check. `None` if there is none.
    pub(crate) checked: Option<u64>,
    /// Of the loops that are open here, the depth of the outermost one whose beginning some path has passed without a check since.
    pub(crate) round: u32,
}

impl Paths {
    pub(crate) const NONE: Self = Self { free: None, checked: None, round: NO_LOOP };

    pub(crate) fn exist(self) -> bool {
        self.free.is_some() || self.checked.is_some()
    }

    pub(crate) fn work(self) -> u64 {
        self.free.max(self.checked).unwrap_or(0)
    }

    pub(crate) fn go(&mut self, work: u64) {
        self.free = self.free.map(|free| free.saturating_add(work));
        self.checked = self.checked.map(|checked| checked.saturating_add(work));
    }

    /// All pass a check, and do this much after it.
    pub(crate) fn check(&mut self, work_after: u64) {
        if self.exist() {
            *self = Self { free: None, checked: Some(work_after), round: NO_LOOP };
        }
    }

    /// The paths after a call that is left in this way. If none leaves it so, they are taken to have passed a check.
    pub(crate) fn after(self, exit: Exit) -> Self {
        if !self.exist() {
            return Self::NONE;
        }
        let mut paths = Self::NONE;
        if let Some(free) = exit.free {
            paths = self;
            paths.go(free.saturating_add(CALL));
        }
        let checked = exit.checked.or(exit.free.is_none().then_some(0));
        paths.checked = paths.checked.max(checked.map(|work| work.saturating_add(CALL)));
        paths
    }

    /// Other paths lead to the same place, at which `open` loops are open.
    pub(crate) fn join(&mut self, other: Self, open: u32) {
        if other.exist() {
            let round = if other.round < open { other.round } else { NO_LOOP };
            self.free = self.free.max(other.free);
            self.checked = self.checked.max(other.checked);
            self.round = self.round.min(round);
        }
    }
}
