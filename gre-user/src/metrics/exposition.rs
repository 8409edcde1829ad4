//! Writes the metrics down. Each has one line in `docs/monitoring.md`.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use gre_common::{
    tables::{SCHEMA_VERSION, TenantId},
    verdict::{DropReason, Notice},
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{
    ledger::Ledger,
    writer::{Label, Writer},
};
use crate::{
    fleet::standing::{Figures, Standing},
    state::{
        tunnel::{Health, Named},
        uplink,
    },
    totals::{HookCount, Interface, Port, Tenant, sum},
};

/// The metrics of the last reading.
#[derive(Debug)]
pub struct Exposition {
    /// What there is to tell.
    pub ledger: Arc<Mutex<Ledger>>,
    /// Names of the uplinks that `run` was given.
    pub uplinks: Vec<String>,
    /// What this host is called in the fleet that it follows, and how it stands there.
    pub fleet: Option<(String, Standing)>,
    /// When the daemon began, in seconds since 1970.
    pub begin: f64,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = Writer(encoder);
        self.daemon(&mut writer, &ledger)?;
        tenants(&mut writer, &ledger)?;
        sums(&mut writer, "xgre_tenants", "All tenants", &ledger.all)?;
        let others = "Tenants without metrics of their own";
        sums(&mut writer, "xgre_tenants_other", others, &ledger.others)?;
        tunnels(&mut writer, &ledger)?;
        ports(&mut writer, &ledger)?;
        self.uplinks(&mut writer, &ledger)?;
        others_hooks(&mut writer, &ledger)?;
        self.fleet(&mut writer)
    }
}

impl Exposition {
    fn daemon(&self, writer: &mut Writer<'_>, ledger: &Ledger) -> fmt::Result {
        let schema = SCHEMA_VERSION.to_string();
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("schema", &schema)];
        writer.gauges(
            "xgre_build_info",
            "Version of xgre and of its map schema.",
            [(labels, 1)],
        )?;
        let begin = "When the daemon began, in seconds since 1970.";
        writer.gauge("xgre_start_time_seconds", begin, self.begin)?;
        let reading = &ledger.reading;
        let took = reading.took.as_secs_f64();
        writer.gauge("xgre_read_seconds", "How long it took to read the maps.", took)?;
        let locked = reading.locked.as_secs_f64();
        let help = "How long the state was locked for that; commands wait.";
        writer.gauge("xgre_read_locked_seconds", help, locked)?;
        let used = reading.maps.iter().filter_map(|it| Some(([("map", it.what)], it.used?)));
        writer.gauges("xgre_map_entries", "Entries of a map; of fdb the learned ones.", used)?;
        let room = reading.maps.iter().map(|it| ([("map", it.what)], it.room));
        writer.gauges("xgre_map_max_entries", "Entries that a map has room for.", room)?;
        let drops = ledger.drops.iter().map(|(it, count)| ([("reason", it.label())], *count));
        let help = "Every packet dropped on this host, by reason, since the daemon began.";
        writer.counters("xgre_drops", help, drops)
    }

    fn fleet(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let fleet = self.fleet.as_ref().map(|(host, it)| ([("host", host.as_str())], it.figures()));
        let each = |of: fn(&Figures) -> u64| fleet.iter().map(move |(host, it)| (*host, of(it)));
        let help = "1 while the fleet's store is there; else packets go on by what was known last.";
        writer.gauges("xgre_fleet_up", help, each(|it| it.is_there.into()))?;
        let help = "How often the fleet's store was connected to.";
        writer.counters("xgre_fleet_sessions", help, each(|it| it.sessions))?;
        let help = "The store's revision that was last acted on.";
        writer.gauges("xgre_fleet_revision", help, each(|it| it.revision.unsigned_abs()))?;
        let help = "Hosts of the fleet that there are tunnels to.";
        writer.gauges("xgre_fleet_peers", help, each(|it| it.peers as u64))?;
        let help = "Entries of the fleet that are left out, and addresses that two claim.";
        writer.gauges("xgre_fleet_problems", help, each(|it| it.problems as u64))?;
        let help = "How many of those there have been since the daemon began.";
        writer.counters("xgre_fleet_problems_told", help, each(|it| it.told))
    }

    fn uplinks(&self, writer: &mut Writer<'_>, ledger: &Ledger) -> fmt::Result {
        let there = &ledger.reading.uplinks;
        let is_up = |name: &String| there.iter().any(|uplink| uplink.interface.name == *name);
        let up =
            self.uplinks.iter().map(|name| ([("uplink", name.as_str())], u64::from(is_up(name))));
        let help = "1 where the programs are attached to the uplink, 0 where it is not there.";
        writer.gauges("xgre_uplink_up", help, up)?;
        let modes = there.iter().map(|it| {
            ([("uplink", it.interface.name.as_str()), ("mode", uplink::mode_name(it.mode))], 1)
        });
        writer.gauges("xgre_uplink_info", "How packets are taken off the uplink.", modes)?;
        let hooks: Vec<_> = there
            .iter()
            .flat_map(|uplink| {
                of_hooks(&uplink.interface)
                    .map(|it| ([("uplink", uplink.interface.name.as_str())], it))
            })
            .collect();
        hook_counters(writer, "xgre_uplink", "an uplink's hook", &hooks)
    }
}

