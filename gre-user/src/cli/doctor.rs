//! `xgre doctor`

use std::{path::PathBuf, process::ExitCode};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    doctor::{
        FAMILIES,
        finding::{Finding, Severity},
        gather::{self, Subjects},
        judge,
    },
    state::StateDir,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Interfaces to judge as uplinks, besides those of the state.
    #[arg(long, num_args = 1.., value_name = "IFACE")]
    iface: Vec<String>,
    /// Judge the tunnels, tenants and ports of this file, instead of those of the state.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Tell also what is fine.
    #[arg(long)]
    verbose: bool,
}

#[derive(Serialize)]
struct Document {
    version: u32,
    findings: Vec<Finding>,
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<ExitCode> {
    let subjects = Subjects { uplinks: args.iface, file: args.config };
    let findings = judge(&gather::host(dir, &subjects).await?);
    let has_error = findings.iter().any(|finding| finding.severity == Severity::Error);
    if args.json {
        output::json(&Document { version: JSON_VERSION, findings })?;
    } else {
        output::styled(&text(&findings, args.verbose))?;
    }
    Ok(if has_error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const BOLD: Style = Style::new().bold();
/// How a comment begins behind a command.
const COMMENT: &str = "  # ";
const FAINT: Style = Style::new().dimmed();

fn style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::Cyan,
        Severity::Ok => AnsiColor::Green,
    };
    colour.on_default()
}

/// By family, and the sum.
fn text(findings: &[Finding], verbose: bool) -> String {
    let is_told = |it: &&Finding| verbose || it.severity != Severity::Ok;
    let mut text = String::new();
    for family in FAMILIES {
        let of_family = findings.iter().filter(|it| it.family == family.name);
        let lines: String = of_family.filter(is_told).map(line).collect();
        if !lines.is_empty() {
            let name = family.name;
            text.extend([format!("{BOLD}{name}{BOLD:#}\n"), lines, "\n".to_owned()]);
        }
    }
    text + &summary(findings)
}

/// One line, and the remedy below.
fn line(finding: &Finding) -> String {
    let Finding { id, severity, subject, cause, remedy, .. } = finding;
    let style = style(*severity);
    let remedy = remedy.iter().map(|remedy| {
        let (command, comment) = remedy.split_at(remedy.find(COMMENT).unwrap_or(remedy.len()));
        format!("            {BOLD}{command}{BOLD:#}{FAINT}{comment}{FAINT:#}\n")
    });
    let remedy: String = remedy.collect();
    format!("  {style}{severity:<8}{style:#}  {subject}: {cause} {FAINT}[{id}]{FAINT:#}\n{remedy}")
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let words = [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Note, "note", "notes"),
    ];
    let words = words.into_iter().filter_map(|(severity, one, many)| {
        let count = count(severity);
        let style = style(severity);
        let word = if count == 1 { one } else { many };
        (count > 0).then(|| format!("{style}{count} {word}{style:#}"))
    });
    let words: Vec<_> = words.collect();
    let fine = count(Severity::Ok);
    if words.is_empty() {
        let style = style(Severity::Ok);
        return format!("{style}All is well:{style:#} {fine} checks found nothing.");
    }
    format!("{}; {fine} checks found nothing.", words.join(", "))
}
