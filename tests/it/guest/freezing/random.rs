//! Random programs with calls of the host everywhere, frozen at each of these calls: they give, log and leave behind what they do undisturbed.
//!
//! `WASM_JOBS_FROZEN_PROGRAMS` says how many programs there are, and `WASM_JOBS_FROZEN_SEED` the first one.

use super::{Log, When, deep_config, finish, linked};
use crate::guest::checkpoints::random::Chance;
use std::collections::BTreeMap;
use std::fmt::Write;
use wasm_jobs::wasmtime::{Engine, OptLevel, Trap};
use wasm_jobs::{EngineOptions, Error, Instance, InstanceOptions, PreparedPre};

const TYPES: [&str; 5] = ["i32", "i64", "f32", "f64", "v128"];

/// The module of the function type of all that is called by reference.
const HEAD: &str = r#"
    (import "env" "yield" (func $yield))
    (import "host" "wait" (func $host_wait (param i32) (result i32)))
    (import "host" "log" (func $log (param i32)))
    (type $t (func (param i32) (result i32)))
    (tag $e (param i32)) (tag $other (param i64))
    (memory (export "memory") 1 4)
    (table $f 6 funcref) (elem (i32.const 0) $wait $plain $wait $yields $plain $yields)
    (elem declare func $wait $plain $yields)
    (global $budget (mut i32) (i32.const 25))
    (global $i32 (mut i32) (i32.const 1)) (global $i64 (mut i64) (i64.const 2))
    (global $f32 (mut f32) (f32.const 3)) (global $f64 (mut f64) (f64.const 4))
    (global $v128 (mut v128) (v128.const i32x4 5 6 7 8))
    (global $ref (mut (ref null $t)) (ref.null $t))
    (func $wait (type $t)
        (if (i32.eqz (global.get $budget)) (then (return (local.get 0))))
        (global.set $budget (i32.sub (global.get $budget) (i32.const 1)))
        (call $host_wait (local.get 0)))
    (func $yields (type $t)
        (if (global.get $budget) (then
            (global.set $budget (i32.sub (global.get $budget) (i32.const 1)))
            (call $yield)))
        (i32.mul (local.get 0) (i32.const 3)))
    (func $plain (type $t) (i32.xor (local.get 0) (i32.const 21)))"#;

/// A function whose body is being written.
struct Writer<'a> {
    chance: &'a mut Chance,
    /// The parameters and the results of all functions. This one calls those after it.
    functions: &'a [(Vec<usize>, usize)],
    this: usize,
    /// The types of the locals. One more of each type counts the turns of a loop, by its depth.
    locals: Vec<usize>,
    loops: usize,
    labels: usize,
}

const MOST_LOOPS: usize = 3;

