//! How much a state has room for. What the user asks for is an option of `run` here; a new one is a line in each list.

use gre_common::tables::{DEFAULT_TENANTS, MemberId, table};

/// So many stations for each tenant, unless another number is asked for.
const STATIONS_PER_TENANT: u32 = 16;
/// The same of routes, of sources and of neighbours.
const ADDRESSES_PER_TENANT: u32 = 4;
/// Slots for tunnels that change at once, besides an eighth of all.
const SPARE_SLOTS: u32 = 64;

/// What the user asks for, when the state is made.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Asked {
    /// Room for this many tenants, and as many ports, when the state is made [default: 16384].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub max_tenants: Option<u32>,
    /// Room for this many tunnels [default: as many as tenants].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub max_tunnels: Option<u32>,
    /// Room for at least this many bindings, of which a tenant has one on each of its tunnels [default: as many as tenants].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub max_bindings: Option<u32>,
    /// Room for this many stations of l2 tenants [default: 16 for each tenant].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=268_435_456))]
    pub max_fdb: Option<u32>,
    /// Room for this many routes of l3 tenants, and as many allowed sources [default: 4 for each tenant].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=268_435_456))]
    pub max_routes: Option<u32>,
    /// Room for this many neighbours that are answered for [default: 4 for each tenant].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=268_435_456))]
    pub max_neigh: Option<u32>,
}

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Tenants, and ports.
    pub tenants: u32,
    /// Tunnels.
    pub tunnels: u32,
    /// Bindings; the table has room for at least that many.
    pub bindings: u32,
    /// Stations.
    pub stations: u32,
    /// Routes, and sources.
    pub routes: u32,
    /// Neighbours.
    pub neighbours: u32,
}

/// A size that is there and is not the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Of what.
    pub what: &'static str,
    /// What asks for it.
    pub option: &'static str,
    /// What there is.
    pub found: u32,
    /// What was asked for.
    pub asked: u32,
}

impl Asked {
    /// The sizes of a new state.
    pub fn sizes(self) -> Sizes {
        let tenants = self.max_tenants.unwrap_or(DEFAULT_TENANTS);
        let stations = || tenants.saturating_mul(STATIONS_PER_TENANT);
        let addresses = || tenants.saturating_mul(ADDRESSES_PER_TENANT);
        Sizes {
            tenants,
            tunnels: self.max_tunnels.unwrap_or(tenants),
            bindings: self.max_bindings.unwrap_or(tenants),
            stations: self.max_fdb.unwrap_or_else(stations),
            routes: self.max_routes.unwrap_or_else(addresses),
            neighbours: self.max_neigh.unwrap_or_else(addresses),
        }
    }

    /// What differs from the sizes that are there.
    pub fn other_than(self, found: Sizes) -> Option<Other> {
        let is_same_table = |asked| table::places_for(asked) == table::places_for(found.bindings);
        let lists = [
            ("tenants", "--max-tenants", found.tenants, self.max_tenants),
            ("tunnels", "--max-tunnels", found.tunnels, self.max_tunnels),
            (
                "bindings",
                "--max-bindings",
                found.bindings,
                self.max_bindings.filter(|it| !is_same_table(*it)),
            ),
            ("stations", "--max-fdb", found.stations, self.max_fdb),
            ("routes", "--max-routes", found.routes, self.max_routes),
            ("neighbours", "--max-neigh", found.neighbours, self.max_neigh),
        ];
        lists.into_iter().find_map(|(what, option, found, asked)| {
            let asked = asked.filter(|asked| *asked != found)?;
            Some(Other { what, option, found, asked })
        })
    }
}

impl Sizes {
    /// Slots for tunnels: some more than there are tunnels, for those that change go to other slots.
    pub const fn tunnel_slots(self) -> u32 {
        self.tunnels + self.tunnels / 8 + SPARE_SLOTS
    }

    /// How many tunnels there is room for where there are so many slots.
    pub(super) const fn tunnels_in(slots: u32) -> u32 {
        let eighths = (slots as u64).saturating_sub(SPARE_SLOTS as u64) * 8;
        eighths.div_ceil(9) as u32
    }

    /// Members of tenants that have several tunnels or ports: a binding or port each, and as many again, for a list is replaced by
    /// another one.
    pub fn members(self) -> u32 {
        let all = u64::from(self.tenants) * 2 + u64::from(self.bindings.max(self.tenants)) * 2 + 1;
        u32::try_from(all).unwrap_or(u32::MAX).min(MemberId::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Other, Sizes};

    #[test]
    fn what_is_not_asked_for_follows_the_tenants() {
        let sizes = Asked { max_tenants: Some(100), ..Asked::default() }.sizes();
        assert_eq!((sizes.tunnels, sizes.bindings, sizes.stations), (100, 100, 1_600));
        assert_eq!((sizes.routes, sizes.neighbours), (400, 400));
        assert_eq!(sizes.members(), 401);
        let many = Asked { max_bindings: Some(1_000), ..Asked::default() }.sizes();
        assert_eq!((many.tenants, many.bindings), (16_384, 1_000));
    }

    #[test]
    fn slots_tell_how_many_tunnels_there_may_be() {
        for tunnels in (0..10_000).chain([1_000_000, 16_777_216]) {
            let slots = Sizes { tunnels, ..Asked::default().sizes() }.tunnel_slots();
            assert_eq!(Sizes::tunnels_in(slots), tunnels);
        }
    }

    #[test]
    fn a_size_that_is_there_is_kept() {
        let asked = Asked { max_bindings: Some(1_000_000), ..Asked::default() };
        let found = Sizes { bindings: 1 << 20, ..asked.sizes() };
        assert_eq!(asked.other_than(found), None, "a table's size is a power of two");
        let more = Asked { max_fdb: Some(7), ..asked };
        let other =
            Other { what: "stations", option: "--max-fdb", found: found.stations, asked: 7 };
        assert_eq!(more.other_than(found), Some(other));
    }
}
