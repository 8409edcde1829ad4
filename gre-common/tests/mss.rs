//! What becomes of the MSS option of TCP: a table of headers, and the whole way from a frame to a frame.

mod support;

use gre_common::{
    mss::{clamp, lower},
    tables::{NextHop, TenantId, Tunnel, TunnelOptions},
};
use support::{
    apply::Apply as _,
    checksum,
    frame::{
        ETHERNET, Frame, IPV4, IPV6, Ipv4, MORE_FRAGMENTS, SERVICE_VLAN, TCP, VLAN, ethernet, ipv6,
        tagged,
    },
    outcome::{Outcome, Told, decap_plan, delivered, encap_plan, forwarded, receive, send},
    world::{BLUE, GREEN, LOCAL, REMOTE, World},
};

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A TCP header with these flags and options, a multiple of four bytes; its checksum is of this pseudo-header.
fn tcp(flags: u8, options: &[u8], pseudo: &[u8]) -> Vec<u8> {
    let mut header = vec![4, 210, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, flags, 255, 255, 0, 0, 0, 0];
    header.extend(options);
    header[12] = ((header.len() / 4) << 4) as u8;
    let length = (header.len() as u32).to_be_bytes();
    let sum = checksum::internet(&[pseudo, &length, &[0, 0, 0, TCP], &header].concat());
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    header
}

fn tcp4(flags: u8, options: &[u8]) -> Vec<u8> {
    Ipv4::new(TCP).dont_fragment().around(&tcp(flags, options, &[10, 9, 0, 1, 10, 9, 0, 2]))
}

fn tcp6(flags: u8, options: &[u8]) -> Vec<u8> {
    ipv6(0, 64, TCP, &tcp(flags, options, &[[0xfd; 16], [0xfe; 16]].concat()))
}

const fn mss(value: u16) -> [u8; 4] {
    let [high, low] = value.to_be_bytes();
    [2, 4, high, low]
}

#[test]
fn the_option_is_found_where_it_stands() {
    let full = [&[1; 36][..], &mss(1460)].concat();
    let rows: [(&str, &[u8], Option<usize>); 13] = [
        ("alone", &mss(1460), Some(22)),
        (
            "as Linux sends it",
            &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7],
            Some(22),
        ),
        ("behind no operations", &[1, 1, 1, 1, 2, 4, 5, 180], Some(26)),
        ("at an odd place", &[1, 2, 4, 5, 180, 1, 1, 1], Some(23)),
        ("behind another", &[4, 2, 1, 1, 2, 4, 5, 180], Some(26)),
        ("at the very end", &full, Some(58)),
        ("none", &[], None),
        ("other options", &[4, 2, 1, 3, 3, 7, 1, 1], None),
        ("behind the end of the list", &[0, 1, 1, 1, 2, 4, 5, 180], None),
        ("of another length", &[2, 3, 5, 180], None),
        ("behind an option without length", &[8, 0, 1, 1, 2, 4, 5, 180], None),
        ("behind an option that is too long", &[8, 250, 1, 1, 2, 4, 5, 180], None),
        ("cut off by the header's end", &[1, 1, 2, 4], None),
    ];
    for (what, options, expected) in rows {
        let header = [&tcp(SYN, options, &[])[..], &mss(1460)].concat();
        let found = lower(&header[..], 0, 1400);
        assert_eq!(found.map(|change| change.offset), expected, "{what}");
        if let Some(change) = found {
            assert_eq!((change.from, change.to), ([5, 180], [5, 120]), "{what}");
        }
        assert_eq!(lower(&header[..], 0, 1460), None, "{what}: never raised, nor left as it is");
    }
}

#[test]
fn a_header_cut_anywhere_is_left_alone() {
    let header = tcp(SYN, &[&[1; 36][..], &mss(1460)].concat(), &[]);
    for len in 0..header.len() {
        assert_eq!(lower(&header[..len], 0, 1400), None, "cut to {len}");
    }
}

/// How the tunnels differ from the default, tenant, VLAN tags, what is missing from 1500 bytes.
type Way = (&'static str, fn(&mut Tunnel), TenantId, &'static [u16], u16);

