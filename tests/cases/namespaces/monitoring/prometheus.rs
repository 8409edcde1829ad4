//! A real Prometheus scrapes, and understands dashboard, alerts and document.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use testbed::{
    Netns, Ping,
    suite::{Case, Need},
};

use super::{
    metrics::hosts,
    scrape::{self, get},
};
use crate::setup::eventually;

pub fn cases() -> Vec<Case> {
    let promtool = Need::Program("promtool");
    vec![
        Case::new("monitoring: promtool likes metrics and rules", liked).needs(promtool),
        Case::new("monitoring: the document lists every metric", documented),
        Case::new("monitoring: dashboard and alerts use metrics that there are", known),
        Case::new("monitoring: Prometheus scrapes, and evaluates dashboard and alerts", scraped)
            .needs(Need::Program("prometheus")),
    ]
}

const SERVER: &str = "127.0.0.1:9090";

fn project(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(file)
}

fn text(file: &str) -> String {
    let path = project(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&text("dist/grafana/xgre.json")).expect("JSON")
}

/// Every expression of the dashboard, for all hosts and tenants.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let plain = |expression: &str| {
        expression
            .replace("$__rate_interval", "10s")
            .replace("$instance", ".*")
            .replace("$tenant", ".*")
    };
    targets.map(|target| plain(target["expr"].as_str().expect("an expression"))).collect()
}

/// Kind and help of every metric, by name.
fn families(ns: &Netns) -> BTreeMap<String, (String, String)> {
    let text = scrape::metrics(ns);
    let mut help = "";
    let mut families = BTreeMap::new();
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said;
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' '))
        {
            let (of, help) = help.split_once(' ').expect("a sentence");
            assert_eq!(of, name);
            families.insert(name.to_owned(), (kind.to_owned(), help.to_owned()));
        }
    }
    families
}

/// Words that begin like a metric's name.
fn metrics_in(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("xgre_")).collect()
}

fn liked() {
    let (one, _two, _daemons) = hosts("", &["blue"]);
    Ping::to("10.10.0.2").all_answered(&one.ns);
    let scrape = one.file("metrics", &scrape::metrics(&one.ns));
    let script = one.file("check", &format!("promtool check metrics < {}", scrape.display()));
    let said = one.ns.exec(&format!("sh {}", script.display()));
    assert!(said.status.success() && said.stderr.is_empty(), "{said}");
    let rules = project("dist/prometheus/alerts.yml");
    let said = one.ns.exec(&format!("promtool check rules {}", rules.display())).ok();
    assert!(said.contains("SUCCESS"), "{said}");
}

fn documented() {
    let (one, _two, _daemons) = hosts("", &["blue"]);
    let text = text("docs/monitoring.md");
    let row = |line: &str| {
        let [name, kind, _labels, says] =
            line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").collect::<Vec<_>>()[..]
        else {
            return None;
        };
        Some((name.strip_suffix('`')?.to_owned(), (kind.to_owned(), says.to_owned())))
    };
    let rows: BTreeMap<_, _> = text.lines().filter_map(row).collect();
    assert_eq!(rows, families(&one.ns));

    // Labels, of those that have samples here.
    for line in scrape::metrics(&one.ns).lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or((line, ""));
        let name = name.split(' ').next().expect("a name");
        let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
        let labels: Vec<_> = labels.map(|(label, _)| label).collect();
        let row = text.lines().find(|row| row.starts_with(&format!("| `{name}` |")));
        let documented = row.and_then(|row| row.split(" | ").nth(2));
        assert_eq!(documented, Some(labels.join(", ").as_str()), "{line}");
    }
}

fn known() {
    let (one, _two, _daemons) = hosts("", &["blue"]);
    let families = families(&one.ns);
    let (rules, dashboard) = (text("dist/prometheus/alerts.yml"), dashboard());
    let variables = dashboard["templating"].to_string();
    let mut used = metrics_in(&rules);
    let expressions = expressions(&dashboard).join("\n");
    used.extend(metrics_in(&expressions));
    used.extend(metrics_in(&variables));
    assert!(used.len() > 40, "{used:?}");
    for metric in used {
        assert!(families.contains_key(metric), "{metric} is not scraped");
    }
    let document = text("docs/monitoring.md");
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        assert!(document.contains(&format!("| `{alert}` |")), "docs/monitoring.md lacks {alert}");
    }
}

/// A program below `timeout` that runs until this value is dropped, or for two minutes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // `timeout` passes this signal on, unlike one that it cannot catch.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn start(ns: &Netns, config: &str, data: &str) -> Running {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120", "prometheus"])
        .arg(format!("--config.file={config}"))
        .arg(format!("--storage.tsdb.path={data}"))
        .arg(format!("--web.listen-address={SERVER}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running(ns.enter(&mut command).spawn().expect("prometheus"))
}

/// What the server's interface says, once it is there.
fn asked(ns: &Netns, path: &str) -> Option<Value> {
    serde_json::from_str(&get(ns, SERVER, path).ok()?.body).ok()
}

/// The samples of a query; a query that is wrong fails.
#[track_caller]
fn query(ns: &Netns, expression: &str) -> Vec<Value> {
    let escaped = expression.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let found = asked(ns, &format!("/api/v1/query?query={escaped}")).expect("an answer");
    assert_eq!(found["status"], "success", "{expression}: {found}");
    found["data"]["result"].as_array().expect("samples").clone()
}

fn scraped() {
    let (one, _two, [daemon, _other]) = hosts("", &["blue"]);
    let rules = project("dist/prometheus/alerts.yml");
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\n\
         scrape_configs: [{{job_name: xgre, static_configs: [{{targets: ['{}']}}]}}]\n",
        rules.display(),
        scrape::ADDRESS,
    );
    let config = one.file("prometheus.yml", &config);
    let data = one.file("data", "");
    fs::remove_file(&data).expect("a file");
    let _server = start(&one.ns, &config.display().to_string(), &data.display().to_string());
    eventually("a server", || asked(&one.ns, "/api/v1/query?query=up").is_some());
    eventually("a scrape", || {
        query(&one.ns, "up{job=\"xgre\"}").first().is_some_and(|it| it["value"][1] == "1")
    });
    Ping::to("10.10.0.2").times(50, 100).all_answered(&one.ns);
    eventually("a tenant's rate", || {
        let rates = query(&one.ns, "rate(xgre_tenant_rx_packets_total{tenant=\"blue\"}[10s]) > 1");
        !rates.is_empty()
    });
    for expression in expressions(&dashboard()) {
        let samples = query(&one.ns, &expression);
        // What nobody dropped or lost has no samples; the rest has.
        let only_now_and_then =
            ["drops", "== 0", "_passed_"].iter().any(|it| expression.contains(it));
        assert!(only_now_and_then || !samples.is_empty(), "no samples: {expression}");
    }
    let rules = asked(&one.ns, "/api/v1/rules").expect("rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() >= 10 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");

    daemon.kill();
    eventually("an alert that the daemon is gone", || {
        let alerts = asked(&one.ns, "/api/v1/alerts").expect("alerts");
        let alerts = alerts["data"]["alerts"].as_array().expect("a list").clone();
        alerts.iter().any(|it| it["labels"]["alertname"] == "XgreGone")
    });
}
