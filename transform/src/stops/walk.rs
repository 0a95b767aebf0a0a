//! [`points`]: follows all [`Paths`] through a body at once, and finds where it needs checks.
//!
//! Control is structured, so one walk over the instructions is enough. Only loops lead back. Each loop is asked whether a path leads through it
//! and back to its beginning without a check; then it needs one.

use crate::stops::paths::{CALL, Callee, Exit, NO_LOOP, Paths, Unchecked};
use crate::stops::trace::{Call, Trace, What};

/// How many times a body is walked over, at most, to find the loops that need no check because those inside of them have one.
const MOST_WALKS: u32 = 6;

/// Where a body has its checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    /// Whether there is a check where the function is entered.
    pub(crate) at_entry: bool,
    /// For each loop, whether it has a check: where it leads back if that is one place, or else at its beginning.
    pub(crate) at_loops: Vec<bool>,
    /// The places of all others.
    pub(crate) elsewhere: Vec<u32>,
}

/// Finds where a body needs checks, and what its callers have to know.
pub(crate) fn points(
    trace: &Trace,
    at_entry: bool,
    interval: u32,
    callee: impl Fn(&Call) -> Callee,
) -> (Points, Unchecked) {
    let heights = heights(trace);
    let levels = heights.iter().max().map_or(0, |height| height + 1).min(MOST_WALKS);
    let none = vec![false; trace.loops.len()];
    let mut points = Points { at_entry, at_loops: none.clone(), elsewhere: Vec::new() };
    // From the inside: a walk tells exactly which loops need a check once it is known which of those inside of them have one.
    for level in 0..levels {
        let mut walk = Walk::new(trace, &points, interval, &callee, Mode::AskLoops(none.clone()));
        walk.run();
        let Mode::AskLoops(needs) = walk.mode else { unreachable!("that was its mode") };
        let is_last = level + 1 == levels;
        for (n, needs) in needs.into_iter().enumerate() {
            if heights[n] == level || (is_last && heights[n] > level) {
                points.at_loops[n] = needs;
            }
        }
    }
    let mut walk = Walk::new(trace, &points, interval, &callee, Mode::Place(Vec::new()));
    walk.run();
    let exit = |paths: Paths| Exit { free: paths.free, checked: paths.checked };
    let unchecked = Unchecked {
        until_check: walk.until_check,
        until_return: exit(walk.frames[0].at_label),
        until_throw: exit(walk.thrown),
    };
    let Mode::Place(mut elsewhere) = walk.mode else { unreachable!("that was its mode") };
    elsewhere.sort_unstable();
    elsewhere.dedup();
    points.elsewhere = elsewhere;
    (points, unchecked)
}

/// How many loops are inside of each other in each loop, itself not counted.
fn heights(trace: &Trace) -> Vec<u32> {
    let mut heights = vec![0; trace.loops.len()];
    let mut open = Vec::new();
    let mut open_loops: Vec<usize> = Vec::new();
    for event in &trace.events {
        match event.what {
            What::Loop(number) => {
                open.push(true);
                open_loops.push(number as usize);
            }
            What::Block | What::If | What::TryTable(_) => open.push(false),
            What::End => {
                if open.pop() == Some(true)
                    && let Some(inner) = open_loops.pop()
                    && let Some(&outer) = open_loops.last()
                {
                    heights[outer] = heights[outer].max(heights[inner] + 1);
                }
            }
            _ => {}
        }
    }
    heights
}

/// What a walk is for.
enum Mode {
    /// Notes which loops need a check.
    AskLoops(Vec<bool>),
    /// Notes where else checks are needed.
    Place(Vec<u32>),
}

/// A block that is open.
struct Frame {
    kind: Kind,
    /// The paths that lead to its label. Not used for loops.
    at_label: Paths,
    /// The paths that throw in it, if it has handlers.
    thrown: Paths,
    /// How many loops are open outside of it.
    open: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Block,
    Loop(u32),
    /// The paths at its beginning, until its `else`.
    If(Paths),
    /// The number of the list of its handlers' labels.
    TryTable(u32),
}

