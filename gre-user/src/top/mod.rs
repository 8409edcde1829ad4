//! Live rates on a terminal: `xgre top`.
//!
//! - [`model`]: what there is to show, and what the user asked for; [`table`]: rows and columns of a view, sorted and filtered;
//!   [`keys`]: what keys do to it. All of that is pure.
//! - [`draw`]: draws a model; [`theme`] has the colours, [`units`] the numbers.
//! - [`screen`]: the terminal, keys, signals and readings, until the user has enough.

mod draw;
mod keys;
mod model;
mod screen;
mod table;
#[cfg(test)]
mod tests;
mod theme;
mod units;

pub use screen::run;
pub use units::human;
