//! The maps, and [`Tables`] over them.
//!
//! The sizes here are those of a state made without `--max-tenants`; the loader scales them.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, DevMapHash, HashMap, PerCpuArray, PerCpuHashMap},
    helpers::bpf_get_prandom_u32,
    macros::btf_map,
};
use gre_common::tables::{
    BindingKey, HookCounters, HookKey, IfIndex, IfName, LocalKey, LocalKeyUse, Meta, Name,
    PortRecord, Tables, Tenant, TenantCounters, TenantEvent, TenantId, Tunnel, TunnelId, Uplink,
};

const TENANTS_MAX: usize = 16_384;
const TUNNELS_MAX: usize = 16_384;
const UPLINKS_MAX: usize = 256;
/// Every port has one hook, every uplink two.
const HOOKS_MAX: usize = TENANTS_MAX + 1_024;
/// Entries are allocated as they are made, so that a large maximum costs little.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

/// Who owns a received packet.
#[btf_map]
pub static BINDINGS: HashMap<BindingKey, TenantId, TENANTS_MAX, ON_DEMAND> = HashMap::new();
/// Who is bound to a key at a local address.
#[btf_map]
pub static LOCAL_KEYS: HashMap<LocalKey, LocalKeyUse, TENANTS_MAX, ON_DEMAND> = HashMap::new();
/// Local addresses, and the number of tunnels that end there.
#[btf_map]
pub static LOCALS: HashMap<[u8; 4], u32, TUNNELS_MAX, ON_DEMAND> = HashMap::new();
/// Tenants by [`TenantId`].
#[btf_map]
pub static TENANTS: Array<Tenant, TENANTS_MAX> = Array::new();
/// Tunnels by [`TunnelId`].
#[btf_map]
pub static TUNNELS: Array<Tunnel, TUNNELS_MAX> = Array::new();
/// The tenant whose port a device is.
#[btf_map]
pub static PORT_TENANTS: HashMap<IfIndex, TenantId, TENANTS_MAX, ON_DEMAND> = HashMap::new();
/// Ports' devices by their interface index, for XDP to redirect to.
#[btf_map]
pub static PORT_DEVICES: DevMapHash<TENANTS_MAX> = DevMapHash::new();

/// Packets and bytes by [`TenantId`].
#[btf_map]
pub static TENANT_COUNTERS: PerCpuArray<TenantCounters, TENANTS_MAX> = PerCpuArray::new();
/// Drops and notices of tenants.
#[btf_map]
pub static TENANT_EVENTS: PerCpuHashMap<TenantEvent, u64, TENANTS_MAX, ON_DEMAND> =
    PerCpuHashMap::new();
/// Packets passed, and dropped without a tenant.
#[btf_map]
pub static HOOK_COUNTERS: PerCpuHashMap<HookKey, HookCounters, HOOKS_MAX, ON_DEMAND> =
    PerCpuHashMap::new();

/// Schema version and the like; only userspace uses it and the maps below.
#[btf_map]
pub static META: Array<Meta, 1> = Array::new();
/// Tunnels by name.
#[btf_map]
pub static TUNNEL_NAMES: HashMap<Name, TunnelId, TUNNELS_MAX, ON_DEMAND> = HashMap::new();
/// Tenants by name.
#[btf_map]
pub static TENANT_NAMES: HashMap<Name, TenantId, TENANTS_MAX, ON_DEMAND> = HashMap::new();
/// Ports by the name users know them by.
#[btf_map]
pub static PORTS: HashMap<IfName, PortRecord, TENANTS_MAX, ON_DEMAND> = HashMap::new();
/// Uplinks by interface index.
#[btf_map]
pub static UPLINKS: HashMap<IfIndex, Uplink, UPLINKS_MAX, ON_DEMAND> = HashMap::new();

/// 1: drop GRE packets to a local address that match no binding. Set at load.
#[unsafe(no_mangle)]
static STRICT: Global<u8> = Global::new(0);

/// 1: XDP runs behind the driver, on socket buffers. Set at load.
#[unsafe(no_mangle)]
static GENERIC: Global<u8> = Global::new(0);

/// Whether XDP runs behind the driver.
#[inline(always)]
pub fn is_generic() -> bool {
    GENERIC.load() != 0
}

/// [`Meta::cookie`] of this state. Set at load.
#[unsafe(no_mangle)]
static COOKIE: Global<[u8; 4]> = Global::new([0; 4]);

/// What tells this state's handovers from others.
#[inline(always)]
pub fn cookie() -> [u8; 4] {
    COOKIE.load()
}

/// The tables as the decisions see them.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn binding(&self, key: &BindingKey) -> Option<TenantId> {
        // SAFETY: programs never insert here or remove; userspace frees entries after an RCU grace
        // period, which cannot pass while this program runs. The same holds below.
        unsafe { BINDINGS.get(key) }.copied()
    }

    #[inline(always)]
    fn local_key(&self, key: &LocalKey) -> Option<TenantId> {
        // SAFETY: as above.
        unsafe { LOCAL_KEYS.get(key) }.map(|entry| entry.tenant)
    }

    #[inline(always)]
    fn is_local(&self, address: [u8; 4]) -> bool {
        // SAFETY: as above.
        unsafe { LOCALS.get(address) }.is_some()
    }

    #[inline(always)]
    fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        TENANTS.get(id.0).filter(|tenant| tenant.in_use != 0)
    }

    #[inline(always)]
    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel> {
        TUNNELS.get(id.0).filter(|tunnel| tunnel.in_use != 0)
    }

    #[inline(always)]
    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId> {
        // SAFETY: as above.
        unsafe { PORT_TENANTS.get(ifindex) }.copied()
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
