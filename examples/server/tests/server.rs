//! The server over real connections: what clients get, what it does when they misbehave, and its page in a browser.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use wasm_jobs::{EngineOptions, Error, InstanceOptions, PoolStats, engine};
use wasm_jobs_server::{BODY, Plugins, app};

/// Traps if its input begins with `t`, loops for ever if it begins with `l`, and else answers with it.
const MIXED: &[u8] = br#"(module
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "handle") (param $at i32) (param $length i32) (result i64)
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 116)) (then unreachable))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 108)) (then (loop $again (br $again))))
        (i64.extend_i32_u (local.get $length))))"#;

struct Server {
    plugins: Arc<Plugins>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    fn new() -> Self {
        Self::start(Plugins::limits(), &[])
    }

    /// For tests in which a guest that behaves must not be stopped because the machine is busy.
    fn with_long_limits() -> Self {
        Self::start(long_limits(), &[])
    }

    /// The same, with a program that takes seconds to compile in a debug build.
    fn with_bzip2() -> Self {
        Self::start(long_limits(), &[("bzip2", include_bytes!("../../../guests/wasi/bzip2.wasm"))])
    }

    /// Starts a server with the plugins of most tests, and with these `programs`.
    fn start(limits: InstanceOptions, programs: &[(&str, &[u8])]) -> Self {
        let engine = engine(&EngineOptions::default()).unwrap();
        let mut plugins = Plugins::new(&engine, limits).unwrap();
        let mut add = |name, size, wasm: &[u8], args: &[&str]| {
            plugins.add(name, size, wasm, args).unwrap();
        };
        add("upper", 10, include_bytes!("../plugins/upper.wat"), &[]);
        add("echo", 10, include_bytes!("../plugins/echo.wat"), &[]);
        add("loop", 10, include_bytes!("../plugins/loop.wat"), &[]);
        add("hog", 10, include_bytes!("../plugins/hog.wat"), &[]);
        add("trap", 10, include_bytes!("../plugins/trap.wat"), &[]);
        add("mixed", 10, MIXED, &[]);
        add("nap", 10, include_bytes!("../../../guests/wasi/nap.wasm"), &["5"]);
        add("sleep", 10, include_bytes!("../../../guests/wasi/nap.wasm"), &["60000"]);
        for (name, wasm) in programs {
            add(name, 10, wasm, &["-1", "-c"]);
        }

        let plugins = Arc::new(plugins);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(axum::serve(listener, app(plugins.clone())).into_future());
        Self { plugins, address, _runtime: runtime }
    }

    /// A connection on which a request was sent, and no answer was read.
    fn send(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        write!(
            connection,
            "{head} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )
        .and_then(|()| connection.write_all(body))
        .unwrap();
        connection
    }

    /// The status and the body of the answer.
    fn ask(&self, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut answer = Vec::new();
        self.send(head, body).read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the head ends");
        let status = str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end + 4))
    }

    fn plugin(&self, name: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.ask(&format!("POST /plugins/{name}"), body)
    }

    /// Asks again while no instance is free.
    fn patiently(&self, name: &str, body: &[u8]) -> (u16, Vec<u8>) {
        loop {
            match self.plugin(name, body) {
                (503, _) => {}
                answer => return answer,
            }
        }
    }

    fn failure(&self, name: &str, body: &[u8]) -> (u16, String) {
        let (status, reason) = self.plugin(name, body);
        (status, String::from_utf8(reason).unwrap())
    }

    fn health(&self) -> serde_json::Value {
        let (status, report) = self.ask("GET /health", b"");
        assert_eq!(status, 200);
        serde_json::from_slice(&report).unwrap()
    }

    fn stats(&self, name: &str) -> PoolStats {
        self.plugins.stats().find(|(other, _)| *other == name).unwrap().1
    }

    fn until_none_is_out(&self) {
        until(|| self.plugins.stats().all(|(_, stats)| stats.out == 0 && stats.waiting == 0));
    }
}

fn long_limits() -> InstanceOptions {
    let limits = Plugins::limits().running_timeout(Duration::from_millis(250));
    limits.elapsed_timeout(Duration::from_secs(60))
}

/// Asks again and again.
fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not become so");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_plugin_answers_with_its_output() {
    let server = Server::with_bzip2();
    assert_eq!(server.plugin("upper", b"hello"), (200, b"HELLO".to_vec()));
    assert_eq!(server.plugin("echo", b"hello"), (200, b"hello".to_vec()));
    assert_eq!(server.plugin("nap", b""), (200, b"slept for 5 ms\n".to_vec()));
    let (status, packed) = server.plugin("bzip2", &b"hello ".repeat(1_000));
    assert_eq!((status, &packed[..4]), (200, &b"BZh1"[..]));
}

