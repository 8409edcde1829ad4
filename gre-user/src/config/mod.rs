//! The configuration.
//!
//! - [`model`]: its items, one file per kind.

pub mod model;
