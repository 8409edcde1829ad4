//! The maps, and [`Tables`] and [`Rules`] over them.
//!
//! The sizes here are those of a state made without `--max-tenants` and the like; the loader scales them.

use aya_ebpf::{
    Global,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, DevMapHash, HashMap, LpmTrie, PerCpuArray, PerCpuHashMap, lpm_trie},
    helpers::bpf_get_prandom_u32,
    macros::btf_map,
};
use gre_common::{
    tables::{
        Binding, BindingKey, Counters, DEFAULT_TENANTS, Ends6, Ends6Use, FdbEntry, FdbKey,
        Fragmented, HookCounters, HookKey, IfIndex, IfName, Limit, LocalId, LocalKey, LocalKeyUse,
        LocalUse, Member, MemberId, Meta, Named, Neighbour, Pace, PortRecord, PortUse, Route,
        Sequence, Slot, Tables, Tenant, TenantAddress, TenantEvent, TenantId, TransitKey,
        TransitRule, Tunnel, TunnelId, Uplink, Via, table,
    },
    transit::Rules,
    wire::address::Address,
};

use crate::{fdb, search};

const TENANTS_MAX: usize = DEFAULT_TENANTS as usize;
const TUNNELS_MAX: usize = TENANTS_MAX;
pub const TABLE_PLACES: usize = table::places_for(DEFAULT_TENANTS) as usize;
const STATIONS_MAX: usize = 16 * TENANTS_MAX;
const ROUTES_MAX: usize = 4 * TENANTS_MAX;
const MEMBERS_MAX: usize = 4 * TENANTS_MAX;
const UPLINKS_MAX: usize = 256;
/// Every port has one or two hooks, every uplink two.
const HOOKS_MAX: usize = 2 * TENANTS_MAX + 1_024;
/// Entries are allocated as they are made, so that a large maximum costs little.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;
/// Userspace reads and writes the memory itself. It begins at a page, so that lines of the table are lines
/// of the cache.
pub const SHARED: usize = BPF_F_MMAPABLE as usize;

/// Who owns a received packet: a [`table`].
#[btf_map]
pub static BINDINGS: Array<Binding, TABLE_PLACES, SHARED> = Array::new();
/// Who is bound to a key at a local address: a [`table`].
#[btf_map]
pub static LOCAL_KEYS: Array<LocalKeyUse, TABLE_PLACES, SHARED> = Array::new();
/// Tunnels over IPv6 by their ends: a [`table`].
#[btf_map]
pub static ENDS6: Array<Ends6Use, TABLE_PLACES, SHARED> = Array::new();
/// Local addresses, and the number of tunnels that end there.
#[btf_map]
pub static LOCALS: HashMap<Address, LocalUse, TUNNELS_MAX, ON_DEMAND> = HashMap::new();
/// Tenants by [`TenantId`].
#[btf_map]
pub static TENANTS: Array<Tenant, TENANTS_MAX, SHARED> = Array::new();
/// Tunnels by [`TunnelId`].
#[btf_map]
pub static TUNNELS: Array<Tunnel, TUNNELS_MAX, SHARED> = Array::new();
/// The tenant whose port a device is: a [`table`].
#[btf_map]
pub static PORT_TENANTS: Array<PortUse, TABLE_PLACES, SHARED> = Array::new();
/// Ports' devices by their interface index, for XDP to redirect to.
#[btf_map]
pub static PORT_DEVICES: DevMapHash<TENANTS_MAX> = DevMapHash::new();
/// Uplinks to which XDP may redirect, by their interface index.
#[btf_map]
pub static UPLINK_DEVICES: DevMapHash<UPLINKS_MAX> = DevMapHash::new();

/// Where the stations of l2 tenants are.
#[btf_map]
pub static FDB: HashMap<FdbKey, FdbEntry, STATIONS_MAX, ON_DEMAND> = HashMap::new();
/// Learned stations in [`FDB`], by [`TenantId`].
#[btf_map]
pub static FDB_LEARNED: Array<u64, TENANTS_MAX, SHARED> = Array::new();
/// Among whom frames are flooded, by [`MemberId::index`].
#[btf_map]
pub static MEMBERS: Array<Member, MEMBERS_MAX, SHARED> = Array::new();

