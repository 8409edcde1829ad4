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
    finding::{Finding, Severity, Trouble},
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
            let told = check.judge.of(host);
            let finding = |(subject, trouble)| check.finding(self.name, subject, trouble);
            told.into_iter().map(finding).collect::<Vec<_>>()
        };
        self.checks.iter().flat_map(of_check).collect()
    }
}

impl Check {
    fn finding(&self, family: &'static str, subject: String, trouble: Option<Trouble>) -> Finding {
        let id = self.id;
        match trouble {
            Some(Trouble { cause, remedy }) => Finding {
                id,
                severity: self.severity,
                subject,
                cause,
                remedy: Some(remedy),
                family,
            },
            None => {
                let (severity, cause) = (Severity::Ok, self.fine.to_owned());
                Finding { id, severity, subject, cause, remedy: None, family }
            }
        }
    }
}

impl Judge {
    /// What there is to say of each subject.
    fn of(&self, host: &Host) -> Vec<(String, Option<Trouble>)> {
        fn each<T>(
            subjects: &[T],
            name: impl Fn(&T) -> String,
            judge: impl Fn(&T) -> Option<Trouble>,
        ) -> Vec<(String, Option<Trouble>)> {
            subjects.iter().map(|subject| (name(subject), judge(subject))).collect()
        }
        match self {
            Self::Kernel(judge) => {
                let (major, minor) = host.kernel.release;
                vec![(format!("Linux {major}.{minor}"), judge(host))]
            }
            Self::State(judge) => vec![(host.state.dir.clone(), judge(host))],
            Self::Problem(judge) => each(&host.problems, |it| it.place.clone(), judge),
            Self::Uplink(judge) => {
                each(&host.uplinks, |it| it.name.clone(), |uplink| judge(host, uplink))
            }
            Self::Tunnel(judge) => {
                each(&host.tunnels, |it| it.name.clone(), |tunnel| judge(host, tunnel))
            }
            Self::Tenant(judge) => {
                each(&host.tenants, |it| it.name.clone(), |tenant| judge(host, tenant))
            }
            Self::Port(judge) => each(&host.ports, |it| it.name.clone(), |port| judge(host, port)),
            Self::Counter(judge) => each(&host.counters, |it| it.subject.clone(), judge),
        }
    }
}
