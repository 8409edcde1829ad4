//! Writes the hash tables that [`gre_common::tables::table`] reads.

use std::{collections::HashSet, sync::atomic::AtomicU64};

use aya::Pod;
use gre_common::tables::table::{Entry, Key, VACANT, places};

use super::memory::Memory;

/// No place is left near where the key belongs.
#[derive(Debug)]
pub(super) struct Full;

/// A table. Who writes has the lock of the state.
///
/// An entry of more than one word is never changed: another with the same key is [published](Table::publish), and the old one is
/// [retired](Table::retire) when every program finds the new one too. Programs look at places in one order, so each finds one of
/// them, whole.
pub(super) struct Table<E> {
    entries: Memory<E>,
    /// Places whose entry was taken out, and which a program may still hold.
    limbo: HashSet<u32>,
}

impl<E: Entry + Pod> Table<E> {
    pub fn new(entries: Memory<E>) -> Self {
        Self { entries, limbo: HashSet::new() }
    }

    pub fn get(&self, key: &E::Key) -> Option<E> {
        self.place_of(key).map(|place| self.entries.get(place))
    }

    /// The number of 64 bits at `offset` of the entry with this key, which programs may count in at the same time.
    pub fn number(&self, key: &E::Key, offset: usize) -> Option<&AtomicU64> {
        self.place_of(key).map(|place| self.entries.number(place, offset))
    }

    /// Enters, or replaces the words of the one with the same key.
    pub fn insert(&mut self, entry: &E) -> Result<(), Full> {
        if let Some(place) = self.place_of(entry.key()) {
            self.entries.set(place, entry);
            return Ok(());
        }
        self.publish(entry).map(drop)
    }

    /// Enters beside what is there with the same key, and tells the place. Which of the two a program finds depends on the
    /// places, until the other is [retired](Table::retire): after a grace period at the soonest, for a program may be on its
    /// way from one place to the other.
    pub fn publish(&mut self, entry: &E) -> Result<u32, Full> {
        let place = self.free_place(entry.key()).ok_or(Full)?;
        self.entries.publish(place, entry, E::DECISIVE);
        Ok(place)
    }

    /// Keeps a place for an entry, until [`Table::publish_at`].
    pub fn reserve(&mut self, key: &E::Key) -> Result<u32, Full> {
        let place = self.free_place(key).ok_or(Full)?;
        self.limbo.insert(place);
        Ok(place)
    }

    /// [Publishes](Table::publish) at a place that was reserved.
    pub fn publish_at(&mut self, place: u32, entry: &E) {
        self.entries.publish(place, entry, E::DECISIVE);
    }

    /// The entry at a place.
    pub fn at(&self, place: u32) -> E {
        self.entries.get(place)
    }

    /// Replaces the part that begins at `offset` of the entry at a place.
    pub fn set_part_at<P: Pod>(&mut self, place: u32, offset: usize, part: &P) {
        self.entries.set_part(place, offset, part);
    }

    /// Replaces the part that begins at `offset` of the entry with this key; absent is fine.
    pub fn set_part<P: Pod>(&mut self, key: &E::Key, offset: usize, part: &P) {
        if let Some(place) = self.place_of(key) {
            self.entries.set_part(place, offset, part);
        }
    }

    /// Takes the entry with this key out; absent is fine. Its place is used again after [`Table::settle`].
    pub fn remove(&mut self, key: &E::Key) {
        if let Some(place) = self.place_of(key) {
            self.retire(place);
        }
    }

    /// Takes the entry at a place out.
    pub fn retire(&mut self, place: u32) {
        self.limbo.insert(place);
        self.set_decisive(place, E::Key::DELETED);
        // Places that no search needs to go on behind become vacant again.
        let (mask, mut place) = (self.mask(), place);
        while self.decisive(place) == E::Key::DELETED
            && self.decisive(place.wrapping_add(1) & mask) == VACANT
        {
            self.set_decisive(place, VACANT);
            place = place.wrapping_sub(1) & mask;
        }
    }

    /// Lets the places of what was taken out be used again. A grace period has passed: no program holds any.
    pub fn settle(&mut self) {
        self.limbo.clear();
    }

