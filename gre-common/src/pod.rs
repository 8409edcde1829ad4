//! Lets userspace move the map types in and out of the kernel as bytes.
#![expect(
    unsafe_code,
    reason = "`aya::Pod` is an unsafe trait, and only this crate may implement it here"
)]

use crate::tables::{
    Binding, Counters, Ends6Use, FdbEntry, FdbKey, Fragmented, HookCounters, HookKey, IfIndex,
    KeyField, Limit, LocalKeyUse, LocalUse, Member, MemberId, Meta, Named, Neighbour, Port,
    PortRecord, PortUse, Route, Sequence, Tenant, TenantAddress, TenantEvent, TenantId,
    TenantOptions, TransitKey, TransitRule, Tunnel, TunnelId, TunnelOptions, Uplink,
};
use crate::wire::{address::Address, be32::Be32, ethernet::Ends};

macro_rules! pod {
    ($($name:ty),+ $(,)?) => {
        $(
            // SAFETY: `repr(C)` or `repr(transparent)` over integers and arrays of them, without
            // padding (the sizes are asserted in `tables`), so that every bit pattern is valid.
            unsafe impl aya::Pod for $name {}
        )+
    };
}

pod!(
    Address,
    Be32,
    Binding,
    Counters,
    Ends,
    Ends6Use,
    FdbEntry,
    FdbKey,
    Fragmented,
    HookCounters,
    HookKey,
    IfIndex,
    KeyField,
    Limit,
    LocalKeyUse,
    LocalUse,
    Member,
    MemberId,
    Meta,
    Named,
    Neighbour,
    Port,
    PortRecord,
    PortUse,
    Route,
    Sequence,
    Tenant,
    TenantAddress,
    TenantEvent,
    TenantId,
    TenantOptions,
    TransitKey,
    TransitRule,
    Tunnel,
    TunnelId,
    TunnelOptions,
    Uplink,
);
