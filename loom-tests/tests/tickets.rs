//! The ticket queue of a pool whose workers have other work too. Every job in the queue is run, even if no other job follows it, and even if the
//! worker of the job before it is blocked. The tickets are never more than one for each worker and the spare. Once the queue is empty, all permits
//! are given up. A forgotten job shows as a deadlock: a worker waits for a ticket that no thread sends.
#![cfg(wasm_jobs_loom)]

use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use wasm_jobs::model::{self, Stock, Taken, take_and_help, wait_and_help};
use wasm_jobs::{Job, JobHandle, JobPool};
use wasm_jobs_loom_tests::Watch;

type Ticket = Box<dyn FnOnce() + Send>;

/// The workers of a pool. They are threads of the model, and run the tickets in the order of spawning.
#[derive(Clone)]
struct Workers(Arc<Shared>);

struct Shared {
    contents: Mutex<Contents>,
    has_changed: Condvar,
    count: usize,
    service: Service,
}

/// How long a worker serves the queue with one ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    /// Until the queue is empty.
    UntilEmpty,
    /// For one turn. The worker has its ticket spawned again before the turn.
    OneTurn,
    /// Until the queue is empty. For this many jobs at first, the server panics outside the job.
    Panics(usize),
}

#[derive(Default)]
struct Contents {
    tickets: VecDeque<Ticket>,
    /// The number of jobs that have run.
    done: usize,
    panics: usize,
    /// Set by `spawn` and asserted by `take`, because the library catches a panic of `spawn` in some places.
    had_too_many: bool,
}

impl Contents {
    fn take(&mut self) -> Option<Ticket> {
        assert!(
            !self.had_too_many,
            "there were more tickets than one for each worker and the spare"
        );
        self.tickets.pop_front()
    }
}

impl model::Workers for Workers {
    fn spawn(&self, ticket: impl FnOnce() + Send + 'static) {
        let mut contents = self.0.contents.lock().unwrap();
        contents.tickets.push_back(Box::new(ticket));
        contents.had_too_many |= contents.tickets.len() > self.0.count + 1;
        drop(contents);
        self.0.has_changed.notify_all();
    }

    fn spawn_again(&self, ticket: impl FnOnce() + Send + 'static) {
        self.spawn(ticket);
    }

    fn count(&self) -> usize {
        self.0.count
    }

    fn serves_on(&self, _: Duration) -> bool {
        if let Service::Panics(times) = self.0.service {
            let mut contents = self.0.contents.lock().unwrap();
            if contents.panics < times {
                contents.panics += 1;
                contents.done += 1;
                drop(contents);
                resume_unwind(Box::new("a turn panics outside the job"));
            }
        }
        self.0.service != Service::OneTurn
    }
}

impl Workers {
    /// Runs tickets until `done` jobs are done, and sleeps while there is no ticket. Workers call this, and so do jobs that block.
    fn work_until(&self, done: usize) {
        loop {
            let mut contents = self.0.contents.lock().unwrap();
            let ticket = loop {
                if contents.done >= done {
                    return;
                }
                if let Some(ticket) = contents.take() {
                    break ticket;
                }
                contents = self.0.has_changed.wait(contents).unwrap();
            };
            drop(contents);
            // Rayon catches a panic of a ticket too.
            let _ = catch_unwind(AssertUnwindSafe(ticket));
        }
    }

    /// Runs tickets until there are none.
    fn run_tickets(&self) {
        while let Some(ticket) = self.try_take() {
            ticket();
        }
    }

    fn try_take(&self) -> Option<Ticket> {
        self.0.contents.lock().unwrap().take()
    }

    fn count_done(&self) {
        self.0.contents.lock().unwrap().done += 1;
        self.0.has_changed.notify_all();
    }

    fn done(&self) -> usize {
        self.0.contents.lock().unwrap().done
    }
}

#[derive(Clone)]
struct Pool {
    queue: Arc<model::Queue>,
    workers: Workers,
}

impl JobPool for Pool {
    fn enqueue(&self, job: Job) {
        self.queue.put(job, &self.workers);
    }
}

impl Pool {
    fn of_workers(count: usize, service: Service) -> Self {
        let contents = Mutex::default();
        let shared = Shared { contents, has_changed: Condvar::new(), count, service };
        Self { queue: Arc::default(), workers: Workers(Arc::new(shared)) }
    }

