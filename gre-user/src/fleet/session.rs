//! One connection to the store, from its begin to its first error. What was read stays in the [`Mirror`]; the next session reads all of it
//! again, and what is the same is no change.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use etcd_client::{
    Client, DeleteOptions, Error, EventType, GetOptions, KeyValue, LeaseKeepAliveStream,
    LeaseKeeper, PutOptions, ResponseHeader, Txn, TxnOp, WatchOptions, WatchResponse, WatchStream,
};
use serde::Serialize;

use super::{
    entry::{Endpoint, Host, Path, Range, Status, published},
    mirror::{Mirror, Value},
    options::{Options, PATIENCE},
    wanted::{self, Me},
};

/// What comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(10);
/// The status of gRPC for what somebody else may do.
const PERMISSION_DENIED: i32 = 7;
/// Most messages that are one change.
const MANY: usize = 1000;

/// A connection, and what is watched by it.
pub(super) struct Session {
    client: Client,
    me: Me,
    lease: i64,
    keeper: LeaseKeeper,
    kept: LeaseKeepAliveStream,
    watches: Option<WatchStream>,
    following: BTreeMap<Range, i64>,
    last_watch: i64,
    /// The greatest revision that was seen.
    revision: i64,
    told: Option<Status>,
}

impl Session {
    /// Connects, and says that this host is there. It is taken for gone `ttl` after it was heard last.
    ///
    /// # Errors
    /// The store cannot be reached, or refuses.
    pub async fn begin(options: &Options, me: Me, ttl: Duration) -> anyhow::Result<Self> {
        let mut client = options.connect().await?;
        let lease = client.lease_grant(ttl.as_secs() as i64, None).await?.id();
        let (keeper, kept) = client.lease_keep_alive(lease).await?;
        let mut session = Self {
            client,
            me,
            lease,
            keeper,
            kept,
            watches: None,
            following: BTreeMap::new(),
            last_watch: 0,
            revision: 0,
            told: None,
        };
        let host = Host { addresses: session.me.addresses.clone(), is_static: false };
        session.put_leased(&Path::Host(session.me.name.clone()), &host).await?;
        Ok(session)
    }

    /// The greatest revision of the store that was seen.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Follows what the mirror says is to be followed, until that is all. True: something has changed.
    ///
    /// # Errors
    /// The session is over.
    pub async fn align(&mut self, mirror: &mut Mirror) -> anyhow::Result<bool> {
        let mut changed = false;
        loop {
            let wanted = wanted::followed(mirror, &self.me.name);
            let left: Vec<_> =
                self.following.keys().filter(|range| !wanted.contains(range)).cloned().collect();
            let new: Vec<_> =
                wanted.into_iter().filter(|range| !self.following.contains_key(range)).collect();
            if new.is_empty() && left.is_empty() {
                return Ok(changed);
            }
            for range in left {
                mirror.forget(&range);
                if let (Some(id), Some(watches)) =
                    (self.following.remove(&range), &mut self.watches)
                {
                    watches.cancel(id).await?;
                }
            }
            for range in new {
                changed |= self.follow(range, mirror).await?;
            }
        }
    }

    /// Reads a range, and watches it from there on.
    async fn follow(&mut self, range: Range, mirror: &mut Mirror) -> anyhow::Result<bool> {
        let options = range.is_prefix().then(|| GetOptions::new().with_prefix());
        let there = self.client.get(range.path.as_str(), options).await?;
        let revision = there.header().context("an answer without a revision")?.revision();
        self.revision = self.revision.max(revision);
        let entries: Vec<_> = there.kvs().iter().filter_map(entry).collect();
        let changed = mirror.replace(&range, &entries, Instant::now());
        self.last_watch += 1;
        let id = self.last_watch;
        let options = WatchOptions::new().with_watch_id(id).with_start_revision(revision + 1);
        let options = if range.is_prefix() { options.with_prefix() } else { options };
        match &mut self.watches {
            Some(watches) => watches.watch(range.path.as_str(), Some(options)).await?,
            None => {
                self.watches = Some(self.client.watch(range.path.as_str(), Some(options)).await?);
            }
        }
        self.following.insert(range, id);
        Ok(changed)
    }

    /// Waits for a change. True: something has changed that matters. Whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// The session is over: the connection is lost, or what was watched from is compacted.
    pub async fn next(&mut self, mirror: &mut Mirror) -> anyhow::Result<bool> {
        let Some(watches) = &mut self.watches else { bail!("nothing is watched") };
        let response = watches.message().await?.context("the store has ended the watch")?;
        ensure!(
            !response.canceled() || !self.following.values().any(|&id| id == response.watch_id()),
            "the store has ended a watch: {}",
            response.cancel_reason()
        );
        let header = response.header().map_or(0, ResponseHeader::revision);
        self.revision = self.revision.max(header);
        Ok(take(&response, mirror))
    }

