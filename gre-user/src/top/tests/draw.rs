//! What is drawn, compared with files.

use std::{fs, path::Path, time::Duration};

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::rates;
use crate::top::{draw::draw, model::Model, table::View, theme::Theme};

fn drawn(model: &mut Model, (columns, lines): (u16, u16), colours: bool) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model, Theme::new(colours))).expect("a picture");
    terminal.backend().clone()
}

/// Compares with a file; with `BLESS` in the environment writes it.
#[track_caller]
fn assert_drawn(name: &str, model: &mut Model, size: (u16, u16)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/snapshots").join(name);
    let backend = drawn(model, size, true);
    let lines: Vec<String> = backend
        .buffer()
        .content
        .chunks(size.0.into())
        .map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>())
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect();
    let found = lines.concat();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &found).expect("a file");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name}: found\n{found}\nexpected\n{expected}");
}

fn model() -> Model {
    let mut model = Model::new(Duration::from_secs(1));
    for part in 1..=20 {
        model.show(rates(part));
    }
    model
}

#[test]
fn every_view_at_80x24() {
    for view in View::ALL {
        let mut model = model();
        model.look_at(view);
        let name = format!("{}.txt", view.title().to_lowercase());
        assert_drawn(&name, &mut model, (80, 24));
    }
}

#[test]
fn large_small_and_with_help() {
    assert_drawn("large.txt", &mut model(), (160, 40));
    assert_drawn("small.txt", &mut model(), (40, 8));
    let mut model = model();
    model.help = true;
    assert_drawn("help.txt", &mut model, (80, 24));
}

#[test]
fn trouble_is_told() {
    let mut model = model();
    model.daemon = false;
    model.paused = true;
    model.enter(Err("there is no xgre state at /sys/fs/bpf/xgre".to_owned()));
    assert_drawn("trouble.txt", &mut model, (80, 24));
    assert_drawn("measuring.txt", &mut Model::new(Duration::from_secs(1)), (80, 24));
}

#[test]
fn any_size_is_drawn() {
    for columns in [1, 2, 10, 79, 300] {
        for lines in [1, 2, 5, 11, 100] {
            drawn(&mut model(), (columns, lines), true);
        }
    }
}

#[test]
fn without_colours_there_are_none() {
    let colours =
        |backend: &TestBackend| backend.buffer().content.iter().any(|cell| cell.fg != Color::Reset);
    assert!(colours(&drawn(&mut model(), (80, 24), true)));
    assert!(!colours(&drawn(&mut model(), (80, 24), false)));
}
