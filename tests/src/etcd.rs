//! etcd, a real one: members in namespaces of their own, around a router.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{command, isolation::scratch_dir, link::veth, netns::Netns};

const PATIENCE: Duration = Duration::from_secs(30);
/// A member's address ends with this and its number.
const FIRST: usize = 200;

/// Its members.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    router: Netns,
    dir: PathBuf,
}

#[derive(Debug)]
struct Member {
    ns: Netns,
    process: Option<Child>,
}

impl Etcd {
    /// So many members around a new router, at work.
    pub fn start(members: usize) -> Self {
        let router = Netns::new();
        router.sysctl("ipv4/ip_forward", "1");
        let member = |number| {
            let ns = Netns::new();
            let uplink = format!("e{number}");
            veth((&ns, "eth0"), (&router, &uplink));
            router.ip(&format!("addr add 192.0.2.254 peer {} dev {uplink}", address(number)));
            ns.ip(&format!("addr add {}/32 dev eth0", address(number)));
            ns.ip("route add 192.0.2.254 dev eth0");
            ns.ip("route add default via 192.0.2.254");
            Member { ns, process: None }
        };
        let mut this =
            Self { members: (0..members).map(member).collect(), router, dir: scratch_dir("etcd") };
        for number in 0..members {
            this.run(number);
        }
        this.wait();
        this
    }

    /// What its members are joined by.
    pub const fn router(&self) -> &Netns {
        &self.router
    }

    /// Where its clients find it.
    pub fn endpoints(&self) -> String {
        let clients: Vec<_> =
            (0..self.members.len()).map(|it| format!("{}:2379", address(it))).collect();
        clients.join(",")
    }

    /// `etcdctl ARGS`: what it printed.
    #[track_caller]
    pub fn ctl(&self, args: &str) -> String {
        self.ask(args).ok()
    }

    /// Writes an entry, which may hold spaces.
    #[track_caller]
    pub fn put(&self, path: &str, text: &str) {
        let mut command = command::bounded("etcdctl");
        command.args(["--endpoints", &self.endpoints(), "put", path, text]).env("ETCDCTL_API", "3");
        command::run(self.router.enter(&mut command)).ok();
    }

    /// The member that leads.
    pub fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for number in (0..self.members.len()).filter(|&it| self.members[it].process.is_some()) {
                let endpoint = format!("{}:2379", address(number));
                let asked = self.ask_at(&endpoint, "endpoint status --write-out=fields");
                let field = |name: &str| {
                    let line = asked.stdout.lines().find(|line| line.starts_with(name))?;
                    line.split_once(" : ").map(|(_, value)| value.to_owned())
                };
                if field("\"MemberID\"").is_some_and(|id| Some(id) == field("\"Leader\"")) {
                    return number;
                }
            }
            assert!(Instant::now() < deadline, "etcd has no leader");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// `kill -9` of a member.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.members[number].process.take() {
            process.kill().expect("a running member");
            process.wait().expect("a child");
        }
    }

    /// Starts a member again that was killed.
    pub fn run(&mut self, number: usize) {
        let peers: Vec<_> = (0..self.members.len().max(number + 1))
            .map(|it| format!("m{it}=http://{}:2380", address(it)))
            .collect();
        let (own, name) = (address(number), format!("m{number}"));
        let mut command = Command::new("etcd");
        command
            .args(["--name", &name, "--data-dir"])
            .arg(self.dir.join(&name))
            .args(["--listen-client-urls", &format!("http://{own}:2379,http://127.0.0.1:2379")])
            .args(["--advertise-client-urls", &format!("http://{own}:2379")])
            .args(["--listen-peer-urls", &format!("http://{own}:2380")])
            .args(["--initial-advertise-peer-urls", &format!("http://{own}:2380")])
            .args(["--initial-cluster", &peers.join(",")])
            .args(["--unsafe-no-fsync", "--log-level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let member = &mut self.members[number];
        let child = command::die_with_parent(member.ns.enter(&mut command)).spawn();
        member.process = Some(child.unwrap_or_else(|error| panic!("etcd: {error}")));
    }

    /// Cuts all members off from everybody, or joins them again.
    pub fn cut_off(&self, off: bool) {
        let state = if off { "down" } else { "up" };
        for number in 0..self.members.len() {
            self.router.ip(&format!("link set e{number} {state}"));
        }
    }

    /// Cuts all members off for a while.
    pub fn cut_off_for(&self, time: Duration) {
        self.cut_off(true);
        thread::sleep(time);
        self.cut_off(false);
        self.leader();
    }

    /// Waits until it answers.
    pub fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.ask("endpoint health --cluster").status.success() {
            assert!(Instant::now() < deadline, "etcd is not up");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// `etcdctl ARGS` in a member's own namespace.
    #[track_caller]
    pub fn inside(&self, number: usize, args: &str) -> String {
        let mut command = command::bounded("etcdctl");
        command.args(args.split_whitespace()).env("ETCDCTL_API", "3");
        command::run(self.members[number].ns.enter(&mut command)).ok()
    }

    /// The revision that a member has.
    #[track_caller]
    pub fn revision(&self, number: usize) -> u64 {
        let status = self.inside(number, "endpoint status --write-out=fields");
        let line = status.lines().find(|line| line.starts_with("\"Revision\""));
        line.and_then(|it| it.split_once(" : ")?.1.parse().ok()).expect("a revision")
    }

    /// What the first member counts, as it says to Prometheus.
    #[track_caller]
    pub fn metrics(&self) -> String {
        use std::io::{Read as _, Write as _};
        self.members[0].ns.run_in(|| {
            let mut stream = std::net::TcpStream::connect("127.0.0.1:2379").expect("a member");
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a question");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer");
            text
        })
    }

    /// `etcdctl ARGS`, and how it ended.
    pub fn ask(&self, args: &str) -> command::Outcome {
        self.ask_at(&self.endpoints(), args)
    }

    fn ask_at(&self, endpoints: &str, args: &str) -> command::Outcome {
        let mut command = command::bounded("etcdctl");
        command
            .args(["--endpoints", endpoints])
            .args(args.split_whitespace())
            .env("ETCDCTL_API", "3");
        command::run(self.router.enter(&mut command))
    }
}

/// One etcd, at a host's own address.
#[derive(Debug)]
pub struct Alone {
    process: Child,
    dir: PathBuf,
}

impl Alone {
    /// Starts it.
    pub fn start(ns: &Netns, address: &str) -> Self {
        Self::run(ns, &format!("http://{address}:2379"), &[])
    }

    /// Starts it with TLS, for those who have a certificate: who vouches for both, its own certificate and key.
    pub fn with_tls(ns: &Netns, address: &str, [ca, cert, key]: [&Path; 3]) -> Self {
        let files = [("--trusted-ca-file", ca), ("--cert-file", cert), ("--key-file", key)];
        let options = files.map(|(option, path)| format!("{option}={}", path.display()));
        let all = [&options[..], &["--client-cert-auth".to_owned()]].concat();
        Self::run(ns, &format!("https://{address}:2379"), &all)
    }

    fn run(ns: &Netns, client: &str, options: &[String]) -> Self {
        let dir = scratch_dir("etcd");
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(&dir)
            .args(["--listen-client-urls", client, "--advertise-client-urls", client])
            .args(options)
            .args(["--unsafe-no-fsync", "--log-level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command::die_with_parent(ns.enter(&mut command)).spawn();
        Self { process: child.unwrap_or_else(|error| panic!("etcd: {error}")), dir }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            self.kill(number);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn address(number: usize) -> String {
    format!("192.0.2.{}", FIRST + number)
}
