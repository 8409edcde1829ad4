//! Tables in which anything may stand, as in pinned maps that somebody else has written to.

use std::{array, mem::MaybeUninit};

use gre_common::{
    tables::{
        Binding, BindingKey, Ends6, FdbKey, IfIndex, LocalId, LocalKey, Neighbour, Route, Tables,
        Tenant, TenantAddress, TenantId, TransitKey, TransitRule, Tunnel, TunnelId, Via,
    },
    transit::Rules,
    wire::address::Address,
};

/// Values of each kind.
const VALUES: usize = 4;

/// Every look-up finds one of a few values, or nothing, whatever it is asked for.
pub struct Chaos {
    bindings: [Binding; VALUES],
    tenants: [Tenant; VALUES],
    tunnels: [Tunnel; VALUES],
    routes: [Route; VALUES],
    rules: [TransitRule; VALUES],
    ways: [Via; VALUES],
    neighbours: [Neighbour; VALUES],
    /// Bits that say which look-up finds what.
    choices: u64,
}

impl Chaos {
    /// Made of a number; the same of the same.
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        Self {
            bindings: chance.values(),
            tenants: chance.values(),
            tunnels: chance.values(),
            routes: chance.values(),
            rules: chance.values(),
            ways: array::from_fn(|_| chance.way()),
            neighbours: chance.values(),
            choices: chance.number(),
        }
    }

    /// The value of a kind, for whoever asks first, second, ... about it.
    fn choice<'a, T>(&self, values: &'a [T; VALUES], asked: u32) -> Option<&'a T> {
        let bits = self.choices.rotate_left(asked.wrapping_mul(7)) as usize;
        // One of eight finds nothing.
        (bits & 0x1c != 0).then(|| &values[bits % VALUES])
    }
}

/// Numbers of chance (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A byte; small ones and the largest are more likely, for they decide most.
    fn byte(&mut self) -> u8 {
        let [kind, small, any, ..] = self.number().to_le_bytes();
        match kind % 4 {
            0 => 0,
            1 => small % 8,
            2 => u8::MAX,
            _ => any,
        }
    }

    fn values<T: aya::Pod>(&mut self) -> [T; VALUES] {
        array::from_fn(|_| self.value())
    }

    fn value<T: aya::Pod>(&mut self) -> T {
        let mut value = MaybeUninit::<T>::uninit();
        let bytes = value.as_mut_ptr().cast::<u8>();
        for offset in 0..size_of::<T>() {
            // SAFETY: the byte is in the value.
            unsafe { bytes.add(offset).write(self.byte()) };
        }
        // SAFETY: every byte was written, and every pattern of them is a `Pod`.
        unsafe { value.assume_init() }
    }

    /// One of a kind that decisions know, most of the time.
    fn way(&mut self) -> Via {
        let [kind, index, ..] = self.number().to_le_bytes();
        match kind % 4 {
            0 => Via::tunnel(TunnelId(index.into())),
            1 => Via::port(IfIndex(index.into())),
            2 => Via::NONE,
            _ => Via::from_bits(self.number()),
        }
    }
}

impl Tables for Chaos {
    fn binding(&self, _: &BindingKey) -> Option<&Binding> {
        self.choice(&self.bindings, 0)
    }

    fn ends6(&self, _: &Ends6) -> Option<TunnelId> {
        self.choice(&self.bindings, 1).map(|binding| binding.tunnel)
    }

    fn local_key(&self, _: &LocalKey) -> Option<TenantId> {
        self.choice(&self.bindings, 2).map(|binding| binding.tenant)
    }

    fn local(&self, _: &Address) -> Option<LocalId> {
        self.choice(&self.bindings, 3).map(|binding| LocalId(binding.tenant.0))
    }

    fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.choice(&self.tenants, id.0)
    }

    fn tunnel(&self, id: TunnelId) -> Option<&Tunnel> {
        self.choice(&self.tunnels, id.0)
    }

    fn port_tenant(&self, ifindex: IfIndex) -> Option<TenantId> {
        self.choice(&self.bindings, ifindex.0).map(|binding| binding.tenant)
    }

    fn station(&self, key: &FdbKey) -> Via {
        self.choice(&self.ways, u32::from(key.mac()[5])).copied().unwrap_or(Via::NONE)
    }

    fn route(&self, key: &TenantAddress) -> Option<&Route> {
        self.choice(&self.routes, key.tenant().0)
    }

    fn is_source(&self, key: &TenantAddress) -> bool {
        self.choice(&self.routes, key.tenant().0.wrapping_add(1)).is_some()
    }

    fn neighbour(&self, key: &TenantAddress) -> Option<Neighbour> {
        self.choice(&self.neighbours, key.tenant().0).copied()
    }

    fn strict(&self) -> bool {
        self.choices & 1 != 0
    }

    fn ip_id(&self) -> u16 {
        self.choices as u16
    }
}

impl Rules for Chaos {
    fn rule(&self, key: &TransitKey) -> Option<&TransitRule> {
        self.choice(&self.rules, u32::from(key.local == Address::NONE))
    }
}
