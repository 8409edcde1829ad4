//! Pictures of rows: a line where one number grows with another, bars where ways are compared.

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};

use super::conditions::Clock;
use crate::bench::row::Row;

const WIDTH: u32 = 760;
const LINES_HEIGHT: u32 = 420;
/// Of a bar and the room to the next.
const BAR: u32 = 30;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A picture.
pub struct Picture {
    /// Tells it from others of the same run.
    pub name: String,
    /// What is drawn.
    pub svg: String,
}

/// How one number grows with another.
struct Lines {
    case: &'static str,
    title: &'static str,
    x: &'static str,
    x_title: &'static str,
    y_title: &'static str,
    /// Fields that are the same in all points; the title shows them.
    fixed: &'static [&'static str],
    /// Fields of a row, and what they are called.
    series: &'static [(&'static str, &'static str)],
}

const RATES: &[(&str, &str)] = &[
    ("baseline_mpps", "count and drop"),
    ("redirect_mpps", "redirect"),
    ("mpps", "decapsulate and redirect"),
];

const LINES: &[Lines] = &[
    Lines {
        case: "decap",
        title: "XDP decapsulation on one core",
        x: "keys",
        x_title: "tenants",
        y_title: "million packets per second",
        fixed: &["distribution", "size"],
        series: RATES,
    },
    Lines {
        case: "decap",
        title: "XDP decapsulation on one core",
        x: "size",
        x_title: "bytes",
        y_title: "million packets per second",
        fixed: &["distribution", "keys"],
        series: RATES,
    },
    Lines {
        case: "encap",
        title: "Encapsulation on one core",
        x: "size",
        x_title: "bytes",
        y_title: "million packets per second",
        fixed: &["hook", "generator", "keys"],
        series: &[("baseline_mpps", "redirect"), ("mpps", "encapsulate")],
    },
    Lines {
        case: "load",
        title: "Entering all tenants at once",
        x: "keys",
        x_title: "tenants",
        y_title: "milliseconds",
        fixed: &[],
        series: &[("ms", "batch calls")],
    },
    Lines {
        case: "memory",
        title: "Kernel memory of the maps",
        x: "keys",
        x_title: "tenants",
        y_title: "MiB",
        fixed: &[],
        series: &[("mib", "all maps")],
    },
    Lines {
        case: "fleet",
        title: "A fleet: until all hosts know",
        x: "hosts",
        x_title: "hosts; a hundred times as many tenants",
        y_title: "seconds",
        fixed: &[],
        series: &[
            ("start_s", "all start at once"),
            ("written_s", "a tenth is emptied: written"),
            ("converged_s", "a tenth is emptied: known"),
        ],
    },
    Lines {
        case: "fleet",
        title: "A fleet: one port moves",
        x: "hosts",
        x_title: "hosts; a hundred times as many tenants",
        y_title: "milliseconds",
        fixed: &[],
        series: &[("move_ms", "median"), ("slowest_ms", "slowest")],
    },
    Lines {
        case: "fleet",
        title: "A fleet: what one host takes",
        x: "hosts",
        x_title: "hosts; a hundred times as many tenants",
        y_title: "watches, KiB",
        fixed: &[],
        series: &[
            ("watches", "watches"),
            ("start_kib", "KiB received at the start"),
            ("host_kib", "KiB of memory"),
        ],
    },
];

/// Fewest points that make a line worth drawing.
const POINTS: usize = 3;

/// The pictures of a case.
pub fn of(clock: Clock, rows: &[Row]) -> Result<Vec<Picture>> {
    let case = &rows[0].bench;
    let failed = |error| anyhow!("cannot draw {case}: {error}");
    let mut pictures = Vec::new();
    for plot in LINES.iter().filter(|plot| plot.case == case) {
        for (title, rows) in alike(plot.fixed, rows) {
            if rows.len() >= POINTS {
                let title = format!("{}{title}", plot.title);
                let name = format!("{case}-{}-{}", plot.x, pictures.len());
                let draw = |area: &Area<'_>| lines(plot, &title, &rows, area);
                let svg = picture(LINES_HEIGHT, draw).map_err(failed)?;
                pictures.push(Picture { name, svg });
            }
        }
    }
    if case == "path" {
        for (title, mut rows) in alike(&["size"], rows) {
            rows.retain(|row| row.number("ns").is_some());
            let unit = if clock == Clock::Instructions { "instructions" } else { "ns" };
            let title = format!("{unit} per packet, from end to end{title}");
            let name = format!("{case}-{}", pictures.len());
            let draw = |area: &Area<'_>| bars(&title, &rows, area);
            let svg = picture(BAR * (rows.len() as u32 + 2), draw).map_err(failed)?;
            pictures.push(Picture { name, svg });
        }
    }
    Ok(pictures)
}

/// Rows that agree in these fields, and in what they agree.
fn alike<'r>(fields: &[&str], rows: &'r [Row]) -> Vec<(String, Vec<&'r Row>)> {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let text = |field: &&str| match row.get(field) {
            Some(serde_json::Value::String(text)) => format!(", {text}"),
            Some(value) => format!(", {field} {value}"),
            None => String::new(),
        };
        let title: String = fields.iter().map(text).collect();
        match groups.iter_mut().find(|(other, _)| *other == title) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((title, vec![row])),
        }
    }
    groups
}

fn picture(
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

fn lines(plot: &Lines, title: &str, rows: &[&Row], area: &Area<'_>) -> Drawn {
    let points = |field| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.number(plot.x)?, row.number(field)?))).collect()
    };
    let all: Vec<_> = plot.series.iter().flat_map(|(field, _)| points(field)).collect();
    let bound = |of: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
        all.iter().map(of).reduce(pick).unwrap_or(1.0)
    };
    let (left, right) = (bound(|p| p.0, f64::min), bound(|p| p.0, f64::max));
    let top = bound(|p| p.1, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((left..right).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(plot.x_title)
        .y_desc(plot.y_title)
        .light_line_style(WHITE)
        .draw()?;
    for (number, (field, name)) in plot.series.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let points = points(field);
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3),
            )?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(())
}

/// A bar for each way, as long as its packets take.
fn bars(title: &str, rows: &[&Row], area: &Area<'_>) -> Drawn {
    const LEFT: i32 = 130;
    const ROOM: f64 = 540.0;
    let text =
        |row: &Row, field| row.get(field).and_then(|it| it.as_str()).unwrap_or("").to_owned();
    let longest = rows.iter().filter_map(|row| row.number("ns")).fold(1.0, f64::max);
    area.draw(&Text::new(title.to_owned(), (12, 12), ("sans-serif", 18)))?;
    for (number, row) in rows.iter().enumerate() {
        let ns = row.number("ns").unwrap_or(0.0);
        let (way, service) = (text(row, "way"), text(row, "service"));
        let top = (BAR * (number as u32 + 1) + BAR / 2) as i32;
        let bottom = top + BAR as i32 - 8;
        let right = LEFT + (ROOM * ns / longest) as i32;
        let color = Palette99::pick(usize::from(way.starts_with("xgre"))).filled();
        area.draw(&Text::new(format!("{service} {way}"), (12, top + 4), ("sans-serif", 14)))?;
        area.draw(&Rectangle::new([(LEFT, top), (right, bottom)], color))?;
        area.draw(&Text::new(format!("{ns:.0}"), (right + 6, top + 4), ("sans-serif", 14)))?;
    }
    Ok(())
}
