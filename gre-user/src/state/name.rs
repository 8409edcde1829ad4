//! Names as users type them, and as the maps hold them.

use gre_common::tables::{IfName, Name};

use super::{Error, Result};

/// A tunnel's or tenant's name.
///
/// # Errors
/// It is empty, too long, or has characters that a shell or a table would stumble over.
pub fn parse(name: &str) -> Result<Name> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.bytes().all(plain) {
        return Err(Error::Name(name.to_owned()));
    }
    pad(name).ok_or_else(|| Error::Name(name.to_owned()))
}

/// An interface's name.
///
/// # Errors
/// The kernel would not take it.
pub fn parse_interface(name: &str) -> Result<IfName> {
    let refused = |byte: u8| byte.is_ascii_whitespace() || byte == b'/';
    if name.bytes().any(refused) {
        return Err(Error::InterfaceName(name.to_owned()));
    }
    pad(name).ok_or_else(|| Error::InterfaceName(name.to_owned()))
}

/// The text of a name.
pub fn text(name: &[u8]) -> String {
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..len]).into_owned()
}

/// Fills up with zeros, at least one.
fn pad<const N: usize>(name: &str) -> Option<[u8; N]> {
    let mut padded = [0; N];
    let room = padded.get_mut(..name.len())?;
    room.copy_from_slice(name.as_bytes());
    (!name.is_empty() && name.len() < N).then_some(padded)
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_interface, text};

    #[test]
    fn names_come_back_as_typed() {
        assert_eq!(text(&parse("blue-1.east_2").unwrap()), "blue-1.east_2");
        assert_eq!(text(&parse_interface("eth0.100").unwrap()), "eth0.100");
    }

    #[test]
    fn names_that_would_confuse_are_refused() {
        for name in ["", "two words", "a/b", "\u{e9}t\u{e9}", &"x".repeat(32)] {
            assert!(parse(name).is_err(), "{name:?}");
        }
        for name in ["", "two words", "a/b", &"x".repeat(16)] {
            assert!(parse_interface(name).is_err(), "{name:?}");
        }
    }
}
