//! [`Dfs`]: all schedules, one after the other, depth first; and, if steps declare what they touch, of those that differ in nothing but the
//! order of steps that touch nothing in common, one.
//!
//! For the latter it has sleep sets (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032, 1996). Once a job's
//! step was tried at a node, that job sleeps there while other jobs are tried, and after their steps, until one of them touches what its own step touches:
//! before that, its step would only repeat what was seen. A run in which all jobs that can go on are asleep is redundant, and ends.

use crate::explore::choice::Choice;
use crate::explore::footprint::Footprint;
use crate::explore::strategy::{Strategy, WENT_ANOTHER_WAY};
use std::mem;

pub(crate) struct Dfs {
    /// How many runs may still begin.
    left: u64,
    reduces: bool,
    is_over: bool,
    /// The choices of the run in progress; before it, those that it is to begin with.
    path: Vec<Node>,
    at: usize,
    /// The nodes of the steps in progress: those inside others last.
    open: Vec<usize>,
    misfit: Option<String>,
}

enum Node {
    Step(Step),
    Pick { value: u32, of: u32 },
}

struct Step {
    /// The jobs that can go on.
    ready: Vec<usize>,
    /// Which of them takes the step.
    chosen: usize,
    /// What that step touches; `None` until it has ended.
    footprint: Option<Footprint>,
    /// The jobs that sleep, each with what its step touches.
    asleep: Vec<(usize, Footprint)>,
}

impl Step {
    /// The first job that can go on and does not sleep.
    fn first_awake(&self) -> Option<usize> {
        let is_asleep = |job: &usize| self.asleep.iter().any(|(asleep, _)| asleep == job);
        self.ready.iter().position(|job| !is_asleep(job))
    }
}

impl Dfs {
    pub(crate) fn new(limit: u64, reduces: bool) -> Self {
        Self {
            left: limit,
            reduces,
            is_over: false,
            path: Vec::new(),
            at: 0,
            open: Vec::new(),
            misfit: None,
        }
    }

    /// After the same choices, other ones are possible than before.
    fn goes_another_way(&mut self) {
        let choices = self.at;
        self.misfit.get_or_insert_with(|| {
            format!("{WENT_ANOTHER_WAY}\n  after the first {choices} choices, other jobs can go on than before")
        });
    }

    /// The jobs that sleep after the last step.
    fn asleep(&self) -> Vec<(usize, Footprint)> {
        let last = self.path.iter().rev().find_map(|node| match node {
            Node::Step(step) => Some(step),
            Node::Pick { .. } => None,
        });
        // A step that has not ended may touch anything: this one is inside it.
        let Some(Step { footprint: Some(footprint), asleep, .. }) = last else { return Vec::new() };
        let stays = |(_, other): &&(usize, Footprint)| footprint.is_apart_from(other);
        asleep.iter().filter(stays).cloned().collect()
    }
}

impl Strategy for Dfs {
    fn begin(&mut self) -> bool {
        self.at = 0;
        self.open.clear();
        if self.left == 0 || self.is_over {
            return false;
        }
        self.left -= 1;
        true
    }

    fn next(&mut self, ready: &[usize]) -> Option<Choice> {
        if self.at == self.path.len() {
            let asleep = self.asleep();
            let mut step = Step { ready: ready.to_vec(), chosen: 0, footprint: None, asleep };
            step.chosen = step.first_awake()?;
            self.path.push(Node::Step(step));
        }
        let chosen = match &mut self.path[self.at] {
            Node::Step(step) if step.ready == ready => {
                step.footprint = None;
                step.chosen
            }
            _ => {
                self.goes_another_way();
                0
            }
        };
        self.open.push(self.at);
        self.at += 1;
        Some(Choice { value: u32::try_from(chosen).unwrap_or(u32::MAX), fuel: 0 })
    }

    fn pick(&mut self, of: u32) -> u32 {
        if self.at == self.path.len() {
            self.path.push(Node::Pick { value: 0, of });
        }
        let value = match self.path[self.at] {
            Node::Pick { value, of: before } if before == of => value,
            _ => {
                self.goes_another_way();
                0
            }
        };
        self.at += 1;
        value
    }

    fn wants_footprints(&self) -> bool {
        self.reduces
    }

    fn stepped(&mut self, footprint: Footprint) {
        if let Some(node) = self.open.pop()
            && let Node::Step(step) = &mut self.path[node]
        {
            step.footprint = Some(footprint);
        }
    }

    /// The deepest choice that has another possibility makes the next schedule.
    fn end(&mut self, _: usize) {
        self.path.truncate(self.at);
        while let Some(deepest) = self.path.last_mut() {
            match deepest {
                Node::Pick { value, of } if *value + 1 < *of => {
                    *value += 1;
                    return;
                }
                Node::Pick { .. } => {}
                Node::Step(step) => {
                    let footprint = mem::take(&mut step.footprint).unwrap_or(Footprint::All);
                    step.asleep.push((step.ready[step.chosen], footprint));
                    if let Some(next) = step.first_awake() {
                        step.chosen = next;
                        return;
                    }
                }
            }
            self.path.pop();
        }
        self.is_over = true;
    }

    fn misfit(&self) -> Option<&str> {
        self.misfit.as_deref()
    }

    fn is_exhausted(&self) -> bool {
        self.is_over
    }
}
