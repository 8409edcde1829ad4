//! What is answered to who asks for a neighbour of a tenant's that is known: ARP, and neighbour discovery of IPv6.
//!
//! Nobody else hears the question then, and no tunnel carries it.

use crate::{
    packet::Packet,
    tables::{Neighbour, Tables, TenantAddress, TenantId},
    wire::{
        arp,
        ethernet::{self, EtherType},
        neighbour_discovery::Solicitation,
    },
};

/// Whether [who is asked for](asked_for) is known.
#[inline(always)]
pub fn is_answered<P: Packet + ?Sized, T: Tables>(packet: &P, tables: &T, id: TenantId) -> bool {
    asked_for(packet, tables, id).is_some()
}

/// Whom a frame received on a port asks for, if he is known. Who asks for its own address asks whether someone else has it: that one
/// is to hear it.
#[inline(always)]
pub fn asked_for<P: Packet + ?Sized, T: Tables>(
    packet: &P,
    tables: &T,
    id: TenantId,
) -> Option<Neighbour> {
    packet.look_again();
    if packet.stripped_vlan().is_some() {
        return None;
    }
    let (asker, address) = match packet.read(ethernet::TYPE_OFFSET).map(EtherType::from_be_bytes) {
        Some(EtherType::ARP) => {
            let request = arp::Request::parse(&packet.read(0)?)?;
            (request.asker, TenantAddress::v4(id, request.target))
        }
        Some(EtherType::IPV6) => {
            let solicitation = Solicitation::parse(packet)?;
            if !solicitation.is_sound(packet) {
                return None;
            }
            (solicitation.asker, TenantAddress::v6(id, solicitation.target))
        }
        _ => return None,
    };
    let neighbour = tables.neighbour(&address)?;
    (neighbour != Neighbour::new(asker)).then_some(neighbour)
}