#[test]
fn a_body_of_the_greatest_length_comes_back_whole() {
    let server = Server::with_long_limits();
    let body: Vec<u8> = (0..BODY).map(|n| (n * 7 % 251) as u8).collect();
    assert_eq!(server.plugin("echo", &body), (200, body));
}

#[test]
fn a_program_sees_nothing_of_the_request_before() {
    let server = Server::with_long_limits();
    for _ in 0..20 {
        assert_eq!(server.plugin("echo", b"x"), (200, b"x".to_vec()));
    }
    server.until_none_is_out();
    let stats = server.stats("echo");
    assert_eq!(
        (stats.made, stats.resets),
        (21, 21),
        "one for each request, and one that was checked"
    );
}

#[test]
fn a_module_keeps_its_instance() {
    let server = Server::with_long_limits();
    for _ in 0..20 {
        assert_eq!(server.plugin("upper", b"x"), (200, b"X".to_vec()));
    }
    assert_eq!(server.stats("upper").made, 1);
}

#[test]
fn each_failure_has_its_status_and_its_reason() {
    let server = Server::with_long_limits();
    assert_eq!(server.failure("nobody", b""), (404, "there is no plugin \"nobody\"\n".into()));
    assert_eq!(server.failure("upper", &vec![b'x'; BODY + 1]).0, 413);

    let (status, reason) = server.failure("loop", b"");
    assert!(status == 504 && reason.contains("250ms"), "{status} {reason}");
    let (status, reason) = server.failure("hog", b"");
    assert!(status == 500 && reason.contains("out_of_memory"), "{status} {reason}");
    let (status, reason) = server.failure("trap", b"");
    assert!(
        status == 500 && reason.contains("divide by zero") && reason.contains("trap!divide"),
        "{status} {reason}"
    );

    let health = server.health();
    assert_eq!((&health["requests"], &health["failed"]), (&5.into(), &5.into()));
    assert_eq!(health["failures"][0]["plugin"], "trap");
    server.until_none_is_out();
}

#[test]
fn a_guest_that_sleeps_for_too_long_is_given_up() {
    let server = Server::new();
    let began = Instant::now();
    let (status, reason) = server.failure("sleep", b"");
    assert!(status == 504 && reason.contains("2s"), "{status} {reason}");
    assert!(began.elapsed() >= Duration::from_secs(2));
    server.until_none_is_out();
}

#[test]
fn a_client_that_hangs_up_cancels_its_call() {
    let server = Server::with_long_limits();
    let connection = server.send("POST /plugins/sleep", b"");
    until(|| server.stats("sleep").out == 1);
    drop(connection);
    until(|| server.stats("sleep").out == 0);
    until(|| server.health()["failed"] == 1);
    let failure = &server.health()["failures"][0];
    assert_eq!(failure["status"], "gone", "{failure}");
}

#[test]
fn while_all_instances_are_out_a_request_waits_and_is_told() {
    let server = Server::with_long_limits();
    let sleepers: Vec<_> = (0..10).map(|_| server.send("POST /plugins/sleep", b"")).collect();
    until(|| server.stats("sleep").out == 10);
    let (status, reason) = server.failure("sleep", b"");
    assert!(status == 503 && reason.contains("(10) are out"), "{status} {reason}");
    assert_eq!(server.plugin("upper", b"x").0, 200, "other plugins have instances of their own");
    drop(sleepers);
    server.until_none_is_out();
}

