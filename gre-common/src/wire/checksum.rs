//! The Internet checksum (RFC 1071), and its incremental update (RFC 1624).

use super::be32::Be32;

/// Adds words to a running sum as this machine reads them: good to see whether data that has its checksum in
/// it is sound, for which the order of bytes does not matter (RFC 1071 section 2 (B)).
#[inline(always)]
pub fn add_words(sum: u64, words: &[Be32]) -> u64 {
    words.iter().fold(sum, |sum, word| sum + u64::from(word.as_read()))
}

/// What [`fold`] gives of data that has its checksum in it and is sound.
pub const SOUND: u16 = 0xffff;

/// Folds a running sum of 16-bit or 32-bit words, 65,536 of them at most, into 16 bits.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

/// The checksum after one 16-bit word of the data changed from `old` to `new` (RFC 1624, equation 3).
#[inline(always)]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}
