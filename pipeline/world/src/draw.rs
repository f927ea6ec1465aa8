//! A scene as pixels, no two alike: place, size, angle, colours and background all vary a little.

use crate::scene::{Axis, Background, Colour, Scene, Shape, Size};
use rand::{RngExt as _, rngs::StdRng};
use std::f64::consts::TAU;

/// Points of a pixel that are looked at along each axis; their share inside a shape is its coverage.
const SAMPLES: usize = 4;
/// Room between two objects and to the border, as a share of the side.
const GAP: f64 = 0.02;

/// A shape with its place: centre and radius as shares of the side.
struct Placed {
    shape: Shape,
    x: f64,
    y: f64,
    radius: f64,
    angle: f64,
    rgb: [f64; 3],
}

/// Draws a scene: `side × side × 3` bytes, row by row, red first.
pub fn draw(scene: &Scene, side: usize, random: &mut StdRng) -> Vec<u8> {
    let objects = place(scene, random);
    let ground = jitter(background(scene.background), 10.0, random);
    let (slope, direction) = (random.random_range(0.0..0.16), random.random_range(0.0..TAU));
    let mut pixels = Vec::with_capacity(side * side * 3);
    for row in 0..side {
        for column in 0..side {
            let (x, y) = ((column as f64 + 0.5) / side as f64, (row as f64 + 0.5) / side as f64);
            let light = 1.0 + slope * ((x - 0.5) * direction.cos() + (y - 0.5) * direction.sin());
            let mut rgb = ground.map(|channel| channel * light);
            for object in &objects {
                let covered = coverage(object, x, y, side);
                rgb = std::array::from_fn(|i| rgb[i] + covered * (object.rgb[i] - rgb[i]));
            }
            let noise: f64 = random.random_range(-4.0..4.0);
            pixels.extend(rgb.map(|channel| (channel + noise).clamp(0.0, 255.0).round() as u8));
        }
    }
    pixels
}

fn place(scene: &Scene, random: &mut StdRng) -> Vec<Placed> {
    let radius = |size: Size, random: &mut StdRng| match size {
        Size::Small => random.random_range(0.115..0.14),
        Size::Large => random.random_range(0.195..0.225),
    };
    let radii: Vec<f64> = scene.objects.iter().map(|object| radius(object.size, random)).collect();
    let within = |radius: f64, random: &mut StdRng| random.random_range(radius + GAP..1.0 - radius - GAP);
    let centres: Vec<(f64, f64)> = match (radii.as_slice(), scene.axis) {
        ([a, b], Some(axis)) => {
            // Along the axis one behind the other, across it nearly in line: the relation leaves no doubt.
            let least = a + b + 2.0 * GAP;
            let first = random.random_range(a + GAP..(1.0 - b - GAP - least).max(a + GAP + 1e-6));
            let second = random.random_range(first + least..(1.0 - b - GAP).max(first + least + 1e-6));
            let across = within(a.max(*b), random);
            let drift = 0.35 * (second - first);
            let other = (across + random.random_range(-drift..drift)).clamp(b + GAP, 1.0 - b - GAP);
            match axis {
                Axis::Across => vec![(first, across), (second, other)],
                Axis::Down => vec![(across, first), (other, second)],
            }
        }
        _ => radii.iter().map(|radius| (within(*radius, random), within(*radius, random))).collect(),
    };
    let placed = scene.objects.iter().zip(radii).zip(centres).map(|((object, radius), (x, y))| Placed {
        shape: object.shape,
        x,
        y,
        radius,
        angle: random.random_range(-0.2..0.2),
        rgb: jitter(colour(object.colour), 14.0, random),
    });
    placed.collect()
}

/// Share of a pixel around (x, y) that lies in the object.
fn coverage(object: &Placed, x: f64, y: f64, side: usize) -> f64 {
    let (dx, dy) = (x - object.x, y - object.y);
    if dx.hypot(dy) > object.radius * 1.1 + 1.0 / side as f64 {
        return 0.0;
    }
    let mut inside = 0;
    for i in 0..SAMPLES * SAMPLES {
        let offset = |i: usize| ((i as f64 + 0.5) / SAMPLES as f64 - 0.5) / side as f64;
        let (px, py) = (dx + offset(i % SAMPLES), dy + offset(i / SAMPLES));
        let (sin, cos) = object.angle.sin_cos();
        let (u, v) = ((px * cos + py * sin) / object.radius, (py * cos - px * sin) / object.radius);
        inside += usize::from(is_inside(object.shape, u, v));
    }
    inside as f64 / (SAMPLES * SAMPLES) as f64
}

/// Whether a point lies in a shape of radius 1 around the origin; v points down.
fn is_inside(shape: Shape, u: f64, v: f64) -> bool {
    let distance = u.hypot(v);
    match shape {
        Shape::Circle => distance <= 1.0,
        Shape::Ring => (0.55..=1.0).contains(&distance),
        Shape::Square => u.abs().max(v.abs()) <= 0.82,
        Shape::Cross => u.abs().min(v.abs()) <= 0.28 && u.abs().max(v.abs()) <= 0.95,
        Shape::Triangle => v <= 0.65 && v >= -1.0 + 1.65 * (u.abs() / 0.98),
        Shape::Star => {
            // Five points: between a point and the next notch the edge is straight.
            let turn = (u.atan2(-v) / TAU * 5.0).rem_euclid(1.0);
            let from_point = (turn.min(1.0 - turn)) * TAU / 5.0;
            let (tip, notch) = (1.0_f64, 0.42_f64);
            let (nx, ny) = (notch * (TAU / 10.0).cos(), notch * (TAU / 10.0).sin());
            let (px, py) = (distance * from_point.cos(), distance * from_point.sin());
            (nx - tip) * py - ny * (px - tip) >= 0.0
        }
    }
}

fn colour(colour: Colour) -> [f64; 3] {
    match colour {
        Colour::Red => [214.0, 38.0, 40.0],
        Colour::Green => [38.0, 158.0, 58.0],
        Colour::Blue => [44.0, 84.0, 216.0],
        Colour::Yellow => [242.0, 222.0, 48.0],
        Colour::Purple => [138.0, 46.0, 172.0],
        Colour::Orange => [246.0, 138.0, 28.0],
        Colour::White => [240.0, 240.0, 240.0],
        Colour::Black => [22.0, 22.0, 22.0],
    }
}

fn background(background: Background) -> [f64; 3] {
    match background {
        Background::Gray => [128.0, 128.0, 128.0],
        Background::Pink => [248.0, 176.0, 198.0],
        Background::Cyan => [116.0, 220.0, 230.0],
        Background::Brown => [116.0, 72.0, 40.0],
        Background::Beige => [226.0, 206.0, 164.0],
    }
}

fn jitter(rgb: [f64; 3], most: f64, random: &mut StdRng) -> [f64; 3] {
    rgb.map(|channel| (channel + random.random_range(-most..most)).clamp(0.0, 255.0))
}
