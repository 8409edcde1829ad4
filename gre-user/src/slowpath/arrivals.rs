//! The interfaces by which a packet for the slow path may come: uplinks, and what is stacked on them.
//!
//! The hook sees a packet at the uplink, the stack sees it come by the VLAN device, bridge or bond above. GRE that came
//! by anything else met no hook, and is none of our business.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use gre_common::tables::IfIndex;

use crate::netlink::link::Link;

/// Kinds of devices that are stacked on one and hand on its packets as they are.
const LAYERS: [&str; 4] = ["vlan", "macvlan", "macvtap", "ipvlan"];

/// The uplink below each interface, for all that have one.
type Uplinks = HashMap<IfIndex, IfIndex>;

/// Shared by who finds out and who asks.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<RwLock<Uplinks>>);

impl Arrivals {
    /// The uplink below an interface.
    pub fn uplink(&self, interface: IfIndex) -> Option<IfIndex> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&interface).copied()
    }

    /// Whether something is stacked on, or is, an uplink, as far as is known.
    pub fn concerns(&self, link: &Link) -> bool {
        let known = |interface| self.uplink(interface).is_some();
        known(link.ifindex) || lower(link).is_some_and(known)
    }

    /// Whether these are the uplinks.
    pub fn are_of(&self, uplinks: &[IfIndex]) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_itself = known.iter().filter(|(interface, uplink)| interface == uplink).count();
        of_itself == uplinks.len() && uplinks.iter().all(|uplink| known.get(uplink) == Some(uplink))
    }

    /// Replaces what is known.
    pub fn set(&self, links: &[Link], uplinks: &[IfIndex]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = stacked(links, uplinks);
    }
}

fn lower(link: &Link) -> Option<IfIndex> {
    let is_layer = link.kind.as_deref().is_some_and(|kind| LAYERS.contains(&kind));
    link.below.filter(|_| is_layer)
}

/// The uplinks, and everything above them.
fn stacked(links: &[Link], uplinks: &[IfIndex]) -> Uplinks {
    let mut known: Uplinks = uplinks.iter().map(|&uplink| (uplink, uplink)).collect();
    loop {
        let before = known.len();
        for link in links {
            if let Some(&uplink) = lower(link).and_then(|lower| known.get(&lower)) {
                known.entry(link.ifindex).or_insert(uplink);
            }
            if let Some((master, &uplink)) = link.master.zip(known.get(&link.ifindex)) {
                known.entry(master).or_insert(uplink);
            }
        }
        if known.len() == before {
            return known;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(ifindex: u32, kind: Option<&str>, below: Option<u32>, master: Option<u32>) -> Link {
        Link {
            ifindex: IfIndex(ifindex),
            name: format!("if{ifindex}"),
            mtu: 1500,
            mtu6: None,
            mac: None,
            kind: kind.map(str::to_owned),
            peer: None,
            below: below.map(IfIndex),
            master: master.map(IfIndex),
            xdp_program: None,
            up: true,
            arp: true,
        }
    }

    #[test]
    fn what_is_stacked_on_an_uplink() {
        let links = [
            link(9, Some("bridge"), None, None),
            link(3, Some("vlan"), Some(2), Some(9)),
            link(2, None, None, None),
            // Tunnels take packets out of packets.
            link(4, Some("vxlan"), Some(2), None),
            link(5, None, None, None),
            link(6, Some("vlan"), Some(5), None),
        ];
        let arrivals = Arrivals::default();
        arrivals.set(&links, &[IfIndex(2)]);
        let found: Vec<_> =
            (1..10).filter(|&n| arrivals.uplink(IfIndex(n)) == Some(IfIndex(2))).collect();
        assert_eq!(found, [2, 3, 9]);
        assert!(arrivals.are_of(&[IfIndex(2)]));
        assert!(!arrivals.are_of(&[]) && !arrivals.are_of(&[IfIndex(3)]));
        assert!(arrivals.concerns(&link(7, Some("vlan"), Some(3), None)));
        assert!(!arrivals.concerns(&links[4]) && !arrivals.concerns(&links[3]));
    }
}
