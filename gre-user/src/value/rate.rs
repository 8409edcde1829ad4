//! How many bits per second.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use gre_common::tables::Limit;

use super::written::as_text_or_number;

/// The units of `tc`, the largest first. Each is a thousand of the next one.
const UNITS: [(&str, u64); 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// A rate in bits per second: a number, with a unit of `tc` or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub u64);

as_text_or_number!(Rate);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let unit = UNITS.iter().find_map(|&(name, bits)| Some((lower.strip_suffix(name)?, bits)));
        let (number, unit) = unit.unwrap_or((&lower, 1));
        let rate = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        let possible = Limit::SLOWEST..=Limit::FASTEST;
        rate.filter(|rate| possible.contains(rate)).map(Self).ok_or_else(|| {
            "expected bits per second, from 8bit to 8000gbit, as in 100mbit".to_owned()
        })
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_whole = |(_, bits): &&(&str, u64)| self.0.is_multiple_of(*bits);
        let (name, bits) = UNITS.iter().find(is_whole).unwrap_or(&("bit", 1));
        write!(f, "{}{name}", self.0 / bits)
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn rates_have_the_units_of_tc() {
        for (text, rate, shown) in [
            ("100mbit", 100_000_000, "100mbit"),
            ("2500000kbit", 2_500_000_000, "2500mbit"),
            ("1Gbit", 1_000_000_000, "1gbit"),
            ("9", 9, "9bit"),
        ] {
            assert_eq!(text.parse(), Ok(Rate(rate)));
            assert_eq!(Rate(rate).to_string(), shown);
        }
        for text in
            ["", "mbit", "-1mbit", "7bit", "1.5gbit", "9000gbit", "99999999999gbit", "1mbps"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