impl Writer<'_> {
    fn number(&mut self) -> i64 {
        [0, 1, 2, 3, 7, -1, 100, 65_535, -70_000][self.chance.below(9)]
    }

    fn constant(&mut self, ty: usize) -> String {
        let n = self.number();
        match TYPES[ty] {
            "v128" => format!("(v128.const i64x2 {n} {})", self.number()),
            name => format!("({name}.const {n})"),
        }
    }

    fn local(&mut self, ty: usize) -> Option<usize> {
        let of_type: Vec<_> = (0..self.locals.len()).filter(|at| self.locals[*at] == ty).collect();
        (!of_type.is_empty()).then(|| of_type[self.chance.below(of_type.len())])
    }

    /// An address at which there is room for any value.
    fn address(&mut self, depth: usize) -> String {
        format!("(i32.and (i32.const 0xfff8) {})", self.value(0, depth))
    }

    fn label(&mut self) -> usize {
        self.labels += 1;
        self.labels
    }

    /// An expression of a type.
    fn value(&mut self, ty: usize, depth: usize) -> String {
        let name = TYPES[ty];
        if depth == 0 {
            return match (self.chance.below(3), self.local(ty)) {
                (0, _) => self.constant(ty),
                (1, _) | (_, None) => format!("(global.get ${name})"),
                (_, Some(local)) => format!("(local.get {local})"),
            };
        }
        let deeper = depth - 1;
        match self.chance.below(12) {
            0 | 1 => {
                let operations: &[&str] = match name {
                    "i32" | "i64" => &["add", "sub", "mul", "xor", "rotl", "shr_s"],
                    "v128" => &["xor", "or", "and"],
                    _ => &["add", "sub", "mul", "max", "div", "copysign"],
                };
                let operation = operations[self.chance.below(operations.len())];
                format!(
                    "({name}.{operation} {} {})",
                    self.value(ty, deeper),
                    self.value(ty, deeper)
                )
            }
            2 => {
                let from = if ty == 4 { 0 } else { (ty + 1 + self.chance.below(4)) % 5 };
                let how = match (TYPES[from], name) {
                    ("i64", "i32") => "i32.wrap_i64",
                    ("f32", "i32") => "i32.reinterpret_f32",
                    ("f64", "i32") => "i32.trunc_sat_f64_s",
                    ("v128", "i32") => "i32x4.extract_lane 1",
                    ("i32", "i64") => "i64.extend_i32_s",
                    ("f32", "i64") => "i64.trunc_sat_f32_u",
                    ("f64", "i64") => "i64.reinterpret_f64",
                    ("v128", "i64") => "i64x2.extract_lane 0",
                    ("i32", "f32") => "f32.reinterpret_i32",
                    ("i64", "f32") => "f32.convert_i64_s",
                    ("f64", "f32") => "f32.demote_f64",
                    ("v128", "f32") => "f32x4.extract_lane 3",
                    ("i32", "f64") => "f64.convert_i32_u",
                    ("i64", "f64") => "f64.reinterpret_i64",
                    ("f32", "f64") => "f64.promote_f32",
                    ("v128", "f64") => "f64x2.extract_lane 1",
                    _ => "i32x4.splat",
                };
                format!("({how} {})", self.value(from, deeper))
            }
            3 => format!("({name}.load {})", self.address(deeper)),
            4 => {
                let (yes, no) = (self.value(ty, deeper), self.value(ty, deeper));
                format!("(select {yes} {no} {})", self.value(0, deeper))
            }
            5 => {
                let condition = self.value(0, deeper);
                let (yes, no) = (self.block(ty, deeper), self.block(ty, deeper));
                format!("(if (result {name}) {condition} (then {yes}) (else {no}))")
            }
            6 => {
                let label = self.label();
                let (value, condition) = (self.value(ty, deeper), self.value(0, deeper));
                format!(
                    "(block $l{label} (result {name}) {} (br_if $l{label} {value} {condition}))",
                    self.statements(deeper)
                )
            }
            7 if ty == 0 => {
                // The inner tag is never thrown, so that the outer handler, or nobody, catches it.
                let label = self.label();
                let handlers = ["catch $e", "catch $e", "catch $e", "catch $e", "catch $other"];
                let handler = handlers[self.chance.below(5)];
                let ty = if handler == "catch $other" { "i64" } else { "i32" };
                let (body, value) = (self.statements(deeper), self.value(0, deeper));
                let wrap = if ty == "i64" { "i32.wrap_i64" } else { "i32.popcnt" };
                format!(
                    "({wrap} (block $l{label} (result {ty}) (try_table ({handler} $l{label}) {body} {}) ({ty}.const 9)))",
                    if self.chance.below(2) == 0 {
                        format!("(throw $e {value})")
                    } else {
                        format!("(drop {value})")
                    },
                )
            }
            8 if ty == 0 => format!("(call $wait {})", self.value(0, deeper)),
            9 if ty == 0 => {
                let place = format!("(i32.and (i32.const 3) {})", self.value(0, deeper));
                format!("(call_indirect $f (type $t) {} {place})", self.value(0, deeper))
            }
            10 if ty == 0 => {
                let value = self.value(0, deeper);
                format!(
                    "(call_ref $t {value} (if (result (ref $t)) (ref.is_null (local.get $r)) (then (ref.func $plain)) (else (ref.as_non_null (local.get $r)))))"
                )
            }
            _ => {
                let all = self.this + 1..self.functions.len();
                let fit: Vec<_> = all.filter(|at| self.functions[*at].1 == ty).collect();
                if fit.is_empty() {
                    return self.value(ty, 0);
                }
                let callee = fit[self.chance.below(fit.len())];
                let params = self.functions[callee].0.clone();
                let params: Vec<_> = params.iter().map(|ty| self.value(*ty, deeper)).collect();
                format!("(call $f{callee} {})", params.join(" "))
            }
        }
    }

    fn block(&mut self, ty: usize, depth: usize) -> String {
        format!("{} {}", self.statements(depth), self.value(ty, depth))
    }

    fn statements(&mut self, depth: usize) -> String {
        (0..self.chance.below(3)).map(|_| self.statement(depth)).collect()
    }

    fn statement(&mut self, depth: usize) -> String {
        let deeper = depth.saturating_sub(1);
        let ty = self.chance.below(5);
        match self.chance.below(11) {
            0..=2 => match self.local(ty) {
                Some(local) => format!("(local.set {local} {})", self.value(ty, deeper)),
                None => format!("(global.set ${} {})", TYPES[ty], self.value(ty, deeper)),
            },
            3 => format!("(global.set ${} {})", TYPES[ty], self.value(ty, deeper)),
            4 => {
                let address = self.address(deeper);
                format!("({}.store {address} {})", TYPES[ty], self.value(ty, deeper))
            }
            5 => format!("(drop (call $yields {}))", self.value(0, deeper)),
            6 => format!("(call $log {})", self.value(0, deeper)),
            7 => {
                let to = ["$wait", "$plain", "$yields"][self.chance.below(3)];
                let set = ["local.set $r", "global.set $ref"][self.chance.below(2)];
                let from = ["(global.get $ref)", "(local.get $r)"][self.chance.below(2)];
                match self.chance.below(3) {
                    0 => format!("({set} {from})"),
                    1 => format!("({set} (ref.func {to}))"),
                    _ => format!(
                        "(table.set $f (i32.const {}) (ref.func {to}))",
                        self.chance.below(6)
                    ),
                }
            }
            8 if self.loops < MOST_LOOPS && depth > 0 => {
                let (label, counter) = (self.label(), self.loops);
                self.loops += 1;
                let body = self.statements(deeper) + &self.statement(deeper);
                self.loops -= 1;
                format!(
                    "(local.set $c{counter} (i32.const {})) (loop $l{label} {body}
                    (br_if $l{label} (local.tee $c{counter} (i32.sub (local.get $c{counter}) (i32.const 1)))))",
                    1 + self.chance.below(3),
                )
            }
            9 if self.chance.below(4) == 0 => "(drop (memory.grow (i32.const 1)))".to_owned(),
            _ => format!("(drop {})", self.value(ty, deeper)),
        }
    }
}

