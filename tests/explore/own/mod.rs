//! The library's own waiting, graphs and sleepers, in many orders: what is promised holds in each of them.

mod instances;
