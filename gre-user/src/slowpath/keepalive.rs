//! Keepalives of Cisco's and Juniper's kind.
//!
//! A question is a tunnel's packet around the answer: a GRE packet of type 0 from the other end to this one. Any GRE endpoint that
//! forwards what it decapsulates gives it, without knowing. Over IPv6 the question is as long as every IPv6 tunnel
//! must be able to carry (RFC 7676 section 3.2: the ingress "can verify tunnel capabilities by sending a 1280-octet IPv6
//! packet addressed to itself through the tunnel").

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gre_common::{
    outer,
    packet::Packet as _,
    tables::{KeyField, Tenant, TenantId, Tunnel, TunnelId, TunnelOptions},
    wire::{
        address::Address,
        be32::Be32,
        checksum,
        ethernet::{self, EtherType},
        gre::{self, Fields, GreKey},
        ipv4, ipv6,
    },
};

use super::underlay::{Outgoing, Underlay};
use crate::state::live::Live;

/// How often it is looked which tunnels are due.
const TICK: Duration = Duration::from_secs(1);
/// How many slots are searched each time for tunnels that have a keepalive.
const SEARCH: u32 = 65_536;
/// Answers a second, at most.
const ANSWERS: u32 = 1_000;
/// TTL of questions inside and outside: no router of the underlay is to end them.
const TTL: u8 = 255;
/// Length of a question's inner packet over IPv6, in bytes.
const IPV6_LEN: usize = ipv6::MIN_MTU;
/// The payload type of answers.
const ANSWER: EtherType = EtherType::NONE;

/// A tunnel's local and remote address.
type Ends = [Address; 2];

/// The other ends of tunnels.
pub(super) struct Keepalives {
    underlay: Underlay,
    peers: HashMap<Ends, Peer>,
    /// Where the search for further tunnels goes on.
    search_at: u32,
    next_tick: Instant,
    /// Answers that may be given yet, before the next tick.
    answers_left: u32,
}

/// The other end of a tunnel.
struct Peer {
    tunnel: TunnelId,
    /// Whose key the questions have.
    tenant: TenantId,
    /// When the next question is due.
    next: Instant,
    /// Questions since the last answer.
    unanswered: u32,
    is_down: bool,
}

impl Keepalives {
    pub fn new(underlay: Underlay, now: Instant) -> Self {
        Self {
            underlay,
            peers: HashMap::new(),
            search_at: 0,
            next_tick: now,
            answers_left: ANSWERS,
        }
    }

    /// Asks those that are due. Returns the time until it is to be called again.
    pub fn ask(&mut self, live: &mut Live, now: Instant) -> Duration {
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.answers_left = ANSWERS;
            self.find_peers(live, now);
            let underlay = &mut self.underlay;
            self.peers.retain(|ends, peer| match live.tunnel_with_keepalive(peer.tunnel) {
                Some(tunnel) if [tunnel.local, tunnel.remote] == *ends => {
                    if now >= peer.next {
                        peer.ask(&tunnel, live, underlay);
                        peer.next = now + Duration::from_secs(tunnel.keepalive.period.into());
                    }
                    true
                }
                _ => false,
            });
        }
        self.next_tick - now
    }

    fn find_peers(&mut self, live: &Live, now: Instant) {
        let max = live.tunnel_slots();
        let from = if self.search_at < max { self.search_at } else { 0 };
        self.search_at = max.min(from + SEARCH);
        for id in (from..self.search_at).map(TunnelId) {
            if let Some(tunnel) = live.tunnel_with_keepalive(id) {
                self.peers.entry([tunnel.local, tunnel.remote]).or_insert(Peer {
                    tunnel: id,
                    tenant: TenantId(0),
                    next: now,
                    unanswered: 0,
                    is_down: tunnel.keepalive.down != 0,
                });
            }
        }
    }

    /// Takes an answer over, if this is one.
    pub fn answered(&mut self, frame: &[u8], live: &mut Live) {
        let Some(packet) = Received::parse(frame).filter(|it| it.protocol == ANSWER) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(&[packet.local, packet.remote]) {
            peer.unanswered = 0;
            peer.set_down(false, live);
        }
    }

    /// Answers a question: sends back what is inside.
    pub fn answer(&mut self, frame: &[u8]) {
        let Some(answer) = Received::parse(frame).and_then(|it| it.answer(frame)) else { return };
        if self.answers_left == 0 {
            return;
        }
        self.answers_left -= 1;
        send(&mut self.underlay, &answer);
    }
}

