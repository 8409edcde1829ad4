//! `cargo xtask picture`: a terminal's screen, as `tmux capture-pane -e -p` tells it, as a picture (SVG).

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _, stdin, stdout},
    process::ExitCode,
};

use anyhow::Result;

/// A character's width and a line's height, in pixels.
const WIDTH: u32 = 9;
const HEIGHT: u32 = 19;
const MARGIN: u32 = 14;
const GROUND: &str = "#16191f";
const TEXT: &str = "#d5d9e0";
/// The sixteen colours of a terminal.
const COLOURS: [&str; 16] = [
    "#16191f", "#e5626b", "#8fc26a", "#e2b45a", "#4c87d6", "#b57edc", "#4fb8c8", "#d5d9e0",
    "#6b7380", "#ff7b84", "#a9dc84", "#f2ca78", "#6ea6f0", "#cf9df0", "#70d4e3", "#ffffff",
];

/// Arguments of `picture`.
#[derive(clap::Args)]
pub struct Args {
    /// Columns of the terminal
    #[arg(long, default_value_t = 80)]
    columns: u32,
}

/// Reads a screen from stdin, and writes its picture to stdout.
pub fn verb(args: &Args) -> Result<ExitCode> {
    let mut screen = String::new();
    stdin().read_to_string(&mut screen)?;
    stdout().write_all(svg(&screen, args.columns).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// How characters look (ECMA-48, "select graphic rendition").
#[derive(Clone, Copy, Default, PartialEq)]
struct Look {
    colour: Option<usize>,
    ground: Option<usize>,
    bold: bool,
    dim: bool,
    reversed: bool,
}

impl Look {
    fn change(&mut self, codes: &str) {
        let mut codes = codes.split(';').map(|code| code.parse().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                7 => self.reversed = true,
                22 => (self.bold, self.dim) = (false, false),
                27 => self.reversed = false,
                30..=37 => self.colour = Some(code - 30),
                90..=97 => self.colour = Some(code - 90 + 8),
                39 => self.colour = None,
                40..=47 => self.ground = Some(code - 40),
                49 => self.ground = None,
                38 if codes.next() == Some(5) => self.colour = codes.next(),
                48 if codes.next() == Some(5) => self.ground = codes.next(),
                _ => {}
            }
        }
    }

    /// Colours of characters and of what is behind them.
    fn colours(self) -> (&'static str, &'static str) {
        let of = |colour: Option<usize>| colour.and_then(|colour| COLOURS.get(colour).copied());
        let (text, ground) = (of(self.colour).unwrap_or(TEXT), of(self.ground).unwrap_or(GROUND));
        if self.reversed { (ground, text) } else { (text, ground) }
    }
}

fn svg(screen: &str, columns: u32) -> String {
    let lines: Vec<&str> = screen.trim_end_matches('\n').lines().collect();
    let (width, height) = (columns * WIDTH + 2 * MARGIN, lines.len() as u32 * HEIGHT + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"{GROUND}\"/>\n"
    );
    let mut look = Look::default();
    for (number, line) in (0..).zip(lines) {
        draw_line(&mut svg, line, number, &mut look);
    }
    svg + "</svg>\n"
}

/// Draws characters of one look together.
fn draw_line(svg: &mut String, mut rest: &str, line: u32, look: &mut Look) {
    let mut column = 0;
    while !rest.is_empty() {
        if let Some((codes, after)) = rest.strip_prefix("\x1b[").and_then(|it| it.split_once('m')) {
            look.change(codes);
            rest = after;
            continue;
        }
        let (run, after) = rest.split_at(rest.find('\x1b').unwrap_or(rest.len()));
        draw_run(svg, run, (column, line), *look);
        column += run.chars().count() as u32;
        // An escape that is none of ours.
        rest = after.strip_prefix('\x1b').filter(|it| !it.starts_with('[')).unwrap_or(after);
    }
}

fn draw_run(svg: &mut String, run: &str, (column, line): (u32, u32), look: Look) {
    let (colour, ground) = look.colours();
    let (left, top) = (MARGIN + column * WIDTH, MARGIN + line * HEIGHT);
    if ground != GROUND {
        let width = run.chars().count() as u32 * WIDTH;
        rect(svg, [left, top, width, HEIGHT].map(f64::from), ground);
    }
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let opacity = if look.dim { " opacity=\"0.6\"" } else { "" };
    let mut at = 0;
    for word in run.split_inclusive(' ') {
        let x = left + at * WIDTH;
        at += word.chars().count() as u32;
        let text = word.trim_end();
        if text.chars().any(|it| block(it).is_some()) {
            for (place, it) in (0..).zip(text.chars()) {
                draw_block(svg, it, (x + place * WIDTH, top), colour);
            }
        } else if !text.is_empty() {
            let (y, length) = (top + HEIGHT - 5, text.chars().count() as u32 * WIDTH);
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\" fill=\"{colour}\"{weight}{opacity}>{text}</text>"
            );
        }
    }
}

/// The part of its cell that a block element fills: width and height, in eighths (Unicode 2581 to 258F).
fn block(it: char) -> Option<(f64, f64)> {
    match it {
        '▁'..='█' => Some((8.0, f64::from(it as u32 - 0x2580))),
        '▉'..='▏' => Some((f64::from(0x2590 - it as u32), 8.0)),
        _ => None,
    }
}

fn draw_block(svg: &mut String, it: char, (x, top): (u32, u32), colour: &str) {
    let Some((wide, high)) = block(it) else { return };
    let (wide, high) = (wide / 8.0 * f64::from(WIDTH), high / 8.0 * f64::from(HEIGHT));
    rect(svg, [x.into(), f64::from(top + HEIGHT) - high, wide, high], colour);
}

fn rect(svg: &mut String, [x, y, width, height]: [f64; 4], colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\" shape-rendering=\"crispEdges\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::svg;

    #[test]
    fn words_stand_where_they_stood() {
        let picture = svg("a\x1b[1;36m bc\x1b[0m  <▌\n", 10);
        assert!(
            picture.contains("<text x=\"14\" y=\"28\" textLength=\"9\" fill=\"#d5d9e0\">a</text>")
        );
        let bold = "<text x=\"32\" y=\"28\" textLength=\"18\" fill=\"#4fb8c8\" font-weight=\"bold\">bc</text>";
        assert!(picture.contains(bold), "{picture}");
        assert!(
            picture.contains("<rect x=\"77\" y=\"14.0\" width=\"4.5\" height=\"19.0\""),
            "{picture}"
        );
    }
}
