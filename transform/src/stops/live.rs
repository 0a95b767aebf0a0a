//! [`carried`]: which locals each check of a body carries around the call of the host.
//!
//! A check works without this: a local that is not carried stays where it is. But then wasmtime keeps it, all the time, where a call leaves it
//! alone. A local is worth carrying if the loop that has the check uses it, and if it is live at the loop's beginning, so that it is read later. In loops with
//! calls, this is so only if there are few.

use crate::stops::trace::{Trace, What};
use crate::stops::walk::Points;
use std::collections::HashMap;

/// Bodies whose sets would take more bits than this carry no locals: they have thousands of locals and ten thousands of blocks.
const MOST_BITS: usize = 1 << 26;

/// How many events are looked at, at most, until all is known. It takes as many walks as there are loops inside of each other, at most.
const MOST_WORK: usize = 1 << 26;

/// How many times a body is walked over at most. Each time, what is live in one more loop around others is known.
const MOST_PASSES: usize = 10;

/// How many locals a check carries, at most. There are fewer registers.
const MOST_CARRIED: usize = 24;

/// In a loop with calls, how many locals are worth carrying at most. If it has more, wasmtime keeps most of them in memory anyway.
const MOST_BESIDE_CALLS: usize = 4;

/// A check, and what it carries.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// The check comes before the instruction here.
    pub(crate) at: u32,
    pub(crate) place: Place,
    /// The locals, in order.
    pub(crate) locals: Vec<u32>,
    /// The number of the function that the check calls, among those of [`Stops`](crate::stops::check::Stops).
    pub(crate) carrier: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the beginning of a loop.
    Loop(u32),
    /// At the branch that leads back to the beginning of a loop.
    Back(u32),
    /// In a short loop whose body is written twice.
    Twice(u32),
    Elsewhere,
}

impl Check {
    /// The loop that has it.
    pub(crate) fn of_loop(&self) -> Option<u32> {
        match self.place {
            Place::Loop(number) | Place::Back(number) | Place::Twice(number) => Some(number),
            Place::Elsewhere => None,
        }
    }
}

/// All checks of a body, in order, with what they carry.
pub(crate) fn carried(trace: &Trace, points: &Points) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    let mut add = |at, place| checks.push(Check { at, place, locals: Vec::new(), carrier: 0 });
    if points.at_entry {
        add(trace.entry, Place::Elsewhere);
    }
    for (number, the_loop) in (0..).zip(&trace.loops) {
        if points.at_loops[number as usize] {
            match the_loop.back() {
                _ if the_loop.is_written_twice() => add(the_loop.body, Place::Twice(number)),
                Some(back) => add(back.at, Place::Back(number)),
                None => add(the_loop.body, Place::Loop(number)),
            }
        }
    }
    points.elsewhere.iter().for_each(|&at| add(at, Place::Elsewhere));
    // That of a branch comes after another one at the same place: it is passed only if the branch is taken.
    checks.sort_by_key(|check| match check.place {
        Place::Loop(_) | Place::Twice(_) => (check.at, 0),
        Place::Elsewhere => (check.at, 1),
        Place::Back(_) => (check.at, 2),
    });
    checks.dedup_by(|check, before| check.at == before.at && check.place == Place::Elsewhere);

    let blocks = trace.events.iter().filter(|event| opens(event.what)).count() + 1;
    let sets = blocks + trace.targets() + 2 * trace.loops.len();
    if !checks.is_empty() && sets.saturating_mul(trace.locals()) <= MOST_BITS {
        let mut backwards = Backwards::new(trace);
        // If it ends before all is known, some checks carry less than would be worth it.
        let mut passes = 1;
        while backwards.pass() && passes < MOST_PASSES {
            passes += 1;
        }
        for check in &mut checks {
            let Some(number) = check.of_loop() else { continue };
            let locals = backwards.worth_carrying(number as usize);
            if !trace.loops[number as usize].calls || locals.len() <= MOST_BESIDE_CALLS {
                check.locals = locals;
            }
        }
    }
    checks
}

/// The locals that are live after some calls, in order, and those that the handlers around these read. `None` if that takes too much memory or time.
pub(crate) fn live_after(trace: &Trace, calls: &[u32]) -> Option<Vec<Vec<u32>>> {
    let blocks = trace.events.iter().filter(|event| opens(event.what)).count() + 1;
    let sets = blocks + trace.targets() + 2 * trace.loops.len() + calls.len();
    if sets.saturating_mul(trace.locals()) > MOST_BITS {
        return None;
    }
    let mut backwards = Backwards::new(trace);
    let none = Locals::none(trace.locals());
    backwards.after_calls = calls.iter().map(|&call| (call, none.clone())).collect();
    let mut work = 0;
    while backwards.pass() {
        work += trace.events.len();
        if work > MOST_WORK {
            return None;
        }
    }
    let after = calls.iter().map(|call| backwards.after_calls[call].all());
    Some(after.collect())
}

fn opens(what: What) -> bool {
    matches!(what, What::Block | What::Loop(_) | What::If | What::TryTable(_))
}

/// A set of locals.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Locals(Vec<u64>);

impl Locals {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn add(&mut self, local: u32) {
        self.0[local as usize / 64] |= 1 << (local % 64);
    }

    fn remove(&mut self, local: u32) {
        self.0[local as usize / 64] &= !(1 << (local % 64));
    }

