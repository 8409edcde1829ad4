//! Cuts packets that do not fit their tunnel, and sends the fragments as `port_tc` sends what fits: decided by the same core,
//! each on its own.

use std::{io, sync::Arc};

use gre_common::{
    bridge::{self, Way},
    encap::{Encap, encap, inner_mtu},
    fragment::Fragments,
    packet::Packet as _,
    partial::{self, Transport},
    tables::{Counters, HandedUp, HopState, Service, Tables as _, TenantOptions, TunnelId},
    verdict::{Discard, DropReason, Verdict},
    wire::{address::Version, be32::Be32, ethernet, ipv4},
};

use super::{
    rewrite::outer_frame,
    socket::Port,
    underlay::{Outgoing, Underlay},
};
use crate::state::live::{Live, Snapshot};

/// Protocol number of SCTP.
const PROTO_SCTP: u8 = 132;
/// Where its checksum stands.
const SCTP_CHECKSUM: usize = 8;

/// Sends fragments.
pub(super) struct Fragmenter {
    uplink: Arc<Port>,
    underlay: Underlay,
}

/// Why no more fragments are sent.
#[derive(Clone, Copy)]
enum End {
    /// The port is no longer the tenant's.
    Gone,
    Dropped(Discard),
}

impl Fragmenter {
    pub const fn new(uplink: Arc<Port>, underlay: Underlay) -> Self {
        Self { uplink, underlay }
    }

    /// Sends a frame that did not fit. Returns how many fragments it took.
    pub fn handle(&mut self, frame: &mut [u8], note: &HandedUp, live: &mut Live) -> u64 {
        let mut sent = Counters::ZERO;
        let end = self.send_all(frame, note, live, &mut sent);
        live.count_fragments(note.tenant, sent);
        if let Err(End::Dropped(discard)) = end
            && let Err(error) = live.count_dropped(note.port, discard)
        {
            log::debug!("slow path: cannot count a packet: {error}");
        }
        sent.packets
    }

    fn send_all(
        &mut self,
        frame: &mut [u8],
        note: &HandedUp,
        live: &Live,
        sent: &mut Counters,
    ) -> Result<(), End> {
        let too_big = End::Dropped(DropReason::PacketTooBig.of(note.tenant));
        let ip_offset = ethernet::payload(frame, 0).offset;
        let mtu = mtu_of(frame, live, note, ip_offset).ok_or(End::Gone)?;
        complete(frame, ip_offset).ok_or(too_big)?;
        let (link, packet) = frame.split_at(ip_offset);
        for fragment in Fragments::of(packet, mtu).ok_or(too_big)? {
            let inner = [link, fragment.header.bytes(), fragment.payload].concat();
            *sent += self.send(&inner, note, live)?;
        }
        Ok(())
    }

    /// Sends a frame that fits. Returns what is to be counted.
    fn send(&mut self, frame: &[u8], note: &HandedUp, live: &Live) -> Result<Counters, End> {
        let tables = live.tables();
        let (way, tunnel) = way(frame, &tables, note).ok_or(End::Gone)?;
        let plan = match encap(frame, &tables, &way, tunnel) {
            Verdict::Forward(plan) if plan.tenant == note.tenant => plan,
            Verdict::Drop(discard) if discard.tenant() == Some(note.tenant) => {
                return Err(End::Dropped(discard));
            }
            _ => return Err(End::Gone),
        };
        let limited = |id| live.may_send(id, plan.inner_len).is_ok_and(|may_send| !may_send);
        if way.tenant.options.has(TenantOptions::LIMITED) && limited(plan.tenant) {
            return Err(End::Dropped(DropReason::RateLimit.of(plan.tenant)));
        }
        let ordered = plan.headers.fields.sequence();
        let sequence = if ordered { live.next_sequence(plan.tenant) } else { 0 };
        let sent = self.transmit(&plan, &outer_frame(&plan, sequence, frame));
        sent.map_err(|error| {
            log::debug!("slow path: cannot send a fragment: {error}");
            End::Dropped(DropReason::RedirectFailed.of(plan.tenant))
        })?;
        Ok(Counters { packets: 1, bytes: plan.inner_len as u64 })
    }

    fn transmit(&mut self, plan: &Encap<'_>, frame: &[u8]) -> io::Result<()> {
        let hop = &plan.tunnel.next_hop;
        if hop.state == HopState::RESOLVED {
            return self.uplink.send(hop.ifindex, frame);
        }
        // The kernel asks for the next hop's MAC address.
        let packet = Outgoing::parse(&frame[ethernet::HEADER_LEN..]);
        self.underlay.send(&packet.ok_or(io::ErrorKind::InvalidData)?)
    }
}

/// Where a frame goes. `None`: the port is no longer the tenant's, or the frame no longer goes through one tunnel.
fn way<'t>(frame: &[u8], tables: &'t Snapshot<'_>, note: &HandedUp) -> Option<(Way<'t>, TunnelId)> {
    match bridge::from_port(frame, tables, note.port) {
        Verdict::Forward(way) if way.id == note.tenant => Some((way, way.via.to_tunnel()?)),
        _ => None,
    }
}

/// The longest packet that fits the tunnel behind an Ethernet header of this length. `None` as above.
fn mtu_of(frame: &[u8], live: &Live, note: &HandedUp, link_len: usize) -> Option<usize> {
    let tables = live.tables();
    let (Way { tenant, .. }, tunnel) = way(frame, &tables, note)?;
    let tunnel = tables.tunnel(tunnel)?;
    let carried_len = if tenant.service == Service::L2 { link_len } else { 0 };
    Some(inner_mtu(tunnel, tenant, carried_len).unwrap_or(0))
}

/// Fills in the transport checksum where a local sender has left it to a device. `None`: nobody but that device can.
fn complete(frame: &mut [u8], ip_offset: usize) -> Option<()> {
    let header = ipv4::parse(frame.words(ip_offset)?);
    let offset = ip_offset + ipv4::header_len(&header);
    let len = (ip_offset + ipv4::total_len(&header)).checked_sub(offset)?;
    // A checksum of another kind, which the kernel leaves zero until then (`sctp_packet_pack`).
    if header.proto == PROTO_SCTP
        && !ipv4::is_fragment(&header)
        && frame.words(offset + SCTP_CHECKSUM)? == [Be32::default()]
    {
        return None;
    }
    let (version, protocol) = (Version::V4, header.proto);
    partial::fill_in(frame, Transport { version, ip_offset, protocol, offset, len });
    Some(())
}
