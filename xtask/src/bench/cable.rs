//! Two network devices of this machine that a cable joins, taken for a while: one into a sender's namespace, one into a
//! host's. They come back when the benchmark ends, even when it is killed: then the kernel returns physical devices, down.

use std::{
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::{Host, Netns};

/// Longest wait for a carrier.
const PATIENCE: Duration = Duration::from_secs(15);

/// The devices, taken.
pub struct Cable {
    /// The namespace that sends.
    pub sender: Netns,
    /// Its device.
    pub send: String,
    /// The host that receives.
    pub host: Host,
    /// Its device.
    pub receive: String,
}

impl Cable {
    /// Takes the devices named, and no other. They must not be in use.
    pub fn take(names: &[String]) -> Result<Self> {
        let [send, receive] = names else { bail!("--iface takes two names: SEND,RECEIVE") };
        ensure!(send != receive, "--iface takes two different devices");
        check_free(send)?;
        check_free(receive)?;
        let this = Self {
            sender: Netns::new(),
            send: send.clone(),
            host: Host::new(),
            receive: receive.clone(),
        };
        for (ns, device) in this.ends() {
            ns.sysctl("ipv6/conf/all/disable_ipv6", "1");
            ns.sysctl("ipv6/conf/default/disable_ipv6", "1");
            ip(&["link", "set", device, "netns", &ns.path()])?;
            ns.ip(&format!("link set {device} arp off"));
            ns.ip(&format!("link set {device} up"));
        }
        this.wait_for_carrier()?;
        Ok(this)
    }

    fn ends(&self) -> [(&Netns, &str); 2] {
        [(&self.sender, &self.send), (&self.host.ns, &self.receive)]
    }

    fn wait_for_carrier(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for (ns, device) in self.ends() {
            let has_carrier = || {
                let flags = ns.json(&format!("link show dev {device}"))[0]["flags"].to_string();
                flags.contains("LOWER_UP")
            };
            while !has_carrier() {
                ensure!(Instant::now() < deadline, "{device} has no carrier");
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let home = format!("/proc/{}/ns/net", process::id());
        for (ns, device) in self.ends() {
            ns.exec(&format!("ip link set {device} down"));
            ns.exec(&format!("ip link set {device} arp on netns {home}"));
        }
    }
}

/// A device that carries addresses or routes, or is part of another, is somebody's.
fn check_free(device: &str) -> Result<()> {
    let link: Value = serde_json::from_str(&ip(&["-json", "address", "show", "dev", device])?)?;
    let link = &link[0];
    let is_own = |address: &Value| address["family"] == "inet6" && address["scope"] == "link";
    let addresses = link["addr_info"].as_array();
    ensure!(
        addresses.is_none_or(|addresses| addresses.iter().all(is_own)),
        "{device} has addresses; a device that is in use is not taken"
    );
    let routes = ip(&["route", "show", "table", "all", "dev", device])?;
    ensure!(routes.trim().is_empty(), "{device} has routes; a device that is in use is not taken");
    let flags = link["flags"].to_string();
    ensure!(!flags.contains("LOOPBACK"), "{device} is the loopback device");
    for (part, what) in [("master", "belongs to another device"), ("xdp", "has an XDP program")] {
        ensure!(link.get(part).is_none(), "{device} {what}; a device that is in use is not taken");
    }
    Ok(())
}

/// `ip ARGS` where the benchmark was started.
fn ip(args: &[&str]) -> Result<String> {
    let output = Command::new("ip").args(args).output().context("cannot run ip")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
