//! What holds for every packet, of any bytes and any length.

mod support;

use gre_common::{
    tables::{DfPolicy, FieldPolicy},
    wire::{be32::Be32, checksum as tested},
};
use proptest::{collection::vec, prelude::*, sample::Index, sample::select};
use support::{
    book::Book,
    checksum,
    frame::{Frame, IPV4, IPV6, Ipv4, SERVICE_VLAN, VLAN, ethernet, ipv6, tagged},
    invariants::{self, passing, syn, too_big},
    outcome::{Outcome, merged, receive, send},
    world::{CAST, GREEN, LOCAL, REMOTE, SECOND_REMOTE, STRANGER, WHITE, World},
};

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..2000)
}

fn any_world() -> impl Strategy<Value = World> {
    any::<bool>()
        .prop_map(|strict| if strict { World::with_cast().strict() } else { World::with_cast() })
}

/// An IP packet that is as it should be.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let fields =
        (any::<bool>(), any::<u8>(), 1_u8.., any::<u8>(), 0..10_usize, vec(any::<u8>(), 0..1300));
    fields.prop_map(|(v6, tos, ttl, protocol, options, payload)| {
        if v6 {
            ipv6(tos, ttl, protocol, &payload)
        } else {
            Ipv4::new(protocol).tos(tos).ttl(ttl).options(&vec![1; options * 4]).around(&payload)
        }
    })
}

fn any_tags() -> impl Strategy<Value = Vec<u16>> {
    vec(select(&[VLAN, SERVICE_VLAN][..]), 0..=2)
}

/// The type of an IP packet.
fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { IPV4 } else { IPV6 }
}

/// A GRE frame to one of the cast, or nearly: address, key and payload are of the right kinds.
fn any_gre_frame() -> impl Strategy<Value = Vec<u8>> {
    let remotes = select(&[REMOTE, SECOND_REMOTE, STRANGER][..]);
    let locals = select(&[LOCAL, LOCAL, STRANGER][..]);
    let keys =
        select(&[None, Some(0), Some(7), Some(8), Some(10), Some(11), Some(20), Some(30)][..]);
    let outer = (any_tags(), remotes, locals, keys, any::<u8>(), 0..10_usize, 0..50_usize);
    (outer, any_packet(), any::<bool>()).prop_map(
        |((tags, remote, local, key, tos, options, padding), packet, l2)| {
            let frame = tags
                .into_iter()
                .fold(Frame::gre(), Frame::tagged)
                .from(remote)
                .to(local)
                .maybe_key(key)
                .ip(|ip| ip.tos(tos).options(&vec![1; options * 4]))
                .padding(padding);
            if l2 {
                frame.ethernet(&ethernet(ether_type(&packet), &packet))
            } else {
                frame.carrying(ether_type(&packet), &packet)
            }
        },
    )
}

/// A frame with some bytes changed, perhaps cut, perhaps with the outer header checksum put right again.
fn mutated(frame: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    // Most changes hit the headers.
    let changes = vec((prop_oneof![3 => 0..80_usize, 1 => 0..2000_usize], any::<u8>()), 0..6);
    (frame, changes, any::<Option<Index>>(), any::<bool>()).prop_map(
        |(mut frame, changes, cut, repair)| {
            for (at, value) in changes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len() + 1));
            }
            if repair && frame.len() >= 34 && frame[14] == 0x45 {
                checksum::fill_ipv4(&mut frame, 14);
            }
            frame
        },
    )
}

