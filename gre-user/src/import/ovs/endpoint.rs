//! GRE ports as they are, for who wants to know which packets they take.

use std::{
    env,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    database::{self, Bridge, Interface},
    tunnel::{self, Keys},
};
use crate::import::Import;

/// Where Open vSwitch's sockets are, unless `OVS_RUNDIR` says otherwise.
const RUN_DIR: &str = "/var/run/openvswitch";
/// The socket of its database.
const SOCKET: &str = "db.sock";

/// A GRE port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrePort {
    /// Its name.
    pub name: String,
    /// Its address; `None`: any of this host.
    pub local: Option<IpAddr>,
    /// The other end's.
    pub remote: IpAddr,
    /// Who says the keys.
    pub keys: Keys,
}

/// The GRE ports. None where the database cannot be reached.
pub fn gre_ports() -> Vec<GrePort> {
    let folder = env::var_os("OVS_RUNDIR").map_or_else(|| PathBuf::from(RUN_DIR), PathBuf::from);
    // Its tools would wait for one that is not there.
    if !Path::new(&folder).join(SOCKET).exists() {
        return Vec::new();
    }
    let bridges = database::bridges().unwrap_or_default();
    let interfaces = bridges.iter().flat_map(Bridge::interfaces);
    interfaces.filter(|it| tunnel::is_gre(it)).filter_map(gre_port).collect()
}

/// `None`: flows choose its addresses.
fn gre_port(interface: &Interface) -> Option<GrePort> {
    // What cannot be carried over is no matter here.
    let mut notes = Import::default();
    Some(GrePort {
        name: interface.name.clone(),
        local: interface.options.get("local_ip").and_then(|text| text.parse().ok()),
        remote: tunnel::remote(&mut notes, interface)?,
        keys: tunnel::keys(&mut notes, interface)?,
    })
}
