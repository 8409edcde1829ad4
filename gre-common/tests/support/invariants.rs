//! What holds for every frame, of any bytes and any length. Each function panics where it does not.
//!
//! - [`passing`]: of frames in transit.
//! - [`syn`]: of the MSS of TCP.
//! - [`too_big`]: of frames that do not fit: answers to them, and their fragments.

pub mod passing;
pub mod syn;
pub mod too_big;

use gre_common::{
    decap::{Decap, decap},
    encap::Encap,
    tables::{Service, Tables, TenantId},
    verdict::{DropReason, PassReason, Verdict},
};

use super::{
    apply::{Apply, headers},
    checksum,
    frame::{ETHERNET, IPV4, IPV6},
    outcome::{Outcome, Told, at_port, merged, receive},
    plain::{self, CHECKSUM, Gre},
    sending::encap,
    world::{World, port_of},
};

/// Header bits with which a packet is no tenant's: routing, reserved bits 4 and 5, version (RFC 2784 section 2).
const FOREIGN: u16 = 0x4c07;
/// "More fragments" and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// A frame received on an uplink.
pub fn on_uplink(world: &World, frame: &[u8]) {
    let verdict = decap(frame, world);
    assert_eq!(decap(frame, world), verdict, "decided otherwise the second time");
    padding_does_not_matter(world, frame, verdict);
    match verdict {
        Verdict::Forward(plan) => is_delivered_rightly(world, frame, &plan),
        Verdict::Drop(discard) => {
            if let Some(tenant) = discard.tenant() {
                is_charged_rightly(world, frame, tenant, discard.reason);
            }
        }
        Verdict::Pass(_) => {}
    }
    if let Verdict::Forward(plan) = decap(&merged(frame, 1000), world) {
        assert_eq!(plan.strip + plan.inner_len + plan.padding, frame.len());
    }
}

/// A frame that enters at a tenant's port, and what becomes of it at the other end.
pub fn on_port(here: &World, there: &World, tenant: TenantId, frame: &[u8]) {
    let verdict = encap(frame, here, port_of(tenant));
    assert_eq!(encap(frame, here, port_of(tenant)), verdict, "decided otherwise the second time");
    if here.tenant(tenant).unwrap().service == Service::L3
        && let Some(packet) = plain::ip_packet(frame)
        && packet.end <= frame.len()
    {
        let other = with_other_padding(frame, packet.end);
        assert_eq!(encap(&other[..], here, port_of(tenant)), verdict, "padding was read");
    }
    if let Verdict::Forward(plan) = verdict {
        is_sent_rightly(&plan, tenant, frame.len());
        arrives(there, &plan, frame);
    }
}

/// The same, for a frame that the device tells more about than its bytes.
pub fn on_port_told(world: &World, tenant: TenantId, told: &Told<'_>) {
    if let Verdict::Forward(plan) = encap(told, world, port_of(tenant)) {
        let tag_len = if told.stripped_vlan { 4 } else { 0 };
        is_sent_rightly(&plan, tenant, told.frame.len() + tag_len);
        if told.segment > 0
            && let Some(end) = plain::end_of_tcp_header(told.frame)
        {
            let sent = headers(&plan).len() + end - plan.strip + tag_len + told.segment;
            assert!(sent <= plan.tunnel.next_hop.mtu as usize, "segments of {sent} bytes");
        }
    }
}

/// Whom the addresses and the key of a frame name.
fn named(world: &World, frame: &[u8]) -> Option<TenantId> {
    let gre = Gre::read(frame)?;
    world.bound(gre.destination(), gre.source(), gre.key)
}

/// A tenant answers for its own packets, and for those with its key from elsewhere.
fn is_charged_rightly(world: &World, frame: &[u8], tenant: TenantId, reason: DropReason) {
    if reason != DropReason::WrongRemote {
        return assert_eq!(named(world, frame), Some(tenant), "another tenant is charged");
    }
    let gre = Gre::read(frame).expect("a frame that has a key is whole");
    let [local, remote] = world.ends_of(tenant);
    assert!(world.has_key(tenant, gre.key), "the tenant of another key is charged");
    assert_eq!(gre.destination(), local, "the tenant of another tunnel is charged");
    assert_ne!(gre.source(), remote, "the remote is right");
}

