//! Questions about scenes, each with one true answer:
//!
//! ```text
//! question = "what colour is the background?" | "how many shapes are there?"
//!          | "what colour is the" shape "?" | "what size is the" shape "?" | "what shape is" colour "?"
//!          | "is there a" colour shape "?"
//!          | "where is the" shape "?"                  (of two objects: left, right, above or below)
//!          | "what is" relation "the" shape "?"
//! ```
//!
//! A question is asked only of a scene in which it has one answer: "what colour is the circle?" needs exactly
//! one circle. Synonyms are those of captions; answers have the first word.

use crate::{
    grammar::{RELATIONS, Relation},
    random::Random,
    scene::{Axis, Colour, Object, Scene, Shape, one_of},
};
use rand::RngExt as _;

/// Meaning of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Colour of the background.
    Background,
    /// Number of shapes.
    Count,
    /// Colour of the only object of a shape.
    Colour(Shape),
    /// Size of the only object of a shape.
    Size(Shape),
    /// Shape of the only object of a colour.
    Shape(Colour),
    /// Whether an object of this colour and shape exists.
    IsThere(Colour, Shape),
    /// Position of the only object of a shape, seen from the other object.
    Where(Shape),
    /// The object in a direction of the only object of a shape.
    Beside(Relation, Shape),
}

const COUNTS: [&str; 3] = ["none", "one", "two"];

impl Query {
    /// The answer; `None` if the question has no or several answers in this scene.
    pub fn answer(self, scene: &Scene) -> Option<String> {
        let objects = &scene.objects;
        let only = |shape: Shape| only(objects.iter().filter(|object| object.shape == shape));
        let name = |words: &'static [&'static str]| words[0].to_owned();
        match self {
            Self::Background => Some(name(scene.background.words())),
            Self::Count => COUNTS.get(objects.len()).map(|count| (*count).to_owned()),
            Self::Colour(shape) => Some(name(only(shape)?.colour.words())),
            Self::Size(shape) => Some(name(only(shape)?.size.words())),
            Self::Shape(colour) => {
                Some(name(self::only(objects.iter().filter(|object| object.colour == colour))?.shape.words()))
            }
            Self::IsThere(colour, shape) => {
                let found = objects.iter().any(|object| object.colour == colour && object.shape == shape);
                Some(if found { "yes" } else { "no" }.to_owned())
            }
            Self::Where(shape) => Some(direction(position(only(shape)?, scene)?).to_owned()),
            Self::Beside(relation, shape) => {
                let seen_from = only(shape)?;
                let other = objects.iter().find(|object| *object != seen_from)?;
                let beside = position(other, scene)? == relation;
                beside.then(|| format!("{} {}", name(other.colour.words()), name(other.shape.words())))
            }
        }
    }

    /// A random question with an answer in this scene. Kinds of questions are about equally frequent, and so
    /// are "yes" and "no".
    pub fn any(scene: &Scene, random: &mut Random) -> Self {
        let object = |random: &mut Random| one_of(&scene.objects, random);
        loop {
            let one = object(random);
            let query = match random.random_range(0..8) {
                0 => Self::Background,
                1 => Self::Count,
                2 => Self::Colour(one.shape),
                3 => Self::Size(one.shape),
                4 => Self::Shape(one.colour),
                5 if random.random_bool(0.5) => Self::IsThere(one.colour, one.shape),
                5 => match random.random_bool(0.5) {
                    true => Self::IsThere(one.colour, one_of(Shape::ALL, random)),
                    false => Self::IsThere(one_of(Colour::of_things(), random), one.shape),
                },
                6 => Self::Where(one.shape),
                _ => {
                    let mut all = Relation::DIRECTIONS.map(|relation| Self::Beside(relation, one.shape));
                    // At most one direction has the other object.
                    all.sort_by_key(|query| query.answer(scene).is_none());
                    all[0]
                }
            };
            if query.answer(scene).is_some() {
                return query;
            }
        }
    }

    /// The question in words, with random synonyms.
    pub fn say(self, random: &mut Random) -> String {
        let shape_word = |shape: Shape, random: &mut Random| one_of(shape.words(), random);
        match self {
            Self::Background => "what colour is the background?".into(),
            Self::Count => "how many shapes are there?".into(),
            Self::Colour(shape) => format!("what colour is the {}?", shape_word(shape, random)),
            Self::Size(shape) => format!("what size is the {}?", shape_word(shape, random)),
            Self::Shape(colour) => format!("what shape is {}?", one_of(colour.words(), random)),
            Self::IsThere(colour, shape) => {
                let colour = one_of(colour.words(), random);
                let article = if colour.starts_with('o') { "an" } else { "a" };
                format!("is there {article} {colour} {}?", shape_word(shape, random))
            }
            Self::Where(shape) => format!("where is the {}?", shape_word(shape, random)),
            Self::Beside(relation, shape) => {
                let ways: Vec<&str> =
                    RELATIONS.iter().filter(|(_, meant)| *meant == relation).map(|(way, _)| *way).collect();
                format!("what is {} the {}?", one_of(&ways, random), shape_word(shape, random))
            }
        }
    }
}