const WAYS: [Way; 6] = [
    ("l3", |_| (), BLUE, &[], 28),
    ("l2", |_| (), GREEN, &[], 42),
    ("l2 with a tag", |_| (), GREEN, &[VLAN], 46),
    ("l2 with two tags", |_| (), GREEN, &[SERVICE_VLAN, VLAN], 50),
    (
        "with checksum and number",
        |t| t.options = TunnelOptions::CHECKSUM.with(TunnelOptions::SEQUENCE, true),
        BLUE,
        &[],
        36,
    ),
    ("a tunnel with an MTU", |t| t.mtu = 1300, GREEN, &[VLAN], 200),
];

/// Both ways, both versions, even and odd places: the MSS fits, the checksum is right, nothing else changes.
#[test]
fn segments_will_fit() {
    let options = |value: u16| {
        let [high, low] = value.to_be_bytes();
        [vec![2, 4, high, low], vec![1, 2, 4, high, low, 1, 1, 1]]
    };
    for (what, setting, tenant, tags, missing) in WAYS {
        for (version, headers) in [(IPV4, 40), (IPV6, 60)] {
            let most = 1500 - missing - headers;
            let syn = |flags, options: &[u8]| {
                let packet =
                    if version == IPV4 { tcp4(flags, options) } else { tcp6(flags, options) };
                if tenant == BLUE { packet } else { tagged(tags, version, &packet) }
            };
            let cases = [(most + 1, most), (9000, most), (most, most), (536, 536)];
            for ((from, to), flags) in
                cases.into_iter().flat_map(|case| [(case, SYN), (case, SYN | ACK)])
            {
                for (from, to) in options(from).iter().zip(&options(to)) {
                    let (from, to) = (syn(flags, from), syn(flags, to));
                    assert_eq!(
                        through(setting, tenant, version, &from),
                        [to.clone(), to],
                        "{what}"
                    );
                }
            }
            let later = syn(ACK, &mss(9000));
            assert_eq!(through(setting, tenant, version, &later), [later.clone(), later], "no SYN");
        }
    }
}

/// What is sent as the inner packet, and what is delivered, of a tenant's packet.
fn through(
    setting: fn(&mut Tunnel),
    tenant: TenantId,
    version: u16,
    packet: &[u8],
) -> [Vec<u8>; 2] {
    let world = World::with_cast().tunnels(setting);
    let (l3, key) = if tenant == BLUE { (true, 10) } else { (false, 20) };
    let frame = if l3 { ethernet(version, packet) } else { packet.to_vec() };
    let Outcome::Forwarded(_, sent, _) = send(&world, tenant, &frame) else { panic!("not sent") };
    let sent = sent[sent.len() - packet.len()..].to_vec();
    let arriving = Frame::gre().from(REMOTE).to(LOCAL).key(key);
    let arriving = arriving.carrying(if l3 { version } else { ETHERNET }, packet);
    let Outcome::Forwarded(_, delivered, _) = receive(&world, &arriving) else {
        panic!("not delivered")
    };
    [sent, delivered[if l3 { 14 } else { 0 }..].to_vec()]
}

/// The sum over the inner packet was taken before.
#[test]
fn the_gre_checksum_stays_right() {
    let world = World::with_cast().tunnels(|tunnel| tunnel.options = TunnelOptions::CHECKSUM);
    let leaving = Frame::gre().from(LOCAL).to(REMOTE).key(10).checksum();
    for (before, after) in [(mss(1460), mss(1428)), (mss(65535), mss(1428))] {
        let sent = send(&world, BLUE, &ethernet(IPV4, &tcp4(SYN, &before)));
        assert_eq!(sent, forwarded(BLUE, &leaving.clone().ipv4(&tcp4(SYN, &after))));
    }
}

