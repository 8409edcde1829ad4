//! What users type: keys, MAC addresses, fields that may be inherited, keepalives.

use std::net::Ipv4Addr;

use gre_common::{
    tables::{FieldPolicy, Keepalive},
    wire::{ethernet::MacAddr, gre::GreKey},
};

/// A GRE key: decimal, hexadecimal (0x...), or dotted like an IPv4 address, as in iproute2.
pub fn key(text: &str) -> Result<GreKey, String> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match hex {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| dotted(text)),
    };
    let is_number = number.is_some() || text.bytes().all(|byte| byte.is_ascii_digit());
    match number.map(u32::try_from) {
        Some(Ok(key)) => Ok(GreKey(key)),
        _ if is_number => Err("a GRE key has 32 bits: 0 to 4294967295".to_owned()),
        _ => Err("expected a number, 0x and hexadecimal digits, or a dotted quad".to_owned()),
    }
}

fn dotted(text: &str) -> Option<u64> {
    text.parse::<Ipv4Addr>().ok().map(|address| u32::from(address).into())
}

/// A MAC address: six hexadecimal octets with colons.
pub fn mac(text: &str) -> Result<MacAddr, String> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() <= 2))
        .collect();
    let mac: Option<MacAddr> = octets.and_then(|octets| octets.try_into().ok());
    match mac {
        Some(mac) if mac[0] & 1 == 0 => Ok(mac),
        Some(_) => Err("this is a multicast address; a station has a unicast one".to_owned()),
        None => Err("expected six hexadecimal octets, as in 02:00:00:00:00:01".to_owned()),
    }
}

/// An outer TTL: 1 to 255, or `inherit`.
pub fn ttl(text: &str) -> Result<FieldPolicy, String> {
    match (text, text.parse()) {
        ("inherit", _) => Ok(FieldPolicy::INHERIT),
        (_, Ok(ttl @ 1..)) => Ok(FieldPolicy::fixed(ttl)),
        _ => Err("expected 1 to 255, or inherit".to_owned()),
    }
}

/// An outer TOS: 0 to 255 (decimal or 0x hexadecimal), or `inherit`.
pub fn tos(text: &str) -> Result<FieldPolicy, String> {
    if text == "inherit" {
        return Ok(FieldPolicy::INHERIT);
    }
    let tos = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match tos {
        Some(tos) if tos.is_multiple_of(4) => Ok(FieldPolicy::fixed(tos)),
        Some(_) => {
            Err("the low two bits are ECN, which follows the inner packet (RFC 6040)".to_owned())
        }
        None => Err("expected 0 to 255, or inherit".to_owned()),
    }
}

/// A keepalive: seconds between two questions, and how many may go unanswered, 1 to 65535 each.
pub fn keepalive(text: &str) -> Result<Keepalive, String> {
    let numbers = text.split_once(',').and_then(|(period, retries)| {
        Some((period.trim().parse().ok()?, retries.trim().parse().ok()?))
    });
    match numbers {
        Some((period @ 1.., retries @ 1..)) => Ok(Keepalive { period, retries, down: 0 }),
        _ => Err("expected seconds and a count, 1 to 65535 each, as in 10,3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use gre_common::wire::gre::GreKey;

    use super::{keepalive, key, mac, tos, ttl};

    #[test]
    fn keys_have_32_bits() {
        assert_eq!(key("10"), Ok(GreKey(10)));
        assert_eq!(key("0"), Ok(GreKey(0)));
        assert_eq!(key("0xA"), Ok(GreKey(10)));
        assert_eq!(key("0.0.1.2"), Ok(GreKey(258)));
        assert_eq!(key("4294967295"), Ok(GreKey(u32::MAX)));
        for text in ["4294967296", "0x100000000", "99999999999999999999999"] {
            assert!(key(text).unwrap_err().contains("32 bits"), "{text}");
        }
        for text in ["", "ten", "-1", "0x", "1.2.3"] {
            assert!(key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stations_are_unicast() {
        assert_eq!(mac("02:0:0:0:0:ff"), Ok([2, 0, 0, 0, 0, 255]));
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:001", "01:00:5e:00:00:01", "02-00-00-00-00-01"]
        {
            assert!(mac(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keepalives_are_a_period_and_a_count() {
        let found = keepalive("10,3").unwrap();
        assert_eq!((found.period, found.retries, found.down), (10, 3, 0));
        for text in ["", "10", "10,", "0,3", "10,0", "65536,3", "10,3,1", "-1,3"] {
            assert!(keepalive(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_are_fixed_or_inherited() {
        assert_eq!(ttl("7").unwrap().resolve(1), 7);
        assert_eq!(ttl("inherit").unwrap().resolve(1), 1);
        assert_eq!(tos("0x10").unwrap().resolve(4), 16);
        assert_eq!(tos("inherit").unwrap().resolve(4), 4);
        for text in ["0", "256", "x"] {
            assert!(ttl(text).is_err(), "{text}");
        }
        for text in ["3", "256", "x"] {
            assert!(tos(text).is_err(), "{text}");
        }
    }
}
