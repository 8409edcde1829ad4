//! What is changed in a packet besides its headers.

use gre_common::{
    mss::{self, Syn},
    neighbour,
    packet::Packet as _,
    tables::{IfIndex, TenantId, TunnelId},
    too_big::TooBig,
    wire::{
        address::Version, arp::Request, be32::Be32, checksum, neighbour_discovery::Solicitation,
        tcp,
    },
};

use super::{Tracer, frame::Frame};
use crate::state::live::Live;

/// What is said of a SYN.
pub const OPENS: &str = "opens a connection: its MSS is lowered to what fits";

/// Lowers the MSS of a SYN in a GRE packet, if it asks for more than fits.
pub fn clamp(bytes: &mut [u8], live: &Live, syn: &Syn) -> Option<()> {
    let change = mss::clamp(&*bytes, &live.tables(), syn)?;
    bytes.get_mut(change.tcp + change.offset..)?.get_mut(..2)?.copy_from_slice(&change.to);
    let checksum = bytes.get_mut(change.tcp + tcp::CHECKSUM_OFFSET..)?.first_chunk_mut()?;
    let [from, to] = change.summands();
    *checksum = checksum::update(u16::from_ne_bytes(*checksum), from, to).to_ne_bytes();
    Some(())
}

/// What the sender of a frame that does not fit is told; `None`: nothing.
pub fn answer(
    tracer: &Tracer,
    tenant: TenantId,
    tunnel: TunnelId,
    frame: &Frame,
) -> Option<(TooBig, Vec<u8>)> {
    let too_big = TooBig::about(frame, &tracer.live.tables(), tenant, tunnel)?;
    let bytes = frame.bytes()?;
    let quoted = bytes.get(too_big.link_len..)?.get(..too_big.quoted)?;
    let sum = bytes.sum(too_big.link_len, too_big.quoted)?;
    let headers = match too_big.version {
        Version::V6 => too_big.headers_v6(frame, sum)?.to_vec(),
        _ => too_big.headers_v4(frame, sum)?.to_vec(),
    };
    let headers: Vec<u8> = headers.into_iter().flat_map(Be32::bytes).collect();
    let link = too_big.link(frame)?;
    Some((too_big, [link.get(..too_big.link_len)?, &headers, quoted].concat()))
}

/// What is said to who asks for a neighbour; `None`: he is not known any more.
pub fn told(tracer: &Tracer, tenant: TenantId, port: IfIndex, frame: &Frame) -> Option<Vec<u8>> {
    let mac = neighbour::asked_for(frame, &tracer.live.tables(), tenant)?.mac();
    let address = mac.or_else(|| Some(tracer.live.ends_of(port)?.src()))?;
    let bytes = |link: &[u8], words: &[Be32]| {
        link.iter().copied().chain(words.iter().flat_map(|word| word.bytes())).collect()
    };
    if let Some(request) = frame.read(0).and_then(|frame| Request::parse(&frame)) {
        let reply = request.reply(address);
        return Some(bytes(&reply.link, &reply.packet));
    }
    let told = Solicitation::parse(frame)?.advertisement(address, mac.is_none());
    Some(bytes(&told.link, &told.packet))
}
