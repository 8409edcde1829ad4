//! The rows and columns of a view, sorted and filtered.

use std::{borrow::Cow, cmp::Ordering, net::IpAddr};

use crate::{
    state::tunnel::Health,
    totals::rates::{DropRate, Rates, TenantRate, TunnelRate, UplinkRate},
};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Tenants,
    Tunnels,
    Drops,
    Uplinks,
}

impl View {
    pub const ALL: [Self; 4] = [Self::Tenants, Self::Tunnels, Self::Drops, Self::Uplinks];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Tenants => "Tenants",
            Self::Tunnels => "Tunnels",
            Self::Drops => "Drops",
            Self::Uplinks => "Uplinks",
        }
    }

    /// How many rows it has.
    pub fn len(self, rates: &Rates) -> usize {
        match self {
            Self::Tenants => rates.tenants.len(),
            Self::Tunnels => rates.tunnels.len(),
            Self::Drops => rates.drops.len(),
            Self::Uplinks => rates.uplinks.len(),
        }
    }

    /// Headings of its columns.
    pub fn headings(self) -> Vec<&'static Heading> {
        fn of<R>(columns: &'static [Column<R>]) -> Vec<&'static Heading> {
            columns.iter().map(|column| &column.heading).collect()
        }
        match self {
            Self::Tenants => of(TENANTS),
            Self::Tunnels => of(TUNNELS),
            Self::Drops => of(DROPS),
            Self::Uplinks => of(UPLINKS),
        }
    }

    /// The column that rows are sorted by at first.
    pub const fn default_sort(self) -> usize {
        match self {
            Self::Tenants => 6,
            Self::Tunnels => 2,
            Self::Drops => 1,
            Self::Uplinks => 0,
        }
    }

    /// Its rows, filtered and sorted: so many behind the first ones.
    pub fn rows<'r>(
        self,
        rates: &'r Rates,
        order: &Order<'_>,
        skip: usize,
        take: usize,
    ) -> Page<'r> {
        match self {
            Self::Tenants => page(TENANTS, &rates.tenants, order, skip, take),
            Self::Tunnels => page(TUNNELS, &rates.tunnels, order, skip, take),
            Self::Drops => page(DROPS, &rates.drops, order, skip, take),
            Self::Uplinks => page(UPLINKS, &rates.uplinks, order, skip, take),
        }
    }
}

/// Which rows, and in which order.
#[derive(Clone, Debug)]
pub struct Order<'m> {
    /// The column.
    pub column: usize,
    /// The other way round: numbers go from the highest down, and words from A on.
    pub reversed: bool,
    /// A part of the name, in small letters.
    pub filter: &'m str,
}

/// Some rows of those that match.
#[derive(Debug)]
pub struct Page<'r> {
    pub rows: Vec<Row<'r>>,
    /// How many match.
    pub matching: usize,
}

/// A row.
#[derive(Debug)]
pub struct Row<'r> {
    pub cells: Vec<Value<'r>>,
    /// Nothing happens.
    pub idle: bool,
}

/// A column's heading.
#[derive(Debug)]
pub struct Heading {
    pub text: &'static str,
    pub kind: Kind,
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The name that a filter looks at.
    Name,
    /// Words, so many columns wide.
    Word(u16),
    /// Bits or bytes each second.
    Traffic,
    /// A number.
    Number,
    /// A share of the largest value, as a bar.
    Bar,
    /// A sentence, where there is room.
    Sentence,
}

/// What is in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'r> {
    Text(Cow<'r, str>),
    Health(Health),
    /// An address.
    Address(IpAddr),
    /// Bytes.
    Bytes(u64),
    /// A number.
    Number(u64),
    /// A number of drops, which are no good.
    Drops(u64),
    /// Bytes, and those of whoever has the most.
    Share(u64, u64),
}

impl Value<'_> {
    /// The natural order: numbers from the highest down, words from A on.
    fn order(&self, other: &Self) -> Ordering {
        let number = |value: &Self| match value {
            Self::Bytes(it) | Self::Number(it) | Self::Drops(it) | Self::Share(it, _) => Some(*it),
            _ => None,
        };
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Health(a), Self::Health(b)) => a.cmp(b),
            (Self::Address(a), Self::Address(b)) => a.cmp(b),
            _ => number(other).cmp(&number(self)),
        }
    }
}

struct Column<R> {
    heading: Heading,
    value: fn(&R) -> Value<'_>,
}

