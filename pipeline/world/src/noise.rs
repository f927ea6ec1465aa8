//! Web texts as they are found: some true, some nearly, some of another picture, some of no picture.

use crate::{
    grammar::{Claims, Verdict, claims, holds, judge, say},
    scene::Scene,
};
use rand::{RngExt as _, rngs::StdRng};

/// What kind of text a web pair has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    True,
    /// One thing in it is wrong.
    Swapped,
    /// It is true of another picture and not of this one.
    Unrelated,
    /// A file name, a shop's words, a date.
    Junk,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::True, Self::Swapped, Self::Unrelated, Self::Junk];

    /// Share of the web's pairs.
    pub fn share(self) -> f64 {
        match self {
            Self::True => 0.40,
            Self::Swapped => 0.25,
            Self::Unrelated => 0.20,
            Self::Junk => 0.15,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Swapped => "swapped",
            Self::Unrelated => "unrelated",
            Self::Junk => "junk",
        }
    }

    /// One kind, by the shares.
    pub(crate) fn any(random: &mut StdRng) -> Self {
        let mut left: f64 = random.random_range(0.0..1.0);
        for kind in Self::ALL {
            left -= kind.share();
            if left < 0.0 {
                return kind;
            }
        }
        Self::Junk
    }
}

/// A text of a kind for a scene.
pub fn text(kind: Kind, scene: &Scene, random: &mut StdRng) -> String {
    match kind {
        Kind::True => say(&claims(scene, random), random),
        Kind::Swapped => loop {
            let wrong = swapped(claims(scene, random), random);
            if !holds(&wrong, scene) {
                break say(&wrong, random);
            }
        },
        Kind::Unrelated => loop {
            let other = Scene::any(random);
            let text = say(&claims(&other, random), random);
            if judge(&text, scene) == Verdict::False {
                break text;
            }
        },
        Kind::Junk => junk(random),
    }
}

/// Claims with one thing exchanged.
fn swapped(mut claims: Claims, random: &mut StdRng) -> Claims {
    let object = match &mut claims.second {
        Some((_, second)) if random.random_bool(0.5) => second,
        _ => &mut claims.first,
    };
    match random.random_range(0..5) {
        0 => object.size = object.size.map(|size| size.other(random)),
        1 => object.colour = object.colour.other(random),
        2 => object.shape = object.shape.other(random),
        3 => claims.background = claims.background.map(|background| background.other(random)),
        _ => {
            if let Some((relation, _)) = &mut claims.second {
                *relation = relation.opposite();
            }
        }
    }
    claims
}

fn junk(random: &mut StdRng) -> String {
    let number = |random: &mut StdRng, most: u32| random.random_range(1..most);
    match random.random_range(0..8) {
        0 => format!("IMG_{:04}.jpg", number(random, 9999)),
        1 => format!("DSC{:05}", number(random, 99999)),
        2 => format!("image {} of {}", number(random, 20), number(random, 90)),
        3 => format!("free shipping on orders over ${}", number(random, 100)),
        4 => format!("buy 2 get {} % off", number(random, 90)),
        5 => format!("photo taken on {:02}/{:02}/20{:02}", number(random, 28), number(random, 12), number(random, 24)),
        6 => format!("item no. {}", number(random, 99999)),
        _ => ["click to enlarge", "add to cart", "best price guaranteed", "no image available", "new arrival - sale"]
            [random.random_range(0..5)]
        .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use std::collections::HashMap;

    #[test]
    fn kinds_are_what_they_say_and_come_in_their_shares() {
        let mut random = StdRng::seed_from_u64(2);
        let mut counts: HashMap<Kind, u32> = HashMap::new();
        for _ in 0..4000 {
            let (scene, kind) = (Scene::any(&mut random), Kind::any(&mut random));
            *counts.entry(kind).or_default() += 1;
            let verdict = judge(&text(kind, &scene, &mut random), &scene);
            let expected = match kind {
                Kind::True => Verdict::True,
                Kind::Swapped | Kind::Unrelated => Verdict::False,
                Kind::Junk => Verdict::Unparsable,
            };
            assert_eq!(verdict, expected, "{kind:?} of {scene:?}");
        }
        for kind in Kind::ALL {
            // Four standard deviations of 4,000 draws.
            let share = f64::from(counts[&kind]) / 4000.0;
            assert!((share - kind.share()).abs() < 4.0 * (0.25_f64 / 4000.0).sqrt(), "{kind:?}: {share}");
        }
    }
}
