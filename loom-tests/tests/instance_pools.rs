//! Instances that many share: none is lost, none is handed out twice, and no waiter is forgotten. `InstancePool` is made of the two parts that
//! are modelled here: a `Stock`, from which things are taken and where they are put back, and a `Lease`, which sends its thing back when it
//! was recalled and the call that has it has ended.
#![cfg(wasm_jobs_loom)]

use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::task::Poll;
use wasm_jobs::Future;
use wasm_jobs::model::{Count, Lease, Stock, Take, Taken};
use wasm_jobs_loom_tests::{CountingWaker, poll, try_take};

/// A thing that one thread at a time may use. Loom fails a model in which nothing orders two uses.
#[derive(Debug, Default)]
struct Thing(UnsafeCell<u32>);

impl Thing {
    fn use_it(&self) {
        self.0.with_mut(|_| ());
    }
}

/// A stock of this many things, all made.
fn stock_of(count: usize) -> Arc<Stock<Thing>> {
    let stock = Arc::new(Stock::new(count));
    let rights: Vec<_> = (0..count).map(|_| stock.try_take().expect("there is room")).collect();
    for right in rights {
        assert!(matches!(right, Taken::Vacancy));
        stock.put(Some(Thing::default()));
    }
    stock
}

/// Waits for its turn.
fn wait_for(take: Take<Thing>) -> Taken<Thing> {
    Future::new(async { Ok(take.await) }).wait().expect("it waits, and that is all")
}

/// Uses what was taken, and puts it back.
fn use_and_put(stock: &Stock<Thing>, taken: Taken<Thing>) {
    let thing = match taken {
        Taken::Thing(thing) => thing,
        Taken::Vacancy => Thing::default(),
    };
    thing.use_it();
    stock.put(Some(thing));
}

fn assert_all_are_idle(stock: &Stock<Thing>, idle: usize) {
    assert_eq!(stock.count(), Count { idle, out: 0, waiting: 0 });
}

/// Mistake: what is put back goes on the shelf although a taker waits.
#[test]
fn two_takers_share_one_thing() {
    loom::model(|| {
        let stock = stock_of(1);
        let takers = [(); 2].map(|()| {
            let stock = stock.clone();
            thread::spawn(move || use_and_put(&stock, wait_for(stock.take())))
        });
        for taker in takers {
            taker.join().unwrap();
        }
        assert_all_are_idle(&stock, 1);
    });
}

/// Mistake: the right to make a thing in the place of one that is gone is not handed on.
#[test]
fn a_thing_is_gone_and_the_next_taker_makes_another() {
    loom::model(|| {
        let stock = stock_of(1);
        let takers = [true, false].map(|breaks| {
            let stock = stock.clone();
            thread::spawn(move || match wait_for(stock.take()) {
                Taken::Thing(thing) if breaks => {
                    thing.use_it();
                    stock.put(None);
                }
                taken => use_and_put(&stock, taken),
            })
        });
        for taker in takers {
            taker.join().unwrap();
        }
        let Count { idle, out, waiting } = stock.count();
        assert!(idle <= 1 && out == 0 && waiting == 0);
        assert!(stock.try_take().is_some());
    });
}

/// Mistake: a taker that gives up keeps what it was granted.
#[test]
fn a_taker_gives_up_while_a_thing_comes_back_and_another_waits() {
    loom::model(|| {
        let stock = stock_of(1);
        let taken = stock.try_take().unwrap();
        let mut gives_up = stock.take();
        assert!(poll(&mut gives_up, &CountingWaker::default()).is_pending());
        let waits = thread::spawn({
            let stock = stock.clone();
            move || use_and_put(&stock, wait_for(stock.take()))
        });
        let returns = thread::spawn({
            let stock = stock.clone();
            move || use_and_put(&stock, taken)
        });
        drop(gives_up);
        returns.join().unwrap();
        waits.join().unwrap();
        assert_all_are_idle(&stock, 1);
    });
}

