//! What users of wasmtime write to stop guests that do not yield: a thread that sleeps for a millisecond and advances the engine's epoch,
//! over and over. It is off during our turns.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wasm_jobs::wasmtime::Engine;

pub(super) const TICK: Duration = Duration::from_millis(1);

pub(super) struct Ticker {
    switch: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(PartialEq)]
enum State {
    Off,
    On,
    Ended,
}

impl Ticker {
    /// It is off.
    pub(super) fn new(engine: Engine) -> Self {
        let switch = Arc::new((Mutex::new(State::Off), Condvar::new()));
        let thread = {
            let switch = switch.clone();
            thread::spawn(move || while_not_ended(&switch, || engine.increment_epoch()))
        };
        Self { switch, thread: Some(thread) }
    }

    pub(super) fn on(&self) {
        self.set(State::On);
    }

    pub(super) fn off(&self) {
        self.set(State::Off);
    }

    fn set(&self, state: State) {
        *self.switch.0.lock().expect("no thread panics with it") = state;
        self.switch.1.notify_one();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.set(State::Ended);
        self.thread.take().expect("it is dropped once").join().expect("the thread does not panic");
    }
}

fn while_not_ended((state, changed): &(Mutex<State>, Condvar), tick: impl Fn()) {
    loop {
        let state = state.lock().expect("no thread panics with it");
        let state = changed.wait_while(state, |state| *state == State::Off);
        if *state.expect("no thread panics with it") == State::Ended {
            return;
        }
        thread::sleep(TICK);
        tick();
    }
}
