//! The ticket queue of a pool whose workers have other work too: every job that is put there is run, also if no other job is put after it and if
//! the worker of the job before it is blocked; there is never more than one ticket for each worker, and the spare; and once there are no jobs, all
//! permits are given up. A job that is forgotten shows as a deadlock: a worker waits for a ticket that nobody sends.
#![cfg(wasm_jobs_loom)]

use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use wasm_jobs::model::{self, wait_and_help};
use wasm_jobs::{Job, JobHandle, JobPool};
use wasm_jobs_loom_tests::Watch;

type Ticket = Box<dyn FnOnce() + Send>;

/// The workers of a pool: threads of the model, which run the tickets in the order in which they are spawned.
#[derive(Clone)]
struct Workers(Arc<Shared>);

struct Shared {
    contents: Mutex<Contents>,
    has_changed: Condvar,
    count: usize,
    serves: Serves,
}

/// What a worker does that has a job, and could take another one with the same ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serves {
    /// It serves on until the queue is empty.
    ToTheEnd,
    /// It has its ticket spawned again, before each turn.
    OneTurn,
    /// It panics while it serves the first jobs, so many times.
    Panics(usize),
}

#[derive(Default)]
struct Contents {
    tickets: VecDeque<Ticket>,
    /// How many jobs have been run.
    done: usize,
    panics: usize,
    /// The library catches what `spawn` throws in some places, so the next worker says it.
    had_too_many: bool,
}

impl Contents {
    fn take(&mut self) -> Option<Ticket> {
        assert!(!self.had_too_many, "there were more tickets than workers, and the spare");
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
        if let Serves::Panics(times) = self.0.serves {
            let mut contents = self.0.contents.lock().unwrap();
            if contents.panics < times {
                contents.panics += 1;
                contents.done += 1;
                drop(contents);
                resume_unwind(Box::new("a turn panics outside the job"));
            }
        }
        self.0.serves != Serves::OneTurn
    }
}

impl Workers {
    /// Runs tickets until so many jobs are done, and sleeps while there is none. A worker does so, and a job inside the pool.
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
            // Rayon catches it too.
            let _ = catch_unwind(AssertUnwindSafe(ticket));
        }
    }

    /// Runs what tickets there are.
    fn run_the_rest(&self) {
        while let Some(ticket) = self.try_take() {
            ticket();
        }
    }

    fn try_take(&self) -> Option<Ticket> {
        self.0.contents.lock().unwrap().take()
    }

    fn note_one_done(&self) {
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
    fn of_workers(count: usize, serves: Serves) -> Self {
        let contents = Mutex::default();
        let shared = Shared { contents, has_changed: Condvar::new(), count, serves };
        Self { queue: Arc::default(), workers: Workers(Arc::new(shared)) }
    }

    /// Puts a job into the queue that does nothing.
    fn put(&self) {
        let workers = self.workers.clone();
        self.submit_fn(move || workers.note_one_done());
    }

    /// Puts a job into the queue that blocks its worker until so many others are done, and has it run tickets meanwhile.
    fn put_one_that_waits_for(&self, others: usize) {
        let workers = self.workers.clone();
        self.submit_fn(move || {
            workers.work_until(others);
            workers.note_one_done();
        });
    }

    /// A worker that works until so many jobs are done.
    fn worker(&self, done: usize) -> thread::JoinHandle<()> {
        let workers = self.workers.clone();
        thread::spawn(move || workers.work_until(done))
    }

    /// Another thread that puts a job into the queue.
    fn putter(&self) -> thread::JoinHandle<()> {
        let pool = self.clone();
        thread::spawn(move || pool.put())
    }

    fn waits_and_helps(&self, handle: &JobHandle) {
        wait_and_help(handle, &self.queue, &self.workers);
    }

    /// Asserts that so many jobs have been run, and that no permit is out, by what the next job gets.
    fn assert_rests(self, jobs: usize) {
        self.workers.run_the_rest();
        assert_eq!(self.workers.done(), jobs, "so many jobs have been run");
        self.put();
        let tickets = [self.workers.try_take(), self.workers.try_take()];
        assert!(
            tickets.iter().all(Option::is_some),
            "a permit is out, although there is no ticket"
        );
        tickets.into_iter().flatten().for_each(|ticket| ticket());
        self.workers.run_the_rest();
        assert_eq!(self.workers.done(), jobs + 1, "the next job was run");
        assert_eq!(Arc::strong_count(&self.queue), 1, "something still leads to the queue");
        assert_eq!(Arc::strong_count(&self.workers.0), 1, "something still leads to the workers");
    }
}

