//! Tables in memory, with a cast of tenants.

use std::{collections::HashMap, net::IpAddr};

use gre_common::{
    tables::{
        Binding, BindingKey, Delivery, DfPolicy, Ends6, FdbKey, FieldPolicy, HopState, IfIndex,
        KeyField, LocalId, LocalKey, MemberId, Neighbour, NextHop, Port, Route, Service, Slot,
        Tables, Tenant, TenantAddress, TenantId, TenantOptions, Tunnel, TunnelId, TunnelOptions,
        Via,
    },
    wire::{
        address::Address,
        be32::Be32,
        ethernet::{Ends, MacAddr},
        gre::GreKey,
    },
};

use super::ipv6;

/// Where the tunnels end here.
pub const LOCAL: [u8; 4] = [192, 0, 2, 1];
/// The other end of the cast's tunnel.
pub const REMOTE: [u8; 4] = [192, 0, 2, 2];
/// The other end of a second tunnel.
pub const SECOND_REMOTE: [u8; 4] = [192, 0, 2, 3];
/// No end of any tunnel.
pub const STRANGER: [u8; 4] = [203, 0, 113, 9];

/// l3, key 10.
pub const BLUE: TenantId = TenantId(0);
/// l2, key 20.
pub const GREEN: TenantId = TenantId(1);
/// l3, key 0.
pub const ZERO: TenantId = TenantId(2);
/// l3, no key.
pub const KEYLESS: TenantId = TenantId(3);
/// l3, receives key 7, sends key 8.
pub const SPLIT: TenantId = TenantId(4);
/// l3, key 30, no port.
pub const PORTLESS: TenantId = TenantId(5);
/// l3, key 20 like [`GREEN`], but over the second tunnel.
pub const TWIN: TenantId = TenantId(6);
/// l2, no key, over the second tunnel.
pub const WHITE: TenantId = TenantId(7);
/// All that have a port.
pub const CAST: [TenantId; 7] = [BLUE, GREEN, ZERO, KEYLESS, SPLIT, TWIN, WHITE];

/// Ethernet addresses towards the next hop.
pub const UPLINK_ENDS: [u8; 12] = [2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 1];
/// MAC address behind every port.
pub const STATION: MacAddr = [2, 0, 0, 0, 2, 2];
/// MAC address of every port.
pub const OWN: MacAddr = [2, 0, 0, 0, 2, 1];
/// What [`Tables::ip_id`] gives.
pub const IP_ID: u16 = 0xbeef;

/// An address, and how many of its bits count.
type Prefix = (TenantAddress, u32);

/// The tables.
#[derive(Debug, Default)]
pub struct World {
    bindings: HashMap<BindingKey, Binding>,
    local_keys: HashMap<LocalKey, TenantId>,
    tenants: Vec<Tenant>,
    tunnels: Vec<Tunnel>,
    fdb: HashMap<FdbKey, Via>,
    routes: Vec<(Prefix, Route)>,
    sources: Vec<Prefix>,
    neighbours: HashMap<TenantAddress, Neighbour>,
    strict: bool,
}

impl World {
    /// The cast above.
    pub fn with_cast() -> Self {
        let mut world = Self::default();
        let first = world.add_tunnel(tunnel(LOCAL, REMOTE));
        let second = world.add_tunnel(tunnel(LOCAL, SECOND_REMOTE));
        let ids = [
            world.add_tenant(first, Service::L3, Some(10), Some(10)),
            world.add_tenant(first, Service::L2, Some(20), Some(20)),
            world.add_tenant(first, Service::L3, Some(0), Some(0)),
            world.add_tenant(first, Service::L3, None, None),
            world.add_tenant(first, Service::L3, Some(7), Some(8)),
            world.add_tenant(first, Service::L3, Some(30), Some(30)),
            world.add_tenant(second, Service::L3, Some(20), Some(20)),
            world.add_tenant(second, Service::L2, None, None),
        ];
        assert_eq!(ids, [BLUE, GREEN, ZERO, KEYLESS, SPLIT, PORTLESS, TWIN, WHITE]);
        world.set_port(PORTLESS, Port::NONE);
        world
    }

    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Changes every tunnel.
    pub fn tunnels(mut self, change: impl Fn(&mut Tunnel)) -> Self {
        self.tunnels.iter_mut().for_each(change);
        self
    }

    pub fn add_tunnel(&mut self, tunnel: Tunnel) -> TunnelId {
        self.tunnels.push(tunnel);
        TunnelId(self.tunnels.len() as u32 - 1)
    }

    pub fn add_tenant(
        &mut self,
        tunnel: TunnelId,
        service: Service,
        in_key: Option<u32>,
        out_key: Option<u32>,
    ) -> TenantId {
        self.bind(tunnel, service, key_field(in_key), key_field(out_key))
    }

