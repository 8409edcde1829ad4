//! The sum over the bytes of a packet, a call of its own: few packets have a GRE checksum.

use core::ptr;

use aya_ebpf::helpers::bpf_csum_diff;

use crate::verifier::bounded;

/// What the kernel adds up in one go at most (`MAX_BPF_STACK`).
const CHUNK: usize = 512;
/// Furthest byte that is added up.
const MAX_OFFSET: usize = 0x7fff;

/// Linear bytes of a packet that are added up from the front.
struct Bytes {
    start: usize,
    end: usize,
    offset: usize,
    left: usize,
    sum: u64,
}

impl Bytes {
    /// The next `N` bytes, a multiple of four up to [`CHUNK`].
    #[inline(always)]
    fn add<const N: usize>(&mut self) -> Option<()> {
        let address = self.next::<N>()?;
        // SAFETY: the range was compared with the end of the packet, which no one moves meanwhile.
        let sum = unsafe {
            bpf_csum_diff(ptr::null_mut(), 0, address as *mut u32, N as u32, self.sum as u32)
        };
        self.sum = u64::from(sum as u32);
        Some(())
    }

    /// Address of the next `N` bytes.
    #[inline(always)]
    fn next<const N: usize>(&mut self) -> Option<usize> {
        if self.offset > MAX_OFFSET - CHUNK {
            return None;
        }
        let address = self.start + bounded::<MAX_OFFSET>(self.offset);
        if address + N > self.end {
            return None;
        }
        self.offset += N;
        self.left -= N;
        Some(address)
    }
}

/// [`Packet::sum`](gre_common::packet::Packet::sum) of the linear bytes between `start` and `end`; a negative number where
/// they do not hold that much.
#[inline(never)]
pub fn sum(start: usize, end: usize, offset: usize, len: usize) -> i64 {
    let bytes = Bytes { start, end, offset, left: len, sum: 0 };
    match add_up(bytes) {
        Some(sum) => sum as i64,
        None => -1,
    }
}

#[inline(always)]
fn add_up(mut bytes: Bytes) -> Option<u64> {
    for _ in 0..=MAX_OFFSET / CHUNK {
        if bytes.left < CHUNK {
            break;
        }
        bytes.add::<CHUNK>()?;
    }
    macro_rules! add_rest {
        ($($len:literal),*) => { $(if bytes.left & $len != 0 { bytes.add::<$len>()?; })* };
    }
    add_rest!(256, 128, 64, 32, 16, 8, 4);
    if bytes.left & 2 != 0 {
        let address = bytes.next::<2>()?;
        // SAFETY: the range was compared with the end of the packet, here and below.
        bytes.sum += u64::from(unsafe { (address as *const u16).read_unaligned() });
    }
    if bytes.left & 1 != 0 {
        let address = bytes.next::<1>()?;
        // SAFETY: as above.
        let byte = unsafe { (address as *const u8).read() };
        bytes.sum += u64::from(u16::from_ne_bytes([byte, 0]));
    }
    Some(bytes.sum)
}