fn tenants(writer: &mut Writer<'_>, ledger: &Ledger) -> fmt::Result {
    let all = ledger.reading.tenants.iter();
    let own: Vec<_> = all.filter(|tenant| ledger.own.contains(&tenant.id)).collect();
    let mut traffic = |name: &str, help: &str, of: fn(&Tenant) -> u64| {
        writer.counters(name, help, own.iter().map(|it| ([("tenant", it.name.as_str())], of(it))))
    };
    let name = "xgre_tenant_rx_packets";
    traffic(name, "Packets decapsulated for a tenant.", |it| it.totals.received.packets)?;
    let name = "xgre_tenant_rx_bytes";
    traffic(name, "Inner bytes decapsulated for a tenant.", |it| it.totals.received.bytes)?;
    let name = "xgre_tenant_tx_packets";
    traffic(name, "Packets encapsulated for a tenant.", |it| it.totals.sent.packets)?;
    let name = "xgre_tenant_tx_bytes";
    traffic(name, "Inner bytes encapsulated for a tenant.", |it| it.totals.sent.bytes)?;
    let drops = own.iter().flat_map(|tenant| {
        let labels = |label| [("tenant", tenant.name.as_str()), ("reason", label)];
        tenant.totals.drops.iter().map(move |(reason, count)| (labels(reason.label()), *count))
    });
    writer.counters("xgre_tenant_drops", "A tenant's packets dropped, by reason.", drops)?;
    let notices = own.iter().flat_map(|tenant| {
        let labels = |label| [("tenant", tenant.name.as_str()), ("notice", label)];
        tenant.totals.notices.iter().map(move |(notice, count)| (labels(notice.label()), *count))
    });
    let help = "What else there is to say of a tenant's packets.";
    writer.counters("xgre_tenant_notices", help, notices)
}

fn sums(writer: &mut Writer<'_>, prefix: &str, whose: &str, sum: &sum::Tenants) -> fmt::Result {
    for (what, means, value) in [
        ("rx_packets", "packets decapsulated", sum.received.packets),
        ("rx_bytes", "inner bytes decapsulated", sum.received.bytes),
        ("tx_packets", "packets encapsulated", sum.sent.packets),
        ("tx_bytes", "inner bytes encapsulated", sum.sent.bytes),
    ] {
        let help = format!("{whose}: {means} since the daemon began.");
        writer.counter(&format!("{prefix}_{what}"), &help, value)?;
    }
    let count = |reason| sum.drops.get(&reason).copied().unwrap_or_default();
    let drops = DropReason::ALL.iter().map(|&it| ([("reason", it.label())], count(it)));
    let help = format!("{whose}: packets dropped since the daemon began, by reason.");
    writer.counters(&format!("{prefix}_drops"), &help, drops)?;
    let count = |notice| sum.notices.get(&notice).copied().unwrap_or_default();
    let notices = Notice::ALL.iter().map(|&it| ([("notice", it.label())], count(it)));
    let help = format!("{whose}: what else there is to say of packets since the daemon began.");
    writer.counters(&format!("{prefix}_notices"), &help, notices)
}

fn tunnels(writer: &mut Writer<'_>, ledger: &Ledger) -> fmt::Result {
    let tunnels = &ledger.reading.tunnels;
    let in_state = |state| tunnels.iter().filter(|it| Health::of(&it.tunnel) == state).count();
    let states = Health::ALL.map(|state| ([("state", state.name())], in_state(state) as u64));
    writer.gauges("xgre_tunnels", "Tunnels in a state.", states)?;
    let own = own_tunnels(ledger);
    let mut each = |name: &str, help: &str, of: &dyn Fn(&Named) -> Option<u64>| {
        let value = |it: &Named| Some(([("tunnel", it.name.clone())], of(it)?));
        writer.gauges(name, help, own.iter().filter_map(|it| value(it)))
    };
    each(
        "xgre_tunnel_up",
        "0 where a tunnel has no route, or its keepalive is not answered.",
        &|it| Some(Health::of(&it.tunnel).is_up().into()),
    )?;
    each("xgre_tunnel_keepalive_up", "1 where a tunnel's keepalive is answered.", &|it| {
        let keepalive = it.tunnel.keepalive;
        (keepalive.period > 0).then_some((keepalive.down == 0).into())
    })?;
    let help = "1 where the next hop's MAC address is known.";
    each("xgre_tunnel_next_hop_resolved", help, &|it| {
        Some((it.tunnel.next_hop.state == gre_common::tables::HopState::RESOLVED).into())
    })?;
    each("xgre_tunnel_tenants", "Tenants on a tunnel.", &|it| Some(it.tunnel.tenants.into()))?;
    let ends = |it: &&Named| {
        let [local, remote] = [it.tunnel.local, it.tunnel.remote];
        let [local, remote] = [local, remote].map(|end| std::net::IpAddr::from(end).to_string());
        ([("tunnel", it.name.clone()), ("local", local), ("remote", remote)], 1)
    };
    writer.gauges("xgre_tunnel_info", "Where a tunnel ends.", own.iter().map(ends))?;
    let received = |it: &&Named| ledger.tunnels.get(&it.name).copied().unwrap_or_default();
    let label = |it: &&Named| [("tunnel", it.name.clone())];
    let packets = own.iter().map(|it| (label(it), received(it).packets));
    let help = "Packets that came by a tunnel since the daemon began.";
    writer.counters("xgre_tunnel_rx_packets", help, packets)?;
    let bytes = own.iter().map(|it| (label(it), received(it).bytes));
    let help = "Inner bytes that came by a tunnel since the daemon began.";
    writer.counters("xgre_tunnel_rx_bytes", help, bytes)
}

