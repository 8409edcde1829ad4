//! The tables that the decisions look things up in. They stay the same, so that a frame found stays found.

use std::net::IpAddr;

use gre_common::tables::{DfPolicy, FieldPolicy, Service, TenantId, Tunnel, TunnelOptions};

use crate::support::world::{BLUE, GREEN, LOCAL, REMOTE, World, tunnel};

const NUMBERED: TunnelOptions = TunnelOptions::CHECKSUM.with(TunnelOptions::SEQUENCE, true);

/// Worlds whose uplinks receive a frame: the tests' cast, also at its strictest and over IPv6, and the ends of the
/// captures with l2 and with l3 tenants.
pub fn uplinks() -> [World; 5] {
    [
        World::with_cast(),
        World::with_cast().strict().options(NUMBERED),
        World::with_cast().over_ipv6(),
        captured(Service::L2),
        captured(Service::L3),
    ]
}

/// Both ends of the tunnels through which a tenant's frame goes: with the defaults, with as much as can be taken over
/// from the inner packet, and with all options over IPv6.
pub fn ends() -> [[World; 2]; 3] {
    let inherits = |tunnel: &mut Tunnel| {
        tunnel.ttl = FieldPolicy::INHERIT;
        tunnel.tos = FieldPolicy::INHERIT;
        tunnel.df = DfPolicy::COPY;
    };
    let numbers = |tunnel: &mut Tunnel| {
        tunnel.options = NUMBERED.with(TunnelOptions::ECN_COMPATIBILITY, true);
    };
    let senders = [
        World::with_cast(),
        World::with_cast().tunnels(inherits),
        World::with_cast().tunnels(numbers).over_ipv6(),
    ];
    senders.map(|sender| {
        let receiver = sender.mirrored();
        [sender, receiver]
    })
}

/// Has an l3 and an l2 tenant checked in worlds in which little fits: a path with a small MTU, a tunnel with a small one, and one over
/// IPv6 with all options.
pub fn in_each_narrow(mut check: impl FnMut(&World, TenantId)) {
    thread_local! {
        static WORLDS: [World; 3] = [
            World::with_cast().tunnels(|tunnel| tunnel.next_hop.mtu = 128),
            World::with_cast().tunnels(|tunnel| tunnel.mtu = 200),
            World::with_cast().tunnels(|tunnel| tunnel.options = NUMBERED).over_ipv6(),
        ];
    }
    WORLDS.with(|worlds| {
        for world in worlds {
            for tenant in [BLUE, GREEN] {
                check(world, tenant);
            }
        }
    });
}

/// One end of the captures in `tests/captures`.
fn captured(service: Service) -> World {
    let mut world = World::default();
    let over_v4 = tunnel(LOCAL, REMOTE);
    let [local, remote] =
        ["2001:db8::1", "2001:db8::2"].map(|end| end.parse::<IpAddr>().expect("an address").into());
    let over_v6 = Tunnel { local, remote, ..over_v4 };
    for tunnel in [over_v4, over_v6] {
        let tunnel = world.add_tunnel(tunnel);
        for key in [None, Some(10)] {
            world.add_tenant(tunnel, service, key, key);
        }
    }
    world
}
