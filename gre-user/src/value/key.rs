//! GRE keys.

use std::{
    fmt::{self, Display, Formatter},
    net::Ipv4Addr,
    str::FromStr,
};

use gre_common::wire::gre::GreKey;

use super::written::as_text_or_number;

/// A GRE key: decimal, hexadecimal (0x...), or dotted like an IPv4 address, as in iproute2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub GreKey);

as_text_or_number!(Key);

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let number = match hex {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok().or_else(|| dotted(text)),
        };
        let is_number = number.is_some() || text.bytes().all(|byte| byte.is_ascii_digit());
        match number.map(u32::try_from) {
            Some(Ok(key)) => Ok(Self(GreKey(key))),
            _ if is_number => Err("a GRE key has 32 bits: 0 to 4294967295".to_owned()),
            _ => Err("expected a number, 0x and hexadecimal digits, or a dotted quad".to_owned()),
        }
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(GreKey(key)) = self;
        key.fmt(f)
    }
}

fn dotted(text: &str) -> Option<u64> {
    text.parse::<Ipv4Addr>().ok().map(|address| u32::from(address).into())
}

#[cfg(test)]
mod tests {
    use super::{GreKey, Key};

    #[test]
    fn keys_have_32_bits() {
        let key = str::parse::<Key>;
        assert_eq!(key("10"), Ok(Key(GreKey(10))));
        assert_eq!(key("0"), Ok(Key(GreKey(0))));
        assert_eq!(key("0xA"), Ok(Key(GreKey(10))));
        assert_eq!(key("0.0.1.2"), Ok(Key(GreKey(258))));
        assert_eq!(key("4294967295"), Ok(Key(GreKey(u32::MAX))));
        for text in ["4294967296", "0x100000000", "99999999999999999999999"] {
            assert!(key(text).unwrap_err().contains("32 bits"), "{text}");
        }
        for text in ["", "ten", "-1", "0x", "1.2.3"] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
