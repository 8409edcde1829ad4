//! MAC addresses.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use gre_common::wire::ethernet::MacAddr;

use super::written::as_text_or_number;

/// The MAC address of a station: six hexadecimal octets with colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub MacAddr);

as_text_or_number!(Mac);

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octets: Option<Vec<u8>> = text
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() <= 2))
            .collect();
        let mac: Option<MacAddr> = octets.and_then(|octets| octets.try_into().ok());
        match mac {
            Some(mac) if mac[0] & 1 == 0 => Ok(Self(mac)),
            Some(_) => Err("this is a multicast address; a station has a unicast one".to_owned()),
            None => Err("expected six hexadecimal octets, as in 02:00:00:00:00:01".to_owned()),
        }
    }
}

impl Display for Mac {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let octets = self.0.map(|octet| format!("{octet:02x}"));
        f.write_str(&octets.join(":"))
    }
}

#[cfg(test)]
mod tests {
    use super::Mac;

    #[test]
    fn stations_are_unicast() {
        let mac = str::parse::<Mac>;
        assert_eq!(mac("02:0:0:0:0:ff"), Ok(Mac([2, 0, 0, 0, 0, 255])));
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:001", "01:00:5e:00:00:01", "02-00-00-00-00-01"]
        {
            assert!(mac(text).is_err(), "{text}");
        }
    }
}
