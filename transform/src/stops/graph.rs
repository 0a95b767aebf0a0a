//! [`points`]: finds where a module needs checks, function by function, each one after those that it calls.
//!
//! Which function an indirect call reaches is not known, but its type is. So a call may lead to every function of the type that a reference
//! can be to. A circle of calls has a check at the entry of one of its functions, or before all calls of one of its types. If the search comes back to a function that
//! it has not finished nevertheless, the call that closes the circle gets a check before it.

use crate::module::Module;
use crate::stops::circles::{self, Graph};
use crate::stops::paths::{Callee, Exit, Unchecked};
use crate::stops::trace::{self, Call, Trace};
use crate::stops::walk::{self, Points};

/// What the search knows of a function, or of all functions of a type.
#[derive(Clone, Copy, Debug)]
enum State {
    Unseen,
    /// It is being searched, with all that it calls.
    Open,
    /// A call of the type may lead back to the function that makes it. So each such call has a check before it.
    Circle,
    Done(Unchecked),
}

struct Search<'a> {
    module: &'a Module<'a>,
    /// The most work from one check to the next.
    interval: u32,
    /// The functions, and after them the types.
    states: Vec<State>,
    points: Vec<Points>,
    /// For each type, the functions that a reference of the type can be to.
    of_type: Vec<Vec<u32>>,
    /// For each function, whether it has a check at its entry: because it is entered from outside and may call the host, or because circles of calls go through it.
    at_entry: Vec<bool>,
}

/// For each function that is not imported, in their order, the places of its checks.
pub(crate) fn points(module: &Module<'_>, interval: u32) -> Vec<Points> {
    let functions = module.function_types.len();
    let types = module.canonical_types.len();
    let mut search = Search {
        module,
        interval,
        states: vec![State::Unseen; functions + types],
        points: vec![Points::default(); module.bodies.len()],
        of_type: of_type(module),
        at_entry: Vec::new(),
    };
    search.at_entry = search.entries();
    for root in search.cut_circles() {
        search.run(root);
    }
    search.points
}

fn of_type(module: &Module<'_>) -> Vec<Vec<u32>> {
    let mut referenced = module.referenced.clone();
    referenced.sort_unstable();
    referenced.dedup();
    let mut of_type = vec![Vec::new(); module.canonical_types.len()];
    for function in referenced {
        let ty = module.function_types[function as usize];
        of_type[module.canonical_types[ty as usize] as usize].push(function);
    }
    of_type
}

/// A function or type whose callees are being searched.
struct Open {
    node: usize,
    /// How many of the callees have been looked at.
    next: usize,
}

