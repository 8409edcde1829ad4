//! `xgre top` and `stats --watch` in a real terminal (tmux), with traffic.

use std::{fs, path::PathBuf, process::id};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testbed::{
    Host, Ping,
    host::xgre_binary,
    suite::{Case, Need},
};

use super::metrics::hosts;
use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    let tmux = Need::Program("tmux");
    vec![
        Case::new("top: keys change view, order and filter", keys).needs(tmux),
        Case::new("top: a daemon and a state that go and come back", comes_back).needs(tmux),
        Case::new("top: the terminal is as before after a signal", signalled).needs(tmux),
        Case::new("top: one interval as a table and as JSON", once),
        Case::new("stats --watch on a terminal and into a pipe", watched).needs(tmux),
    ]
}

/// A terminal with a command in it.
struct Terminal<'h> {
    host: &'h Host,
    socket: PathBuf,
    pid: PathBuf,
}

impl<'h> Terminal<'h> {
    /// Runs `xgre ARGS` in a terminal of so many columns and lines; at its end its status and the terminal's settings are shown.
    fn start(host: &'h Host, args: &str, columns: u16, lines: u16) -> Self {
        let (socket, pid) = (host.file("tmux", ""), host.file("pid", ""));
        fs::remove_file(&socket).expect("a file");
        let (xgre, state) = (xgre_binary(), host.state());
        let command = format!(
            "sh -c 'echo $$ > {pid}; XGRE_STATE={state} exec timeout --foreground 100 {xgre} {args}'\n\
             echo ended with $?\nstty -a\nsleep 100\n",
            pid = pid.display(),
            state = state.display(),
            xgre = xgre.display(),
        );
        let script = host.file("script", &command);
        let this = Self { host, socket, pid };
        this.tmux(&format!(
            "-f /dev/null new-session -d -x {columns} -y {lines} sh {}",
            script.display()
        ));
        this
    }

    fn tmux(&self, args: &str) -> String {
        self.host.ns.exec(&format!("tmux -S {} {args}", self.socket.display())).ok()
    }

    fn press(&self, keys: &str) {
        self.tmux(&format!("send-keys {keys}"));
    }

    fn screen(&self) -> String {
        self.tmux("capture-pane -p")
    }

    /// Waits until a line of the screen is so.
    #[track_caller]
    fn shows(&self, what: &str, so: impl Fn(&str) -> bool) {
        let mut screen = String::new();
        let mut seen = || {
            screen = self.screen();
            screen.lines().any(&so)
        };
        let begin = std::time::Instant::now();
        while !seen() {
            assert!(begin.elapsed().as_secs() < 20, "no {what} in\n{screen}");
        }
    }

    /// The names of the rows, from top to bottom.
    fn names(&self) -> Vec<String> {
        let screen = self.screen();
        let rows = screen.lines().skip_while(|line| !line.starts_with("TENANT")).skip(1);
        let names = rows.map_while(|line| line.split_whitespace().next());
        names.take(3).map(str::to_owned).collect()
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.host.ns.exec(&format!("tmux -S {} kill-server", self.socket.display()));
    }
}

/// The word of a row at a column, if it begins with this name.
fn word<'l>(line: &'l str, name: &str, at: usize) -> Option<&'l str> {
    let mut words = line.split_whitespace();
    (words.next() == Some(name)).then(|| words.nth(at)).flatten()
}

fn keys() {
    let (one, two, _daemons) = hosts("", &["blue", "grey", "red"]);
    let large = Ping::to("10.12.0.2").size(1000).times(1500, 20).start(&one.ns);
    let small = Ping::to("10.10.0.2").times(1500, 20).start(&one.ns);
    let top = Terminal::start(&one, "top --interval 0.5", 80, 24);
    top.shows("tenant with its rate", |line| {
        let [rx, packets] = [0, 2].map(|at| word(line, "red", at));
        // 50 replies a second of 1028 bytes are 411 kbit/s.
        let rate = rx.and_then(|rx| rx.strip_suffix('k')?.parse::<f32>().ok());
        let packets = packets.and_then(|packets| packets.parse::<u32>().ok());
        rate.is_some_and(|rate| (100.0..900.0).contains(&rate))
            && packets.is_some_and(|packets| (10..=120).contains(&packets))
    });
    assert_eq!(top.names(), ["red", "blue", "grey"], "by rate");
    assert!(top.screen().contains("RX+TX▼"), "{}", top.screen());
    top.press("r");
    top.shows("order the other way round", |line| line.contains("RX+TX▲"));
    eventually("the idle one first", || top.names() == ["grey", "blue", "red"]);
    top.press("Left Left Left Left Left Left");
    top.shows("order by name", |line| line.contains("TENANT▼"));
    eventually("names", || top.names() == ["blue", "grey", "red"]);
    top.press("b");
    top.shows("bytes", |line| line.contains("RX B/s"));
    top.press("/ r e d Enter");
    eventually("only red", || top.names() == ["red"]);
    top.press("2");
    top.shows("tunnel that is up", |line| word(line, "t", 0) == Some("up"));
    // Of a tenant that has no port here.
    one.xgre("tenant add zed --key 77 --tunnel t").ok();
    two.xgre("tenant add zed --key 77 --tunnel t").ok();
    two.xgre("port add zed zed0 --create").ok();
    two.ns.ip("addr add 10.77.0.2/24 dev zed0");
    top.press("Tab");
    Ping::to("10.77.0.1").unanswered(&two.ns);
    top.shows("drop", |line| word(line, "no_port", 1).is_some());
    top.press("4");
    top.shows("uplink", |line| word(line, "eth0", 0) == Some("tc"));
    top.press("?");
    top.shows("help", |line| line.contains("the other way round"));
    top.press("Escape");
    top.press("p");
    top.shows("pause", |line| line.contains("PAUSED"));
    top.press("q");
    top.shows("end", |line| line == "ended with 0");
    top.shows("terminal as before", |line| line.contains(" icanon ") && !line.contains("-icanon"));
    drop((large, small));
}

