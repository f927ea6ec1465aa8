//! RGB values of the colour names: the middle of each name's range, and the variation of pictures around it.

use crate::{random::Random, scene::Colour};
use rand::RngExt as _;

/// Red, green and blue from 0 to 255.
pub(crate) type Rgb = [f32; 3];

/// Middle of a colour's range.
pub(crate) fn middle(colour: Colour) -> Rgb {
    match colour {
        Colour::Red => [212.0, 36.0, 38.0],
        Colour::Green => [36.0, 152.0, 56.0],
        Colour::Blue => [42.0, 82.0, 214.0],
        Colour::Yellow => [244.0, 224.0, 44.0],
        Colour::Purple => [136.0, 44.0, 172.0],
        Colour::Orange => [244.0, 134.0, 24.0],
        Colour::White => [244.0, 244.0, 244.0],
        Colour::Black => [20.0, 20.0, 20.0],
        Colour::Gray => [130.0, 130.0, 130.0],
        Colour::Pink => [248.0, 138.0, 184.0],
        Colour::Cyan => [112.0, 218.0, 226.0],
        Colour::Brown => [112.0, 70.0, 38.0],
        Colour::Beige => [216.0, 196.0, 150.0],
    }
}

/// The colour of one picture: lighter or darker, with a tinge of another hue.
pub(crate) fn any(colour: Colour, random: &mut Random) -> Rgb {
    let light = random.random_range(0.93..1.05);
    middle(colour).map(|channel| (channel * light + random.random_range(-8.0..8.0)).clamp(0.0, 255.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, of};

    #[test]
    fn no_picture_s_colour_is_nearer_to_another_name() {
        let distance = |a: Rgb, b: Rgb| (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f32>().sqrt();
        let mut random = of(1, Purpose::Web, 0);
        for colour in Colour::ALL {
            for _ in 0..5000 {
                let rgb = any(*colour, &mut random);
                let others = Colour::ALL.iter().filter(|other| *other != colour);
                let nearest = others.map(|other| distance(rgb, middle(*other))).fold(f32::MAX, f32::min);
                let own = distance(rgb, middle(*colour));
                assert!(
                    own + 12.0 < nearest,
                    "{colour:?} as {rgb:?}: {own} from its middle, {nearest} from another"
                );
            }
        }
    }
}
