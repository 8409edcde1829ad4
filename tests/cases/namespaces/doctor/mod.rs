//! `xgre doctor`: a good host is silent; one that is broken in one way is told of that, and where the remedy is a command it
//! is typed, and there is silence again.
//!
//! - [`underlay`]: interfaces and routes. [`configured`]: tunnels, tenants and ports. [`state`]: the daemon and its pins.
//! - [`others`]: programs and endpoints of somebody else. [`output`]: what it looks like.
//!
//! What a namespace cannot break (LRO, drivers, the kernel's settings) the unit tests beside the checks do.

mod configured;
mod others;
mod output;
mod state;
mod underlay;

use serde_json::Value;
use testbed::{Daemon, Host, Netns, Outcome, suite::Case, topology::sensor};

use crate::setup::{add_tenant, tunnel};

pub fn cases() -> Vec<Case> {
    [output::cases(), underlay::cases(), configured::cases(), state::cases(), others::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// A host with an uplink, a tunnel, the tenant `blue` and the port `blue0`, and nothing wrong.
struct Good {
    host: Host,
    /// The other end of the uplink's wire, silent.
    wire: Netns,
    daemon: Daemon,
}

impl Good {
    fn new() -> Self {
        Self::with("--mode tc")
    }

    /// With these options of `run`.
    fn with(options: &str) -> Self {
        let (host, wire) = underlay();
        let daemon = host.start(&format!("--iface eth0 {options}"));
        tunnel(&host, "192.0.2.1", "192.0.2.2");
        add_tenant(&host, "blue", "--key 10");
        host.ns.ip("addr add 10.9.0.1/24 dev blue0");
        Self { host, wire, daemon }
    }

    /// Types `xgre ...`, or another command.
    #[track_caller]
    fn types(&self, command: &str) {
        types(&self.host, command).ok();
    }

    /// Breaks the host by a command; the doctor tells that, and nothing else.
    #[track_caller]
    fn breaks(&self, command: &str, id: &str) -> Finding {
        self.types(command);
        let found = findings(&self.host, "");
        let [finding] = found.as_slice() else { panic!("{id} after `{command}`: {found:#?}") };
        assert_eq!(finding.id, id, "after `{command}`");
        finding.clone()
    }

    /// The same, and the remedy that the doctor tells is one.
    #[track_caller]
    fn breaks_and_mends(&self, command: &str, id: &str) {
        let Finding { remedy, .. } = self.breaks(command, id);
        self.types(remedy.split("  # ").next().unwrap_or_default());
        self.is_good(&remedy);
    }

    #[track_caller]
    fn is_good(&self, after: &str) {
        assert_eq!(findings(&self.host, ""), [], "after `{after}`");
    }
}

/// A host with `eth0` whose other end is silent. Nothing that is made sends by itself, and no packet is dropped.
fn underlay() -> (Host, Netns) {
    let (host, wire) = sensor();
    host.ns.sysctl("ipv6/conf/default/disable_ipv6", "1");
    host.ns.offload("eth0", "gro on");
    // A kernel without queues of veth devices has one, and where there is one CPU that is enough.
    host.ns.exec("ethtool --set-channels eth0 rx 2");
    neighbour(&host);
    (host, wire)
}

/// Who is at the other end of the wire.
fn neighbour(host: &Host) {
    host.ns.ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:ee dev eth0");
}

fn types(host: &Host, command: &str) -> Outcome {
    match command.strip_prefix("xgre ") {
        Some(arguments) => host.xgre(arguments),
        None => host.ns.exec(command),
    }
}

/// What the doctor has found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    id: String,
    severity: String,
    subject: String,
    cause: String,
    remedy: String,
}

/// What `xgre doctor ARGS` has found, but for what is fine and how old the kernel is. Its exit status tells whether there is an error.
#[track_caller]
fn findings(host: &Host, args: &str) -> Vec<Finding> {
    judged(&host.xgre(&format!("doctor --json {args}")))
}

#[track_caller]
fn judged(outcome: &Outcome) -> Vec<Finding> {
    let document: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome}"));
    assert_eq!(document["version"], 1);
    let list = document["findings"].as_array().expect("a list");
    let text =
        |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let finding = |it: &Value| Finding {
        id: text(it, "id"),
        severity: text(it, "severity"),
        subject: text(it, "subject"),
        cause: text(it, "cause"),
        remedy: text(it, "remedy"),
    };
    let is_of_kernel = |it: &Finding| ["tcx", "xdp_features", "btf"].contains(&it.id.as_str());
    let found: Vec<_> = list.iter().map(finding).collect();
    let has_error = found.iter().any(|it| it.severity == "error");
    assert_eq!(outcome.status.code(), Some(has_error.into()), "{outcome}");
    let told = |it: &Finding| it.severity != "ok" && !is_of_kernel(it);
    found.into_iter().filter(told).collect()
}

/// Ids of what was found.
fn ids(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.id.as_str()).collect()
}