/// Nothing behind the end of the IP packet is read.
fn padding_does_not_matter(world: &World, frame: &[u8], verdict: Verdict<Decap<'_>>) {
    const MORE: usize = 9;
    let Some(packet) = plain::ip_packet(frame).filter(|packet| packet.end <= frame.len()) else {
        return;
    };
    let other = with_other_padding(frame, packet.end);
    assert_eq!(decap(&other[..], world), verdict, "padding was read");
    let longer = [frame, &[0x5a; MORE]].concat();
    let expected = match verdict {
        Verdict::Forward(plan) => Verdict::Forward(Decap { padding: plan.padding + MORE, ..plan }),
        other => other,
    };
    assert_eq!(decap(&longer[..], world), expected, "padding was counted in");
}

fn with_other_padding(frame: &[u8], end: usize) -> Vec<u8> {
    let padding = frame[end..].iter().map(|byte| !byte);
    frame[..end].iter().copied().chain(padding).collect()
}

/// Every byte is accounted for; the packet is its tenant's, and one that a tenant may get.
fn is_delivered_rightly(world: &World, frame: &[u8], plan: &Decap<'_>) {
    let gre = Gre::read(frame).expect("a delivered frame is whole");
    let strip = frame.len() - gre.inner.len() - gre.padding;
    let expected = [strip, gre.inner.len(), gre.padding];
    assert_eq!([plan.strip, plan.inner_len, plan.padding], expected, "strip, inner, padding");

    let tenant = plan.binding.tenant;
    assert_eq!(named(world, frame), Some(tenant), "another tenant's packet");
    assert_eq!(plan.binding.port.ifindex, port_of(tenant), "another tenant's port");

    assert_eq!(gre.flags & FOREIGN, 0, "GRE flags");
    if gre.is_v4() {
        assert_eq!(plain::word(gre.ip, 6).unwrap() & FRAGMENT, 0, "a fragment");
        assert_eq!(checksum::internet(gre.ip), 0, "outer header checksum");
    }
    if gre.flags & CHECKSUM != 0 {
        assert_eq!(checksum::internet(gre.bytes), 0, "GRE checksum");
    }

    let service = world.tenant(tenant).unwrap().service;
    let received = plan.apply(frame);
    let received = match gre.protocol {
        ETHERNET => {
            assert_eq!(service, Service::L2);
            assert!(gre.inner.len() >= 14, "no Ethernet header");
            &received[..]
        }
        IPV4 | IPV6 => {
            assert_eq!(service, Service::L3);
            is_whole_ip(&gre);
            &received[14..]
        }
        other => panic!("payload type {other:04x}"),
    };
    only_congestion_changed(&gre, received);
}

/// The inner IP packet is of the type that GRE says, fits its room, and does not lead back into the tunnel.
fn is_whole_ip(gre: &Gre<'_>) {
    let inner = gre.inner;
    let (version, header_len, total_len, destination) = if gre.protocol == IPV6 {
        let payload_len = plain::word(inner, 4).expect("an IPv6 header");
        (6, 40, 40 + usize::from(payload_len), &inner[24..40])
    } else {
        let total_len = plain::word(inner, 2).expect("an IPv4 header");
        (4, plain::header_len(inner), usize::from(total_len), &inner[16..20])
    };
    assert_eq!(inner[0] >> 4, version, "inner version");
    assert!((20..=total_len).contains(&header_len), "inner header of {header_len} bytes");
    assert!(total_len <= inner.len(), "inner packet of {total_len} bytes in {}", inner.len());
    assert_ne!(plain::address(destination), gre.source(), "a loop");
}

