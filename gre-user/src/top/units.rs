//! Numbers as people read them.

/// Three digits and a prefix of a thousand: `999`, `1.23k`, `12.3M`, `123G`. Cut, not rounded: a rate never looks higher than it is.
pub fn human(number: u64) -> String {
    const PREFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    if number < 1_000 {
        return number.to_string();
    }
    let mut unit: u64 = 1_000;
    let mut prefix = 0;
    while number / unit >= 1_000 && prefix + 1 < PREFIXES.len() {
        unit *= 1_000;
        prefix += 1;
    }
    let (whole, rest) = (number / unit, number % unit);
    let prefix = PREFIXES[prefix];
    match whole {
        0..10 => format!("{whole}.{:02}{prefix}", rest / (unit / 100)),
        10..100 => format!("{whole}.{}{prefix}", rest / (unit / 10)),
        _ => format!("{whole}{prefix}"),
    }
}

/// The same with a unit: `1.23 Mbit/s`.
pub fn with_unit(number: u64, unit: &str) -> String {
    let number = human(number);
    let prefix = number.find(|letter: char| letter.is_alphabetic()).unwrap_or(number.len());
    let (digits, prefix) = number.split_at(prefix);
    format!("{digits} {prefix}{unit}")
}

/// A bar of `width` columns that is full at `most`, in eighths of a column.
pub fn bar(value: u64, most: u64, width: u16) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(value) * u128::from(width) * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0).min(usize::from(width) * 8);
    // Whoever has anything has something to be seen.
    let eighths = if value > 0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::{bar, human, with_unit};

    #[test]
    fn numbers_have_three_digits() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.00k"),
            (1_239, "1.23k"),
            (12_399, "12.3k"),
            (999_999, "999k"),
            (1_000_000, "1.00M"),
            (40_000_000_000, "40.0G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(human(number), text);
        }
    }

    #[test]
    fn a_prefix_stands_with_its_unit() {
        assert_eq!(with_unit(0, "bit/s"), "0 bit/s");
        assert_eq!(with_unit(1_230_000, "bit/s"), "1.23 Mbit/s");
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(0, 100, 4), "");
        assert_eq!(bar(100, 100, 4), "████");
        assert_eq!(bar(50, 100, 3), "█▌");
        assert_eq!(bar(1, 1_000_000, 4), "▏");
        assert_eq!(bar(7, 0, 2), "██");
    }
}