    fn bind(
        &mut self,
        tunnel: TunnelId,
        service: Service,
        key: KeyField,
        out_key: KeyField,
    ) -> TenantId {
        let id = TenantId(self.tenants.len() as u32);
        let ends = self.tunnels[tunnel.0 as usize];
        let port = Port {
            ifindex: port_of(id),
            delivery: Delivery::REDIRECT,
            ends: Ends::new(STATION, OWN),
        };
        let binding_key = if ends.local.is_v4() {
            BindingKey::v4(ends.local.last(), ends.remote.last(), key)
        } else {
            BindingKey::v6(tunnel, key)
        };
        let options = ends.options.with(TunnelOptions::ETHERNET, service == Service::L2);
        let binding = Binding { options, ..Binding::new(binding_key, id, tunnel, port) };
        assert_eq!(self.bindings.insert(binding_key, binding), None, "bound twice");
        let local = self.local(&ends.local).expect("a tunnel ends there");
        self.local_keys.entry(LocalKey { local, key }).or_insert(id);
        self.tenants.push(Tenant {
            slot: Slot::IN_USE,
            service,
            tunnel,
            in_key: key,
            out_key,
            port,
            ..Tenant::EMPTY
        });
        id
    }

    /// The tables at the other ends of the tunnels: addresses and keys swapped.
    pub fn mirrored(&self) -> Self {
        let mut world = Self::default();
        for &tunnel in &self.tunnels {
            world.add_tunnel(Tunnel { local: tunnel.remote, remote: tunnel.local, ..tunnel });
        }
        for &Tenant { tunnel, service, in_key, out_key, .. } in &self.tenants {
            world.bind(tunnel, service, out_key, in_key);
        }
        world
    }

    /// The same with every tunnel over IPv6.
    pub fn over_ipv6(self) -> Self {
        let mut world = Self { strict: self.strict, ..Self::default() };
        for &tunnel in &self.tunnels {
            let [local, remote] = [tunnel.local, tunnel.remote]
                .map(|end| Address::from(IpAddr::from(ipv6::address(end.last().bytes()))));
            world.add_tunnel(Tunnel { local, remote, ..tunnel });
        }
        for &Tenant { tunnel, service, in_key, out_key, port, .. } in &self.tenants {
            let id = world.bind(tunnel, service, in_key, out_key);
            world.set_port(id, port);
        }
        world
    }

    fn set_port(&mut self, id: TenantId, port: Port) {
        self.tenants[id.0 as usize].port = port;
        let bound = self.bindings.values_mut().find(|binding| binding.tenant == id);
        bound.expect("every tenant is bound").port = port;
    }

    /// Gives a tenant several tunnels or ports.
    pub fn bridge(&mut self, id: TenantId, members: MemberId, ports: MemberId) {
        let tenant = &mut self.tenants[id.0 as usize];
        *tenant = Tenant { members, ports, ..*tenant };
    }

    /// Says where a tenant's station is.
    pub fn learn(&mut self, id: TenantId, mac: MacAddr, via: Via) {
        self.fdb.insert(FdbKey::new(id, mac), via);
    }

    /// Gives an l3 tenant a route.
    pub fn route(&mut self, id: TenantId, prefix: &str, ways: &[Via]) {
        let route = Route::new(ways).expect("as many ways as a route can have");
        self.routes.push((prefix_of(id, prefix), route));
    }

    /// Has a tenant's packets come from a prefix, or one more.
    pub fn allow(&mut self, id: TenantId, prefix: &str) {
        self.sources.push(prefix_of(id, prefix));
        self.ask(id, TenantOptions::PREFIXES, TunnelOptions::SOURCES);
    }

    /// Has a tenant's frames come from a MAC address, or one more.
    pub fn allow_mac(&mut self, id: TenantId, mac: MacAddr) {
        self.sources.push((TenantAddress::mac(id, mac), TenantAddress::BITS));
        self.ask(id, TenantOptions::MACS, TunnelOptions::SOURCES);
    }

    /// Says who has an address.
    pub fn neighbour(&mut self, id: TenantId, address: &str, neighbour: Neighbour) {
        self.neighbours.insert(address_of(id, address.parse().unwrap()), neighbour);
        self.ask(id, TenantOptions::ANSWERS, TunnelOptions::NONE);
    }

    fn ask(&mut self, id: TenantId, option: TenantOptions, received: TunnelOptions) {
        let tenant = &mut self.tenants[id.0 as usize];
        tenant.options = tenant.options.with(option, true);
        for binding in self.bindings.values_mut().filter(|binding| binding.tenant == id) {
            binding.options = binding.options.with(received, true);
        }
    }

    /// Changes what the tunnels ask of packets received.
    pub fn options(mut self, options: TunnelOptions) -> Self {
        let add = |binding: &mut Binding| binding.options = binding.options.with(options, true);
        self.bindings.values_mut().for_each(add);
        self
    }

    /// Whose packet this is, by the tenants and tunnels alone.
    pub fn bound(
        &self,
        local: impl Into<IpAddr>,
        remote: impl Into<IpAddr>,
        key: Option<u32>,
    ) -> Option<TenantId> {
        let ends = [local.into(), remote.into()];
        let mut all = (0..self.tenants.len() as u32).map(TenantId);
        all.find(|&id| self.ends_of(id) == ends && self.has_key(id, key))
    }

