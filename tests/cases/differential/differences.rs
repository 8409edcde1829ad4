//! Which differences are meant, and why. `docs/conformance.md` tells the same.

use testbed::{
    packet::{ETHERNET, IPV4, IPV6},
    suite::Case,
};

use crate::{
    comparison::Peer,
    facts::{CHECKSUM, Facts, Gre, is_padded},
    receiver::Outcome,
    tenants::SUMMED,
};

const PAGE: &str = include_str!("../../../docs/conformance.md");

/// Who delivers what the other one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivers {
    /// Only xgre.
    Xgre,
    /// Only the other one.
    Peer,
    /// Both, xgre with zeros behind.
    Padded,
    /// Both, and the other one what is in it as well.
    Twice,
    /// Both, not the same.
    Differently,
    /// One of them, or both something else.
    Varies,
}

impl Delivers {
    fn explains(self, facts: &Facts<'_>, theirs: &Outcome, ours: &Outcome) -> bool {
        match (self, theirs.as_slice(), ours.as_slice()) {
            (Self::Xgre, [], [ours]) => facts.allow(&ours.bytes),
            (Self::Peer, [_], []) | (Self::Differently, [_], [_]) | (Self::Varies, _, _) => true,
            (Self::Padded, [theirs], [ours]) => is_padded(&theirs.bytes, &ours.bytes),
            (Self::Twice, [theirs, _], [ours]) => theirs == ours,
            _ => false,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Xgre => "xgre",
            Self::Peer => "the other",
            Self::Padded => "both; xgre fills up with zeros",
            Self::Twice => "both; the other also what is in it",
            Self::Differently => "both, not the same",
            Self::Varies => "varies",
        }
    }
}

