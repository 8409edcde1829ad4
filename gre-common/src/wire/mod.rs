//! Headers on the wire: parse, never panic; emit, always complete.
//!
//! Header structs come from `network-types`; GRE is ours. All numbers that leave this module are in
//! host byte order, all arrays in network byte order.

pub mod address;
pub mod arp;
pub mod be32;
pub mod checksum;
pub mod ecn;
pub mod ethernet;
pub mod gre;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod neighbour_discovery;
pub mod tcp;
