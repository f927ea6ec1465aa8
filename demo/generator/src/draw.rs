//! Renders a scene as pixels. Positions, sizes, angles, colours and background vary, so that no two pictures
//! are equal.

use crate::{
    colours::{self, Rgb},
    random::Random,
    scene::{Axis, Scene, Shape, Size},
    shapes::{REACH, TURN, is_inside},
};
use rand::{RngExt as _, SeedableRng as _};
use std::f32::consts::TAU;

/// Sample points of a pixel along each axis; the share of points inside a shape is its coverage.
const SAMPLES: usize = 4;
/// Gap between two objects and to the border, as a share of the side.
const GAP: f32 = 0.02;
/// Largest offset of two objects across their axis, as a share of their distance along it.
const DRIFT: f32 = 0.35;
/// Amplitude of the noise that is added to a pixel, of 255.
const GRAIN: f32 = 4.0;

/// A shape with its position: centre and radius as shares of the side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    shape: Shape,
    x: f32,
    y: f32,
    radius: f32,
    /// Sine and cosine of the rotation.
    sin: f32,
    cos: f32,
    rgb: Rgb,
}

impl Placed {
    /// The same object with its centre at another place.
    pub(crate) fn at(self, x: f32, y: f32) -> Self {
        Self { x, y, ..self }
    }

    /// Centre of the object.
    pub(crate) fn centre(&self) -> (f32, f32) {
        (self.x, self.y)
    }

    /// Least and largest coordinates of a centre that keep the object inside the picture.
    pub(crate) fn room(&self) -> (f32, f32) {
        (self.radius + GAP, 1.0 - self.radius - GAP)
    }
}

/// Renders a scene: `side × side × 3` bytes, row by row, red first. Except for the noise, a picture is the
/// same at any side.
pub fn draw(scene: &Scene, side: usize, random: &mut Random) -> Vec<u8> {
    let objects = place(scene, random);
    let backdrop = Backdrop::any(scene, random);
    // Separate random numbers, so that later random numbers do not depend on the number of pixels.
    render(&objects, &backdrop, side, &mut random.fork())
}

/// Background with its light.
#[derive(Debug)]
pub(crate) struct Backdrop {
    ground: Rgb,
    slope: f32,
    /// Sine and cosine of the direction of the light.
    sin: f32,
    cos: f32,
}

impl Backdrop {
    pub(crate) fn any(scene: &Scene, random: &mut Random) -> Self {
        let ground = colours::any(scene.background, random);
        let (slope, direction) = (random.random_range(0.0..0.16), random.random_range(0.0..TAU));
        let (sin, cos) = f32::sin_cos(direction);
        Self { ground, slope, sin, cos }
    }
}

/// Renders placed objects; `grains` are the random numbers of the noise.
pub(crate) fn render(objects: &[Placed], backdrop: &Backdrop, side: usize, grains: &mut Random) -> Vec<u8> {
    let Backdrop { ground, slope, sin, cos } = *backdrop;
    let mut pixels = Vec::with_capacity(side * side * 3);
    for row in 0..side {
        for column in 0..side {
            let (x, y) = ((column as f32 + 0.5) / side as f32, (row as f32 + 0.5) / side as f32);
            // Brightness increases towards one side.
            let light = 1.0 + slope * ((x - 0.5) * cos + (y - 0.5) * sin);
            let mut rgb = ground.map(|channel| channel * light);
            for object in objects {
                let covered = coverage(object, x, y, 1.0 / side as f32);
                rgb = std::array::from_fn(|i| rgb[i] + covered * (object.rgb[i] - rgb[i]));
            }
            let grain = grains.random_range(-GRAIN..GRAIN);
            pixels.extend(rgb.map(|channel| (channel + grain).clamp(0.0, 255.0).round() as u8));
        }
    }
    pixels
}

pub(crate) fn place(scene: &Scene, random: &mut Random) -> Vec<Placed> {
    let radii: Vec<f32> = scene.objects.iter().map(|object| radius(object.size, random)).collect();
    let centres = match (radii.as_slice(), scene.axis) {
        ([a, b], Some(axis)) => in_line(*a, *b, axis, random).to_vec(),
        _ => radii.iter().map(|radius| (within(*radius, random), within(*radius, random))).collect(),
    };
    let placed = scene.objects.iter().zip(radii).zip(centres).map(|((object, radius), (x, y))| {
        let (sin, cos) = random.random_range(-TURN..TURN).sin_cos();
        Placed { shape: object.shape, x, y, radius, sin, cos, rgb: colours::any(object.colour, random) }
    });
    placed.collect()
}

/// Radius for a size. Small objects are 0.3 of the side wide, large ones almost half, so that two fit.
fn radius(size: Size, random: &mut Random) -> f32 {
    match size {
        Size::Small => random.random_range(0.135..0.16),
        Size::Large => random.random_range(0.208..0.233),
    }
}

