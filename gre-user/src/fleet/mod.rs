//! Many hosts, one source of truth: each follows in etcd what its own tenants need, and nothing else.
//!
//! - [`entry`]: what there is in the store, and where.
//! - [`mirror`]: what this host knows of it, which stays known while the store is away.
//! - [`wanted`]: what the host is to be configured like, by what it knows.
//! - [`session`]: reads, watches and writes; [`options`]: how the store is reached.
//! - [`ovs`]: the same for a host with Open vSwitch.
//! - [`agent`]: does all this beside the daemon. [`edit`]: what people and scripts change.

pub mod agent;
pub mod edit;
pub mod entry;
pub mod mirror;
pub mod options;
pub mod ovs;
mod session;
pub mod wanted;
