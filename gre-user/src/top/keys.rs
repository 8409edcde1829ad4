//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{model::Model, table::View};

/// Keys and what they do, for the help.
pub const HELP: &[(&str, &str)] = &[
    ("1 2 3 4, Tab", "tenants, tunnels, drops, uplinks"),
    ("← →, < >", "sort by the column left or right"),
    ("r", "the other way round"),
    ("/", "only names with this in them; Esc: all"),
    ("↑ ↓ PgUp PgDn Home End", "scroll"),
    ("b", "bits or bytes"),
    ("p, Space", "hold what is shown; counting goes on"),
    ("?", "this help"),
    ("q, Ctrl-C", "quit"),
];

/// Whether the user has enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    Quit,
}

/// Does what a key says.
pub fn press(model: &mut Model, key: KeyEvent) -> Then {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && key.code == KeyCode::Char('c') {
        return Then::Quit;
    }
    if model.typing {
        type_filter(model, key.code);
        return Then::GoOn;
    }
    if model.help {
        model.help = false;
        return if key.code == KeyCode::Char('q') { Then::Quit } else { Then::GoOn };
    }
    let page = isize::try_from(model.height.max(1)).unwrap_or(isize::MAX);
    let step = |by| View::ALL[(model.view as usize + by) % View::ALL.len()];
    match key.code {
        KeyCode::Char('q') => return Then::Quit,
        KeyCode::Char(digit @ '1'..='4') => {
            model.look_at(View::ALL[digit as usize - '1' as usize]);
        }
        KeyCode::Tab => model.look_at(step(1)),
        KeyCode::BackTab => model.look_at(step(View::ALL.len() - 1)),
        KeyCode::Left | KeyCode::Char('<') => model.sort_by(-1),
        KeyCode::Right | KeyCode::Char('>') => model.sort_by(1),
        KeyCode::Char('r') => model.reverse(),
        KeyCode::Char('/') => model.typing = true,
        KeyCode::Esc => model.filter.clear(),
        KeyCode::Down | KeyCode::Char('j') => model.scroll(1),
        KeyCode::Up | KeyCode::Char('k') => model.scroll(-1),
        KeyCode::PageDown => model.scroll(page),
        KeyCode::PageUp => model.scroll(-page),
        KeyCode::Home => model.scroll(isize::MIN),
        KeyCode::End => model.scroll(isize::MAX),
        KeyCode::Char('b') => model.bits = !model.bits,
        KeyCode::Char('p' | ' ') => model.paused = !model.paused,
        KeyCode::Char('?' | 'h') => model.help = true,
        _ => {}
    }
    Then::GoOn
}

fn type_filter(model: &mut Model, key: KeyCode) {
    match key {
        KeyCode::Enter => model.typing = false,
        KeyCode::Esc => {
            model.typing = false;
            model.filter.clear();
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(letter) => model.filter.push(letter),
        _ => {}
    }
    model.skip = 0;
}
