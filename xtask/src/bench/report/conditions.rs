//! What machine it was, and what was measured.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{bench::Args, workspace::Workspace};

/// Names and values.
pub fn list(workspace: &Workspace, args: &Args) -> Result<Vec<(&'static str, String)>> {
    let cpus = std::thread::available_parallelism()?;
    Ok(vec![
        ("commit", commit(workspace)),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("processor", format!("{cpus} x {}", processor())),
        ("spectre_v2", first_line("/sys/devices/system/cpu/vulnerabilities/spectre_v2")),
        (
            "return stack",
            first_line("/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow"),
        ),
        ("driver", "veth, between network namespaces of one machine".to_owned()),
        ("mode", "decap: native XDP; ways between hosts: TC at both ends".to_owned()),
        ("rounds", format!("{} of {} ms for each candidate, in turns", args.runs, args.millis)),
        ("command", std::env::args().skip(1).collect::<Vec<_>>().join(" ")),
    ])
}

fn commit(workspace: &Workspace) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(&workspace.root).args(args).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned()
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
