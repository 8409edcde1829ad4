//! What arrives at an uplink and what becomes of it: the rows of "on receipt" of the user's guide, the
//! congestion table, every reason to pass or drop.

use testbed::{
    ipv6::over_ipv6,
    packet::{ETHERNET, Gre, IPV4, IPV6, Udp, arp, internet_checksum},
};

/// l3 tenants with key 10, key 0 and no key; an l2 tenant with key 20; one without a port.
pub const TENANTS: &[&str] = &[
    "tunnel add t --local 192.0.2.1 --remote 192.0.2.2",
    "tenant add blue --key 10 --tunnel t",
    "port add blue blue0 --create",
    "tenant add zero --key 0 --tunnel t",
    "port add zero zero0 --create",
    "tenant add plain --no-key --tunnel t",
    "port add plain plain0 --create",
    "tenant add green --key 20 --service l2 --tunnel t",
    "port add green green0 --create",
    "tenant add lonely --key 30 --tunnel t",
];

/// The same over IPv6.
pub fn tenants_over_ipv6() -> Vec<&'static str> {
    let tunnel = "tunnel add t --local 2001:db8::1 --remote 2001:db8::2";
    [&[tunnel], &TENANTS[1..]].concat()
}

/// A frame and what becomes of it.
pub struct Row {
    pub what: &'static str,
    pub frame: Vec<u8>,
    pub expect: Expect,
}

fn row(what: &'static str, frame: impl Into<Vec<u8>>, expect: Expect) -> Row {
    Row { what, frame: frame.into(), expect }
}

impl Row {
    /// The same over IPv6, if what it is about is no matter of the outer IPv4 header alone.
    pub fn over_ipv6(self) -> Option<Self> {
        const IPV4_ALONE: [&str; 5] = [
            "IPv4 options, all of them",
            "shorter than its header",
            "wrong header checksum",
            "to the outer source",
            "a keepalive",
        ];
        if IPV4_ALONE.contains(&self.what) {
            return None;
        }
        Some(Self { frame: over_ipv6(&self.frame).expect("a frame over IPv4"), ..self })
    }
}

