//! The histogram of a score with the curve of the negative control, as SVG.

use super::{
    axis::Axis,
    words::{count, visible},
};
use crate::statistics::{BARS, Scale};
use maud::{Markup, html};

/// Width and height of the plot in its own units; the style stretches it.
pub const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

/// Height of a number of texts, on a square-root scale: the middle of the range is nearly empty in most jobs.
fn height(n: u64, most: u64) -> f64 {
    (n as f64 / most.max(1) as f64).sqrt() * HEIGHT
}

/// The histogram of a score of a source; each bar links to its row of the table of bars. `number` is that of
/// the panel. Labels are beside the drawing, so that they have the size of the page on every screen.
pub fn histogram(axis: &Axis, number: usize) -> Markup {
    let most = axis.bars.iter().copied().max().unwrap_or(0);
    let x = axis.place(axis.positions[axis.position]) * WIDTH;
    // On a square-root scale, a quarter of the largest number has half its height.
    let left = [short(most), short(most / 4), "0".to_owned()];
    let right = ["100 %", "50 %", "0 %"].map(str::to_owned);
    let below = match axis.scale {
        Scale::Match => ["0", "0.2", "0.4", "0.6", "0.8", "1"],
        Scale::Clip => ["0", "10", "20", "30", "40", "50"],
    };
    let label = format!("Histogram of the {} of {}", axis.score(), visible(&axis.source.source, 60));
    html! {
        div class="plot" {
            (labels("left", &left))
            svg class="chart" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="group"
                aria-label=(label) {
                line class="grid" x1="0" x2=(WIDTH) y1="0" y2="0" {}
                line class="grid" x1="0" x2=(WIDTH) y1=(HEIGHT / 2.0) y2=(HEIGHT / 2.0) {}
                @for (bar, n) in axis.bars.iter().enumerate() { (column(axis, number, bar, *n, most)) }
                (curve(axis))
                line class="line" x1=(x) x2=(x) y1="0" y2=(HEIGHT) {}
            }
            @if axis.controls > 0 { (labels("right", &right)) }
            (labels("below", &below.map(str::to_owned)))
        }
    }
}

/// Labels at equal distances along a side of the plot; the bars have their numbers in names.
fn labels(side: &str, labels: &[String]) -> Markup {
    html! {
        div class={ "axis " (side) } aria-hidden="true" { @for label in labels { span { (label) } } }
    }
}

fn column(axis: &Axis, number: usize, bar: usize, n: u64, most: u64) -> Markup {
    let step = WIDTH / BARS as f64;
    let (x, tall) = (step * bar as f64, height(n, most));
    let is_kept = (bar as f64 + 0.5) / BARS as f64 >= axis.place(axis.positions[axis.position]);
    let class = if is_kept { "bar kept" } else { "bar" };
    html! {
        @let label = format!("{} {}: {} texts", axis.score(), range(axis.scale, bar), count(n));
        a href={ "#bar-" (number) "-" (bar) } aria-label=(label) {
            rect class="hit" x=(x) y="0" width=(step) height=(HEIGHT) {}
            rect class=(class) x=(x + 1.0) y=(HEIGHT - tall) width=(step - 2.0) height=(tall) {}
        }
    }
}

/// Share of the negative control that each position keeps.
fn curve(axis: &Axis) -> Markup {
    let point = |(at, position): (usize, &f64)| {
        let share = axis.control_share_at(at)?;
        Some(format!("{:.1},{:.1}", axis.place(*position) * WIDTH, (1.0 - share) * HEIGHT))
    };
    let points: Vec<String> = axis.positions.iter().enumerate().filter_map(point).collect();
    html! { @if !points.is_empty() { polyline class="curve" points=(points.join(" ")) {} } }
}

/// Range of a bar.
pub fn range(scale: Scale, bar: usize) -> String {
    let (from, to) = (scale.edge(bar), scale.edge(bar + 1));
    match (scale, bar) {
        (Scale::Match, _) => format!("{from:.2} to {to:.2}"),
        (Scale::Clip, 0) => format!("below {to}"),
        (Scale::Clip, bar) if bar + 1 == BARS => format!("{from} and more"),
        (Scale::Clip, _) => format!("{from} to {to}"),
    }
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
