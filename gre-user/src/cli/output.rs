//! What users see: tables for people, JSON for machines.

use std::{fmt::Display, io};

use comfy_table::{Table, presets};
use serde::Serialize;

pub use crate::JSON_VERSION;

/// Prints a JSON document.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string(document)?)
}

/// Prints rows under headings.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    print(&to_table(headings, rows))
}

/// Rows under headings.
pub fn to_table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.add_rows(rows);
    table.trim_fmt()
}

/// Prints a line. A reader that has gone (`xgre stats | head`) is no error.
pub fn print(text: &impl Display) -> anyhow::Result<()> {
    is_read(text).map(drop)
}

/// Prints a line, and tells whether anybody reads it.
pub fn is_read(text: &impl Display) -> anyhow::Result<bool> {
    print_to(io::stdout(), text)
}

/// Prints a line with colours, which are left out where there is no terminal, or the environment's `NO_COLOR` asks for it.
pub fn styled(text: &impl Display) -> anyhow::Result<()> {
    print_to(anstream::stdout(), text).map(drop)
}

fn print_to(mut to: impl io::Write, text: &impl Display) -> anyhow::Result<bool> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}

/// A value, or a dash.
pub fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
