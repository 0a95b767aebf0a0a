//! The tests, one module for each thing that the transformation does.

mod exports;
mod run;
