//! What keys and readings do to a model.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::KeyCode;

use super::{rate, rates};
use crate::{
    top::{
        keys::{Then, press},
        model::Model,
        table::{Value, View},
    },
    totals::{Reading, rates::TenantRate},
};

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
    assert!(packets(&names[0]) > packets(&names[1]) && packets(&names[1]) > 99_990, "{names:?}");
}
