//! TCP headers (RFC 9293 section 3.1).

use crate::packet::Packet;

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;
/// Length of a header with as many options as its length field can tell of, in bytes.
pub const MAX_HEADER_LEN: usize = 15 * 4;
/// Where the header's length stands, in the upper half of a byte and in words of 32 bits.
pub const DATA_OFFSET: usize = 12;
/// Where the checksum stands.
pub const CHECKSUM_OFFSET: usize = 16;

/// Where the flags stand.
const FLAGS_OFFSET: usize = 13;
/// "Synchronize": the first segment of each direction has it.
const SYN: u8 = 2;

/// Whether the segment at `offset` opens its direction of a connection.
#[inline(always)]
pub fn is_syn<P: Packet + ?Sized>(packet: &P, offset: usize) -> bool {
    packet.look_again();
    matches!(packet.read(packet.settle(offset) + FLAGS_OFFSET), Some([flags]) if flags & SYN != 0)
}
