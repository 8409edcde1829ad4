//! Prefixes of addresses.

use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
    str::FromStr,
};

use ipnet::IpNet;

use super::{Mac, written::as_text_or_number};
use crate::state;

/// A prefix, or a single address: `10.0.0.0/8`, `10.0.0.1`, `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(pub IpNet);

/// From whom packets may come: a prefix or a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(pub state::source::Source);

as_text_or_number!(Prefix, Source);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return not_mapped(address.into());
        }
        let text = if text == "default" { "0.0.0.0/0" } else { text };
        let prefix: IpNet = text
            .parse()
            .map_err(|_| "expected an address and a length, as in 10.0.0.0/8".to_owned())?;
        if prefix.trunc() != prefix {
            return Err(format!("it has bits behind its length; give {}", prefix.trunc()));
        }
        not_mapped(prefix)
    }
}

fn not_mapped(prefix: IpNet) -> Result<Prefix, String> {
    let is_mapped = matches!(prefix, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some());
    if is_mapped {
        return Err("this is an IPv4 address in the form of IPv6; give it as IPv4".to_owned());
    }
    Ok(Prefix(prefix))
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(Mac(mac)) = text.parse() {
            return Ok(Self(state::source::Source::Mac(mac)));
        }
        let prefix: Result<Prefix, _> = text.parse();
        prefix
            .map(|Prefix(prefix)| Self(state::source::Source::Prefix(prefix)))
            .map_err(|error| format!("{error}, or a MAC address, as in 02:00:00:00:00:01"))
    }
}

impl Display for Prefix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            state::source::Source::Prefix(prefix) => prefix.fmt(f),
            state::source::Source::Mac(mac) => Mac(mac).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Prefix, Source};

    #[test]
    fn prefixes_have_no_bits_behind_their_length() {
        let shown = |text: &str| text.parse::<Prefix>().map(|prefix| prefix.to_string());
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("default", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected));
        }
        for text in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "::ffff:10.0.0.1", "x"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sources_are_prefixes_or_stations() {
        for text in ["10.0.0.0/8", "02:00:00:00:00:01", "fd00::/8"] {
            assert_eq!(text.parse::<Source>().map(|it| it.to_string()).as_deref(), Ok(text));
        }
        assert!("01:00:5e:00:00:01".parse::<Source>().is_err());
    }
}
