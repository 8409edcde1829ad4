//! One connection to the store, from its begin to its first error. What was read stays in the [`Mirror`]; the next session reads all of it
//! again, and what is the same is no change.

use std::{
    collections::BTreeMap,
    slice,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use etcd_client::{
    Client, DeleteOptions, Error, EventType, GetOptions, KeyValue, LeaseKeepAliveStream,
    LeaseKeeper, PutOptions, ResponseHeader, Txn, TxnOp, TxnOpResponse, WatchOptions,
    WatchResponse, WatchStream,
};
use serde::Serialize;
use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};

use super::{
    entry::{Endpoint, Host, Path, Range, Status, published},
    mirror::{Mirror, Value},
    options::{MUCH_PATIENCE, OPERATIONS, Options},
    wanted::{self, Me},
};

/// How long a host is taken for there after it was heard last.
const TTL: Duration = Duration::from_secs(15);
/// How often it is heard.
const PULSE: Duration = Duration::from_secs(4);
/// The status of gRPC for what somebody else may do.
const PERMISSION_DENIED: i32 = 7;
/// Most that one answer may hold, in bytes.
const ANSWER: usize = 64 << 20;

/// A connection, and what is watched by it.
pub(super) struct Session {
    client: Client,
    me: Me,
    lease: i64,
    heart: JoinHandle<anyhow::Error>,
    watches: Option<WatchStream>,
    following: BTreeMap<Range, i64>,
    last_watch: i64,
    /// The greatest revision that was seen.
    revision: i64,
    told: Option<Status>,
}

impl Session {
    /// Connects, and says that this host is there, from now on.
    ///
    /// # Errors
    /// The store cannot be reached, or refuses.
    pub async fn begin(options: &Options, me: Me) -> anyhow::Result<Self> {
        let mut client = options.connect().await?;
        let lease = client.lease_grant(TTL.as_secs() as i64, None).await?.id();
        let (keeper, kept) = client.lease_keep_alive(lease).await?;
        // Whatever else takes long.
        let heart = tokio::spawn(beat(keeper, kept));
        let mut session = Self {
            client,
            me,
            lease,
            heart,
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
            for part in new.chunks(OPERATIONS) {
                changed |= self.follow(part, mirror).await?;
            }
        }
    }

    /// Reads ranges, and watches them from there on.
    async fn follow(&mut self, ranges: &[Range], mirror: &mut Mirror) -> anyhow::Result<bool> {
        let read = |range: &Range| {
            let options = range.is_prefix().then(|| GetOptions::new().with_prefix());
            TxnOp::get(range.path.as_str(), options)
        };
        let reads: Vec<_> = ranges.iter().map(read).collect();
        let mut client = self.client.kv_client().max_decoding_message_size(ANSWER);
        let there = client.txn(Txn::new().and_then(reads)).await?;
        let revision = there.header().context("an answer without a revision")?.revision();
        self.revision = self.revision.max(revision);
        let mut changed = false;
        for (range, found) in ranges.iter().zip(there.op_responses()) {
            let TxnOpResponse::Get(found) = found else { bail!("an answer to another question") };
            let entries: Vec<_> = found.kvs().iter().filter_map(entry).collect();
            changed |= mirror.replace(range, &entries, Instant::now());
            self.watch(range, revision + 1).await?;
        }
        Ok(changed)
    }

    async fn watch(&mut self, range: &Range, from: i64) -> anyhow::Result<()> {
        self.last_watch += 1;
        let id = self.last_watch;
        let options = WatchOptions::new().with_watch_id(id).with_start_revision(from);
        let options = if range.is_prefix() { options.with_prefix() } else { options };
        match &mut self.watches {
            Some(watches) => watches.watch(range.path.as_str(), Some(options)).await?,
            None => {
                self.watches = Some(self.client.watch(range.path.as_str(), Some(options)).await?);
            }
        }
        self.following.insert(range.clone(), id);
        Ok(())
    }