/// Those that are not up, then those by which most came.
fn own_tunnels(ledger: &Ledger) -> Vec<&Named> {
    let rank = |it: &&Named| {
        let received = ledger.tunnels.get(&it.name).map_or(0, |received| received.bytes);
        (Health::of(&it.tunnel).is_up(), std::cmp::Reverse(received))
    };
    let mut own: Vec<_> = ledger.reading.tunnels.iter().collect();
    own.sort_by_key(rank);
    own.truncate(ledger.limit());
    own.sort_by(|a, b| a.name.cmp(&b.name));
    own
}

fn ports(writer: &mut Writer<'_>, ledger: &Ledger) -> fmt::Result {
    let names: HashMap<TenantId, &str> =
        ledger.reading.tenants.iter().map(|it| (it.id, it.name.as_str())).collect();
    let own = ledger.reading.ports.iter().filter(|port| ledger.own.contains(&port.tenant));
    let hooks = own.take(ledger.limit()).flat_map(|Port { interface, tenant }| {
        let tenant = names.get(tenant).copied().unwrap_or_default();
        let labels = [("tenant", tenant), ("port", interface.name.as_str())];
        of_hooks(interface).map(move |it| (labels, it))
    });
    hook_counters(writer, "xgre_port", "a port's hook", &hooks.collect::<Vec<_>>())?;
    let passed = ledger.ports.iter().flat_map(|(hook, sum)| {
        let labels = |reason| [("hook", *hook), ("reason", reason)];
        sum.passed.iter().map(move |(reason, count)| (labels(reason.label()), *count))
    });
    let help = "Packets that the ports' hooks passed on since the daemon began.";
    writer.counters("xgre_ports_passed", help, passed)?;
    let drops = ledger.ports.iter().flat_map(|(hook, sum)| {
        let labels = |reason| [("hook", *hook), ("reason", reason)];
        sum.drops.iter().map(move |(reason, count)| (labels(reason.label()), *count))
    });
    let help = "Packets of no tenant that the ports' hooks dropped since the daemon began.";
    writer.counters("xgre_ports_drops", help, drops)
}

fn others_hooks(writer: &mut Writer<'_>, ledger: &Ledger) -> fmt::Result {
    let transit: Vec<_> = ledger
        .reading
        .transit
        .iter()
        .flat_map(|it| of_hooks(it).map(|hook| ([("interface", it.name.as_str())], hook)))
        .collect();
    hook_counters(writer, "xgre_transit", "the hook of an interface with transit rules", &transit)?;
    let unregistered: Vec<([Label<'_>; 0], _)> =
        ledger.reading.unregistered.iter().map(|hook| ([], hook)).collect();
    let whose = "a hook of an interface that is neither port nor uplink (any more)";
    hook_counters(writer, "xgre_unregistered", whose, &unregistered)
}

fn of_hooks(interface: &Interface) -> impl Iterator<Item = &HookCount> {
    interface.hooks.iter()
}

/// What hooks passed and dropped of packets that no tenant was charged with.
fn hook_counters<const N: usize>(
    writer: &mut Writer<'_>,
    prefix: &str,
    whose: &str,
    hooks: &[([Label<'_>; N], &HookCount)],
) -> fmt::Result {
    let labels = |hook: &HookCount, reason| [("hook", hook.hook.name()), ("reason", reason)];
    let passed = hooks.iter().flat_map(|(own, hook)| {
        let series = hook.totals.passed.iter();
        series.map(move |(reason, count)| ((*own, labels(hook, reason.label())), *count))
    });
    let help = format!("Packets that {whose} passed on, by reason.");
    writer.counters(&format!("{prefix}_passed"), &help, passed)?;
    let drops = hooks.iter().flat_map(|(own, hook)| {
        let series = hook.totals.drops.iter();
        series.map(move |(reason, count)| ((*own, labels(hook, reason.label())), *count))
    });
    let help = format!("Packets of no tenant that {whose} dropped, by reason.");
    writer.counters(&format!("{prefix}_drops"), &help, drops)
}
