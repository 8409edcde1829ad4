//! What a port's program decides about a frame of a tenant that goes point to point.

use gre_common::{
    bridge,
    encap::{self, Encap},
    packet::Packet,
    tables::IfIndex,
    verdict::Verdict,
};

use super::world::World;

/// The verdict about a frame received on the port `ifindex`.
pub fn encap<'w, P: Packet + ?Sized>(
    packet: &P,
    world: &'w World,
    ifindex: IfIndex,
) -> Verdict<Encap<'w>> {
    match bridge::from_port(packet, world, ifindex) {
        Verdict::Pass(reason) => Verdict::Pass(reason),
        Verdict::Drop(discard) => Verdict::Drop(discard),
        Verdict::Forward(way) => {
            let tunnel = way.via.to_tunnel().expect("point to point");
            encap::encap(packet, world, &way, tunnel)
        }
    }
}
