//! The tables of a decision, with every look-up written down.

use std::{cell::Cell, net::IpAddr};

use gre_common::{
    tables::{
        Binding, BindingKey, Ends6, FdbKey, HopState, IfIndex, LocalId, LocalKey, Neighbour,
        NextHop, Route, Service, Tables, Tenant, TenantAddress, TenantId, Tunnel, TunnelId, Via,
    },
    wire::address::Address,
};

use super::{Tracer, notes::Notes};
use crate::{
    state::{live::Snapshot, prefix, tenant::describe_key},
    value::Mac,
};

/// The live tables.
pub struct Recorder<'t> {
    tables: Snapshot<'t>,
    tracer: &'t Tracer,
    notes: &'t Notes,
    /// The packet's ends and key, in words.
    subject: String,
    bound: Cell<bool>,
    /// What the packet itself has taught before anybody looked.
    learned: Cell<Option<(FdbKey, Via)>>,
}

impl<'t> Recorder<'t> {
    /// For one decision, about a packet with these ends and key.
    pub fn new(tracer: &'t Tracer, notes: &'t Notes, subject: String) -> Self {
        let (bound, learned) = (Cell::new(false), Cell::new(None));
        Self { tables: tracer.live.tables(), tracer, notes, subject, bound, learned }
    }

    /// Whether a binding was found.
    pub fn is_bound(&self) -> bool {
        self.bound.get()
    }

    /// From now on a station is there.
    pub fn learn(&self, key: FdbKey, via: Via) {
        self.learned.set(Some((key, via)));
    }

    /// Something was read or found out.
    pub fn note(&self, step: &'static str, detail: impl Into<String>) {
        self.notes.add(step, detail);
    }

    fn hop_in_words(&self, hop: &NextHop) -> String {
        let device = self.tracer.interface_name(hop.ifindex);
        match hop.state {
            HopState::RESOLVED => format!("next hop {} by {device}", Mac(hop.ends.dst())),
            HopState::UNRESOLVED => format!("next hop by {device}, not resolved"),
            _ => "no route".to_owned(),
        }
    }
}

/// An address of a tenant's.
fn in_words(address: &TenantAddress) -> String {
    let mac = || prefix::mac(address).map(|mac| Mac(mac).to_string());
    prefix::ip(address).map(|ip| ip.to_string()).or_else(mac).unwrap_or_default()
}

impl Tables for Recorder<'_> {
    fn binding(&self, key: &BindingKey) -> Option<&Binding> {
        let found = self.tables.binding(key);
        self.bound.set(found.is_some());
        let what = found.map_or_else(
            || "none".to_owned(),
            |binding| {
                let names = &self.tracer.names;
                let (tenant, tunnel) = (names.tenant(binding.tenant), names.tunnel(binding.tunnel));
                format!("tenant {tenant}, tunnel {tunnel}")
            },
        );
        self.notes.look_up("binding", found.is_some(), format!("{}: {what}", self.subject));
        found
    }

    fn ends6(&self, ends: &Ends6) -> Option<TunnelId> {
        let found = self.tables.ends6(ends);
        let what = match found {
            Some(tunnel) => format!("tunnel {}", self.tracer.names.tunnel(tunnel)),
            None => "no tunnel is between them".to_owned(),
        };
        self.notes.look_up("ends", found.is_some(), what);
        found
    }

    fn local_key(&self, key: &LocalKey) -> Option<TenantId> {
        let found = self.tables.local_key(key);
        let whose = match found {
            Some(tenant) => {
                let tenant = self.tracer.names.tenant(tenant);
                format!("tenant {tenant}'s here, from another remote address")
            }
            None => "nobody's here".to_owned(),
        };
        let what = format!("{}: {whose}", describe_key(key.key.into()));
        self.notes.look_up("key", found.is_some(), what);
        found
    }

    fn local(&self, address: &Address) -> Option<LocalId> {
        let found = self.tables.local(address);
        let ends = if found.is_some() { "a tunnel ends there" } else { "no tunnel ends there" };
        self.notes.look_up("local", found.is_some(), format!("{}: {ends}", IpAddr::from(*address)));
        found
    }

    fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        let found = self.tables.tenant(id);
        if found.is_none() {
            self.notes.look_up("tenant", false, format!("#{} is gone", id.0));
        }
        found
    }

    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel> {
        let found = self.tables.tunnel(id);
        let name = self.tracer.names.tunnel(id);
        let what = match found {
            Some(tunnel) => {
                let [local, remote] = [tunnel.local, tunnel.remote].map(IpAddr::from);
                let hop = self.hop_in_words(&tunnel.next_hop);
                format!("{name}, {local} -> {remote}, {hop}")
            }
            None => format!("{name} is gone"),
        };
        self.notes.look_up("tunnel", found.is_some(), what);
        found
    }

    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId> {
        let found = self.tables.port_tenant(ifindex);
        let what = match found {
            Some(id) => {
                let service = self.tables.tenant(id).map(|tenant| tenant.service);
                let service = if service == Some(Service::L2) { "l2" } else { "l3" };
                format!("tenant {}, {service}", self.tracer.names.tenant(id))
            }
            None => "nobody's".to_owned(),
        };
        let name = self.tracer.interface_name(ifindex);
        self.notes.look_up("port", found.is_some(), format!("{name}: {what}"));
        found
    }

    fn station(&self, key: &FdbKey) -> Via {
        let learned = self.learned.get().filter(|(station, _)| station == key);
        let via = learned.map_or_else(|| self.tables.station(key), |(_, via)| via);
        let place = self.tracer.names.place(via);
        self.notes.look_up("station", via != Via::NONE, format!("{}: {place}", Mac(key.mac())));
        via
    }

    fn route(&self, key: &TenantAddress) -> Option<&Route> {
        let found = self.tables.route(key);
        let what = match found {
            Some(route) => {
                let ways = route.ways().iter().map(|via| self.tracer.names.place(*via));
                ways.collect::<Vec<_>>().join(", or ")
            }
            None => "none".to_owned(),
        };
        self.notes.look_up("route", found.is_some(), format!("{}: {what}", in_words(key)));
        found
    }

    fn is_source(&self, key: &TenantAddress) -> bool {
        let found = self.tables.is_source(key);
        let what = if found { "allowed" } else { "not allowed" };
        self.notes.look_up("source", found, format!("{}: {what}", in_words(key)));
        found
    }

    fn neighbour(&self, key: &TenantAddress) -> Option<Neighbour> {
        let found = self.tables.neighbour(key);
        let what = match found.map(Neighbour::mac) {
            Some(Some(mac)) => format!("{} has it", Mac(mac)),
            Some(None) => "the port has it".to_owned(),
            None => "nobody is said to have it".to_owned(),
        };
        self.notes.look_up("neighbour", found.is_some(), format!("{}: {what}", in_words(key)));
        found
    }

    fn strict(&self) -> bool {
        let strict = self.tables.strict();
        let what = if strict { "dropped, as --strict says" } else { "passed on, without --strict" };
        self.notes.add("strict", format!("what nobody is bound to is {what}"));
        strict
    }

    /// Always the same, so that a trace is.
    fn ip_id(&self) -> u16 {
        0
    }
}
