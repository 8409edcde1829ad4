//! Cases of others, told anew for xgre, each under the name of its origin. `docs/conformance.md` lists them.

mod hostile;
mod open_vswitch;
mod selftests;
mod vpp;

use testbed::{Host, suite::Case, topology::wired};

pub fn cases() -> Vec<Case> {
    let origins = [selftests::cases(), open_vswitch::cases(), vpp::cases(), hostile::cases()];
    origins.into_iter().flatten().collect()
}

/// What the names of these cases begin with.
pub const NAMES: &[&str] = &[
    "kernel selftest ",
    "Open vSwitch's system-",
    "Open vSwitch's tunnel.at",
    "VPP's ",
    "hostile: ",
];

/// Addresses of the hosts on their wire.
type Ends = [&'static str; 2];

const V4: Ends = ["192.0.2.1", "192.0.2.2"];
const V6: Ends = ["2001:db8::1", "2001:db8::2"];

/// Two hosts on one wire.
fn ends([one, two]: Ends) -> (Host, Host) {
    let bits = if one.contains(':') { 64 } else { 24 };
    wired([&format!("{one}/{bits}"), &format!("{two}/{bits}")])
}

/// Adds the tunnel `t`, from the first address to the second.
fn tunnel_between(host: &Host, [local, remote]: Ends, options: &str) {
    host.xgre(&format!("tunnel add t --local {local} --remote {remote} {options}")).ok();
}
