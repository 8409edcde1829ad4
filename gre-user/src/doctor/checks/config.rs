//! The configuration file, as `xgre check` judges it.

use super::{Check, Judge, Problem, Severity, Trouble};

/// The rows.
pub const CHECKS: &[Check] = &[Check {
    id: "config",
    severity: Severity::Error,
    fine: "the file is right",
    judge: Judge::Problem(problem),
}];

/// Messages are "cause; remedy", or only a cause.
fn problem(problem: &Problem) -> Option<Trouble> {
    let Problem { message, .. } = problem;
    let file = problem.place.split(':').next().unwrap_or_default();
    let (cause, remedy) = match message.split_once("; ") {
        Some((cause, remedy)) => (cause, remedy.to_owned()),
        None => {
            (message.as_str(), format!("change it there, until `xgre check {file}` is content"))
        }
    };
    Some(Trouble::new(cause, remedy))
}

#[cfg(test)]
mod tests {
    use super::super::super::{facts::Problem, judge, sample::good};

    #[test]
    fn a_message_is_cause_and_remedy() {
        let mut host = good();
        for message in ["tenant a: there already; delete one of them", "unknown field `colour`"] {
            let place = "f.toml:3:1".to_owned();
            host.problems.push(Problem { place, message: message.to_owned() });
        }
        let found = judge(&host);
        let found: Vec<_> = found.iter().filter(|finding| finding.id == "config").collect();
        assert_eq!(found[0].cause, "tenant a: there already");
        assert_eq!(found[0].remedy.as_deref(), Some("delete one of them"));
        assert_eq!(found[1].cause, "unknown field `colour`");
        assert!(found[1].remedy.as_ref().is_some_and(|it| it.contains("xgre check f.toml")));
    }
}