impl Peer {
    fn ask(&mut self, tunnel: &Tunnel, live: &mut Live, underlay: &mut Underlay) {
        let is_down = self.unanswered >= tunnel.keepalive.retries.into();
        if is_down || self.is_down {
            // Said again: commands that write the tunnel may have undone it.
            self.set_down(true, live);
        }
        let found = live.tenant_on(self.tunnel, self.tenant);
        let found = found.or_else(|| live.tenant_on(self.tunnel, TenantId(0)));
        let Some((tenant_id, tenant)) = found else { return };
        self.tenant = tenant_id;
        self.unanswered = self.unanswered.saturating_add(1);
        let ordered = tunnel.options.has(TunnelOptions::SEQUENCE);
        let sequence = ordered.then(|| live.next_sequence(tenant_id));
        send(underlay, &question(tunnel, &tenant, sequence));
    }

    fn set_down(&mut self, down: bool, live: &mut Live) {
        if down != self.is_down {
            let state = if down { "down: no answer to keepalives" } else { "up" };
            eprintln!("xgre: tunnel {} is {state}", live.tunnel_name(self.tunnel));
        }
        if down || self.is_down {
            live.set_down(self.tunnel, down);
        }
        self.is_down = down;
    }
}

fn send(underlay: &mut Underlay, packet: &[u8]) {
    let sent = Outgoing::parse(packet).map(|packet| underlay.send(&packet));
    if let Some(Err(error)) = sent {
        log::debug!("cannot send a keepalive: {error}");
    }
}

/// The packet that asks: an answer from the other end, in a packet to it.
fn question(tunnel: &Tunnel, tenant: &Tenant, sequence: Option<u32>) -> Vec<u8> {
    let (local, remote) = (tunnel.local, tunnel.remote);
    let mut answer = gre_header(ANSWER, tenant.in_key, None);
    let ether_type = if local.is_v4() {
        EtherType::IPV4
    } else {
        answer.resize(IPV6_LEN - ipv6::HEADER_LEN, 0);
        EtherType::IPV6
    };
    let inner = ip_packet(remote, local, &answer);
    let outer = [gre_header(ether_type, tenant.out_key, sequence), inner].concat();
    ip_packet(local, remote, &outer)
}

fn gre_header(protocol: EtherType, key: KeyField, sequence: Option<u32>) -> Vec<u8> {
    let key: Option<GreKey> = key.into();
    let fields = Fields::new(false, key.is_some(), sequence.is_some());
    let mut header = gre::emit(protocol, fields).bytes().to_vec();
    header.extend(key.iter().flat_map(|key| key.0.to_be_bytes()));
    header.extend(sequence.iter().flat_map(|number| number.to_be_bytes()));
    header
}

/// A GRE packet with its IP header.
fn ip_packet(src: Address, dst: Address, gre: &[u8]) -> Vec<u8> {
    let header = if src.is_v4() {
        let (src, dst) = (src.last(), dst.last());
        let total_len = (ipv4::HEADER_LEN + gre.len()) as u16;
        let start =
            ipv4::Outer { tos: 0, total_len, id: 0, dont_fragment: true, ttl: TTL, src, dst };
        [&start.emit()[..], &[src, dst]].concat()
    } else {
        let payload_len = gre.len() as u16;
        let start = ipv6::Outer { traffic_class: 0, flow_label: 0, payload_len, hop_limit: TTL };
        start.between(src, dst).to_vec()
    };
    let header: Vec<u8> = header.into_iter().flat_map(Be32::bytes).collect();
    [&header, gre].concat()
}

/// What a frame that the decision has passed says.
struct Received {
    local: Address,
    remote: Address,
    protocol: EtherType,
    /// Where the payload begins and ends.
    payload: [usize; 2],
}

impl Received {
    fn parse(frame: &[u8]) -> Option<Self> {
        let ethernet::Payload { ether_type, offset } = ethernet::payload(frame, 0);
        let (local, remote, gre_offset, end) = if ether_type == EtherType::IPV4 {
            let outer = outer::v4(frame, offset).ok()?;
            let [remote, local] =
                [outer.header.src_addr, outer.header.dst_addr].map(|it| Address::v4(it.into()));
            (local, remote, outer.gre_offset(), outer.end)
        } else {
            let outer = outer::v6(frame, offset).ok()?;
            (outer.local, outer.remote, outer.gre_offset, outer.end)
        };
        let header = gre::parse(frame, gre_offset, end.checked_sub(gre_offset)?).ok()?;
        let payload = [gre_offset + header.len, end];
        Some(Self { local, remote, protocol: header.protocol, payload })
    }

