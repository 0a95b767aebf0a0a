//! A server on loopback: `examples/server`, beside the same server whose handler makes a store, instantiates and calls by hand, in the task of
//! the connection (`by_hand`). Both run a WASI program, a new guest for each request, within the same limits.
//!
//! Four clients ask one request after the other, each on a connection of its own. `time` is the time of a round for each request, and `p99`
//! the 99th percentile of the requests' times. With `attack`, ten more clients ask for a guest that never ends, again and again, and
//! each is stopped after 50 ms of running. Both sides have two workers of tokio's.

mod by_hand;

use crate::rounds::{Finding, Other, in_turn, p99_micros};
use axum::Router;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use wasm_jobs_server::Plugins;

const ECHO: &[u8] = include_bytes!("../../../examples/server/plugins/echo.wat");
const LOOP: &[u8] = include_bytes!("server/loop.wat");
/// The most instances of each plugin.
const SIZE: usize = 100;
const CLIENTS: usize = 4;
const ATTACKERS: usize = 10;
const PEER: Other = Other::Peer("call_async_by_hand");

pub(crate) fn time() -> Finding {
    let (ours, theirs) = (ours(), theirs());
    let side = |server: &Server| {
        let (took, times) = server.round(500, 0);
        took.as_secs_f64() * 1e6 / times.len() as f64
    };
    in_turn("us", PEER, 31, || side(&ours), || side(&theirs))
}

pub(crate) fn p99() -> Finding {
    let (ours, theirs) = (ours(), theirs());
    let side = |server: &Server| p99_micros(server.round(500, 0).1);
    in_turn("us", PEER, 31, || side(&ours), || side(&theirs))
}

pub(crate) fn under_attack() -> Finding {
    let (ours, theirs) = (ours(), theirs());
    let side = |server: &Server| {
        let (took, times) = server.round(25, ATTACKERS);
        took.as_secs_f64() * 1e6 / times.len() as f64
    };
    in_turn("us", PEER, 9, || side(&ours), || side(&theirs))
}

pub(crate) fn under_attack_p99() -> Finding {
    let (ours, theirs) = (ours(), theirs());
    let side = |server: &Server| p99_micros(server.round(25, ATTACKERS).1);
    in_turn("us", PEER, 9, || side(&ours), || side(&theirs))
}

fn ours() -> Server {
    let engine = crate::guests::engine_of_their_own(1_000);
    let mut plugins = Plugins::new(&engine, Plugins::limits()).expect("the engine runs WASI");
    plugins.add("echo", SIZE, ECHO, &[]).expect("the plugin serves");
    plugins.add("loop", SIZE, LOOP, &[]).expect("the plugin serves");
    Server::new(wasm_jobs_server::app(Arc::new(plugins)))
}

fn theirs() -> Server {
    Server::new(by_hand::app(&[("echo", ECHO), ("loop", LOOP)]))
}

struct Server {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    fn new(app: Router) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(axum::serve(listener, app).into_future());
        Self { address, _runtime: runtime }
    }

    /// How long it takes until each client has had this many requests answered, and how long each request took.
    fn round(&self, requests: usize, attackers: usize) -> (Duration, Vec<Duration>) {
        let (is_over, attacking) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..attackers {
                scope.spawn(|| {
                    let mut client = Client::new(self.address, "loop");
                    while !is_over.load(Ordering::Relaxed) {
                        client.send();
                        attacking.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(client.receive(), *b"504", "it is stopped");
                    }
                });
            }
            while attacking.load(Ordering::Relaxed) < attackers {
                thread::yield_now();
            }
            let client = || {
                let mut client = Client::new(self.address, "echo");
                let request = |_| {
                    let start = Instant::now();
                    client.send();
                    assert_eq!(client.receive(), *b"200", "it is answered");
                    start.elapsed()
                };
                (0..requests).map(request).collect::<Vec<_>>()
            };
            let start = Instant::now();
            let clients = [(); CLIENTS].map(|()| scope.spawn(client));
            let times = clients.map(|client| client.join().expect("all are answered"));
            let took = start.elapsed();
            is_over.store(true, Ordering::Relaxed);
            (took, times.into_iter().flatten().collect())
        })
    }
}

/// A connection that stays open.
struct Client {
    connection: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, plugin: &str) -> Self {
        let connection = TcpStream::connect(address).expect("the server listens");
        connection.set_nodelay(true).expect("it is a socket");
        let body = "x".repeat(100);
        let head =
            format!("POST /plugins/{plugin} HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n");
        Self { connection, request: (head + &body).into_bytes(), answer: Vec::new() }
    }

    fn send(&mut self) {
        self.connection.write_all(&self.request).expect("the server reads");
    }

    /// Reads the answer to its end, and gives its status.
    fn receive(&mut self) -> [u8; 3] {
        self.answer.clear();
        let mut part = [0; 4096];
        loop {
            let length = self.connection.read(&mut part).expect("the server answers");
            assert!(length > 0, "the server has closed the connection");
            self.answer.extend_from_slice(&part[..length]);
            if self.is_whole() {
                return [self.answer[9], self.answer[10], self.answer[11]];
            }
        }
    }

    fn is_whole(&self) -> bool {
        let Some(head) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let text = str::from_utf8(&self.answer[..head]).expect("the head is text");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|text| text.parse().ok()).expect("it has a length");
        self.answer.len() >= head + 4 + length
    }
}
