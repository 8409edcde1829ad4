//! Makes the state what a file says.
//!
//! What is new is made ready first: devices with programs that let everything pass, next hops. Then the tables change
//! [together](crate::state::change). What is not needed any more goes last, when nothing can fail any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, anyhow, bail};
use gre_common::tables::{IfIndex, Service, TenantId};

use super::{
    difference::{Change, difference},
    export,
    model::{Item, Kind, Model, Port, Tenant},
};
use crate::{
    datapath::{self, Error},
    manage::{
        self, Host,
        device::{self, Shape},
        port::{Owner, Ready},
        tunnel::Surroundings,
    },
    state::{
        self,
        change::Changes,
        port::{Named, Origin},
    },
};

/// What has to change for the state to be what a file says.
///
/// # Errors
/// An interface is missing, or the kernel refuses.
pub async fn plan(host: &Host, mut file: Model) -> anyhow::Result<Vec<Change>> {
    export::settle(&mut file, host).await?;
    let changes = difference(&export::model(host).await?, &file);
    check_interfaces(host, &file, &changes).await?;
    Ok(changes)
}

/// Whether all interfaces are there, or will be: the commonest cause to fail is found before anything is made.
async fn check_interfaces(host: &Host, file: &Model, changes: &[Change]) -> anyhow::Result<()> {
    let created: BTreeSet<_> = file.values().filter_map(created).collect();
    for change in changes {
        let interfaces = change.after().map(Item::interfaces).unwrap_or_default();
        for name in interfaces.into_iter().filter(|name| !created.contains(name)) {
            if host.netlink.link(name).await?.is_none() {
                let cause = anyhow::Error::from(Error::UnknownInterface(name.to_owned()));
                return Err(cause.context(change.to_string()));
            }
        }
    }
    Ok(())
}

/// The device that is made for an item.
fn created(item: &Item) -> Option<&str> {
    match item {
        Item::Port(port) if port.create => Some(&port.name),
        _ => None,
    }
}

/// Makes all changes, or none.
///
/// # Errors
/// A change fails; what was done before it is undone then.
pub async fn apply(mut host: Host, changes: &[Change]) -> anyhow::Result<()> {
    let mut done = Done::default();
    let Err(cause) = make(&mut host, changes, &mut done).await else {
        return finish(&mut host, done).await;
    };
    Err(match undo(&mut host, changes, done).await {
        Ok(()) => anyhow!("{cause:#}; nothing has changed"),
        Err(error) => anyhow!(
            "{cause:#}; and what was done before cannot be undone: {error:#}; `xgre export` shows what is left"
        ),
    })
}

/// What was done.
#[derive(Default)]
struct Done {
    ready: Vec<Ready>,
    /// Rules for what passes through.
    rules: Vec<Change>,
    /// What takes back what the tables have become.
    back: Changes,
    /// Devices of ports, with what they were like and are to be like.
    reshaped: Vec<Reshaped>,
    /// Ports that are none any more.
    left: Vec<Named>,
}

/// A device of a port, and what its tenant wants it to be like.
struct Reshaped {
    ifindex: IfIndex,
    name: String,
    before: Shape,
    after: Shape,
}

async fn make(host: &mut Host, changes: &[Change], done: &mut Done) -> anyhow::Result<()> {
    let mut wanted = Changes::default();
    tunnels(host, changes, &mut wanted).await?;
    tenants(changes, &mut wanted);
    routes(changes, &mut wanted);
    let shapes = Shapes::new(host, changes, &wanted)?;
    ports(host, changes, &shapes, &mut wanted, done).await?;
    flood(host, &shapes, &wanted).await?;
    // On devices that were just made, too.
    rules(host, changes, false, done).await?;
    let before = shapes.of_created(host)?;
    done.left = left(host, &wanted)?;
    done.back = host.state.change(&wanted)?;
    reshape(host, before, done).await?;
    tell(host, changes)?;
    rules(host, changes, true, done).await
}

