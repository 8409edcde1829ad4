//! Draws a model.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, BorderType, Cell, Clear, Paragraph, Sparkline, Table},
};

use super::{
    keys::HELP,
    model::Model,
    table::{Heading, Kind, Row, Value, View},
    theme::Theme,
    units::{bar, human, with_unit},
};
use crate::{state::tunnel::Health, totals::rates::Total};

/// Lines of a sparkline.
const SPARK: u16 = 2;
/// Columns of a number, and of the space behind it.
const NUMBER: u16 = 8;
const GAP: u16 = 2;
/// Columns of a name and of a bar, at least.
const NAME: u16 = 12;
const BAR: u16 = 8;

/// Draws everything, and remembers how many rows are seen.
pub fn draw(frame: &mut Frame<'_>, model: &mut Model, theme: Theme) {
    let height = frame.area().height;
    let sparks = if height >= 12 { SPARK + 2 } else { 1 };
    let space = u16::from(height >= 20);
    let [title, totals, _, tabs, _, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(sparks),
        Constraint::Length(space),
        Constraint::Length(1),
        Constraint::Length(space),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    self::title(frame, title, model, theme);
    self::totals(frame, totals, model, theme);
    self::tabs(frame, tabs, model, theme);
    rows(frame, table, model, theme);
    self::foot(frame, foot, model, theme);
    if model.help {
        help(frame, theme);
    }
}

fn title(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let seconds = model.interval.as_secs_f64();
    let mut left = vec![
        Span::styled("xgre top", theme.accent()),
        Span::styled(format!("  every {seconds} s"), theme.dim()),
    ];
    for (so, badge) in [(model.paused, " PAUSED "), (!model.daemon, " NO DAEMON ")] {
        if so {
            left.extend([Span::raw("  "), Span::styled(badge, theme.badge())]);
        }
    }
    frame.render_widget(Line::from(left), area);
    // A line's own style would be that of all the area.
    let hint = Line::from(Span::styled("? help  q quit", theme.dim()));
    frame.render_widget(hint.right_aligned(), area);
}

/// Name, bytes, packets, style and course.
type Box = (&'static str, Option<u64>, u64, Style, fn(&Total) -> u64);

/// Name, rate and course of what all tenants receive and send, and of what is dropped.
fn totals(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let now = model.rates.as_ref().map(|rates| rates.total).unwrap_or_default();
    let dropped = now.drops_per_second > 0;
    let drops = if dropped { theme.bad() } else { theme.dim() };
    let boxes: [Box; 3] = [
        ("RX", Some(now.rx.bytes_per_second), now.rx.packets_per_second, theme.rx(), |it| {
            it.rx.bytes_per_second
        }),
        ("TX", Some(now.tx.bytes_per_second), now.tx.packets_per_second, theme.tx(), |it| {
            it.tx.bytes_per_second
        }),
        ("DROPS", None, now.drops_per_second, drops, |it| it.drops_per_second),
    ];
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).spacing(GAP).areas(area);
    for ((name, bytes, packets, style, value), area) in boxes.into_iter().zip(areas) {
        let [_, line, spark] = Layout::vertical([
            Constraint::Length(u16::from(area.height > 1)),
            Constraint::Length(1),
            Constraint::Fill(1),
        ])
        .areas(area);
        let unit = if model.bits { "bit/s" } else { "B/s" };
        let rate = bytes.map(|bytes| with_unit(in_unit(bytes, model.bits), unit));
        let name = Span::styled(format!("{name} "), style.add_modifier(Modifier::BOLD));
        let rate = Span::styled(rate.unwrap_or_default(), Theme::heading());
        frame.render_widget(Line::from_iter([name, rate]), line);
        let style_of_packets = if bytes.is_some() { theme.dim() } else { drops };
        let packets = Span::styled(with_unit(packets, "pps"), style_of_packets);
        let packets = Line::from(packets);
        frame.render_widget(packets.right_aligned(), line);
        course(frame, spark, model, value, style);
    }
}

/// The last intervals, the newest one at the right.
fn course(frame: &mut Frame<'_>, area: Rect, model: &Model, of: fn(&Total) -> u64, style: Style) {
    let width = usize::from(area.width);
    let known = model.history.iter().rev().take(width).rev().map(of);
    let missing = width.saturating_sub(model.history.len());
    let course: Vec<_> = std::iter::repeat_n(0, missing).chain(known).collect();
    frame.render_widget(Sparkline::default().data(&course).style(style), area);
}

fn tabs(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let mut spans = Vec::new();
    for (number, view) in (1..).zip(View::ALL) {
        let rows = model.rates.as_ref().map_or(0, |rates| view.len(rates));
        let style = if view == model.view { theme.chosen() } else { Style::new() };
        spans.push(Span::styled(format!(" {number} {} ", view.title()), style));
        spans.push(Span::styled(format!(" {rows}  "), theme.dim()));
    }
    frame.render_widget(Line::from(spans), area);
}

fn rows(frame: &mut Frame<'_>, area: Rect, model: &mut Model, theme: Theme) {
    model.height = usize::from(area.height.saturating_sub(1));
    model.scroll(0);
    let page = model.page(model.skip, model.height);
    let Some(page) = page.filter(|page| page.matching > 0) else {
        let middle = Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area };
        return frame.render_widget(Line::styled(nothing(model), theme.dim()).centered(), middle);
    };
    let headings = model.view.headings();
    let widths = widths(&headings, area.width);
    let shown: Vec<_> = (0..headings.len()).filter(|&at| widths[at] > 0).collect();
    let (sorted, reversed) = model.sorting();
    let heading = |&at: &usize| {
        let mark = if at != sorted {
            ""
        } else if reversed {
            "▲"
        } else {
            "▼"
        };
        let unit = match headings[at].kind {
            Kind::Traffic if model.bits => " bit/s",
            Kind::Traffic => " B/s",
            _ => "",
        };
        let style = if at == sorted { theme.accent() } else { Theme::heading() };
        aligned(headings[at], Line::styled(format!("{}{unit}{mark}", headings[at].text), style))
    };
    let row = |row: &Row<'_>| {
        let is_dim = model.trouble.is_some() || row.idle;
        let cell = |&at: &usize| {
            let width = widths[at];
            let value = &row.cells[at];
            let (text, style) = self::cell(value, headings[at], width, model.bits, theme);
            let style = if is_dim { dimmed(value, theme, style) } else { style };
            aligned(headings[at], Line::styled(text, style))
        };
        ratatui::widgets::Row::new(shown.iter().map(cell).collect::<Vec<_>>())
    };
    let constraints = shown.iter().map(|&at| Constraint::Length(widths[at]));
    let table = Table::new(page.rows.iter().map(row).collect::<Vec<_>>(), constraints)
        .header(ratatui::widgets::Row::new(shown.iter().map(heading).collect::<Vec<_>>()))
        .column_spacing(GAP);
    frame.render_widget(table, area);
}

