//! The pinned maps, with their types.

use std::sync::Mutex;

use aya::{
    Pod,
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuHashMap},
};
use gre_common::{
    tables::{
        Binding, Counters, Ends6Use, FdbEntry, FdbKey, Fragmented, HookCounters, HookKey, IfIndex,
        IfName, KeyField, Limit, LocalKeyUse, LocalUse, Member, Meta, Named, Neighbour, PortRecord,
        PortUse, Route, Sequence, Tenant, TenantAddress, TenantEvent, TenantId, TransitKey,
        TransitRule, Tunnel, Uplink, table::Entry,
    },
    wire::address::Address,
};
use nix::errno::Errno;

use super::{
    Error, Result, Sizes, StateDir, devices::Devices, error::errno, memory::Memory, table::Table,
};

pub(super) type Hash<K, V> = HashMap<MapData, K, V>;
type Prefixes<V> = LpmTrie<MapData, TenantAddress, V>;

/// Every map that is pinned and that userspace reads or writes.
pub(super) struct Maps {
    pub bindings: Table<Binding>,
    pub local_keys: Table<LocalKeyUse>,
    pub locals: Hash<Address, LocalUse>,
    pub ends6: Table<Ends6Use>,
    pub tenants: Memory<Tenant>,
    pub tunnels: Memory<Tunnel>,
    pub port_tenants: Table<PortUse>,
    pub port_devices: Devices,
    pub fdb: Hash<FdbKey, FdbEntry>,
    pub fdb_learned: Memory<u64>,
    pub members: Memory<Member>,
    pub routes: Prefixes<Route>,
    pub sources: Prefixes<u32>,
    pub neighbours: Hash<TenantAddress, Neighbour>,
    /// Written while other tables are read.
    pub limits: Mutex<Hash<TenantId, Limit>>,
    pub second_keys: Hash<TenantId, KeyField>,
    pub sequences: Memory<Sequence>,
    pub transit_rules: Hash<TransitKey, TransitRule>,
    pub sent: PerCpuArray<MapData, Counters>,
    pub fragmented: Memory<Fragmented>,
    pub tenant_events: PerCpuHashMap<MapData, TenantEvent, u64>,
    pub hook_counters: PerCpuHashMap<MapData, HookKey, HookCounters>,
    pub tunnel_names: Table<Named>,
    pub tenant_names: Table<Named>,
    pub ports: Hash<IfName, PortRecord>,
    pub uplinks: Hash<IfIndex, Uplink>,
    pub uplink_devices: Devices,
    pub meta: Array<MapData, Meta>,
    /// How much there is room for.
    pub sizes: Sizes,
}

impl Maps {
    pub fn open(dir: &StateDir) -> Result<Self> {
        let bindings = table(dir, "BINDINGS")?;
        let (tenants, tunnels) = (memory(dir, "TENANTS")?, memory(dir, "TUNNELS")?);
        let sizes = Sizes {
            tenants: Memory::len(&tenants),
            tunnels: Sizes::tunnels_in(Memory::len(&tunnels)),
            bindings: Table::room(&bindings),
            stations: entries(dir, "FDB")?,
            routes: entries(dir, "ROUTES")?,
            neighbours: entries(dir, "NEIGHBOURS")?,
        };
        Ok(Self {
            bindings,
            local_keys: table(dir, "LOCAL_KEYS")?,
            locals: map(dir, "LOCALS")?,
            ends6: table(dir, "ENDS6")?,
            tenants,
            tunnels,
            port_tenants: table(dir, "PORT_TENANTS")?,
            port_devices: Devices::pinned(dir, "PORT_DEVICES"),
            fdb: open_fdb(dir)?,
            fdb_learned: memory(dir, "FDB_LEARNED")?,
            members: memory(dir, "MEMBERS")?,
            routes: map(dir, "ROUTES")?,
            sources: map(dir, "SOURCES")?,
            neighbours: map(dir, "NEIGHBOURS")?,
            limits: Mutex::new(map(dir, "LIMITS")?),
            second_keys: map(dir, "SECOND_KEYS")?,
            sequences: memory(dir, "SEQUENCES")?,
            transit_rules: map(dir, "TRANSIT_RULES")?,
            sent: map(dir, "SENT")?,
            fragmented: memory(dir, "FRAGMENTED")?,
            tenant_events: map(dir, "TENANT_EVENTS")?,
            hook_counters: map(dir, "HOOK_COUNTERS")?,
            tunnel_names: table(dir, "TUNNEL_NAMES")?,
            tenant_names: table(dir, "TENANT_NAMES")?,
            ports: map(dir, "PORTS")?,
            uplinks: map(dir, "UPLINKS")?,
            uplink_devices: Devices::pinned(dir, "UPLINK_DEVICES"),
            meta: open_meta(dir)?,
            sizes,
        })
    }
}

/// The map that tells the schema version of the others.
pub(super) fn open_meta(dir: &StateDir) -> Result<Array<MapData, Meta>> {
    map(dir, "META")
}

/// The map of stations alone.
pub(super) fn open_fdb(dir: &StateDir) -> Result<Hash<FdbKey, FdbEntry>> {
    map(dir, "FDB")
}

fn table<E: Entry + Pod>(dir: &StateDir, name: &str) -> Result<Table<E>> {
    memory(dir, name).map(Table::new)
}

fn memory<T: Pod>(dir: &StateDir, name: &str) -> Result<Memory<T>> {
    Memory::new(&MapData::from_pin(dir.map(name)).map_err(refused(dir))?)
}

/// How many entries a map has room for.
fn entries(dir: &StateDir, name: &str) -> Result<u32> {
    let info = MapData::from_pin(dir.map(name)).and_then(|map| map.info());
    info.map(|info| info.max_entries()).map_err(refused(dir))
}

fn map<M: TryFrom<Map, Error = MapError>>(dir: &StateDir, name: &str) -> Result<M> {
    let opened = MapData::from_pin(dir.map(name)).and_then(Map::from_map_data);
    opened.and_then(M::try_from).map_err(refused(dir))
}

fn refused(dir: &StateDir) -> impl Fn(MapError) -> Error {
    |error| match errno(&error) {
        Some(Errno::ENOENT) => Error::NoState(dir.path().to_owned()),
        Some(Errno::EPERM | Errno::EACCES) => Error::Permission(dir.path().to_owned()),
        _ => Error::Map(error),
    }
}