/// Takes back what was done, and goes on where that fails.
async fn undo(host: &mut Host, changes: &[Change], done: Done) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    let mut note = |result: anyhow::Result<()>| failures.extend(result.err());
    note(host.state.change(&done.back).map(drop).map_err(Into::into));
    // What is known of a tenant goes with it, and is the same when it is said again.
    let inverses: Vec<_> = changes.iter().cloned().map(Change::inverse).collect();
    note(tell(host, &inverses));
    for change in done.rules.into_iter().rev().map(Change::inverse) {
        note(rule(host, &change).await.with_context(|| change.to_string()));
    }
    for Reshaped { ifindex, name, before, after } in done.reshaped {
        note(device::reshape(host, ifindex, &name, after, before).await);
    }
    for ready in done.ready.into_iter().rev() {
        note(manage::port::take_back(host, ready).await);
    }
    if !failures.is_empty() {
        let failures: Vec<_> = failures.iter().map(|failure| format!("{failure:#}")).collect();
        bail!("{}", failures.join("; "));
    }
    Ok(())
}

/// Removes what nobody needs any more.
async fn finish(host: &mut Host, done: Done) -> anyhow::Result<()> {
    let used: BTreeSet<_> = done.ready.iter().map(Ready::ifindex).collect();
    for port in done.left.iter().filter(|port| !used.contains(&port.ifindex())) {
        manage::port::leave(host, port).await?;
    }
    Ok(())
}

/// Finds the next hops of tunnels.
async fn tunnels(host: &Host, changes: &[Change], wanted: &mut Changes) -> anyhow::Result<()> {
    let mut around = None;
    for change in changes.iter().filter(|change| change.id().kind == Kind::Tunnel) {
        let record = match change.after() {
            Some(Item::Tunnel(tunnel)) => {
                if around.is_none() {
                    around = Some(Surroundings::of(host).await?);
                }
                let Some(around) = &around else { continue };
                let record = manage::tunnel::resolved(host, tunnel, around).await;
                let record = record.with_context(|| change.to_string())?;
                if change.before().is_none() {
                    manage::tunnel::warn(host, tunnel, &record).await?;
                }
                Some(record)
            }
            _ => None,
        };
        wanted.tunnels.insert(change.id().name, record);
    }
    Ok(())
}

fn tenants(changes: &[Change], wanted: &mut Changes) {
    for change in changes.iter().filter(|change| change.id().kind == Kind::Tenant) {
        let tenant = match change.after() {
            Some(Item::Tenant(tenant)) => Some(manage::tenant::described(tenant)),
            _ => None,
        };
        wanted.tenants.insert(change.id().name, tenant);
    }
}

fn routes(changes: &[Change], wanted: &mut Changes) {
    for change in changes {
        let (Some(Item::Route(route)), after) =
            (change.after().or_else(|| change.before()), change.after())
        else {
            continue;
        };
        let ways = after.map(|_| manage::route::ways(route));
        wanted.routes.insert((route.tenant.clone(), route.prefix.0), ways);
    }
}

/// What the devices of tenants are to be like.
struct Shapes {
    /// Tenants of the file that are there or will be.
    owners: HashMap<String, Owner>,
    /// Whether a device that stays may have to change.
    may_change: bool,
}

impl Shapes {
    fn new(host: &Host, changes: &[Change], wanted: &Changes) -> anyhow::Result<Self> {
        let mut slots = host.state.free_tenants();
        let mut owners = HashMap::new();
        let names: HashMap<_, _> =
            host.state.tunnels().into_iter().map(|tunnel| (tunnel.id, tunnel.name)).collect();
        for name in changes.iter().filter_map(tenant_of).collect::<BTreeSet<_>>() {
            let there = host.state.find_tenant(name)?;
            let (tenant, tunnels) = match (wanted.tenants.get(name), &there) {
                (Some(Some(wanted)), _) => (wanted.new.record(), wanted.tunnels.clone()),
                (_, Some(there)) => {
                    let ids = host.state.tunnels_of(&there.tenant).into_iter();
                    (there.tenant, ids.filter_map(|id| names.get(&id).cloned()).collect())
                }
                _ => continue,
            };
            let mut records = Vec::with_capacity(tunnels.len());
            for tunnel in &tunnels {
                records.push(match wanted.tunnels.get(tunnel) {
                    Some(Some(record)) => *record,
                    _ => host.state.tunnel(tunnel)?.tunnel,
                });
            }
            let id = there.map(|there| there.id).or_else(|| slots.next()).unwrap_or(TenantId::NONE);
            let shape = Shape::new(&tenant, &records);
            owners.insert(name.to_owned(), Owner { id, service: tenant.service, shape });
        }
        let may_change = changes.iter().any(|change| {
            change.before().is_some() && change.after().is_some() && change.id().kind <= Kind::Port
        });
        Ok(Self { owners, may_change })
    }

