//! [`JobPool`] for rayon's pools. Their jobs stand in queues that [`rayon_workers`](crate::pool::rayon_workers) serve.

use crate::call::turn::Job;
use crate::pool::JobPool;
use crate::pool::rayon_workers::{put, put_global};
use rayon::ThreadPool;
use std::sync::Arc;

/// Rayon's global pool, as a [`JobPool`]. `Arc<rayon::ThreadPool>` is one too.
///
/// Other work of the pool gets its share, however many jobs there are: it waits for two milliseconds at most, and for the turns that are in
/// progress then. One extra thread sees to this; while there are always jobs, it wakes about once in a millisecond.
///
/// wasmtime compiles modules on rayon's global pool. To configure that pool, call `rayon::ThreadPoolBuilder::build_global` before you compile
/// the first module. Afterwards the pool exists, and `build_global` fails.
///
/// A job runs on the workers of its own pool. Rayon does not tell whether a worker is the global pool's. So until each worker of the global pool
/// has been free once since the first job came to it, a worker of another pool of the same size that has spawned work before it waits for a
/// job is taken for one of them, and may run a job of the global pool.
///
/// # Host functions that use rayon
///
/// While a host function waits for its worker's pool, in `rayon::join` for instance, rayon has the worker run other work of the pool.
///
/// - A job that is run meanwhile has a stack of its own, never that of the guest that called the host function. It holds the host
///   function up for one turn.
/// - The closures of a `join`, and other work of rayon's, run on the stack of the guest. Leave room for them
///   (`EngineOptions::host_stack`): running out of it aborts the process.
/// - While waiting, do not hold a lock that the host functions of other jobs take: this very thread may run such a job.
/// - Do not block on a job's handle in a host function. Make the host function async, and await the handle.
#[derive(Clone, Copy, Debug, Default)]
pub struct RayonGlobal;

impl JobPool for RayonGlobal {
    fn enqueue(&self, job: Job) {
        put_global(job);
    }
}

impl JobPool for Arc<ThreadPool> {
    fn enqueue(&self, job: Job) {
        put(job, self);
    }
}