/// The routes of l3 tenants: by prefix.
#[btf_map]
pub static ROUTES: LpmTrie<TenantAddress, Route, ROUTES_MAX> = LpmTrie::new();
/// Where tenants' packets may come from: by prefix. The values say nothing.
#[btf_map]
pub static SOURCES: LpmTrie<TenantAddress, u32, ROUTES_MAX> = LpmTrie::new();
/// Neighbours whose MAC addresses are known.
#[btf_map]
pub static NEIGHBOURS: HashMap<TenantAddress, Neighbour, STATIONS_MAX, ON_DEMAND> = HashMap::new();
/// How much tenants may send and receive.
#[btf_map]
pub static LIMITS: HashMap<TenantId, Limit, TENANTS_MAX, ON_DEMAND> = HashMap::new();

/// Rules for packets in transit.
#[btf_map]
pub static TRANSIT_RULES: HashMap<TransitKey, TransitRule, TENANTS_MAX, ON_DEMAND> = HashMap::new();

/// Packets and bytes sent, by [`TenantId`]. Those received stand in [`BINDINGS`].
#[btf_map]
pub static SENT: PerCpuArray<Counters, TENANTS_MAX> = PerCpuArray::new();
/// Sequence numbers by [`TenantId`].
#[btf_map]
pub static SEQUENCES: Array<Sequence, TENANTS_MAX, SHARED> = Array::new();
/// How often tenants are told what fits, by [`TenantId`].
#[btf_map]
pub static ICMP_PACE: Array<Pace, TENANTS_MAX> = Array::new();
/// Packets of tenants that the slow path sends in fragments, by [`TenantId`].
#[btf_map]
pub static FRAGMENTED: Array<Fragmented, TENANTS_MAX, SHARED> = Array::new();
/// Drops and notices of tenants.
#[btf_map]
pub static TENANT_EVENTS: PerCpuHashMap<TenantEvent, u64, TENANTS_MAX, ON_DEMAND> =
    PerCpuHashMap::new();
/// Packets passed, and dropped without a tenant.
#[btf_map]
pub static HOOK_COUNTERS: PerCpuHashMap<HookKey, HookCounters, HOOKS_MAX, ON_DEMAND> =
    PerCpuHashMap::new();

/// Schema version and the like.
#[btf_map]
pub static META: Array<Meta, 1> = Array::new();
/// Tunnels by name: a [`table`]; only userspace uses it and the maps below.
#[btf_map]
pub static TUNNEL_NAMES: Array<Named, TABLE_PLACES, SHARED> = Array::new();
/// Tenants by name: a [`table`].
#[btf_map]
pub static TENANT_NAMES: Array<Named, TABLE_PLACES, SHARED> = Array::new();
/// Ports by the name users know them by.
#[btf_map]
pub static PORTS: HashMap<IfName, PortRecord, TENANTS_MAX, ON_DEMAND> = HashMap::new();
/// Uplinks by interface index.
#[btf_map]
pub static UPLINKS: HashMap<IfIndex, Uplink, UPLINKS_MAX, ON_DEMAND> = HashMap::new();

/// 1: drop GRE packets to a local address that match no binding. Set at load.
#[unsafe(no_mangle)]
static STRICT: Global<u8> = Global::new(0);

/// One less than the places in a [`table`]. Set at load, as are those below.
#[unsafe(no_mangle)]
pub static BINDINGS_MASK: Global<u32> = Global::new(TABLE_PLACES as u32 - 1);
/// Of [`LOCAL_KEYS`].
#[unsafe(no_mangle)]
pub static LOCAL_KEYS_MASK: Global<u32> = Global::new(TABLE_PLACES as u32 - 1);
/// Of [`ENDS6`].
#[unsafe(no_mangle)]
pub static ENDS6_MASK: Global<u32> = Global::new(TABLE_PLACES as u32 - 1);
/// Of [`PORT_TENANTS`].
#[unsafe(no_mangle)]
pub static PORT_TENANTS_MASK: Global<u32> = Global::new(TABLE_PLACES as u32 - 1);

