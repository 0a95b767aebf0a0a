//! Branches, blocks and handlers.

use super::Heap::{Exn, Extern, T, U};
use super::Ty::{I32, Ref};
use super::{Heap, Label, Maker, TAGS, Ty};

impl Maker {
    /// A branch that may be taken. One to a loop is taken so often at most.
    pub(super) fn branch(&mut self, to: usize) {
        let label = self.labels.len() - 1 - to;
        let (types, is_loop) = (self.labels[to].types.clone(), self.labels[to].is_loop);
        let heap = self.random.of(&[T, Extern, Heap::Func, U]);
        match (self.random.below(4), types.last()) {
            (0, _) => {
                self.arrange(&types);
                if is_loop {
                    self.maybe(heap, true)
                } else {
                    self.value(Ref(heap, true))
                }
                self.put(format!("br_on_null {label}"));
                self.stack.push(Ref(heap, false));
            }
            (1, Some(&Ref(heap, _))) => {
                let below = &types[..types.len() - 1];
                self.arrange(below);
                if is_loop {
                    self.maybe(heap, false)
                } else {
                    self.value(Ref(heap, true))
                }
                self.put(format!("br_on_non_null {label}"));
            }
            (2, _) => {
                self.arrange(&types);
                let (take, give) = (self.list("param", &types), self.list("result", &types));
                self.put(format!("block {take}{give}"));
                let same = |label: &Label| {
                    label.types.len() == types.len()
                        && types.iter().zip(&label.types).all(|(ty, of)| ty.is_a(*of))
                };
                let labels = self.labels.iter().rev().zip(1..).filter(|(label, _)| same(label));
                let all: Vec<u32> = labels.map(|(_, label)| label).collect();
                let some: String = (0..3).map(|_| format!(" {}", self.random.of(&all))).collect();
                self.put("call $more");
                self.value(I32);
                self.put(format!("(i32.and (i32.const 3))\ni32.mul\nbr_table 0{some} 0\nend"));
            }
            _ => {
                self.arrange(&types);
                if is_loop {
                    self.put("call $more")
                } else {
                    self.value(I32)
                }
                if !is_loop && self.chance(70) {
                    self.put("(i32.and (i32.const 1))");
                }
                self.put(format!("br_if {label}"));
            }
        }
    }

    /// A reference that is null, or not, as long as there is more.
    fn maybe(&mut self, heap: Heap, null: bool) {
        let of = self.name(Ref(heap, true));
        let none = match heap {
            Heap::Func => "ref.null func",
            T => "ref.null $t",
            U => "ref.null $u",
            Extern => "ref.null extern",
            Exn => "ref.null exn",
        };
        self.put(format!("(if (result {of}) (call $more) (then"));
        if null {
            self.put(none)
        } else {
            self.value(Ref(heap, false))
        }
        self.put(") (else");
        if null {
            self.value(Ref(heap, false))
        } else {
            self.put(none)
        }
        self.put("))");
    }

    /// Leaves the function or a block for good, in an `if`.
    pub(super) fn leave(&mut self) {
        let is_set = self.is_set.clone();
        let outside = std::mem::take(&mut self.stack);
        self.put("call $more\nif");
        let tag = self.random.below(4) as usize;
        let results = self.functions[self.this].1.clone();
        let same = (self.this + 1..3).find(|&n| self.functions[n].1 == results);
        match (self.random.below(6), same) {
            (0, _) => {
                self.arrange(&results);
                self.put("return");
            }
            (1, _) => {
                self.push(Ref(Exn, false));
                self.put("throw_ref");
            }
            (2, Some(same)) => {
                self.arrange(&self.functions[same].0.clone());
                self.put(format!("return_call $f{same}"));
            }
            (3, _) => {
                let to = self.random.below(self.labels.len() as u64) as usize;
                self.arrange(&self.labels[to].types.clone());
                self.put(format!("br {}", self.labels.len() - to));
            }
            _ => {
                self.arrange(TAGS[tag]);
                self.put(format!("throw $e{tag}"));
            }
        }
        self.put("end");
        (self.stack, self.is_set) = (outside, is_set);
    }

    pub(super) fn block(&mut self) {
        let mut params = if self.chance(40) {
            self.types(4)
        } else {
            let count = self.random.below(self.stack.len().min(4) as u64 + 1) as usize;
            self.stack[self.stack.len() - count..].to_vec()
        };
        for ty in &mut params {
            if let Ref(heap, null) = *ty
                && self.chance(30)
            {
                *ty = Ref(if matches!(heap, T | U) { Heap::Func } else { heap }, null);
            }
        }
        self.arrange(&params);
        self.stack.truncate(self.stack.len() - params.len());
        let kind = if self.chance(self.loops) { "loop" } else { "other" };
        let kind =
            if kind == "loop" { kind } else { self.random.of(&["block", "if", "try_table"]) };
        let has_else = kind == "if" && self.chance(60);
        let keeps = (kind == "if" && !has_else) || self.chance(30);
        let results = if keeps { params.clone() } else { self.types(4) };
        let (take, give) = (self.list("param", &params), self.list("result", &results));
        if kind == "if" {
            self.value(I32);
            self.put("(i32.and (i32.const 1))");
        }
        let handlers = if kind == "try_table" { self.handlers() } else { String::new() };
        self.put(format!("{kind}{take}{give}{handlers}"));
        let is_loop = kind == "loop";
        let types = if is_loop { params.clone() } else { results.clone() };
        self.labels.push(Label { types, is_loop });
        let outside = std::mem::replace(&mut self.stack, params.clone());
        let is_set = self.is_set.clone();
        self.steps(&results);
        if has_else {
            self.put("else");
            self.stack = params;
            self.is_set.clone_from(&is_set);
            self.steps(&results);
        }
        self.put("end");
        self.labels.pop();
        (self.stack, self.is_set) = (outside, is_set);
        self.stack.extend(results);
    }

    fn handlers(&mut self) -> String {
        let mut all = Vec::new();
        for (label, to) in self.labels.iter().rev().zip(0..) {
            let fits = |types: &[Ty]| {
                types.len() == label.types.len()
                    && types.iter().zip(&label.types).all(|(ty, of)| ty.is_a(*of))
            };
            for (tag, types) in TAGS.iter().enumerate() {
                if fits(types) {
                    all.push(format!(" (catch $e{tag} {to})"));
                }
                if fits(&[types, &[Ref(Exn, false)][..]].concat()) {
                    all.push(format!(" (catch_ref $e{tag} {to})"));
                }
            }
            if fits(&[]) {
                all.push(format!(" (catch_all {to})"));
            }
            if fits(&[Ref(Exn, false)]) {
                all.push(format!(" (catch_all_ref {to})"));
            }
        }
        let count = if all.is_empty() { 0 } else { self.random.below(4) };
        (0..count).map(|_| all[self.random.below(all.len() as u64) as usize].clone()).collect()
    }
}