const fn column<R>(text: &'static str, kind: Kind, value: fn(&R) -> Value<'_>) -> Column<R> {
    Column { heading: Heading { text, kind }, value }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

const TENANTS: &[Column<TenantRate>] = &[
    column("TENANT", Kind::Name, |it| text(&it.name)),
    column("RX", Kind::Traffic, |it| Value::Bytes(it.rx.bytes_per_second)),
    column("TX", Kind::Traffic, |it| Value::Bytes(it.tx.bytes_per_second)),
    column("RX pps", Kind::Number, |it| Value::Number(it.rx.packets_per_second)),
    column("TX pps", Kind::Number, |it| Value::Number(it.tx.packets_per_second)),
    column("DROPS/s", Kind::Number, |it| Value::Drops(it.drops_per_second)),
    column("RX+TX", Kind::Bar, |it| Value::Share(both(it), 0)),
];

const TUNNELS: &[Column<TunnelRate>] = &[
    column("TUNNEL", Kind::Name, |it| text(&it.name)),
    column("STATE", Kind::Word(10), |it| Value::Health(it.state)),
    column("RX", Kind::Traffic, |it| Value::Bytes(it.rx.bytes_per_second)),
    column("RX pps", Kind::Number, |it| Value::Number(it.rx.packets_per_second)),
    column("TENANTS", Kind::Number, |it| Value::Number(it.tenants.into())),
    column("REMOTE", Kind::Word(15), |it| Value::Address(it.remote)),
];

const DROPS: &[Column<DropRate>] = &[
    column("REASON", Kind::Name, |it| text(it.reason)),
    column("DROPS/s", Kind::Number, |it| Value::Drops(it.drops_per_second)),
    column("TOTAL", Kind::Number, |it| Value::Number(it.total)),
    column("MOST OF", Kind::Word(14), |it| text(it.most_of.as_deref().unwrap_or("-"))),
    column("MEANS", Kind::Sentence, |it| text(it.means)),
];

const UPLINKS: &[Column<UplinkRate>] = &[
    column("UPLINK", Kind::Name, |it| text(&it.name)),
    column("MODE", Kind::Word(8), |it| text(it.mode)),
    column("PASSED/s", Kind::Number, |it| Value::Number(it.passed_per_second)),
    column("DROPS/s", Kind::Number, |it| Value::Drops(it.drops_per_second)),
];

fn both(tenant: &TenantRate) -> u64 {
    tenant.rx.bytes_per_second.saturating_add(tenant.tx.bytes_per_second)
}

/// What rows of every view have.
trait Rated {
    fn name(&self) -> &str;
    fn is_idle(&self) -> bool;
}

impl Rated for TenantRate {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_idle(&self) -> bool {
        TenantRate::is_idle(self)
    }
}

impl Rated for TunnelRate {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_idle(&self) -> bool {
        self.rx.packets_per_second == 0 && self.state.is_up()
    }
}

impl Rated for DropRate {
    fn name(&self) -> &str {
        self.reason
    }

    fn is_idle(&self) -> bool {
        self.drops_per_second == 0
    }
}

impl Rated for UplinkRate {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_idle(&self) -> bool {
        self.passed_per_second == 0 && self.drops_per_second == 0
    }
}

fn page<'r, R: Rated>(
    columns: &[Column<R>],
    all: &'r [R],
    order: &Order<'_>,
    skip: usize,
    take: usize,
) -> Page<'r> {
    let matches = |row: &&R| {
        order.filter.is_empty() || row.name().to_ascii_lowercase().contains(order.filter)
    };
    let mut rows: Vec<_> = all.iter().filter(matches).collect();
    let matching = rows.len();
    let value = columns[order.column.min(columns.len() - 1)].value;
    let compare = |a: &&R, b: &&R| {
        let ordering = value(a).order(&value(b));
        let ordering = if order.reversed { ordering.reverse() } else { ordering };
        ordering.then_with(|| a.name().cmp(b.name()))
    };
    // Of a hundred thousand only those need an order that are seen.
    let end = (skip + take).min(rows.len());
    if end > 0 && end < rows.len() {
        rows.select_nth_unstable_by(end - 1, compare);
        rows.truncate(end);
    }
    rows.sort_by(compare);
    let most = |column: &Column<R>| {
        let shares = all.iter().map(|row| match (column.value)(row) {
            Value::Share(value, _) => value,
            _ => 0,
        });
        shares.max().unwrap_or_default()
    };
    let most: Vec<_> = columns
        .iter()
        .map(|column| if column.heading.kind == Kind::Bar { most(column) } else { 0 })
        .collect();
    let cells = |row: &'r R| {
        let cell = |(column, most): (&Column<R>, &u64)| match (column.value)(row) {
            Value::Share(value, _) => Value::Share(value, *most),
            value => value,
        };
        Row { cells: columns.iter().zip(&most).map(cell).collect(), idle: row.is_idle() }
    };
    Page { rows: rows.into_iter().skip(skip).map(cells).collect(), matching }
}
