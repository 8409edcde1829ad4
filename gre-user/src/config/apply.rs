//! Makes the state what a file says.

use anyhow::{anyhow, bail};

use super::{
    difference::{Change, Step, difference, steps},
    export,
    model::{Item, Model},
};
use crate::{
    datapath::Error,
    manage::{self, Host},
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

/// Whether all interfaces are there, or will be: the commonest cause to fail is found before any packet is lost.
async fn check_interfaces(host: &Host, file: &Model, changes: &[Change]) -> anyhow::Result<()> {
    let is_created = |name: &str| {
        let mut items = file.values();
        items.any(|item| matches!(item, Item::Port(port) if port.create && port.name == name))
    };
    for step in steps(changes) {
        let Step::Add(item) = &step else { continue };
        for name in item.interfaces() {
            if !is_created(name) && host.netlink.link(name).await?.is_none() {
                let cause = anyhow::Error::from(Error::UnknownInterface(name.to_owned()));
                return Err(cause.context(doing(&step)));
            }
        }
    }
    Ok(())
}

/// Makes all changes, or none.
///
/// # Errors
/// A change fails; those before it are undone then. Created devices keep their addresses, counters begin anew.
pub async fn apply(mut host: Host, changes: &[Change]) -> anyhow::Result<()> {
    let mut done = Vec::new();
    for step in steps(changes) {
        if let Err(cause) = take(&mut host, &step).await {
            let undone = undo(&mut host, done).await;
            let finished = host.finish().await;
            let cause = cause.context(doing(&step));
            return Err(match undone.and(finished) {
                Ok(()) => anyhow!("{cause:#}; nothing has changed"),
                Err(error) => anyhow!(
                    "{cause:#}; and what was done before cannot be undone: {error:#}; `xgre export` shows what is left"
                ),
            });
        }
        done.push(step);
    }
    host.finish().await
}

/// Takes back what was done, and goes on where that fails.
async fn undo(host: &mut Host, done: Vec<Step>) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for step in done.into_iter().rev().map(Step::inverse) {
        if let Err(cause) = take(host, &step).await {
            failures.push(format!("{:#}", cause.context(doing(&step))));
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    Ok(())
}

async fn take(host: &mut Host, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Add(item) => add(host, item).await,
        Step::Delete(item) => delete(host, item).await,
        Step::Modify(_, after) => modify(host, after),
    }
}

async fn add(host: &mut Host, item: &Item) -> anyhow::Result<()> {
    match item {
        Item::Tunnel(tunnel) => manage::tunnel::add(host, tunnel).await,
        Item::Tenant(tenant) => manage::tenant::add(host, tenant).await,
        Item::Port(port) => manage::port::add(host, port).await,
        Item::Route(route) => manage::route::add(&mut host.state, route),
        Item::Fdb(fdb) => manage::fdb::add(&mut host.state, fdb),
        Item::Neigh(neigh) => manage::neighbour::add(&mut host.state, neigh),
        Item::Transit(rule) => manage::transit::add(host, rule).await,
    }
}

async fn delete(host: &mut Host, item: &Item) -> anyhow::Result<()> {
    match item {
        Item::Tunnel(tunnel) => Ok(host.state.delete_tunnel(&tunnel.name)?),
        Item::Tenant(tenant) => Ok(host.state.delete_tenant(&tenant.name)?),
        Item::Port(port) => manage::port::delete(host, &port.tenant, &port.device()).await,
        Item::Route(route) => manage::route::delete(&mut host.state, &route.tenant, route.prefix),
        Item::Fdb(fdb) => manage::fdb::delete(&mut host.state, &fdb.tenant, fdb.mac),
        Item::Neigh(neigh) => manage::neighbour::delete(&mut host.state, &neigh.tenant, neigh.ip),
        Item::Transit(rule) => manage::transit::delete(host, &rule.packets).await,
    }
}

fn modify(host: &mut Host, item: &Item) -> anyhow::Result<()> {
    match item {
        Item::Tunnel(tunnel) => manage::tunnel::change(host, tunnel),
        _ => bail!("{} cannot change; delete it and add it anew", item.id()),
    }
}

/// "cannot add tunnel to-b"
fn doing(step: &Step) -> String {
    match step {
        Step::Add(item) => format!("cannot add {}", item.id()),
        Step::Delete(item) => format!("cannot delete {}", item.id()),
        Step::Modify(_, item) => format!("cannot change {}", item.id()),
    }
}
