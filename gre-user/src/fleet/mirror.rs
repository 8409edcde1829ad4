//! What a host knows of the store.
//!
//! It stays known while the store is away. An entry that cannot be read concerns only itself, and where there was one before that
//! one stays. A host that the store lets go (its lease has run out) stays known for a while: it may only have lost the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::entry::{Endpoint, Host, Path, Port, Range, Tenant};

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tenant's definition.
    Tenant(Tenant),
    /// What is to be a port.
    Port(Port),
    /// Where a host is.
    Host(Host),
    /// Who is behind a port.
    Endpoint(Endpoint),
    /// That there is such an endpoint.
    Claim,
}

/// An entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Known<T = Value> {
    /// The store's revision when it was last written: of two entries the one with the greater number is newer, whatever clocks
    /// say.
    pub revision: i64,
    /// What it says.
    pub value: T,
}

/// All entries that a host follows.
#[derive(Clone, Debug)]
pub struct Mirror {
    entries: BTreeMap<Path, Known>,
    /// Why entries could not be read, as they are now.
    unreadable: BTreeMap<Path, String>,
    /// Since when hosts are gone.
    gone: BTreeMap<Path, Instant>,
    /// How long a host that is gone stays known.
    hold: Duration,
}

impl Mirror {
    /// Nothing is known yet.
    pub fn new(hold: Duration) -> Self {
        Self { entries: BTreeMap::new(), unreadable: BTreeMap::new(), gone: BTreeMap::new(), hold }
    }

    /// An entry was written. False: nothing that matters has changed.
    pub fn put(&mut self, path: &str, text: &[u8], revision: i64) -> bool {
        let Some(path) = Path::parse(path) else { return false };
        let read = match &path {
            Path::Tenant(_) => read(text).map(Value::Tenant),
            Path::Port { .. } => read(text).map(Value::Port),
            Path::Host(_) => read(text).map(Value::Host),
            Path::Endpoint { .. } => read(text).map(Value::Endpoint),
            Path::Claim { .. } => Ok(Value::Claim),
            Path::Key(_) | Path::NextKey | Path::Status(_) => return false,
        };
        match read {
            Ok(value) => {
                self.unreadable.remove(&path);
                self.gone.remove(&path);
                // Of two hosts, ports or claims of one name it does not matter which was written later.
                let has_age = matches!(value, Value::Tenant(_) | Value::Endpoint(_));
                let known = Known { revision, value };
                let before = self.entries.insert(path, known.clone());
                before
                    .is_none_or(|it| it.value != known.value || has_age && it.revision != revision)
            }
            Err(why) => self.unreadable.insert(path, why.clone()) != Some(why),
        }
    }

    /// An entry was deleted. False: nothing that matters has changed.
    pub fn delete(&mut self, path: &str, now: Instant) -> bool {
        let Some(path) = Path::parse(path) else { return false };
        if matches!(path, Path::Host(_)) && self.entries.contains_key(&path) {
            self.gone.entry(path).or_insert(now);
            return false;
        }
        let unreadable = self.unreadable.remove(&path).is_some();
        self.entries.remove(&path).is_some() || unreadable
    }

    /// Of a range there are these entries, and no others. False: nothing that matters has changed.
    pub fn replace(
        &mut self,
        range: &Range,
        there: &[(String, Vec<u8>, i64)],
        now: Instant,
    ) -> bool {
        let stay: BTreeSet<&str> = there.iter().map(|(path, ..)| path.as_str()).collect();
        let known = self.entries.keys().chain(self.unreadable.keys()).map(Path::to_string);
        let left: Vec<_> =
            known.filter(|path| range.holds(path) && !stay.contains(path.as_str())).collect();
        let mut changed = false;
        for path in left {
            changed |= self.delete(&path, now);
        }
        for (path, text, revision) in there {
            changed |= self.put(path, text, *revision);
        }
        changed
    }

    /// Nobody follows a range any more.
    pub fn forget(&mut self, range: &Range) {
        self.entries.retain(|path, _| !range.holds(&path.to_string()));
        self.unreadable.retain(|path, _| !range.holds(&path.to_string()));
        self.gone.retain(|path, _| !range.holds(&path.to_string()));
    }

    /// Lets hosts go that have been gone for long. False: there are none.
    pub fn age(&mut self, now: Instant) -> bool {
        let is_old = |since: &Instant| now.duration_since(*since) >= self.hold;
        let old: Vec<_> = self
            .gone
            .iter()
            .filter(|(_, since)| is_old(since))
            .map(|(path, _)| path.clone())
            .collect();
        for path in &old {
            self.gone.remove(path);
            self.entries.remove(path);
        }
        !old.is_empty()
    }

    /// A tenant's definition.
    pub fn tenant(&self, name: &str) -> Option<Known<&Tenant>> {
        match self.entries.get(&Path::Tenant(name.to_owned()))? {
            Known { value: Value::Tenant(value), revision } => {
                Some(Known { value, revision: *revision })
            }
            _ => None,
        }
    }

