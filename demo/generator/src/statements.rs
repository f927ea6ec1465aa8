//! Statements about pairs of scenes, the left and the right one, each true or false:
//!
//! ```text
//! statement = "both pictures show" object | "only one picture shows" object
//!           | "the left picture shows" object "and the right picture shows" object
//!           | "the" side "picture has more" [colour] "shapes than the" side "picture"
//!           | "the pictures have the same background" | "the pictures have the same number of shapes"
//! object    = ("a" | "an") [size] colour shape
//! ```
//!
//! "left" and "right" always mean a picture, so a mirrored picture changes no truth. The scenes are drawn for
//! a statement and a truth, so that half of the statements of each form are true; a single picture decides
//! few of them.

use crate::{
    grammar::{Named, say_object},
    random::Random,
    scene::{Colour, Object, Scene, Shape, Size, one_of},
};
use rand::RngExt as _;

/// Meaning of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// Both pictures show the object.
    Both(Named),
    /// Exactly one picture shows the object.
    OnlyOne(Named),
    /// The left picture shows the first object, the right picture the second.
    Each([Named; 2]),
    /// A picture has more shapes, of a colour or of any, than the other one.
    More(Side, Option<Colour>),
    /// The backgrounds have one colour.
    SameBackground,
    /// The numbers of shapes are equal.
    SameNumber,
}

/// Place of a picture in a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The left picture.
    Left,
    /// The right picture.
    Right,
}

/// Names of all forms of statements.
pub const FORMS: [&str; 6] = ["both", "only one", "each", "more", "same background", "same number"];

impl Statement {
    /// A random statement; the forms are equally frequent.
    pub fn any(random: &mut Random) -> Self {
        match random.random_range(0..FORMS.len()) {
            0 => Self::Both(object(random)),
            1 => Self::OnlyOne(object(random)),
            2 => loop {
                let both = [object(random), object(random)];
                if both[0] != both[1] {
                    break Self::Each(both);
                }
            },
            3 => {
                let colour = random.random_bool(0.5).then(|| one_of(Colour::of_things(), random));
                Self::More(one_of(&[Side::Left, Side::Right], random), colour)
            }
            4 => Self::SameBackground,
            _ => Self::SameNumber,
        }
    }

