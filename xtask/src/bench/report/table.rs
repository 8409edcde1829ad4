//! Rows in columns. A case may have rows with different fields: each kind gets a table.

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use serde_json::Value;

use crate::bench::row::{Name, Row};

/// For the terminal.
pub fn text(rows: &[Row]) -> String {
    render(rows, presets::UTF8_HORIZONTAL_ONLY)
}

/// For a page in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    render(rows, presets::ASCII_MARKDOWN)
}

fn render(rows: &[Row], style: TableStyle) -> String {
    let tables = rows.chunk_by(|a, b| names(a).eq(names(b))).map(|rows| {
        let mut table = Table::new();
        table
            .load_style(style)
            .set_header(std::iter::once(rows[0].bench.as_ref()).chain(names(&rows[0])));
        for row in rows {
            table.add_row(std::iter::once(String::new()).chain(row.fields.iter().map(cell)));
        }
        for (column, (_, value)) in rows[0].fields.iter().enumerate() {
            if let (Value::Number(_), Some(column)) = (value, table.column_mut(column + 1)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

fn names(row: &Row) -> impl Iterator<Item = &str> {
    row.fields.iter().map(|(name, _)| name.as_ref())
}

fn cell((_, value): &(Name, Value)) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
