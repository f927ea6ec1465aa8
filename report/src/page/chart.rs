//! The histogram of a source with the curve of the negative control, as SVG.

use super::words::count;
use crate::{
    Statistics,
    statistics::{BARS, SourceStatistics, edge},
};
use maud::{Markup, html};

/// Place of the plot in the drawing.
pub const LEFT: f64 = 56.0;
/// Width of the plot.
pub const WIDTH: f64 = 880.0;
const TOP: f64 = 12.0;
const HEIGHT: f64 = 220.0;
const BOTTOM: f64 = TOP + HEIGHT;

/// Height of a number of texts, on a square-root scale: the middle of the range is nearly empty in most jobs.
fn height(n: u64, most: u64) -> f64 {
    (n as f64 / most.max(1) as f64).sqrt() * HEIGHT
}

/// The histogram of a source; each bar links to its row of the table of bars.
pub fn histogram(statistics: &Statistics, source: &SourceStatistics, number: usize) -> Markup {
    let most = source.bars.iter().copied().max().unwrap_or(0);
    let x = LEFT + source.threshold.clamp(0.0, 1.0) * WIDTH;
    html! {
        svg class="chart" viewBox="0 0 1000 270" role="group"
            aria-label={ "Histogram of P(match) of " (source.source) ", on a square-root scale" } {
            (axes(most, statistics.control.judged > 0))
            @for (bar, n) in source.bars.iter().enumerate() { (column(source, number, bar, *n, most)) }
            (curve(statistics))
            line class="line" x1=(x) x2=(x) y1=(TOP) y2=(BOTTOM + 6.0) {}
        }
    }
}

fn axes(most: u64, has_control: bool) -> Markup {
    let lines = [most, most / 4, most / 20];
    html! {
        @for n in lines.into_iter().filter(|n| *n > 0) {
            @let y = BOTTOM - height(n, most);
            line class="grid" x1=(LEFT) x2=(LEFT + WIDTH) y1=(y) y2=(y) {}
            text x=(LEFT - 6.0) y=(y + 4.0) text-anchor="end" { (short(n)) }
        }
        line class="grid" x1=(LEFT) x2=(LEFT + WIDTH) y1=(BOTTOM) y2=(BOTTOM) {}
        @for tenth in 0..=10 {
            @let x = LEFT + WIDTH * f64::from(tenth) / 10.0;
            @let class = if tenth % 5 == 0 { "" } else { "minor" };
            text class=(class) x=(x) y=(BOTTOM + 24.0) text-anchor="middle" {
                (format!("{:.1}", f64::from(tenth) / 10.0))
            }
        }
        @if has_control {
            text x=(LEFT + WIDTH + 6.0) y=(TOP + 6.0) { "100 %" }
            text x=(LEFT + WIDTH + 6.0) y=(BOTTOM + 2.0) { "0 %" }
        }
    }
}

fn column(source: &SourceStatistics, number: usize, bar: usize, n: u64, most: u64) -> Markup {
    let step = WIDTH / BARS as f64;
    let (x, tall) = (LEFT + step * bar as f64, height(n, most));
    let is_kept = edge(bar) + 0.5 / BARS as f64 >= source.threshold;
    let class = if is_kept { "bar kept" } else { "bar" };
    html! {
        @let label = format!("P(match) {}: {} texts", range(bar), count(n));
        a href={ "#bar-" (number) "-" (bar) } aria-label=(label) {
            rect class="hit" x=(x) y=(TOP) width=(step) height=(HEIGHT) {}
            rect class=(class) x=(x + 1.0) y=(BOTTOM - tall) width=(step - 2.0) height=(tall) {}
        }
    }
}

/// Share of the negative control that each position keeps.
fn curve(statistics: &Statistics) -> Markup {
    let positions = statistics.positions.positions().iter().enumerate();
    let point = |(at, position): (usize, &f64)| {
        let share = statistics.control.share(at)?;
        Some(format!("{:.1},{:.1}", LEFT + position * WIDTH, BOTTOM - share * HEIGHT))
    };
    let points: Vec<String> = positions.filter_map(point).collect();
    html! { @if !points.is_empty() { polyline class="curve" points=(points.join(" ")) {} } }
}

/// Range of a bar.
pub fn range(bar: usize) -> String {
    format!("{:.2} to {:.2}", edge(bar), edge(bar + 1))
}

/// A number in at most five characters.
fn short(n: u64) -> String {
    match n {
        0..=9_999 => count(n),
        10_000..=9_999_999 => format!("{}k", n / 1_000),
        10_000_000..=9_999_999_999 => format!("{}M", n / 1_000_000),
        _ => format!("{}G", n / 1_000_000_000),
    }
}

/// A horizontal bar for a share of 0 to 1.
pub fn meter(share: f64, class: &str) -> Markup {
    html! {
        svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect class="track" width="100" height="6" {}
            rect class=(class) width=(format!("{:.2}", share.clamp(0.0, 1.0) * 100.0)) height="6" {}
        }
    }
}