    /// Name of the form, as in the column `form`.
    pub fn form(self) -> &'static str {
        FORMS[match self {
            Self::Both(_) => 0,
            Self::OnlyOne(_) => 1,
            Self::Each(_) => 2,
            Self::More(..) => 3,
            Self::SameBackground => 4,
            Self::SameNumber => 5,
        }]
    }

    /// Whether the statement holds for the left and the right scene.
    pub fn is_true(self, [left, right]: [&Scene; 2]) -> bool {
        match self {
            Self::Both(object) => shows(left, object) && shows(right, object),
            Self::OnlyOne(object) => shows(left, object) != shows(right, object),
            Self::Each([first, second]) => shows(left, first) && shows(right, second),
            Self::More(Side::Left, colour) => count(left, colour) > count(right, colour),
            Self::More(Side::Right, colour) => count(right, colour) > count(left, colour),
            Self::SameBackground => left.background == right.background,
            Self::SameNumber => left.objects.len() == right.objects.len(),
        }
    }

    /// A random left and right scene of at most `most` objects, for which the statement has this truth.
    pub fn scenes(self, truth: bool, most: u8, random: &mut Random) -> [Scene; 2] {
        // One object is too few for different numbers of shapes.
        let most = if matches!(self, Self::More(_, None) | Self::SameNumber) { most.max(2) } else { most };
        loop {
            let pair = self.proposed(truth, most, random);
            if self.is_true([&pair[0], &pair[1]]) == truth {
                return pair;
            }
        }
    }

    /// Scenes for which either truth is likely.
    fn proposed(self, truth: bool, most: u8, random: &mut Random) -> [Scene; 2] {
        let any = |random: &mut Random| Scene::of_at_most(most, random);
        match self {
            Self::Both(object) | Self::OnlyOne(object) => {
                // "both" is false because of one picture rather than of both: each has the object with 3/4.
                let share = if matches!(self, Self::Both(_)) { 0.75 } else { 0.5 };
                [(); 2].map(|()| with(object, random.random_bool(share), any(random), random))
            }
            Self::Each([first, second]) => {
                // The exchanged pair has both objects, in the wrong pictures.
                let exchanged = !truth && random.random_bool(0.4);
                let named = if exchanged { [second, first] } else { [first, second] };
                named.map(|object| with(object, random.random_bool(0.75), any(random), random))
            }
            Self::More(_, Some(colour)) => [(); 2].map(|()| coloured(colour, any(random), random)),
            Self::SameBackground => {
                let [left, mut right] = [any(random), any(random)];
                if random.random_bool(0.5) {
                    right.background = left.background;
                }
                [left, right]
            }
            Self::More(_, None) | Self::SameNumber => [any(random), any(random)],
        }
    }

    /// The statement in words, with random synonyms.
    pub fn say(self, random: &mut Random) -> String {
        match self {
            Self::Both(object) => format!("both pictures show {}", say_object(&object, random)),
            Self::OnlyOne(object) => format!("only one picture shows {}", say_object(&object, random)),
            Self::Each([first, second]) => {
                let (first, second) = (say_object(&first, random), say_object(&second, random));
                format!("the left picture shows {first} and the right picture shows {second}")
            }
            Self::More(side, colour) => {
                let (side, other) = if side == Side::Left { ("left", "right") } else { ("right", "left") };
                let colour = colour.map(|colour| format!("{} ", one_of(colour.words(), random)));
                let colour = colour.unwrap_or_default();
                format!("the {side} picture has more {colour}shapes than the {other} picture")
            }
            Self::SameBackground => "the pictures have the same background".into(),
            Self::SameNumber => "the pictures have the same number of shapes".into(),
        }
    }
}

fn object(random: &mut Random) -> Named {
    Named {
        size: random.random_bool(0.3).then(|| one_of(Size::ALL, random)),
        colour: one_of(Colour::of_things(), random),
        shape: one_of(Shape::ALL, random),
    }
}

fn is_of(object: &Object, named: Named) -> bool {
    let has_size = named.size.is_none_or(|size| size == object.size);
    has_size && object.colour == named.colour && object.shape == named.shape
}

fn shows(scene: &Scene, named: Named) -> bool {
    scene.objects.iter().any(|object| is_of(object, named))
}

fn count(scene: &Scene, colour: Option<Colour>) -> usize {
    let counted = |object: &&Object| colour.is_none_or(|colour| object.colour == colour);
    scene.objects.iter().filter(counted).count()
}

/// A scene that shows the object, or one that lacks it; half of the latter differ from the former in one
/// property.
fn with(named: Named, shown: bool, scene: Scene, random: &mut Random) -> Scene {
    if !shown && random.random_bool(0.5) && !shows(&scene, named) {
        return scene;
    }
    let mut found = scene;
    let place = random.random_range(0..found.objects.len());
    let object = &mut found.objects[place];
    (object.colour, object.shape) = (named.colour, named.shape);
    object.size = named.size.unwrap_or(object.size);
    if found.objects.first() == found.objects.get(1) {
        // Equal objects: the other one gets the other size, which no statement about one object excludes.
        let other = &mut found.objects[1 - place];
        other.size = if other.size == Size::Small { Size::Large } else { Size::Small };
    }
    // If both objects are of the named kind, one change is not enough.
    while shown != shows(&found, named) {
        found = found.varied(random);
    }
    found
}

/// The scene with this colour for about half of its objects.
fn coloured(colour: Colour, scene: Scene, random: &mut Random) -> Scene {
    loop {
        let mut found = scene.clone();
        for object in &mut found.objects {
            if random.random_bool(0.5) {
                object.colour = colour;
            }
        }
        if found.objects.first() != found.objects.get(1) {
            return found;
        }
    }
}

#[cfg(test)]
mod tests;
