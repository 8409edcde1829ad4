//! Changes to the store, and what it counts.

use std::ops::AddAssign;

use anyhow::{Context, Result};
use etcd_client::Client;
use gre_common::wire::gre::GreKey;
use gre_user::{
    fleet::{
        edit::{self, NewTenant},
        entry::{Endpoint, Port},
        options::Options,
    },
    value::{Key, Service},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    task::{JoinSet, LocalSet, spawn_blocking},
};

use crate::cloud::{self, Host, Move, Slot};

/// Changes that are under way at the same time.
const WRITERS: usize = 32;

/// The store.
pub struct Store {
    options: Options,
}

/// What its members count, all together.
#[derive(Debug, Default)]
pub struct Counted {
    /// Watches.
    pub watchers: f64,
    /// Bytes sent to hosts.
    pub sent: f64,
    /// Memory in bytes.
    pub memory: f64,
}

impl Store {
    /// Where it is.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Defines tenants and ports.
    pub async fn define(&self, tenants: usize, ports: Vec<(Slot, Host)>) -> Result<()> {
        self.each((0..tenants).collect(), async |client, number| {
            let new = NewTenant {
                name: cloud::tenant(number),
                key: Some(Key(GreKey(number as u32 + 1))),
                service: Service::L3,
                hosts: Vec::new(),
                prefixes: Vec::new(),
            };
            edit::add_tenant(client, &new).await.map(drop)
        })
        .await?;
        self.each(ports, async |client, (slot, host)| add(client, slot, host).await).await
    }

    /// Moves ports.
    pub async fn carry_out(&self, moves: &[Move]) -> Result<()> {
        self.each(moves.to_vec(), async |client, Move { slot, from, to }| {
            add(client, slot, to).await?;
            edit::delete_port(client, &cloud::host(from), &slot.iface()).await
        })
        .await
    }

    /// Does something for each of many, some at the same time, in a thread that the hosts do not share.
    async fn each<T: Copy + Send + 'static>(
        &self,
        all: Vec<T>,
        act: impl AsyncFn(&mut Client, T) -> Result<()> + Copy + Send + 'static,
    ) -> Result<()> {
        let options = self.options.clone();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let write = move || LocalSet::new().block_on(&runtime, write(&options, &all, act));
        spawn_blocking(write).await?
    }

    /// What the members say to Prometheus.
    pub async fn counted(&self) -> Result<Counted> {
        let mut all = Counted::default();
        for endpoint in &self.options.endpoints {
            all += of_member(endpoint).await.with_context(|| format!("metrics of {endpoint}"))?;
        }
        Ok(all)
    }
}

impl AddAssign for Counted {
    fn add_assign(&mut self, more: Self) {
        self.watchers += more.watchers;
        self.sent += more.sent;
        self.memory += more.memory;
    }
}

async fn write<T: Copy + 'static>(
    options: &Options,
    all: &[T],
    act: impl AsyncFn(&mut Client, T) -> Result<()> + Copy + 'static,
) -> Result<()> {
    let mut writers = JoinSet::new();
    for part in all.chunks(all.len().div_ceil(WRITERS).max(1)) {
        let part = part.to_vec();
        let mut client = options.connect().await?;
        writers.spawn_local(async move {
            for one in part {
                act(&mut client, one).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok(())
}

async fn add(client: &mut Client, slot: Slot, host: Host) -> Result<()> {
    let endpoint = Endpoint { mac: None, addresses: vec![slot.address()] };
    let port = Port { tenant: slot.tenant(), create: false, endpoint };
    edit::add_port(client, &cloud::host(host), &slot.iface(), &port).await
}

async fn of_member(endpoint: &str) -> Result<Counted> {
    let mut stream = TcpStream::connect(endpoint).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let metric = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).with_context(|| format!("no {name}"))
    };
    Ok(Counted {
        watchers: metric("etcd_debugging_mvcc_watcher_total")?,
        sent: metric("etcd_network_client_grpc_sent_bytes_total")?,
        memory: metric("process_resident_memory_bytes")?,
    })
}
