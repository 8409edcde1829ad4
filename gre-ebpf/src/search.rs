//! Looks keys up in the maps that are [`table`]s.

use aya_ebpf::btf_maps::Array;
use gre_common::tables::{
    Binding, BindingKey, Ends6, Ends6Use, IfIndex, LocalKey, LocalKeyUse, PortUse,
    table::{self, Entry, Key},
};

use crate::maps::{
    BINDINGS, BINDINGS_MASK, ENDS6, ENDS6_MASK, LOCAL_KEYS, LOCAL_KEYS_MASK, PORT_TENANTS,
    PORT_TENANTS_MASK, SHARED, TABLE_PLACES,
};

/// A map that is a table.
pub type Table<E> = Array<E, TABLE_PLACES, SHARED>;

/// A key of such a map.
pub trait Searched: Key {
    /// One less than the places in its map.
    fn mask() -> u32;

    /// [`table::further_place`] of this key in its map; a negative number for none.
    fn further_place(&self) -> i64;
}

/// Looks an entry up.
#[inline(always)]
pub fn find<E: Entry<Key: Searched>>(key: &E::Key, table: &'static Table<E>) -> Option<&'static E> {
    let further = || u32::try_from(key.further_place()).ok();
    table::find(key, E::Key::mask(), |place| table.get(place), further)
}

// Functions of global linkage: the verifier goes through each once, whoever calls it.
macro_rules! further_places {
    ($($name:ident($key:ty) in $table:ident, $mask:ident: $entry:ty;)*) => { $(
        impl Searched for $key {
            #[inline(always)]
            fn mask() -> u32 {
                $mask.load()
            }

            #[inline(always)]
            fn further_place(&self) -> i64 {
                // A copy: what a pointer is taken of is kept in memory from the beginning.
                let key = *self;
                $name(&raw const key)
            }
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        extern "C" fn $name(key: *const $key) -> i64 {
            // SAFETY: who calls it has the key, and the verifier sees to it.
            let Some(key) = (unsafe { key.as_ref() }) else { return -1 };
            table::further_place::<$entry>(key, $mask.load(), |place| $table.get(place)).map_or(-1, i64::from)
        }
    )* };
}

further_places! {
    further_binding(BindingKey) in BINDINGS, BINDINGS_MASK: Binding;
    further_ends6(Ends6) in ENDS6, ENDS6_MASK: Ends6Use;
    further_local_key(LocalKey) in LOCAL_KEYS, LOCAL_KEYS_MASK: LocalKeyUse;
    further_port(IfIndex) in PORT_TENANTS, PORT_TENANTS_MASK: PortUse;
}
