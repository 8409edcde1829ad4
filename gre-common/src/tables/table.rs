//! Hash tables in the values of array maps, whose memory kernel and userspace share.
//!
//! An entry lies at one address, found by calculation: at a million tenants that costs a packet one cache
//! miss, where a hash map costs three. Userspace alone writes keys, and programs see each whole: it writes
//! the rest of an entry first and the word that makes its key valid last, and it waits until no program can
//! still hold an entry before it uses the place again.

/// Entries that are looked at from the place where a key's hash points. A table is at most half full: a
/// look-up meets one or two, and of a million random keys none is further away than half of this.
pub const PROBES: u32 = 64;

/// How many of those are looked at without a call.
const NEAR: usize = 2;

/// Places of the smallest table: a megabyte of bindings, in which few keys meet.
const LEAST: u32 = 1 << 14;

/// Places for that many entries; a power of two.
pub const fn places_for(entries: u32) -> u32 {
    let places = (entries * 2).next_power_of_two();
    if places < LEAST { LEAST } else { places }
}

/// The decisive word of a place that nobody has used, as a map is when it is new: a search ends there.
pub const VACANT: u32 = 0;

/// What an entry is found by.
pub trait Key: Copy + PartialEq {
    /// The decisive word of a place that was used and is not now: a search goes on behind it.
    const DELETED: u32;

    /// The word that tells whether there is a key: neither [`VACANT`] nor [`Key::DELETED`] then.
    fn decisive(&self) -> u32;

    /// Where to begin.
    fn hash(&self) -> u32;
}

/// The value of an array map that is a table.
pub trait Entry {
    /// What it is found by.
    type Key: Key;
    /// Offset of the key's decisive word, in bytes.
    const DECISIVE: usize;

    /// What this one is found by.
    fn key(&self) -> &Self::Key;
}

/// The places where a key may be, in a table of `mask + 1` entries, a power of two.
#[inline(always)]
pub fn places<K: Key>(key: &K, mask: u32) -> impl Iterator<Item = u32> {
    let hash = key.hash();
    (0..PROBES).map(move |probe| hash.wrapping_add(probe) & mask)
}

/// Looks an entry up. `further` is [`further_place`], which few packets need: a program calls it, and the verifier then
/// goes through it once, not wherever somebody looks.
#[inline(always)]
pub fn find<'e, E: Entry + 'e>(
    key: &E::Key,
    mask: u32,
    entry_at: impl Fn(u32) -> Option<&'e E>,
    further: impl FnOnce() -> Option<u32>,
) -> Option<&'e E> {
    for place in places(key, mask).take(NEAR) {
        let entry = entry_at(place)?;
        if entry.key() == key {
            return Some(entry);
        }
        if entry.key().decisive() == VACANT {
            return None;
        }
    }
    entry_at(further()?)
}

/// The place of an entry that is not near where its key's hash points.
#[inline(always)]
pub fn further_place<'e, E: Entry + 'e>(
    key: &E::Key,
    mask: u32,
    entry_at: impl Fn(u32) -> Option<&'e E>,
) -> Option<u32> {
    for place in places(key, mask).skip(NEAR) {
        let entry = entry_at(place)?;
        if entry.key() == key {
            return Some(place);
        }
        if entry.key().decisive() == VACANT {
            return None;
        }
    }
    None
}

/// Mixes words well enough that keys in a row, or with a stride, spread evenly (the finalizer of `MurmurHash3`
/// with David Stafford's constants, "mix13").
#[inline(always)]
pub(super) fn mix(words: u64) -> u64 {
    let words = (words ^ (words >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let words = (words ^ (words >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    words ^ (words >> 31)
}