    /// Where a host is.
    pub fn host(&self, name: &str) -> Option<&Host> {
        match &self.entries.get(&Path::Host(name.to_owned()))?.value {
            Value::Host(host) => Some(host),
            _ => None,
        }
    }

    /// Hosts that are gone, and stay known for a while.
    pub fn gone(&self) -> impl Iterator<Item = &str> {
        self.gone.keys().filter_map(|path| match path {
            Path::Host(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// What a host is to make ports, by their interfaces.
    pub fn ports<'m>(&'m self, of: &'m str) -> impl Iterator<Item = (&'m str, &'m Port)> {
        self.entries.iter().filter_map(move |(path, known)| match (path, &known.value) {
            (Path::Port { host, iface }, Value::Port(port)) if host == of => {
                Some((iface.as_str(), port))
            }
            _ => None,
        })
    }

    /// A tenant's endpoints, by host and interface.
    pub fn endpoints<'m>(
        &'m self,
        of: &'m str,
    ) -> impl Iterator<Item = (&'m str, &'m str, Known<&'m Endpoint>)> {
        let [tenant, host, iface] = [of, "", ""].map(str::to_owned);
        let from = self.entries.range(Path::Endpoint { tenant, host, iface }..);
        from.map_while(move |(path, known)| match (path, &known.value) {
            (Path::Endpoint { tenant, host, iface }, Value::Endpoint(value)) if tenant == of => {
                Some((host.as_str(), iface.as_str(), Known { value, revision: known.revision }))
            }
            _ => None,
        })
    }

    /// An entry, as it was last read.
    pub fn get(&self, path: &Path) -> Option<&Known> {
        self.entries.get(path)
    }

    /// Endpoints that a host has claimed: tenant and interface.
    pub fn claims<'m>(&'m self, of: &'m str) -> impl Iterator<Item = (&'m str, &'m str)> {
        self.entries.keys().filter_map(move |path| match path {
            Path::Claim { host, tenant, iface } if host == of => {
                Some((tenant.as_str(), iface.as_str()))
            }
            _ => None,
        })
    }

    /// What could not be read.
    pub fn unreadable(&self) -> impl Iterator<Item = String> {
        self.unreadable.iter().map(|(path, why)| format!("{path}: {why}"))
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string().replace(char::is_control, "?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(60);
    const HOST: &str = "/xgre/v1/hosts/a";
    const TENANT: &str = "/xgre/v1/tenants/blue";

    #[test]
    fn what_cannot_be_read_leaves_what_was_known() {
        let mut mirror = Mirror::new(HOLD);
        assert!(mirror.put(TENANT, br#"{"key": 10, "later": true}"#, 1));
        assert!(!mirror.put(TENANT, br#"{"key": 10}"#, 1), "the same");
        assert!(mirror.put(TENANT, br#"{"key": "ten"}"#, 2));
        assert_eq!(mirror.tenant("blue").map(|it| it.value.key.0.0), Some(10));
        assert_eq!(mirror.unreadable().count(), 1);
        assert!(mirror.put(TENANT, br#"{"key": 11}"#, 3));
        assert_eq!(
            (mirror.unreadable().count(), mirror.tenant("blue").map(|it| it.revision)),
            (0, Some(3))
        );
        assert!(!mirror.put("/elsewhere", b"{}", 4));
    }

    #[test]
    fn a_host_that_is_gone_stays_known_for_a_while() {
        let now = Instant::now();
        let mut mirror = Mirror::new(HOLD);
        let text = br#"{"addresses": ["192.0.2.1"]}"#;
        assert!(mirror.put(HOST, text, 1));
        assert!(!mirror.delete(HOST, now));
        assert!(!mirror.age(now + HOLD / 2));
        assert!(mirror.host("a").is_some());
        assert!(!mirror.put(HOST, text, 2), "the same, written again");
        assert!(!mirror.age(now + HOLD * 2), "it is back");
        mirror.replace(&Range::under("hosts", &[]), &[], now);
        assert!(mirror.age(now + HOLD));
        assert!(mirror.host("a").is_none());
    }

    #[test]
    fn a_range_is_replaced_and_forgotten() {
        let now = Instant::now();
        let mut mirror = Mirror::new(HOLD);
        let at = |host| format!("/xgre/v1/endpoints/blue/{host}/tap7");
        let entry = |host| (at(host), b"{}".to_vec(), 1);
        let range = Range::under("endpoints", &["blue"]);
        assert!(mirror.replace(&range, &[entry("a"), entry("b")], now));
        assert!(!mirror.replace(&range, &[entry("a"), entry("b")], now));
        assert!(mirror.replace(&range, &[entry("b")], now));
        assert_eq!(mirror.endpoints("blue").map(|(host, ..)| host).collect::<Vec<_>>(), ["b"]);
        mirror.forget(&range);
        assert_eq!(mirror.endpoints("blue").count(), 0);
    }
}