    /// Takes what comes together with a change. True: something has changed that matters.
    ///
    /// # Errors
    /// As [`Session::next`].
    pub async fn settle(&mut self, mirror: &mut Mirror) -> anyhow::Result<bool> {
        let mut changed = false;
        for _ in 0..MANY {
            match tokio::time::timeout(SETTLE, self.next(mirror)).await {
                Ok(next) => changed |= next?,
                Err(_) => break,
            }
        }
        Ok(changed)
    }

    /// Says that this host is still there.
    ///
    /// # Errors
    /// The session is over: the store does not know it any more.
    pub async fn keep(&mut self) -> anyhow::Result<()> {
        self.keeper.keep_alive().await?;
        let kept = tokio::time::timeout(PATIENCE, self.kept.message()).await;
        let kept = kept.context("the store does not answer")??;
        let kept = kept.context("the store has ended the lease")?;
        ensure!(kept.ttl() > 0, "the lease has run out");
        Ok(())
    }

    /// Publishes this host's endpoints, and takes back those that it has no more. Returns which of them the store does not let it
    /// write.
    ///
    /// # Errors
    /// The session is over.
    pub async fn publish(
        &mut self,
        mirror: &Mirror,
        endpoints: &BTreeMap<(String, String), Endpoint>,
    ) -> anyhow::Result<Vec<String>> {
        let me = self.me.name.as_str();
        let mut writes = Vec::new();
        for ((tenant, iface), endpoint) in endpoints {
            let [path, claim] = published(me, tenant, iface);
            let is_there =
                mirror.get(&path).is_some_and(|it| it.value == Value::Endpoint(endpoint.clone()));
            if is_there && mirror.get(&claim).is_some() {
                continue;
            }
            let endpoint = serde_json::to_string(endpoint)?;
            let put = |path: &Path, text: &str| TxnOp::put(path.to_string(), text, None);
            writes.push((path.to_string(), vec![put(&path, &endpoint), put(&claim, "true")]));
        }
        for (tenant, iface) in mirror.claims(me) {
            if !endpoints.contains_key(&(tenant.to_owned(), iface.to_owned())) {
                let [path, claim] = published(me, tenant, iface);
                let delete = |path: Path| TxnOp::delete(path.to_string(), None::<DeleteOptions>);
                writes.push((path.to_string(), vec![delete(path), delete(claim)]));
            }
        }
        let mut refused = Vec::new();
        for (path, write) in writes {
            match self.client.txn(Txn::new().and_then(write)).await {
                Err(Error::GRpcStatus(status)) if status.code() as i32 == PERMISSION_DENIED => {
                    refused.push(format!("the store does not let this host write {path}"));
                }
                written => drop(written?),
            }
        }
        Ok(refused)
    }

    /// Says what this host makes of all this, if that is not what it said last.
    ///
    /// # Errors
    /// The session is over.
    pub async fn tell(&mut self, status: Status) -> anyhow::Result<()> {
        if self.told.as_ref() != Some(&status) {
            self.put_leased(&Path::Status(self.me.name.clone()), &status).await?;
            self.told = Some(status);
        }
        Ok(())
    }

    /// Says that this host goes.
    ///
    /// # Errors
    /// The store cannot be reached any more; then the lease runs out.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.client.lease_revoke(self.lease).await?;
        Ok(())
    }

    async fn put_leased(&mut self, path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
        let options = PutOptions::new().with_lease(self.lease);
        let text = serde_json::to_string(value)?;
        let put = self.client.put(path.to_string(), text, Some(options)).await;
        put.with_context(|| format!("cannot write {path}"))?;
        Ok(())
    }
}

/// Takes what has changed into the mirror. True: it matters.
fn take(response: &WatchResponse, mirror: &mut Mirror) -> bool {
    let mut changed = false;
    for event in response.events() {
        let Some((path, text, revision)) = event.kv().and_then(entry) else { continue };
        changed |= match event.event_type() {
            EventType::Put => mirror.put(&path, &text, revision),
            EventType::Delete => mirror.delete(&path, Instant::now()),
        };
    }
    changed
}

/// Path, text and revision.
fn entry(kv: &KeyValue) -> Option<(String, Vec<u8>, i64)> {
    Some((kv.key_str().ok()?.to_owned(), kv.value().to_vec(), kv.mod_revision()))
}
