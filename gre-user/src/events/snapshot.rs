//! What is looked at.

use std::{collections::BTreeMap, time::SystemTime};

use gre_common::{
    tables::{HopState, TenantId, Tunnel},
    verdict::{DropReason, Notice},
    wire::ethernet::MacAddr,
};

use crate::{
    names::Names,
    state::{Result, State, StateDir, counters::Counting, uplink},
};

/// Everything of which changes are told, by the names that users know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken.
    pub time: SystemTime,
    /// Uplinks, and how packets are taken off them.
    pub uplinks: BTreeMap<String, &'static str>,
    /// Tunnels; with why they are down.
    pub tunnels: BTreeMap<String, Option<&'static str>>,
    /// Where tenants' stations are.
    pub stations: BTreeMap<(String, MacAddr), String>,
    /// How often tenants met their limits, by label.
    pub limits: BTreeMap<(String, &'static str), u64>,
}

impl Snapshot {
    /// Looks.
    ///
    /// # Errors
    /// There is no state, it is of another version, or the caller lacks the privilege.
    pub fn take(dir: &StateDir) -> Result<Self> {
        let time = SystemTime::now();
        let state = State::open(dir)?;
        let names = Names::of(&state)?;
        let uplinks = state.uplinks()?.into_iter();
        let uplinks = uplinks.map(|it| (it.name, uplink::mode_name(it.mode))).collect();
        let tunnels = state.tunnels().into_iter();
        let tunnels = tunnels.map(|it| (it.name, down(&it.tunnel))).collect();
        // The rest, of which there may be much, is gone through without the lock.
        let limits = limits(&state.unlock(), &names)?;
        let stations = State::stations_of(dir)?
            .into_iter()
            .map(|(key, via)| ((names.tenant(key.tenant), key.mac()), names.place(via)));
        Ok(Self { time, uplinks, tunnels, stations: stations.collect(), limits })
    }
}

/// Why a tunnel is down.
fn down(tunnel: &Tunnel) -> Option<&'static str> {
    if tunnel.keepalive.period > 0 && tunnel.keepalive.down != 0 {
        return Some("keepalive");
    }
    (tunnel.next_hop.state == HopState::NO_ROUTE).then_some("no_route")
}

fn limits(counting: &Counting, names: &Names) -> Result<BTreeMap<(String, &'static str), u64>> {
    let events = counting.events()?;
    let mut limits = BTreeMap::new();
    let mut add = |tenant: TenantId, label, count| {
        if count > 0 {
            limits.insert((names.tenant(tenant), label), count);
        }
    };
    for tenant in events.tenants() {
        add(tenant, DropReason::RateLimit.label(), events.drops(tenant, DropReason::RateLimit));
        add(tenant, Notice::NotLearned.label(), events.notices(tenant, Notice::NotLearned));
    }
    Ok(limits)
}
