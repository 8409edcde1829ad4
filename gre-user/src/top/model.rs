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

#[cfg(test)]
pub mod tests {
    use std::time::{Duration, Instant};

    use gre_common::verdict::DropReason;
    use ratatui::crossterm::event::KeyCode;

    use super::Model;
    use crate::{
        state::tunnel::Health,
        top::{
            keys::{Then, press},
            table::{Value, View},
        },
        totals::{
            Reading,
            rates::{DropRate, Rate, Rates, TenantRate, Total, TunnelRate, UplinkRate},
        },
    };

    fn rate(packets: u64) -> Rate {
        Rate { packets_per_second: packets, bytes_per_second: packets * 1_000 }
    }

    /// A few of everything; `part` of 20 of what they do at most.
    pub fn rates(part: u64) -> Rates {
        let tenant = |(name, rx, tx, drops): (&str, u64, u64, u64)| TenantRate {
            name: name.to_owned(),
            rx: rate(rx * part),
            tx: rate(tx * part),
            drops_per_second: drops,
        };
        let tunnel = |(name, state, packets): (&str, Health, u64)| TunnelRate {
            name: name.to_owned(),
            state,
            local: [192, 0, 2, 1].into(),
            remote: [192, 0, 2, 2].into(),
            tenants: 3,
            rx: rate(packets * part),
        };
        let drop = |reason: DropReason, number: u64, most_of: Option<&str>| DropRate {
            reason: reason.label(),
            drops_per_second: number,
            total: number * 1_000 + 7,
            most_of: most_of.map(str::to_owned),
            means: reason.description(),
        };
        let [rx, tx] = [rate(1_240 * part), rate(331 * part)];
        Rates {
            seconds: 1.0,
            total: Total { rx, tx, drops_per_second: 40 },
            tenants: [
                ("a-name-that-is-as-long-as-it-gets", 0, 1, 0),
                ("blue", 40, 300, 0),
                ("green", 1_200, 30, 40),
                ("idle", 0, 0, 0),
            ]
            .map(tenant)
            .into(),
            tunnels: [
                ("node2", Health::Up, 1_240),
                ("node3", Health::Down, 0),
                ("node4", Health::NoRoute, 0),
                ("node5", Health::Unresolved, 0),
            ]
            .map(tunnel)
            .into(),
            drops: vec![
                drop(DropReason::WrongRemote, 0, None),
                drop(DropReason::RateLimit, 40, Some("green")),
            ],
            uplinks: vec![UplinkRate {
                name: "eth0".to_owned(),
                mode: "native",
                passed_per_second: 12,
                drops_per_second: 0,
            }],
        }
    }

    fn model() -> Model {
        let mut model = Model::new(Duration::from_secs(1));
        model.show(rates(1));
        model.height = 10;
        model
    }

    fn names(model: &Model) -> Vec<String> {
        let page = model.page(model.skip, model.height).expect("rates");
        let name = |cells: &[Value<'_>]| match &cells[0] {
            Value::Text(text) => text.split('-').next().expect("a word").to_owned(),
            other => panic!("{other:?}"),
        };
        page.rows.iter().map(|row| name(&row.cells)).collect()
    }

    fn type_keys(model: &mut Model, keys: &[KeyCode]) -> Then {
        let mut then = Then::GoOn;
        for &key in keys {
            then = press(model, key.into());
        }
        then
    }

    #[test]
    fn rows_go_by_rate_at_first() {
        let mut model = model();
        assert_eq!(names(&model), ["green", "blue", "a", "idle"]);
        type_keys(&mut model, &[KeyCode::Char('r')]);
        assert_eq!(names(&model), ["idle", "a", "blue", "green"]);
    }

    #[test]
    fn keys_choose_the_order() {
        let mut model = model();
        for (key, sorted) in [
            (KeyCode::Left, ["green", "a", "blue", "idle"]),
            (KeyCode::Char('<'), ["blue", "green", "a", "idle"]),
            (KeyCode::Right, ["green", "a", "blue", "idle"]),
        ] {
            type_keys(&mut model, &[key]);
            assert_eq!(names(&model), sorted);
        }
        type_keys(&mut model, &[KeyCode::Left; 9]);
        assert_eq!(names(&model), ["a", "blue", "green", "idle"], "by name");
    }

