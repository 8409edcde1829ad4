//! Sequence numbers.

/// Value of the map `SEQUENCES`, by [`TenantId`](super::TenantId): RFC 2890 numbers packets per key. Numbers have 32 bits; the
/// words are as wide as what a program can count in together with others.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Of the next packet sent.
    pub sent: u64,
    /// One more than that of the last packet received.
    pub received: u64,
}

impl Sequence {
    /// Whether a packet that says `number` comes after all before it: the 2^31 numbers from `received` on do
    /// (RFC 2890 section 2.2).
    #[inline(always)]
    pub const fn is_next(received: u64, number: u32) -> bool {
        (number.wrapping_sub(received as u32) as i32) >= 0
    }
}

const _: () = assert!(size_of::<Sequence>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_goes_round() {
        for (received, number, next) in [
            (0, 0, true),
            (0, 0x7fff_ffff, true),
            (0, 0x8000_0000, false),
            (0, u32::MAX, false),
            (5, 4, false),
            (5, 5, true),
            (u32::MAX, u32::MAX, true),
            (u32::MAX, 3, true),
            (3, u32::MAX, false),
        ] {
            assert_eq!(
                Sequence::is_next(received.into(), number),
                next,
                "{number} after {received}"
            );
        }
    }
}
