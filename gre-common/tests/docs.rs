//! The list of reasons in the docs is the one in the code.

use gre_common::verdict::{DropReason, Notice, PassReason};

const REASONS: &str = include_str!("../../docs/reasons.md");

#[test]
fn every_reason_has_its_line() {
    let passes = PassReason::ALL.iter().map(|reason| (reason.label(), reason.description()));
    let drops = DropReason::ALL.iter().map(|reason| (reason.label(), reason.description()));
    let notices = Notice::ALL.iter().map(|notice| (notice.label(), notice.description()));
    let mut expected = 0;
    for (label, description) in passes.chain(drops).chain(notices) {
        let row = format!("| {label} | {description} |");
        assert!(REASONS.contains(&row), "docs/reasons.md lacks the line\n{row}");
        expected += 1;
    }
    let is_reason = |line: &&str| line.starts_with("| ") && !line.starts_with("| label");
    assert_eq!(REASONS.lines().filter(is_reason).count(), expected, "lines of no reason");
}
