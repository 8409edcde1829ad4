//! `xgre stats`

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IsTerminal as _},
    time::Duration,
};

use gre_common::tables::{Counters, TenantId};
use ratatui::crossterm::terminal::size;
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    state::{StateDir, counters::HookTotals, uplink},
    top,
    totals::{
        HookCount, Interface, Port, Reading, Tenant, Uplink,
        rates::{Rate, Rates, TenantRate},
    },
    value::interval,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this tenant.
    tenant: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Again and again, until interrupted: in place on a terminal, with rates. With --json a document a line.
    #[arg(long)]
    watch: bool,
    /// Seconds between two readings, with --watch.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "1",
        requires = "watch",
        value_parser = interval
    )]
    interval: Duration,
}

/// Counts by reason; only reasons that happened.
type Reasons = BTreeMap<&'static str, u64>;

#[derive(Serialize)]
struct Document {
    version: u32,
    tenants: Vec<TenantRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<Vec<PortRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uplinks: Option<Vec<UplinkRow>>,
    /// Interfaces with transit rules, which have their own counters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transit: Vec<TransitRow>,
    /// Hooks that met packets of an interface that is neither port nor uplink (any more).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unregistered: Vec<HookRow>,
}

#[derive(Serialize)]
struct TenantRow {
    name: String,
    rx: Traffic,
    tx: Traffic,
    drops: Reasons,
    notices: Reasons,
}

#[derive(Serialize)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

impl From<Counters> for Traffic {
    fn from(Counters { packets, bytes }: Counters) -> Self {
        Self { packets, bytes }
    }
}

#[derive(Serialize)]
struct PortRow {
    name: String,
    tenant: String,
    /// What its last hook passed, which the kernel's stack then got.
    passed: Reasons,
    drops: Reasons,
    hooks: Vec<HookRow>,
}

#[derive(Serialize)]
struct UplinkRow {
    name: String,
    mode: &'static str,
    /// Packets that its last hook passed, which the kernel's stack then got.
    passed: u64,
    drops: Reasons,
    hooks: Vec<HookRow>,
}

#[derive(Serialize)]
struct TransitRow {
    name: String,
    /// Packets that met no rule.
    passed: Reasons,
    drops: Reasons,
}

#[derive(Serialize)]
struct HookRow {
    hook: &'static str,
    passed: Reasons,
    drops: Reasons,
}

pub async fn run(dir: &StateDir, args: Args) -> anyhow::Result<()> {
    let mut before = None;
    let in_place = args.watch && !args.json && io::stdout().is_terminal();
    loop {
        let (reading, document) = match &args.tenant {
            Some(name) => with(Reading::of_tenant(dir, name)?, of_tenant),
            None => with(Reading::take(dir)?, of_all),
        };
        let rates = before.map(|before| Rates::between(&before, &reading));
        let mut text = if args.json {
            serde_json::to_string(&document)?
        } else {
            show(&document, args.watch, rates.as_ref())
        };
        if in_place {
            text = over_the_last(&text);
        }
        if !output::is_read(&text)? || !args.watch {
            return Ok(());
        }
        before = Some(reading);
        tokio::time::sleep(args.interval).await;
    }
}

fn with(reading: Reading, document: fn(&Reading) -> Document) -> (Reading, Document) {
    let document = document(&reading);
    (reading, document)
}

/// A text that takes the place of what is on the terminal, as much as there is room for.
fn over_the_last(text: &str) -> String {
    const HOME: &str = "\x1b[H";
    const REST_OF_LINE: &str = "\x1b[K";
    const REST_OF_SCREEN: &str = "\x1b[J";
    let (_, rows) = size().unwrap_or((80, 24));
    let lines = text.lines().take(usize::from(rows).saturating_sub(1));
    let lines: Vec<_> = lines.map(|line| format!("{line}{REST_OF_LINE}")).collect();
    format!("{HOME}{}{REST_OF_SCREEN}", lines.join("\r\n"))
}

fn of_tenant(reading: &Reading) -> Document {
    Document {
        version: JSON_VERSION,
        tenants: reading.tenants.iter().map(tenant_row).collect(),
        ports: None,
        uplinks: None,
        transit: Vec::new(),
        unregistered: Vec::new(),
    }
}

fn of_all(reading: &Reading) -> Document {
    let names: HashMap<_, _> = reading.tenants.iter().map(|it| (it.id, &it.name)).collect();
    Document {
        ports: Some(reading.ports.iter().map(|port| port_row(port, &names)).collect()),
        uplinks: Some(reading.uplinks.iter().map(uplink_row).collect()),
        transit: reading.transit.iter().map(transit_row).collect(),
        unregistered: hook_rows(&reading.unregistered),
        ..of_tenant(reading)
    }
}

fn tenant_row(Tenant { name, totals, .. }: &Tenant) -> TenantRow {
    TenantRow {
        name: name.clone(),
        rx: totals.received.into(),
        tx: totals.sent.into(),
        drops: totals.drops.iter().map(|(reason, count)| (reason.label(), *count)).collect(),
        notices: totals.notices.iter().map(|(notice, count)| (notice.label(), *count)).collect(),
    }
}

fn port_row(Port { interface, tenant }: &Port, names: &HashMap<TenantId, &String>) -> PortRow {
    PortRow {
        name: interface.name.clone(),
        tenant: names.get(tenant).copied().cloned().unwrap_or_default(),
        passed: interface.last().map(passed).unwrap_or_default(),
        drops: all_drops(&interface.hooks),
        hooks: hook_rows(&interface.hooks),
    }
}

