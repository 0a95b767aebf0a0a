//! The functions of such a module, step by step.

use super::Heap::{Exn, Extern, T, U};
use super::Ty::{I32, I64, Ref, V128};
use super::{Heap, Label, Maker, TAGS, TYPES, Ty};
use std::fmt::Write;

impl Maker {
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    pub(super) fn put(&mut self, what: impl AsRef<str>) {
        self.text += what.as_ref();
        self.text.push('\n');
    }

    pub(super) fn types(&mut self, most: u64) -> Vec<Ty> {
        if self.chance(25) {
            let mut types = self.random.of(&TAGS).to_vec();
            if self.chance(30) {
                types.push(Ref(Exn, self.chance(50)));
            }
            return types;
        }
        (0..self.random.below(most + 1)).map(|_| self.random.of(&TYPES)).collect()
    }

    pub(super) fn name(&mut self, ty: Ty) -> String {
        let t = if self.chance(50) { "$t" } else { "$s" };
        match ty {
            I32 => "i32".to_owned(),
            I64 => "i64".to_owned(),
            V128 => "v128".to_owned(),
            Ref(heap, null) => {
                let of = match heap {
                    Heap::Func => "func",
                    T => t,
                    U => "$u",
                    Extern => "extern",
                    Exn => "exn",
                };
                format!("(ref {}{of})", if null { "null " } else { "" })
            }
        }
    }

    pub(super) fn list(&mut self, what: &str, types: &[Ty]) -> String {
        types.iter().fold(String::new(), |mut text, &ty| {
            write!(text, " ({what} {})", self.name(ty)).unwrap();
            text
        })
    }

    pub(super) fn function(&mut self, n: usize) {
        let (params, results) = self.functions[n].clone();
        let more = (0..self.random.below(6)).map(|_| self.random.of(&TYPES)).collect::<Vec<_>>();
        let (take, give) = (self.list("param", &params), self.list("result", &results));
        let locals = self.list("local", &more);
        self.put(format!("(func $f{n}{take}{give}{locals}"));
        self.is_set = more.iter().map(|ty| !matches!(ty, Ref(_, false))).collect();
        self.is_set.splice(0..0, params.iter().map(|_| true));
        self.locals = [params, more].concat();
        self.labels = vec![Label { types: results.clone(), is_loop: false }];
        (self.stack, self.this) = (vec![], n);
        self.budget = self.random.of(&[10, 20, 40]);
        self.loops = self.random.of(&[20, 40, 90]);
        self.steps(&results);
        self.put(")");
    }

    /// Steps, and after them these types are all that is on the stack of the block.
    pub(super) fn steps(&mut self, wanted: &[Ty]) {
        let fewest = if self.labels.len() == 1 { 4 } else { 0 };
        for _ in 0..fewest + self.random.below(6) {
            self.step();
        }
        if self.chance(60) {
            self.branch(self.labels.len() - 1);
        }
        let to = self.random.below(self.labels.len() as u64) as usize;
        if self.chance(8) && !self.labels[to].is_loop {
            self.arrange(&self.labels[to].types.clone());
            self.put(format!("br {}", self.labels.len() - 1 - to));
            self.stack.clear();
            self.step();
        }
        let fits = |stack: &[Ty]| {
            stack.len() <= wanted.len() && stack.iter().zip(wanted).all(|(ty, of)| ty.is_a(*of))
        };
        while !fits(&self.stack) {
            let ty = self.stack.pop().unwrap();
            self.see(ty);
        }
        for &ty in &wanted[self.stack.len()..] {
            self.push(ty);
        }
        self.stack.clear();
    }

    /// Makes these types the last ones on the stack.
    pub(super) fn arrange(&mut self, wanted: &[Ty]) {
        let most = wanted.len().min(self.stack.len());
        let fits = |count: &usize| {
            let last = &self.stack[self.stack.len() - count..];
            last.iter().zip(wanted).all(|(ty, of)| ty.is_a(*of))
        };
        let kept = (0..=most).rev().find(fits).unwrap();
        self.stack.truncate(self.stack.len() - kept);
        self.stack.extend(&wanted[..kept]);
        for &ty in &wanted[kept..] {
            self.push(ty);
        }
    }

    pub(super) fn push(&mut self, ty: Ty) {
        self.value(ty);
        self.stack.push(ty);
    }

