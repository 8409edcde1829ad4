//! Where metrics are served.

use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// An address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        text.parse().map(Self).map_err(|_| {
            "give a port, which is then on the loopback address, or ADDRESS:PORT, for example 192.0.2.1:9473 or [::]:9473"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, expected) in [
            ("9473", "127.0.0.1:9473"),
            (":9473", "127.0.0.1:9473"),
            ("192.0.2.1:9473", "192.0.2.1:9473"),
            ("[::]:9473", "[::]:9473"),
        ] {
            assert_eq!(text.parse::<Address>().expect(text).0.to_string(), expected);
        }
        for text in ["", "65536", "localhost:9473", "192.0.2.1", "[::1]", "-1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