fn uplink_row(Uplink { interface, mode }: &Uplink) -> UplinkRow {
    UplinkRow {
        name: interface.name.clone(),
        mode: uplink::mode_name(*mode),
        passed: interface.last().map_or(0, HookTotals::passed_total),
        drops: all_drops(&interface.hooks),
        hooks: hook_rows(&interface.hooks),
    }
}

fn transit_row(interface: &Interface) -> TransitRow {
    TransitRow {
        name: interface.name.clone(),
        passed: interface.last().map(passed).unwrap_or_default(),
        drops: all_drops(&interface.hooks),
    }
}

fn all_drops(hooks: &[HookCount]) -> Reasons {
    let mut drops = Reasons::new();
    for (reason, count) in hooks.iter().flat_map(|it| &it.totals.drops) {
        *drops.entry(reason.label()).or_default() += count;
    }
    drops
}

fn hook_rows(hooks: &[HookCount]) -> Vec<HookRow> {
    hooks.iter().map(hook_row).collect()
}

fn hook_row(HookCount { hook, totals }: &HookCount) -> HookRow {
    HookRow { hook: hook.name(), passed: passed(totals), drops: dropped(totals) }
}

fn passed(totals: &HookTotals) -> Reasons {
    totals.passed.iter().map(|(reason, count)| (reason.label(), *count)).collect()
}

fn dropped(totals: &HookTotals) -> Reasons {
    totals.drops.iter().map(|(reason, count)| (reason.label(), *count)).collect()
}

/// All tables. Where they are watched tenants have rates, once there are any.
fn show(document: &Document, watch: bool, rates: Option<&Rates>) -> String {
    let mut tables = vec![if watch {
        tenants_with_rates(&document.tenants, rates)
    } else {
        tenants(&document.tenants)
    }];
    if let Some(ports) = &document.ports {
        let rows = ports.iter().flat_map(|port| port.hooks.iter().map(move |hook| (port, hook)));
        tables.push(output::to_table(
            ["PORT", "TENANT", "HOOK", "PASSED", "DROPS"],
            rows.map(|(port, hook)| {
                let (passed, drops) = (describe(&hook.passed), describe(&hook.drops));
                [port.name.clone(), port.tenant.clone(), hook.hook.to_owned(), passed, drops]
            }),
        ));
    }
    if let Some(uplinks) = &document.uplinks {
        let known = uplinks
            .iter()
            .flat_map(|uplink| uplink.hooks.iter().map(|hook| (uplink.name.as_str(), hook)));
        let unknown = document.unregistered.iter().map(|hook| ("(others)", hook));
        let rows = known.chain(unknown).map(|(uplink, hook)| {
            let (passed, drops) = (describe(&hook.passed), describe(&hook.drops));
            [uplink.to_owned(), hook.hook.to_owned(), passed, drops]
        });
        tables.push(output::to_table(["UPLINK", "HOOK", "PASSED", "DROPS"], rows));
    }
    if !document.transit.is_empty() {
        let rows = document.transit.iter();
        let cells =
            |row: &TransitRow| [row.name.clone(), describe(&row.passed), describe(&row.drops)];
        tables.push(output::to_table(["TRANSIT", "PASSED", "DROPS"], rows.map(cells)));
    }
    tables.join("\n\n")
}

fn tenants(rows: &[TenantRow]) -> String {
    let headings =
        ["TENANT", "RX PACKETS", "RX BYTES", "TX PACKETS", "TX BYTES", "DROPS", "NOTICES"];
    let cells = |row: &TenantRow| {
        let [name, rx, rx_bytes, tx, tx_bytes] = counted(row);
        [name, rx, rx_bytes, tx, tx_bytes, describe(&row.drops), describe(&row.notices)]
    };
    output::to_table(headings, rows.iter().map(cells))
}

fn tenants_with_rates(rows: &[TenantRow], rates: Option<&Rates>) -> String {
    let headings = [
        "TENANT",
        "RX PACKETS",
        "RX BYTES",
        "TX PACKETS",
        "TX BYTES",
        "RX BIT/S",
        "TX BIT/S",
        "DROPS",
        "NOTICES",
    ];
    let bits = |at: usize, of: fn(&TenantRate) -> Rate| {
        let rate = rates.map(|rates| of(&rates.tenants[at]).bytes_per_second);
        output::or_dash(rate.map(|rate| top::human(rate.saturating_mul(8))))
    };
    let cells = |(at, row): (usize, &TenantRow)| {
        let [name, rx, rx_bytes, tx, tx_bytes] = counted(row);
        let [received, sent] = [bits(at, |it| it.rx), bits(at, |it| it.tx)];
        let (drops, notices) = (describe(&row.drops), describe(&row.notices));
        [name, rx, rx_bytes, tx, tx_bytes, received, sent, drops, notices]
    };
    output::to_table(headings, rows.iter().enumerate().map(cells))
}

fn counted(TenantRow { name, rx, tx, .. }: &TenantRow) -> [String; 5] {
    let counters = [rx.packets, rx.bytes, tx.packets, tx.bytes];
    let [rx, rx_bytes, tx, tx_bytes] = counters.map(|it| it.to_string());
    [name.clone(), rx, rx_bytes, tx, tx_bytes]
}

/// "`wrong_remote` 3, ecn 1", or a dash.
fn describe(reasons: &Reasons) -> String {
    let words: Vec<_> = reasons.iter().map(|(label, count)| format!("{label} {count}")).collect();
    output::or_dash((!words.is_empty()).then(|| words.join(", ")))
}
