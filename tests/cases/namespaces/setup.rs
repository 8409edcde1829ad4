//! What most cases begin with: two hosts, one tunnel, the tenant `blue` with key 10.

use std::{
    env, fmt,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testbed::{Daemon, Host, Netns, two_hosts};

/// How packets are taken off the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Native,
    Generic,
    Tc,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Native, Self::Generic, Self::Tc];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        })
    }
}

/// Outer Ethernet type, IP and keyed GRE headers: what is missing from the uplink's MTU.
const KEYED: u64 = 28;

/// What the tenant's packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    L2,
    L3,
}

impl Service {
    pub const ALL: [Self; 2] = [Self::L2, Self::L3];

    /// MTU of a keyed tenant's port over an uplink with this MTU.
    pub const fn mtu(self, uplink: u64) -> u64 {
        match self {
            Self::L2 => uplink - KEYED - 14,
            Self::L3 => uplink - KEYED,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::L3 => "l3",
        })
    }
}

/// What the tunnel goes over, and its options.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    /// Local addresses of both hosts.
    pub ends: [&'static str; 2],
    /// Options of `tunnel add`.
    pub options: &'static str,
    /// Bytes of the outer headers that are not in [`Service::mtu`].
    pub more: u64,
}

impl Tunnel {
    pub const PLAIN: Self = Self { ends: ["192.0.2.1", "192.0.2.2"], options: "", more: 0 };

    /// Over IPv6 with these options, that many bytes longer.
    pub const fn v6(options: &'static str, more: u64) -> Self {
        Self { ends: ["2001:db8::1", "2001:db8::2"], options, more: more + 20 }
    }

    /// Over IPv4 with these options, that many bytes longer.
    pub const fn v4(options: &'static str, more: u64) -> Self {
        Self { options, more, ..Self::PLAIN }
    }
}

/// Two hosts joined by a tunnel, and their daemons.
pub struct Pair {
    pub one: Host,
    pub two: Host,
    pub daemons: [Daemon; 2],
}

impl Pair {
    /// Two hosts with the tenant `blue`, key 10, on port `blue0`: `10.9.0.1` and `fd09::1`, `.2` and `::2`.
    pub fn blue(service: Service, mode: Mode) -> Self {
        Self::blue_over(Tunnel::PLAIN, service, mode)
    }

    /// The same over another tunnel.
    pub fn blue_over(tunnel: Tunnel, service: Service, mode: Mode) -> Self {
        Self::over(tunnel, mode, &[("blue", &format!("--key 10 --service {service}"))])
    }

    /// Two hosts, each with these tenants on ports named after them, without addresses.
    pub fn with_tenants(mode: Mode, tenants: &[(&str, &str)]) -> Self {
        Self::over(Tunnel::PLAIN, mode, tenants)
    }

    fn over(tunnel: Tunnel, mode: Mode, tenants: &[(&str, &str)]) -> Self {
        let (one, two) = two_hosts();
        for (host, end) in [(&one, 1), (&two, 2)] {
            host.ns.ip(&format!("addr add 2001:db8::{end}/64 dev eth0 nodad"));
            host.ns.ip(&format!("addr add fe80::{end}/64 dev eth0 nodad"));
        }
        let daemons = [&one, &two].map(|host| host.start(&format!("--iface eth0 --mode {mode}")));
        let Tunnel { ends: [first, second], options, .. } = tunnel;
        for (host, local, remote) in [(&one, first, second), (&two, second, first)] {
            host.xgre(&format!("tunnel add t --local {local} --remote {remote} {options}")).ok();
        }
        for (tenant, options) in tenants {
            add_tenant(&one, tenant, options);
            add_tenant(&two, tenant, options);
        }
        let this = Self { one, two, daemons };
        if let [("blue", _)] = tenants {
            inner_addresses(&this.one.ns, "blue0", 1);
            inner_addresses(&this.two.ns, "blue0", 2);
        }
        this
    }
}

/// Adds the tunnel `t`.
pub fn tunnel(host: &Host, local: &str, remote: &str) {
    host.xgre(&format!("tunnel add t --local {local} --remote {remote}")).ok();
}

/// Adds a tenant on the tunnel `t` with a created port `TENANT0`.
pub fn add_tenant(host: &Host, tenant: &str, options: &str) {
    host.xgre(&format!("tenant add {tenant} {options} --tunnel t")).ok();
    host.xgre(&format!("port add {tenant} {tenant}0 --create")).ok();
}

/// The device behind a created port, which carries the program.
pub fn port_device(ns: &Netns, port: &str) -> String {
    let link = &ns.json(&format!("link show {port}"))[0];
    link["link"].as_str().expect("the peer of a veth device").to_owned()
}

/// Gives a port the inner addresses of one end.
pub fn inner_addresses(ns: &Netns, device: &str, end: u8) {
    ns.ip(&format!("addr add 10.9.0.{end}/24 dev {device}"));
    ns.ip(&format!("addr add fd09::{end}/64 dev {device} nodad"));
    ns.ip(&format!("link set {device} up"));
}

/// An address with a port the kernel chooses.
pub fn any_port(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an IP address"), 0)
}

/// A number in JSON, by path; what is not listed is zero.
pub fn count(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// All numbers of a JSON object.
pub fn total(reasons: &Value) -> u64 {
    let object = reasons.as_object().unwrap_or_else(|| panic!("not an object: {reasons}"));
    object.values().map(|n| n.as_u64().expect("a number")).sum()
}

/// What a host has dropped so far of each tenant and at each uplink, by reason. It need not be nothing: a created port
/// sends as soon as it is there, whether or not the other end has one yet.
pub fn drops(host: &Host) -> Value {
    let stats = host.json("stats");
    ["tenants", "uplinks"]
        .into_iter()
        .flat_map(|list| stats[list].as_array().expect("a list"))
        .map(|each| each["drops"].clone())
        .collect()
}

/// Waits until every device that is up can transmit. The kernel notices a little later that both ends of a
/// wire are up (`linkwatch`), and discards what is sent before.
#[track_caller]
pub fn wait_for_carriers(ns: &Netns) {
    eventually("carriers", || {
        let links = ns.json("link show up");
        // Of those that are down, `ip` shows empty objects.
        let links = links.as_array().expect("links").iter();
        links
            .filter(|link| link["ifname"].is_string())
            .all(|link| link["operstate"] == "UP" || link["operstate"] == "UNKNOWN")
    });
}

/// How long tests by chance are to go on, where somebody has said so.
pub fn soak_time() -> Option<Duration> {
    let seconds = env::var("XGRE_SOAK").ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Waits, not long, until something is so.
#[track_caller]
pub fn eventually(what: &str, so: impl FnMut() -> bool) {
    assert!(is_eventually(so), "not within twenty seconds: {what}");
}

/// Waits, not long, until something is so. False: it is not.
pub fn is_eventually(mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