/// Mistake: a taker that gives up keeps the right that it was granted.
#[test]
fn a_taker_gives_up_while_a_right_comes_back() {
    loom::model(|| {
        let stock = stock_of(1);
        let Some(Taken::Thing(_)) = stock.try_take() else { panic!("there is a thing") };
        let mut gives_up = stock.take();
        assert!(poll(&mut gives_up, &CountingWaker::default()).is_pending());
        let returns = thread::spawn({
            let stock = stock.clone();
            move || stock.put(None)
        });
        drop(gives_up);
        returns.join().unwrap();
        assert_all_are_idle(&stock, 0);
        assert!(matches!(stock.try_take(), Some(Taken::Vacancy)));
    });
}

/// Mistake: a taker that is polled with another waker leaves the first in its place.
#[test]
fn a_taker_that_goes_to_another_thread_is_woken_there() {
    loom::model(|| {
        let stock = stock_of(1);
        let taken = stock.try_take().unwrap();
        let mut take = stock.take();
        assert!(poll(&mut take, &CountingWaker::default()).is_pending());
        let waits = thread::spawn({
            let stock = stock.clone();
            move || use_and_put(&stock, wait_for(take))
        });
        use_and_put(&stock, taken);
        waits.join().unwrap();
        assert_all_are_idle(&stock, 1);
    });
}

/// Mistake: a thing that comes back is granted to the last who came.
#[test]
fn takers_are_served_in_the_order_of_their_arrival() {
    loom::model(|| {
        let stock = stock_of(1);
        let taken = stock.try_take().unwrap();
        let (mut first, mut second) = (stock.take(), stock.take());
        let waker = CountingWaker::default();
        assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &waker).is_pending());
        let returns = thread::spawn({
            let stock = stock.clone();
            move || use_and_put(&stock, taken)
        });
        // Nobody may overtake them.
        assert!(stock.try_take().is_none());
        returns.join().unwrap();
        assert!(stock.try_take().is_none());
        assert!(poll(&mut second, &waker).is_pending());
        let Poll::Ready(taken) = poll(&mut first, &waker) else { panic!("it is the first's turn") };
        use_and_put(&stock, taken);
        let Poll::Ready(taken) = poll(&mut second, &waker) else { panic!("it is the second's") };
        use_and_put(&stock, taken);
        assert_all_are_idle(&stock, 1);
    });
}

/// An instance that was checked out: a home from which its thing goes back to the stock.
fn check_out(stock: &Arc<Stock<Thing>>) -> Arc<Lease<Thing>> {
    let Some(Taken::Thing(thing)) = stock.try_take() else { panic!("there is a thing") };
    let stock = stock.clone();
    Arc::new(Lease::with_recall(thing, move |thing| stock.put(Some(thing))))
}

/// Mistakes: `recall` looks for the thing and notes the recall in two steps; a thing that returns does so, too.
#[test]
fn an_instance_is_given_back_while_its_call_ends() {
    loom::model(|| {
        let stock = stock_of(1);
        let instance = check_out(&stock);
        let call = try_take(&instance).expect("nobody else has it");
        let worker = thread::spawn(move || {
            call.use_it();
            drop(call);
        });
        instance.recall();
        worker.join().unwrap();
        assert_all_are_idle(&stock, 1);
    });
}

/// Mistake: a waiter is not served by a call that ends after its instance was given back.
#[test]
fn a_waiter_gets_the_instance_of_a_call_that_ends() {
    loom::model(|| {
        let stock = stock_of(1);
        let instance = check_out(&stock);
        let call = try_take(&instance).expect("nobody else has it");
        let waits = thread::spawn({
            let stock = stock.clone();
            move || use_and_put(&stock, wait_for(stock.take()))
        });
        instance.recall();
        call.use_it();
        drop(call);
        waits.join().unwrap();
        assert_all_are_idle(&stock, 1);
    });
}

/// The last holder that returns the thing delivers it to the stock.
#[test]
fn a_stale_function_is_called_while_the_instance_goes_back() {
    loom::model(|| {
        let stock = stock_of(1);
        let instance = check_out(&stock);
        let call = try_take(&instance).expect("nobody else has it");
        let stale = thread::spawn({
            let instance = instance.clone();
            move || {
                if let Some(call) = try_take(&instance) {
                    call.use_it();
                }
            }
        });
        let worker = thread::spawn(move || {
            call.use_it();
            drop(call);
        });
        instance.recall();
        stale.join().unwrap();
        worker.join().unwrap();
        assert_all_are_idle(&stock, 1);
    });
}