    /// What is to be sent back: a packet from this end to the other, of the same version, one hop later.
    fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let [begin, end] = self.payload;
        let inner = frame.get(begin..end)?;
        let (src, dst, len, ttl_offset) = if self.protocol == EtherType::IPV4 {
            let words: [Be32; ipv4::HEADER_WORDS] = inner.words(0)?;
            let header = ipv4::parse(words);
            let is_sound = checksum::fold(checksum::add_words(0, &words)) == checksum::SOUND;
            if !is_sound || ipv4::is_fragment(&header) {
                return None;
            }
            let [src, dst] = [header.src_addr, header.dst_addr].map(|it| Address::v4(it.into()));
            (src, dst, ipv4::total_len(&header), ipv4::TTL_OFFSET)
        } else {
            let len = ipv6::HEADER_LEN + ipv6::Start(inner.read(0)?).payload_len();
            let [src, dst] = [ipv6::SOURCE_OFFSET, ipv6::DESTINATION_OFFSET];
            let address = |offset| inner.words(offset).map(Address::v6);
            (address(src)?, address(dst)?, len, ipv6::HOP_LIMIT_OFFSET)
        };
        let mut answer = inner.get(..len)?.to_vec();
        let ttl = answer.get_mut(ttl_offset).filter(|ttl| **ttl > 1)?;
        *ttl -= 1;
        ((src, dst) == (self.local, self.remote)).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use gre_common::tables::Slot;

    use super::*;

    fn tunnel(local: &str, remote: &str) -> Tunnel {
        let address = |text: &str| text.parse::<std::net::IpAddr>().expect("an address").into();
        Tunnel { local: address(local), remote: address(remote), ..Tunnel::EMPTY }
    }

    fn framed(ether_type: EtherType, packet: &[u8]) -> Vec<u8> {
        [&[0; 12], &ether_type.to_be_bytes()[..], packet].concat()
    }

    #[test]
    fn a_question_is_answered_and_understood() {
        let tenant = Tenant {
            slot: Slot::IN_USE,
            in_key: Some(GreKey(1)).into(),
            out_key: Some(GreKey(2)).into(),
            ..Tenant::EMPTY
        };
        for (local, remote, ether_type, len) in [
            ("192.0.2.1", "192.0.2.2", EtherType::IPV4, 28),
            ("2001:db8::1", "2001:db8::2", EtherType::IPV6, IPV6_LEN),
        ] {
            let tunnel = tunnel(local, remote);
            let question = question(&tunnel, &tenant, Some(7));
            let there = framed(ether_type, &question);
            let received = Received::parse(&there).expect("a GRE packet");
            assert_eq!((received.local, received.remote), (tunnel.remote, tunnel.local));
            let mut answer = received.answer(&there).expect("an answer");
            assert_eq!(answer.len(), len);
            if ether_type == EtherType::IPV4 {
                // The kernel does this.
                assert_eq!(answer[ipv4::TTL_OFFSET], TTL - 1);
                answer[ipv4::TTL_OFFSET] = TTL;
            }
            let back = framed(ether_type, &answer);
            let received = Received::parse(&back).expect("a GRE packet");
            assert_eq!((received.local, received.remote), (tunnel.local, tunnel.remote));
            assert_eq!(received.protocol, ANSWER);
            for len in 0..there.len() {
                let cut = Received::parse(&there[..len]).and_then(|it| it.answer(&there[..len]));
                assert!(cut.is_none(), "cut to {len}");
            }
        }
    }

    #[test]
    fn only_to_whom_it_came_from() {
        let [ours, theirs, other] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|text| text.parse::<std::net::IpAddr>().expect("an address").into());
        let answer_to = |inner: Vec<u8>| {
            let gre = [gre_header(EtherType::IPV4, KeyField::NONE, None), inner].concat();
            let frame = framed(EtherType::IPV4, &ip_packet(theirs, ours, &gre));
            Received::parse(&frame).and_then(|it| it.answer(&frame))
        };
        let answer = gre_header(ANSWER, KeyField::NONE, None);
        assert!(answer_to(ip_packet(ours, theirs, &answer)).is_some());
        assert!(answer_to(ip_packet(other, theirs, &answer)).is_none());
        assert!(answer_to(ip_packet(ours, other, &answer)).is_none());
        assert!(answer_to(ip_packet(theirs, ours, &answer)).is_none());
        let mut damaged = ip_packet(ours, theirs, &answer);
        damaged[ipv4::TTL_OFFSET] = 1;
        assert!(answer_to(damaged).is_none());
    }
}
