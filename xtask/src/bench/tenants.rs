//! Fills xgre's maps with tenants, as many `xgre tenant add` and `port add` would.

use std::time::{Duration, Instant};

use anyhow::Result;
use aya::maps::{Array, Map};
use gre_common::{
    tables::{
        BindingKey, Delivery, IfIndex, KeyField, LocalKey, LocalKeyUse, Meta, Name, Port, Service,
        Tenant, TenantCounters, TenantId, Tunnel, TunnelId,
    },
    wire::gre::GreKey,
};
use testbed::{Daemon, Host, Netns, topology};

use super::batch;

/// Local and remote address of the tunnel that the tenants use.
pub const LOCAL: [u8; 4] = [192, 0, 2, 1];
/// See [`LOCAL`].
pub const REMOTE: [u8; 4] = [192, 0, 2, 2];

/// A host with room for tenants, a tunnel, and none yet.
pub fn empty(room: u32) -> (Host, Netns, Daemon) {
    let (host, wire) = topology::sensor();
    let daemon = host.start(&format!("--iface eth0 --mode native --max-tenants {room}"));
    host.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
    (host, wire, daemon)
}

/// The key of a tenant.
pub fn key(tenant: u32) -> u32 {
    tenant + 1
}

/// Enters `count` l3 tenants in the first tunnel, all with the port given; the time it took.
///
/// One port for all keeps the device's part of the work the same whatever their number.
pub fn load(host: &Host, count: u32, port: Port) -> Result<Duration> {
    let key_field = |tenant| KeyField::from(Some(GreKey(key(tenant))));
    let numbers: Vec<u32> = (0..count).collect();
    let ids: Vec<_> = numbers.iter().map(|&tenant| TenantId(tenant)).collect();
    let tenants: Vec<_> = numbers
        .iter()
        .map(|&tenant| Tenant {
            in_use: 1,
            service: Service::L3,
            tunnel: TunnelId(0),
            in_key: key_field(tenant),
            out_key: key_field(tenant),
            port,
        })
        .collect();
    let names: Vec<_> = numbers.iter().map(|&tenant| name(tenant)).collect();
    let local_keys: Vec<_> =
        numbers.iter().map(|&tenant| LocalKey { local: LOCAL, key: key_field(tenant) }).collect();
    let uses: Vec<_> = ids.iter().map(|&tenant| LocalKeyUse { bindings: 1, tenant }).collect();
    let bindings: Vec<_> = numbers
        .iter()
        .map(|&tenant| BindingKey { local: LOCAL, remote: REMOTE, key: key_field(tenant) })
        .collect();

    let maps = host.state().join("maps");
    let open = |name| batch::open(&maps.join(name));
    let begin = Instant::now();
    batch::update(&open("TENANTS")?, &numbers, &tenants)?;
    batch::update(&open("TENANT_NAMES")?, &names, &ids)?;
    batch::update(&open("LOCAL_KEYS")?, &local_keys, &uses)?;
    batch::update(&open("BINDINGS")?, &bindings, &ids)?;
    let elapsed = begin.elapsed();
    declare(host, count)?;
    Ok(elapsed)
}

/// Tells xgre where the next free slot is, and how many tenants the tunnel has.
fn declare(host: &Host, count: u32) -> Result<()> {
    let maps = host.state().join("maps");
    let open = |name| anyhow::Ok(Map::from_map_data(batch::open(&maps.join(name))?)?);
    let mut all_meta = Array::<_, Meta>::try_from(open("META")?)?;
    let mut tunnels = Array::<_, Tunnel>::try_from(open("TUNNELS")?)?;
    let meta = all_meta.get(&0, 0)?;
    all_meta.set(0, Meta { next_tenant: count % tunnels.len(), ..meta }, 0)?;
    let tunnel = tunnels.get(&0, 0)?;
    Ok(tunnels.set(0, Tunnel { tenants: count, ..tunnel }, 0)?)
}

/// The port that XDP redirects to.
pub fn redirect_port(ifindex: u32) -> Port {
    Port {
        ifindex: IfIndex(ifindex),
        delivery: Delivery::REDIRECT,
        station: [2, 0, 0, 0, 0, 2],
        own: [2, 0, 0, 0, 0, 3],
    }
}

/// Packets and inner bytes received, over all tenants.
pub fn received(host: &Host, count: u32) -> Result<[u64; 2]> {
    let map = batch::open(&host.state().join("maps/TENANT_COUNTERS"))?;
    let cpus = aya::util::nr_cpus().map_err(|(what, error)| anyhow::anyhow!("{what}: {error}"))?;
    let counters = batch::lookup_array::<TenantCounters>(&map, count as usize, cpus)?;
    Ok(counters.iter().fold([0; 2], |[packets, bytes], tenant| {
        [packets + tenant.rx_packets, bytes + tenant.rx_bytes]
    }))
}

fn name(tenant: u32) -> Name {
    let mut name = Name::default();
    let text = format!("tenant-{tenant}");
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}