pub enum Expect {
    /// To a tenant: these bytes.
    Delivered(&'static str, Vec<u8>),
    /// The same, and something noted.
    Noted(&'static str, Vec<u8>, &'static str),
    /// Unchanged, for this reason.
    Passed(&'static str),
    /// Charged to the tenant.
    Dropped(&'static str, &'static str),
    /// Charged to nobody.
    DroppedAtHook(&'static str),
}
use Expect::{Delivered, Dropped, DroppedAtHook, Noted, Passed};

fn inner4() -> Vec<u8> {
    Udp::new("10.9.0.2", "10.9.0.1", b"payload").ip()
}

pub fn inner6() -> Vec<u8> {
    Udp::new("fd09::2", "fd09::1", b"payload").ip()
}

pub fn inner2() -> Vec<u8> {
    Udp::new("10.9.0.2", "10.9.0.1", b"payload").ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

/// An IPv4 packet with that much payload.
fn long(payload: usize) -> Vec<u8> {
    Udp::new("10.9.0.2", "10.9.0.1", &vec![0x5a; payload]).ip()
}

/// The smallest IPv4 packet.
fn tiny() -> Vec<u8> {
    inner4_with(2, &[0, 20])[..20].to_vec()
}

/// A packet without key.
pub fn plain() -> Gre {
    Gre::new("192.0.2.2", "192.0.2.1", IPV4, inner4())
}

/// A packet of the l3 tenant.
pub fn blue() -> Gre {
    plain().key(10)
}

/// A packet of the l2 tenant.
pub fn green() -> Gre {
    plain().key(20).carrying(ETHERNET, inner2())
}

/// The inner packet with some bytes changed; its header checksum is put right.
fn inner4_with(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut inner = inner4();
    inner[offset..offset + bytes.len()].copy_from_slice(bytes);
    inner[10..12].fill(0);
    let sum = internet_checksum(&inner[..20]);
    inner[10..12].copy_from_slice(&sum.to_be_bytes());
    inner
}

/// A keepalive: GRE of type 0, to be sent back.
fn keepalive() -> Vec<u8> {
    let mut inner = inner4_with(8, &[255, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    inner[20..24].fill(0);
    inner
}

/// A frame with the byte at `offset` changed.
fn with_byte(frame: impl Into<Vec<u8>>, offset: usize, value: u8) -> Vec<u8> {
    let mut frame = frame.into();
    frame[offset] = value;
    frame
}

/// What belongs to a tenant.
#[rustfmt::skip]
pub fn delivered() -> Vec<Row> {
    vec![
        row("IPv4 with key", blue(), Delivered("blue", inner4())),
        row("IPv6 with key", blue().carrying(IPV6, inner6()), Delivered("blue", inner6())),
        row("Ethernet with key", green(), Delivered("green", inner2())),
        row("Ethernet with ARP", green().carrying(ETHERNET, arp([2; 6])), Delivered("green", arp([2; 6]))),
        row("Ethernet header alone", green().carrying(ETHERNET, inner2()[..14].to_vec()), Delivered("green", inner2()[..14].to_vec())),
        row("key 0", plain().key(0), Delivered("zero", inner4())),
        row("no key", plain(), Delivered("plain", inner4())),
        row("Ethernet padding", blue().carrying(IPV4, tiny()).pad_to(60), Delivered("blue", tiny())),
        row("much padding", blue().pad_to(200), Delivered("blue", inner4())),
        row("reserved bits 6-12", blue().flags(0x03f8), Delivered("blue", inner4())),
        row("one IPv4 option", blue().options(1), Delivered("blue", inner4())),
        row("IPv4 options, all of them", blue().options(10), Delivered("blue", inner4())),
        row("checksum", blue().checksum(), Delivered("blue", inner4())),
        row("checksum before padding", blue().checksum().pad_to(200), Delivered("blue", inner4())),
        row("checksum over Ethernet", green().checksum(), Delivered("green", inner2())),
        row("checksum over every length", plain().checksum().carrying(IPV4, long(1431)), Delivered("plain", long(1431))),
        row("sequence nobody asks for", blue().sequence(7), Delivered("blue", inner4())),
        row("checksum and sequence", blue().checksum().sequence(7), Delivered("blue", inner4())),
        row("GRE in GRE is payload", blue().carrying(IPV4, blue().build()[14..].to_vec()), Delivered("blue", blue().build()[14..].to_vec())),
    ]
}

/// What is left to whoever comes next.
#[rustfmt::skip]
pub fn passed() -> Vec<Row> {
    let mut rows = vec![
        row("not IP", arp([2; 6]), Passed("not_ip")),
        row("an IPv4 header length below five", with_byte(blue(), 14, 0x44), Passed("not_ip")),
        row("an IP version that is not the Ethernet type's", with_byte(blue(), 14, 0x65), Passed("not_ip")),
        row("not GRE", blue().ip_protocol(17), Passed("not_gre")),
        row("IPv6 without GRE", Udp::new("fd09::1", "fd09::2", b"").ethernet([2; 6], [2; 6]), Passed("not_gre")),
        row("GRE over IPv6 to nobody here", with_byte(Udp::new("fd09::1", "fd09::2", b"").ethernet([2; 6], [2; 6]), 20, 47), Passed("not_local")),
        row("another local address", blue().to("192.0.2.7"), Passed("not_local")),
        row("outer multicast", blue().to("224.0.0.5"), Passed("not_local")),
        row("malformed, but not for us", blue().to("192.0.2.7").flags(0x4000), Passed("not_local")),
        row("PPTP", blue().flags(1), Passed("pptp")),
        row("first fragment", blue().fragment(0x2000), Passed("fragment")),
        row("later fragment", blue().fragment(0x0010), Passed("fragment")),
        row("unknown key", blue().key(99), Passed("no_binding")),
        row("unknown key from elsewhere", blue().key(99).from("192.0.2.9"), Passed("no_binding")),
        row("checksum of an unknown key", blue().key(99).checksum(), Passed("no_binding")),
    ];
    for protocol in [0x0000, 0x883e, 0x88be, 0x22eb, 0x2001, 0x8847, 0x8848, 0x00fe] {
        rows.push(row("control protocol", blue().carrying(protocol, inner4()), Passed("control_payload")));
    }
    rows
}

/// What nobody may have.
#[rustfmt::skip]
pub fn dropped() -> Vec<Row> {
    vec![
        row("version 2", blue().flags(2), DroppedAtHook("unknown_version")),
        row("version 7", blue().flags(7), DroppedAtHook("unknown_version")),
        row("routing bit", blue().flags(0x4000), DroppedAtHook("reserved_bits")),
        row("reserved bit 4", blue().flags(0x0800), DroppedAtHook("reserved_bits")),
        row("reserved bit 5", blue().flags(0x0400), DroppedAtHook("reserved_bits")),
        row("longer than the frame", blue().total_len(1000), DroppedAtHook("truncated")),
        row("shorter than its header", blue().total_len(19), DroppedAtHook("truncated")),
        row("no room for GRE", blue().total_len(23), DroppedAtHook("truncated")),
        row("no room for the key", blue().total_len(27), DroppedAtHook("truncated")),
        row("wrong header checksum", blue().bad_ip_checksum(), DroppedAtHook("bad_ip_checksum")),
        row("known key from elsewhere", blue().from("192.0.2.9"), Dropped("blue", "wrong_remote")),
        row("no key from elsewhere", plain().from("192.0.2.9"), Dropped("plain", "wrong_remote")),
        row("Ethernet for l3", blue().carrying(ETHERNET, inner2()), Dropped("blue", "wrong_service")),
        row("IPv4 for l2", green().carrying(IPV4, inner4()), Dropped("green", "wrong_service")),
        row("IPv6 for l2", green().carrying(IPV6, inner6()), Dropped("green", "wrong_service")),
        row("unknown payload type", blue().carrying(0x1234, inner4()), Dropped("blue", "unknown_payload")),
        row("unknown payload type for l2", green().carrying(0x1234, inner4()), Dropped("green", "unknown_payload")),
        row("IPv6 that says IPv4", blue().carrying(IPV6, [inner4(), vec![0; 40]].concat()), Dropped("blue", "inner_version")),
        row("IPv4 that says IPv6", blue().carrying(IPV4, inner6()), Dropped("blue", "inner_version")),
        row("inner IPv4 longer than its room", blue().carrying(IPV4, inner4_with(2, &[0, 200])), Dropped("blue", "inner_length")),
        row("inner IPv4 longer than its room, padding behind", blue().carrying(IPV4, inner4_with(2, &[0, 60])).pad_to(200), Dropped("blue", "inner_length")),
        row("inner IPv4 header cut", blue().carrying(IPV4, inner4()[..19].to_vec()), Dropped("blue", "inner_length")),
        row("inner IPv4 header length below five", blue().carrying(IPV4, inner4_with(0, &[0x44])), Dropped("blue", "inner_length")),
        row("inner IPv6 longer than its room", blue().carrying(IPV6, with_byte(inner6(), 4, 1)), Dropped("blue", "inner_length")),
        row("inner IPv6 header cut", blue().carrying(IPV6, inner6()[..39].to_vec()), Dropped("blue", "inner_length")),
        row("nothing inside", blue().carrying(IPV4, vec![]), Dropped("blue", "inner_length")),
        row("Ethernet header cut", green().carrying(ETHERNET, inner2()[..13].to_vec()), Dropped("green", "inner_length")),
        row("to the outer source", blue().carrying(IPV4, inner4_with(16, &[192, 0, 2, 2])), Dropped("blue", "loop")),
        row("a keepalive", blue().carrying(IPV4, keepalive()), Passed("keepalive")),
        row("a keepalive for l2", green().carrying(IPV4, keepalive()), Passed("keepalive")),
        row("wrong checksum", with_byte(blue().checksum(), 38, 0x55), Dropped("blue", "bad_checksum")),
        row("wrong byte under a checksum", with_byte(blue().checksum(), 60, 0x55), Dropped("blue", "bad_checksum")),
        row("no port", blue().key(30), Dropped("lonely", "no_port")),
    ]
}

/// With `--strict`.
#[rustfmt::skip]
pub fn strict() -> Vec<Row> {
    vec![
        row("unknown key", blue().key(99), DroppedAtHook("no_binding")),
        row("known key", blue(), Delivered("blue", inner4())),
        row("another local address", blue().to("192.0.2.7"), Passed("not_local")),
        row("not GRE", blue().ip_protocol(17), Passed("not_gre")),
    ]
}

/// Behind VLAN tags. The kernel takes the outer tag off before TC, which a test run does not.
#[rustfmt::skip]
pub fn vlan() -> Vec<Row> {
    vec![
        row("one tag", blue().vlan(0x8100, 5), Delivered("blue", inner4())),
        row("service tag and tag", green().vlan(0x88a8, 5).vlan(0x8100, 6), Delivered("green", inner2())),
        row("three tags", blue().vlan(0x8100, 5).vlan(0x8100, 6).vlan(0x8100, 7), Passed("not_ip")),
        row("tags, not for us", blue().vlan(0x8100, 5).to("192.0.2.7"), Passed("not_local")),
    ]
}

const NOT_ECT: u8 = 0;
const ECT1: u8 = 1;
const ECT0: u8 = 2;
const CE: u8 = 3;

/// RFC 6040 figure 4, for each kind of payload: the inner field, the outer one, and what arrives.
pub fn congestion() -> Vec<Row> {
    #[rustfmt::skip]
    const FIGURE_4: [(u8, [Option<u8>; 4]); 4] = [
        // Outer:  Not-ECT        ECT(1)         ECT(0)         CE
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT1,    [Some(ECT1),    Some(ECT1),    Some(ECT1),    Some(CE)]),
        (ECT0,    [Some(ECT0),    Some(ECT1),    Some(ECT0),    Some(CE)]),
        (CE,      [Some(CE),      Some(CE),      Some(CE),      Some(CE)]),
    ];
    const DSCP: u8 = 0xb8;
    let ip = |source, destination, ecn| Udp::new(source, destination, b"payload").tos(DSCP | ecn);
    let four = |ecn: u8| ip("10.9.0.2", "10.9.0.1", ecn);
    let six = |ecn: u8| ip("fd09::2", "fd09::1", ecn);
    let tagged = |ecn: u8| {
        let mut frame = four(ecn).ethernet([2; 6], [4; 6]);
        frame.splice(12..12, [0x81, 0, 0, 5]);
        frame
    };
    let kinds: [(_, _, &dyn Fn(u8) -> Vec<u8>); 5] = [
        ("blue", blue(), &|ecn| four(ecn).ip()),
        ("blue", blue().carrying(IPV6, vec![]), &|ecn| six(ecn).ip()),
        ("green", green(), &|ecn| four(ecn).ethernet([2; 6], [4; 6])),
        ("green", green(), &|ecn| six(ecn).ethernet([2; 6], [4; 6])),
        ("green", green(), &tagged),
    ];
    let mut rows = Vec::new();
    for (tenant, packet, inner) in kinds {
        for (before, arriving) in FIGURE_4 {
            for (outer, after) in (0..).zip(arriving) {
                let frame = packet.clone().payload(inner(before)).tos(outer).build();
                let expect = match after {
                    None => Dropped(tenant, "ecn"),
                    Some(ecn) if before == NOT_ECT && outer != NOT_ECT => {
                        Noted(tenant, inner(ecn), "ecn_mismatch")
                    }
                    Some(ecn) => Delivered(tenant, inner(ecn)),
                };
                rows.push(row("RFC 6040 figure 4", frame, expect));
            }
        }
    }
    rows
}
