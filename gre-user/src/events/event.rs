//! What differs between two looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
    time::SystemTime,
};

use serde::Serialize;

use super::snapshot::Snapshot;
use crate::value::Mac;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was seen.
    pub time: SystemTime,
    /// What.
    pub what: What,
}

/// What happened; in JSON its name is the member `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Programs are on an interface.
    UplinkUp {
        /// Its name.
        uplink: String,
        /// How packets are taken off it.
        mode: &'static str,
    },
    /// They are no more.
    UplinkDown {
        /// Its name.
        uplink: String,
    },
    /// A tunnel has a way, and whoever is asked for answers.
    TunnelUp {
        /// Its name.
        tunnel: String,
    },
    /// It has none, or nobody answers.
    TunnelDown {
        /// Its name.
        tunnel: String,
        /// `no_route` or `keepalive`.
        cause: &'static str,
    },
    /// It is known where a station is.
    StationLearned {
        /// Its tenant.
        tenant: String,
        /// Its MAC address.
        station: String,
        /// Where it is.
        at: String,
    },
    /// It is elsewhere.
    StationMoved {
        /// Its tenant.
        tenant: String,
        /// Its MAC address.
        station: String,
        /// Where it was.
        from: String,
        /// Where it is.
        at: String,
    },
    /// It is not known any more.
    StationForgotten {
        /// Its tenant.
        tenant: String,
        /// Its MAC address.
        station: String,
    },
    /// A tenant had more than it may.
    LimitHit {
        /// The tenant.
        tenant: String,
        /// `rate_limit` or `not_learned`.
        limit: &'static str,
        /// Packets since the last look.
        packets: u64,
    },
}

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UplinkUp { uplink, mode } => write!(f, "uplink {uplink} up ({mode})"),
            Self::UplinkDown { uplink } => write!(f, "uplink {uplink} down"),
            Self::TunnelUp { tunnel } => write!(f, "tunnel {tunnel} up"),
            Self::TunnelDown { tunnel, cause } => write!(f, "tunnel {tunnel} down: {cause}"),
            Self::StationLearned { tenant, station, at } => {
                write!(f, "tenant {tenant}: {station} learned {at}")
            }
            Self::StationMoved { tenant, station, from, at } => {
                write!(f, "tenant {tenant}: {station} moved, it was {from} and is {at}")
            }
            Self::StationForgotten { tenant, station } => {
                write!(f, "tenant {tenant}: {station} forgotten")
            }
            Self::LimitHit { tenant, limit, packets } => {
                write!(f, "tenant {tenant}: {limit}, {packets} packets")
            }
        }
    }
}

/// What happened between two looks.
pub(super) fn differences(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let mut all = Vec::new();
    all.extend(of_uplinks(before, after));
    all.extend(of_tunnels(before, after));
    all.extend(of_stations(before, after));
    all.extend(of_limits(before, after));
    all.into_iter().map(|what| Event { time: after.time, what }).collect()
}

/// What is there in either, and differs.
fn changed<'s, K: Ord, V: PartialEq>(
    before: &'s BTreeMap<K, V>,
    after: &'s BTreeMap<K, V>,
) -> impl Iterator<Item = (&'s K, Option<&'s V>, Option<&'s V>)> {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let sides = move |key| (key, before.get(key), after.get(key));
    keys.into_iter().map(sides).filter(|(_, before, after)| before != after)
}

fn of_uplinks<'s>(before: &'s Snapshot, after: &'s Snapshot) -> impl Iterator<Item = What> + 's {
    changed(&before.uplinks, &after.uplinks).map(|(uplink, _, now)| {
        let uplink = uplink.clone();
        match now {
            Some(mode) => What::UplinkUp { uplink, mode },
            None => What::UplinkDown { uplink },
        }
    })
}

/// One that is deleted is no event: somebody did it.
fn of_tunnels<'s>(before: &'s Snapshot, after: &'s Snapshot) -> impl Iterator<Item = What> + 's {
    changed(&before.tunnels, &after.tunnels).filter_map(|(tunnel, _, now)| {
        let tunnel = tunnel.clone();
        Some(match now? {
            None => What::TunnelUp { tunnel },
            Some(cause) => What::TunnelDown { tunnel, cause },
        })
    })
}

fn of_stations<'s>(before: &'s Snapshot, after: &'s Snapshot) -> impl Iterator<Item = What> + 's {
    changed(&before.stations, &after.stations).map(|((tenant, mac), was, is)| {
        let (tenant, station) = (tenant.clone(), Mac(*mac).to_string());
        match (was.cloned(), is.cloned()) {
            (None, Some(at)) => What::StationLearned { tenant, station, at },
            (Some(from), Some(at)) => What::StationMoved { tenant, station, from, at },
            _ => What::StationForgotten { tenant, station },
        }
    })
}

fn of_limits<'s>(before: &'s Snapshot, after: &'s Snapshot) -> impl Iterator<Item = What> + 's {
    changed(&before.limits, &after.limits).filter_map(|((tenant, limit), was, is)| {
        // A tenant that is gone takes its counters with it.
        let packets = is?.checked_sub(was.copied().unwrap_or(0)).filter(|packets| *packets > 0)?;
        Some(What::LimitHit { tenant: tenant.clone(), limit, packets })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Snapshot {
        Snapshot {
            time: SystemTime::UNIX_EPOCH,
            uplinks: BTreeMap::from([("eth0".into(), "native")]),
            tunnels: BTreeMap::from([("t".into(), None), ("u".into(), Some("no_route"))]),
            stations: BTreeMap::from([(("blue".into(), [2; 6]), "behind tunnel t".into())]),
            limits: BTreeMap::from([(("blue".into(), "rate_limit"), 7)]),
        }
    }

    fn told(before: &Snapshot, after: &Snapshot) -> Vec<String> {
        differences(before, after).iter().map(|event| event.what.to_string()).collect()
    }

    #[test]
    fn nothing_differs() {
        assert_eq!(told(&look(), &look()), [""; 0]);
    }

    #[test]
    fn each_kind_is_told() {
        let mut after = look();
        after.uplinks = BTreeMap::from([("eth1".into(), "tc")]);
        after.tunnels = BTreeMap::from([("t".into(), Some("keepalive")), ("u".into(), None)]);
        after.stations = BTreeMap::from([
            (("blue".into(), [2; 6]), "at port p".into()),
            (("blue".into(), [4; 6]), "at port p".into()),
        ]);
        after.limits.insert(("blue".into(), "rate_limit"), 9);
        let there = [
            "uplink eth0 down",
            "uplink eth1 up (tc)",
            "tunnel t down: keepalive",
            "tunnel u up",
            "tenant blue: 02:02:02:02:02:02 moved, it was behind tunnel t and is at port p",
            "tenant blue: 04:04:04:04:04:04 learned at port p",
            "tenant blue: rate_limit, 2 packets",
        ];
        assert_eq!(told(&look(), &after), there);
        after.stations = BTreeMap::new();
        assert!(told(&look(), &after).contains(&"tenant blue: 02:02:02:02:02:02 forgotten".into()));
    }

    #[test]
    fn what_is_deleted_is_no_event_of_its_own() {
        let mut after = look();
        after.tunnels.clear();
        after.limits.clear();
        assert_eq!(told(&look(), &after), [""; 0]);
    }
}
