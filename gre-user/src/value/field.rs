//! Fields of the outer header that are fixed, or copied from the inner one.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use gre_common::tables::{DEFAULT_TTL, FieldPolicy};

use super::written::as_text_or_number;

const INHERIT: &str = "inherit";

/// An outer TTL: 1 to 255, or `inherit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(pub FieldPolicy);

/// An outer TOS: 0 to 252 (decimal or 0x hexadecimal), or `inherit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tos(pub FieldPolicy);

as_text_or_number!(Ttl, Tos);

impl Default for Ttl {
    fn default() -> Self {
        Self(FieldPolicy::fixed(DEFAULT_TTL))
    }
}

impl Default for Tos {
    fn default() -> Self {
        Self(FieldPolicy::fixed(0))
    }
}

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            (INHERIT, _) => Ok(Self(FieldPolicy::INHERIT)),
            (_, Ok(ttl @ 1..)) => Ok(Self(FieldPolicy::fixed(ttl))),
            _ => Err("expected 1 to 255, or inherit".to_owned()),
        }
    }
}

impl FromStr for Tos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == INHERIT {
            return Ok(Self(FieldPolicy::INHERIT));
        }
        let tos = match text.strip_prefix("0x") {
            Some(digits) => u8::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        match tos {
            Some(tos) if tos.is_multiple_of(4) => Ok(Self(FieldPolicy::fixed(tos))),
            Some(_) => {
                Err("the low two bits are ECN, which follows the inner packet (RFC 6040)"
                    .to_owned())
            }
            None => Err("expected 0 to 255, or inherit".to_owned()),
        }
    }
}

impl Display for Ttl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write(self.0, f)
    }
}

impl Display for Tos {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write(self.0, f)
    }
}

fn write(policy: FieldPolicy, f: &mut Formatter<'_>) -> fmt::Result {
    if policy == FieldPolicy::INHERIT { INHERIT.fmt(f) } else { policy.resolve(0).fmt(f) }
}

#[cfg(test)]
mod tests {
    use super::{Tos, Ttl};

    #[test]
    fn fields_are_fixed_or_inherited() {
        let (ttl, tos) = (str::parse::<Ttl>, str::parse::<Tos>);
        assert_eq!(ttl("7").unwrap().0.resolve(1), 7);
        assert_eq!(ttl("inherit").unwrap().0.resolve(1), 1);
        assert_eq!(tos("0x10").unwrap().0.resolve(4), 16);
        assert_eq!(tos("inherit").unwrap().0.resolve(4), 4);
        for text in ["0", "256", "x"] {
            assert!(ttl(text).is_err(), "{text}");
        }
        for text in ["3", "256", "x"] {
            assert!(tos(text).is_err(), "{text}");
        }
    }
}
