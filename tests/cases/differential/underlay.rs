//! What carries GRE: IPv4, or IPv6 with the same said in its own way.

use testbed::ipv6::over_ipv6;

/// Which IP version carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underlay {
    V4,
    V6,
}

impl Underlay {
    /// Address of the receivers.
    pub const fn local(self) -> &'static str {
        match self {
            Self::V4 => "192.0.2.1",
            Self::V6 => "2001:db8::1",
        }
    }

    /// Where valid packets come from.
    pub const fn remote(self) -> &'static str {
        match self {
            Self::V4 => "192.0.2.2",
            Self::V6 => "2001:db8::2",
        }
    }

    /// A frame that was built for IPv4, over this.
    pub fn carry(self, frame: Vec<u8>) -> Vec<u8> {
        match self {
            Self::V4 => frame,
            Self::V6 => over_ipv6(&frame).unwrap_or(frame),
        }
    }

    /// Says how long the IP packet is whose header begins at `ip`.
    pub fn set_len(self, frame: &mut [u8], ip: usize, len: usize) {
        let (field, len) = match self {
            Self::V4 => (ip + 2..ip + 4, len),
            Self::V6 => (ip + 4..ip + 6, len.wrapping_sub(40)),
        };
        if let Some(field) = frame.get_mut(field) {
            field.copy_from_slice(&(len as u16).to_be_bytes());
        }
    }
}
