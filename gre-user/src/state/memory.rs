//! The values of an array map, in memory that the kernel's programs read and write at the same time.

use std::{
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd},
    slice,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::Release, fence},
};

use aya::{
    Pod,
    maps::{MapData, MapError},
};
use memmap2::{MmapOptions, MmapRaw};

use super::{Error, Result};

/// Bytes that are written at once.
const WORD: usize = size_of::<u32>();
/// Bytes that are read at once.
const DOUBLE_WORD: usize = size_of::<u64>();

/// An array map with `BPF_F_MMAPABLE`.
///
/// A number that is none of its values' comes from a map in which somebody else has written. It stands for a value beside the map,
/// which is zero until somebody sets it: so what is read by it is nobody's, and what is written there no program sees.
pub(super) struct Memory<T> {
    bytes: MmapRaw,
    beside: MmapRaw,
    len: u32,
    _values: PhantomData<T>,
}

impl<T: Pod> Memory<T> {
    /// The kernel begins each value at a multiple of eight bytes (`array_map_alloc`).
    const STRIDE: usize = size_of::<T>().next_multiple_of(DOUBLE_WORD);

    /// # Errors
    /// The map's values are of another size, or the kernel refuses.
    pub fn new(map: &MapData) -> Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(WORD)) }
        let info = map.info().map_err(Error::Map)?;
        let (found, expected) = (info.value_size() as usize, size_of::<T>());
        if found != expected {
            return Err(Error::Map(MapError::InvalidValueSize { size: found, expected }));
        }
        let len = info.max_entries();
        let bytes = MmapOptions::new()
            .len(len as usize * Self::STRIDE)
            .map_raw(map.fd().as_fd().as_raw_fd())
            .map_err(MapError::IoError)?;
        let beside = MmapOptions::new().len(Self::STRIDE).map_anon().map_err(MapError::IoError)?;
        Ok(Self { bytes, beside: beside.into(), len, _values: PhantomData })
    }

    /// Memory that no program shares, filled with zeros as a new map is.
    #[cfg(test)]
    pub fn anonymous(len: u32) -> Self {
        let memory = |values| {
            let memory = MmapOptions::new().len(values * Self::STRIDE).map_anon();
            memory.expect("memory").into()
        };
        Self { bytes: memory(len as usize), beside: memory(1), len, _values: PhantomData }
    }

    /// Number of values.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// A value; counters in it are never torn.
    pub fn get(&self, index: u32) -> T {
        let from = self.value(index);
        let mut value = MaybeUninit::<T>::uninit();
        let to = value.as_mut_ptr().cast::<u8>();
        let doubles = size_of::<T>() / DOUBLE_WORD * DOUBLE_WORD;
        // SAFETY: both are as long as a `T`, in which every bit pattern is valid; `from` begins at a multiple
        // of eight bytes, and whoever writes there writes words.
        unsafe {
            for offset in (0..doubles).step_by(DOUBLE_WORD) {
                let word = AtomicU64::from_ptr(from.add(offset).cast()).load(Relaxed);
                to.add(offset).cast::<u64>().write_unaligned(word);
            }
            if doubles < size_of::<T>() {
                let word = AtomicU32::from_ptr(from.add(doubles).cast()).load(Relaxed);
                to.add(doubles).cast::<u32>().write_unaligned(word);
            }
            value.assume_init()
        }
    }

    /// The word at `offset` of a value.
    ///
    /// # Panics
    /// `offset` is not one of a word in the value.
    pub fn word(&self, index: u32, offset: usize) -> u32 {
        self.atomic(index, offset).load(Relaxed)
    }

    /// The number of 64 bits at `offset` of a value, which programs may count in at the same time.
    ///
    /// # Panics
    /// `offset` is not one of an aligned number in the value.
    pub fn number(&self, index: u32, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(DOUBLE_WORD) && offset + DOUBLE_WORD <= size_of::<T>());
        // SAFETY: the number is in the value, which begins at a multiple of eight bytes and is there as long as
        // the mapping.
        unsafe { AtomicU64::from_ptr(self.value(index).add(offset).cast()) }
    }

    /// Replaces a value.
    pub fn set(&mut self, index: u32, value: &T) {
        self.set_part(index, 0, value);
    }

    /// Replaces the part of a value that begins at `offset`.
    ///
    /// # Panics
    /// `offset` is not one of a word in the value.
    pub fn set_part<P: Pod>(&mut self, index: u32, offset: usize, part: &P) {
        for (number, word) in words(part).enumerate() {
            self.store(index, offset + number * WORD, word);
        }
    }

    /// Replaces a value that programs do not take for one, because the word at `decisive` says so, and makes
    /// that word what it is to be when all others are there.
    ///
    /// # Panics
    /// As [`Memory::set_part`].
    pub fn publish(&mut self, index: u32, value: &T, decisive: usize) {
        let mut store = |those: fn(usize, usize) -> bool| {
            for (offset, word) in (0..).step_by(WORD).zip(words(value)) {
                if those(offset, decisive) {
                    self.store(index, offset, word);
                }
            }
        };
        store(|offset, decisive| offset != decisive);
        fence(Release);
        store(|offset, decisive| offset == decisive);
    }

    fn store(&mut self, index: u32, offset: usize, word: u32) {
        self.atomic(index, offset).store(word, Relaxed);
    }

    fn atomic(&self, index: u32, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(WORD) && offset < size_of::<T>());
        // SAFETY: the word is in the value, which begins at a multiple of eight bytes and is there as long as
        // the mapping.
        unsafe { AtomicU32::from_ptr(self.value(index).add(offset).cast()) }
    }

    fn value(&self, index: u32) -> *mut u8 {
        if index >= self.len {
            return self.beside.as_mut_ptr();
        }
        // SAFETY: the mapping is `len` strides long.
        unsafe { self.bytes.as_mut_ptr().add(index as usize * Self::STRIDE) }
    }
}

/// The words that a value is made of.
fn words<P: Pod>(value: &P) -> impl Iterator<Item = u32> {
    const { assert!(size_of::<P>().is_multiple_of(WORD)) }
    // SAFETY: a `Pod` is its bytes, without padding.
    let bytes = unsafe { slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<P>()) };
    bytes.chunks_exact(WORD).map(|word| u32::from_ne_bytes(word.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn a_number_that_is_none_stands_for_nobodys() {
        let mut memory = Memory::<u64>::anonymous(2);
        memory.set(1, &7);
        assert_eq!([0, 1, 2, u32::MAX].map(|index| memory.get(index)), [0, 7, 0, 0]);
        memory.set(2, &8);
        assert_eq!([0, 1].map(|index| memory.get(index)), [0, 7]);
    }
}