    pub(super) fn value(&mut self, ty: Ty) {
        let all = 0..self.locals.len();
        let locals: Vec<_> = all.filter(|&n| self.is_set[n] && self.locals[n].is_a(ty)).collect();
        if !locals.is_empty() && self.chance(50) {
            let local = self.random.of(&locals);
            return self.put(format!("local.get {local}"));
        }
        let number = self.random.below(50);
        let text = match ty {
            I32 => match self.random.below(4) {
                0 => "global.get $seen".to_owned(),
                1 => format!("(call $wait (i32.const {number}))"),
                _ => format!("i32.const {number}"),
            },
            I64 => format!("i64.const {number}"),
            V128 => format!("v128.const i32x4 0 {number} 2 3"),
            Ref(Heap::Func, null) => {
                let of = self.random.of(&[T, U]);
                return self.value(Ref(of, null));
            }
            Ref(T, true) if self.chance(30) => "ref.null $s".to_owned(),
            Ref(T, _) => format!("ref.func $t{}", number % 3),
            Ref(U, _) => format!("ref.func $u{}", number % 2),
            Ref(Extern, true) if self.chance(20) => "ref.null extern".to_owned(),
            Ref(Extern, true) => format!("(call $make (i32.const {number}))"),
            Ref(Extern, _) => format!("(ref.as_non_null (call $make (i32.const {number})))"),
            Ref(Exn, true) if self.chance(30) => "ref.null exn".to_owned(),
            Ref(Exn, true) => "call $some_exn".to_owned(),
            Ref(Exn, _) => "(ref.as_non_null (call $some_exn))".to_owned(),
        };
        self.put(text);
    }

    /// Takes the last value off the stack.
    pub(super) fn see(&mut self, ty: Ty) {
        if self.chance(20) {
            return self.put("drop");
        }
        self.put(match ty {
            I32 => "call $see_i32",
            I64 => "call $see_i64",
            V128 => "call $see_v128",
            Ref(Heap::Func, _) => "call $see_func",
            Ref(T, _) => "call $see_t",
            Ref(U, _) => "call $see_u",
            Ref(Extern, _) => "call $see_extern",
            Ref(Exn, _) => "call $see_exn",
        });
    }

    pub(super) fn step(&mut self) {
        self.budget -= 1;
        if self.budget < 0 {
            return;
        }
        // Deep nests of loops.
        if self.loops == 90 && self.chance(40) {
            return self.block();
        }
        match self.random.below(20) {
            0..3 => {
                let ty = self.random.of(&TYPES);
                self.push(ty);
            }
            3 => {
                if let Some(ty) = self.stack.pop() {
                    self.see(ty);
                }
            }
            4 => {
                self.push(I32);
                self.stack.pop();
                self.put("call $wait");
                self.stack.push(I32);
            }
            5 => self.put("call $pause"),
            6 => {
                self.arrange(&[I32, I64]);
                self.stack.truncate(self.stack.len() - 2);
                self.put("call $two");
                self.stack.extend([I64, I32]);
            }
            7 | 8 => self.local(),
            9 | 10 => self.call(),
            11..14 => {
                let to = self.random.below(self.labels.len() as u64) as usize;
                self.branch(to);
            }
            14 => self.leave(),
            _ => self.block(),
        }
    }

    fn local(&mut self) {
        let Some(&ty) = self.stack.last() else { return };
        let all = 0..self.locals.len();
        let locals: Vec<_> = all.filter(|&n| ty.is_a(self.locals[n])).collect();
        if locals.is_empty() {
            return;
        }
        let local = self.random.of(&locals);
        self.is_set[local] = true;
        self.stack.pop();
        if self.chance(50) {
            self.put(format!("local.set {local}"));
        } else {
            self.put(format!("local.tee {local}"));
            self.stack.push(self.locals[local]);
        }
    }

    fn call(&mut self) {
        let function = self.random.below(6) as usize;
        let (name, params, results) = match function {
            0 => ("call_ref $s".to_owned(), vec![Ref(T, false)], vec![I32]),
            1 => ("call_ref $u".to_owned(), vec![Ref(T, true), Ref(U, false)], vec![Ref(T, false)]),
            2 => {
                let which = self.random.below(4);
                (format!("(call_indirect $tab (type $s) (i32.const {which}))"), vec![], vec![I32])
            }
            _ if function - 3 > self.this => {
                let (params, results) = self.functions[function - 3].clone();
                (format!("call $f{}", function - 3), params, results)
            }
            _ => return,
        };
        self.arrange(&params);
        self.stack.truncate(self.stack.len() - params.len());
        self.put(name);
        self.stack.extend(results);
    }
}
