//! The reliability diagram of a filter, as SVG: share of true pairs over P(match), without and with the
//! temperature. On the diagonal, P(match) is the share of true pairs.

use crate::calibration::{Bin, Calibrated, Reliability};
use std::fmt::Write as _;

/// Side of the plot and space around it, in the drawing's units.
const SIDE: f64 = 400.0;
const MARGIN: f64 = 60.0;

/// Draws the diagram. The area of a point is proportional to the square root of its pairs.
pub fn reliability_diagram(found: &Calibrated) -> String {
    let whole = SIDE + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" \
         font-family=\"sans-serif\" font-size=\"13\" role=\"img\" aria-label=\"Reliability diagram\">\n\
         <rect width=\"{whole}\" height=\"{whole}\" fill=\"white\"/>\n"
    );
    axes(&mut svg);
    let series = [
        (&found.before, "#b45309", format!("without temperature: ECE {:.3}", found.before.ece)),
        (
            &found.after,
            "#1d4ed8",
            format!("temperature {:.2}: ECE {:.3}", found.temperature, found.after.ece),
        ),
    ];
    for (at, (reliability, colour, name)) in series.into_iter().enumerate() {
        draw(&mut svg, reliability, colour);
        let y = MARGIN + SIDE - 34.0 + 20.0 * at as f64;
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/><text x=\"{}\" y=\"{y}\">{name}</text>",
            MARGIN + SIDE * 0.4,
            y - 4.5,
            MARGIN + SIDE * 0.4 + 12.0
        );
    }
    svg + "</svg>\n"
}

fn axes(svg: &mut String) {
    for fifth in 0..=5 {
        let share = f64::from(fifth) / 5.0;
        let ([x, y], [right, top]) = (place(share, share), place(1.0, 1.0));
        let [left, below] = place(0.0, 0.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{x} {below}V{top}M{left} {y}H{right}\" stroke=\"#ddd\" fill=\"none\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{share}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{share}</text>",
            below + 18.0,
            left - 8.0,
            y + 4.5
        );
    }
    let ([left, below], [right, top]) = (place(0.0, 0.0), place(1.0, 1.0));
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {below}L{right} {top}\" stroke=\"#666\" stroke-dasharray=\"5 5\" fill=\"none\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">P(match)</text>\
         <text transform=\"translate(18 {}) rotate(-90)\" text-anchor=\"middle\">share of true pairs</text>",
        MARGIN + SIDE / 2.0,
        below + 42.0,
        MARGIN + SIDE / 2.0
    );
}

fn draw(svg: &mut String, reliability: &Reliability, colour: &str) {
    let bins: Vec<&Bin> = reliability.bins.iter().filter(|bin| bin.pairs > 0).collect();
    let most = bins.iter().map(|bin| bin.pairs).max().unwrap_or(1) as f64;
    let at = |bin: &&Bin| place(bin.mean_match, bin.share_true);
    let line: Vec<String> =
        bins.iter().map(|bin| at(bin).map(|value| format!("{value:.1}")).join(",")).collect();
    let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", line.join(" "));
    for bin in bins {
        let [x, y] = at(&bin);
        let radius = 3.0 + 7.0 * (bin.pairs as f64 / most).powf(0.25);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{colour}\" fill-opacity=\"0.75\">\
             <title>{} pairs, mean P(match) {:.3}, {:.3} true</title></circle>",
            bin.pairs, bin.mean_match, bin.share_true
        );
    }
}

/// Place of a point in the drawing.
fn place(x: f64, y: f64) -> [f64; 2] {
    [MARGIN + x * SIDE, MARGIN + (1.0 - y) * SIDE]
}
