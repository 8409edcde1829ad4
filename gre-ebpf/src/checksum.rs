//! The sum over the bytes of a packet, a call of its own: few packets have a GRE checksum.

use core::ptr;

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::bpf_csum_diff,
    programs::TcContext,
};
use gre_common::{
    partial::{Transport, pending_sum},
    wire::address::Version,
};

use crate::packet::TcPacket;
use crate::verifier::{bounded, forgotten};

/// What the kernel adds up in one go at most (`MAX_BPF_STACK`).
const CHUNK: usize = 512;
/// Furthest byte that is added up.
const MAX_OFFSET: usize = 0x3fff;

/// Linear bytes of a packet that are added up from the front.
struct Bytes {
    start: usize,
    end: usize,
    offset: usize,
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
        self.sum = u64::from(sum.cast_unsigned() as u32);
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
        Some(address)
    }

    /// Whichever way led here, the verifier goes on once.
    #[inline(always)]
    fn settle(&mut self) {
        self.offset = forgotten::<MAX_OFFSET>(self.offset, self.end - self.start);
    }
}

// Functions of global linkage: the verifier goes through each once, whoever calls it.

/// [`Packet::sum`](gre_common::packet::Packet::sum), not folded, of the first buffer of a frame in the driver; a negative
/// number where it does not hold that much.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn sum_of_frame(ctx: *mut xdp_md, offset: u32, len: u32) -> i64 {
    // SAFETY: the kernel rewrites these accesses to the fields of its own structure.
    let (start, end) = unsafe { ((*ctx).data as usize, (*ctx).data_end as usize) };
    sum(start, end, offset as usize, len as usize)
}

/// The same of the linear part of a socket buffer.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn sum_of_buffer(ctx: *mut __sk_buff, offset: u32, len: u32) -> i64 {
    // SAFETY: as above.
    let (start, end) = unsafe { ((*ctx).data as usize, (*ctx).data_end as usize) };
    sum(start, end, offset as usize, len as usize)
}

/// [`pending_sum`] of a socket buffer; a negative number for none. `kind` is the IP version as [`Version`] numbers it, and
/// behind it the transport protocol.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn pending_sum_of_buffer(
    ctx: *mut __sk_buff,
    kind: u32,
    ip_offset: u32,
    offset: u32,
    len: u32,
) -> i64 {
    let version = Version::from_number(kind >> 8);
    let (ip_offset, offset, len) = (ip_offset as usize, offset as usize, len as usize);
    let transport = Transport { version, ip_offset, protocol: kind as u8, offset, len };
    let ctx = TcContext::new(ctx);
    pending_sum(&TcPacket::new(&ctx), transport).map_or(-1, i64::from)
}

#[inline(always)]
fn sum(start: usize, end: usize, offset: usize, len: usize) -> i64 {
    let bytes = Bytes { start, end, offset, sum: 0 };
    add_up(bytes, len).map_or(-1, |sum| sum as i64)
}

#[inline(always)]
fn add_up(mut bytes: Bytes, mut left: usize) -> Option<u64> {
    for _ in 0..=MAX_OFFSET / CHUNK {
        if left < CHUNK {
            break;
        }
        bytes.add::<CHUNK>()?;
        left -= CHUNK;
    }
    bytes.settle();
    let left = forgotten::<{ CHUNK - 1 }>(left, bytes.end - bytes.start);
    macro_rules! add_rest {
        ($($len:literal),*) => { $(
            if left & $len != 0 {
                bytes.add::<$len>()?;
            }
            bytes.settle();
        )* };
    }
    add_rest!(256, 128, 64, 32, 16, 8, 4);
    if left & 2 != 0 {
        let address = bytes.next::<2>()?;
        // SAFETY: the range was compared with the end of the packet, here and below.
        bytes.sum += u64::from(unsafe { (address as *const u16).read_unaligned() });
    }
    bytes.settle();
    if left & 1 != 0 {
        let address = bytes.next::<1>()?;
        // SAFETY: as above.
        let byte = unsafe { (address as *const u8).read() };
        bytes.sum += u64::from(u16::from_ne_bytes([byte, 0]));
    }
    Some(bytes.sum)
}
