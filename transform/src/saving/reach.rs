//! [`Reach`]: which calls may be suspended, because they may lead to an import that suspends.

use crate::module::Module;
use crate::stops::trace::Callee;
use std::ops::Range;

/// Which functions may be on the stack, below a host function, while that is suspended.
#[derive(Debug)]
pub(crate) struct Reach {
    /// The functions, and after them the types: a call of a type may lead to every function of the type that a reference can be to.
    suspends: Vec<bool>,
    functions: usize,
    canonical_types: Vec<u32>,
}

impl Reach {
    /// `imports` tells of each imported function whether a call may wait in it. `never` are the functions that checks call: a call that waits below one of them cannot be
    /// saved.
    pub(crate) fn new(module: &Module<'_>, imports: &[bool], never: &Range<u32>) -> Self {
        let functions = module.function_types.len();
        let nodes = functions + module.canonical_types.len();
        let canonical_types = module.canonical_types.clone();
        let mut reach = Self { suspends: vec![false; nodes], functions, canonical_types };
        let mut callers = vec![Vec::new(); nodes];
        for &function in &module.referenced {
            let ty = module.function_types[function as usize];
            callers[function as usize].push(reach.node(Callee::OfType(ty)));
        }
        for body in &module.bodies {
            for call in &body.trace.calls {
                callers[reach.node(call.callee)].push(body.function as usize);
            }
        }
        let mut reached: Vec<usize> = Vec::new();
        for (function, &suspends) in imports.iter().enumerate() {
            reach.suspends[function] = suspends;
            reached.extend(suspends.then_some(function));
        }
        while let Some(node) = reached.pop() {
            for &caller in &callers[node] {
                if !never.contains(&(caller as u32))
                    && !std::mem::replace(&mut reach.suspends[caller], true)
                {
                    reached.push(caller);
                }
            }
        }
        reach
    }

    fn node(&self, callee: Callee) -> usize {
        match callee {
            Callee::Function(index) => index as usize,
            Callee::OfType(index) => self.functions + self.canonical_types[index as usize] as usize,
        }
    }

    /// Whether a call may be suspended.
    pub(crate) fn suspends(&self, callee: Callee) -> bool {
        self.suspends[self.node(callee)]
    }
}
