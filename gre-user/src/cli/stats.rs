//! `xgre stats`

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use gre_common::tables::{Counters, TenantId};
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    state::{StateDir, counters::HookTotals, uplink},
    totals::{HookCount, Interface, Port, Reading, Tenant, Uplink},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this tenant.
    tenant: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Again every second, until interrupted.
    #[arg(long)]
    watch: bool,
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
    loop {
        let document = match &args.tenant {
            Some(name) => of_tenant(&Reading::of_tenant(dir, name)?),
            None => of_all(&Reading::take(dir)?),
        };
        if args.json {
            output::json(&document)?;
        } else {
            print(&document)?;
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
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

fn print(document: &Document) -> anyhow::Result<()> {
    let headings =
        ["TENANT", "RX PACKETS", "RX BYTES", "TX PACKETS", "TX BYTES", "DROPS", "NOTICES"];
    output::table(
        headings,
        document.tenants.iter().map(|row| {
            [
                row.name.clone(),
                row.rx.packets.to_string(),
                row.rx.bytes.to_string(),
                row.tx.packets.to_string(),
                row.tx.bytes.to_string(),
                describe(&row.drops),
                describe(&row.notices),
            ]
        }),
    )?;
    if let Some(ports) = &document.ports {
        output::print(&"")?;
        let rows = ports.iter().flat_map(|port| port.hooks.iter().map(move |hook| (port, hook)));
        output::table(
            ["PORT", "TENANT", "HOOK", "PASSED", "DROPS"],
            rows.map(|(port, hook)| {
                let (passed, drops) = (describe(&hook.passed), describe(&hook.drops));
                [port.name.clone(), port.tenant.clone(), hook.hook.to_owned(), passed, drops]
            }),
        )?;
    }
    if let Some(uplinks) = &document.uplinks {
        output::print(&"")?;
        let known = uplinks
            .iter()
            .flat_map(|uplink| uplink.hooks.iter().map(|hook| (uplink.name.as_str(), hook)));
        let unknown = document.unregistered.iter().map(|hook| ("(others)", hook));
        let rows = known.chain(unknown).map(|(uplink, hook)| {
            let (passed, drops) = (describe(&hook.passed), describe(&hook.drops));
            [uplink.to_owned(), hook.hook.to_owned(), passed, drops]
        });
        output::table(["UPLINK", "HOOK", "PASSED", "DROPS"], rows)?;
    }
    if !document.transit.is_empty() {
        output::print(&"")?;
        let rows = document.transit.iter();
        let cells =
            |row: &TransitRow| [row.name.clone(), describe(&row.passed), describe(&row.drops)];
        output::table(["TRANSIT", "PASSED", "DROPS"], rows.map(cells))?;
    }
    Ok(())
}

/// "`wrong_remote` 3, ecn 1", or a dash.
fn describe(reasons: &Reasons) -> String {
    let words: Vec<_> = reasons.iter().map(|(label, count)| format!("{label} {count}")).collect();
    output::or_dash((!words.is_empty()).then(|| words.join(", ")))
}
