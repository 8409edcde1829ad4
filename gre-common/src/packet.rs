//! Bounded reads of a frame.

/// A frame that begins with its Ethernet header.
///
/// On the host a byte slice; in the kernel an XDP or TC context.
pub trait Packet {
    /// Length of the whole frame in bytes, paged and fragmented parts included.
    fn len(&self) -> usize;

    /// The `N` bytes at `offset`, or `None` where the frame ends before them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Payload bytes of each packet that this merged (GSO) packet stands for; 0 when it stands for itself.
    fn segment_payload(&self) -> usize {
        0
    }

    /// Whether the frame has a VLAN tag that the device took out of its bytes.
    fn has_stripped_vlan(&self) -> bool {
        false
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
}
