//! How xtask speaks: headings and notes on stderr, beside the output of the tools it runs.
//!
//! Colours vanish when the stream is no terminal or `NO_COLOR` is set.

use anstream::eprintln;
use anstyle::{AnsiColor, Style};

const HEADING: Style = AnsiColor::Cyan.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const FAILURE: Style = AnsiColor::Red.on_default().bold();

/// Announces a step.
pub fn step(what: &str) {
    eprintln!("{HEADING}==>{HEADING:#} {what}");
}

/// A word more about the step.
pub fn note(text: &str) {
    eprintln!("    {text}");
}

/// Says loudly that something is left out, and why.
pub fn skipped(what: &str, why: &str) {
    eprintln!("{WARNING}SKIPPED{WARNING:#} {what}: {why}");
}

/// Says that a step failed and the others go on.
pub fn failed(what: &str) {
    eprintln!("{FAILURE}FAILED{FAILURE:#} {what}");
}

/// How a plain user types `cargo xtask ARGS` as root and keeps the own toolchain.
pub fn as_root(args: &str) -> String {
    format!("sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask {args}")
}

/// The last words of a verb that did not succeed: the error and its causes, one a line.
pub fn error(error: &anyhow::Error) {
    eprintln!("{FAILURE}xtask:{FAILURE:#} {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}
