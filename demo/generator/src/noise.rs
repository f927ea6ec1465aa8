//! Web texts of different quality: true, almost true, of another picture, or junk.

use crate::{
    event::Event,
    grammar::{Claims, Named, Relation, claims, event_claims, say},
    junk,
    parse::{Verdict, holds, truth},
    random::{Purpose, Random, of},
    scene::{Colour, Scene, Shape, Size, another, one_of},
    source::Pairs,
};
use rand::{RngExt as _, seq::SliceRandom as _};
use serde::Serialize;

/// Kind of a web pair's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The text describes the image.
    True,
    /// One claim is wrong.
    Swapped,
    /// True of another picture and not of this one.
    Unrelated,
    /// A file name, a phrase of a shop, a date.
    Junk,
}

impl Kind {
    /// All kinds, in the order of their shares.
    pub const ALL: [Self; 4] = [Self::True, Self::Swapped, Self::Unrelated, Self::Junk];

    /// Name of the kind in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Swapped => "swapped",
            Self::Unrelated => "unrelated",
            Self::Junk => "junk",
        }
    }

    /// The kind of a name in the tables.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Number of this kind among twenty texts: 40, 25, 20 and 15 per cent.
    pub fn of_twenty(self) -> usize {
        match self {
            Self::True => 8,
            Self::Swapped => 5,
            Self::Unrelated => 4,
            Self::Junk => 3,
        }
    }

    /// Kind of a web text. Every twenty texts have the kinds in their shares, in a random order.
    pub(crate) fn dealt(seed: u64, text: u64) -> Self {
        let mut deck: Vec<Self> =
            Self::ALL.into_iter().flat_map(|kind| std::iter::repeat_n(kind, kind.of_twenty())).collect();
        deck.shuffle(&mut of(seed, Purpose::Kinds, text / 20));
        deck[(text % 20) as usize]
    }
}

/// Subject of the texts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// Largest number of objects of a scene.
    pub objects: u8,
    /// Part of the scene.
    pub about: About,
}

/// Part of a scene that a text describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// All objects.
    Scene,
    /// One object of a clip.
    Object,
    /// The event of one object of a clip.
    Event,
}

impl About {
    /// Subject of the texts of a kind of data.
    pub fn of(source: Pairs) -> Self {
        match source {
            Pairs::ClipObjects => Self::Object,
            Pairs::ClipEvents => Self::Event,
            _ => Self::Scene,
        }
    }

    fn claims(self, scene: &Scene, random: &mut Random) -> Claims {
        match self {
            Self::Scene => claims(scene, random),
            Self::Object => Claims { event: None, ..event_claims(scene, random) },
            Self::Event => event_claims(scene, random),
        }
    }
}

impl Subject {
    /// Another scene: a clip, if `scene` is one.
    fn other(self, scene: &Scene, random: &mut Random) -> Scene {
        match scene.events.is_empty() {
            true => Scene::of_at_most(self.objects, random),
            false => Scene::clip(self.objects, random),
        }
    }
}

/// A text of a kind for a scene.
pub fn text(kind: Kind, scene: &Scene, subject: Subject, random: &mut Random) -> String {
    match kind {
        Kind::True => say(&subject.about.claims(scene, random), random),
        Kind::Swapped => loop {
            // Not every change makes a text wrong: a small circle may be called large if there is also a
            // large one.
            let swapped = swapped(subject.about.claims(scene, random), random);
            if !holds(&swapped, scene) {
                break say(&swapped, random);
            }
        },
        Kind::Unrelated => loop {
            let other = subject.other(scene, random);
            let text = say(&subject.about.claims(&other, random), random);
            if truth(&text, scene) == Verdict::False {
                break text;
            }
        },
        Kind::Junk => junk::text(random),
    }
}

/// Parts of a caption that can be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Size,
    Colour,
    Shape,
    Background,
    Relation,
    Event,
}

/// Claims with one part exchanged.
fn swapped(mut claims: Claims, random: &mut Random) -> Claims {
    let in_second = claims.second.is_some() && random.random_bool(0.5);
    let object = match claims.second {
        Some((_, second)) if in_second => second,
        _ => claims.first,
    };
    match one_of(&parts(&claims, &object), random) {
        Part::Background => {
            claims.background =
                claims.background.map(|ground| another(ground, Colour::of_backgrounds(), random));
        }
        Part::Relation => {
            claims.second = claims.second.map(|(relation, second)| (wrong(relation, random), second));
        }
        Part::Event => claims.event = claims.event.map(|event| wrong_event(event, random)),
        part => {
            let object = changed(object, part, random);
            match &mut claims.second {
                Some((_, second)) if in_second => *second = object,
                _ => claims.first = object,
            }
        }
    }
    claims
}

