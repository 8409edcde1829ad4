//! What programs have besides the tables of a decision, for a trace. Nothing here changes it.

use gre_common::tables::{
    FDB_LEARNED_MAX, FdbEntry, FdbKey, IfIndex, Member, MemberId, Meta, Sequence, TenantId,
    TransitKey, TransitRule,
};

use super::{Result, live::Live, optional};

impl Live {
    /// Schema version and the like.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn meta(&self) -> Result<Meta> {
        Ok(self.maps.meta.get(&0, 0)?)
    }

    /// A tenant's sequence numbers.
    pub fn sequence(&self, TenantId(tenant): TenantId) -> Sequence {
        self.maps.sequences.get(tenant)
    }

    /// A member of a flood and those behind it.
    pub fn members_from(&self, first: MemberId) -> Vec<Member> {
        self.maps.members_from(first)
    }

    /// [`PortUse::position`](gre_common::tables::PortUse::position) of a device; 0 where it is no port.
    pub fn position(&self, ifindex: IfIndex) -> u32 {
        self.maps.port_tenants.get(&ifindex).map_or(0, |used| used.position)
    }

    /// What is written down of a station, however old it is.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn written(&self, key: &FdbKey) -> Result<Option<FdbEntry>> {
        optional(self.maps.fdb.get(key, 0))
    }

    /// Whether one station more may be learned of a tenant.
    pub fn may_learn(&self, TenantId(tenant): TenantId) -> bool {
        self.maps.fdb_learned.get(tenant) < FDB_LEARNED_MAX
    }

    /// Whether XDP may redirect to a port.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn redirects_to_port(&self, IfIndex(ifindex): IfIndex) -> Result<bool> {
        Ok(optional(self.maps.port_devices.get(ifindex))?.is_some())
    }

    /// Whether XDP may redirect to an uplink.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn redirects_to_uplink(&self, IfIndex(ifindex): IfIndex) -> Result<bool> {
        Ok(optional(self.maps.uplink_devices.get(ifindex))?.is_some())
    }

    /// The transit rule for these packets and no others.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn transit_rule(&self, key: &TransitKey) -> Result<Option<TransitRule>> {
        optional(self.maps.transit_rules.get(key, 0))
    }
}
