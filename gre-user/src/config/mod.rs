//! The configuration as a file: TOML of tunnels, tenants, ports and transit rules, and of the fleet that a host follows besides.
//!
//! - [`model`]: the items of a file, one file per kind. A new kind is a file and a variant there.
//! - [`file`](mod@file): text to items, with line and column of what is wrong; [`check`]: whether they go together.
//! - [`fleet`]: where the rest comes from.
//! - [`export`]: the state as such items, and as text.
//! - [`difference`]: what has to change; [`show`]: for people and machines.
//! - [`apply`]: does it, and undoes what was done when something fails.

pub mod apply;
pub mod check;
pub mod difference;
pub mod export;
pub mod file;
pub mod fleet;
pub mod model;
pub mod show;
