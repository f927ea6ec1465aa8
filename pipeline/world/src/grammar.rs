//! Captions of scenes, and what captions claim. The grammar says everything that counts as true:
//!
//! ```text
//! caption    = ["there is"] object [relation object | "and" object] [ground]
//! object     = ("a" | "an") [size] colour shape
//! relation   = "left of" | "to the left of" | "right of" | "to the right of" | "above" | "over" | "below" | "under"
//! ground     = ("on" | "in front of" | "with") "a" background "background"
//! ```
//!
//! A caption may say less than all; what it says must hold. Any other text is unparsable.

use crate::scene::{Axis, Background, Colour, Object, Scene, Shape, Size};
use rand::{RngExt as _, rngs::StdRng};

/// How a caption stands to a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    Unparsable,
}

/// An object as a caption names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    pub size: Option<Size>,
    pub colour: Colour,
    pub shape: Shape,
}

/// Where the first of two objects is, seen from the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Left,
    Right,
    Above,
    Below,
    /// Both are there.
    And,
}

/// What a caption claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    pub first: Named,
    pub second: Option<(Relation, Named)>,
    pub background: Option<Background>,
}

const RELATIONS: [(&str, Relation); 8] = [
    ("to the left of", Relation::Left),
    ("left of", Relation::Left),
    ("to the right of", Relation::Right),
    ("right of", Relation::Right),
    ("above", Relation::Above),
    ("over", Relation::Above),
    ("below", Relation::Below),
    ("under", Relation::Below),
];
const GROUNDS: [&str; 3] = ["on a", "in front of a", "with a"];
const INTRODUCTION: &str = "there is";

impl Relation {
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

/// Every word that a caption may have, once.
pub fn words() -> Vec<&'static str> {
    let phrases = RELATIONS.iter().map(|(phrase, _)| *phrase).chain(GROUNDS).chain([INTRODUCTION, "an and background"]);
    let named = Size::ALL.iter().flat_map(|thing| thing.words());
    let named = named.chain(Colour::ALL.iter().flat_map(|thing| thing.words()));
    let named = named.chain(Shape::ALL.iter().flat_map(|thing| thing.words()));
    let named = named.chain(Background::ALL.iter().flat_map(|thing| thing.words()));
    let mut all = Vec::new();
    for word in phrases.flat_map(str::split_whitespace).chain(named.copied()) {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

/// Claims that hold of a scene: all of it, or sometimes a little less.
pub fn claims(scene: &Scene, random: &mut StdRng) -> Claims {
    let name = |object: &Object, random: &mut StdRng| Named {
        size: random.random_bool(0.9).then_some(object.size),
        colour: object.colour,
        shape: object.shape,
    };
    let background = random.random_bool(0.85).then_some(scene.background);
    let named: Vec<Named> = scene.objects.iter().map(|object| name(object, random)).collect();
    match (named.as_slice(), scene.axis) {
        ([first, second], Some(axis)) => {
            let relation = if axis == Axis::Across { Relation::Left } else { Relation::Above };
            let relation = if random.random_bool(0.08) { Relation::And } else { relation };
            if random.random_bool(0.5) {
                Claims { first: *first, second: Some((relation, *second)), background }
            } else {
                Claims { first: *second, second: Some((relation.opposite(), *first)), background }
            }
        }
        _ => Claims { first: named[0], second: None, background },
    }
}

/// Claims in words, one of several ways to put them.
pub fn say(claims: &Claims, random: &mut StdRng) -> String {
    let mut text = String::new();
    if random.random_bool(0.2) {
        text.push_str(INTRODUCTION);
        text.push(' ');
    }
    say_object(&claims.first, &mut text, random);
    if let Some((relation, second)) = &claims.second {
        let ways: Vec<&str> =
            RELATIONS.iter().filter(|(_, meant)| meant == relation).map(|(phrase, _)| *phrase).collect();
        let way = if ways.is_empty() { "and" } else { ways[random.random_range(0..ways.len())] };
        text.push_str(&format!(" {way} "));
        say_object(second, &mut text, random);
    }
    if let Some(background) = claims.background {
        let ground = GROUNDS[random.random_range(0..GROUNDS.len())];
        text.push_str(&format!(" {ground} {} background", one_of(background.words(), random)));
    }
    text
}

fn say_object(object: &Named, text: &mut String, random: &mut StdRng) {
    let size = object.size.map(|size| one_of(size.words(), random));
    let colour = one_of(object.colour.words(), random);
    let next = size.unwrap_or(colour);
    text.push_str(if next.starts_with(['a', 'e', 'i', 'o', 'u']) { "an " } else { "a " });
    if let Some(size) = size {
        text.push_str(&format!("{size} "));
    }
    text.push_str(&format!("{colour} {}", one_of(object.shape.words(), random)));
}

fn one_of(words: &'static [&'static str], random: &mut StdRng) -> &'static str {
    words[random.random_range(0..words.len())]
}

