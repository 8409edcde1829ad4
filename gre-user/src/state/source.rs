//! From whom tenants' packets may come.

use std::collections::BTreeMap;

use aya::maps::lpm_trie::Key;
use gre_common::{
    tables::{TenantAddress, TenantId, TenantOptions},
    wire::ethernet::MacAddr,
};
use ipnet::IpNet;

use super::{Error, Result, Room, State, optional, prefix};

/// From whom packets may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// From these addresses.
    Prefix(IpNet),
    /// From this station.
    Mac(MacAddr),
}

impl Source {
    fn key(self, tenant: TenantId) -> Key<TenantAddress> {
        match self {
            Self::Prefix(net) => prefix::key(tenant, net),
            Self::Mac(mac) => prefix::whole(TenantAddress::mac(tenant, mac)),
        }
    }

    fn of(key: &Key<TenantAddress>) -> Option<Self> {
        prefix::of(key).map(Self::Prefix).or_else(|| prefix::mac(&key.data()).map(Self::Mac))
    }
}

/// What a tenant with these sources asks for.
pub(super) fn options(sources: &[Source]) -> TenantOptions {
    let is_prefix = |source: &Source| matches!(source, Source::Prefix(_));
    TenantOptions::NONE
        .with(TenantOptions::PREFIXES, sources.iter().any(is_prefix))
        .with(TenantOptions::MACS, !sources.iter().all(is_prefix))
}

impl State {
    /// The sources of all tenants that have some.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn sources(&self) -> Result<BTreeMap<TenantId, Vec<Source>>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in self.maps.sources.keys() {
            let key = entry?;
            if let Some(source) = Source::of(&key) {
                all.entry(key.data().tenant()).or_default().push(source);
            }
        }
        for sources in all.values_mut() {
            sources.sort();
        }
        Ok(all)
    }

    /// Enters sources of a tenant.
    pub(super) fn enter_sources(&mut self, tenant: TenantId, sources: &[Source]) -> Result<()> {
        for source in sources {
            let entered = self.maps.sources.insert(&source.key(tenant), 1, 0);
            entered.map_err(Error::inserting(Room::SOURCES, self.maps.sizes.routes))?;
        }
        Ok(())
    }

    /// Forgets the sources of a tenant that has no traffic any more.
    pub(super) fn forget_sources(&mut self, tenant: TenantId) -> Result<()> {
        for source in self.sources()?.remove(&tenant).unwrap_or_default() {
            self.leave_source(tenant, source)?;
        }
        Ok(())
    }

    pub(super) fn leave_source(&mut self, tenant: TenantId, source: Source) -> Result<()> {
        optional(self.maps.sources.remove(&source.key(tenant))).map(drop)
    }
}
