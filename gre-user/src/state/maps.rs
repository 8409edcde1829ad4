//! The pinned maps, with their types.

use aya::maps::{
    Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, xdp::DevMapHash,
};
use gre_common::tables::{
    BindingKey, HookCounters, HookKey, IfIndex, IfName, LocalKey, LocalKeyUse, Meta, Name,
    PortRecord, Tenant, TenantCounters, TenantEvent, TenantId, Tunnel, TunnelId, Uplink,
};
use nix::errno::Errno;

use super::{Error, Result, StateDir, error::errno};

type Hash<K, V> = HashMap<MapData, K, V>;

/// Every map but the logger's.
pub(super) struct Maps {
    pub bindings: Hash<BindingKey, TenantId>,
    pub local_keys: Hash<LocalKey, LocalKeyUse>,
    pub locals: Hash<[u8; 4], u32>,
    pub tenants: Array<MapData, Tenant>,
    pub tunnels: Array<MapData, Tunnel>,
    pub port_tenants: Hash<IfIndex, TenantId>,
    pub port_devices: DevMapHash<MapData>,
    pub tenant_counters: PerCpuArray<MapData, TenantCounters>,
    pub tenant_events: PerCpuHashMap<MapData, TenantEvent, u64>,
    pub hook_counters: PerCpuHashMap<MapData, HookKey, HookCounters>,
    pub meta: Array<MapData, Meta>,
    pub tunnel_names: Hash<Name, TunnelId>,
    pub tenant_names: Hash<Name, TenantId>,
    pub ports: Hash<IfName, PortRecord>,
    pub uplinks: Hash<IfIndex, Uplink>,
}

impl Maps {
    pub fn open(dir: &StateDir) -> Result<Self> {
        Ok(Self {
            bindings: open(dir, "BINDINGS")?,
            local_keys: open(dir, "LOCAL_KEYS")?,
            locals: open(dir, "LOCALS")?,
            tenants: open(dir, "TENANTS")?,
            tunnels: open(dir, "TUNNELS")?,
            port_tenants: open(dir, "PORT_TENANTS")?,
            port_devices: open(dir, "PORT_DEVICES")?,
            tenant_counters: open(dir, "TENANT_COUNTERS")?,
            tenant_events: open(dir, "TENANT_EVENTS")?,
            hook_counters: open(dir, "HOOK_COUNTERS")?,
            meta: open_meta(dir)?,
            tunnel_names: open(dir, "TUNNEL_NAMES")?,
            tenant_names: open(dir, "TENANT_NAMES")?,
            ports: open(dir, "PORTS")?,
            uplinks: open(dir, "UPLINKS")?,
        })
    }
}

/// The map that tells the schema version of the others.
pub(super) fn open_meta(dir: &StateDir) -> Result<Array<MapData, Meta>> {
    open(dir, "META")
}

fn open<M: TryFrom<Map, Error = MapError>>(dir: &StateDir, name: &str) -> Result<M> {
    let opened =
        MapData::from_pin(dir.map(name)).and_then(Map::from_map_data).and_then(M::try_from);
    opened.map_err(|error| match errno(&error) {
        Some(Errno::ENOENT) => Error::NoState(dir.path().to_owned()),
        Some(Errno::EPERM | Errno::EACCES) => Error::Permission(dir.path().to_owned()),
        _ => Error::Map(error),
    })
}
