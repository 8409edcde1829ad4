//! Bounded reads of a frame.

use core::ops::Range;

use crate::{
    flow,
    guard::{self, Start},
    neighbour,
    partial::Transport,
    route,
    tables::{Tables, TenantId, TenantOptions, TunnelOptions, Via},
    wire::{address::Version, be32::Be32, checksum},
};

/// A frame that begins with its Ethernet header.
///
/// On the host a byte slice; in the kernel an XDP or TC context.
pub trait Packet {
    /// Length of the whole frame in bytes, paged and fragmented parts included.
    fn len(&self) -> usize;

    /// The `N` bytes at `offset`, or `None` where the frame ends before them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The `N` words at `offset`, or `None` where the frame ends before them.
    fn words<const N: usize>(&self, offset: usize) -> Option<[Be32; N]> {
        let mut words = [Be32::default(); N];
        for (number, word) in words.iter_mut().enumerate() {
            *word = self.read(offset + number * size_of::<Be32>())?.into();
        }
        Some(words)
    }

    /// Number of bytes behind the first `len`, or `None` where the frame is shorter than that.
    fn behind(&self, len: usize) -> Option<usize> {
        self.len().checked_sub(len)
    }

    /// `offset`, of a byte near the start of the frame. Whoever verifies the code that reads there forgets which
    /// way the number came about, and goes through what follows once instead of once for every way.
    fn settle(&self, offset: usize) -> usize {
        offset
    }

    /// `value`, of which the compiler and whoever verifies the code forget what they know: they would take every way that
    /// leads here apart, down to where it is last asked for.
    fn forget(&self, value: u32) -> u32 {
        value
    }

    /// The compiler forgets where the frame begins and ends. It would keep both for the next read in a form, cut and spilled, in
    /// which whoever verifies the code takes them for mere numbers.
    fn look_again(&self) {}

    /// Payload bytes of each packet that this merged (GSO) packet stands for; 0 when it stands for itself.
    fn segment_payload(&self) -> usize {
        0
    }

    /// Running checksum of the `len` bytes at `offset`, an even number, folded, as this machine reads words; `None` where it
    /// cannot be known here.
    fn sum(&self, offset: usize, len: usize) -> Option<u16>;

    /// [`pending_sum`](crate::partial::pending_sum), where a transport checksum may have been left to a device.
    fn pending_sum(&self, _transport: Transport) -> Option<u16> {
        None
    }

    /// [`flow::hash`].
    fn flow_hash(&self, version: Version, ip: usize, inner: Range<usize>) -> u32 {
        flow::hash(self, version, ip, inner)
    }

    /// [`route::find`].
    fn route<T: Tables>(&self, tables: &T, tenant: TenantId, ip: usize) -> Via {
        route::find(self, tables, tenant, ip)
    }

    /// [`guard::is_allowed`].
    fn is_allowed<T: Tables>(
        &self,
        tables: &T,
        tenant: TenantId,
        options: TenantOptions,
        start: Start,
    ) -> bool {
        guard::is_allowed(self, tables, tenant, options, start)
    }

    /// [`neighbour::is_answered`].
    fn is_answered<T: Tables>(&self, tables: &T, tenant: TenantId) -> bool {
        neighbour::is_answered(self, tables, tenant)
    }

    /// The VLAN tag that the device took out of the frame's bytes.
    fn stripped_vlan(&self) -> Option<Be32> {
        None
    }

    /// What tunnels ask of a packet, and not of this one: [`TunnelOptions::IPSEC`] where the kernel has decrypted it, by a security
    /// association with its source address (RFC 4301 section 4.4.2).
    fn excused(&self) -> TunnelOptions {
        TunnelOptions::NONE
    }

    /// Whether the frame holds no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Packet for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    fn sum(&self, offset: usize, len: usize) -> Option<u16> {
        let words = self.get(offset..offset.checked_add(len)?)?.chunks(2);
        let word = |bytes: &[u8]| {
            u64::from(u16::from_ne_bytes([bytes[0], bytes.get(1).copied().unwrap_or(0)]))
        };
        Some(checksum::fold(words.map(word).sum()))
    }
}
