//! Guests behave the same in each run, by hand and on pools of any size.

use super::{Program, args, program};
use std::iter;
use std::time::Duration;
use wasm_jobs::{Error, JobHandle, JobPool, ManualClock, Step};

/// Guests that compute, draw random numbers, sleep, yield, poll and print the time.
fn start(clock: &ManualClock) -> Result<Vec<Program>, Error> {
    let wanderer = program("wanderer")?;
    let start = |n: u64| {
        let ctx = args(["wanderer", &n.to_string()]).clock(clock.clone()).seed(n / 3);
        Program::start(&wanderer, ctx)
    };
    (0..30).map(start).collect()
}

/// The result and the output of each program.
fn outcome(programs: Vec<Program>) -> Vec<(String, String)> {
    let outcome = |mut program: Program| {
        let result = program.main.try_get_result();
        (format!("{result:?}"), program.printed())
    };
    programs.into_iter().map(outcome).collect()
}

fn by_hand() -> Result<Vec<(String, String)>, Error> {
    let clock = ManualClock::new();
    let mut programs = start(&clock)?;
    while !programs.iter().all(|program| program.main.has_result()) {
        for program in &mut programs {
            while program.main.resume()? == Step::Yielded {}
        }
        tick(&clock);
    }
    Ok(outcome(programs))
}

fn on(pool: impl JobPool) -> Result<Vec<(String, String)>, Error> {
    let clock = ManualClock::new();
    let mut programs = start(&clock)?;
    let jobs: Result<Vec<JobHandle>, Error> =
        programs.iter_mut().map(|program| Ok(pool.submit(program.main.to_job()?))).collect();
    let jobs = jobs?;
    loop {
        let running = jobs.iter().filter(|job| !job.is_complete()).count();
        if running == 0 {
            return Ok(outcome(programs));
        }
        if clock.sleepers() == running {
            tick(&clock);
        } else {
            std::thread::yield_now();
        }
    }
}

fn tick(clock: &ManualClock) {
    if let Some(next) = clock.next_deadline() {
        clock.tick(next - wasm_jobs::Clock::now(clock));
    }
}

/// Checks the output of one guest. It prints its steps with two clocks, which differ by the start of the monotonic clock, and then a number that
/// determines its result.
fn check(result: &str, printed: &str) {
    let lines: Vec<_> = printed.lines().collect();
    let [steps @ .., state] = &lines[..] else { panic!("the guest printed nothing: {result}") };
    assert_eq!(steps.len(), 20, "{printed}");
    for (number, step) in steps.iter().enumerate() {
        let fields: Vec<_> = step.split(' ').collect();
        assert_eq!(fields[0], number.to_string());
        let [monotonic, of_day] = [2, 3].map(|field| fields[field].parse().unwrap());
        let of_day = Duration::from_nanos(of_day);
        assert_eq!(Duration::from_nanos(monotonic), super::MONOTONIC_START + of_day);
    }
    let expected = match u32::from_str_radix(state, 16).unwrap() % 5 {
        0 => "Ok(Some(()))".to_owned(),
        code => format!("Err(Exit({code}))"),
    };
    assert_eq!(result, expected);
}

#[test]
fn by_hand_on_one_worker_and_on_many() -> Result<(), Error> {
    let expected = by_hand()?;
    for (result, printed) in &expected {
        check(result, printed);
    }
    assert_ne!(expected[0].1, expected[1].1, "guests of one seed differ by their arguments");
    for workers in iter::repeat_n([1, 2, 8], 3).flatten() {
        assert_eq!(on(crate::support::workers(workers))?, expected, "{workers} workers");
        #[cfg(feature = "rayon")]
        {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().unwrap();
            assert_eq!(on(std::sync::Arc::new(pool))?, expected, "{workers} rayon threads");
        }
    }
    Ok(())
}
