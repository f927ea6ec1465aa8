//! What a picture shows, in words that cannot be doubted.

use rand::{RngExt as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// Version of the scenes' JSON.
pub const VERSION: u32 = 1;

/// Names of one kind of thing, each with the words for it; the first is its own name.
macro_rules! named {
    ($(#[$doc:meta])* $kind:ident { $($variant:ident: [$name:literal $(, $other:literal)*]),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $kind { $($variant),+ }

        impl $kind {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// All words that mean it.
            pub fn words(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$name $(, $other)*]),+ }
            }

            /// What a word means.
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|thing| thing.words().contains(&word))
            }

            pub(crate) fn any(random: &mut StdRng) -> Self {
                Self::ALL[random.random_range(0..Self::ALL.len())]
            }

            /// Any but this one.
            pub(crate) fn other(self, random: &mut StdRng) -> Self {
                let at = Self::ALL.iter().position(|thing| *thing == self).unwrap_or(0);
                Self::ALL[(at + random.random_range(1..Self::ALL.len())) % Self::ALL.len()]
            }
        }
    };
}

named!(Size { Small: ["small", "little", "tiny"], Large: ["large", "big"] });
named!(Colour {
    Red: ["red"],
    Green: ["green"],
    Blue: ["blue"],
    Yellow: ["yellow"],
    Purple: ["purple"],
    Orange: ["orange"],
    White: ["white"],
    Black: ["black"],
});
named!(Shape {
    Circle: ["circle", "disc"],
    Square: ["square", "box"],
    Triangle: ["triangle"],
    Star: ["star"],
    Cross: ["cross", "plus"],
    Ring: ["ring", "donut"],
});
named!(Background { Gray: ["gray", "grey"], Pink: ["pink"], Cyan: ["cyan"], Brown: ["brown"], Beige: ["beige"] });

/// One thing in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    pub size: Size,
    pub colour: Colour,
    pub shape: Shape,
}

/// Along which axis two objects lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The first object is left of the second.
    Across,
    /// The first object is above the second.
    Down,
}

/// One or two objects on a background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    pub version: u32,
    pub background: Background,
    pub objects: Vec<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis: Option<Axis>,
}

impl Object {
    fn any(random: &mut StdRng) -> Self {
        Self { size: Size::any(random), colour: Colour::any(random), shape: Shape::any(random) }
    }
}

impl Scene {
    /// A scene, two in three with two objects, which differ in at least one thing.
    pub fn any(random: &mut StdRng) -> Self {
        let first = Object::any(random);
        let mut objects = vec![first];
        let mut axis = None;
        if random.random_bool(2.0 / 3.0) {
            let mut second = Object::any(random);
            while second == first {
                second = Object::any(random);
            }
            objects.push(second);
            axis = Some(if random.random_bool(0.5) { Axis::Across } else { Axis::Down });
        }
        Self { version: VERSION, background: Background::any(random), objects, axis }
    }
}