    /// Puts a job that does nothing into the queue.
    fn put(&self) {
        let workers = self.workers.clone();
        self.submit_fn(move || workers.count_done());
    }

    /// Puts a job into the queue that blocks its worker until `others` jobs are done. Meanwhile, the worker runs tickets.
    fn put_blocking(&self, others: usize) {
        let workers = self.workers.clone();
        self.submit_fn(move || {
            workers.work_until(others);
            workers.count_done();
        });
    }

    /// A job that is in no queue yet and counts itself as done, and its handle.
    fn job_that_counts(&self) -> (Job, JobHandle) {
        let workers = self.workers.clone();
        job_outside_a_queue(move || workers.count_done())
    }

    /// Spawns a worker that works until `done` jobs are done.
    fn spawn_worker(&self, done: usize) -> thread::JoinHandle<()> {
        let workers = self.workers.clone();
        thread::spawn(move || workers.work_until(done))
    }

    /// Spawns a thread that puts a job into the queue.
    fn spawn_putter(&self) -> thread::JoinHandle<()> {
        let pool = self.clone();
        thread::spawn(move || pool.put())
    }

    /// Waits for a job as a worker does, and helps meanwhile.
    fn wait_and_help(&self, handle: &JobHandle) {
        wait_and_help(handle, &self.queue, &self.workers);
    }

    /// Asserts that `jobs` jobs have run and that no permit is out. If none is out, as many `put`s as there are permits send a ticket each.
    fn assert_is_idle(self, jobs: usize) {
        self.workers.run_tickets();
        assert_eq!(self.workers.done(), jobs, "the number of jobs that have run");
        let permits = self.workers.0.count + 1;
        (0..permits).for_each(|_| self.put());
        let tickets: Vec<_> = (0..permits).filter_map(|_| self.workers.try_take()).collect();
        assert_eq!(tickets.len(), permits, "a permit is out, although there is no ticket");
        tickets.into_iter().for_each(|ticket| ticket());
        self.workers.run_tickets();
        assert_eq!(self.workers.done(), jobs + permits, "the next jobs did not run");
        assert_eq!(Arc::strong_count(&self.queue), 1, "the queue is still referenced");
        assert_eq!(Arc::strong_count(&self.workers.0), 1, "the workers are still referenced");
    }
}

/// A job that is in no queue yet, and its handle.
fn job_outside_a_queue(work: impl FnOnce() + Send + 'static) -> (Job, JobHandle) {
    let place = Arc::new(std::sync::Mutex::new(None));
    let pool = {
        let place = place.clone();
        move |job: Job| *place.lock().unwrap() = Some(job)
    };
    let handle = pool.submit_fn(work);
    let job = place.lock().unwrap().take();
    (job.expect("the job was submitted"), handle)
}

fn a_job_is_put_while_the_spare_finds_none(service: Service) {
    loom::model(move || {
        let pool = Pool::of_workers(1, service);
        pool.put_blocking(2);
        pool.put();
        let worker = pool.spawn_worker(3);

        pool.put();
        worker.join().unwrap();
        pool.assert_is_idle(3);
    });
}

/// The first job waits for the others inside the pool. So the worker runs the spare, which finds no third job and is about to give its permit up.
///
/// Mistakes: there is no spare; a server looks for a last job before its permit counts as given up, or nothing orders that look after it; nothing
/// orders the look of `put` for a server after the job.
#[test]
fn a_job_is_put_while_the_spare_finds_none_beside_a_server() {
    a_job_is_put_while_the_spare_finds_none(Service::UntilEmpty);
}

/// The model above, but the first job waits in the last turn of its ticket, and so without a permit.
#[test]
fn a_job_is_put_while_the_spare_finds_none_beside_a_last_turn() {
    a_job_is_put_while_the_spare_finds_none(Service::OneTurn);
}

/// Mistake: the queue counts as served after the first job, before all permits are out.
#[test]
fn both_workers_are_blocked_when_a_third_job_is_put() {
    loom::model(|| {
        let pool = Pool::of_workers(2, Service::UntilEmpty);
        pool.put_blocking(1);
        pool.put_blocking(1);
        let workers = [0, 1].map(|_| pool.spawn_worker(3));

        pool.put();
        for worker in workers {
            worker.join().unwrap();
        }
        pool.assert_is_idle(3);
    });
}