    /// The first ones that are in the other set, too.
    fn first_in(&self, other: &Self, most: usize) -> Vec<u32> {
        let words = self.0.iter().zip(&other.0).enumerate();
        let both = words.map(|(n, (word, other))| (n, word & other));
        let locals = both.filter(|(_, word)| *word != 0).flat_map(|(n, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| n as u32 * 64 + bit)
        });
        locals.take(most).collect()
    }

    fn all(&self) -> Vec<u32> {
        self.first_in(self, usize::MAX)
    }

    fn add_all(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(set, others)| *set |= others);
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// A block that is open, seen from its end.
struct Frame {
    kind: Kind,
    /// The locals that are live at its label.
    at_label: Locals,
}

enum Kind {
    /// A block, a loop, or an `if` without an `else` so far.
    Block,
    /// What is live at the beginning of its `else`.
    Else(Locals),
    /// A block with handlers.
    TryTable,
}

/// A walk over a body from its end to its beginning.
struct Backwards<'a> {
    trace: &'a Trace,
    /// The locals that are live at the beginning of each loop, as far as is known.
    at_loops: Vec<Locals>,
    /// What each `End` belongs to, by the index of its event.
    begins: Vec<Option<What>>,
    /// The locals that are used in each loop.
    used: Vec<Locals>,
    /// The locals that are live after calls, for those calls of which that is asked.
    after_calls: HashMap<u32, Locals>,
}

impl<'a> Backwards<'a> {
    fn new(trace: &'a Trace) -> Self {
        let none = Locals::none(trace.locals());
        let mut begins = vec![None; trace.events.len()];
        let mut open = Vec::new();
        for (n, event) in trace.events.iter().enumerate() {
            match event.what {
                What::End => begins[n] = open.pop(),
                what if opens(what) => open.push(what),
                _ => {}
            }
        }
        let none = vec![none; trace.loops.len()];
        Self { trace, at_loops: none.clone(), begins, used: none, after_calls: HashMap::new() }
    }

    /// Walks once. Whether more is live at the beginning of a loop than was known.
    fn pass(&mut self) -> bool {
        let mut changed = false;
        let mut live = Locals::none(self.trace.locals());
        let mut frames: Vec<Frame> = Vec::new();
        // The locals that are used in each loop that is open.
        let mut used: Vec<Locals> = Vec::new();
        // For each block with handlers that is open, the locals that are live where an exception may lead to.
        let mut thrown: Vec<Locals> = Vec::new();
        let none = Locals::none(self.trace.locals());
        for n in (0..self.trace.events.len()).rev() {
            let event = self.trace.events[n];
            match event.what {
                What::Get(local) => {
                    live.add(local);
                    used.last_mut().into_iter().for_each(|used| used.add(local));
                }
                What::Set(local) => {
                    live.remove(local);
                    used.last_mut().into_iter().for_each(|used| used.add(local));
                }
                What::End => {
                    let (kind, at_label) = match self.begins[n] {
                        Some(What::Loop(number)) => {
                            used.push(Locals::none(self.trace.locals()));
                            (Kind::Block, self.at_loops[number as usize].clone())
                        }
                        Some(What::TryTable(list)) => {
                            let mut handled =
                                thrown.last().cloned().unwrap_or_else(|| none.clone());
                            for &depth in self.trace.list(list) {
                                self.branch(&mut handled, &frames, depth);
                            }
                            thrown.push(handled);
                            (Kind::TryTable, live.clone())
                        }
                        _ => (Kind::Block, live.clone()),
                    };
                    frames.push(Frame { kind, at_label });
                }
                What::Else => {
                    if let Some(frame) = frames.last_mut() {
                        let after = frame.at_label.clone();
                        frame.kind = Kind::Else(std::mem::replace(&mut live, after));
                    }
                }
                What::If => match frames.pop() {
                    Some(Frame { kind: Kind::Else(other), .. }) => live.add_all(&other),
                    Some(Frame { at_label, .. }) => live.add_all(&at_label),
                    None => {}
                },
                What::Step | What::Bulk => {}
                What::Block => drop(frames.pop()),
                What::TryTable(_) => {
                    frames.pop();
                    thrown.pop();
                }
                What::Loop(number) => {
                    frames.pop();
                    let known = &mut self.at_loops[number as usize];
                    if *known != live {
                        known.clone_from(&live);
                        changed = true;
                    }
                    let Some(inner) = used.pop() else { continue };
                    used.last_mut().into_iter().for_each(|outer| outer.add_all(&inner));
                    self.used[number as usize] = inner;
                }
                What::Branch(depth) => {
                    live.clear();
                    self.branch(&mut live, &frames, depth);
                }
                What::BranchIf(depth) => self.branch(&mut live, &frames, depth),
                What::BranchTable(list) => {
                    live.clear();
                    for &depth in self.trace.list(list) {
                        self.branch(&mut live, &frames, depth);
                    }
                }
                What::Return | What::Trap => live.clear(),
                What::TailCall(_) => live.clear(),
                What::Throw => {
                    live.clear();
                    thrown.last().into_iter().for_each(|thrown| live.add_all(thrown));
                }
                What::Call(number) => {
                    thrown.last().into_iter().for_each(|thrown| live.add_all(thrown));
                    if let Some(after) = self.after_calls.get_mut(&number) {
                        after.clone_from(&live);
                    }
                }
            }
        }
        changed
    }

    fn branch(&self, live: &mut Locals, frames: &[Frame], depth: u32) {
        // The outermost frame is the function, at whose end no local is read.
        if let Some(index) = frames.len().checked_sub(depth as usize + 1) {
            live.add_all(&frames[index].at_label);
        }
    }

    /// The locals that are live at the beginning of a loop and used in it.
    fn worth_carrying(&self, number: usize) -> Vec<u32> {
        self.at_loops[number].first_in(&self.used[number], MOST_CARRIED)
    }
}