impl Search<'_> {
    fn trace(&self, function: usize) -> Option<&Trace> {
        let body = function.checked_sub(self.module.imported.functions as usize)?;
        Some(&self.module.bodies.get(body)?.trace)
    }

    /// The number of what a call leads to.
    fn node(&self, callee: trace::Callee) -> usize {
        match callee {
            trace::Callee::Function(index) => index as usize,
            trace::Callee::OfType(index) => {
                let ty = self.module.canonical_types[index as usize];
                self.module.function_types.len() + ty as usize
            }
        }
    }

    /// The next one that a function or a type leads to.
    fn callee(&self, node: usize, n: usize) -> Option<usize> {
        match node.checked_sub(self.module.function_types.len()) {
            Some(ty) => self.of_type[ty].get(n).map(|&function| function as usize),
            None => self.trace(node)?.calls.get(n).map(|call| self.node(call.callee)),
        }
    }

    /// A function that the host can call, and that can call the host, may be in a circle with it. It has a check at its entry.
    fn entries(&self) -> Vec<bool> {
        let nodes = self.states.len();
        let mut callers = vec![Vec::new(); nodes];
        for node in 0..nodes {
            for callee in (0..).map_while(|n| self.callee(node, n)) {
                callers[callee].push(node);
            }
        }
        let mut calls_host = vec![false; nodes];
        let mut reached: Vec<usize> = (0..self.module.imported.functions as usize).collect();
        if self.module.hands_out_functions {
            // Tables may hold functions of others.
            reached.extend(self.module.function_types.len()..nodes);
        }
        while let Some(node) = reached.pop() {
            for &caller in &callers[node] {
                if !std::mem::replace(&mut calls_host[caller], true) {
                    reached.push(caller);
                }
            }
        }
        let mut at_entry = vec![false; self.module.function_types.len()];
        let outside = match self.module.hands_out_functions {
            true => &self.module.referenced,
            false => &self.module.exported,
        };
        for &function in outside {
            at_entry[function as usize] = calls_host[function as usize];
        }
        at_entry
    }

    /// Chooses where the circles of calls get their checks: at the entries of functions, and before all calls of a type. Where it takes too long to choose well,
    /// it is before all calls of types, and before those of functions that close a circle. Returns the order in which the functions are to be searched.
    fn cut_circles(&mut self) -> Vec<usize> {
        let functions = self.module.function_types.len();
        let this = &*self;
        let callees = |node: usize| (0..).map_while(move |n| this.callee(node, n));
        let nodes = 0..self.states.len();
        let graph = Graph::new(nodes.map(|node| callees(node).map(|to| to as u32).collect()));
        let mut is_cut = self.at_entry.clone();
        is_cut.resize(self.states.len(), false);
        // A function gets one check. A type gets one at each call, and that is about as many as lead to it.
        let worth = |node, into, from| if node < functions { into * from } else { from };
        let cut = circles::cut(&graph, is_cut, worth);
        for node in functions..self.states.len() {
            if cut.is_cut[node] {
                self.states[node] = State::Circle;
            }
        }
        for node in cut.left {
            if node >= functions {
                self.states[node] = State::Circle;
            }
        }
        self.at_entry.copy_from_slice(&cut.is_cut[..functions]);
        cut.order
    }

    fn run(&mut self, root: usize) {
        if !matches!(self.states[root], State::Unseen) {
            return;
        }
        self.states[root] = State::Open;
        let mut open = vec![Open { node: root, next: 0 }];
        while let Some(Open { node, next }) = open.last_mut() {
            let node = *node;
            if let Some(callee) = self.callee(node, *next) {
                *next += 1;
                match self.states[callee] {
                    // Where it leads is a matter of its own, because all calls of the type, or of the function, have a check.
                    State::Circle => {}
                    State::Unseen if self.has_check_at_entry(callee) => {}
                    State::Unseen => {
                        self.states[callee] = State::Open;
                        open.push(Open { node: callee, next: 0 });
                    }
                    State::Open | State::Done(_) => {}
                }
            } else {
                self.finish(node);
                open.pop();
            }
        }
    }

    fn has_check_at_entry(&self, node: usize) -> bool {
        self.at_entry.get(node).is_some_and(|at_entry| *at_entry)
    }

    /// What is known of a function, or of the functions of a type, when it is called.
    fn known(&self, node: usize) -> Callee {
        match self.states[node] {
            State::Done(unchecked) => Callee::Leaves(unchecked),
            State::Unseen | State::Open if self.has_check_at_entry(node) => {
                Callee::Leaves(Unchecked::CHECKED)
            }
            State::Unseen | State::Open | State::Circle => Callee::LeadsBack,
        }
    }

    fn finish(&mut self, node: usize) {
        let functions = self.module.function_types.len();
        if node >= functions {
            self.states[node] = State::Done(self.of_all(node - functions));
            return;
        }
        let Some(trace) = self.trace(node) else {
            self.states[node] = State::Done(self.host());
            return;
        };
        let callee = |call: &Call| self.known(self.node(call.callee));
        let points = |at_entry| walk::points(trace, at_entry, self.interval, callee);
        let (mut places, mut unchecked) = points(self.at_entry[node]);
        // One check at its entry, rather than one before each call of it.
        if unchecked.until_return.free > Some(u64::from(self.interval / 2)) {
            (places, unchecked) = points(true);
        }
        if !self.module.catches {
            unchecked.until_throw = Exit::default();
        }
        self.points[node - self.module.imported.functions as usize] = places;
        self.states[node] = State::Done(unchecked);
    }

    /// What a call of any function of a type may do without a check.
    fn of_all(&self, ty: usize) -> Unchecked {
        let mut all = Unchecked::NOTHING;
        for &function in &self.of_type[ty] {
            if let Callee::Leaves(unchecked) = self.known(function as usize) {
                all.join(unchecked);
            }
        }
        // If there are none, it is a function of the host's or of another instance's.
        if self.of_type[ty].is_empty() || self.module.hands_out_functions {
            all.join(self.host());
        }
        all
    }

    fn host(&self) -> Unchecked {
        Unchecked::host(self.module.catches)
    }
}
