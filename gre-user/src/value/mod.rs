//! What users type, on the command line and in a configuration file: one parser and one default for both.
//!
//! - [`key`], [`mac`], [`field`], [`mtu`], [`keepalive`], [`mod@interval`], [`prefix`], [`rate`]: written as a number or as text.
//! - [`choice`]: one word of a few.
//! - [`written`]: reads and writes the former in files.

pub mod choice;
pub mod field;
pub mod interval;
pub mod keepalive;
pub mod key;
pub mod mac;
pub mod mtu;
pub mod prefix;
pub mod rate;
mod written;

pub use self::{
    choice::{Df, Ecn, PortMode, Service, Switch},
    field::{Tos, Ttl},
    interval::interval,
    keepalive::Keepalive,
    key::Key,
    mac::Mac,
    mtu::Mtu,
    prefix::{Prefix, Source},
    rate::Rate,
};
