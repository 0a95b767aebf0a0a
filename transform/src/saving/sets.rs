//! [`Sets`]: which locals are saved together. The code that saves a set is written once, for all its points. So it pays to have few sets, whose
//! points save some locals in vain.

use crate::layout::ValueType;
use std::collections::HashMap;

/// How many locals a point saves in vain at most.
const MOST_IN_VAIN: usize = 8;

/// How many bytes of machine code a set takes, for itself and for each local, and what it takes to make a local zero at a point, on the average.
const BYTES_OF_A_SET: usize = 60;
const BYTES_OF_A_LOCAL: usize = 8;
const BYTES_OF_A_ZERO: usize = 8;

/// How many of the sets that a set may become a part of are looked at.
const MOST_CANDIDATES: usize = 64;

#[derive(Debug)]
pub(crate) struct Sets {
    /// The number of the function's first point, among those of the module.
    pub(crate) first_point: u32,
    /// For each point, the locals that it has to save, in order.
    pub(crate) live: Vec<Vec<u32>>,
    /// In the order of their types, so that few functions are enough to carry them.
    pub(crate) sets: Vec<Vec<u32>>,
    /// For each point, the number of its set.
    pub(crate) set_of: Vec<u32>,
}

/// Points that save the same locals.
struct Set {
    /// In order.
    locals: Vec<u32>,
    points: usize,
    /// The fewest locals that one of its points needs.
    fewest: usize,
}

impl Sets {
    /// `live` has for each point the locals that it has to save, in order.
    pub(crate) fn new(
        first_point: u32,
        live: Vec<Vec<u32>>,
        type_of: impl Fn(u32) -> ValueType,
    ) -> Self {
        let mut points: HashMap<&[u32], usize> = HashMap::new();
        for set in &live {
            *points.entry(set).or_insert(0) += 1;
        }
        let mut different: Vec<_> = points.into_iter().collect();
        // The largest ones first.
        different.sort_unstable_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        let mut kept: Vec<Set> = Vec::new();
        let mut number = HashMap::new();
        for (locals, points) in different {
            let candidates = kept.iter().enumerate().rev().take(MOST_CANDIDATES);
            let costs = candidates.filter_map(|(n, set)| Some((set.cost(locals, points)?, n)));
            let own = BYTES_OF_A_SET + BYTES_OF_A_LOCAL * locals.len();
            let best = costs.min().filter(|(cost, _)| *cost < own);
            let n = best.map_or(kept.len(), |(_, n)| n);
            match kept.get_mut(n) {
                Some(set) => set.add(locals, points),
                None => kept.push(Set { locals: locals.to_vec(), points, fewest: locals.len() }),
            }
            number.insert(locals, n as u32);
        }
        let set_of = live.iter().map(|set| number[set.as_slice()]).collect();
        let sets = kept.into_iter().map(|mut set| {
            set.locals.sort_by_key(|&local| (type_of(local), local));
            set.locals
        });
        let sets = sets.collect();
        Self { first_point, live, sets, set_of }
    }
}

impl Set {
    /// How many bytes of code it takes to save these locals, at so many points, as a part of this set. `None` if a point would save too many in vain.
    fn cost(&self, locals: &[u32], points: usize) -> Option<usize> {
        if self.locals.len() > locals.len() + MOST_IN_VAIN {
            return None;
        }
        let more = locals.iter().filter(|local| self.locals.binary_search(local).is_err()).count();
        let all = self.locals.len() + more;
        let fewest = self.fewest.min(locals.len());
        if all - fewest > MOST_IN_VAIN {
            return None;
        }
        let zeros = self.points * more + points * (all - locals.len());
        Some(BYTES_OF_A_ZERO * zeros + BYTES_OF_A_LOCAL * more)
    }

    fn add(&mut self, locals: &[u32], points: usize) {
        self.locals.extend(locals);
        self.locals.sort_unstable();
        self.locals.dedup();
        self.points += points;
        self.fewest = self.fewest.min(locals.len());
    }
}