/// The text of a program.
fn program(seed: u64) -> String {
    let chance = &mut Chance::new(seed);
    let mut functions = vec![(vec![], 0)];
    for _ in 0..2 + chance.below(4) {
        let params = (0..chance.below(4)).map(|_| chance.below(5)).collect();
        functions.push((params, chance.below(5)));
    }
    let mut text = format!("(module {HEAD}");
    for (this, (params, result)) in functions.iter().enumerate() {
        let mut locals = params.clone();
        locals.extend((0..chance.below(7)).map(|_| chance.below(5)));
        let types = |list: &[usize]| list.iter().map(|ty| TYPES[*ty]).collect::<Vec<_>>().join(" ");
        write!(
            text,
            "\n(func $f{this} {} (param {}) (result {}) (local {}) (local $r (ref null $t)) (local $c0 i32) (local $c1 i32) (local $c2 i32) ",
            if this == 0 { "(export \"run\")" } else { "" },
            types(params),
            TYPES[*result],
            types(&locals[params.len()..]),
        )
        .expect("a text can be written");
        let functions = &functions;
        let mut writer = Writer { chance, functions, this, locals, loops: 0, labels: 0 };
        for _ in 0..3 {
            text += &writer.statement(3);
        }
        text += &writer.block(*result, 3);
        text += ")";
    }
    text + ")"
}

