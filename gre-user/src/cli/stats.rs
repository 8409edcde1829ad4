//! `xgre stats`

use std::{collections::BTreeMap, time::Duration};

use gre_common::tables::{Counters, Hook, IfIndex, UplinkMode};
use serde::Serialize;

use super::output::{self, JSON_VERSION};
use crate::{
    datapath,
    state::{
        State, StateDir,
        counters::{Events, HookTotals, TenantTotals},
        tenant, uplink,
    },
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
        let document = read(dir, &State::open(dir)?, args.tenant.as_deref())?;
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

fn read(dir: &StateDir, state: &State, tenant: Option<&str>) -> anyhow::Result<Document> {
    let tenants = match tenant {
        Some(name) => vec![state.tenant(name)?],
        None => state.tenants(),
    };
    let events = state.events()?;
    let rows = tenants.iter().map(|tenant| tenant_row(state, tenant, &events));
    let (ports, uplinks, unregistered) = match tenant {
        Some(_) => (None, None, Vec::new()),
        None => (Some(ports(dir, state, &tenants)?), Some(uplinks(state)?), unregistered(state)?),
    };
    let transit = if tenant.is_none() { transit(state)? } else { Vec::new() };
    let tenants = rows.collect::<anyhow::Result<_>>()?;
    Ok(Document { version: JSON_VERSION, tenants, ports, uplinks, transit, unregistered })
}

fn tenant_row(state: &State, tenant: &tenant::Named, events: &Events) -> anyhow::Result<TenantRow> {
    let TenantTotals { received, sent, drops, notices } = state.tenant_totals(tenant.id, events)?;
    Ok(TenantRow {
        name: tenant.name.clone(),
        rx: received.into(),
        tx: sent.into(),
        drops: drops.iter().map(|(reason, count)| (reason.label(), *count)).collect(),
        notices: notices.iter().map(|(notice, count)| (notice.label(), *count)).collect(),
    })
}

fn ports(dir: &StateDir, state: &State, tenants: &[tenant::Named]) -> anyhow::Result<Vec<PortRow>> {
    let mut rows = Vec::new();
    for port in state.ports()? {
        let ifindex = port.ifindex();
        let tc = state.hook_totals(Hook::PORT_TC, ifindex)?;
        let passed = passed(&tc);
        let mut hooks = vec![(Hook::PORT_TC, tc)];
        if datapath::port::has_xdp(dir, ifindex) {
            hooks.insert(0, (Hook::PORT_XDP, state.hook_totals(Hook::PORT_XDP, ifindex)?));
        }
        let tenant = tenants.iter().find(|tenant| tenant.id == port.record.tenant);
        rows.push(PortRow {
            name: port.name,
            tenant: tenant.map(|tenant| tenant.name.clone()).unwrap_or_default(),
            passed,
            drops: all_drops(&hooks),
            hooks: hook_rows(&hooks),
        });
    }
    Ok(rows)
}

fn uplinks(state: &State) -> anyhow::Result<Vec<UplinkRow>> {
    let mut rows = Vec::new();
    for uplink in state.uplinks()? {
        rows.push(uplink_row(state, &uplink)?);
    }
    Ok(rows)
}

fn uplink_row(state: &State, uplink: &uplink::Named) -> anyhow::Result<UplinkRow> {
    let tc = state.hook_totals(Hook::UPLINK_TC, uplink.ifindex)?;
    let passed_total = tc.passed_total();
    let mut hooks = vec![(Hook::UPLINK_TC, tc)];
    if uplink.mode != UplinkMode::TC {
        let xdp = state.hook_totals(Hook::UPLINK_XDP, uplink.ifindex)?;
        hooks.insert(0, (Hook::UPLINK_XDP, xdp));
        let cpu = state.hook_totals(Hook::UPLINK_CPU, uplink.ifindex)?;
        if !cpu.is_empty() {
            hooks.insert(1, (Hook::UPLINK_CPU, cpu));
        }
    }
    let slow = state.hook_totals(Hook::SLOW_PATH, uplink.ifindex)?;
    if !slow.is_empty() {
        hooks.push((Hook::SLOW_PATH, slow));
    }
    Ok(UplinkRow {
        name: uplink.name.clone(),
        mode: uplink::mode_name(uplink.mode),
        passed: passed_total,
        drops: all_drops(&hooks),
        hooks: hook_rows(&hooks),
    })
}

fn transit(state: &State) -> anyhow::Result<Vec<TransitRow>> {
    let mut rows = Vec::new();
    for (ifindex, name) in state.transit_interfaces()? {
        let totals = state.hook_totals(Hook::TRANSIT_TC, ifindex)?;
        rows.push(TransitRow { name, passed: passed(&totals), drops: dropped(&totals) });
    }
    Ok(rows)
}

fn unregistered(state: &State) -> anyhow::Result<Vec<HookRow>> {
    let mut rows = Vec::new();
    for hook in Hook::ALL.into_iter().chain([Hook::SLOW_PATH]) {
        let row = hook_row(hook, &state.hook_totals(hook, IfIndex::NONE)?);
        if !row.passed.is_empty() || !row.drops.is_empty() {
            rows.push(row);
        }
    }
    Ok(rows)
}

fn all_drops(hooks: &[(Hook, HookTotals)]) -> Reasons {
    let mut drops = Reasons::new();
    for (reason, count) in hooks.iter().flat_map(|(_, totals)| &totals.drops) {
        *drops.entry(reason.label()).or_default() += count;
    }
    drops
}

fn hook_rows(hooks: &[(Hook, HookTotals)]) -> Vec<HookRow> {
    hooks.iter().map(|(hook, totals)| hook_row(*hook, totals)).collect()
}

fn hook_row(hook: Hook, totals: &HookTotals) -> HookRow {
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
