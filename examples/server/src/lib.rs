//! A server whose requests are answered by plugins: WASI programs, and modules that export `alloc` and `handle`. A request names a plugin;
//! its body is the input, and the answer is the output.
//!
//! [`plugins`](Plugins) is the part that runs guests. [`failure`](Failure) turns errors into responses, [`health`](Health) counts, and the
//! page at `/` shows the counts.

mod failure;
mod health;
mod plugins;

pub use failure::Failure;
pub use health::{Health, Request};
pub use plugins::Plugins;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;

/// The longest body, in bytes. A longer one is refused with 413.
pub const BODY: usize = 1 << 20;

/// The router of a server of these plugins: the page at `/`, its figures at `/health`, and the plugins below `/plugins`.
pub fn app(plugins: Arc<Plugins>) -> Router {
    let server = Arc::new(Server { plugins, health: Health::new() });
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/health", get(health))
        .route("/plugins/{name}", post(answer))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(server)
}

struct Server {
    plugins: Arc<Plugins>,
    health: Health,
}

/// Axum drops this when the client closes the connection. Then it drops the call, which is cancelled.
async fn answer(
    State(server): State<Arc<Server>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, Failure> {
    let request = server.health.request(&name);
    let answer = match body {
        Ok(body) => server.plugins.run(&name, body).await,
        Err(why) => Err(Failure::Refused(why.status(), why.body_text())),
    };
    request.end(answer.as_ref().err());
    answer
}

async fn health(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let mut report = server.health.report();
    let of_each = server.plugins.stats().map(|(name, stats)| {
        json!({
            "name": name,
            "size": stats.size,
            "idle": stats.idle,
            "out": stats.out,
            "waiting": stats.waiting,
            "made": stats.made,
        })
    });
    report["plugins"] = of_each.collect();
    ([(CONTENT_TYPE, "application/json")], report.to_string())
}

/// The page of the book: each of its blocks is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/servers.md")]
struct Servers;