/// 1: XDP runs behind the driver, on socket buffers. Set at load.
#[unsafe(no_mangle)]
static GENERIC: Global<u8> = Global::new(0);

/// Whether XDP runs behind the driver.
#[inline(always)]
pub fn is_generic() -> bool {
    GENERIC.load() != 0
}

/// 1: packets are decided and counted, and left alone. Set at load.
#[unsafe(no_mangle)]
static SHADOW: Global<u8> = Global::new(0);

/// Whether packets are left alone, whatever is decided.
#[inline(always)]
pub fn is_shadow() -> bool {
    SHADOW.load() != 0
}

/// 1: the kernel knows IPsec, and the helper that tells of it. Set at load.
#[unsafe(no_mangle)]
static IPSEC: Global<u8> = Global::new(0);

/// Whether the kernel knows IPsec.
#[inline(always)]
pub fn has_ipsec() -> bool {
    IPSEC.load() != 0
}

/// [`Meta::cookie`] of this state. Set at load.
#[unsafe(no_mangle)]
static COOKIE: Global<u32> = Global::new(0);

/// What tells this state's handovers from others.
#[inline(always)]
pub fn cookie() -> u32 {
    COOKIE.load()
}

/// The device where `flood_tc` is.
#[inline(always)]
pub fn flood_device() -> IfIndex {
    META.get(0).map_or(IfIndex::NONE, |meta| meta.flood)
}

/// A member of a flood, if it is still the one that was meant.
#[inline(always)]
pub fn member(id: MemberId) -> Option<&'static Member> {
    MEMBERS.get(id.index()).filter(|member| member.id == id && member.via != Via::NONE)
}

/// The tables as the decisions see them.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn binding(&self, key: &BindingKey) -> Option<&Binding> {
        search::find(key, &BINDINGS)
    }

    #[inline(always)]
    fn ends6(&self, ends: &Ends6) -> Option<TunnelId> {
        search::find(ends, &ENDS6).map(|entry| entry.tunnel)
    }

    #[inline(always)]
    fn local_key(&self, key: &LocalKey) -> Option<TenantId> {
        search::find(key, &LOCAL_KEYS).map(|entry| entry.tenant)
    }

    #[inline(always)]
    fn local(&self, address: &Address) -> Option<LocalId> {
        // SAFETY: programs never insert here or remove; userspace frees entries after an RCU grace
        // period, which cannot pass while this program runs. The same holds below.
        unsafe { LOCALS.get(address) }.map(|used| used.id)
    }

    #[inline(always)]
    fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        TENANTS.get(id.0).filter(|tenant| tenant.slot == Slot::IN_USE)
    }

    #[inline(always)]
    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel> {
        TUNNELS.get(id.0).filter(|tunnel| tunnel.slot == Slot::IN_USE)
    }

    #[inline(always)]
    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId> {
        search::find(&ifindex, &PORT_TENANTS).map(|used| used.tenant)
    }

    #[inline(always)]
    fn station(&self, key: &FdbKey) -> Via {
        fdb::find(key)
    }

    #[inline(always)]
    fn route(&self, key: &TenantAddress) -> Option<&Route> {
        ROUTES.get(&lpm_trie::Key::new(TenantAddress::BITS, *key))
    }

    #[inline(always)]
    fn is_source(&self, key: &TenantAddress) -> bool {
        SOURCES.get(&lpm_trie::Key::new(TenantAddress::BITS, *key)).is_some()
    }

    #[inline(always)]
    fn neighbour(&self, key: &TenantAddress) -> Option<Neighbour> {
        // SAFETY: as above.
        unsafe { NEIGHBOURS.get(key) }.copied()
    }

    #[inline(always)]
    fn strict(&self) -> bool {
        STRICT.load() != 0
    }

    #[inline(always)]
    fn ip_id(&self) -> u16 {
        // SAFETY: the helper takes no argument and cannot fail.
        unsafe { bpf_get_prandom_u32() as u16 }
    }
}

impl Rules for Maps {
    #[inline(always)]
    fn rule(&self, key: &TransitKey) -> Option<&TransitRule> {
        // SAFETY: as above; counters in a rule change only in atomic additions.
        unsafe { TRANSIT_RULES.get(key) }
    }
}
