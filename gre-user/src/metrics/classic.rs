//! The text format that Prometheus had before `OpenMetrics`, for those who ask for nothing else.

use std::fmt::Write as _;

/// The content type of this format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same metrics as an `OpenMetrics` document has. There a counter `x` has samples `x_total`; here it is called so.
pub fn from_open_metrics(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    let mut help = "";
    for line in document.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said;
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = help.strip_prefix(name).unwrap_or_default();
            let _ = writeln!(text, "# HELP {name}{suffix}{help}\n# TYPE {name}{suffix} {kind}");
        } else if line != "# EOF" {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::from_open_metrics;

    #[test]
    fn counters_are_called_as_their_samples() {
        let open = "# HELP a_b Some.\n# TYPE a_b counter\na_b_total{c=\"# HELP\"} 1\n\
                    # HELP d More.\n# TYPE d gauge\nd 2\n# EOF\n";
        let classic = "# HELP a_b_total Some.\n# TYPE a_b_total counter\na_b_total{c=\"# HELP\"} 1\n\
                       # HELP d More.\n# TYPE d gauge\nd 2\n";
        assert_eq!(from_open_metrics(open), classic);
    }
}
