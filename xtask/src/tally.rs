//! Adds up what test runners report.

use std::{fmt, ops::AddAssign};

/// Counts of checks and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    /// One check that passed.
    pub const PASS: Self = Self { passed: 1, failed: 0, skipped: 0 };
    /// One check that failed.
    pub const FAIL: Self = Self { passed: 0, failed: 1, skipped: 0 };
    /// One check that was left out.
    pub const SKIP: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// One check.
    pub const fn of(passed: bool) -> Self {
        if passed { Self::PASS } else { Self::FAIL }
    }

    /// Reads the line in which libtest, and harnesses that speak like it, sum up one test binary:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s`.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?;
        let count =
            |what| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            skipped: count("ignored")?,
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_libtest() {
        let line = "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 9 filtered out; finished in 0.01s";
        assert_eq!(Tally::parse(line), Some(Tally { passed: 12, failed: 3, skipped: 4 }));
    }

    #[test]
    fn ignores_other_lines() {
        for line in ["", "test a::b ... ok", "test result: ok", "test result: ok. many passed"] {
            assert_eq!(Tally::parse(line), None, "{line}");
        }
    }

    #[test]
    fn adds_up() {
        let mut sum = Tally::default();
        for part in [Tally::PASS, Tally::PASS, Tally::FAIL, Tally::SKIP] {
            sum += part;
        }
        assert_eq!(sum.to_string(), "2 passed, 1 failed, 1 skipped");
    }
}
