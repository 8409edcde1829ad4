//! Prefixes among a tenant's addresses, as keys of the maps that find the longest one.

use std::net::IpAddr;

use aya::maps::lpm_trie::Key;
use gre_common::{
    tables::{TenantAddress, TenantId},
    wire::{
        be32::Be32,
        ethernet::{self, MacAddr},
    },
};
use ipnet::IpNet;

/// An address, all of whose bits count.
pub(super) const fn whole(address: TenantAddress) -> Key<TenantAddress> {
    Key::new(TenantAddress::BITS, address)
}

/// A prefix.
pub(super) fn key(tenant: TenantId, prefix: IpNet) -> Key<TenantAddress> {
    let len = TenantAddress::START_BITS + u32::from(prefix.prefix_len());
    Key::new(len, address(tenant, prefix.network()))
}

/// An address.
pub(super) fn address(tenant: TenantId, address: IpAddr) -> TenantAddress {
    match address {
        IpAddr::V4(address) => TenantAddress::v4(tenant, address.octets().into()),
        IpAddr::V6(address) => TenantAddress::v6(tenant, Be32::words(address.octets())),
    }
}

/// The prefix that a key is of; `None`: it is of a MAC address.
pub(super) fn of(key: &Key<TenantAddress>) -> Option<IpNet> {
    let len = key.prefix_len().checked_sub(TenantAddress::START_BITS)?;
    IpNet::new(ip(&key.data())?, len as u8).ok()
}

/// The address; `None`: it is a MAC address.
pub(crate) fn ip(address: &TenantAddress) -> Option<IpAddr> {
    let (version, words) = address.parts();
    let octets = words.map(Be32::bytes);
    let [first, ..] = octets;
    match version {
        4 => Some(first.into()),
        6 => {
            let octets: [u8; 16] = octets.concat().try_into().ok()?;
            Some(octets.into())
        }
        _ => None,
    }
}

/// The MAC address; `None`: it is an IP address.
pub(crate) fn mac(address: &TenantAddress) -> Option<MacAddr> {
    let (kind, [first, second, ..]) = address.parts();
    (kind == TenantAddress::MAC).then(|| ethernet::from_words([first, second]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_come_back() {
        for text in
            ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "fe80::1/128"]
        {
            let prefix: IpNet = text.parse().expect("a prefix");
            let key = key(TenantId(7), prefix);
            assert_eq!((of(&key), key.data().tenant()), (Some(prefix), TenantId(7)));
            assert_eq!(mac(&key.data()), None);
        }
        let address = TenantAddress::mac(TenantId(7), [2, 0, 0, 0, 0, 1]);
        assert_eq!((ip(&address), mac(&address)), (None, Some([2, 0, 0, 0, 0, 1])));
    }
}
