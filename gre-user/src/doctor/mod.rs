//! What is wrong with this host, and what to do. Nothing is changed, and nothing attached.
//!
//! - [`facts`]: what there is to know of a host, as plain data; [`gather`] asks for it.
//! - [`checks`]: pure functions over facts, one file for each family. [`FAMILIES`] has all of them.
//! - [`finding`]: what they say.
//!
//! A new check is a function, a row in its family's list, and a row in `docs/doctor.md`.

pub mod checks;
pub mod facts;
pub mod finding;
pub mod gather;
#[cfg(test)]
mod sample;

use self::{
    checks::{
        Check, Family, Judge, clash, config, counters, daemon, kernel, port, tenant, tunnel, uplink,
    },
    facts::Host,
    finding::{Finding, Severity, Told, Trouble},
};

/// All checks, in the order in which they are told.
pub const FAMILIES: [Family; 9] = [
    Family { name: "kernel", checks: kernel::CHECKS },
    Family { name: "configuration", checks: config::CHECKS },
    Family { name: "daemon", checks: daemon::CHECKS },
    Family { name: "uplinks", checks: uplink::CHECKS },
    Family { name: "other programs", checks: clash::CHECKS },
    Family { name: "tunnels", checks: tunnel::CHECKS },
    Family { name: "tenants", checks: tenant::CHECKS },
    Family { name: "ports", checks: port::CHECKS },
    Family { name: "counters", checks: counters::CHECKS },
];

/// What all checks say of a host, also that all is well.
pub fn judge(host: &Host) -> Vec<Finding> {
    FAMILIES.iter().flat_map(|family| family.judge(host)).collect()
}

impl Family {
    fn judge(&self, host: &Host) -> Vec<Finding> {
        let of_check = |check: &Check| {
            let told = check.judge.of(host).into_iter();
            let finding = |(subject, told)| Some(check.finding(self.name, subject, told?));
            told.filter_map(finding).collect::<Vec<_>>()
        };
        self.checks.iter().flat_map(of_check).collect()
    }
}

impl Check {
    fn finding(&self, family: &'static str, subject: String, told: Result<(), Trouble>) -> Finding {
        let (severity, cause, remedy) = match told {
            Ok(()) => (Severity::Ok, self.fine.to_owned(), None),
            Err(Trouble { cause, remedy }) => (self.severity, cause, Some(remedy)),
        };
        Finding { id: self.id, severity, subject, cause, remedy, family }
    }
}

impl Judge {
    /// What there is to say of each subject.
    fn of(&self, host: &Host) -> Vec<(String, Told)> {
        fn each<T>(
            subjects: &[T],
            name: impl Fn(&T) -> &String,
            judge: impl Fn(&T) -> Told,
        ) -> Vec<(String, Told)> {
            subjects.iter().map(|subject| (name(subject).clone(), judge(subject))).collect()
        }
        match self {
            Self::Kernel(judge) => {
                let (major, minor) = host.kernel.release;
                vec![(format!("Linux {major}.{minor}"), judge(host))]
            }
            Self::State(judge) => vec![(host.state.dir.clone(), judge(host))],
            Self::Problem(judge) => each(&host.problems, |it| &it.place, judge),
            Self::Uplink(judge) => each(&host.uplinks, |it| &it.name, |it| judge(host, it)),
            Self::Tunnel(judge) => each(&host.tunnels, |it| &it.name, |it| judge(host, it)),
            Self::Tenant(judge) => each(&host.tenants, |it| &it.name, |it| judge(host, it)),
            Self::Port(judge) => each(&host.ports, |it| &it.name, |it| judge(host, it)),
            Self::Counter(judge) => each(&host.counters, |it| &it.subject, judge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FAMILIES;

    const PAGE: &str = include_str!("../../../docs/doctor.md");

    /// Each family has its section, with a row for each check, in order, and no others.
    #[test]
    fn the_page_has_every_check() {
        let documented =
            PAGE.lines().filter(|line| line.starts_with("## ") || line.starts_with("| `"));
        let mut documented = documented.filter(|line| *line != "## What it does not see");
        for family in FAMILIES {
            let heading = documented.next().unwrap_or_default().to_lowercase();
            assert_eq!(heading, format!("## {}", family.name));
            for check in family.checks {
                let row = documented.next().unwrap_or_default();
                let expected = format!("| `{}` | {} | ", check.id, check.severity);
                assert!(row.starts_with(&expected), "{row} in place of {expected}");
            }
        }
        assert_eq!(documented.next(), None, "of no check");
    }
}