#[test]
fn it_can_be_turned_off_and_fragments_are_left_alone() {
    let options = TunnelOptions::KEEP_MSS;
    let off = World::with_cast().tunnels(|tunnel| tunnel.options = options).options(options);
    let syn = tcp4(SYN, &mss(9000));
    let fragment = Ipv4::new(TCP).fragment(MORE_FRAGMENTS).around(&syn[20..]);
    for (world, packet) in [(&off, &syn), (&World::with_cast(), &fragment)] {
        let arriving = Frame::gre().from(REMOTE).to(LOCAL).key(10).ipv4(packet);
        assert_eq!(receive(world, &arriving), delivered(BLUE, packet));
        assert!(!decap_plan(world, &arriving).is_syn);
        assert!(!encap_plan(world, BLUE, &ethernet(IPV4, packet)[..]).is_syn);
    }
}

/// What is behind the packet is padding, whatever its TCP header says.
#[test]
fn a_header_that_ends_behind_the_packet_is_left_alone() {
    for (version, packet, at) in
        [(IPV4, tcp4(SYN, &mss(9000)), 2), (IPV6, tcp6(SYN, &mss(9000)), 4)]
    {
        let mut short = packet.clone();
        short[at + 1] -= 1;
        if version == IPV4 {
            checksum::fill_ipv4(&mut short, 0);
        }
        let world = World::with_cast();
        let lowered = |packet: &[u8]| {
            let frame = ethernet(version, packet);
            let plan = encap_plan(&world, BLUE, &frame[..]);
            clamp(&plan.apply(&frame)[..], &world, &plan.syn())
        };
        assert!(lowered(&packet).is_some());
        assert_eq!(lowered(&short), None);
    }
}

/// What an l2 tenant's frame holds behind its IP packet is padding, at both ends.
#[test]
fn a_syn_behind_the_end_of_its_packet_is_none() {
    let world = World::with_cast();
    for (version, mut packet, at) in
        [(IPV4, tcp4(SYN, &mss(9000)), 2), (IPV6, tcp6(SYN, &mss(9000)), 4)]
    {
        let header_len = if version == IPV4 { 20 } else { 0 };
        for (len, is_syn) in [(0u16, false), (19, false), (20, true)] {
            packet[at..at + 2].copy_from_slice(&(header_len + len).to_be_bytes());
            let frame = ethernet(version, &packet);
            assert_eq!(encap_plan(&world, GREEN, &frame[..]).is_syn, is_syn);
            let arriving = Frame::gre().from(REMOTE).to(LOCAL).key(20).ethernet(&frame);
            assert_eq!(decap_plan(&world, &arriving).is_syn, is_syn);
        }
    }
}

/// A tag of the tenant's frame takes room; one that the device took out of the uplink's takes none.
#[test]
fn only_the_inner_tag_counts() {
    let world = World::with_cast();
    let syn = tcp4(SYN, &mss(9000));
    let frame = tagged(&[VLAN], IPV4, &syn);
    let plan = encap_plan(&world, GREEN, &frame[..]);
    let change = clamp(&plan.apply(&frame)[..], &world, &plan.syn()).expect("a change");
    assert_eq!(u16::from_be_bytes(change.to), 1500 - 46 - 40);
    let arriving = Frame::gre().from(REMOTE).to(LOCAL).key(20).ethernet(&ethernet(IPV4, &syn));
    let plan = decap_plan(&world, &arriving);
    let told = Told { frame: &arriving, segment: 0, stripped_vlan: true };
    let change = clamp(&told, &world, &plan.syn()).expect("a change");
    assert_eq!(u16::from_be_bytes(change.to), 1500 - 42 - 40);
}

/// While there is no route nothing is known.
#[test]
fn without_an_mtu_nothing_changes() {
    let syn = tcp4(SYN, &mss(9000));
    let arriving = Frame::gre().from(REMOTE).to(LOCAL).key(10).ipv4(&syn);
    let unknown = World::with_cast().tunnels(|tunnel| tunnel.next_hop = NextHop::NONE);
    assert_eq!(receive(&unknown, &arriving), delivered(BLUE, &syn));
    let set = unknown.tunnels(|tunnel| tunnel.mtu = 1300);
    assert_eq!(receive(&set, &arriving), delivered(BLUE, &tcp4(SYN, &mss(1260))));
}