    /// The local and the remote address of a tenant's tunnel.
    pub fn ends_of(&self, id: TenantId) -> [IpAddr; 2] {
        let tenant = &self.tenants[id.0 as usize];
        let Tunnel { local, remote, .. } = self.tunnels[tenant.tunnel.0 as usize];
        [local, remote].map(IpAddr::from)
    }

    /// Whether a tenant's packets are received with this key.
    pub fn has_key(&self, id: TenantId, key: Option<u32>) -> bool {
        self.tenants[id.0 as usize].in_key == key_field(key)
    }
}

/// The first tunnel of a tenant.
pub fn tunnel_of(world: &World, id: TenantId) -> TunnelId {
    world.tenants.get(id.0 as usize).map_or(TunnelId(u32::MAX), |tenant| tenant.tunnel)
}

/// The port of a tenant.
pub fn port_of(id: TenantId) -> IfIndex {
    IfIndex(100 + id.0)
}

/// The addresses that a frame begins with.
pub fn ends([d0, d1, d2, d3, d4, d5, src @ ..]: [u8; 12]) -> Ends {
    Ends::new([d0, d1, d2, d3, d4, d5], src)
}

/// A tunnel with the defaults, over a path of 1500 bytes.
pub fn tunnel(local: [u8; 4], remote: [u8; 4]) -> Tunnel {
    let [local, remote] = [local, remote].map(|address| Address::v4(address.into()));
    Tunnel {
        slot: Slot::IN_USE,
        local,
        remote,
        ttl: FieldPolicy::fixed(64),
        tos: FieldPolicy::fixed(0),
        df: DfPolicy::SET,
        next_hop: NextHop {
            state: HopState::RESOLVED,
            ifindex: IfIndex(2),
            address: remote,
            ends: ends(UPLINK_ENDS),
            mtu: 1500,
        },
        ..Tunnel::EMPTY
    }
}

fn prefix_of(id: TenantId, prefix: &str) -> Prefix {
    let (address, len) = prefix.split_once('/').expect("a prefix");
    let len: u32 = len.parse().unwrap();
    (address_of(id, address.parse().unwrap()), TenantAddress::START_BITS + len)
}

fn address_of(id: TenantId, address: IpAddr) -> TenantAddress {
    match address {
        IpAddr::V4(address) => TenantAddress::v4(id, address.octets().into()),
        IpAddr::V6(address) => TenantAddress::v6(id, Be32::words(address.octets())),
    }
}

/// Whether an address has this prefix.
fn has_prefix(address: &TenantAddress, (prefix, len): &Prefix) -> bool {
    let bits = |address: &TenantAddress| {
        let (version, words) = address.parts();
        let words = words.into_iter().flat_map(Be32::bytes);
        let start = [address.tenant().0, version].map(u32::to_be_bytes);
        let bytes: Vec<u8> = start.into_iter().flatten().chain(words).collect();
        (0..*len).map(move |bit| bytes[bit as usize / 8] >> (7 - bit % 8) & 1).collect::<Vec<_>>()
    };
    bits(address) == bits(prefix)
}

fn key_field(key: Option<u32>) -> KeyField {
    key.map(GreKey).into()
}

impl Tables for World {
    fn binding(&self, key: &BindingKey) -> Option<&Binding> {
        self.bindings.get(key)
    }

    fn route(&self, key: &TenantAddress) -> Option<&Route> {
        let matching = self.routes.iter().filter(|(prefix, _)| has_prefix(key, prefix));
        matching.max_by_key(|((_, len), _)| *len).map(|(_, route)| route)
    }

    fn is_source(&self, key: &TenantAddress) -> bool {
        self.sources.iter().any(|prefix| has_prefix(key, prefix))
    }

    fn neighbour(&self, key: &TenantAddress) -> Option<Neighbour> {
        self.neighbours.get(key).copied()
    }

    fn local_key(&self, key: &LocalKey) -> Option<TenantId> {
        self.local_keys.get(key).copied()
    }

    fn ends6(&self, ends: &Ends6) -> Option<TunnelId> {
        let same = |tunnel: &Tunnel| {
            !tunnel.local.is_v4() && Ends6::new(tunnel.local, tunnel.remote) == *ends
        };
        self.tunnels.iter().position(same).map(|index| TunnelId(index as u32))
    }

    fn local(&self, address: &Address) -> Option<LocalId> {
        let first = self.tunnels.iter().position(|tunnel| tunnel.local == *address);
        first.map(|index| LocalId(index as u32))
    }

    fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(id.0 as usize)
    }

    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel> {
        self.tunnels.get(id.0 as usize)
    }

    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId> {
        (0..self.tenants.len() as u32).map(TenantId).find(|id| port_of(*id) == ifindex)
    }

    fn station(&self, key: &FdbKey) -> Via {
        self.fdb.get(key).copied().unwrap_or(Via::NONE)
    }

    fn strict(&self) -> bool {
        self.strict
    }

    fn ip_id(&self) -> u16 {
        IP_ID
    }
}