/// What a tenant got is what was sent to it, but for the ECN field of RFC 6040 and a checksum over that.
fn only_congestion_changed(gre: &Gre<'_>, received: &[u8]) {
    let mut expected = gre.inner.to_vec();
    if let Some(at) = ip_header(gre) {
        let shift = if expected[at] >> 4 == 6 { 4 } else { 0 };
        let tos = &mut expected[at + 1];
        let ecn = decapsulated_ecn(*tos >> shift & 3, gre.tos() & 3);
        *tos = *tos & !(3 << shift) | ecn << shift;
        if shift == 0 {
            let end = at + plain::header_len(&expected[at..]);
            let was_right = gre.inner.get(at..end).is_some_and(|ip| checksum::internet(ip) == 0);
            assert!(!was_right || checksum::internet(&received[at..end]) == 0, "inner checksum");
            expected[at + 10..at + 12].copy_from_slice(&received[at + 10..at + 12]);
        }
    }
    assert_eq!(received, expected, "the inner packet has changed");
}

/// Where in the inner packet there is an IP header.
fn ip_header(gre: &Gre<'_>) -> Option<usize> {
    if gre.protocol != ETHERNET {
        return Some(0);
    }
    let (at, ether_type) = plain::network(gre.inner)?;
    let header = &gre.inner[at..];
    let is_ip = match ether_type {
        IPV4 => header.len() >= 20 && header[0] >> 4 == 4 && plain::header_len(header) >= 20,
        IPV6 => header.len() >= 40 && header[0] >> 4 == 6,
        _ => false,
    };
    is_ip.then_some(at)
}

/// RFC 6040 figure 4.
fn decapsulated_ecn(inner: u8, outer: u8) -> u8 {
    const NOT_ECT: u8 = 0;
    const ECT_1: u8 = 1;
    const ECT_0: u8 = 2;
    const CE: u8 = 3;
    match (inner, outer) {
        (NOT_ECT, CE) => panic!("congestion that the inner packet cannot tell of"),
        (ECT_0, ECT_1) => ECT_1,
        (ECT_0 | ECT_1, CE) => CE,
        (inner, _) => inner,
    }
}

/// Every byte is accounted for, and the outer header is right.
fn is_sent_rightly(plan: &Encap<'_>, tenant: TenantId, frame_len: usize) {
    assert_eq!(plan.tenant, tenant, "another tenant's tunnel");
    assert_eq!(plan.strip + plan.inner_len + plan.padding, frame_len);
    let headers = headers(plan);
    if headers[0] >> 4 == 4 {
        assert_eq!(checksum::internet(&headers[..20]), 0, "outer header checksum");
    }
}

/// The other end delivers the same bytes to the same tenant.
fn arrives(there: &World, plan: &Encap<'_>, frame: &[u8]) {
    let sent = plan.apply(frame);
    let inner = &frame[plan.strip..][..plan.inner_len];
    let gre = Gre::read(&sent).expect("a frame that was sent is whole");
    assert_eq!((gre.inner, gre.padding), (inner, 0));
    assert!(sent.len() - 14 <= plan.tunnel.next_hop.mtu as usize, "{} bytes sent", sent.len());

    let is_l3 = there.tenant(plan.tenant).unwrap().service == Service::L3;
    let received = if is_l3 { at_port(inner) } else { inner.to_vec() };
    match receive(there, &sent) {
        // For the other end to see: the sender may well have that address inside, or a device without minimum.
        Outcome::Dropped(discard) if is_l3 && discard.reason == DropReason::Loop => {}
        // A packet that asks the other end for an answer, whoever made it.
        Outcome::Passed(PassReason::Keepalive) => {}
        Outcome::Dropped(discard)
            if inner.len() < 14 && discard.reason == DropReason::InnerLength => {}
        // Its MSS may have been lowered.
        Outcome::Forwarded(tenant, frame, None) if plan.is_syn => {
            assert_eq!((tenant, frame.len()), (plan.tenant, received.len()));
        }
        outcome => assert_eq!(outcome, Outcome::Forwarded(plan.tenant, received, None)),
    }
}
