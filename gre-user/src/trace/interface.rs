//! Which programs a packet meets.

use std::{
    collections::HashMap,
    fmt::{self, Display, Formatter},
};

use gre_common::tables::{Hook, IfIndex};

use super::Result;
use crate::{
    datapath::port,
    netlink::link::Link,
    state::{State, StateDir, uplink},
};

/// An interface with programs of ours.
#[derive(Clone, Debug)]
pub struct Interface {
    /// What users call it.
    pub name: String,
    /// The device that carries the programs. Of a created port it is the other end.
    pub device: String,
    /// Its index.
    pub ifindex: IfIndex,
    /// What it is.
    pub role: Role,
    /// How packets are taken off an uplink or a port, in one word.
    pub mode: Option<&'static str>,
    /// The programs, in the order in which a packet meets them.
    pub hooks: Vec<Hook>,
}

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// GRE packets come in.
    Uplink,
    /// A tenant's packets come in.
    Port,
    /// Neither; it has transit rules.
    Transit,
}

impl Role {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Port => "port",
            Self::Transit => "transit",
        }
    }
}

impl Interface {
    /// Whether that is its name, or its device's.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.device == name
    }
}

impl Display for Interface {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.role.label())?;
        self.mode.map_or(Ok(()), |mode| write!(f, ", {mode}"))?;
        f.write_str(")")
    }
}

/// All of them: uplinks, ports, the rest.
pub(super) fn all(
    dir: &StateDir,
    state: &State,
    links: &HashMap<IfIndex, Link>,
) -> Result<Vec<Interface>> {
    let mut transit = state.transit_interfaces()?;
    let mut all = Vec::new();
    for uplink in state.uplinks()? {
        let hooks = if uplink.mode.has_xdp() {
            vec![Hook::UPLINK_XDP, Hook::UPLINK_TC]
        } else {
            vec![Hook::UPLINK_TC]
        };
        let mode = Some(uplink::mode_name(uplink.mode));
        all.push((uplink.name, uplink.ifindex, Role::Uplink, mode, hooks));
    }
    for named in state.ports()? {
        let ifindex = named.ifindex();
        let (mode, hooks) = if port::has_xdp(dir, ifindex) {
            ("native", vec![Hook::PORT_XDP, Hook::PORT_TC])
        } else {
            ("tc", vec![Hook::PORT_TC])
        };
        all.push((named.name, ifindex, Role::Port, Some(mode), hooks));
    }
    for (_, ifindex, .., hooks) in &mut all {
        if transit.remove(ifindex).is_some() {
            hooks.push(Hook::TRANSIT_TC);
        }
    }
    let others = transit.into_iter();
    all.extend(
        others.map(|(ifindex, name)| (name, ifindex, Role::Transit, None, vec![Hook::TRANSIT_TC])),
    );
    let interface = |(name, ifindex, role, mode, hooks): (String, _, _, _, _)| {
        let device = links.get(&ifindex).map_or_else(|| name.clone(), |link| link.name.clone());
        Interface { name, device, ifindex, role, mode, hooks }
    };
    Ok(all.into_iter().map(interface).collect())
}
