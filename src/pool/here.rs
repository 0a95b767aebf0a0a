//! [`FutureRunner::run`]: makes the calling thread a pool of one worker, for one call.

use crate::call::runner::FutureRunner;
use crate::call::turn::Job;
use crate::pool::call::into_job;
use crate::sync::Mutex;
use crate::wait::block::{Sleeper, Wanted, help_or_sleep};
use std::sync::Arc;

impl<T: Send + 'static> FutureRunner<T> {
    /// Runs the call to its end, on this thread, which sleeps while the call waits. The [`Future`](crate::Future) gives the result.
    pub fn run(self) {
        // There is one job, so the queue has one place.
        let sleeper = Sleeper::new();
        let queue = Arc::new(Mutex::new(None::<Job>));
        let enqueue = {
            let (queue, waker) = (queue.clone(), sleeper.waker().clone());
            move |job: Job| {
                *queue.lock() = Some(job);
                waker.wake_by_ref();
            }
        };
        let (job, mut handle) = into_job(self, enqueue);
        *queue.lock() = Some(job);
        while !handle.is_complete_or_wakes(sleeper.waker()) {
            let job = queue.lock().take();
            match job {
                Some(job) => {
                    if let Some(job) = job.turn() {
                        *queue.lock() = Some(job);
                    }
                }
                None => help_or_sleep(&sleeper, Wanted::Any),
            }
        }
    }
}
