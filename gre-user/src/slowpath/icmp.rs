//! What routers say of the path to a tunnel's remote end: that a packet was too big (RFC 1191, RFC 8201).
//!
//! Anybody can send such a message. Believed is one that quotes a packet which a tunnel may have sent, with its
//! key, and that was larger than what the message says goes through (RFC 5927 section 7.2). Which tunnel that is, its
//! owner finds out.

use gre_common::{
    packet::Packet as _,
    tables::KeyField,
    wire::{
        address::Address,
        be32::Be32,
        checksum, gre,
        icmp::{self, TOO_BIG, TOO_BIG_V6, UNREACHABLE},
        ipv4, ipv6,
    },
};

/// Bytes of an ICMP message before what it quotes.
const HEADER_LEN: usize = icmp::HEADER_WORDS * 4;
/// Smallest MTU of a path over IPv4 that is believed, in bytes: Linux's `min_pmtu`. A smaller one is taken for this one.
const MIN_IPV4: u32 = 552;
/// The same over IPv6. A message that says less is discarded (RFC 8201 section 4).
const MIN_IPV6: u32 = ipv6::MIN_MTU as u32;

/// A packet of a tunnel was too big for its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Where the packet came from: a tunnel's local address.
    pub local: Address,
    /// Where it went: the tunnel's remote address.
    pub remote: Address,
    /// Its key; `None` where not so much of it is quoted.
    pub key: Option<KeyField>,
    /// Largest packet that goes through, in bytes.
    pub mtu: u32,
}

/// Reads an ICMP message in its IPv4 packet.
pub fn too_big_v4(packet: &[u8]) -> Option<TooBig> {
    let message = packet.get(ipv4::header_len(&header_v4(packet)?)..)?;
    let [UNREACHABLE, TOO_BIG, _, _, _, _, m0, m1] = message.read(0)? else { return None };
    // The kernel has not looked.
    if message.sum(0, message.len())? != checksum::SOUND {
        return None;
    }
    let mtu = u32::from(u16::from_be_bytes([m0, m1])).max(MIN_IPV4);
    let quoted = &message[HEADER_LEN..];
    let header = header_v4(quoted)?;
    let is_ours = header.proto == ipv4::PROTO_GRE && !ipv4::is_fragment(&header);
    if !is_ours || ipv4::total_len(&header) <= mtu as usize {
        return None;
    }
    let [local, remote] = [header.src_addr, header.dst_addr].map(|end| Address::v4(end.into()));
    Some(TooBig { local, remote, key: key(quoted, ipv4::header_len(&header))?, mtu })
}

/// Reads a message of ICMP for IPv6, whose checksum the kernel has verified.
pub fn too_big_v6(message: &[u8]) -> Option<TooBig> {
    let [TOO_BIG_V6, 0, _, _, m0, m1, m2, m3] = message.read(0)? else { return None };
    let mtu = u32::from_be_bytes([m0, m1, m2, m3]);
    let quoted = &message[HEADER_LEN..];
    let start = ipv6::Start(quoted.read(0)?);
    let is_ours = start.version() == 6 && start.next_header() == ipv4::PROTO_GRE;
    if !is_ours || mtu < MIN_IPV6 || ipv6::HEADER_LEN + start.payload_len() <= mtu as usize {
        return None;
    }
    let local = Address::v6(quoted.words(ipv6::SOURCE_OFFSET)?);
    let remote = Address::v6(quoted.words(ipv6::DESTINATION_OFFSET)?);
    Some(TooBig { local, remote, key: key(quoted, ipv6::HEADER_LEN)?, mtu })
}

fn header_v4(packet: &[u8]) -> Option<ipv4::Ipv4Hdr> {
    let words: [Be32; ipv4::HEADER_WORDS] = packet.words(0)?;
    Some(ipv4::parse(words)).filter(ipv4::is_sane)
}

