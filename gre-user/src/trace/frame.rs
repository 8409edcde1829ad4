//! A packet to be traced.

use gre_common::{
    packet::Packet,
    wire::{
        be32::Be32,
        checksum,
        ethernet::{EtherType, TYPE_OFFSET, VLAN_TAG_LEN},
    },
};

/// A frame, from its Ethernet header on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    /// Its length; of a frame cut in a capture there are fewer bytes.
    len: usize,
    /// A VLAN tag that was taken out.
    vlan: Option<[u8; VLAN_TAG_LEN]>,
}

impl Frame {
    /// A whole frame.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { len: bytes.len(), bytes, vlan: None }
    }

    /// The beginning of a frame of `len` bytes.
    pub fn cut(bytes: impl Into<Vec<u8>>, len: usize) -> Self {
        let bytes = bytes.into();
        Self { len: len.max(bytes.len()), bytes, vlan: None }
    }

    /// Bytes that there are.
    pub fn captured(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are all.
    pub fn is_whole(&self) -> bool {
        self.captured() == self.len
    }

    /// As TC gets it: the kernel has taken out the outermost VLAN tag (`skb_vlan_untag`).
    #[must_use]
    pub fn as_socket_buffer(&self) -> Self {
        let mut frame = self.clone();
        if let (Some([t0, t1, v0, v1]), None) = (self.read(TYPE_OFFSET), self.vlan)
            && EtherType::from_be_bytes([t0, t1]).is_vlan()
        {
            frame.bytes.drain(TYPE_OFFSET..TYPE_OFFSET + VLAN_TAG_LEN);
            frame.len -= VLAN_TAG_LEN;
            frame.vlan = Some([t0, t1, v0, v1]);
        }
        frame
    }

    /// The bytes of the frame as TC has it, if they are all there.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.is_whole().then_some(&self.bytes)
    }

    /// Its length on a wire, in bytes.
    pub fn wire_len(&self) -> usize {
        self.len + self.vlan.map_or(0, |tag| tag.len())
    }

    /// Its bytes on a wire, if they are all there.
    pub fn on_wire(&self) -> Option<Vec<u8>> {
        let mut bytes = self.bytes()?.to_vec();
        if let Some(tag) = self.vlan {
            bytes.splice(TYPE_OFFSET..TYPE_OFFSET, tag);
        }
        Some(bytes)
    }
}

impl Packet for Frame {
    fn len(&self) -> usize {
        self.len
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes[..].read(offset)
    }

    /// A sum over bytes that are not there is taken for right.
    fn sum(&self, offset: usize, len: usize) -> Option<u16> {
        let is_cut = !self.is_whole() && offset + len <= self.len;
        self.bytes[..].sum(offset, len).or_else(|| is_cut.then_some(checksum::SOUND))
    }

    fn stripped_vlan(&self) -> Option<Be32> {
        self.vlan.map(Be32::from)
    }
}

#[cfg(test)]
mod tests {
    use gre_common::packet::Packet as _;

    use super::Frame;

    #[test]
    fn a_tag_goes_and_comes_back() {
        let bytes = [&[0; 12][..], &[0x81, 0, 0, 5, 0x88, 0xa8, 0, 6, 8, 0, 1, 2, 3]].concat();
        let frame = Frame::new(bytes.clone());
        let buffer = frame.as_socket_buffer();
        assert_eq!((frame.len(), buffer.len(), buffer.wire_len()), (25, 21, 25));
        assert_eq!(buffer.stripped_vlan(), Some([0x81, 0, 0, 5].into()));
        assert_eq!(buffer.read(12), Some([0x88, 0xa8]));
        assert_eq!(buffer.on_wire(), Some(bytes));
        assert_eq!(buffer.as_socket_buffer(), buffer, "one tag is beside a frame");
    }

    #[test]
    fn what_is_cut_has_its_length() {
        let frame = Frame::cut([1; 20], 100);
        assert_eq!((frame.len(), frame.captured(), frame.is_whole()), (100, 20, false));
        assert_eq!((frame.read::<4>(18), frame.bytes()), (None, None));
        assert_eq!((frame.sum(4, 90), frame.sum(4, 97)), (Some(0xffff), None));
    }
}
