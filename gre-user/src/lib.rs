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
//! - [`config`]: the configuration as a file.
//! - [`import`]: what other GRE endpoints on this host are configured to do, as a configuration of ours.
//! - [`value`]: what users type.
//! - [`cli`]: the command `xgre`, one file per verb.

pub mod capture;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod import;
pub mod manage;
pub mod netlink;
pub mod resolver;
pub mod slowpath;
pub mod state;
pub mod trace;
pub mod value;
