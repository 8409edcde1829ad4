//! The configuration file, as `xgre check` judges it.

use super::{Check, Judge, Problem, Severity, Told, Trouble, found};

/// The rows.
pub const CHECKS: &[Check] = &[Check {
    id: "config",
    severity: Severity::Error,
    fine: "the file is right",
    judge: Judge::Problem(problem),
}];

fn problem(problem: &Problem) -> Told {
    let Problem { message, .. } = problem;
    found(Some(Trouble::of_message(message, "correct this place of the file")))
}

#[cfg(test)]
mod tests {
    use crate::doctor::{facts::Problem, judge, sample::good};

    #[test]
    fn a_message_is_cause_and_remedy() {
        let mut host = good();
        let message = "tenant a: there already; delete one of them".to_owned();
        host.problems.push(Problem { place: "f.toml:3:1".to_owned(), message });
        let found = judge(&host);
        let problem = found.iter().find(|finding| finding.id == "config").expect("a finding");
        assert_eq!(problem.subject, "f.toml:3:1");
        assert_eq!(problem.cause, "tenant a: there already");
        assert_eq!(problem.remedy.as_deref(), Some("delete one of them"));
    }
}
