//! The decision about a packet that may merely pass through.
//!
//! Whose packet it is, its key and its addresses tell; nothing behind the GRE header is looked at. What does not
//! show a key for certain is nobody's: it is for the host where the tunnel ends to judge a broken packet.

use crate::{
    outer,
    packet::Packet,
    tables::{IfIndex, TransitKey, TransitRule},
    verdict::PassReason,
    wire::{
        address::Address,
        ethernet::{self, EtherType},
        gre::{self, Malformed},
    },
};

/// What the decision looks up.
pub trait Rules {
    /// The rule for these packets and no others.
    fn rule(&self, key: &TransitKey) -> Option<&TransitRule>;
}

/// The rule for a frame that came in by an interface: of those that fit, the one that names most addresses, and the
/// destination before the source.
///
/// # Errors
/// There is none, for this reason.
#[inline(always)]
pub fn transit<'r, P: Packet + ?Sized, R: Rules>(
    packet: &P,
    rules: &'r R,
    ifindex: IfIndex,
) -> Result<&'r TransitRule, PassReason> {
    let frame = ethernet::payload(packet, 0);
    let passing = match frame.ether_type {
        EtherType::IPV4 => over_ipv4(packet, packet.settle(frame.offset))?,
        EtherType::IPV6 => over_ipv6(packet, packet.settle(frame.offset))?,
        _ => return Err(PassReason::NotIp),
    };
    let Passing { gre_offset, end, local, remote } = passing;
    let gre = gre::parse(packet, gre_offset, end - gre_offset).map_err(PassReason::from)?;
    let any = Address::NONE;
    let exact = TransitKey { ifindex, key: gre.key.into(), local, remote };
    rules
        .rule(&exact)
        .or_else(|| rules.rule(&TransitKey { remote: any, ..exact }))
        .or_else(|| rules.rule(&TransitKey { local: any, ..exact }))
        .or_else(|| rules.rule(&TransitKey { local: any, remote: any, ..exact }))
        .ok_or(PassReason::NoRule)
}

/// A GRE packet, as far as a rule asks.
struct Passing {
    gre_offset: usize,
    /// Where the outer packet ends.
    end: usize,
    local: Address,
    remote: Address,
}

#[inline(always)]
fn over_ipv4<P: Packet + ?Sized>(packet: &P, offset: usize) -> Result<Passing, PassReason> {
    let outer = outer::v4(packet, offset)?;
    if outer.is_later_fragment() {
        return Err(PassReason::Fragment);
    }
    outer.check(packet).map_err(|_| PassReason::Malformed)?;
    Ok(Passing {
        gre_offset: packet.settle(outer.gre_offset()),
        end: outer.end,
        local: Address::v4(outer.header.dst_addr.into()),
        remote: Address::v4(outer.header.src_addr.into()),
    })
}

#[inline(always)]
fn over_ipv6<P: Packet + ?Sized>(packet: &P, offset: usize) -> Result<Passing, PassReason> {
    let outer = outer::v6(packet, offset)?;
    if outer.is_later_fragment {
        return Err(PassReason::Fragment);
    }
    if !outer.is_plain {
        return Err(PassReason::ExtensionHeaders);
    }
    let whole = packet.behind(outer.end).is_some() && outer.gre_offset <= outer.end;
    // No wire has such an address (RFC 4291 section 2.5.5.2), and it would be taken for that of an IPv4 packet.
    let is_mapped = outer.local.is_v4() || outer.remote.is_v4();
    if !whole || is_mapped {
        return Err(PassReason::Malformed);
    }
    let gre_offset = packet.settle(outer.gre_offset);
    Ok(Passing { gre_offset, end: outer.end, local: outer.local, remote: outer.remote })
}

impl From<Malformed> for PassReason {
    #[inline(always)]
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Pptp => Self::Pptp,
            Malformed::Truncated | Malformed::Version | Malformed::ReservedBits => Self::Malformed,
        }
    }
}