fn any_options() -> impl Strategy<Value = (FieldPolicy, FieldPolicy, DfPolicy)> {
    let policy = || {
        (any::<bool>(), any::<u8>()).prop_map(|(inherit, value)| {
            if inherit { FieldPolicy::INHERIT } else { FieldPolicy::fixed(value) }
        })
    };
    (policy(), policy(), select(&[DfPolicy::SET, DfPolicy::COPY, DfPolicy::CLEAR][..]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_on_an_uplink(world in any_world(), frame in any_bytes()) {
        invariants::on_uplink(&world, &frame);
    }

    #[test]
    fn any_gre_on_an_uplink(world in any_world(), frame in mutated(any_gre_frame())) {
        invariants::on_uplink(&world, &frame);
    }

    #[test]
    fn any_gre_in_transit(frame in mutated(any_gre_frame())) {
        passing::meets_its_rule(&Book::cast(), &frame);
    }

    #[test]
    fn any_bytes_on_a_port(tenant in select(&CAST[..]), frame in any_bytes(), segment in 0..2000_usize) {
        let world = World::with_cast();
        invariants::on_port(&world, &world.mirrored(), tenant, &frame);
        invariants::on_port_told(&world, tenant, &merged(&frame, segment));
    }

    #[test]
    fn any_ip_on_a_port(
        tenant in select(&CAST[..]),
        tags in any_tags(),
        frame in mutated(any_packet().prop_map(|packet| tagged(&[], ether_type(&packet), &packet))),
        segment in 0..2000_usize,
    ) {
        let frame = match frame.len() {
            0..14 => frame,
            _ => tagged(&tags, u16::from_be_bytes([frame[12], frame[13]]), &frame[14..]),
        };
        let world = World::with_cast();
        invariants::on_port(&world, &world.mirrored(), tenant, &frame);
        invariants::on_port_told(&world, tenant, &merged(&frame, segment));
        for mtu in [100, 576] {
            let narrow = World::with_cast().tunnels(|tunnel| tunnel.mtu = mtu);
            too_big::is_told_rightly(&narrow, tenant, &frame);
            too_big::is_cut_rightly(&narrow, tenant, &frame);
            syn::asks_for_what_fits(&narrow, tenant, &frame);
            syn::nothing_else_is_read(&narrow, tenant, &frame);
        }
    }

    /// The same bytes come out at the other end, for the same tenant.
    #[test]
    fn what_goes_in_comes_out(
        tenant in select(&CAST[..]),
        tags in any_tags(),
        packet in any_packet(),
        padding in 0..50_usize,
        (ttl, tos, df) in any_options(),
    ) {
        let l2 = [GREEN, WHITE].contains(&tenant);
        // A tagged frame is no business of an l3 tenant.
        let tags = if l2 { tags } else { vec![] };
        let sender = World::with_cast().tunnels(|tunnel| (tunnel.ttl, tunnel.tos, tunnel.df) = (ttl, tos, df));
        let frame = [tagged(&tags, ether_type(&packet), &packet), vec![0; padding]].concat();
        let sent = match send(&sender, tenant, &frame) {
            Outcome::Forwarded(_, sent, None) => sent,
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(checksum::internet(&sent[14..34]), 0, "outer header checksum");

        match receive(&World::with_cast().mirrored(), &sent) {
            Outcome::Forwarded(who, received, notice) => {
                prop_assert_eq!((who, notice), (tenant, None));
                if l2 {
                    prop_assert_eq!(received, frame);
                } else {
                    prop_assert_eq!(&received[14..], packet);
                }
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }

    /// Congestion on the way changes the ECN bits and what depends on them, nothing else.
    #[test]
    fn an_ecn_mark_keeps_the_inner_packet_right(packet in any_packet(), tos: u8) {
        let frame = Frame::gre().from(REMOTE).to(LOCAL).key(10).ip(|ip| ip.tos(tos));
        let Outcome::Forwarded(_, received, _) =
            receive(&World::with_cast(), &frame.carrying(ether_type(&packet), &packet))
        else {
            return Ok(());
        };
        let received = &received[14..];
        let ecn_bits = if packet[0] >> 4 == 4 { 0x03 } else { 0x30 };
        prop_assert_eq!(received[1] & !ecn_bits, packet[1] & !ecn_bits);
        prop_assert_eq!(received[0], packet[0]);
        if packet[0] >> 4 == 4 {
            let header_len = usize::from(packet[0] & 15) * 4;
            prop_assert_eq!(checksum::internet(&received[..header_len]), 0);
            prop_assert_eq!(&received[2..10], &packet[2..10]);
            prop_assert_eq!(&received[12..], &packet[12..]);
        } else {
            prop_assert_eq!(&received[2..], &packet[2..]);
        }
    }

    #[test]
    fn the_checksum_is_the_one_of_rfc_1071(words in vec(any::<[u8; 4]>(), 1..40)) {
        let sum = tested::add_words(0, &words.iter().copied().map(Be32::from).collect::<Vec<_>>());
        let stands = (!tested::fold(sum)).to_ne_bytes();
        prop_assert_eq!(u16::from_be_bytes(stands), checksum::internet(&words.concat()));
    }

    /// Not for data that is all zeros: its checksum has two forms, and no IP header is.
    #[test]
    fn an_updated_checksum_is_the_full_one(mut words in vec(any::<u16>(), 2..30), at: Index, new: u16) {
        words[0] |= 0x4000;
        let at = 1 + at.index(words.len() - 1);
        let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        let before = checksum::internet(&bytes(&words));
        let updated = tested::update(before, words[at], new);
        words[at] = new;
        prop_assert_eq!(updated, checksum::internet(&bytes(&words)));
    }
}

/// What chance would seldom find.
#[test]
fn checksums_of_rare_sums() {
    for (sum, folded) in
        [(0, 0), (0xffff, 0xffff), (0x1_0000, 1), (0x1_ffff, 1), (0xffff_0000, 0xffff)]
    {
        assert_eq!(tested::fold(sum), folded, "{sum:x}");
    }
    // The example of RFC 1624 section 4, which the older equation gets wrong.
    assert_eq!(tested::update(0xdd2f, 0x5555, 0x3285), 0x0000);
}