#[test]
fn a_plugin_that_cannot_serve_is_refused_at_once() {
    let engine = engine(&EngineOptions::default().pooling(10)).unwrap();
    let mut plugins = Plugins::new(&engine, Plugins::limits()).unwrap();
    let mut add = |wasm: &str| plugins.add("wrong", 1, wasm.as_bytes(), &[]).unwrap_err();
    assert!(matches!(add("(module)"), Error::ExportNotFound { export } if &*export == "alloc"));
    assert!(matches!(add(r#"(module (func (export "_start") (param i32)))"#), Error::Signature(_)));
    let no_memory = r#"(module (func (export "alloc") (param i32) (result i32) i32.const 0)
        (func (export "handle") (param i32 i32) (result i64) i64.const 0))"#;
    assert!(matches!(add(no_memory), Error::ExportNotFound { export } if &*export == "memory"));
    assert!(matches!(add(r#"(module (import "env" "shell" (func)))"#), Error::Wasmtime(_)));
    assert!(matches!(add(r#"(module (memory 1000))"#), Error::Wasmtime(_)), "more than 32 MiB");
    assert!(matches!(add(r#"(module (func $f (loop (br 0))) (start $f))"#), Error::TimedOut(_)));
    assert!(matches!(add("no module"), Error::Other(_)));
    let of_another_engine = {
        let mut config = wasm_jobs::wasmtime::Config::new();
        config.consume_fuel(true);
        let other = wasm_jobs::wasmtime::Engine::new(&config).unwrap();
        wasm_jobs::wasmtime::Module::new(&other, "\0asm\x01\0\0\0").unwrap().serialize().unwrap()
    };
    assert!(plugins.add("wrong", 1, &of_another_engine, &[]).is_err());
}

#[test]
fn every_request_is_answered_while_other_clients_do_their_worst() {
    let server = Server::with_bzip2();
    let is_over = AtomicBool::new(false);
    let worst: &[&(dyn Fn() + Sync)] = &[
        &|| assert_eq!(server.plugin("loop", b"").0, 504),
        &|| assert_eq!(server.plugin("hog", b"").0, 500),
        &|| assert_eq!(server.plugin("trap", b"").0, 500),
        &|| assert_eq!(server.plugin("echo", &vec![0; BODY + 1]).0, 413),
        &|| drop(server.send("POST /plugins/loop", b"")),
        &|| drop(server.send("POST /plugins/sleep", b"")),
        // The body does not come.
        &|| {
            let mut connection = TcpStream::connect(server.address).unwrap();
            connection
                .write_all(b"POST /plugins/echo HTTP/1.1\r\ncontent-length: 9\r\n\r\nhel")
                .unwrap();
        },
        &|| {
            let mut connection = TcpStream::connect(server.address).unwrap();
            let _: io::Result<()> = connection.write_all(&[0xff; 100_000]);
        },
    ];
    thread::scope(|scope| {
        for worst in worst {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    worst();
                }
            });
        }
        let good: Vec<_> = (0..4)
            .map(|client| {
                let server = &server;
                scope.spawn(move || {
                    for n in 0..100 {
                        let body = format!("request {n} of {client}");
                        assert_eq!(
                            server.plugin("upper", body.as_bytes()),
                            (200, body.to_uppercase().into())
                        );
                        assert_eq!(server.plugin("bzip2", body.as_bytes()).0, 200);
                        assert_eq!(server.plugin("nap", b"").0, 200);
                    }
                })
            })
            .collect();
        let results: Vec<_> = good.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Relaxed);
        assert!(results.iter().all(Result::is_ok), "a good client got a wrong answer");
    });
    server.until_none_is_out();
}

#[test]
fn after_traps_timeouts_and_hang_ups_all_instances_are_back() {
    let server = Server::with_long_limits();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let stats = server.stats("mixed");
                assert!(stats.out + stats.idle <= stats.size, "{stats:?}");
                thread::yield_now();
            }
        });
        let clients: Vec<_> = (0..40)
            .map(|client| {
                let server = &server;
                scope.spawn(move || {
                    for n in 0..50 {
                        match client * 50 + n {
                            n if n % 100 == 7 => assert_eq!(server.patiently("mixed", b"t").0, 500),
                            n if n % 100 == 41 => {
                                assert_eq!(server.patiently("mixed", b"l").0, 504)
                            }
                            n if n % 100 == 73 => drop(server.send("POST /plugins/mixed", b"l")),
                            _ => assert_eq!(
                                server.patiently("mixed", b"fine"),
                                (200, b"fine".to_vec())
                            ),
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Relaxed);
        assert!(results.iter().all(Result::is_ok), "a client got a wrong answer");
    });
    server.until_none_is_out();
    let stats = server.stats("mixed");
    assert_eq!(stats.made - stats.resets, stats.idle as u64, "{stats:?}");
}

/// The browser that `WASM_JOBS_BROWSER` names, or a Chromium on the path.
fn browser() -> Option<PathBuf> {
    if let Some(browser) = std::env::var_os("WASM_JOBS_BROWSER") {
        return Some(browser.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"];
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

#[test]
fn a_browser_shows_the_page() {
    let Some(browser) = browser() else {
        eprintln!("skipped, because no Chromium is installed: set WASM_JOBS_BROWSER");
        return;
    };
    let server = Server::with_long_limits();
    for n in 0..200 {
        server.plugin("upper", format!("request {n}").as_bytes());
    }
    server.plugin("trap", b"");
    let page = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=3000",
            "--dump-dom",
        ])
        .arg(format!("http://{}/", server.address))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&page.stdout);
    for text in [
        r#"<b id="requests">201</b>"#,
        r#"<b id="failed">1</b>"#,
        "<td>upper</td>",
        "integer divide by zero",
        "trap!divide",
        " ms</b>",
    ] {
        assert!(
            dom.contains(text),
            "{text:?} is not in {dom}\n{}",
            String::from_utf8_lossy(&page.stderr)
        );
    }
}