/// A coordinate that keeps the whole object inside the picture.
fn within(radius: f32, random: &mut Random) -> f32 {
    random.random_range(radius + GAP..1.0 - radius - GAP)
}

/// Centres of two objects: separated along the axis and almost in line across it, so that the relation is
/// unambiguous.
fn in_line(a: f32, b: f32, axis: Axis, random: &mut Random) -> [(f32, f32); 2] {
    let least = a + b + GAP;
    // Free space of the side when the objects are as close as allowed; almost none for large objects.
    let free = (1.0 - 2.0 * GAP - a - b - least).max(0.0);
    let first = a + GAP + free * random.random_range(0.0..1.0);
    let second = first + least + (free - (first - a - GAP)) * random.random_range(0.0..1.0);
    let drift = DRIFT * (second - first);
    let across = within(a, random);
    let other = (across + random.random_range(-drift..drift)).clamp(b + GAP, 1.0 - b - GAP);
    // Clamped again, because the border may have separated them.
    let across = across.clamp(other - drift, other + drift);
    match axis {
        Axis::Across => [(first, across), (second, other)],
        Axis::Down => [(across, first), (other, second)],
    }
}

/// Share of a pixel around (x, y) that is inside the object.
fn coverage(object: &Placed, x: f32, y: f32, pixel: f32) -> f32 {
    let (dx, dy) = (x - object.x, y - object.y);
    let reach = object.radius * REACH + pixel;
    if dx * dx + dy * dy > reach * reach {
        return 0.0;
    }
    let covers = |i: usize, j: usize| {
        let offset = |i: usize| ((i as f32 + 0.5) / SAMPLES as f32 - 0.5) * pixel;
        let (px, py) = (dx + offset(i), dy + offset(j));
        let (u, v) = (px * object.cos + py * object.sin, py * object.cos - px * object.sin);
        is_inside(object.shape, u / object.radius, v / object.radius)
    };
    // If the corners agree, as in most pixels, there is no edge to smooth.
    let corner = covers(0, 0);
    let last = SAMPLES - 1;
    if [(0, last), (last, 0), (last, last)].into_iter().all(|(i, j)| covers(i, j) == corner) {
        return f32::from(u8::from(corner));
    }
    let inside = (0..SAMPLES * SAMPLES).filter(|i| covers(i % SAMPLES, i / SAMPLES)).count();
    inside as f32 / (SAMPLES * SAMPLES) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, of};

    #[test]
    fn objects_are_inside_the_picture_separate_and_in_their_relation() {
        for number in 0..5000 {
            let mut random = of(3, Purpose::Web, number);
            let scene = Scene::any(&mut random);
            let placed = place(&scene, &mut random);
            // f32 rounding may take a little of the gap.
            let edge = GAP - 1e-4;
            for object in &placed {
                let inside = object.radius + edge..=1.0 - object.radius - edge;
                assert!(inside.contains(&object.x) && inside.contains(&object.y), "{number}: {object:?}");
            }
            let [a, b] = placed.as_slice() else { continue };
            let (along, across) = match scene.axis.unwrap() {
                Axis::Across => (b.x - a.x, b.y - a.y),
                Axis::Down => (b.y - a.y, b.x - a.x),
            };
            assert!(along >= a.radius + b.radius + edge, "{number}: they overlap: {placed:?}");
            assert!(across.abs() <= DRIFT * along + 1e-4, "{number}: {across} across, {along} along");
        }
    }

    /// Share of the picture's pixels that are nearer to a colour's middle than to the background's.
    #[test]
    fn a_picture_has_the_colours_and_sizes_of_its_scene() {
        for number in 0..200 {
            let mut random = of(4, Purpose::Web, number);
            let scene = Scene::any(&mut random);
            for side in [64, 96] {
                let pixels = draw(&scene, side, &mut random);
                assert_eq!(pixels.len(), side * side * 3);
                for object in &scene.objects {
                    if scene.objects.iter().filter(|other| other.colour == object.colour).count() > 1 {
                        continue;
                    }
                    let share = share_of(&pixels, colours::middle(object.colour));
                    // A ring or diamond covers the smallest part of its circle, a disc the largest; large is
                    // 2.2 times small in area.
                    let sizes = if object.size == Size::Small { 0.012..0.087 } else { 0.035..0.178 };
                    assert!(sizes.contains(&share), "{number} at {side}: {object:?} covers {share}");
                }
            }
        }
    }

    fn share_of(pixels: &[u8], middle: Rgb) -> f32 {
        let near = |pixel: &&[u8]| (0..3).all(|i| (f32::from(pixel[i]) - middle[i]).abs() < 32.0);
        pixels.chunks_exact(3).filter(near).count() as f32 / (pixels.len() / 3) as f32
    }

    #[test]
    fn the_same_scene_is_never_the_same_picture_twice() {
        let mut random = of(5, Purpose::Web, 0);
        let scene = Scene::any(&mut random);
        assert_ne!(draw(&scene, 64, &mut random), draw(&scene, 64, &mut random));
    }
}