    /// How many entries it is made for: it is half full with them.
    pub fn room(&self) -> u32 {
        self.entries.len() / 2
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = E> {
        let used = (0..self.entries.len()).filter(|&place| self.is_used(place));
        used.map(|place| self.entries.get(place))
    }

    /// Where the entry with this key is; where there are two, the first one that programs look at.
    pub fn place_of(&self, key: &E::Key) -> Option<u32> {
        self.places_of(key).next()
    }

    /// Where all entries with this key are.
    pub fn places_of(&self, key: &E::Key) -> impl Iterator<Item = u32> {
        let searched = places(key, self.mask()).take_while(|&place| self.decisive(place) != VACANT);
        searched.filter(move |&place| {
            self.decisive(place) == key.decisive() && self.entries.get(place).key() == key
        })
    }

    fn free_place(&self, key: &E::Key) -> Option<u32> {
        places(key, self.mask()).find(|&place| !self.is_used(place) && !self.limbo.contains(&place))
    }

    fn is_used(&self, place: u32) -> bool {
        ![VACANT, E::Key::DELETED].contains(&self.decisive(place))
    }

    fn decisive(&self, place: u32) -> u32 {
        self.entries.word(place, E::DECISIVE)
    }

    fn set_decisive(&mut self, place: u32, word: u32) {
        self.entries.set_part(place, E::DECISIVE, &word);
    }

    fn mask(&self) -> u32 {
        self.entries.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gre_common::{
        tables::{Binding, BindingKey, Port, TenantId, TunnelId, table},
        wire::gre::GreKey,
    };

    use super::Table;
    use crate::state::memory::Memory;

    const ROOM: u32 = 512;

    fn key(number: u32) -> BindingKey {
        let (local, remote) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        BindingKey::v4(local, remote, Some(GreKey(number)).into())
    }

    fn table() -> Table<Binding> {
        Table::new(Memory::anonymous(ROOM * 2))
    }

    /// What programs find is what userspace has entered, whatever came and went in between.
    #[test]
    fn programs_find_what_is_there() {
        let (mut table, mut expected) = (table(), BTreeMap::new());
        let mut random = 1u32;
        for step in 0..4_000 {
            // A linear congruential generator (Numerical Recipes): enough to mix up an order.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (random >> 16) % (ROOM * 2);
            if expected.remove(&number).is_some() {
                table.remove(&key(number));
                table.settle();
            } else if expected.len() < ROOM as usize {
                let entry = Binding::new(key(number), TenantId(step), TunnelId(0), Port::NONE);
                table.insert(&entry).expect("room");
                expected.insert(number, TenantId(step));
            }
            assert_eq!(as_programs_see(&table, number), expected.get(&number).copied());
        }
        for number in 0..ROOM * 2 {
            assert_eq!(as_programs_see(&table, number), expected.get(&number).copied(), "{number}");
        }
        assert_eq!(table.iter().count(), expected.len());
    }

    /// A line that takes another's place is found, or the other one is, at every moment; and the place is not given away early.
    #[test]
    fn one_of_two_is_found() {
        let mut table = table();
        let entry =
            |number, tenant| Binding::new(key(number), TenantId(tenant), TunnelId(0), Port::NONE);
        for number in 0..ROOM {
            table.insert(&entry(number, 0)).expect("room");
        }
        for turn in 1..8 {
            for number in 0..ROOM {
                let old = table.place_of(&key(number)).expect("an entry");
                let new = table.publish(&entry(number, turn)).expect("room");
                let found = as_programs_see(&table, number).map(|tenant| tenant.0);
                assert!(found == Some(turn) || found == Some(turn - 1), "{found:?}");
                table.retire(old);
                assert_eq!(as_programs_see(&table, number), Some(TenantId(turn)));
                assert_eq!(table.at(old).tenant, TenantId(turn - 1), "as it was, for who holds it");
                assert_ne!(Some(old), table.free_place(&key(number)));
                assert_eq!(table.at(new).tenant, TenantId(turn));
                table.settle();
            }
        }
        assert_eq!(table.iter().count(), ROOM as usize);
    }

    /// Places become vacant again: a search in a table that was emptied ends at once.
    #[test]
    fn an_emptied_table_is_vacant() {
        let mut table = table();
        for number in 0..ROOM {
            let entry = Binding::new(key(number), TenantId(number), TunnelId(0), Port::NONE);
            table.insert(&entry).expect("room");
        }
        for number in (0..ROOM).rev() {
            table.remove(&key(number));
        }
        let left = (0..table.entries.len()).filter(|&place| table.decisive(place) != table::VACANT);
        assert_eq!(left.count(), 0);
    }

    fn as_programs_see(table: &Table<Binding>, number: u32) -> Option<TenantId> {
        let entries: Vec<_> =
            (0..table.entries.len()).map(|place| table.entries.get(place)).collect();
        let (key, mask, at) = (key(number), table.mask(), |place: u32| entries.get(place as usize));
        let found = table::find(&key, mask, at, || table::further_place(&key, mask, at));
        found.map(|binding| binding.tenant)
    }
}
