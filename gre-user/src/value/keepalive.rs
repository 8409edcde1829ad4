//! Whether the other end is asked if it is there.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use gre_common::tables;

use super::written::as_text_or_number;

/// A keepalive: seconds between two questions, and how many may go unanswered, 1 to 65535 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Seconds between two questions.
    pub period: u16,
    /// So many unanswered in a row mean that the tunnel is down.
    pub retries: u16,
}

as_text_or_number!(Keepalive);

impl FromStr for Keepalive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(',').and_then(|(period, retries)| {
            Some((period.trim().parse().ok()?, retries.trim().parse().ok()?))
        });
        match numbers {
            Some((period @ 1.., retries @ 1..)) => Ok(Self { period, retries }),
            _ => Err("expected seconds and a count, 1 to 65535 each, as in 10,3".to_owned()),
        }
    }
}

impl Display for Keepalive {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.period, self.retries)
    }
}

impl From<Keepalive> for tables::Keepalive {
    fn from(Keepalive { period, retries }: Keepalive) -> Self {
        Self { period, retries, down: 0 }
    }
}

impl Keepalive {
    /// What a tunnel's record says; `None` where nobody is asked.
    pub fn of(record: &tables::Keepalive) -> Option<Self> {
        let tables::Keepalive { period, retries, .. } = *record;
        (period > 0).then_some(Self { period, retries })
    }
}

#[cfg(test)]
mod tests {
    use super::Keepalive;

    #[test]
    fn keepalives_are_a_period_and_a_count() {
        assert_eq!("10,3".parse(), Ok(Keepalive { period: 10, retries: 3 }));
        for text in ["", "10", "10,", "0,3", "10,0", "65536,3", "10,3,1", "-1,3"] {
            assert!(text.parse::<Keepalive>().is_err(), "{text}");
        }
    }
}
