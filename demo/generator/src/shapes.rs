//! Tests which points are inside a shape.

use crate::scene::Shape;
use std::f32::consts::TAU;

/// Largest distance of a shape's points from its centre, in units of its radius: that of a square's corners.
pub(crate) const REACH: f32 = 1.17;

/// Largest rotation in radians: a square stays distinct from a diamond, and every shape stays inside the
/// upright square around its circle.
pub(crate) const TURN: f32 = 0.2;

/// Whether a point is inside a shape of radius 1 around the origin; v points down.
///
/// Areas are similar, so that size is independent of shape; all shapes have a radius of about 1, so that size
/// is visible.
pub(crate) fn is_inside(shape: Shape, u: f32, v: f32) -> bool {
    match shape {
        Shape::Circle => u * u + v * v <= 1.0,
        Shape::Ring => (0.56 * 0.56..=1.0).contains(&(u * u + v * v)),
        Shape::Square => u.abs().max(v.abs()) <= 0.82,
        Shape::Cross => u.abs().min(v.abs()) <= 0.29 && u.abs().max(v.abs()) <= 0.96,
        Shape::Triangle => v <= 0.62 && v >= -1.0 + 1.62 * (u.abs() / 0.86),
        Shape::Diamond => u.abs() / 0.64 + v.abs() <= 1.0,
        Shape::Star => is_in_star(u, v),
        Shape::Heart => is_in_heart(u, v),
    }
}

/// Five points: the edge between a point and the next notch is straight.
fn is_in_star(u: f32, v: f32) -> bool {
    const NOTCH: f32 = 0.43;
    let distance = u.hypot(v);
    // Almost half of all points need no angle.
    if distance <= NOTCH * 0.8 || distance > 1.0 {
        return distance <= NOTCH * 0.8;
    }
    let turn = (u.atan2(-v) / TAU * 5.0).rem_euclid(1.0);
    let from_point = turn.min(1.0 - turn) * TAU / 5.0;
    let (nx, ny) = (NOTCH * (TAU / 10.0).cos(), NOTCH * (TAU / 10.0).sin());
    let (px, py) = (distance * from_point.cos(), distance * from_point.sin());
    (nx - 1.0) * py - ny * (px - 1.0) >= 0.0
}

/// Two discs, and below them a wedge that touches both.
fn is_in_heart(u: f32, v: f32) -> bool {
    const DISC: f32 = 0.47;
    const HEIGHT: f32 = -0.42;
    const TIP: f32 = 0.95;
    let u = u.abs();
    let (du, dv) = (u - DISC * 0.92, v - HEIGHT);
    if du * du + dv * dv <= DISC * DISC {
        return true;
    }
    // The tangent from the tip to the disc: its angle to the axis is the angle to the disc's centre plus the
    // disc's.
    let (cu, cv) = (DISC * 0.92, TIP - HEIGHT);
    let angle = cu.atan2(cv) + (DISC / cu.hypot(cv)).asin();
    let touches = TIP - (cu.hypot(cv).powi(2) - DISC * DISC).sqrt() * angle.cos();
    if v > touches { u <= (TIP - v) * angle.tan() } else { v >= HEIGHT && u <= DISC * 0.92 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of points of the square from -1.2 to 1.2 that are inside each of two shapes, and inside both.
    fn overlap(a: Shape, b: Shape) -> f32 {
        let (mut both, mut either) = (0, 0);
        for i in 0..240 * 240 {
            let (u, v) = ((i % 240) as f32 / 100.0 - 1.195, (i / 240) as f32 / 100.0 - 1.195);
            let (in_a, in_b) = (is_inside(a, u, v), is_inside(b, u, v));
            both += u32::from(in_a && in_b);
            either += u32::from(in_a || in_b);
        }
        both as f32 / either as f32
    }

    #[test]
    fn shapes_differ() {
        for (i, a) in Shape::ALL.iter().enumerate() {
            for b in &Shape::ALL[..i] {
                let overlap = overlap(*a, *b);
                assert!(overlap < 0.82, "{a:?} and {b:?} share {overlap} of their area");
            }
        }
    }

    #[test]
    fn shapes_stay_within_their_reach_and_turned_within_the_square_around_their_circle() {
        for shape in Shape::ALL {
            for i in 0..260 * 260 {
                let (u, v) = ((i % 260) as f32 / 100.0 - 1.295, (i / 260) as f32 / 100.0 - 1.295);
                if !is_inside(*shape, u, v) {
                    continue;
                }
                assert!(u.hypot(v) <= REACH, "{shape:?} at {u} {v}");
                for turn in [-TURN, 0.0, TURN] {
                    let (sin, cos) = turn.sin_cos();
                    let most = (u * cos - v * sin).abs().max((u * sin + v * cos).abs());
                    assert!(most <= 1.0, "{shape:?} turned by {turn}: {most}");
                }
            }
        }
    }
}