/// The only object of an iterator.
fn only<'a>(mut objects: impl Iterator<Item = &'a Object>) -> Option<&'a Object> {
    objects.next().filter(|_| objects.next().is_none())
}

/// Position of an object, seen from the other one; `None` for a single object.
fn position(object: &Object, scene: &Scene) -> Option<Relation> {
    let first = scene.objects.first()? == object;
    Some(match (scene.axis?, first) {
        (Axis::Across, true) => Relation::Left,
        (Axis::Across, false) => Relation::Right,
        (Axis::Down, true) => Relation::Above,
        (Axis::Down, false) => Relation::Below,
    })
}

fn direction(relation: Relation) -> &'static str {
    match relation {
        Relation::Left => "left",
        Relation::Right => "right",
        Relation::Above => "above",
        Relation::Below => "below",
        Relation::And => "beside",
    }
}

/// All possible answers, in a fixed order: a list for ranking.
pub fn answers() -> Vec<String> {
    let colours = || Colour::of_things().iter().map(|colour| colour.words()[0]);
    let shapes = || Shape::ALL.iter().map(|shape| shape.words()[0]);
    let single = ["yes", "no", "one", "two", "small", "large", "left", "right", "above", "below"];
    let backgrounds = Colour::of_backgrounds().iter().map(|colour| colour.words()[0]);
    let words = single.into_iter().chain(colours()).chain(backgrounds).chain(shapes());
    let pairs = colours().flat_map(|colour| shapes().map(move |shape| format!("{colour} {shape}")));
    words.map(str::to_owned).chain(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        parse::{Verdict, truth},
        random::{Purpose, of},
        scene::Size,
    };
    use std::collections::HashMap;

    fn is_true(caption: &str, scene: &Scene) -> bool {
        let verdict = truth(caption, scene);
        assert_ne!(verdict, Verdict::Unparsable, "{caption}");
        verdict == Verdict::True
    }

    /// Captions that are true if the answer is right, for the reader of captions.
    fn claims(query: Query, answer: &str, scene: &Scene) -> bool {
        let word = |shape: Shape| shape.words()[0];
        let object = |shape: Shape| scene.objects.iter().find(|object| object.shape == shape).unwrap();
        let a = |text: &str| format!("{} {text}", if text.starts_with('o') { "an" } else { "a" });
        match query {
            Query::Background => {
                let first = &scene.objects[0];
                let thing = a(&format!("{} {}", first.colour.words()[0], word(first.shape)));
                is_true(&format!("{thing} on {} background", a(answer)), scene)
            }
            Query::Count => answer == COUNTS[scene.objects.len()],
            Query::Colour(shape) => is_true(&a(&format!("{answer} {}", word(shape))), scene),
            Query::Size(shape) => {
                let colour = object(shape).colour.words()[0];
                is_true(&format!("a {answer} {colour} {}", word(shape)), scene)
            }
            Query::Shape(colour) => is_true(&a(&format!("{} {answer}", colour.words()[0])), scene),
            Query::IsThere(colour, shape) => {
                let found = is_true(&a(&format!("{} {}", colour.words()[0], word(shape))), scene);
                answer == if found { "yes" } else { "no" }
            }
            Query::Where(shape) => {
                let one = object(shape);
                let other = scene.objects.iter().find(|other| *other != one).unwrap();
                let relation = if answer == "left" || answer == "right" { "of" } else { "" };
                let [one, other] = [one, other]
                    .map(|object| a(&format!("{} {}", object.colour.words()[0], word(object.shape))));
                is_true(&format!("{one} {answer} {relation} {other}").replace("  ", " "), scene)
            }
            Query::Beside(relation, shape) => {
                let way = RELATIONS.iter().find(|(_, meant)| *meant == relation).unwrap().0;
                let seen_from = a(&format!("{} {}", object(shape).colour.words()[0], word(shape)));
                is_true(&format!("{} {way} {seen_from}", a(answer)), scene)
            }
        }
    }

    #[test]
    fn every_answer_is_true_for_the_reader_of_captions_and_in_the_list() {
        let (mut kinds, list) = (HashMap::<_, u32>::new(), answers());
        for number in 0..4000 {
            let mut random = of(21, Purpose::Web, number);
            let scene = Scene::any(&mut random);
            let query = Query::any(&scene, &mut random);
            let answer = query.answer(&scene).unwrap();
            assert!(claims(query, &answer, &scene), "{number}: {query:?} {answer} {scene:?}");
            assert!(list.contains(&answer), "{answer}");
            *kinds.entry(std::mem::discriminant(&query)).or_default() += 1;
            let text = query.say(&mut random);
            assert!(text.ends_with('?') && text.is_ascii() && text == text.to_lowercase(), "{text}");
        }
        assert_eq!(kinds.len(), 8);
        assert!(kinds.values().all(|count| *count > 100), "{kinds:?}");
        let distinct: std::collections::HashSet<&String> = list.iter().collect();
        assert_eq!(distinct.len(), list.len());
    }

    #[test]
    fn yes_and_no_are_about_equally_frequent() {
        let (mut yes, mut no) = (0, 0);
        for number in 0..8000 {
            let mut random = of(22, Purpose::Web, number);
            let scene = Scene::any(&mut random);
            let query = Query::any(&scene, &mut random);
            match (query, query.answer(&scene).as_deref()) {
                (Query::IsThere(..), Some("yes")) => yes += 1,
                (Query::IsThere(..), _) => no += 1,
                _ => {}
            }
        }
        assert!(2 * yes > no && 2 * no > yes, "{yes} yes, {no} no");
    }

    #[test]
    fn an_ambiguous_question_has_no_answer() {
        let circle = |colour| Object { size: Size::Small, colour, shape: Shape::Circle };
        let mut scene = Scene {
            version: crate::scene::VERSION,
            background: Colour::Gray,
            objects: vec![circle(Colour::Red), circle(Colour::Blue)],
            axis: Some(Axis::Down),
            events: Vec::new(),
        };
        for query in [Query::Colour(Shape::Circle), Query::Where(Shape::Circle), Query::Colour(Shape::Star)] {
            assert_eq!(query.answer(&scene), None, "{query:?}");
        }
        assert_eq!(Query::IsThere(Colour::Blue, Shape::Circle).answer(&scene).as_deref(), Some("yes"));
        scene.objects[1].shape = Shape::Star;
        assert_eq!(Query::Where(Shape::Star).answer(&scene).as_deref(), Some("below"));
        let below = Query::Beside(Relation::Below, Shape::Circle).answer(&scene);
        assert_eq!(below.as_deref(), Some("blue star"));
        assert_eq!(Query::Beside(Relation::Above, Shape::Circle).answer(&scene), None);
    }
}