/// The third job waits for the others. When the fourth job is put, the third job may have one permit, and the other permit may be about to be
/// given up.
///
/// Mistake: a server stores `is_served = false` before it has the lock under which it gives its permit up.
#[test]
fn a_permit_is_given_up_while_a_job_is_put_that_waits_for_the_next() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::UntilEmpty);
        pool.put();
        pool.put();
        let workers = [0, 1].map(|_| pool.spawn_worker(4));

        pool.put_blocking(3);
        pool.put();
        for worker in workers {
            worker.join().unwrap();
        }
        pool.assert_is_idle(4);
    });
}

/// Mistakes: two threads send the first ticket; neither thread sends it.
#[test]
fn two_threads_put_a_job_while_a_worker_serves() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::UntilEmpty);
        let (worker, putter) = (pool.spawn_worker(2), pool.spawn_putter());

        pool.put();
        putter.join().unwrap();
        worker.join().unwrap();
        pool.assert_is_idle(2);
    });
}

/// There are more jobs than tickets. A worker serves one job with a ticket, and has the ticket spawned again.
///
/// Mistakes: tickets are sent and not counted; a ticket is sent although all permits are out; a ticket is not spawned again.
#[test]
fn two_threads_put_jobs_before_a_worker_comes() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::OneTurn);
        let putter = pool.spawn_putter();

        pool.put();
        pool.put();
        putter.join().unwrap();
        pool.workers.work_until(3);
        pool.assert_is_idle(3);
    });
}

/// Mistakes: a helper registers after its last look for a job; it does not store `is_served = false`; `put` does not wake it.
#[test]
fn a_job_is_put_while_the_only_worker_falls_asleep() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::UntilEmpty);
        pool.put();
        pool.put();
        // Now all tickets are in the pool. This thread is its only worker.
        let (job, handle) = pool.job_that_counts();
        let putter = thread::spawn({
            let pool = pool.clone();
            move || pool.enqueue(job)
        });

        pool.wait_and_help(&handle);
        putter.join().unwrap();
        pool.assert_is_idle(3);
    });
}

/// Mistake: `put` stores `is_served = true` after it has released the lock. By then, a permit may have been given up, or a helper may sleep.
#[test]
fn two_jobs_are_put_while_the_only_worker_falls_asleep() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::UntilEmpty);
        pool.put();
        let (job, handle) = pool.job_that_counts();
        let putter = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.put();
                pool.enqueue(job);
            }
        });

        pool.wait_and_help(&handle);
        putter.join().unwrap();
        pool.assert_is_idle(3);
    });
}

/// Both workers wait, each for a job of its own. One of these jobs is cancelled. If `put` wakes the worker that waited for it, that worker may
/// leave without a look at the queue.
///
/// Mistake: `put` wakes only one helper.
#[test]
fn two_workers_fall_asleep_while_the_job_of_one_is_put() {
    loom::model(|| {
        let pool = Pool::of_workers(2, Service::UntilEmpty);
        let (cancelled, handle_of_cancelled) = job_outside_a_queue(|| ());
        let (wanted, handle) = pool.job_that_counts();
        let helpers = [handle_of_cancelled, handle].map(|handle| {
            let pool = pool.clone();
            thread::spawn(move || pool.wait_and_help(&handle))
        });

        drop(cancelled);
        pool.enqueue(wanted);
        for helper in helpers {
            helper.join().unwrap();
        }
        pool.assert_is_idle(1);
    });
}

/// A helper gives a job a turn. That job cancels the job that the helper waits for, and yields. Then the helper leaves, and looks for no other
/// job.
///
/// Mistake: a helper pushes a yielding job back into the queue, and sends no ticket for it.
#[test]
fn a_helper_leaves_after_it_has_given_a_job_a_turn() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_workers(1, Service::UntilEmpty), Watch::default());
        let (_wanted, handle) = job_outside_a_queue(|| ());
        let (workers, cancelled) = (pool.workers.clone(), handle.clone());
        let mut has_yielded = false;
        let mut future = watch.call(move |context| {
            if std::mem::replace(&mut has_yielded, true) {
                workers.count_done();
                return Poll::Ready(());
            }
            cancelled.cancel();
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let submitted = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker(1);

        pool.wait_and_help(&handle);
        worker.join().unwrap();
        pool.workers.run_tickets();
        drop(future.wait().unwrap());
        drop((submitted, future));
        pool.assert_is_idle(1);
    });
}

