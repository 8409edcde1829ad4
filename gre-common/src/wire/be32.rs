//! Four bytes in one register.

/// Four bytes as they stand in a packet: an IPv4 address, a GRE key, a word of a header.
///
/// The kernel programs load, compare and hash it whole; an array of bytes they would take apart.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Be32(u32);

impl Be32 {
    /// The four bytes in the order of the packet.
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }

    /// The bytes as this machine reads a number, which is good for arithmetic that does not mind their order.
    #[inline(always)]
    pub const fn as_read(self) -> u32 {
        self.0
    }

    /// Sixteen bytes as words.
    #[inline(always)]
    pub const fn words(bytes: [u8; 16]) -> [Self; 4] {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = bytes;
        [
            Self(u32::from_ne_bytes([a0, a1, a2, a3])),
            Self(u32::from_ne_bytes([b0, b1, b2, b3])),
            Self(u32::from_ne_bytes([c0, c1, c2, c3])),
            Self(u32::from_ne_bytes([d0, d1, d2, d3])),
        ]
    }

    /// From a number that this machine read from a packet.
    #[inline(always)]
    pub const fn from_read(read: u32) -> Self {
        Self(read)
    }
}

impl From<[u8; 4]> for Be32 {
    #[inline(always)]
    fn from(bytes: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(bytes))
    }
}

impl From<Be32> for [u8; 4] {
    #[inline(always)]
    fn from(word: Be32) -> Self {
        word.bytes()
    }
}