fn comes_back() {
    let (one, _two, [daemon, _other]) = hosts("", &["blue"]);
    let top = Terminal::start(&one, "top --interval 0.2", 80, 24);
    top.shows("tenant", |line| word(line, "blue", 0).is_some());
    assert!(!top.screen().contains("NO DAEMON"), "{}", top.screen());
    daemon.kill();
    top.shows("that there is no daemon", |line| line.contains("NO DAEMON"));
    one.xgre("detach").ok();
    top.shows("that there is no state", |line| line.contains("no xgre state"));
    let _daemon = one.start("--iface eth0 --mode tc");
    one.xgre("tunnel add t --local 192.0.2.1 --remote 192.0.2.2").ok();
    one.xgre("tenant add green --key 10 --tunnel t").ok();
    top.shows("new tenant", |line| word(line, "green", 0).is_some());
    assert!(!top.screen().contains("NO DAEMON"), "{}", top.screen());
}

fn signalled() {
    let (one, _two, _daemons) = hosts("", &["blue"]);
    let top = Terminal::start(&one, "top --interval 0.2", 80, 24);
    top.shows("tenant", |line| word(line, "blue", 0).is_some());
    let pid = fs::read_to_string(&top.pid).expect("a process");
    kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGTERM).expect("a process");
    top.shows("end", |line| line.starts_with("ended with "));
    top.shows("terminal as before", |line| line.contains(" icanon ") && !line.contains("-icanon"));
    let screen = top.screen();
    assert!(!screen.contains("TENANT"), "{screen}");
    assert_ne!(pid.trim(), id().to_string());
}

fn once() {
    let (one, _two, _daemons) = hosts("", &["blue", "red"]);
    let pinging = Ping::to("10.11.0.2").times(200, 20).start(&one.ns);
    let found = one.json("top --once --interval 1.5");
    let [blue, red] = [0, 1].map(|at| found["tenants"][at]["rx"]["packets_per_second"].as_u64());
    assert_eq!(found["version"], 1);
    assert!(blue.expect("a rate") < 5 && (20..=80).contains(&red.expect("a rate")), "{found}");
    assert_eq!(found["tunnels"][0]["rx"]["packets_per_second"].as_u64(), red, "{found}");
    assert_eq!(found["tunnels"][0]["state"], "up");
    assert_eq!(found["uplinks"][0]["mode"], "tc");
    let table = one.xgre("top --once --interval 0.5").ok();
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("red ")), "by rate: {table}");
    let refused = one.xgre("top").err();
    assert!(refused.contains("--once"), "without a terminal: {refused}");
    drop(pinging);
}

fn watched() {
    let (one, _two, _daemons) = hosts("", &["blue"]);
    let pinging = Ping::to("10.10.0.2").times(1000, 20).start(&one.ns);
    let stats = Terminal::start(&one, "stats --watch --interval 0.3", 120, 24);
    stats.shows("a rate", |line| word(line, "blue", 4).is_some_and(|rate| rate.ends_with('k')));
    let before = stats.screen();
    eventually("more packets", || stats.screen() != before);
    let headings = stats.screen().lines().filter(|line| line.starts_with("TENANT")).count();
    assert_eq!(headings, 1, "in place: {}", stats.screen());

    let script = format!(
        "XGRE_STATE={} {} stats --watch --json --interval 0.2 | head -n 3",
        one.state().display(),
        xgre_binary().display()
    );
    let script = one.file("watch", &script);
    let lines = one.ns.exec(&format!("sh {}", script.display())).ok();
    let counts: Vec<_> = lines
        .lines()
        .map(|line| {
            let document: serde_json::Value =
                serde_json::from_str(line).expect("a document a line");
            document["tenants"][0]["rx"]["packets"].as_u64().expect("a number")
        })
        .collect();
    assert!(counts.len() == 3 && counts[0] < counts[2], "{counts:?}");
    drop(pinging);
}