/// Why there are no rows.
fn nothing(model: &Model) -> String {
    match &model.rates {
        None if model.trouble.is_some() => String::new(),
        None => "measuring ...".to_owned(),
        Some(_) if !model.filter.is_empty() => format!("no name with {} in it", model.filter),
        Some(_) if model.view == View::Drops => "nothing was ever dropped".to_owned(),
        Some(_) => format!("no {}", model.view.title().to_lowercase()),
    }
}

/// What is idle is dim, but for what is wrong with it.
fn dimmed(value: &Value<'_>, theme: Theme, style: Style) -> Style {
    match value {
        Value::Health(health) if !health.is_up() => style,
        _ => theme.dim(),
    }
}

fn aligned<'a>(heading: &Heading, line: Line<'a>) -> Cell<'a> {
    match heading.kind {
        Kind::Traffic | Kind::Number => Cell::from(line.right_aligned()),
        _ => Cell::from(line),
    }
}

fn cell(
    value: &Value<'_>,
    heading: &Heading,
    width: u16,
    bits: bool,
    theme: Theme,
) -> (String, Style) {
    match value {
        Value::Text(text) => (cut(text, width), Style::new()),
        Value::Address(address) => (address.to_string(), Style::new()),
        Value::Health(health) => (health.name().replace('_', " "), self::health(*health, theme)),
        Value::Bytes(bytes) if *bytes == 0 => ("0".to_owned(), theme.dim()),
        Value::Bytes(bytes) => {
            let style = if heading.text == "TX" { theme.tx() } else { theme.rx() };
            (human(in_unit(*bytes, bits)), style)
        }
        Value::Number(0) | Value::Drops(0) => ("0".to_owned(), theme.dim()),
        Value::Number(number) => (human(*number), Style::new()),
        Value::Drops(number) => (human(*number), theme.bad()),
        Value::Share(share, most) => (bar(*share, *most, width), theme.bar()),
    }
}