struct Walk<'a, F> {
    trace: &'a Trace,
    points: &'a Points,
    /// The most work from one check to the next.
    interval: u64,
    callee: &'a F,
    mode: Mode,
    /// The outermost is the function itself, and stays to the end.
    frames: Vec<Frame>,
    /// Those of the frames that have handlers.
    tries: Vec<usize>,
    now: Paths,
    /// The paths that leave the function by an exception.
    thrown: Paths,
    /// The most that any path does until its first check.
    until_check: u64,
    /// How many loops are open.
    open: u32,
    /// How far work has been counted.
    counted: u32,
}

impl<'a, F: Fn(&Call) -> Callee> Walk<'a, F> {
    fn new(trace: &'a Trace, points: &'a Points, interval: u32, callee: &'a F, mode: Mode) -> Self {
        let interval = interval.into();
        let mut now = Paths { free: Some(0), ..Paths::NONE };
        if points.at_entry {
            now.check(0);
        }
        let function =
            Frame { kind: Kind::Block, at_label: Paths::NONE, thrown: Paths::NONE, open: 0 };
        let (open, counted) = (0, trace.entry);
        let (frames, thrown) = (vec![function], Paths::NONE);
        let until_check = 0;
        Self {
            trace,
            points,
            interval,
            callee,
            mode,
            frames,
            tries: Vec::new(),
            now,
            thrown,
            until_check,
            open,
            counted,
        }
    }

    fn run(&mut self) {
        for n in 0..self.trace.events.len() {
            let event = self.trace.events[n];
            self.count(event.at);
            match event.what {
                What::Get(_) | What::Set(_) | What::Step => {}
                What::Bulk => self.check_before(event.at),
                What::Block => self.enter(Kind::Block),
                What::TryTable(list) => self.enter(Kind::TryTable(list)),
                What::If => self.enter(Kind::If(self.now)),
                What::Loop(number) => {
                    self.enter(Kind::Loop(number));
                    let has_check = self.points.at_loops[number as usize];
                    if has_check && self.trace.loops[number as usize].checks_at_beginning() {
                        self.check(0);
                    } else if self.now.exist() {
                        self.now.round = self.now.round.min(self.open);
                    }
                    self.open += 1;
                }
                What::Else => self.other_arm(),
                What::End => self.leave(),
                What::Branch(depth) => {
                    self.branch(depth);
                    self.now = Paths::NONE;
                }
                What::BranchIf(depth) => self.branch(depth),
                What::BranchTable(list) => {
                    for &depth in self.trace.list(list) {
                        self.branch(depth);
                    }
                    self.now = Paths::NONE;
                }
                What::Return => {
                    self.branch(self.frames.len() as u32 - 1);
                    self.now = Paths::NONE;
                }
                What::Trap => self.now = Paths::NONE,
                What::Throw => {
                    self.throw(self.now);
                    self.now = Paths::NONE;
                }
                What::Call(number) => {
                    self.call(event.at, self.trace.calls[number as usize]);
                }
                What::TailCall(number) => {
                    self.call(event.at, self.trace.calls[number as usize]);
                    self.branch(self.frames.len() as u32 - 1);
                    self.now = Paths::NONE;
                }
            }
        }
    }

    /// Counts the work up to a place.
    fn count(&mut self, at: u32) {
        let work = u64::from(at.saturating_sub(self.counted));
        self.counted = self.counted.max(at);
        self.now.go(work);
        if self.now.work() > self.interval {
            self.place(at, at);
        }
    }

    /// There is a check here, whatever came before.
    fn check_before(&mut self, at: u32) {
        if let Mode::Place(places) = &mut self.mode
            && self.now.exist()
        {
            places.push(at);
        }
        self.check(0);
    }

    fn place(&mut self, place: u32, now: u32) {
        if let Mode::Place(places) = &mut self.mode
            && self.now.exist()
        {
            places.push(place);
            self.check(u64::from(now - place));
        }
    }