/// Mistake: when a helper passes over a job, the job is in no queue while a server looks.
#[test]
fn a_helper_looks_for_its_job_while_a_worker_serves() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::UntilEmpty);
        pool.put();
        let (wanted, handle) = pool.job_that_counts();
        pool.enqueue(wanted);
        let worker = pool.spawn_worker(2);

        pool.wait_and_help(&handle);
        worker.join().unwrap();
        pool.assert_is_idle(2);
    });
}

fn a_job_yields_while(
    service: Service,
    jobs: usize,
    meanwhile: fn(&Pool) -> Option<thread::JoinHandle<()>>,
) {
    loom::model(move || {
        let (pool, watch) = (Pool::of_workers(1, service), Watch::default());
        let workers = pool.workers.clone();
        let mut has_yielded = false;
        let mut future = watch.call(move |context| {
            if std::mem::replace(&mut has_yielded, true) {
                workers.count_done();
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.spawn_worker(jobs);

        let other = meanwhile(&pool);
        worker.join().unwrap();
        other.into_iter().for_each(|other| other.join().unwrap());
        pool.workers.run_tickets();
        assert!(handle.is_complete());
        drop(future.try_get_result().unwrap().unwrap());
        drop((handle, future));
        watch.assert_is_over();
        pool.assert_is_idle(jobs);
    });
}

/// Mistake: a server drops a job that yields.
#[test]
fn a_job_yields_to_its_server_while_another_is_put() {
    a_job_yields_while(Service::UntilEmpty, 2, |pool| {
        pool.put();
        None
    });
}

/// Mistake: a server pushes a job that yields in the last turn back into the queue, and sends no ticket for it.
#[test]
fn a_job_yields_in_a_last_turn_while_another_worker_gives_the_permits_up() {
    a_job_yields_while(Service::OneTurn, 1, |pool| Some(pool.spawn_worker(1)));
}

/// Mistakes: a dropped ticket keeps its permit; it gives the permit up, and does not store `is_served = false`.
#[test]
fn the_pool_drops_its_tickets_while_a_job_is_put() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Service::UntilEmpty);
        pool.put();
        let dropper = thread::spawn({
            let workers = pool.workers.clone();
            move || {
                while let Some(ticket) = workers.try_take() {
                    drop(ticket);
                }
            }
        });

        pool.put();
        dropper.join().unwrap();
        // A pool that drops tickets runs the jobs only after another job is put.
        pool.put();
        pool.assert_is_idle(3);
    });
}

/// This model has one thread. For std, all threads of loom are one thread, so a thread that unwinds would poison the locks that others hold.
///
/// Mistakes: a server that panics keeps its permit; it gives the permit up, and no other ticket serves the queue.
#[test]
fn a_worker_panics_while_it_serves() {
    loom::model(|| {
        // One panic for each ticket of the first jobs.
        let pool = Pool::of_workers(1, Service::Panics(2));
        for _ in 0..3 {
            pool.put();
        }

        pool.workers.work_until(3);
        pool.assert_is_idle(3);
    });
}

/// The only worker waits for what a call gives back. A closure is before the call in the queue, and would keep the worker from it, if it waited for
/// the same.
///
/// Mistakes: the worker does not look for a call after it has registered as a helper; it runs the closure; it does not sleep while there are
/// closures.
#[test]
fn a_call_is_put_behind_a_closure_while_the_only_worker_wants_turns() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_workers(1, Service::UntilEmpty), Watch::default());
        pool.put();
        let stock = Arc::new(Stock::new(1));
        let Some(Taken::Vacancy) = stock.try_take() else { panic!("there is room for one") };
        let mut call = watch.call({
            let stock = stock.clone();
            move |_| {
                stock.put(Some(()));
                Poll::Ready(())
            }
        });
        let runner = call.to_job().unwrap();
        let putter = thread::spawn({
            let pool = pool.clone();
            move || drop(pool.submit(runner))
        });

        let taken = take_and_help(stock.take(), &pool.queue, &pool.workers);
        assert!(matches!(taken, Taken::Thing(())));
        assert_eq!(pool.workers.done(), 0, "the closure was begun");
        putter.join().unwrap();
        drop(call.wait().unwrap());
        watch.assert_is_over();
        pool.assert_is_idle(1);
    });
}
