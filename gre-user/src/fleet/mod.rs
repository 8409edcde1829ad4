//! Many hosts, one source of truth: each follows in etcd what its own tenants need, and nothing else.
//!
//! - [`entry`]: what there is in the store, and where.
//! - [`mirror`]: what this host knows of it, which stays known while the store is away.
//! - [`wanted`]: what the host is to be configured like, by what it knows.
//! - [`session`]: reads, watches and writes; [`options`]: how the store is reached.
//! - [`ovs`]: the same for a host with Open vSwitch.
//! - [`follower`]: does all this, session after session, at its own [`pace`]; [`here`]: makes this host what is wanted; [`agent`]: runs both beside the
//!   daemon; [`standing`]: how that goes. [`edit`]: what people and scripts change.

pub mod agent;
pub mod edit;
pub mod entry;
pub mod follower;
mod here;
pub mod mirror;
pub mod options;
pub mod ovs;
mod pace;
mod session;
pub mod standing;
pub mod wanted;