/// Parts that the claims have, with those of one of their objects.
fn parts(claims: &Claims, object: &Named) -> Vec<Part> {
    let relation = claims.second.filter(|(relation, _)| *relation != Relation::And).map(|_| Part::Relation);
    let background = claims.background.map(|_| Part::Background);
    let size = object.size.map(|_| Part::Size);
    let event = claims.event.map(|_: Event| Part::Event);
    let parts = [Part::Colour, Part::Shape].into_iter().chain(size).chain(background).chain(relation);
    parts.chain(event).collect()
}

fn changed(object: Named, part: Part, random: &mut Random) -> Named {
    match part {
        Part::Colour => Named { colour: another(object.colour, Colour::of_things(), random), ..object },
        Part::Shape => Named { shape: another(object.shape, Shape::ALL, random), ..object },
        _ => Named { size: object.size.map(|size| another(size, Size::ALL, random)), ..object },
    }
}

/// Another direction, more often the opposite one.
fn wrong(relation: Relation, random: &mut Random) -> Relation {
    if random.random_bool(0.6) {
        relation.opposite()
    } else {
        another(relation, &Relation::DIRECTIONS, random)
    }
}

/// Another event, more often the reversed one.
fn wrong_event(event: Event, random: &mut Random) -> Event {
    if random.random_bool(0.6) { event.reversed() } else { another(event, &Event::ALL, random) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::MOST_OBJECTS;
    use std::collections::HashMap;

    #[test]
    fn a_text_has_its_declared_kind() {
        for number in 0..20_000 {
            let mut random = of(3, Purpose::Web, number);
            let (scene, kind) = (Scene::any(&mut random), Kind::dealt(3, number));
            let subject = Subject { objects: MOST_OBJECTS, about: About::Scene };
            let text = text(kind, &scene, subject, &mut random);
            let expected = match kind {
                Kind::True => Verdict::True,
                Kind::Swapped | Kind::Unrelated => Verdict::False,
                Kind::Junk => Verdict::Unparsable,
            };
            assert_eq!(truth(&text, &scene), expected, "{number}: {kind:?} {text:?} of {scene:?}");
        }
    }

    #[test]
    fn of_every_twenty_texts_each_kind_has_its_share_in_random_order() {
        let mut first: HashMap<Kind, u32> = HashMap::new();
        for block in 0..500 {
            let kinds: Vec<Kind> = (0..20).map(|i| Kind::dealt(4, block * 20 + i)).collect();
            *first.entry(kinds[0]).or_default() += 1;
            for kind in Kind::ALL {
                assert_eq!(
                    kinds.iter().filter(|other| **other == kind).count(),
                    kind.of_twenty(),
                    "block {block}"
                );
            }
        }
        for kind in Kind::ALL {
            let share = kind.of_twenty() as f64 / 20.0;
            // Five standard deviations of 500 samples.
            let off = (f64::from(first[&kind]) / 500.0 - share).abs();
            assert!(
                off < 5.0 * (share * (1.0 - share) / 500.0).sqrt(),
                "{kind:?} comes first {} times",
                first[&kind]
            );
        }
    }

    #[test]
    fn a_swapped_caption_is_one_word_or_one_relation_away_from_a_true_one() {
        let mut changed: HashMap<Part, u32> = HashMap::new();
        for number in 0..5000 {
            let mut random = of(5, Purpose::Web, number);
            let scene = Scene::any(&mut random);
            let truth = claims(&scene, &mut random);
            let wrong = swapped(truth, &mut random);
            let parts = differences(&truth, &wrong);
            assert_eq!(parts.len(), 1, "{number}: {truth:?} {wrong:?}");
            *changed.entry(parts[0]).or_default() += 1;
        }
        let parts = [Part::Size, Part::Colour, Part::Shape, Part::Background, Part::Relation];
        assert!(parts.iter().all(|part| changed[part] > 500), "{changed:?}");
    }

    fn differences(a: &Claims, b: &Claims) -> Vec<Part> {
        let objects = [(Some(a.first), Some(b.first)), (a.second.map(|s| s.1), b.second.map(|s| s.1))];
        let objects = objects.into_iter().filter_map(|(a, b)| Some((a?, b?))).flat_map(|(a, b)| {
            let size = (a.size != b.size).then_some(Part::Size);
            let colour = (a.colour != b.colour).then_some(Part::Colour);
            let shape = (a.shape != b.shape).then_some(Part::Shape);
            size.into_iter().chain(colour).chain(shape)
        });
        let background = (a.background != b.background).then_some(Part::Background);
        let relation = (a.second.map(|s| s.0) != b.second.map(|s| s.0)).then_some(Part::Relation);
        objects.chain(background).chain(relation).collect()
    }
}