    /// The devices that xgre made, with what their tenants want now.
    fn of_created(&self, host: &Host) -> anyhow::Result<BTreeMap<IfIndex, (String, Shape)>> {
        if !self.may_change {
            return Ok(BTreeMap::new());
        }
        let created = host.state.ports()?.into_iter().filter(|port| port.record.created != 0);
        let shaped = created.map(|port| {
            let tenant = host.state.tenant_at(port.record.tenant);
            (port.ifindex(), (port.name, Shape::of(&host.state, &tenant)))
        });
        Ok(shaped.collect())
    }
}

/// The tenant whose devices a change is about.
fn tenant_of(change: &Change) -> Option<&str> {
    match change.after() {
        Some(Item::Port(Port { tenant, .. })) => Some(tenant),
        Some(Item::Tenant(Tenant { name, .. })) => Some(name),
        _ => None,
    }
}

/// Makes the devices of new ports ready, and finds out what others become.
async fn ports(
    host: &mut Host,
    changes: &[Change],
    shapes: &Shapes,
    wanted: &mut Changes,
    done: &mut Done,
) -> anyhow::Result<()> {
    let there: HashMap<_, _> =
        host.state.ports()?.into_iter().map(|port| (port.name.clone(), port)).collect();
    for change in changes.iter().filter(|change| change.id().kind == Kind::Port) {
        let name = change.id().name;
        let Some(Item::Port(port)) = change.after() else {
            wanted.ports.insert(name, None);
            continue;
        };
        let Some(owner) = shapes.owners.get(&port.tenant) else {
            bail!(state::Error::Unknown { kind: "tenant", name: port.tenant.clone() });
        };
        let same = there.get(&name).filter(|there| is_device(port, there));
        let ready = match same {
            Some(there) => manage::port::make_ready_again(host, port, there, owner.service).await,
            None => manage::port::make_ready(host, port, *owner).await,
        };
        let ready = ready.with_context(|| change.to_string())?;
        let (tenant, new) = (port.tenant.clone(), ready.new);
        wanted.ports.insert(name, Some(state::change::Port { tenant, new }));
        done.ready.push(ready);
    }
    Ok(())
}

/// Whether the device of a port is the one that it is to have.
fn is_device(port: &Port, there: &Named) -> bool {
    match Origin::of(&there.record) {
        Origin::Created => port.create,
        Origin::Vlan => !port.create,
        Origin::Existing => !port.create && port.vlan.is_none(),
    }
}

/// Sees to it that there is the device for floods, where there will be any.
async fn flood(host: &mut Host, shapes: &Shapes, wanted: &Changes) -> anyhow::Result<()> {
    let is_mesh =
        |it: &state::change::Tenant| it.new.service == Service::L2 && it.tunnels.len() != 1;
    let several = wanted.tenants.values().flatten().any(is_mesh);
    if several || has_several_ports(host, shapes, wanted)? {
        datapath::flood::ensure(&host.dir, &mut host.state, &host.netlink).await?;
    }
    Ok(())
}