    #[test]
    fn each_view_keeps_its_order() {
        let mut model = model();
        type_keys(&mut model, &[KeyCode::Char('r'), KeyCode::Tab]);
        assert_eq!((model.view, names(&model)[0].as_str()), (View::Tunnels, "node2"));
        // Those that are not well come first.
        type_keys(&mut model, &[KeyCode::Left]);
        assert_eq!(names(&model), ["node4", "node3", "node5", "node2"]);
        type_keys(&mut model, &[KeyCode::Char('3')]);
        assert_eq!(names(&model), ["rate_limit", "wrong_remote"]);
        type_keys(&mut model, &[KeyCode::BackTab, KeyCode::BackTab]);
        assert_eq!((model.view, names(&model)[0].as_str()), (View::Tenants, "idle"));
    }

    #[test]
    fn a_filter_is_typed() {
        let mut model = model();
        let keys = "/LEq".chars().map(KeyCode::Char).collect::<Vec<_>>();
        assert_eq!(type_keys(&mut model, &keys), Then::GoOn, "q is a letter here");
        type_keys(&mut model, &[KeyCode::Backspace]);
        assert_eq!(names(&model), ["idle"]);
        type_keys(&mut model, &[KeyCode::Enter]);
        assert_eq!(names(&model), ["idle"]);
        type_keys(&mut model, &[KeyCode::Esc]);
        assert_eq!(names(&model).len(), 4);
        assert_eq!(type_keys(&mut model, &[KeyCode::Char('q')]), Then::Quit);
    }

    #[test]
    fn rows_scroll_as_far_as_there_are_any() {
        let mut model = model();
        model.height = 2;
        type_keys(&mut model, &[KeyCode::Down]);
        assert_eq!(names(&model), ["blue", "a"]);
        type_keys(&mut model, &[KeyCode::PageDown, KeyCode::PageDown]);
        assert_eq!(names(&model), ["a", "idle"]);
        type_keys(&mut model, &[KeyCode::Home]);
        assert_eq!(names(&model), ["green", "blue"]);
    }

    #[test]
    fn what_is_held_stays_and_counting_goes_on() {
        let mut model = model();
        type_keys(&mut model, &[KeyCode::Char('p')]);
        model.show(rates(5));
        assert_eq!(model.rates.as_ref().expect("rates").total, rates(1).total);
        assert_eq!(model.history.back(), Some(&rates(5).total));
    }

    /// What was counted while nobody looked is not the rate of one interval.
    #[test]
    fn rates_begin_anew_after_trouble() {
        let mut model = Model::new(Duration::from_secs(1));
        let reading = || Ok(Reading::empty(Instant::now()));
        model.enter(reading());
        assert!(model.rates.is_none(), "one reading has no rates");
        model.enter(reading());
        assert_eq!(model.history.len(), 1);
        model.enter(Err("gone".to_owned()));
        model.enter(reading());
        assert_eq!((model.history.len(), &model.trouble), (1, &None));
        model.enter(reading());
        assert_eq!(model.history.len(), 2);
    }

    #[test]
    fn a_hundred_thousand_tenants_are_quick() {
        let mut many = rates(1);
        many.tenants = (0..100_000)
            .map(|number| TenantRate {
                name: format!("t{number}"),
                rx: rate(number * 7_919 % 100_003),
                ..many.tenants[1].clone()
            })
            .collect();
        let mut model = model();
        model.show(many);
        model.height = 3;
        let begin = Instant::now();
        let names = names(&model);
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        let packets = |name: &String| name[1..].parse::<u64>().expect("a number") * 7_919 % 100_003;
        assert!(
            packets(&names[0]) > packets(&names[1]) && packets(&names[1]) > 99_990,
            "{names:?}"
        );
    }
}
