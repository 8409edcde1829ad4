//! What the bytes of a GRE packet mean and what to do with them.
//!
//! Pure and safe: no allocation, no pointers, no clock. The kernel programs compile this crate for
//! BPF; tests, fuzzers and tools compile it for the host. The rooms:
//!
//! - [`wire`]: parse and emit headers, one file per protocol.
//! - [`packet`]: the trait [`Packet`](packet::Packet), bounded reads of a frame.
//! - [`tables`]: map keys and values, and the trait [`Tables`](tables::Tables) over them.
//! - [`outer`]: finds the IP header that carries GRE.
//! - [`decap`], [`encap`]: the decisions, from a packet and the tables to a verdict.
//! - [`bridge`], [`route`]: where a tenant's packet goes that has several tunnels or ports.
//! - [`guard`]: from whom a tenant's packets may come.
//! - [`neighbour`]: what is answered to who asks for a neighbour.
//! - [`transit`]: the decision about packets whose tunnels end elsewhere.
//! - [`flow`]: which flow an inner packet belongs to.
//! - [`partial`]: transport checksums that are not there yet.
//! - [`mss`]: what becomes of the MSS option of TCP.
//! - [`too_big`]: what a sender is told whose packet does not fit.
//! - [`fragment`]: cuts a packet that does not fit.
//! - [`verdict`]: [`Verdict`](verdict::Verdict) and every reason to pass or drop.
#![cfg_attr(not(any(test, feature = "user")), no_std)]
#![deny(unsafe_code)]

pub mod bridge;
pub mod decap;
pub mod encap;
pub mod flow;
pub mod fragment;
pub mod guard;
pub mod mss;
pub mod neighbour;
pub mod outer;
pub mod packet;
pub mod partial;
#[cfg(feature = "user")]
mod pod;
pub mod route;
pub mod tables;
pub mod too_big;
pub mod transit;
pub mod verdict;
pub mod wire;