/// A difference that is meant.
pub struct Difference {
    /// From whom.
    pub peers: &'static [Peer],
    /// What the packet is.
    pub packet: &'static str,
    delivers: Delivers,
    /// The sentence of an RFC, or what else decides.
    because: &'static str,
    applies: fn(&Facts<'_>) -> bool,
}

impl Difference {
    /// Whether this is why the outcomes differ.
    pub fn explains(&self, facts: &Facts<'_>, theirs: &Outcome, ours: &Outcome) -> bool {
        (self.applies)(facts) && self.delivers.explains(facts, theirs, ours)
    }
}

use Delivers::{Differently, Padded, Twice, Varies, Xgre};

const LINUX: &[Peer] = &[Peer::Linux, Peer::Linux6];
/// All that receive with the kernel's devices.
const KERNEL: &[Peer] = &[Peer::Linux, Peer::Linux6, Peer::KernelDatapath];
const KERNEL4: &[Peer] = &[Peer::Linux, Peer::KernelDatapath];
const LINUX6: &[Peer] = &[Peer::Linux6];
const OVS: &[Peer] = &[Peer::OpenVswitch];
const MODULE: &[Peer] = &[Peer::KernelDatapath];
const ALL: &[Peer] = &[Peer::Linux, Peer::Linux6, Peer::OpenVswitch, Peer::KernelDatapath];

/// All of them. The first one that explains does.
pub const DIFFERENCES: &[Difference] = &[
    difference(
        KERNEL,
        "is a fragment that completes a packet",
        Delivers::Peer,
        "left to the kernel and the daemon's slow path, which is not part of the comparison: what it delivers comes behind the fence",
        |facts| facts.outer.fragment,
    ),
    difference(
        ALL,
        "is for another station",
        Xgre,
        "xgre looks at the IP address; a frame for another station is kept away by the network card",
        |facts| facts.other_station,
    ),
    difference(
        ALL,
        "has VLAN tags that the receiver has no device for",
        Xgre,
        "xgre looks behind up to two tags, which select nothing",
        |facts| facts.vlans.len() > 1 || facts.vlans.iter().any(|vid| *vid != 0),
    ),
    difference(
        KERNEL4,
        "has IPv4 options that are malformed, or a source route",
        Xgre,
        "RFC 791 section 3.1: the header length says where data begin; xgre steps over options and leaves them unread",
        |facts| !facts.outer.options.is_empty(),
    ),
    difference(
        LINUX6,
        "has extension headers with more than eight bytes of options that ask nothing",
        Varies,
        "RFC 8200 section 4: left to the kernel, which knows them all",
        |facts| !facts.outer.options.is_empty(),
    ),
    difference(
        LINUX6,
        "has key 0, and the receiver expects none",
        Delivers::Peer,
        "RFC 2890 section 2: a bit of the packet says whether there is a key; key 0 is one",
        |facts| facts.gre(|gre| gre.key == Some(0)),
    ),
    difference(
        KERNEL,
        "has bit 4 or 5 of GRE",
        Delivers::Peer,
        "RFC 2784 section 2.3: \"A receiver MUST discard a packet where any of bits 1-5 are non-zero, unless \
         that receiver implements RFC 1701\"",
        |facts| facts.gre(|gre| gre.flags & 0x0c00 != 0),
    ),
    difference(
        KERNEL4,
        "has one of bits 9 to 12 of GRE",
        Xgre,
        "RFC 2784 section 2.3: \"Bits 6-12 ... MUST be ignored on receipt\"",
        |facts| facts.gre(|gre| gre.flags & 0x0078 != 0),
    ),
    difference(
        KERNEL,
        "has a right checksum that the receiver was not told to expect",
        Xgre,
        "RFC 2784 section 2.2: \"a compliant implementation MUST accept and process this field\"",
        |facts| facts.gre(|gre| gre.flags & CHECKSUM != 0 && gre.key != SUMMED),
    ),
    difference(
        LINUX,
        "has no checksum where the receiver was told to expect one",
        Xgre,
        "RFC 2784 section 2.2: a bit of the packet says whether there is one; who sends decides",
        |facts| facts.gre(|gre| gre.flags & CHECKSUM == 0 && gre.key == SUMMED),
    ),
    difference(
        LINUX,
        "carries something else than IPv4 and IPv6 to an l3 tenant",
        Delivers::Peer,
        "RFC 2784 section 2.4: \"An implementation receiving a packet containing a Protocol Type which is not \
         listed ... SHOULD discard the packet\"; control protocols go to the kernel",
        |facts| facts.gre(|gre| !matches!(gre.payload_type, IPV4 | IPV6)),
    ),
    difference(
        LINUX,
        "carries IP of another version than its type says, or with lengths that cannot be",
        Delivers::Peer,
        "RFC 1122 section 3.2.1: the inner IP layer discards it silently; xgre does not hand it there",
        |facts| facts.gre(Gre::malformed_ip),
    ),
    difference(
        LINUX,
        "carries a packet to its own outer source",
        Delivers::Peer,
        "RFC 2784 section 3.1: \"if the destination address of the payload packet is the encapsulator of the \
         packet ..., looping can occur. In this case, the packet MUST be discarded\"",
        |facts| facts.gre(|gre| gre.goes_to(facts.outer.source)),
    ),
    difference(
        LINUX,
        "carries a GRE packet to the receiver itself",
        Twice,
        "RFC 2784 section 3.1: the payload is forwarded by its destination; to xgre a tenant's GRE is payload, never \
         another tenant's packet",
        |facts| facts.gre(Gre::carries_gre),
    ),
    difference(
        KERNEL,
        "has an ECN field outside, and inside an IP header behind a VLAN tag",
        Varies,
        "RFC 6040 section 4.2 speaks of the inner IP header; Linux takes the tag for it",
        |facts| facts.outer.ecn != 0 && facts.gre(Gre::tagged_frame),
    ),
    difference(
        ALL,
        "carries a frame of type IP without a whole IP header of that version",
        Xgre,
        "a bridge delivers what its frames say they are; RFC 6040 section 4.2 has nothing to change",
        |facts| facts.gre(Gre::frame_without_ip_header),
    ),
    difference(
        ALL,
        "carries a frame that ends with its VLAN tag",
        Xgre,
        "no frame on a wire is so short; xgre fills it up with zeros where the kernel must see it whole",
        |facts| facts.gre(Gre::frame_ends_with_tag),
    ),
    difference(
        ALL,
        "carries a frame of less than 34 bytes, or 54 where IPv6 is involved",
        Padded,
        "the kernel has no shorter packets at TC; Ethernet fills up to 60 bytes anyway",
        |facts| facts.gre(|gre| gre.payload_type == ETHERNET && gre.payload.len() < 54),
    ),
    difference(
        OVS,
        "has bytes behind its IP length",
        Varies,
        "RFC 791 section 3.1: the total length is that of the datagram; Open vSwitch takes the frame's",
        |facts| facts.padding > 0,
    ),
    difference(
        OVS,
        "has one of bits 6 to 12 of GRE",
        Xgre,
        "RFC 2784 section 2.3: \"Bits 6-12 ... MUST be ignored on receipt\"",
        |facts| facts.gre(|gre| gre.flags & 0x03f8 != 0),
    ),
    difference(
        OVS,
        "has ECT(1) outside and ECT(0) inside",
        Differently,
        "RFC 6040 section 4.2, figure 4: what comes out is ECT(1)",
        |facts| facts.outer.ecn == 1,
    ),
    difference(
        OVS,
        "has IPv4 options",
        Xgre,
        "RFC 791 section 3.1: options \"must be implemented by all IP modules\"; xgre steps over them",
        |facts| !facts.outer.options.is_empty(),
    ),
    difference(
        MODULE,
        "has bytes behind its IP length, and inside a frame of type IP without a whole IP header",
        Delivers::Peer,
        "who has read these bytes as inner headers, as the sending packet socket does, has put the transport header there; the \
         kernel does not cut a packet before that (`bpf_skb_change_tail`)",
        |facts| facts.padding > 0 && facts.gre(Gre::frame_without_ip_header),
    ),
];

const fn difference(
    peers: &'static [Peer],
    packet: &'static str,
    delivers: Delivers,
    because: &'static str,
    applies: fn(&Facts<'_>) -> bool,
) -> Difference {
    Difference { peers, packet, delivers, because, applies }
}

pub fn cases() -> Vec<Case> {
    vec![Case::new("the page of differences is the list of the test", page_is_complete)]
}

fn page_is_complete() {
    for Difference { peers, packet, delivers, because, .. } in DIFFERENCES {
        let peers = peers.iter().map(Peer::to_string).collect::<Vec<_>>().join(", ");
        let row = format!("| {packet} | {peers} | {} | {because} |", delivers.words());
        assert!(PAGE.contains(&row), "docs/conformance.md lacks the line\n{row}");
    }
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| the packet");
    let lines = PAGE.lines().take_while(|line| !line.starts_with("## "));
    assert_eq!(lines.filter(is_row).count(), DIFFERENCES.len(), "lines of no difference");
}
