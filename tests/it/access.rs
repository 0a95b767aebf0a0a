//! Closures that wait for access to a value of another thread: `AccessQueue`.

use crate::support::{Counter, a_thread_each, ok};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use wasm_jobs::{AccessQueue, Error, Future, JobPool, Step};

type World = Vec<u32>;

#[test]
fn closures_run_in_the_order_of_their_arrival_and_give_their_results() -> Result<(), Error> {
    let (queue, mut world) = (AccessQueue::<World>::new(), World::new());
    let mut calls: Vec<_> = (0..5)
        .map(|number| {
            Future::new(ok(queue.with(move |world| {
                world.push(number);
                world.len()
            })))
        })
        .collect();
    for call in calls.iter_mut().rev() {
        assert_eq!(call.resume()?, Step::Waiting);
    }
    assert_eq!(queue.len(), 5);
    assert_eq!(queue.run(&mut world), 5);
    assert!(queue.is_empty());
    assert_eq!(world, [4, 3, 2, 1, 0]);
    for (number, call) in calls.iter_mut().enumerate() {
        assert_eq!(call.resume()?, Step::Done);
        assert_eq!(call.try_get_result()?, Some(5 - number));
    }
    Ok(())
}

#[test]
fn jobs_go_on_with_what_the_world_has_given_them() -> Result<(), Error> {
    let (queue, mut world) = (AccessQueue::<World>::new(), World::new());
    let mut calls: Vec<_> = (0..8)
        .map(|number| {
            let queue = queue.clone();
            Future::new(async move {
                let mut seen = 0;
                for _ in 0..50 {
                    seen += queue
                        .with(move |world| {
                            world.push(number);
                            1
                        })
                        .await;
                }
                Ok(seen)
            })
        })
        .collect();
    let job = a_thread_each.submit_all(calls.iter_mut().map(|call| call.to_job().unwrap()));
    while !job.is_complete() {
        queue.run(&mut world);
        std::thread::yield_now();
    }
    assert_eq!(world.len(), 8 * 50);
    for call in &mut calls {
        assert_eq!(call.try_get_result()?, Some(50));
    }
    Ok(())
}

#[test]
fn a_closure_that_arrives_during_a_run_waits_for_the_next() {
    let (queue, mut world) = (AccessQueue::<World>::new(), World::new());
    let another = Arc::new(Mutex::new(Box::pin(queue.with(|world| world.push(2)))));
    let poll = {
        let another = another.clone();
        move || another.lock().unwrap().as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    let mut first = pin!(queue.with({
        let poll = poll.clone();
        move |world: &mut World| {
            world.push(1);
            assert_eq!(poll(), Poll::Pending);
        }
    }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert_eq!((queue.run(&mut world), queue.len()), (1, 1));
    assert_eq!((queue.run(&mut world), queue.len()), (1, 0));
    assert_eq!(world, [1, 2]);
    assert_eq!((first.as_mut().poll(&mut context), poll()), (Poll::Ready(()), Poll::Ready(())));
}

#[test]
fn the_closure_of_a_call_that_is_dropped_never_runs() -> Result<(), Error> {
    let (queue, mut world, dropped) =
        (AccessQueue::<World>::new(), World::new(), Counter::default());
    let guard = dropped.on_drop();
    let mut call = Future::new(ok(queue.with(move |world| {
        world.push(1);
        drop(guard);
    })));
    assert_eq!(call.resume()?, Step::Waiting);
    drop(call);
    assert!(queue.is_empty(), "it has left the queue");
    assert_eq!(dropped.get(), 1);
    assert_eq!(queue.run(&mut world), 0);
    assert_eq!(world, World::new());
    Ok(())
}

#[test]
fn a_closure_may_drop_the_call_of_a_later_one_in_the_same_run() {
    type Access = Pin<Box<dyn std::future::Future<Output = ()> + Send>>;
    let (queue, mut world) = (AccessQueue::<World>::new(), World::new());
    let victim: Arc<Mutex<Option<Access>>> = Arc::default();
    let mut first = pin!(queue.with({
        let victim = victim.clone();
        move |_| drop(victim.lock().unwrap().take())
    }));
    let mut second: Access = Box::pin(queue.with(|world| world.push(2)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    *victim.lock().unwrap() = Some(second);
    assert_eq!(queue.run(&mut world), 1);
    assert_eq!(world, World::new());
}

#[test]
fn a_closure_that_panics_fails_its_own_call_and_no_other() -> Result<(), Error> {
    let (queue, mut world) = (AccessQueue::<World>::new(), World::new());
    let mut bad = Future::new(ok(queue.with(|_| panic!("on purpose"))));
    let mut good = Future::new(ok(queue.with(|world| world.push(1))));
    assert_eq!((bad.resume()?, good.resume()?), (Step::Waiting, Step::Waiting));
    assert_eq!(queue.run(&mut world), 2);
    let Err(Error::Panic(panic)) = bad.wait() else { panic!("the closure panicked") };
    assert!(panic.to_string().contains("on purpose"), "{panic}");
    good.wait()?;
    assert_eq!(world, [1]);
    Ok(())
}

#[test]
fn the_world_may_be_a_trait_object() -> Result<(), Error> {
    trait Place: 'static {
        fn visit(&mut self) -> u32;
    }
    impl Place for u32 {
        fn visit(&mut self) -> u32 {
            *self += 1;
            *self
        }
    }
    let queue = AccessQueue::<dyn Place>::default();
    let mut call = Future::new(ok(queue.with(|place: &mut dyn Place| place.visit())));
    assert_eq!(call.resume()?, Step::Waiting);
    assert_eq!(queue.run(&mut 4_u32), 1);
    assert_eq!(call.wait()?, 5);
    Ok(())
}

#[test]
fn a_closure_that_nobody_waits_for_runs_in_its_turn() -> Result<(), Error> {
    let (queue, mut world) = (AccessQueue::<World>::new(), World::new());
    queue.post(|world| world.push(1));
    let mut call = Future::new(ok(queue.with(|world| world.push(2))));
    assert_eq!(call.resume()?, Step::Waiting);
    queue.post(|_| panic!("on purpose"));
    queue.post(|world| world.push(3));
    assert_eq!((queue.run(&mut world), queue.len()), (4, 0));
    assert_eq!(world, [1, 2, 3]);
    Ok(())
}
