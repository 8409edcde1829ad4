//! What is to be where, and which hosts do not know it yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use anyhow::{Result, ensure};
use gre_user::{
    config::model::{Item, Model, Route},
    fleet::wanted,
};

/// Ports of a tenant that has some.
const EACH: usize = 5;

/// A host's number.
pub type Host = usize;

/// A port of a tenant, wherever it is.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The tenant's number.
    pub tenant: usize,
    /// Which of its ports.
    pub number: usize,
}

impl Slot {
    /// What the tenant is called.
    pub fn tenant(self) -> String {
        tenant(self.tenant)
    }

    /// The interface.
    pub fn iface(self) -> String {
        format!("p{}-{}", self.tenant, self.number)
    }

    /// Its address.
    pub fn address(self) -> IpAddr {
        Ipv4Addr::new(10, 9, 0, self.number as u8 + 1).into()
    }
}

/// A port that goes from one host to another.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Which.
    pub slot: Slot,
    /// Where it was.
    pub from: Host,
    /// Where it is to be.
    pub to: Host,
}

/// All of it.
pub struct Cloud {
    hosts: usize,
    /// Where the ports of each tenant are to be.
    at: Vec<[Host; EACH]>,
    /// Tenants of which each host does not yet know that.
    unknown: Vec<BTreeSet<usize>>,
    /// When a host last came to know.
    last: Instant,
}

impl Cloud {
    /// So many hosts, with so many ports each.
    pub fn new(hosts: usize, ports: usize) -> Result<Self> {
        ensure!(
            hosts >= 2 * EACH && ports.is_multiple_of(EACH),
            "ports in fives, at ten hosts or more"
        );
        // A tenant's hosts lie as far from each other as its round says.
        let spread = |round: usize| 1 + round * 25 % ((hosts - 1) / (EACH - 1) - 1).max(1);
        let place = |round: usize, first: Host| {
            std::array::from_fn(|number| (first + number * spread(round)) % hosts)
        };
        let rounds = 0..ports / EACH;
        let at = rounds.flat_map(|round| (0..hosts).map(move |first| place(round, first)));
        let unknown = vec![BTreeSet::new(); hosts];
        Ok(Self { hosts, at: at.collect(), unknown, last: Instant::now() })
    }

    /// Tenants that have ports.
    pub fn tenants(&self) -> usize {
        self.at.len()
    }

    /// All ports, and where they are.
    pub fn slots(&self) -> Vec<(Slot, Host)> {
        let of = |(tenant, hosts): (usize, &[Host; EACH])| {
            let hosts = hosts.iter().enumerate();
            hosts.map(|(number, &host)| (Slot { tenant, number }, host)).collect::<Vec<_>>()
        };
        self.at.iter().enumerate().flat_map(of).collect()
    }

    /// No host knows anything yet.
    pub fn expect_all(&mut self) {
        for (tenant, hosts) in self.at.iter().enumerate() {
            for &host in hosts {
                self.unknown[host].insert(tenant);
            }
        }
    }

    /// Moves ports of a host elsewhere, at most so many. All hosts with ports of their tenants are to come to know.
    pub fn relocate(&mut self, from: Host, most: usize) -> Vec<Move> {
        let there = self.slots().into_iter().filter(|(_, host)| *host == from).take(most);
        let mut moves = Vec::new();
        for (slot, _) in there {
            let hosts = &mut self.at[slot.tenant];
            let mut to = (from + self.hosts / 2) % self.hosts;
            while hosts.contains(&to) {
                to = (to + 1) % self.hosts;
            }
            hosts[slot.number] = to;
            for &host in hosts.iter().chain([&from]) {
                self.unknown[host].insert(slot.tenant);
            }
            moves.push(Move { slot, from, to });
        }
        moves
    }

    /// A host is what this says.
    pub fn made(&mut self, host: Host, model: &Model) {
        if self.unknown[host].is_empty() {
            return;
        }
        let mut routes: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
        for item in model.values() {
            if let Item::Route(route) = item {
                routes.entry(&route.tenant).or_default().push(route);
            }
        }
        let at = &self.at;
        let is_unknown = |&number: &usize| {
            let there = routes.get(tenant(number).as_str()).map_or(&[][..], Vec::as_slice);
            !is_right(host, number, &at[number], there)
        };
        let before = self.unknown[host].len();
        self.unknown[host].retain(is_unknown);
        if self.unknown[host].len() < before {
            self.last = Instant::now();
        }
    }

    /// Whether all hosts know all.
    pub fn is_known(&self) -> bool {
        self.unknown.iter().all(BTreeSet::is_empty)
    }

    /// When the last one came to know.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// What is still not known.
    pub fn left(&self) -> String {
        let hosts = self.unknown.iter().filter(|tenants| !tenants.is_empty());
        let tenants: usize = self.unknown.iter().map(BTreeSet::len).sum();
        format!("{} hosts do not know it yet, of {tenants} tenants in all", hosts.count())
    }
}

/// Whether a host's routes of a tenant lead where its ports are to be.
fn is_right(host: Host, tenant: usize, at: &[Host; EACH], there: &[&Route]) -> bool {
    if !at.contains(&host) {
        return there.is_empty();
    }
    let leads = |(number, &to): (usize, &Host)| {
        let slot = Slot { tenant, number };
        let route = there.iter().find(|route| route.prefix.0.addr() == slot.address());
        let (tunnels, ports) = match to {
            _ if to == host => (vec![], vec![slot.iface()]),
            _ => (vec![wanted::tunnel_to(&self::host(to))], vec![]),
        };
        route.is_some_and(|route| route.tunnels == tunnels && route.ports == ports)
    };
    there.len() == EACH && at.iter().enumerate().all(leads)
}

/// What a tenant is called.
pub fn tenant(number: usize) -> String {
    format!("t{number}")
}

/// What a host is called.
pub fn host(number: Host) -> String {
    format!("h{number}")
}
