//! Checksums by the book (RFC 1071).

/// The Internet checksum of `bytes`; 0 where they contain a correct one.
pub fn internet(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| match *word {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        ref odd => u32::from(odd[0]) << 8,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Writes the checksum of the 20-byte IPv4 header at `offset`.
pub fn fill_ipv4(packet: &mut [u8], offset: usize) {
    let header = &mut packet[offset..offset + 20];
    header[10..12].fill(0);
    let checksum = internet(header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Panics unless `packet` is exactly one IPv4 or IPv6 packet with correct lengths and checksums,
/// the transport's included.
pub fn assert_well_formed(packet: &[u8]) {
    let (addresses, mut protocol, mut transport) = match packet[0] >> 4 {
        4 => {
            let header_len = usize::from(packet[0] & 15) * 4;
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
            assert_eq!(internet(&packet[..header_len]), 0, "IPv4 header checksum");
            (&packet[12..20], packet[9], &packet[header_len..])
        }
        6 => {
            assert_eq!(40 + usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
            (&packet[8..40], packet[6], &packet[40..])
        }
        version => panic!("IP version {version}"),
    };
    if protocol == 0 && packet[0] >> 4 == 6 {
        // Hop-by-hop options: multicast listener reports have them.
        protocol = transport[0];
        transport = &transport[8 + usize::from(transport[1]) * 8..];
    }
    let pseudo_header = match protocol {
        1 => vec![],
        6 | 17 | 58 => {
            let len = (transport.len() as u32).to_be_bytes();
            [addresses, &len, &[0, 0, 0, protocol]].concat()
        }
        other => panic!("transport protocol {other}"),
    };
    assert_eq!(internet(&[&pseudo_header, transport].concat()), 0, "transport checksum");
}
