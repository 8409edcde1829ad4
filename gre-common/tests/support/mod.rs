//! What the tests of the decision core share:
//!
//! - [`frame`]: GRE frames in words, and what tenants put into them.
//! - [`world`]: tables in memory, with a cast of tenants.
//! - [`apply`]: carries out a plan on bytes, as the kernel side does.
//! - [`outcome`]: a verdict and its effect, in a form that tables of expectations can hold.
//! - [`book`]: rules for frames in transit.
//! - [`ipv6`]: the same frames over IPv6.
//! - [`reasons`]: who gives which reason, so that none goes untested.
//! - [`sending`]: what a port's program decides.
//! - [`checksum`]: checksums by the book.
//! - [`plain`]: reads GRE frames the plain way.
//! - [`invariants`]: what holds for every frame; property tests and fuzzers share it.
//! - [`captures`]: packets of real peers.
//!
//! Nothing here uses the core's own parsers or checksums: a mistake there must not cancel itself out.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod apply;
pub mod book;
pub mod captures;
pub mod checksum;
pub mod frame;
pub mod invariants;
pub mod ipv6;
pub mod outcome;
pub mod plain;
pub mod reasons;
pub mod sending;
pub mod world;
