//! Captions of scenes. The grammar defines which captions can be true:
//!
//! ```text
//! caption      = [introduction] things [ground] | ground ["there is"] things
//! introduction = "there is" | "we see" | "two shapes:"            (the last one only before two)
//! things       = object | object relation object | object "and" object | object event
//! object       = ("a" | "an") [size] colour shape
//! relation     = ["to the"] "left of" | ["to the"] "right of" | "above" | "over" | "below" | "under"
//! event        = "moves" ("to the left" | "to the right" | "up" | "down") | "appears" | "disappears"
//! ground       = ("on" | "against" | "with") ("a" | "an") colour "background"
//! ```
//!
//! A caption may omit facts; its statements must hold. Only texts of clips name events; of a clip, an object
//! counts as seen if some frame shows it. `parse` reads the same grammar.

use crate::{
    event::Event,
    random::Random,
    scene::{Axis, Colour, Object, Scene, Shape, Size, one_of},
};
use rand::RngExt as _;

/// An object as a caption names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Size, if the text names it.
    pub size: Option<Size>,
    /// Colour that the text names.
    pub colour: Colour,
    /// Shape that the text names.
    pub shape: Shape,
}

/// Position of the first of two objects, seen from the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The first object is left of the second.
    Left,
    /// The first object is right of the second.
    Right,
    /// The first object is above the second.
    Above,
    /// The first object is below the second.
    Below,
    /// Both objects exist.
    And,
}

/// Claims of a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The first named object.
    pub first: Named,
    /// The second named object, and its relation to the first.
    pub second: Option<(Relation, Named)>,
    /// Event of the first object in a clip, if the text names it; then there is not a second object.
    pub event: Option<Event>,
    /// Colour of the background, if the text names it.
    pub background: Option<Colour>,
}

/// Phrases for relations. A phrase that begins with another phrase is listed before it.
pub(crate) const RELATIONS: [(&str, Relation); 9] = [
    ("to the left of", Relation::Left),
    ("left of", Relation::Left),
    ("to the right of", Relation::Right),
    ("right of", Relation::Right),
    ("above", Relation::Above),
    ("over", Relation::Above),
    ("below", Relation::Below),
    ("under", Relation::Below),
    ("and", Relation::And),
];
pub(crate) const GROUNDS: [&str; 3] = ["on", "against", "with"];
pub(crate) const BACKGROUND: &str = "background";
pub(crate) const THERE_IS: &str = "there is";
pub(crate) const WE_SEE: &str = "we see";
/// BLIP's cleaning drops the colon.
pub(crate) const TWO_SHAPES: &str = "two shapes";

impl Relation {
    /// The relations that hold for one order of two objects in one position.
    pub(crate) const DIRECTIONS: [Self; 4] = [Self::Left, Self::Right, Self::Above, Self::Below];

    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Above => Self::Below,
            Self::Below => Self::Above,
            Self::And => Self::And,
        }
    }
}

/// All words of captions, without duplicates.
pub fn words() -> Vec<&'static str> {
    let phrases = RELATIONS.iter().map(|(phrase, _)| *phrase).chain(GROUNDS);
    let phrases =
        phrases.chain([BACKGROUND, THERE_IS, WE_SEE, TWO_SHAPES, "a an"]).flat_map(str::split_whitespace);
    let sizes = Size::ALL.iter().flat_map(|thing| thing.words());
    let colours = Colour::ALL.iter().flat_map(|thing| thing.words());
    let shapes = Shape::ALL.iter().flat_map(|thing| thing.words());
    let mut all = Vec::new();
    for word in phrases.chain(sizes.chain(colours).chain(shapes).copied()) {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

/// Claims that hold for a scene: all facts, or sometimes fewer.
pub fn claims(scene: &Scene, random: &mut Random) -> Claims {
    let background = random.random_bool(0.85).then_some(scene.background);
    let named: Vec<Named> = scene.objects.iter().map(|object| name(object, random)).collect();
    match (named.as_slice(), scene.axis) {
        ([first, second], Some(axis)) => {
            let relation = if axis == Axis::Across { Relation::Left } else { Relation::Above };
            let relation = if random.random_bool(0.08) { Relation::And } else { relation };
            let (first, relation, second) = match random.random_bool(0.5) {
                true => (*first, relation, *second),
                false => (*second, relation.opposite(), *first),
            };
            let second = random.random_bool(0.96).then_some((relation, second));
            Claims { first, second, event: None, background }
        }
        ([first, second], None) => {
            let (first, second) = if random.random_bool(0.5) { (first, second) } else { (second, first) };
            let second = random.random_bool(0.96).then_some((Relation::And, *second));
            Claims { first: *first, second, event: None, background }
        }
        _ => Claims { first: named[0], second: None, event: None, background },
    }
}

/// Claims about the event of one object of a clip.
pub fn event_claims(scene: &Scene, random: &mut Random) -> Claims {
    let background = random.random_bool(0.85).then_some(scene.background);
    let at = random.random_range(0..scene.objects.len());
    let first = name(&scene.objects[at], random);
    Claims { first, second: None, event: scene.events.get(at).copied(), background }
}

fn name(object: &Object, random: &mut Random) -> Named {
    Named { size: random.random_bool(0.9).then_some(object.size), colour: object.colour, shape: object.shape }
}

/// Formulates claims in one of many ways.
pub fn say(claims: &Claims, random: &mut Random) -> String {
    let things = say_things(claims, random);
    let Some(background) = claims.background else {
        return introduced(claims, things, random);
    };
    let ground =
        format!("{} {} {BACKGROUND}", one_of(&GROUNDS, random), a(one_of(background.words(), random)));
    match random.random_range(0..10) {
        0 => format!("{ground} {THERE_IS} {things}"),
        1 => format!("{ground}, {things}"),
        _ => format!("{} {ground}", introduced(claims, things, random)),
    }
}

fn introduced(claims: &Claims, things: String, random: &mut Random) -> String {
    match random.random_range(0..10) {
        0 => format!("{THERE_IS} {things}"),
        1 => format!("{WE_SEE} {things}"),
        2 if claims.second.is_some() => format!("{TWO_SHAPES}: {things}"),
        _ => things,
    }
}

fn say_things(claims: &Claims, random: &mut Random) -> String {
    let first = say_object(&claims.first, random);
    if let Some(event) = claims.event {
        return format!("{first} {}", one_of(event.phrases(), random));
    }
    let Some((relation, second)) = &claims.second else { return first };
    let ways: Vec<&str> =
        RELATIONS.iter().filter(|(_, meant)| meant == relation).map(|(phrase, _)| *phrase).collect();
    format!("{first} {} {}", one_of(&ways, random), say_object(second, random))
}

pub(crate) fn say_object(object: &Named, random: &mut Random) -> String {
    let (colour, shape) = (one_of(object.colour.words(), random), one_of(object.shape.words(), random));
    match object.size {
        Some(size) => format!("{} {colour} {shape}", a(one_of(size.words(), random))),
        None => format!("{} {shape}", a(colour)),
    }
}

/// A word with its article.
fn a(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}
