//! What the verbs leave in the maps that decisions look things up in.

use std::net::IpAddr;

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use gre_common::{
    tables::{
        Ends6, Ends6Use, LocalId, LocalKey, LocalKeyUse, LocalUse, Sequence, TenantId, TunnelId,
        table::{Entry, Key, VACANT},
    },
    wire::{address::Address, gre::GreKey},
};
use testbed::{Host, suite::Case, topology::sensor};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("maps: the ends of tunnels over IPv6", ends),
        Case::new("maps: local addresses have numbers, which are used again", local_addresses),
        Case::new("maps: a key bound twice at a local address", keys),
        Case::new("maps: a new tenant counts from zero", sequences),
    ]
}

const LOCAL: &str = "2001:db8::1";

fn add_tunnel(host: &Host, name: &str, local: &str, remote: &str) {
    host.xgre(&format!("tunnel add {name} --local {local} --remote {remote}")).ok();
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().expect("an address").into()
}

fn map<M: TryFrom<Map, Error = MapError>>(host: &Host, name: &str) -> M {
    let map = MapData::from_pin(host.state().join("maps").join(name)).and_then(Map::from_map_data);
    map.and_then(M::try_from).expect("a pinned map")
}

/// The entries of a table.
fn entries<E: Entry + Pod>(host: &Host, name: &str) -> Vec<E> {
    let map: Array<_, E> = map(host, name);
    let entries = map.iter().map(|entry| entry.expect("an entry"));
    let unused = [VACANT, E::Key::DELETED];
    entries.filter(|entry| !unused.contains(&entry.key().decisive())).collect()
}

fn ends() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc --max-tenants 8");
    add_tunnel(&host, "four", "192.0.2.1", "192.0.2.2");
    for (name, remote) in [("a", "2001:db8::a"), ("b", "2001:db8::b")] {
        add_tunnel(&host, name, LOCAL, remote);
    }
    let found = || {
        let mut found = entries::<Ends6Use>(&host, "ENDS6");
        found.sort_by_key(|ends| ends.tunnel);
        found
    };
    let ends = |remote, tunnel| Ends6Use {
        key: Ends6::new(address(LOCAL), address(remote)),
        tunnel: TunnelId(tunnel),
    };
    assert_eq!(found(), [ends("2001:db8::a", 1), ends("2001:db8::b", 2)]);
    host.xgre("tunnel del a").ok();
    assert_eq!(found(), [ends("2001:db8::b", 2)]);
    host.xgre("tunnel del b").ok();
    assert_eq!(found(), []);
}

fn local_addresses() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc --max-tenants 8");
    let numbers = |expected: &[(&str, u32, u32)]| {
        let locals: HashMap<_, Address, LocalUse> = map(&host, "LOCALS");
        assert_eq!(locals.keys().count(), expected.len());
        for &(local, id, tunnels) in expected {
            let found = locals.get(&address(local), 0).expect("a local address");
            assert_eq!(found, LocalUse { id: LocalId(id), tunnels }, "{local}");
        }
    };
    add_tunnel(&host, "a", LOCAL, "2001:db8::a");
    add_tunnel(&host, "b", "192.0.2.1", "192.0.2.2");
    add_tunnel(&host, "c", LOCAL, "2001:db8::c");
    numbers(&[(LOCAL, 0, 2), ("192.0.2.1", 1, 1)]);
    host.xgre("tunnel del a").ok();
    numbers(&[(LOCAL, 0, 1), ("192.0.2.1", 1, 1)]);
    host.xgre("tunnel del c").ok();
    numbers(&[("192.0.2.1", 1, 1)]);
    add_tunnel(&host, "d", "192.0.2.7", "192.0.2.2");
    numbers(&[("192.0.2.7", 0, 1), ("192.0.2.1", 1, 1)]);
}

fn keys() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc --max-tenants 8");
    for (tunnel, tenant) in [("a", "red"), ("b", "green"), ("c", "blue")] {
        add_tunnel(&host, tunnel, LOCAL, &format!("2001:db8::{tunnel}"));
        host.xgre(&format!("tenant add {tenant} --key 10 --tunnel {tunnel}")).ok();
    }
    let key = LocalKey { local: LocalId(0), key: Some(GreKey(10)).into() };
    let bound = |bindings, tenant| [LocalKeyUse { key, bindings, tenant: TenantId(tenant) }];
    let found = || entries::<LocalKeyUse>(&host, "LOCAL_KEYS");
    assert_eq!(found(), bound(3, 0));
    // Whose key it is when a packet comes from a wrong remote: somebody who has it still.
    host.xgre("tenant del red").ok();
    assert_eq!(found(), bound(2, 1));
    host.xgre("tenant del blue").ok();
    assert_eq!(found(), bound(1, 1));
    host.xgre("tenant del green").ok();
    assert_eq!(found(), []);
}

fn sequences() {
    let (host, _wire) = sensor();
    let _daemon = host.start("--iface eth0 --mode tc --max-tenants 2");
    host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2 --seq").ok();
    host.xgre("tenant add red --key 10 --tunnel t").ok();
    let mut sequences: Array<_, Sequence> = map(&host, "SEQUENCES");
    sequences.set(0, Sequence { sent: 7, received: 9 }, 0).expect("a writable map");
    host.xgre("tenant del red").ok();
    host.xgre("tenant add green --key 10 --tunnel t").ok();
    assert_eq!(sequences.get(&0, 0).expect("a value"), Sequence::default());
}