/// The key of a quoted GRE packet; `Some(None)` where not so much of it is quoted, `None` where it is none of ours.
#[expect(clippy::option_option, reason = "unknown is not the same as wrong")]
fn key(quoted: &[u8], offset: usize) -> Option<Option<KeyField>> {
    match gre::parse(quoted, offset, usize::MAX) {
        Ok(header) => Some(Some(header.key.into())),
        Err(gre::Malformed::Truncated) => Some(None),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use gre_common::wire::gre::GreKey;

    use super::*;

    const KEYED_GRE: [u8; 8] = [0x20, 0, 8, 0, 0, 0, 0, 10];

    fn v4(source: [u8; 4], destination: [u8; 4], protocol: u8, len: u16, rest: &[u8]) -> Vec<u8> {
        let [l0, l1] = len.to_be_bytes();
        let start = [0x45, 0, l0, l1, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        [&start[..], &source, &destination, rest].concat()
    }

    /// A router's message that quotes these bytes.
    fn message(mtu: u16, quoted: &[u8]) -> Vec<u8> {
        let [m0, m1] = mtu.to_be_bytes();
        let mut message = [&[UNREACHABLE, TOO_BIG, 0, 0, 0, 0, m0, m1], quoted].concat();
        let sum = !message.as_slice().sum(0, message.len()).expect("bytes");
        message[2..4].copy_from_slice(&sum.to_ne_bytes());
        v4([203, 0, 113, 1], [192, 0, 2, 1], 1, 0, &message)
    }

    fn quoted(len: u16, rest: &[u8]) -> Vec<u8> {
        v4([192, 0, 2, 1], [192, 0, 2, 2], 47, len, rest)
    }

    #[test]
    fn what_is_believed_over_ipv4() {
        let expected = |mtu, key| TooBig {
            local: Address::v4([192, 0, 2, 1].into()),
            remote: Address::v4([192, 0, 2, 2].into()),
            key,
            mtu,
        };
        let key = Some(Some(GreKey(10)).into());
        let gre = quoted(1500, &KEYED_GRE);
        let with_checksum = quoted(1500, &[0xa0, 0, 8, 0, 1, 2, 0, 0]);
        let mut damaged = message(1000, &gre);
        damaged[40] ^= 1;
        for (what, packet, found) in [
            ("all there", message(1000, &gre), Some(expected(1000, key))),
            ("an MTU too small", message(68, &gre), Some(expected(552, key))),
            ("no MTU (RFC 791)", message(0, &gre), Some(expected(552, key))),
            ("the key cut off", message(1000, &with_checksum), Some(expected(1000, None))),
            (
                "no key",
                message(1000, &quoted(1500, &[0, 0, 8, 0, 9, 9, 9, 9])),
                Some(expected(1000, Some(KeyField::NONE))),
            ),
            ("a packet that fits", message(1000, &quoted(1000, &KEYED_GRE)), None),
            (
                "another protocol",
                message(1000, &v4([192, 0, 2, 1], [192, 0, 2, 2], 17, 1500, &KEYED_GRE)),
                None,
            ),
            ("PPTP", message(1000, &quoted(1500, &[0x20, 1, 0x88, 0x0b, 0, 0, 0, 10])), None),
            ("a wrong checksum", damaged, None),
            ("nothing quoted", message(1000, &[]), None),
        ] {
            assert_eq!(too_big_v4(&packet), found, "{what}");
        }
        let whole = message(1000, &gre);
        for len in 0..whole.len() {
            assert_eq!(too_big_v4(&whole[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn what_is_believed_over_ipv6() {
        let [local, remote] = [[1; 16], [2; 16]];
        let message = |mtu: u32, payload_len: u16, next| {
            let [l0, l1] = payload_len.to_be_bytes();
            let header = [0x60, 0, 0, 0, l0, l1, next, 64];
            let start = [TOO_BIG_V6, 0, 0, 0];
            [&start[..], &mtu.to_be_bytes(), &header, &local, &remote, &KEYED_GRE].concat()
        };
        let expected = TooBig {
            local: Address::v6(Be32::words(local)),
            remote: Address::v6(Be32::words(remote)),
            key: Some(Some(GreKey(10)).into()),
            mtu: 1400,
        };
        assert_eq!(too_big_v6(&message(1400, 1460, 47)), Some(expected));
        assert_eq!(too_big_v6(&message(1279, 1460, 47)), None);
        assert_eq!(too_big_v6(&message(1400, 1360, 47)), None);
        assert_eq!(too_big_v6(&message(1400, 1460, 17)), None);
        let whole = message(1400, 1460, 47);
        for len in 0..HEADER_LEN + ipv6::HEADER_LEN {
            assert_eq!(too_big_v6(&whole[..len]), None, "cut to {len}");
        }
    }
}
