//! Where the stations of l2 tenants are: learned by the programs, or said by the user.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use aya::maps::MapError;
use gre_common::{
    tables::{FdbEntry, FdbKey, TenantId, Via},
    wire::ethernet::MacAddr,
};
use nix::time::{ClockId, clock_gettime};

use super::{
    Error, Result, Room, State, StateDir, check_schema,
    maps::{self, Hash},
    optional,
};

/// `BPF_NOEXIST`: an entry is made, and none is replaced.
const ABSENT: u64 = 1;
/// `BPF_EXIST`: an entry is replaced, and none is made.
pub(super) const EXISTING: u64 = 2;

/// What becomes of a station.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It is where it is.
    Stays,
    /// It is not known any more.
    Forgotten,
    /// It is there.
    At(Via),
}

impl State {
    /// Says where a tenant's station is, whatever is heard.
    ///
    /// # Errors
    /// The map is full.
    pub fn set_station(&mut self, tenant: TenantId, mac: MacAddr, via: Via) -> Result<()> {
        let key = FdbKey::new(tenant, mac);
        let entry = FdbEntry { via, seen: FdbEntry::STATIC };
        // Mostly nobody has heard of it: that is one call of the kernel for each of a million.
        if self.maps.fdb.insert(key, entry, ABSENT).is_ok() {
            return Ok(());
        }
        let learned = self.learned(&key)?;
        let inserted = self.maps.fdb.insert(key, entry, 0);
        inserted.map_err(Error::inserting(Room::STATIONS, self.maps.sizes.stations))?;
        if learned {
            self.unlearn(tenant);
        }
        Ok(())
    }

    /// Forgets where a tenant's station is. False: that was not known.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forget_station(&mut self, tenant: TenantId, mac: MacAddr) -> Result<bool> {
        self.forget(&FdbKey::new(tenant, mac))
    }

    /// How many stations of a tenant were learned and are not forgotten.
    pub fn learned_stations(&self, TenantId(tenant): TenantId) -> u64 {
        self.maps.fdb_learned.get(tenant)
    }

    /// What is believed of stations: of one tenant's, or of all.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn stations(&self, tenant: Option<TenantId>) -> Result<Vec<(FdbKey, FdbEntry)>> {
        let now = now();
        let mut stations = Vec::new();
        for station in all(&self.maps.fdb) {
            let (key, entry) = station?;
            let asked = tenant.is_none_or(|tenant| tenant == key.tenant);
            if asked && entry.via_at(now) != Via::NONE {
                stations.push((key, entry));
            }
        }
        stations.sort_by_key(|(key, _)| (key.tenant, key.mac()));
        Ok(stations)
    }

    /// Where stations are believed to be, in no order, without the lock: of a million it takes a second.
    ///
    /// # Errors
    /// There is no state, or the kernel refuses.
    pub fn stations_of(dir: &StateDir) -> Result<Vec<(FdbKey, Via)>> {
        check_schema(dir)?;
        let now = now();
        let mut stations = Vec::new();
        for station in all(&maps::open_fdb(dir)?) {
            let (key, entry) = station?;
            stations.push((key, entry.via_at(now)));
        }
        stations.retain(|(_, via)| *via != Via::NONE);
        Ok(stations)
    }

    /// Forgets the stations that were not heard for too long: programs do not believe them any more.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn age_stations(dir: &StateDir) -> Result<()> {
        // All are looked at without the lock: of a million that takes a second.
        check_schema(dir)?;
        let (mut old, now) = (Vec::new(), now());
        for station in all(&maps::open_fdb(dir)?) {
            let (key, entry) = station?;
            if entry.via_at(now) == Via::NONE {
                old.push(key);
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        let mut state = Self::open(dir)?;
        let is_old = |entry: FdbEntry| entry.via_at(now) == Via::NONE;
        for key in &old {
            if optional(state.maps.fdb.get(key, 0))?.is_some_and(is_old) {
                state.forget(key)?;
            }
        }
        Ok(())
    }

    /// Forgets a tenant's stations, those that are there or all of them. It may be learned of none any more.
    pub(super) fn forget_stations(&mut self, tenant: TenantId, via: Option<Via>) -> Result<()> {
        self.decide_stations(|key, entry| {
            let is_there = via.is_none_or(|via| entry.via == via);
            if key.tenant == tenant && is_there { Fate::Forgotten } else { Fate::Stays }
        })
    }

    /// Nanoseconds since a station was heard; `None`: someone said where it is.
    pub fn heard(entry: &FdbEntry) -> Option<u64> {
        (!entry.is_static()).then(|| now().saturating_sub(entry.seen))
    }

    /// Decides about every station. Afterwards no program holds what was.
    pub(super) fn decide_stations(
        &mut self,
        fate: impl Fn(&FdbKey, &FdbEntry) -> Fate,
    ) -> Result<()> {
        let mut decided = Vec::new();
        for station in all(&self.maps.fdb) {
            let (key, entry) = station?;
            match fate(&key, &entry) {
                Fate::Stays => {}
                Fate::Forgotten => decided.push((key, None)),
                Fate::At(via) => decided.push((key, Some(FdbEntry { via, ..entry }))),
            }
        }
        for (key, entry) in &decided {
            match entry {
                None => self.forget(key).map(drop)?,
                // One that the program has forgotten meanwhile stays so.
                Some(entry) => optional(self.maps.fdb.insert(key, entry, EXISTING)).map(drop)?,
            }
        }
        if !decided.is_empty() {
            self.wait_for_programs();
        }
        Ok(())
    }

    fn forget(&mut self, key: &FdbKey) -> Result<bool> {
        let learned = self.learned(key)?;
        let known = optional(self.maps.fdb.remove(key))?.is_some();
        if learned {
            self.unlearn(key.tenant);
        }
        Ok(known)
    }

    /// Whether a station was learned, not said.
    fn learned(&self, key: &FdbKey) -> Result<bool> {
        let entry = optional(self.maps.fdb.get(key, 0))?;
        Ok(entry.is_some_and(|entry| !entry.is_static()))
    }

    fn unlearn(&mut self, TenantId(tenant): TenantId) {
        let learned = self.maps.fdb_learned.number(tenant, 0);
        let _ = learned.fetch_update(Relaxed, Relaxed, |learned| learned.checked_sub(1));
    }
}

/// All stations, but for those that the program that learns forgets meanwhile.
fn all(fdb: &Hash<FdbKey, FdbEntry>) -> impl Iterator<Item = Result<(FdbKey, FdbEntry)>> {
    fdb.iter().filter_map(|entry| match entry {
        Err(MapError::KeyNotFound | MapError::ElementNotFound) => None,
        entry => Some(entry.map_err(Error::Map)),
    })
}

/// Nanoseconds of the clock that programs read.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every kernel has this clock");
    Duration::from(time).as_nanos() as u64
}
