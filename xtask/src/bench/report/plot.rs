//! Pictures of rows.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::bench::row::Row;

const SIZE: (u32, u32) = (760, 420);

/// What a picture shows.
struct Plot {
    case: &'static str,
    title: &'static str,
    x: &'static str,
    x_title: &'static str,
    y_title: &'static str,
    /// Fields of a row, and what they are called.
    lines: &'static [(&'static str, &'static str)],
}

const PLOTS: &[Plot] = &[
    Plot {
        case: "decap",
        title: "XDP decapsulation on one core, smallest packets",
        x: "keys",
        x_title: "tenants",
        y_title: "million packets per second",
        lines: &[
            ("baseline_mpps", "count and drop"),
            ("redirect_mpps", "redirect"),
            ("mpps", "decapsulate and redirect"),
        ],
    },
    Plot {
        case: "load",
        title: "Entering all tenants at once",
        x: "keys",
        x_title: "tenants",
        y_title: "milliseconds",
        lines: &[("ms", "batch calls")],
    },
    Plot {
        case: "memory",
        title: "Kernel memory of the maps",
        x: "keys",
        x_title: "tenants",
        y_title: "MiB",
        lines: &[("mib", "all maps")],
    },
];

/// The picture of a case, where one number grows with another.
pub fn svg(rows: &[Row]) -> Result<Option<String>> {
    let plot = PLOTS.iter().find(|plot| plot.case == rows[0].bench);
    let smallest = rows.iter().filter_map(|row| row.number("size")).reduce(f64::min);
    let rows: Vec<_> = rows.iter().filter(|row| row.number("size") == smallest).collect();
    match plot {
        Some(plot) if rows.len() > 1 => draw(plot, &rows).map(Some),
        _ => Ok(None),
    }
}

fn draw(plot: &Plot, rows: &[&Row]) -> Result<String> {
    let mut svg = String::new();
    render(plot, rows, &mut svg).map_err(|error| anyhow!("cannot draw {}: {error}", plot.case))?;
    Ok(svg)
}

fn render(plot: &Plot, rows: &[&Row], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let points = |field| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.number(plot.x)?, row.number(field)?))).collect()
    };
    let all: Vec<_> = plot.lines.iter().flat_map(|(field, _)| points(field)).collect();
    let bound = |of: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| {
        all.iter().map(of).reduce(pick).unwrap_or(1.0)
    };
    let (left, right) = (bound(|p| p.0, f64::min), bound(|p| p.0, f64::max));
    let top = bound(|p| p.1, f64::max) * 1.1;

    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(plot.title, ("sans-serif", 18))
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
    for (number, (field, name)) in plot.lines.iter().enumerate() {
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
    root.present()?;
    Ok(())
}
