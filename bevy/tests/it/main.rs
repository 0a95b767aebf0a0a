//! What a game does with scripts, without a window: each module is a thing that a user does.

mod loading;
mod reloading;
mod running;
mod seeing;
mod support;
mod time;
mod types;
mod world;
