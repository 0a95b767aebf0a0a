//! Programs of random operations: with reduction, they come to the same ends as without it.

use super::waiting::event_within;
use crate::random_graph::Random;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasm_jobs::explore::{self, Explorer, Report, World};
use wasm_jobs::{Clock, Error, Event, Future, JobHandle, JobPool, yield_now};

/// What a call does in one step.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Read(usize),
    Add(usize),
    Wait(usize),
    Set(usize),
    Reset(usize),
    Sleep(u64),
    Choose,
    Cancel(usize),
}

fn operation(random: &mut Random) -> Operation {
    let which = random.below(2);
    match random.below(20) {
        0..4 => Operation::Read(which),
        4..8 => Operation::Add(which),
        8..11 => Operation::Wait(which),
        11..14 => Operation::Set(which),
        14 => Operation::Reset(which),
        15..18 => Operation::Sleep(1 + which as u64),
        18 => Operation::Choose,
        _ => Operation::Cancel(random.below(3)),
    }
}

/// What the calls of a program share.
#[derive(Default)]
struct Shared {
    variables: Mutex<[u32; 2]>,
    events: [Event; 2],
    /// The jobs, once all were submitted.
    jobs: Mutex<Vec<JobHandle>>,
}

const VARIABLES: [&str; 2] = ["x", "y"];
const EVENTS: [&str; 2] = ["event 0", "event 1"];

/// For so long a call waits for an event.
const LONG: Duration = Duration::from_secs(100);

impl Shared {
    /// Performs an operation, which may change what the call has read.
    async fn perform(&self, world: &World, operation: Operation, own: &mut u32) {
        match operation {
            Operation::Read(variable) => {
                world.reads(VARIABLES[variable]);
                *own = self.variables.lock().unwrap()[variable];
            }
            Operation::Add(variable) => {
                world.touches(VARIABLES[variable]);
                let mut variables = self.variables.lock().unwrap();
                variables[variable] = (2 * variables[variable] + *own) % 1_000;
            }
            Operation::Wait(event) => {
                // Nobody waits for ever. Each look at the event is declared.
                let wait = self.events[event].wait();
                let mut wait = pin!(event_within(wait, world.clock().sleep(LONG)));
                poll_fn(|context| {
                    world.touches(EVENTS[event]);
                    wait.as_mut().poll(context)
                })
                .await;
            }
            Operation::Set(event) => {
                world.touches(EVENTS[event]);
                self.events[event].set();
            }
            Operation::Reset(event) => {
                world.touches(EVENTS[event]);
                self.events[event].reset();
            }
            Operation::Sleep(seconds) => world.clock().sleep(Duration::from_secs(seconds)).await,
            Operation::Choose => *own += world.choose(2),
            Operation::Cancel(job) => {
                let job = self.jobs.lock().unwrap()[job].clone();
                job.cancel();
            }
        }
    }
}

/// The results of the calls, each with the time of its end, and the variables. `None` stands for a call that was cancelled or dropped.
type End = ([Option<(u32, Duration)>; 3], [u32; 2]);

/// Explores a program. In some, a job is dropped at any point.
fn ends(explorer: &Explorer, program: &[Vec<Operation>], drops: bool) -> (Report, BTreeSet<End>) {
    let ends = RefCell::new(BTreeSet::new());
    let report = explorer.run(|world: &World| -> Result<(), Error> {
        let shared = Arc::new(Shared::default());
        let mut calls: Vec<_> = program
            .iter()
            .zip(1..)
            .map(|(operations, mut own)| {
                let (shared, world, operations) =
                    (shared.clone(), world.clone(), operations.clone());
                Future::new(async move {
                    for operation in operations {
                        shared.perform(&world, operation, &mut own).await;
                        yield_now().await;
                    }
                    Ok((own, world.clock().now()))
                })
            })
            .collect();
        for call in &mut calls {
            let job = world.pool().submit(call.to_job()?);
            shared.jobs.lock().unwrap().push(job);
        }
        if drops {
            let job = shared.jobs.lock().unwrap()[0].clone();
            world.drop_at_any_point(&job);
        }
        world.run_all();
        let mut results = [None; 3];
        for (result, call) in results.iter_mut().zip(&mut calls) {
            *result = match call.try_get_result() {
                Err(Error::Cancelled) => None,
                result => result?,
            };
        }
        shared.jobs.lock().unwrap().clear();
        ends.borrow_mut().insert((results, *shared.variables.lock().unwrap()));
        Ok(())
    });
    (report, ends.into_inner())
}

const PROGRAMS: u32 = 60;

#[test]
fn programs_come_to_the_same_ends_with_and_without_reduction() {
    let mut random = Random(7);
    let mut fewer = 0;
    for number in 0..PROGRAMS {
        let lengths = [1 + random.below(3), 1 + random.below(3), 1 + random.below(3)];
        let program =
            lengths.map(|length| (0..length).map(|_| operation(&mut random)).collect::<Vec<_>>());
        let drops = number % 3 == 0;
        let all = explore::dfs(u64::MAX);
        let (full, expected) = ends(&all, &program, drops);
        let (reduced, found) = ends(&all.reduce(), &program, drops);
        let (_, by_chance) = ends(&explore::random(200), &program, drops);
        assert!(full.is_exhaustive && reduced.is_exhaustive);
        assert_eq!(found, expected, "{program:?}");
        assert!(by_chance.is_subset(&expected), "{program:?}");
        fewer += u32::from((reduced.schedules + reduced.redundant) * 2 < full.schedules);
    }
    assert!(fewer > PROGRAMS / 2, "{fewer}");
}

#[test]
fn programs_come_to_the_same_ends_where_steps_take_time() {
    let mut random = Random(11);
    let mut more = 0;
    for _ in 0..12 {
        let lengths = [1 + random.below(2), 1 + random.below(2), 1];
        let program =
            lengths.map(|length| (0..length).map(|_| operation(&mut random)).collect::<Vec<_>>());
        let all = explore::dfs(u64::MAX);
        let (_, without) = ends(&all, &program, false);
        let (full, expected) = ends(&all.clone().steps_take_time(), &program, false);
        let (reduced, found) = ends(&all.steps_take_time().reduce(), &program, false);
        assert!(full.is_exhaustive && reduced.is_exhaustive);
        assert_eq!(found, expected, "{program:?}");
        assert!(without.is_subset(&expected), "{program:?}");
        more += u32::from(without.len() < expected.len());
    }
    assert!(more > 2, "{more}");
}
