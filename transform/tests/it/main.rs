//! The tests, one module for each thing that the transformation does.

mod bound;
mod bulk;
mod calls;
mod checkpoint;
mod checks;
mod counted;
mod custom_sections;
mod drops;
mod endless;
mod exports;
mod frames;
mod guests;
mod program;
mod programs;
mod proposals;
mod random;
mod refusals;
mod run;
mod saved;
mod saved_cases;
mod saved_guests;
mod saved_loops;

mod shown;
mod sizes;
mod smith;
mod splitmix;
mod stopped;
mod stopped_guests;
mod suspended;
mod world;
