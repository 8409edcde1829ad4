//! The largest inner packet.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use super::written::as_text_or_number;

/// The largest inner packet, in bytes: at least 68 (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu(pub u16);

as_text_or_number!(Mtu);

impl FromStr for Mtu {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.parse() {
            Ok(mtu @ 68..) => Ok(Self(mtu)),
            _ => Err("expected 68 to 65535 bytes"),
        }
    }
}

impl Display for Mtu {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Mtu;

    #[test]
    fn packets_of_ipv4_have_68_bytes_at_least() {
        assert_eq!("68".parse(), Ok(Mtu(68)));
        assert_eq!("65535".parse(), Ok(Mtu(65535)));
        for text in ["", "67", "65536", "-1", "x"] {
            assert!(text.parse::<Mtu>().is_err(), "{text}");
        }
    }
}