    fn check(&mut self, work_after: u64) {
        self.until_check = self.until_check.max(self.now.free.unwrap_or(0));
        self.now.check(work_after);
    }

    fn enter(&mut self, kind: Kind) {
        if let Kind::TryTable(_) = kind {
            self.tries.push(self.frames.len());
        }
        let (at_label, thrown) = (Paths::NONE, Paths::NONE);
        self.frames.push(Frame { kind, at_label, thrown, open: self.open });
    }

    fn other_arm(&mut self) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.at_label.join(self.now, frame.open);
        if let Kind::If(beginning) = frame.kind {
            self.now = beginning;
            frame.kind = Kind::Block;
        }
    }

    fn leave(&mut self) {
        let is_function = self.frames.len() == 1;
        if let Some(Frame { kind: Kind::TryTable(list), .. }) = self.frames.last() {
            self.caught(*list);
        }
        let Some(frame) = self.frames.last_mut() else { return };
        let mut label = frame.at_label;
        label.join(self.now, frame.open);
        if let Kind::If(beginning) = frame.kind {
            label.join(beginning, frame.open);
        }
        self.open = frame.open;
        self.now = label;
        if is_function {
            frame.at_label = label;
        } else {
            self.frames.pop();
        }
    }

    fn branch(&mut self, depth: u32) {
        let index = self.frames.len() - 1 - depth as usize;
        let frame = &mut self.frames[index];
        match frame.kind {
            Kind::Loop(number) => {
                // The check may be here.
                self.until_check = self.until_check.max(self.now.free.unwrap_or(0));
                if let Mode::AskLoops(needs) = &mut self.mode
                    && self.now.exist()
                    && self.now.round <= frame.open
                {
                    needs[number as usize] = true;
                }
            }
            _ => frame.at_label.join(self.now, frame.open),
        }
    }

    /// Paths that throw lead to all handlers around them, and out of the function. Which one it is depends on the exception.
    fn throw(&mut self, paths: Paths) {
        match self.tries.last() {
            Some(&index) => self.frames[index].thrown.join(paths, NO_LOOP),
            None => self.thrown.join(paths, 0),
        }
    }

    /// What was thrown in a block with handlers, which ends here, goes to these, and further out.
    fn caught(&mut self, list: u32) {
        self.tries.pop();
        let paths = self.frames.last().map_or(Paths::NONE, |frame| frame.thrown);
        let now = std::mem::replace(&mut self.now, paths);
        for &depth in self.trace.list(list) {
            // Labels of handlers are counted from outside of the block.
            self.branch(depth + 1);
        }
        self.throw(paths);
        self.now = now;
    }

    fn call(&mut self, at: u32, call: Call) {
        let callee = (self.callee)(&call);
        let before = self.now;
        let unchecked = match callee {
            Callee::LeadsBack => {
                if self.now.free.is_some() {
                    self.place(call.rest, at);
                }
                // What it does after its last check is not known. So in a circle each function that returns counts alone.
                let exit = Exit { free: Some(0), checked: None };
                Unchecked { until_check: 0, until_return: exit, until_throw: exit }
            }
            Callee::Leaves(unchecked) => {
                let Unchecked { until_check, until_return, until_throw } = unchecked;
                let work = until_return.free.max(until_throw.free).unwrap_or(0).max(until_check);
                let work = work.saturating_add(CALL);
                if self.now.work().saturating_add(work) > self.interval {
                    self.place(call.rest_after_calls, at);
                }
                if let Some(free) = self.now.free {
                    let until_check = free.saturating_add(until_check).saturating_add(CALL);
                    self.until_check = self.until_check.max(until_check);
                }
                unchecked
            }
        };
        let thrown = self.now.after(unchecked.until_throw);
        let returned = self.now.after(unchecked.until_return);
        if before.exist() {
            self.throw(thrown);
        }
        self.now = returned;
    }
}
