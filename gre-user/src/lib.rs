//! The userspace of xgre.
//!
//! - [`state`]: tunnels, tenants, ports and counters: reads and writes the pinned maps.
//! - [`datapath`]: loads the programs, attaches, adopts, replaces and detaches them.
//! - [`netlink`]: interfaces, routes and neighbours.
//! - [`resolver`]: keeps the tunnels' next hops right.
//! - [`slowpath`]: receives what the kernel must see first.
//! - [`daemon`]: what `xgre run` does with all of these.
//! - [`manage`]: adds and deletes: entries, devices and programs together.
//! - [`trace`]: what the programs would do with a packet, and why; [`capture`]: what they do with those that come.
//! - [`totals`]: everything that is counted, read once; [`metrics`] has it scraped, [`top`] shows it live.
//! - [`events`]: what happens.
//! - [`doctor`]: what is wrong with this host, and what to do.
//! - [`config`]: the configuration as a file.
//! - [`import`]: what other GRE endpoints on this host are configured to do, as a configuration of ours.
//! - [`fleet`]: what a store says that many hosts follow.
//! - [`value`]: what users type; [`names`]: what they call tunnels, tenants and ports.
//! - [`cli`]: the command `xgre`, one file per verb.

/// The version of every JSON document; it changes when a reader would have to.
pub const JSON_VERSION: u32 = 1;

pub mod capture;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod events;
pub mod fleet;
pub mod import;
pub mod manage;
pub mod metrics;
pub mod names;
pub mod netlink;
pub mod resolver;
pub mod slowpath;
pub mod state;
pub mod top;
pub mod totals;
pub mod trace;
pub mod value;
