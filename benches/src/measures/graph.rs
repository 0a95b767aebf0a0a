//! 10,000 empty closures in a random graph, in which each depends on two before it, on two workers: beside the same graph on
//! rayon with atomic counters by hand. Both sides build their graph in each round.

use super::pool;
use crate::rounds::{Finding, Other, compare};
use rayon::ThreadPool;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::mpsc::{Sender, channel};
use wasm_jobs::{JobHandle, JobPool};

const JOBS: usize = 10_000;
const WORKERS: usize = 2;

pub(crate) fn measure() -> Finding {
    let graph = random_graph();
    let (ours, theirs) = (pool(WORKERS), pool(WORKERS));
    compare(
        Other::Peer("rayon"),
        31,
        JOBS as u64,
        || with_handles(&ours, &graph),
        || by_hand(&theirs, &graph),
    )
}

/// The jobs on which each job depends.
fn random_graph() -> Vec<Vec<usize>> {
    let mut random = 1_u64;
    let mut below = |end: usize| {
        // The generator of MMIX, by D. Knuth.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % end
    };
    (0..JOBS).map(|job| if job < 2 { vec![] } else { vec![below(job), below(job)] }).collect()
}

fn with_handles(pool: &Arc<ThreadPool>, graph: &[Vec<usize>]) {
    let mut handles: Vec<JobHandle> = Vec::with_capacity(JOBS);
    for after in graph {
        let handle = match after[..] {
            [] => pool.submit_fn(|| ()),
            [one, other] => {
                let after = [handles[one].clone(), handles[other].clone()];
                pool.submit_after(|| (), &after)
            }
            _ => unreachable!("each has none or two"),
        };
        handles.push(handle);
    }
    JobHandle::all(handles).wait();
}

struct Node {
    remaining: AtomicUsize,
    then: Vec<usize>,
}

fn by_hand(pool: &Arc<ThreadPool>, graph: &[Vec<usize>]) {
    struct Run {
        nodes: Vec<Node>,
        remaining: AtomicUsize,
        done: Sender<()>,
    }

    fn run(all: Arc<Run>, node: usize) {
        for &next in &all.nodes[node].then {
            if all.nodes[next].remaining.fetch_sub(1, AcqRel) == 1 {
                let all = all.clone();
                rayon::spawn(move || run(all, next));
            }
        }
        if all.remaining.fetch_sub(1, AcqRel) == 1 {
            all.done.send(()).expect("it is waited for");
        }
    }

    let node = |after: &Vec<usize>| Node { remaining: after.len().into(), then: Vec::new() };
    let mut nodes: Vec<_> = graph.iter().map(node).collect();
    for (node, after) in graph.iter().enumerate() {
        after.iter().for_each(|&before| nodes[before].then.push(node));
    }
    let (done, is_done) = channel();
    let all = Arc::new(Run { nodes, remaining: JOBS.into(), done });
    for node in (0..JOBS).filter(|&node| graph[node].is_empty()) {
        let all = all.clone();
        ThreadPool::spawn(pool, move || run(all, node));
    }
    is_done.recv().expect("the last one sends it");
}
