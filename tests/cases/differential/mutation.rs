//! Valid packets with something changed at random, the same for the same seed.

use testbed::{
    ipv6::{FRAGMENT, ip_offset},
    packet::{ETHERNET, Gre, IPV4, IPV6, internet_checksum},
};

use crate::{
    facts::CHECKSUM,
    table::{Probe, samples},
    underlay::Underlay,
};

/// Pseudo-random numbers (Steele, Lea and Flood, `SplitMix64`).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// So many frames for this seed.
pub fn probes(underlay: Underlay, seed: u64, count: usize) -> Vec<Probe> {
    let samples = samples();
    let mut random = Random::new(seed);
    let mut probe = |number| {
        let (name, sample) = &samples[random.below(samples.len())];
        Probe::new(
            format!("mutation {number} of {name}"),
            mutated(&mut random, underlay, sample.clone()),
        )
    };
    (0..count).map(&mut probe).collect()
}

fn mutated(random: &mut Random, underlay: Underlay, mut packet: Gre) -> Vec<u8> {
    let (rebuilt, damaged) = random.pick(&[(0, 1), (0, 2), (1, 0), (1, 1), (2, 1), (3, 0)]);
    for _ in 0..rebuilt {
        packet = rebuild(random, packet);
    }
    let frame = packet.build();
    let behind = frame.len() - packet.offset();
    let mut frame = underlay.carry(frame);
    let headers = Headers { underlay, ip: packet.ip_offset(), gre: frame.len() - behind };
    for _ in 0..damaged {
        damage(random, &mut frame, headers);
    }
    // What is behind a wrong checksum is seen by nobody.
    if !random.one_in(8) {
        seal_gre(&mut frame, headers);
    }
    if !random.one_in(16) {
        seal_ip(&mut frame, headers.ip);
    }
    frame
}

/// Something else in a packet that fits together.
fn rebuild(random: &mut Random, packet: Gre) -> Gre {
    const KEYS: &[u32] = &[0, 10, 20, 30, 99];
    const TYPES: &[u16] = &[IPV4, IPV6, ETHERNET, 0, 0x0806, 0x8100, 0x8847, 0x883e, 0x88be];
    match random.below(11) {
        0 => packet.key(random.pick(KEYS)),
        1 => packet.checksum(),
        2 => packet.sequence(random.next() as u32),
        3 => packet.flags(1 << random.below(12)),
        4 => packet.tos(random.next() as u8),
        5 => packet.options(1 + random.below(10)),
        6 => packet.vlan(random.pick(&[0x8100, 0x88a8]), random.pick(&[0, 1, 5])),
        7 => packet.pad_to(60 + random.below(200)),
        8 => packet.payload_type(random.pick(TYPES)),
        9 => packet.ttl(random.next() as u8),
        _ => packet.fragment(random.pick(&[0, 0x4000, 0x8000, 0x2000, 0x0001])),
    }
}

/// Where headers begin.
#[derive(Clone, Copy)]
struct Headers {
    underlay: Underlay,
    ip: usize,
    gre: usize,
}

/// Something wrong in a frame.
fn damage(random: &mut Random, frame: &mut Vec<u8>, Headers { underlay, ip, gre }: Headers) {
    // An earlier cut may have left less.
    let len = frame.len();
    let gre = gre.min(len);
    match random.below(9) {
        0 => flip(random, &mut frame[..ip]),
        1 => flip(random, &mut frame[ip..gre]),
        2 | 3 => flip(random, &mut frame[gre..len.min(gre + 16)]),
        4 => flip(random, &mut frame[gre..]),
        5 => frame.truncate(ip + random.below(len + 1 - ip)),
        6 => {
            let len = gre + random.below(len + 1 - gre);
            frame.truncate(len);
            underlay.set_len(frame, ip, len - ip);
        }
        7 => underlay.set_len(frame, ip, random.below(len + 8)),
        _ => match underlay {
            // Options that were payload, or the other way round.
            Underlay::V4 => replace(frame, ip, 0x40 | random.below(16) as u8),
            Underlay::V6 => replace(frame, ip + 6, random.pick(&[0, 43, 44, 47, 59, 60])),
        },
    }
}

fn replace(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}

fn flip(random: &mut Random, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

/// Makes the checksum of the IPv4 header right, where it is whole.
pub fn seal_ip(frame: &mut [u8], ip: usize) {
    let Some(&[t0, t1, first]) = frame.get(ip - 2..).and_then(<[u8]>::first_chunk) else { return };
    if [t0, t1] != IPV4.to_be_bytes() {
        return;
    }
    let Some(header) = frame.get_mut(ip..ip + usize::from(first & 15) * 4) else { return };
    if header.len() >= 20 {
        header[10..12].fill(0);
        let sum = internet_checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Makes the checksum of the GRE packet right, where it has one and is whole.
fn seal_gre(frame: &mut [u8], Headers { underlay, ip, gre }: Headers) {
    let Some(header) = frame.get(ip..).and_then(<[u8]>::first_chunk::<6>) else { return };
    let word = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let (start, end) = match underlay {
        Underlay::V4 => (ip + usize::from(header[0] & 15) * 4, ip + word(2)),
        Underlay::V6 => (gre, ip + 40 + word(4)),
    };
    let Some(gre) = frame.get_mut(start..end.max(start)) else { return };
    if gre.len() >= 8 && u16::from_be_bytes([gre[0], gre[1]]) & CHECKSUM != 0 {
        gre[4..6].fill(0);
        let sum = internet_checksum(gre);
        gre[4..6].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Gives the packet in a frame this identification, which leaves its checksum as right or wrong as it was
/// (RFC 1624). Fragments of two probes are never put together then.
pub fn identify(frame: &mut [u8], id: u16) {
    let ip = ip_offset(frame);
    if frame.get(ip - 2..ip) == Some(&IPV6.to_be_bytes())
        && frame.get(ip + 6) == Some(&FRAGMENT)
        && let Some(id6) = frame.get_mut(ip + 46..ip + 48)
    {
        id6.copy_from_slice(&id.to_be_bytes());
    }
    if frame.get(ip - 2..ip) != Some(&IPV4.to_be_bytes()) {
        return;
    }
    let Some(header) = frame.get_mut(ip..ip + 12) else { return };
    let word = |at: usize| u32::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let sum = (word(10) ^ 0xffff) + (word(4) ^ 0xffff) + u32::from(id);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}