fn health(health: Health, theme: Theme) -> Style {
    match health {
        Health::Up => theme.good(),
        Health::Unresolved => theme.warning(),
        Health::Down | Health::NoRoute => theme.bad(),
    }
}

/// As much of a text as there is room for.
fn cut(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Bytes in the unit that the user wants.
fn in_unit(bytes: u64, bits: bool) -> u64 {
    if bits { bytes.saturating_mul(8) } else { bytes }
}

/// How wide columns are: numbers as they must, then the name, then what grows. What has no room is left out.
fn widths(headings: &[&Heading], width: u16) -> Vec<u16> {
    let fixed = |heading: &&Heading| match heading.kind {
        Kind::Name => NAME,
        Kind::Word(width) => width,
        Kind::Traffic => NUMBER + 1,
        Kind::Number => NUMBER,
        Kind::Bar => BAR,
        Kind::Sentence => 0,
    };
    let mut widths: Vec<_> = headings.iter().map(fixed).collect();
    let taken = |widths: &[u16]| {
        let shown = widths.iter().filter(|width| **width > 0);
        widths.iter().sum::<u16>() + (shown.count() as u16).saturating_sub(1) * GAP
    };
    while taken(&widths) > width && widths.iter().filter(|width| **width > 0).count() > 1 {
        if let Some(last) = widths.iter_mut().rfind(|width| **width > 0) {
            *last = 0;
        }
    }
    let mut left = width.saturating_sub(taken(&widths));
    for (heading, width) in headings.iter().zip(&mut widths) {
        let more = match heading.kind {
            Kind::Sentence => left.saturating_sub(GAP),
            _ if *width == 0 => 0,
            Kind::Name => (left / 3).min(20),
            Kind::Word(15) => left.min(24),
            Kind::Bar => left.min(32),
            _ => 0,
        };
        *width += more;
        left -= more;
    }
    widths
}

fn foot(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let line = if let Some(trouble) = &model.trouble {
        Line::styled(format!("{trouble}; trying again"), theme.bad())
    } else if model.typing {
        Line::from_iter([
            Span::styled("/", theme.accent()),
            Span::raw(model.filter.clone()),
            Span::raw("█"),
        ])
    } else {
        status(model, theme)
    };
    frame.render_widget(Paragraph::new(line), area);
}

fn status(model: &Model, theme: Theme) -> Line<'static> {
    let matching = model.page(0, 0).map_or(0, |page| page.matching);
    let mut words = Vec::new();
    if !model.filter.is_empty() {
        words.push(Span::styled(format!("/{}", model.filter), theme.accent()));
        words.push(Span::raw("  "));
    }
    let last = (model.skip + model.height).min(matching);
    if matching > model.height {
        let seen = format!("{}-{last} of {matching}  ", model.skip + 1);
        words.push(Span::styled(seen, theme.dim()));
    }
    if model.view == View::Tunnels {
        words.push(Span::styled("What is sent is counted by tenant, not by tunnel.", theme.dim()));
    } else {
        words
            .push(Span::styled("←→ sort  r reverse  / filter  b bits/bytes  p pause", theme.dim()));
    }
    Line::from(words)
}

fn help(frame: &mut Frame<'_>, theme: Theme) {
    let keys = HELP.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
    let lines: Vec<_> = HELP
        .iter()
        .map(|(key, does)| {
            Line::from_iter([
                Span::styled(format!(" {key:<keys$}  "), theme.accent()),
                Span::raw(*does),
            ])
        })
        .collect();
    let width = lines.iter().map(Line::width).max().unwrap_or_default() as u16 + 3;
    let height = lines.len() as u16 + 2;
    let area = frame.area().centered(Constraint::Length(width), Constraint::Length(height));
    frame.render_widget(Clear, area);
    let block = Block::bordered().border_type(BorderType::Rounded).title(" Keys ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
