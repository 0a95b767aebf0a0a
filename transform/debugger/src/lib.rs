//! Only tests: see `tests/frames.rs`.