/// A job, and its handle, that is in no queue yet.
fn job(work: impl FnOnce() + Send + 'static) -> (Job, JobHandle) {
    let place = Arc::new(std::sync::Mutex::new(None));
    let pool = {
        let place = place.clone();
        move |job: Job| *place.lock().unwrap() = Some(job)
    };
    let handle = pool.submit_fn(work);
    let job = place.lock().unwrap().take();
    (job.expect("it was submitted"), handle)
}

fn a_job_is_put_while_the_spare_finds_none(serves: Serves) {
    loom::model(move || {
        let pool = Pool::of_workers(1, serves);
        pool.put_one_that_waits_for(1);
        let worker = pool.worker(2);

        pool.put();
        worker.join().unwrap();
        pool.assert_rests(2);
    });
}

/// The first job waits for the second one inside the pool, and so the worker runs the spare, which finds no job and is about to give
/// its permit up.
///
/// Mistakes: there is no spare; the last look for a job comes before the permit counts as given up, or is not ordered after that; `put` does not
/// order its look for a server after the job.
#[test]
fn a_job_is_put_while_the_spare_finds_none_beside_a_server() {
    a_job_is_put_while_the_spare_finds_none(Serves::ToTheEnd);
}

/// Here, the job that waits has no permit.
#[test]
fn a_job_is_put_while_the_spare_finds_none_beside_a_last_turn() {
    a_job_is_put_while_the_spare_finds_none(Serves::OneTurn);
}

/// Mistake: the first job takes all the tickets that there may be.
#[test]
fn both_workers_are_blocked_when_a_third_job_is_put() {
    loom::model(|| {
        let pool = Pool::of_workers(2, Serves::ToTheEnd);
        pool.put_one_that_waits_for(1);
        pool.put_one_that_waits_for(1);
        let workers = [0, 1].map(|_| pool.worker(3));

        pool.put();
        for worker in workers {
            worker.join().unwrap();
        }
        pool.assert_rests(3);
    });
}

/// Mistakes: two threads send the first ticket; neither does.
#[test]
fn two_threads_put_a_job_while_a_worker_serves() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Serves::ToTheEnd);
        let (worker, putter) = (pool.worker(2), pool.putter());

        pool.put();
        putter.join().unwrap();
        worker.join().unwrap();
        pool.assert_rests(2);
    });
}

/// Mistakes: tickets are sent and not counted; all that may be out are sent, whatever is out.
#[test]
fn two_threads_put_jobs_before_a_worker_comes() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Serves::ToTheEnd);
        let putter = pool.putter();

        pool.put();
        pool.put();
        putter.join().unwrap();
        pool.workers.work_until(3);
        pool.assert_rests(3);
    });
}

/// Mistakes: a helper registers after its last look for a job, or does not say so; `put` does not wake it.
#[test]
fn a_job_is_put_while_the_only_worker_falls_asleep() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Serves::ToTheEnd);
        // Now every ticket is with the pool, whose only worker this is.
        pool.put();
        let (job, handle) = job({
            let workers = pool.workers.clone();
            move || workers.note_one_done()
        });
        let putter = thread::spawn({
            let pool = pool.clone();
            move || pool.enqueue(job)
        });

        pool.waits_and_helps(&handle);
        putter.join().unwrap();
        pool.assert_rests(2);
    });
}

/// Mistake: the queue counts as served after others could give their permits up, or fall asleep.
#[test]
fn two_jobs_are_put_while_the_only_worker_falls_asleep() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Serves::ToTheEnd);
        let (job, handle) = job({
            let workers = pool.workers.clone();
            move || workers.note_one_done()
        });
        let putter = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.put();
                pool.enqueue(job);
            }
        });

        pool.waits_and_helps(&handle);
        putter.join().unwrap();
        pool.assert_rests(2);
    });
}