/// What is seen of a program.
#[derive(Debug, PartialEq)]
struct Seen {
    result: Result<i32, String>,
    log: Vec<i32>,
    suspensions: usize,
    hash: u128,
    /// What is left of its fuel, unless it fails: engines count roughly then.
    fuel: Option<u64>,
}

/// `None` if it runs for too long.
fn run(pre: &PreparedPre<Log>, when: When) -> Result<Option<(Seen, usize)>, Error> {
    let options = InstanceOptions::default().fuel(300_000);
    let instance = Instance::with_options(pre, options.clone(), Log::default)?;
    let call = instance.call::<(), i32>("run", ())?;
    let carry = |instance: &Instance<Log>| Ok(instance.store()?.data().clone());
    let ended = finish(pre, &options, (instance, call), when, carry, || panic!("nothing waits"))?;
    let result = match &ended.result {
        Ok(result) => Ok(*result),
        Err(Error::Trap(trap)) if trap.code() == Trap::OutOfFuel => return Ok(None),
        Err(Error::Trap(trap)) => Err(format!("{:?}", trap.code())),
        // What follows its first line is a backtrace, with the names of twins.
        Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    };
    let log = ended.instance.store()?.data().take();
    let (hash, suspensions) = (ended.hash()?, ended.suspensions);
    let fuel = result.is_ok().then(|| ended.instance.fuel_remaining()).transpose()?;
    Ok(Some((Seen { result, log, suspensions, hash, fuel }, ended.frozen)))
}

#[test]
fn programs_do_the_same_wherever_they_are_frozen() -> Result<(), Error> {
    let number = |name, or: u64| {
        std::env::var(name).map_or(or, |text| text.parse().expect("it is a number"))
    };
    let first = number("WASM_JOBS_FROZEN_SEED", 0);
    let programs = number("WASM_JOBS_FROZEN_PROGRAMS", 60);
    let mut config = deep_config(&EngineOptions::default().fuel(true));
    // The bits of what is no number would depend on how the code is compiled.
    config.cranelift_nan_canonicalization(true).cranelift_opt_level(OptLevel::None);
    let engine = Engine::new(&config)?;
    let (mut outcomes, mut frozen_times) = (BTreeMap::new(), 0);
    for seed in first..first + programs {
        let pre = linked(&engine, &program(seed))?;
        let outcome = match run(&pre, When::Never)? {
            None => "too long",
            Some((expected, _)) => {
                let every = expected.suspensions.div_ceil(6).max(1);
                let alone = (1..=expected.suspensions).step_by(every).map(When::At);
                for when in alone.chain([When::Always]) {
                    let failed = |error| panic!("seed {seed}, {when:?}: {error}");
                    let found = run(&pre, when).unwrap_or_else(failed);
                    let (found, frozen) = found.expect("twins take no more fuel");
                    assert_eq!(found, expected, "seed {seed}, {when:?}");
                    frozen_times += frozen;
                }
                match expected {
                    Seen { suspensions: 0, .. } => "never waits",
                    Seen { result: Ok(_), .. } => "returns",
                    Seen { .. } => "fails",
                }
            }
        };
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    println!("{outcomes:?}, frozen {frozen_times} times");
    if programs >= 60 {
        let count = |outcome| outcomes.get(outcome).copied().unwrap_or(0);
        assert!(count("returns") > 10 && count("fails") > 2, "{outcomes:?}");
        assert!(frozen_times > 200, "{frozen_times}");
    }
    Ok(())
}
