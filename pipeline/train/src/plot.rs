//! Line charts as SVG, which any browser shows.

use std::fmt::Write as _;

/// A line through points (x, y).
pub struct Curve {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 4] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];

/// Draws curves with axes from 0 to the largest x and y. Curves without points are left out.
pub fn svg(title: &str, curves: &[Curve]) -> String {
    let curves: Vec<&Curve> = curves.iter().filter(|curve| !curve.points.is_empty()).collect();
    let points = || {
        curves.iter().flat_map(|curve| curve.points.iter()).filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    let right = points().map(|(x, _)| *x).fold(1e-9, f64::max);
    let top = points().map(|(_, y)| *y).fold(1e-9, f64::max);
    let x = |value: f64| MARGIN + value / right * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - value / top * (HEIGHT - 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
        font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<text x=\"{}\" \
         y=\"24\" \
         text-anchor=\"middle\" font-size=\"15\">{title}</text>\n",
        WIDTH / 2.0
    );
    for fifth in 0..=5 {
        let share = f64::from(fifth) / 5.0;
        let (at_x, at_y) = (x(right * share), y(top * share));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{at_y:.1}\" y2=\"{at_y:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.3}</text>\n\
             <text x=\"{at_x:.1}\" y=\"{}\" text-anchor=\"middle\">{:.0}</text>",
            WIDTH - MARGIN,
            MARGIN - 6.0,
            at_y + 4.0,
            top * share,
            HEIGHT - MARGIN + 18.0,
            right * share,
        );
    }
    for (i, curve) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let finite = curve.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let line: Vec<String> = finite.map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
            line.join(" "),
            WIDTH - MARGIN + 6.0,
            MARGIN + 16.0 * i as f64,
            curve.name,
        );
    }
    out.push_str("</svg>\n");
    out
}