/// What a caption claims; `None` when the grammar does not know it. Case and the punctuation that BLIP drops do not count.
pub fn parse(caption: &str) -> Option<Claims> {
    let cleaned: String =
        caption.to_lowercase().chars().map(|c| if ".!\"()*#:;~".contains(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = cleaned.split_whitespace().collect();
    let mut rest = words.as_slice();
    skip(&mut rest, INTRODUCTION);
    let first = parse_object(&mut rest)?;
    let relation = RELATIONS.iter().chain([&("and", Relation::And)]).find(|(phrase, _)| skip(&mut rest, phrase));
    let second = match relation {
        Some((_, relation)) => Some((*relation, parse_object(&mut rest)?)),
        None => None,
    };
    let background = if GROUNDS.iter().any(|ground| skip(&mut rest, ground)) {
        let background = Background::of(rest.first()?)?;
        rest = &rest[1..];
        skip(&mut rest, "background").then_some(())?;
        Some(background)
    } else {
        None
    };
    rest.is_empty().then_some(Claims { first, second, background })
}

fn parse_object(rest: &mut &[&str]) -> Option<Named> {
    if !skip(rest, "a") {
        skip(rest, "an").then_some(())?;
    }
    let size = Size::of(rest.first()?);
    if size.is_some() {
        *rest = &rest[1..];
    }
    let named = Named { size, colour: Colour::of(rest.first()?)?, shape: Shape::of(rest.get(1)?)? };
    *rest = &rest[2..];
    Some(named)
}

/// Takes a phrase off the front, if it is there.
fn skip(rest: &mut &[&str], phrase: &str) -> bool {
    let words: Vec<&str> = phrase.split(' ').collect();
    let found = rest.starts_with(&words);
    if found {
        *rest = &rest[words.len()..];
    }
    found
}

/// Whether a caption is true of a scene.
pub fn judge(caption: &str, scene: &Scene) -> Verdict {
    match parse(caption) {
        None => Verdict::Unparsable,
        Some(claims) if holds(&claims, scene) => Verdict::True,
        Some(_) => Verdict::False,
    }
}

/// Whether claims hold: each named object is another object of the scene, and they lie as they are said to.
pub fn holds(claims: &Claims, scene: &Scene) -> bool {
    let is = |named: &Named, object: &Object| {
        named.size.is_none_or(|size| size == object.size)
            && (named.colour, named.shape) == (object.colour, object.shape)
    };
    let ground = claims.background.is_none_or(|background| background == scene.background);
    ground
        && match (&claims.second, scene.objects.as_slice()) {
            (None, objects) => objects.iter().any(|object| is(&claims.first, object)),
            (Some((relation, second)), [a, b]) => {
                let forth = is(&claims.first, a) && is(second, b);
                let back = is(&claims.first, b) && is(second, a);
                match (relation, scene.axis) {
                    (Relation::And, _) => forth || back,
                    (Relation::Left, Some(Axis::Across)) | (Relation::Above, Some(Axis::Down)) => forth,
                    (Relation::Right, Some(Axis::Across)) | (Relation::Below, Some(Axis::Down)) => back,
                    _ => false,
                }
            }
            (Some(_), _) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn what_is_said_is_read_back_and_holds() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..3000 {
            let scene = Scene::any(&mut random);
            let claimed = claims(&scene, &mut random);
            let caption = say(&claimed, &mut random);
            assert_eq!(parse(&caption), Some(claimed), "{caption}");
            assert_eq!(judge(&caption, &scene), Verdict::True, "{caption} of {scene:?}");
        }
    }

    #[test]
    fn only_the_grammar_counts() {
        let scene: Scene = serde_json::from_str(
            r#"{"version":1,"background":"gray","objects":[{"size":"small","colour":"red","shape":"circle"},
                {"size":"large","colour":"blue","shape":"star"}],"axis":"across"}"#,
        )
        .unwrap();
        for (caption, verdict) in [
            ("A small red circle left of a big blue star.", Verdict::True),
            ("a big blue star to the right of a red disc on a grey background", Verdict::True),
            ("a red circle", Verdict::True),
            ("a red circle and a blue star", Verdict::True),
            ("a large red circle", Verdict::False),
            ("a red circle above a blue star", Verdict::False),
            ("a red circle right of a blue star", Verdict::False),
            ("a red circle on a pink background", Verdict::False),
            ("a red circle and a red circle", Verdict::False),
            ("red circle", Verdict::Unparsable),
            ("a red circle left of", Verdict::Unparsable),
            ("a red circle a blue star", Verdict::Unparsable),
            ("free shipping", Verdict::Unparsable),
            ("", Verdict::Unparsable),
        ] {
            assert_eq!(judge(caption, &scene), verdict, "{caption}");
        }
    }
}