/// Both workers wait, each for a job of its own. One of these jobs is cancelled, and that worker may look for no other job any more when it is
/// woken for one.
///
/// Mistake: `put` wakes one helper.
#[test]
fn two_workers_fall_asleep_while_the_job_of_one_is_put() {
    loom::model(|| {
        let pool = Pool::of_workers(2, Serves::ToTheEnd);
        let (cancelled, handle_of_cancelled) = job(|| ());
        let (wanted, handle) = job({
            let workers = pool.workers.clone();
            move || workers.note_one_done()
        });
        let helpers = [handle_of_cancelled, handle].map(|handle| {
            let pool = pool.clone();
            thread::spawn(move || pool.waits_and_helps(&handle))
        });

        drop(cancelled);
        pool.enqueue(wanted);
        for helper in helpers {
            helper.join().unwrap();
        }
        pool.assert_rests(1);
    });
}

/// The job that a helper has given a turn cancels the one that the helper waits for, and yields: the helper does not look for a job again.
///
/// Mistake: a helper puts a job back without having it served.
#[test]
fn a_helper_leaves_after_it_has_given_a_job_a_turn() {
    loom::model(|| {
        let (pool, watch) = (Pool::of_workers(1, Serves::ToTheEnd), Watch::default());
        let (_wanted, handle) = job(|| ());
        let (workers, cancelled) = (pool.workers.clone(), handle.clone());
        let mut has_yielded = false;
        let mut future = watch.call(move |context| {
            if std::mem::replace(&mut has_yielded, true) {
                workers.note_one_done();
                return Poll::Ready(());
            }
            cancelled.cancel();
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let submitted = pool.submit(future.to_job().unwrap());
        let worker = pool.worker(1);

        pool.waits_and_helps(&handle);
        worker.join().unwrap();
        pool.workers.run_the_rest();
        drop(future.wait().unwrap());
        drop((submitted, future));
        pool.assert_rests(1);
    });
}

/// Mistake: a job that is passed over by a helper is in no queue when a server looks.
#[test]
fn a_helper_looks_for_its_job_while_a_worker_serves() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Serves::ToTheEnd);
        pool.put();
        let (wanted, handle) = job({
            let workers = pool.workers.clone();
            move || workers.note_one_done()
        });
        pool.enqueue(wanted);
        let worker = pool.worker(2);

        pool.waits_and_helps(&handle);
        worker.join().unwrap();
        pool.assert_rests(2);
    });
}

fn a_job_yields_while_another_is_put(serves: Serves) {
    loom::model(move || {
        let (pool, watch) = (Pool::of_workers(1, serves), Watch::default());
        let workers = pool.workers.clone();
        let mut has_yielded = false;
        let mut future = watch.call(move |context| {
            if std::mem::replace(&mut has_yielded, true) {
                workers.note_one_done();
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let handle = pool.submit(future.to_job().unwrap());
        let worker = pool.worker(2);

        pool.put();
        worker.join().unwrap();
        pool.workers.run_the_rest();
        assert!(handle.is_complete());
        drop(future.try_get_result().unwrap().unwrap());
        drop((handle, future));
        watch.assert_is_over();
        pool.assert_rests(2);
    });
}

/// Mistake: a job that yields is dropped.
#[test]
fn a_job_yields_to_its_server_while_another_is_put() {
    a_job_yields_while_another_is_put(Serves::ToTheEnd);
}

/// Mistake: a job that yields in the last turn goes to the queue, and no ticket is sent for it.
#[test]
fn a_job_yields_in_a_last_turn_while_another_is_put() {
    a_job_yields_while_another_is_put(Serves::OneTurn);
}

/// Mistakes: a ticket that is dropped keeps its permit; it gives that up and does not say so.
#[test]
fn the_pool_drops_its_tickets_while_a_job_is_put() {
    loom::model(|| {
        let pool = Pool::of_workers(1, Serves::ToTheEnd);
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
        // A pool that drops tickets does not have to run the jobs, until it is given another one.
        pool.put();
        pool.assert_rests(3);
    });
}

/// Mistakes: a server that panics keeps its permit; it gives that up, and the queue is left to nobody.
#[test]
fn a_worker_panics_while_it_serves_and_a_job_is_put() {
    loom::model(|| {
        // As many panics as there are tickets for the first jobs.
        let pool = Pool::of_workers(1, Serves::Panics(2));
        pool.put();
        pool.put();
        let worker = pool.worker(3);

        pool.put();
        worker.join().unwrap();
        pool.assert_rests(3);
    });
}
