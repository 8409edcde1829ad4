//! The tables as programs see them: read, and counted in, while others write.

use std::{
    cell::OnceCell,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    mem::offset_of,
    sync::atomic::{Ordering::Acquire, Ordering::Relaxed, fence},
};

use aya::{
    Pod,
    maps::{MapError, PerCpuValues},
};
use gre_common::{
    tables::{
        Binding, BindingKey, Counters, Ends6, FdbKey, Fragmented, Hook, HookKey, IfIndex,
        Keepalive, LocalId, LocalKey, Neighbour, Route, RunOptions, Sequence, Slot, Tables, Tenant,
        TenantAddress, TenantEvent, TenantId, Tunnel, TunnelId, TunnelOptions, Via,
    },
    verdict::{Discard, Notice},
    wire::{address::Address, ethernet::Ends},
};

use super::{
    Result, StateDir, check_schema, fdb, maps::Maps, optional, port::per_cpu, prefix::whole,
};

/// Reads of an entry until two in a row agree, before it is taken for absent.
const TRIES: usize = 8;

/// The pinned maps, without the lock. The daemon alone counts here, and says which tunnels are down.
pub struct Live {
    pub(super) maps: Maps,
    strict: bool,
    /// What tunnels ask of packets, and those that are decided about have.
    excused: TunnelOptions,
}

impl Live {
    /// Opens the maps. With `strict` GRE packets to a local address that match no binding are dropped.
    ///
    /// # Errors
    /// There are none, they are of another schema version, or the caller lacks the privilege.
    pub fn open(dir: &StateDir, strict: bool) -> Result<Self> {
        check_schema(dir)?;
        // What comes to the slow path the kernel has let in.
        Ok(Self { maps: Maps::open(dir)?, strict, excused: TunnelOptions::IPSEC })
    }

    /// Opens the maps, for decisions as the programs make them now about packets off a wire.
    ///
    /// # Errors
    /// As [`Live::open`].
    pub fn open_as_programs(dir: &StateDir) -> Result<Self> {
        let strict = check_schema(dir)?.run.has(RunOptions::STRICT);
        Ok(Self { maps: Maps::open(dir)?, strict, excused: TunnelOptions::NONE })
    }

