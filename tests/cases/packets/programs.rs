//! The pinned programs of a host, run on single packets.

use std::{collections::BTreeMap, fmt, sync::Mutex};

use aya::{
    maps::{Map, MapData, xdp::DevMapHash},
    programs::{
        SchedClassifier, TestRun, TestRunAttrs, TestRunOptions, TestRunResult, Xdp, XdpMode,
    },
};
use aya_obj::programs::XdpAttachType;
use gre_common::tables;
use serde_json::Value;
use testbed::{Daemon, Host, Netns, capture::hex, topology::sensor};

use crate::agreement::Oracle;

/// A host whose programs are run by hand; nothing else moves on its wire.
pub struct Programs {
    pub host: Host,
    _wire: Netns,
    /// Locked by nobody; several threads may have the programs run.
    _daemon: Mutex<Daemon>,
    uplink_xdp: Xdp,
    uplink_tc: SchedClassifier,
    port_tc: SchedClassifier,
    port_xdp: Xdp,
    transit_tc: SchedClassifier,
    oracle: Oracle,
}

/// The programs that receive from an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    UplinkXdp,
    UplinkTc,
}

impl Hook {
    pub const ALL: [Self; 2] = [Self::UplinkXdp, Self::UplinkTc];
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UplinkXdp => "uplink_xdp",
            Self::UplinkTc => "uplink_tc",
        })
    }
}

/// What a program said about a packet, and what it made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub action: Action,
    pub bytes: Vec<u8>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Passed,
    Dropped,
    Redirected,
}

impl Programs {
    /// A host with `eth0`, 192.0.2.1, configured by these commands.
    pub fn with(options: &str, commands: &[&str]) -> Self {
        let (host, wire) = sensor();
        host.ns.sysctl("ipv6/conf/default/disable_ipv6", "1");
        for remote in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            host.ns.ip(&format!("neigh add {remote} lladdr 02:00:00:00:00:ee dev eth0"));
        }
        let mode = if options.contains("--mode") { "" } else { "--mode native" };
        let daemon = host.start(&format!("--iface eth0 {mode} {options}"));
        for command in commands {
            host.xgre(command).ok();
        }
        let pin = |name: &str| host.state().join("programs").join(name);
        let xdp = |name: &str| {
            Xdp::from_pin(pin(name), XdpAttachType::Interface).expect("an XDP program")
        };
        let tc = |name: &str| SchedClassifier::from_pin(pin(name)).expect("a TC program");
        Self {
            uplink_xdp: xdp("uplink_xdp"),
            port_xdp: xdp("port_xdp"),
            uplink_tc: tc("uplink_tc"),
            port_tc: tc("port_tc"),
            transit_tc: tc("transit_tc"),
            oracle: Oracle::default(),
            host,
            _wire: wire,
            _daemon: Mutex::new(daemon),
        }
    }

    /// A frame arrives at `eth0`.
    #[track_caller]
    pub fn receive(&self, hook: Hook, frame: &[u8]) -> Ran {
        let eth0 = self.host.ns.ifindex("eth0");
        match hook {
            Hook::UplinkXdp => self.drive(tables::Hook::UPLINK_XDP, &self.uplink_xdp, frame, eth0),
            Hook::UplinkTc => self.classify(tables::Hook::UPLINK_TC, &self.uplink_tc, frame, eth0),
        }
    }

    /// A frame arrives at `eth0` in XDP, `times` over on this CPU, with everything that follows from it.
    pub fn receive_live(&self, frame: &[u8], times: u32) {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        let context = xdp_md(frame.len(), self.host.ns.ifindex("eth0"));
        options.ctx_in = Some(&context);
        options.repeat = times;
        options.attrs = TestRunAttrs::new().xdp_live_frames(64);
        let ran = self.host.ns.run_in(|| self.uplink_xdp.test_run(options));
        ran.expect("live frames");
    }

    /// A frame arrives at `eth0` that may be in transit.
    #[track_caller]
    pub fn pass_by(&self, frame: &[u8]) -> Ran {
        let eth0 = self.host.ns.ifindex("eth0");
        self.classify(tables::Hook::TRANSIT_TC, &self.transit_tc, frame, eth0)
    }

    /// The same, `times` over on this CPU.
    pub fn pass_by_often(&self, frame: &[u8], times: u32) {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        let context = sk_buff(self.host.ns.ifindex("eth0"));
        options.ctx_in = Some(&context);
        options.repeat = times;
        let ran = self.host.ns.run_in(|| self.transit_tc.test_run(options));
        ran.expect("a test run");
    }

    /// A frame arrives at a tenant's created port from the host's side.
    #[track_caller]
    pub fn send(&self, tenant: &str, frame: &[u8]) -> Ran {
        let ifindex = self.host.ns.ifindex(&self.port_device(tenant));
        self.classify(tables::Hook::PORT_TC, &self.port_tc, frame, ifindex)
    }

    /// Puts XDP on all ports, as if they were wires, and says whether the uplink transmits what XDP redirects.
    pub fn enable_port_xdp(&mut self, uplink_transmits: bool) {
        let ports = self.host.json("port list")["ports"].clone();
        let eth0 = self.host.ns.ifindex("eth0");
        let devices = MapData::from_pin(self.host.state().join("maps/UPLINK_DEVICES"));
        let devices = Map::from_map_data(devices.expect("the map")).expect("a map");
        let mut devices = DevMapHash::try_from(devices).expect("a map of devices");
        let program = &mut self.port_xdp;
        self.host.ns.run_in(|| {
            if uplink_transmits {
                devices.insert(eth0, eth0, None, 0).expect("room");
            }
            for port in ports.as_array().expect("ports") {
                let ifindex = port["ifindex"].as_u64().expect("an index") as u32;
                // Without XDP the kernel has no queue for test runs to come from.
                program.attach_to_if_index(ifindex, XdpMode::Driver).expect("native XDP");
            }
        });
    }

    /// The same as [`Programs::send`], in XDP.
    #[track_caller]
    pub fn send_xdp(&self, tenant: &str, frame: &[u8]) -> Ran {
        let ifindex = self.host.ns.ifindex(&self.port_device(tenant));
        self.drive(tables::Hook::PORT_XDP, &self.port_xdp, frame, ifindex)
    }

    /// The device behind a tenant's created port, which carries the program.
    pub fn port_device(&self, tenant: &str) -> String {
        let link = &self.host.ns.json(&format!("link show {tenant}0"))[0];
        link["link"].as_str().expect("the peer of a veth device").to_owned()
    }

    /// MAC addresses of that device and of the created port.
    pub fn port_macs(&self, tenant: &str) -> [[u8; 6]; 2] {
        [self.port_device(tenant), format!("{tenant}0")].map(|device| self.host.ns.mac(&device))
    }

    #[track_caller]
    fn drive(&self, hook: tables::Hook, program: &Xdp, frame: &[u8], ifindex: u32) -> Ran {
        self.oracle.compare(&self.host, hook, ifindex, frame, || {
            let (result, bytes) = self.run(program, frame, &xdp_md(frame.len(), ifindex));
            Ran { action: xdp_action(result.return_value), bytes }
        })
    }

    #[track_caller]
    fn classify(
        &self,
        hook: tables::Hook,
        program: &SchedClassifier,
        frame: &[u8],
        ifindex: u32,
    ) -> Ran {
        self.oracle.compare(&self.host, hook, ifindex, frame, || {
            let (result, bytes) = self.run(program, frame, &sk_buff(ifindex));
            Ran { action: tc_action(result.return_value), bytes }
        })
    }

    fn run<P>(&self, program: &P, frame: &[u8], context: &[u8]) -> (TestRunResult, Vec<u8>)
    where
        P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult> + Sync,
    {
        let mut out = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(context);
        // Interfaces are looked up in the namespace of whoever asks.
        let result = self.host.ns.run_in(|| program.test_run(options));
        let result = result.unwrap_or_else(|error| panic!("test run of {}: {error:?}", hex(frame)));
        out.truncate(result.data_size_out as usize);
        (result, out)
    }

    /// Every counter that is not zero, by its path in `stats --json`.
    ///
    /// Left out are the sums over the hooks of an uplink or a port.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        flatten("", &self.host.json("stats"), &mut counters);
        let has_hooks = |path: &str| path.starts_with("/uplinks") || path.starts_with("/ports");
        counters.retain(|path, _| !has_hooks(path) || path.contains("/hooks/"));
        counters
    }
}

