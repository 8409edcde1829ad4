//! What makes an Open vSwitch a host of a fleet: the commands that give a bridge the ports and flows of its `l2` tenants, as they are now.
//!
//! Nothing follows the store there. After a change the commands are made and run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

use crate::value::{Key, Mac};

/// A tenant, as far as it concerns a host.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its key.
    pub key: Key,
    /// The interfaces of the host's own, with the stations behind them.
    pub own: BTreeMap<String, Option<Mac>>,
    /// Other hosts, with the stations there.
    pub others: BTreeMap<String, Vec<Mac>>,
}

/// Commands of a shell. `local` is where the host is, `remotes` where the others are.
pub fn commands(
    bridge: &str,
    local: IpAddr,
    remotes: &BTreeMap<String, IpAddr>,
    networks: &[Network],
) -> String {
    let mut text = format!("ovs-vsctl --may-exist add-br {bridge}\n");
    let peers: BTreeSet<_> = networks.iter().flat_map(|it| it.others.keys()).collect();
    for peer in peers {
        let remote = remotes[peer];
        let _ = writeln!(
            text,
            "ovs-vsctl --may-exist add-port {bridge} {port} -- set interface {port} type=gre \
             options:local_ip={local} options:remote_ip={remote} options:key=flow",
            port = port(peer)
        );
    }
    for iface in networks.iter().flat_map(|it| it.own.keys()) {
        let _ = writeln!(text, "ovs-vsctl --may-exist add-port {bridge} {iface}");
    }
    let _ = writeln!(text, "ovs-ofctl --bundle replace-flows {bridge} - <<'END'");
    for (number, network) in (1..).zip(networks) {
        for flow in flows(number, network) {
            text += &flow;
            text.push('\n');
        }
    }
    text + "END\n"
}

/// The port that leads to a host.
fn port(host: &str) -> String {
    format!("gre-{host}")
}

/// Table 0 says whose a frame is; table 1 has those of the host's own ports, table 2 those of other hosts, which go to no other host.
fn flows(number: u32, Network { key, own, others }: &Network) -> Vec<String> {
    let key = key.0.0;
    let from = |port: &str| format!("table=0,priority=1,in_port=\"{port}\"");
    let whose = format!("load:{number}->NXM_NX_REG0[]");
    let mut flows = Vec::new();
    for iface in own.keys() {
        flows.push(format!("{},actions={whose},resubmit(,1)", from(iface)));
    }
    for host in others.keys() {
        flows.push(format!("{},tun_id={key},actions={whose},resubmit(,2)", from(&port(host))));
    }
    let all_own: Vec<_> = own.keys().map(|iface| format!("output:\"{iface}\"")).collect();
    let all_others: Vec<_> = others.keys().map(|it| format!("output:\"{}\"", port(it))).collect();
    let tunnel = (!others.is_empty()).then(|| format!("set_tunnel:{key}"));
    let everywhere: Vec<_> = all_own.iter().cloned().chain(tunnel).chain(all_others).collect();
    let mut to = |table: u32, station: Option<Mac>, actions: &str| {
        let (priority, station) = match station {
            Some(mac) => (1, format!(",dl_dst={mac}")),
            None => (0, String::new()),
        };
        let actions = if actions.is_empty() { "drop" } else { actions };
        flows.push(format!(
            "table={table},priority={priority},reg0={number}{station},actions={actions}"
        ));
    };
    for (iface, station) in own.iter().filter(|(_, station)| station.is_some()) {
        for table in [1, 2] {
            to(table, *station, &format!("output:\"{iface}\""));
        }
    }
    for (host, stations) in others {
        for station in stations {
            to(1, Some(*station), &format!("set_tunnel:{key},output:\"{}\"", port(host)));
        }
    }
    to(1, None, &everywhere.join(","));
    to(2, None, &all_own.join(","));
    flows
}
