//! `xgre run` as a service: what a service manager hears, and a boot in whatever order.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use testbed::{
    Host, Ping,
    host::xgre_binary,
    suite::{Case, Need},
    topology::sensor,
    veth,
};

use crate::setup::{Mode, Pair, Service, eventually, tunnel};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("service: ready, alive, and stopping", notices),
        Case::new("service: begins before its uplinks are there", late_uplinks),
        Case::new("service: a group reads and changes without root", group)
            .needs(Need::Program("setpriv"))
            .needs(Need::Linux(5, 19)),
        Case::new("service: two states do not share an interface", two_states),
    ]
}

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(host: &Host) -> Self {
        let path = host.file("notify", "");
        fs::remove_file(&path).expect("the file made a moment ago");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self { socket, path }
    }

    #[track_caller]
    fn hear(&self) -> String {
        let mut buffer = [0; 256];
        let len = self.socket.recv(&mut buffer).expect("a message of the daemon's");
        String::from_utf8_lossy(&buffer[..len]).trim().to_owned()
    }

    /// Everything up to this message.
    #[track_caller]
    fn hear_until(&self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|it| it != last) {
            heard.push(self.hear());
        }
        heard
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn notices() {
    let (host, _other) = testbed::two_hosts();
    let manager = Manager::new(&host);
    let path = manager.path.to_str().expect("a path in UTF-8");
    let daemon =
        host.start_with("--iface eth0", &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "400000")]);
    assert_eq!(manager.hear(), "READY=1");
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    // The first comes at once, the others twice in the time that the manager waits.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(700), "{took:?}");
    daemon.stop();
    let mut heard = manager.hear_until("STOPPING=1");
    heard.retain(|it| it != "WATCHDOG=1");
    assert_eq!(heard, ["STOPPING=1"]);
}

/// Neither the uplink nor the tunnel's address are there when it begins with a file.
fn late_uplinks() {
    let hosts = [Host::new(), Host::new()];
    let mut daemons = Vec::new();
    for (host, [local, remote]) in hosts.iter().zip([[1, 2], [2, 1]]) {
        let file = host.file(
            "toml",
            &format!(
                "[[tunnel]]\nname = \"t\"\nlocal = \"192.0.2.{local}\"\nremote = \"192.0.2.{remote}\"\n\
                 [[tenant]]\nname = \"blue\"\nkey = 10\ntunnels = [\"t\"]\n\
                 [[port]]\ntenant = \"blue\"\nname = \"blue0\"\ncreate = true\n"
            ),
        );
        let refused = host.xgre("run --iface eth0").err();
        assert!(refused.contains("there is no interface eth0"), "{refused}");
        assert!(refused.contains("--wait"), "the remedy: {refused}");
        let daemon =
            host.start(&format!("--iface eth0 --iface eth1 --wait --config {}", file.display()));
        let greeting = daemon.greeting.join("\n");
        assert!(greeting.contains("eth0: waiting for it to appear"), "{greeting}");
        host.ns.ip(&format!("addr add 10.9.0.{local}/24 dev blue0"));
        daemons.push(daemon);
    }
    let [one, two] = &hosts;
    veth((&one.ns, "eth0"), (&two.ns, "eth0"));
    for (host, end) in [(one, 1), (two, 2)] {
        host.ns.ip(&format!("addr add 192.0.2.{end}/24 dev eth0"));
    }
    eventually("an answer", || Ping::to("10.9.0.2").times(1, 10).run(&one.ns).received == 1);
    Ping::to("10.9.0.2").times(10, 20).all_answered(&one.ns);
    assert_eq!(one.uplink_stats("eth0")["mode"], "native");
    assert_eq!(one.json("stats")["uplinks"].as_array().map(Vec::len), Some(1), "eth1 is not there");
}

fn two_states() {
    for mode in Mode::ALL {
        let Pair { one, two: _two, daemons: _daemons } = Pair::blue(Service::L3, mode);
        let other = Host::new();
        let state = other.state();
        for mode in Mode::ALL {
            let args = format!("run --iface eth0 --mode {mode} --state {}", state.display());
            let refused = one.xgre(&args).err();
            assert!(refused.contains("eth0"), "{refused}");
            assert!(!state.exists(), "nothing is left behind");
        }
        Ping::to("10.9.0.2").all_answered(&one.ns);
    }
}

/// A group that every system has, and others.
const GROUP: &str = "daemon";

/// Before Linux 5.19 programs without privilege have no way to maps where `kernel.unprivileged_bpf_disabled` is set, as it is on Debian.
fn group() {
    let (host, _wire) = sensor();
    let refused = host.xgre("run --iface eth0 --group no-such-group").err();
    assert!(refused.contains("no group no-such-group"), "{refused}");
    let _daemon = host.start(&format!("--iface eth0 --group {GROUP}"));
    let (state, xgre) = (host.state(), xgre_binary());
    let whoever = |groups: &str, args: &str| {
        let state = state.display();
        let user = format!("setpriv --reuid=nobody --regid=nogroup {groups}");
        host.ns.exec(&format!("{user} {} --state {state} {args}", xgre.display()))
    };
    let member = |args: &str| whoever(&format!("--groups={GROUP}"), args);
    tunnel(&host, "192.0.2.1", "192.0.2.2");
    member("tenant add blue --key 10 --tunnel t").ok();
    for read in
        ["stats", "tenant list", "tenant show blue", "export", "top --once", "events --help"]
    {
        member(read).ok();
    }
    let before = host.configuration();
    for args in
        ["port add blue blue0 --create", "tunnel add u --local 192.0.2.1 --remote 192.0.2.3"]
    {
        let refused = member(args).err();
        assert!(refused.contains("CAP_NET_ADMIN"), "{args}: {refused}");
    }
    for args in ["stats", "tenant del blue"] {
        let refused = whoever("--clear-groups", args).err();
        assert!(refused.contains("permission denied"), "{args}: {refused}");
    }
    assert_eq!(host.configuration(), before);
    member("tenant del blue").ok();
}