pub type Counters = BTreeMap<String, u64>;

/// Which counters went up between two readings, and by how much.
pub fn difference(before: &Counters, after: &Counters) -> Counters {
    let grown = after.iter().map(|(path, n)| (path.clone(), n - before.get(path).unwrap_or(&0)));
    grown.filter(|(_, n)| *n != 0).collect()
}

fn flatten(path: &str, value: &Value, counters: &mut Counters) {
    match value {
        Value::Number(n) => {
            counters.insert(path.to_owned(), n.as_u64().expect("a count"));
        }
        Value::Object(object) => {
            for (name, value) in object {
                flatten(&format!("{path}/{name}"), value, counters);
            }
        }
        Value::Array(items) => {
            for item in items {
                let name = ["name", "hook"].iter().find_map(|key| item[key].as_str());
                flatten(&format!("{path}/{}", name.expect("a name")), item, counters);
            }
        }
        _ => {}
    }
}

/// `struct xdp_md` of a frame that came in by an interface: `data`, `data_end`, `data_meta`,
/// `ingress_ifindex`, `rx_queue_index`, `egress_ifindex`.
fn xdp_md(len: usize, ifindex: u32) -> Vec<u8> {
    [0, len as u32, 0, ifindex, 0, 0].map(u32::to_ne_bytes).concat()
}

/// `struct __sk_buff` of a frame that came in by an interface.
fn sk_buff(ifindex: u32) -> Vec<u8> {
    const LEN: usize = 192;
    const IFINDEX: usize = 40;
    let mut bytes = vec![0; LEN];
    bytes[IFINDEX..][..4].copy_from_slice(&ifindex.to_ne_bytes());
    bytes
}

/// `enum xdp_action`.
fn xdp_action(value: u32) -> Action {
    match value {
        1 => Action::Dropped,
        2 => Action::Passed,
        4 => Action::Redirected,
        other => panic!("XDP action {other}"),
    }
}

/// `TC_ACT_*`: unspecified (that is TCX's "next"), ok, shot, redirect.
fn tc_action(value: u32) -> Action {
    match value.cast_signed() {
        -1 | 0 => Action::Passed,
        2 => Action::Dropped,
        7 => Action::Redirected,
        other => panic!("TC action {other}"),
    }
}