    /// The tables for one decision.
    pub fn tables(&self) -> Snapshot<'_> {
        Snapshot {
            live: self,
            binding: OnceCell::new(),
            tenant: OnceCell::new(),
            tunnel: OnceCell::new(),
            route: OnceCell::new(),
        }
    }

    /// Whether a tenant's packet with this number comes after all before it; then it is the last one.
    pub fn advance(&self, TenantId(tenant): TenantId, number: u32) -> bool {
        let received = self.maps.sequences.number(tenant, offset_of!(Sequence, received));
        let after = u64::from(number.wrapping_add(1));
        let is_next = |before| Sequence::is_next(before, number).then_some(after);
        received.fetch_update(Relaxed, Relaxed, is_next).is_ok()
    }

    /// The number of the next packet that a tenant sends.
    pub fn next_sequence(&self, TenantId(tenant): TenantId) -> u32 {
        let sent = self.maps.sequences.number(tenant, offset_of!(Sequence, sent));
        sent.fetch_add(1, Relaxed) as u32
    }

    /// Slots for tunnels.
    pub fn tunnel_slots(&self) -> u32 {
        self.maps.tunnels.len()
    }

    /// The tunnel in a slot, if it has a keepalive.
    pub fn tunnel_with_keepalive(&self, TunnelId(slot): TunnelId) -> Option<Tunnel> {
        const PERIOD: usize = offset_of!(Tunnel, keepalive);
        if self.maps.tunnels.word(slot, PERIOD) == 0 {
            return None;
        }
        let tunnel = self.maps.tunnels.get(slot);
        (tunnel.slot == Slot::IN_USE && tunnel.keepalive.period > 0).then_some(tunnel)
    }

    /// The first tenant of a tunnel, looked for from `start` on.
    pub fn tenant_on(&self, tunnel: TunnelId, start: TenantId) -> Option<(TenantId, Tenant)> {
        (start.0..self.maps.tenants.len())
            .map(|slot| (TenantId(slot), self.maps.tenants.get(slot)))
            .find(|(_, tenant)| {
                tenant.slot == Slot::IN_USE && self.maps.uses_tunnel(tenant, tunnel)
            })
    }

    /// Says whether a tunnel is down.
    pub fn set_down(&mut self, TunnelId(slot): TunnelId, down: bool) {
        const DOWN: usize = offset_of!(Tunnel, keepalive) + offset_of!(Keepalive, down);
        self.maps.tunnels.set_part(slot, DOWN, &u32::from(down));
    }

    /// The ports of a tenant, for what goes to all of them.
    pub fn ports_of(&self, TenantId(tenant): TenantId) -> Vec<IfIndex> {
        let ports = self.maps.ports_of(&self.maps.tenants.get(tenant));
        ports.into_iter().map(|port| port.ifindex).collect()
    }

    /// The addresses of frames for a port; of meaning where the tenant is l3.
    pub fn ends_of(&self, port: IfIndex) -> Option<Ends> {
        self.maps.port_tenants.get(&port).map(|used| used.ends)
    }

    /// A tunnel's name.
    pub fn tunnel_name(&self, id: TunnelId) -> String {
        self.maps.tunnel_name(id)
    }

    /// Counts a packet of `bytes` inner bytes. A tenant that was deleted meanwhile is not charged.
    ///
    /// # Errors
    /// A map is full.
    pub fn count_received(
        &mut self,
        binding: &Binding,
        bytes: usize,
        notice: Option<Notice>,
    ) -> Result<()> {
        const RECEIVED: usize = offset_of!(Binding, received);
        let add = |offset, amount| {
            if let Some(number) = self.maps.bindings.number(&binding.key, RECEIVED + offset) {
                number.fetch_add(amount, Relaxed);
            }
        };
        add(offset_of!(Counters, packets), 1);
        add(offset_of!(Counters, bytes), bytes as u64);
        match notice {
            Some(notice) => self.count_event(binding.tenant, TenantEvent::NOTICE + notice as u32),
            None => Ok(()),
        }
    }

    /// Whether a tenant may send a packet of so many inner bytes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn may_send(&self, tenant: TenantId, bytes: usize) -> Result<bool> {
        self.maps.pay(tenant, bytes, |limit| &mut limit.sent)
    }

    /// Whether a tenant may receive a packet of so many inner bytes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn may_receive(&self, tenant: TenantId, bytes: usize) -> Result<bool> {
        self.maps.pay(tenant, bytes, |limit| &mut limit.received)
    }

    /// Counts fragments that a tenant has sent.
    pub fn count_fragments(
        &self,
        TenantId(tenant): TenantId,
        Counters { packets, bytes }: Counters,
    ) {
        const SENT: usize = offset_of!(Fragmented, sent);
        let number = |offset| self.maps.fragmented.number(tenant, SENT + offset);
        number(offset_of!(Counters, packets)).fetch_add(packets, Relaxed);
        number(offset_of!(Counters, bytes)).fetch_add(bytes, Relaxed);
    }

    /// Counts a packet discarded that came by an uplink or a port.
    ///
    /// # Errors
    /// A map is full.
    pub fn count_dropped(&mut self, arrival: IfIndex, discard: Discard) -> Result<()> {
        if let Some(tenant) = discard.tenant() {
            return self.count_event(tenant, discard.reason as u32);
        }
        let key = HookKey { ifindex: arrival, hook: Hook::SLOW_PATH };
        let Some(counters) = optional(self.maps.hook_counters.get(&key, 0))? else {
            return Ok(());
        };
        let counters = changed(&counters, |first| first.dropped[discard.reason.index()] += 1)?;
        Ok(self.maps.hook_counters.insert(key, counters, 0)?)
    }

    fn count_event(&mut self, tenant: TenantId, event: u32) -> Result<()> {
        let key = TenantEvent { tenant, event: event | TenantEvent::SLOW };
        let counts = match optional(self.maps.tenant_events.get(&key, 0))? {
            Some(counts) => counts,
            None => per_cpu(0)?,
        };
        let counts = changed(&counts, |first| *first += 1)?;
        Ok(self.maps.tenant_events.insert(key, counts, 0)?)
    }

    /// A binding that nobody was writing.
    fn binding(&self, key: &BindingKey) -> Option<Binding> {
        agreed(|| {
            let found = self.maps.bindings.get(key).filter(|binding| binding.key == *key)?;
            let options = found.options.without(self.excused);
            Some(Binding { received: Counters::ZERO, options, ..found })
        })
    }
}