    /// Waits for a change. True: something has changed that matters. Whoever stops waiting loses nothing.
    ///
    /// # Errors
    /// The session is over: the connection is lost, the store does not know this host any more, or what was watched from is compacted.
    pub async fn next(&mut self, mirror: &mut Mirror) -> anyhow::Result<bool> {
        let Some(watches) = &mut self.watches else { bail!("nothing is watched") };
        let response = tokio::select! {
            lost = &mut self.heart => return Err(lost.unwrap_or_else(anyhow::Error::from)),
            response = watches.message() => response?.context("the store has ended the watch")?,
        };
        ensure!(
            !response.canceled() || !self.following.values().any(|&id| id == response.watch_id()),
            "the store has ended a watch: {}",
            response.cancel_reason()
        );
        let header = response.header().map_or(0, ResponseHeader::revision);
        self.revision = self.revision.max(header);
        Ok(take(&response, mirror))
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
            writes.push((path.to_string(), [put(&path, &endpoint), put(&claim, "true")]));
        }
        for (tenant, iface) in mirror.claims(me) {
            if !endpoints.contains_key(&(tenant.to_owned(), iface.to_owned())) {
                let [path, claim] = published(me, tenant, iface);
                let delete = |path: Path| TxnOp::delete(path.to_string(), None::<DeleteOptions>);
                writes.push((path.to_string(), [delete(path), delete(claim)]));
            }
        }
        let mut refused = Vec::new();
        for part in writes.chunks(OPERATIONS / 2) {
            if self.may_write(part).await? {
                continue;
            }
            for write in part {
                if !self.may_write(slice::from_ref(write)).await? {
                    refused.push(format!("the store does not let this host write {}", write.0));
                }
            }
        }
        Ok(refused)
    }

    /// Writes what stands at some paths, all or nothing. False: the store does not let it.
    async fn may_write(&mut self, writes: &[(String, [TxnOp; 2])]) -> anyhow::Result<bool> {
        let operations: Vec<_> = writes.iter().flat_map(|(_, write)| write.clone()).collect();
        match self.client.txn(Txn::new().and_then(operations)).await {
            Err(Error::GRpcStatus(status)) if status.code() as i32 == PERMISSION_DENIED => {
                Ok(false)
            }
            written => written.map(|_| true).map_err(anyhow::Error::from),
        }
    }

    /// Whether this host makes something else of all this than it said last. That it has acted on a newer revision is no news: all
    /// hosts of a tenant would write that at each change.
    pub fn has_news(&self, status: &Status) -> bool {
        let Status { revision, .. } = *status;
        self.told.as_ref().is_none_or(|told| Status { revision, ..told.clone() } != *status)
    }

    /// Says what this host makes of all this, if that is not what it said last.
    ///
    /// # Errors
    /// The session is over.
    pub async fn tell(&mut self, status: &Status) -> anyhow::Result<()> {
        if self.told.as_ref() != Some(status) {
            self.put_leased(&Path::Status(self.me.name.clone()), status).await?;
            self.told = Some(status.clone());
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

impl Drop for Session {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

/// Says that this host is still there, again and again, until that fails.
async fn beat(mut keeper: LeaseKeeper, mut kept: LeaseKeepAliveStream) -> anyhow::Error {
    let mut pulse = interval(PULSE);
    loop {
        pulse.tick().await;
        if let Err(error) = keep(&mut keeper, &mut kept).await {
            return error;
        }
    }
}

async fn keep(keeper: &mut LeaseKeeper, kept: &mut LeaseKeepAliveStream) -> anyhow::Result<()> {
    keeper.keep_alive().await?;
    let kept =
        timeout(MUCH_PATIENCE, kept.message()).await.context("the store does not answer")??;
    let kept = kept.context("the store has ended the lease")?;
    ensure!(kept.ttl() > 0, "the lease has run out");
    Ok(())
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
