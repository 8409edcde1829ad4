//! What there is to show, and what the user asked for.

use std::{collections::VecDeque, time::Duration};

use super::table::{Order, Page, View};
use crate::totals::{
    Reading,
    rates::{Rates, Total},
};

/// Intervals whose totals are remembered: one for each column of a wide terminal.
const HISTORY: usize = 512;

/// Everything that is drawn.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a key turns")]
#[derive(Debug)]
pub struct Model {
    pub view: View,
    /// What rows of each view are sorted by: a column, and whether the other way round.
    sorting: [(usize, bool); View::ALL.len()],
    pub filter: String,
    /// The user types a filter.
    pub typing: bool,
    pub paused: bool,
    pub bits: bool,
    pub help: bool,
    /// Rows above those that are seen.
    pub skip: usize,
    /// Rows that are seen, since they were drawn last.
    pub height: usize,
    pub interval: Duration,
    pub rates: Option<Rates>,
    /// Why there are no new rates.
    pub trouble: Option<String>,
    /// Whether `xgre run` runs.
    pub daemon: bool,
    pub history: VecDeque<Total>,
    last: Option<Reading>,
}

impl Model {
    pub fn new(interval: Duration) -> Self {
        Self {
            view: View::Tenants,
            sorting: View::ALL.map(|view| (view.default_sort(), false)),
            filter: String::new(),
            typing: false,
            paused: false,
            bits: true,
            help: false,
            skip: 0,
            height: 0,
            interval,
            rates: None,
            trouble: None,
            daemon: true,
            history: VecDeque::with_capacity(HISTORY),
            last: None,
        }
    }

    /// Takes the next reading, or says why there is none. What is shown stays as it is.
    pub fn enter(&mut self, reading: Result<Reading, String>) {
        let reading = match reading {
            Ok(reading) => reading,
            Err(trouble) => {
                // What was counted meanwhile is no rate.
                self.last = None;
                self.trouble = Some(trouble);
                return;
            }
        };
        self.trouble = None;
        if let Some(before) = &self.last {
            self.show(Rates::between(before, &reading));
        }
        self.last = Some(reading);
    }

    /// Shows these rates, unless what is shown is to stay.
    pub fn show(&mut self, rates: Rates) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(rates.total);
        if !self.paused {
            self.rates = Some(rates);
        }
        self.scroll(0);
    }

    /// What rows are sorted by: a column, and whether the other way round.
    pub fn sorting(&self) -> (usize, bool) {
        self.sorting[self.view as usize]
    }

    /// Sorts by the column so many to the right.
    pub fn sort_by(&mut self, step: isize) {
        let columns = self.view.headings().len();
        let (column, _) = self.sorting();
        let column = column.saturating_add_signed(step).min(columns - 1);
        self.sorting[self.view as usize] = (column, false);
        self.skip = 0;
    }

    pub fn reverse(&mut self) {
        self.sorting[self.view as usize].1 ^= true;
        self.skip = 0;
    }

    pub fn look_at(&mut self, view: View) {
        if self.view != view {
            self.view = view;
            self.skip = 0;
            self.filter.clear();
        }
    }

    /// Goes so many rows down.
    pub fn scroll(&mut self, rows: isize) {
        let below = self.page(0, 0).map_or(0, |page| page.matching);
        self.skip = self.skip.saturating_add_signed(rows).min(below.saturating_sub(self.height));
    }

    /// So many rows behind the first ones; `None`: nothing was measured yet.
    pub fn page(&self, skip: usize, take: usize) -> Option<Page<'_>> {
        let (column, reversed) = self.sorting();
        let filter = self.filter.to_ascii_lowercase();
        let order = Order { column, reversed, filter: &filter };
        Some(self.view.rows(self.rates.as_ref()?, &order, skip, take))
    }
}