/// What two reads in a row agree about: nobody was writing it.
fn agreed<T: PartialEq>(read: impl Fn() -> Option<T>) -> Option<T> {
    let mut before = read()?;
    for _ in 0..TRIES {
        fence(Acquire);
        let after = read()?;
        if before == after {
            return Some(after);
        }
        before = after;
    }
    None
}

/// The values of all CPUs, that of the first changed. Programs do not count where the slow path does.
fn changed<T: Pod>(
    values: &PerCpuValues<T>,
    change: impl FnOnce(&mut T),
) -> Result<PerCpuValues<T>> {
    let mut values: Vec<T> = values.iter().copied().collect();
    values.first_mut().map(change);
    PerCpuValues::try_from(values).map_err(|error| MapError::IoError(error).into())
}

/// What one decision has looked up: it asks for one of each kind at most.
pub struct Snapshot<'l> {
    live: &'l Live,
    binding: OnceCell<(BindingKey, Option<Binding>)>,
    tenant: OnceCell<(TenantId, Tenant)>,
    tunnel: OnceCell<(TunnelId, Tunnel)>,
    route: OnceCell<(TenantAddress, Option<Route>)>,
}

/// What was found for `key`, the first one asked for.
fn first<K: Copy + PartialEq, V>((asked, found): &(K, V), key: K) -> &V {
    assert!(*asked == key, "a decision looks one entry up");
    found
}

impl Tables for Snapshot<'_> {
    fn binding(&self, key: &BindingKey) -> Option<&Binding> {
        let entry = self.binding.get_or_init(|| (*key, self.live.binding(key)));
        first(entry, *key).as_ref()
    }

    fn ends6(&self, ends: &Ends6) -> Option<TunnelId> {
        self.live.maps.ends6.get(ends).map(|entry| entry.tunnel)
    }

    fn local_key(&self, key: &LocalKey) -> Option<TenantId> {
        self.live.maps.local_keys.get(key).map(|entry| entry.tenant)
    }

    fn local(&self, address: &Address) -> Option<LocalId> {
        self.live.maps.locals.get(address, 0).ok().map(|usage| usage.id)
    }

    fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        let tenants = &self.live.maps.tenants;
        if id.0 >= tenants.len() {
            return None;
        }
        let found = || agreed(|| Some(tenants.get(id.0))).unwrap_or(Tenant::EMPTY);
        let tenant = first(self.tenant.get_or_init(|| (id, found())), id);
        (tenant.slot == Slot::IN_USE).then_some(tenant)
    }

    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel> {
        let tunnels = &self.live.maps.tunnels;
        if id.0 >= tunnels.len() {
            return None;
        }
        let found = || agreed(|| Some(tunnels.get(id.0))).unwrap_or(Tunnel::EMPTY);
        let tunnel = first(self.tunnel.get_or_init(|| (id, found())), id);
        (tunnel.slot == Slot::IN_USE).then_some(tunnel)
    }

    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId> {
        self.live.maps.port_tenants.get(&ifindex).map(|used| used.tenant)
    }

    fn station(&self, key: &FdbKey) -> Via {
        let entry = self.live.maps.fdb.get(key, 0);
        entry.map_or(Via::NONE, |entry| entry.via_at(fdb::now()))
    }

    fn route(&self, key: &TenantAddress) -> Option<&Route> {
        let entry =
            self.route.get_or_init(|| (*key, self.live.maps.routes.get(&whole(*key), 0).ok()));
        first(entry, *key).as_ref()
    }

    fn is_source(&self, key: &TenantAddress) -> bool {
        self.live.maps.sources.get(&whole(*key), 0).is_ok()
    }

    fn neighbour(&self, key: &TenantAddress) -> Option<Neighbour> {
        self.live.maps.neighbours.get(key, 0).ok()
    }

    fn strict(&self) -> bool {
        self.live.strict
    }

    fn ip_id(&self) -> u16 {
        RandomState::new().build_hasher().finish() as u16
    }
}
