//! The state and the daemon that follows it.

use std::collections::HashSet;

use super::{Check, FINE, Host, Judge, Severity, Told, Trouble, bad, found, when};

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "state",
        severity: Severity::Error,
        fine: "the state can be read, or there is none yet",
        judge: Judge::State(state),
    },
    Check {
        id: "no_uplink",
        severity: Severity::Note,
        fine: "there are uplinks to look at",
        judge: Judge::State(no_uplink),
    },
    Check {
        id: "daemon",
        severity: Severity::Warning,
        fine: "the daemon runs where there is something to follow",
        judge: Judge::State(daemon),
    },
    Check {
        id: "other_build",
        severity: Severity::Warning,
        fine: "the programs attached are those of this xgre",
        judge: Judge::State(other_build),
    },
    Check {
        id: "stale_link",
        severity: Severity::Warning,
        fine: "every pinned link has its device",
        judge: Judge::State(stale_link),
    },
];

fn state(host: &Host) -> Told {
    let message = host.state.unreadable.as_ref();
    let remedy = "xgre detach  # takes the datapath down, and removes the state";
    found(message.map(|message| Trouble::of_message(message, remedy)))
}

fn no_uplink(host: &Host) -> Told {
    let cause = if host.state.exists {
        "no uplink is attached, and none was named to look at"
    } else {
        "there is no state yet, and no interface was named to look at"
    };
    when(host.uplinks.is_empty(), || Trouble::new(cause, "xgre doctor --iface IFACE"))
}

fn daemon(host: &Host) -> Told {
    let state = &host.state;
    if !state.exists || state.unreadable.is_some() {
        return None;
    }
    let cause = if state.linked.is_empty() && host.uplinks.iter().all(|it| it.mode.is_none()) {
        "no daemon runs, and no program is attached: GRE goes to the kernel"
    } else {
        "no daemon runs: traffic flows on, but no next hop, port or uplink is followed"
    };
    when(!state.has_daemon, || Trouble::new(cause, run(host)))
}

fn other_build(host: &Host) -> Told {
    let Some(build) = &host.state.other_build else { return FINE };
    let cause = format!("the programs attached are of another build of xgre ({build})");
    let remedy = if host.state.has_daemon {
        format!("end the daemon that runs, then: {} (it replaces them in place)", run(host))
    } else {
        run(host)
    };
    bad(cause, remedy)
}

/// The command that takes the state over.
fn run(host: &Host) -> String {
    let names: Vec<_> = host.uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
    let names = if names.is_empty() { "IFACE".to_owned() } else { names.join(" ") };
    format!("xgre run --iface {names}")
}

fn stale_link(host: &Host) -> Told {
    let there: HashSet<_> = host.links.iter().map(|link| link.ifindex).collect();
    let gone = host.state.linked.iter().filter(|(_, ifindex)| !there.contains(ifindex));
    let names: Vec<_> = gone.map(|(hook, ifindex)| format!("{hook}-{}", ifindex.0)).collect();
    when(!names.is_empty(), || {
        let cause = format!("the device is gone of the pinned {}", names.join(", "));
        let links = names.iter().map(|name| format!("{}/links/{name}", host.state.dir));
        Trouble::new(cause, format!("rm {}", links.collect::<Vec<_>>().join(" ")))
    })
}

#[cfg(test)]
mod tests {
    use gre_common::tables::IfIndex;

    use crate::doctor::sample::{good, told};

    #[test]
    fn a_state_that_nobody_follows() {
        let mut host = good();
        host.state.has_daemon = false;
        assert_eq!(told(&host), ["daemon"]);
        host.state.exists = false;
        assert!(told(&host).is_empty(), "there is no state yet");
    }

    #[test]
    fn a_state_that_cannot_be_read() {
        let mut host = good();
        host.state.unreadable = Some("map schema 1; remove it".to_owned());
        assert_eq!(told(&host), ["state"]);
    }

    #[test]
    fn programs_of_another_build_and_of_a_device_that_is_gone() {
        let mut host = good();
        host.state.other_build = Some("0.0.9".to_owned());
        host.state.linked.push(("port_tc", IfIndex(999)));
        assert_eq!(told(&host), ["other_build", "stale_link"]);
    }

    #[test]
    fn nothing_to_look_at() {
        let mut host = good();
        host.uplinks.clear();
        host.tunnels.clear();
        assert_eq!(told(&host), ["no_uplink"]);
    }
}