/// Whether an l2 tenant that gets a port will have another one.
fn has_several_ports(host: &Host, shapes: &Shapes, wanted: &Changes) -> anyhow::Result<bool> {
    let mut ports: HashMap<&str, u32> = HashMap::new();
    let is_l2 = |name: &str| shapes.owners.get(name).is_some_and(|it| it.service == Service::L2);
    for port in wanted.ports.values().flatten().filter(|port| is_l2(&port.tenant)) {
        *ports.entry(&port.tenant).or_default() += 1;
    }
    if ports.is_empty() {
        return Ok(false);
    }
    let names = host.state.tenant_names();
    for there in host.state.ports()?.iter().filter(|it| !wanted.ports.contains_key(&it.name)) {
        let owner = names.get(&there.record.tenant);
        if let Some(ports) = owner.and_then(|owner| ports.get_mut(owner.as_str())) {
            *ports += 1;
        }
    }
    Ok(ports.into_values().any(|ports| ports > 1))
}

/// The ports that go, and those that get another device.
fn left(host: &Host, wanted: &Changes) -> anyhow::Result<Vec<Named>> {
    if wanted.ports.is_empty() {
        return Ok(Vec::new());
    }
    let mut ports = host.state.ports()?;
    ports.retain(|port| match wanted.ports.get(&port.name) {
        None => false,
        Some(None) => true,
        Some(Some(after)) => after.new.port.ifindex != port.ifindex(),
    });
    Ok(ports)
}

/// Makes devices what their tenants want now.
async fn reshape(
    host: &Host,
    before: BTreeMap<IfIndex, (String, Shape)>,
    done: &mut Done,
) -> anyhow::Result<()> {
    if before.is_empty() {
        return Ok(());
    }
    for port in host.state.ports()? {
        let (ifindex, tenant) = (port.ifindex(), host.state.tenant_at(port.record.tenant));
        let Some((_, before)) = before.get(&ifindex) else { continue };
        let (before, after) = (*before, Shape::of(&host.state, &tenant));
        if before != after {
            let name = port.name;
            done.reshaped.push(Reshaped { ifindex, name: name.clone(), before, after });
            device::reshape(host, ifindex, &name, before, after).await?;
        }
    }
    Ok(())
}

/// Says what is known of tenants, stations and neighbours, and forgets what is not any more.
fn tell(host: &mut Host, changes: &[Change]) -> anyhow::Result<()> {
    let is_known = |change: &&Change| matches!(change.id().kind, Kind::Fdb | Kind::Neigh);
    let (coming, going): (Vec<_>, Vec<_>) =
        changes.iter().filter(is_known).partition(|change| change.after().is_some());
    let mut neighbours = Vec::new();
    for change in going {
        match change.before() {
            Some(Item::Fdb(fdb)) => manage::fdb::forget(&mut host.state, fdb),
            Some(Item::Neigh(neigh)) => {
                neighbours.push(neigh);
                Ok(())
            }
            _ => Ok(()),
        }
        .with_context(|| change.to_string())?;
    }
    if !neighbours.is_empty() {
        manage::neighbour::forget(&mut host.state, &neighbours)?;
    }
    for change in coming {
        match change.after() {
            Some(Item::Fdb(fdb)) => manage::fdb::add(&mut host.state, fdb),
            Some(Item::Neigh(neigh)) => manage::neighbour::set(&mut host.state, neigh),
            _ => Ok(()),
        }
        .with_context(|| change.to_string())?;
    }
    Ok(())
}

/// Changes rules for what passes through; those that go, or the others.
async fn rules(
    host: &mut Host,
    changes: &[Change],
    goes: bool,
    done: &mut Done,
) -> anyhow::Result<()> {
    for change in changes.iter().filter(|change| change.id().kind == Kind::Transit) {
        if change.after().is_none() == goes {
            rule(host, change).await.with_context(|| change.to_string())?;
            done.rules.push(change.clone());
        }
    }
    Ok(())
}

async fn rule(host: &mut Host, change: &Change) -> anyhow::Result<()> {
    match (change.before(), change.after()) {
        (None, Some(Item::Transit(rule))) => manage::transit::add(host, rule).await,
        (Some(_), Some(Item::Transit(rule))) => manage::transit::change(host, rule).await,
        (Some(Item::Transit(rule)), None) => manage::transit::delete(host, &rule.packets).await,
        _ => Ok(()),
    }
}
