//! Content of a picture, as unambiguous properties.

use crate::{event::Event, random::Random};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

/// Version of the scenes' JSON.
pub const VERSION: u32 = 1;
/// Largest number of objects of a scene.
pub const MOST_OBJECTS: u8 = 2;

/// Defines the names of a property, each with its words; the first word is the name.
macro_rules! named {
    ($(#[$doc:meta])* $kind:ident { $($variant:ident: [$name:literal $(, $other:literal)*]),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $kind {
            $(#[doc = concat!("The word `", $name, "`.")] $variant),+
        }

        impl $kind {
            /// All variants.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// All words for this name.
            pub fn words(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$name $(, $other)*]),+ }
            }

            /// Meaning of a word.
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|thing| thing.words().contains(&word))
            }
        }
    };
}

named!(
    /// Shares of the picture's side: see `draw::place`.
    Size { Small: ["small", "little", "tiny"], Large: ["large", "big", "huge"] }
);

named!(
    /// The colours of objects, then those of backgrounds. No colour is both, so that every object is visible.
    Colour {
        Red: ["red"],
        Green: ["green"],
        Blue: ["blue"],
        Yellow: ["yellow"],
        Purple: ["purple", "violet"],
        Orange: ["orange"],
        White: ["white"],
        Black: ["black"],
        Gray: ["gray", "grey"],
        Pink: ["pink"],
        Cyan: ["cyan", "turquoise"],
        Brown: ["brown"],
        Beige: ["beige"],
    }
);

named!(
    /// Shapes of objects.
    Shape {
        Circle: ["circle", "disc"],
        Square: ["square", "box"],
        Triangle: ["triangle"],
        Star: ["star"],
        Cross: ["cross", "plus"],
        Ring: ["ring", "donut"],
        Diamond: ["diamond", "rhombus"],
        Heart: ["heart"],
    }
);

impl Colour {
    /// Colours of objects.
    pub fn of_things() -> &'static [Self] {
        &Self::ALL[..8]
    }

    /// Colours of backgrounds.
    pub fn of_backgrounds() -> &'static [Self] {
        &Self::ALL[8..]
    }
}

/// One object of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Size of the object.
    pub size: Size,
    /// Colour of the object.
    pub colour: Colour,
    /// Shape of the object.
    pub shape: Shape,
}

/// Axis along which two objects are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The first object is left of the second.
    Across,
    /// The first object is above the second.
    Down,
}

/// One or two objects on a background: a picture, or a clip if the objects have events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// Version of the scene's format.
    pub version: u32,
    /// Colour of the background.
    pub background: Colour,
    /// Objects, in the order in which they are drawn.
    pub objects: Vec<Object>,
    /// Axis of two objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<Axis>,
    /// Event of each object of a clip; empty for a picture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

impl Object {
    pub(crate) fn any(random: &mut Random) -> Self {
        Self {
            size: one_of(Size::ALL, random),
            colour: one_of(Colour::of_things(), random),
            shape: one_of(Shape::ALL, random),
        }
    }
}

impl Scene {
    /// A random scene. Two in three have two objects, which differ in at least one property.
    pub fn any(random: &mut Random) -> Self {
        Self::of_at_most(MOST_OBJECTS, random)
    }

    /// A random scene with at most `most` objects.
    pub fn of_at_most(most: u8, random: &mut Random) -> Self {
        let first = Object::any(random);
        let mut objects = vec![first];
        let mut axis = None;
        if most > 1 && random.random_bool(2.0 / 3.0) {
            let mut second = Object::any(random);
            while second == first {
                second = Object::any(random);
            }
            objects.push(second);
            axis = Some(one_of(&[Axis::Across, Axis::Down], random));
        }
        let background = one_of(Colour::of_backgrounds(), random);
        Self { version: VERSION, background, objects, axis, events: Vec::new() }
    }

    /// A variant that differs in one property: background, size, colour, shape, or positions.
    pub fn varied(&self, random: &mut Random) -> Self {
        loop {
            let mut scene = self.clone();
            let object = random.random_range(0..scene.objects.len());
            let object = &mut scene.objects[object];
            match random.random_range(0..if self.axis.is_some() { 6 } else { 4 }) {
                0 => scene.background = another(scene.background, Colour::of_backgrounds(), random),
                1 => object.size = another(object.size, Size::ALL, random),
                2 => object.colour = another(object.colour, Colour::of_things(), random),
                3 => object.shape = another(object.shape, Shape::ALL, random),
                // Positions are hardest to recognise, so they change more often.
                4 => scene.objects.reverse(),
                _ => scene.axis = scene.axis.map(|axis| another(axis, &[Axis::Across, Axis::Down], random)),
            }
            if scene.objects.first() != scene.objects.get(1) {
                return scene;
            }
        }
    }

    /// A random scene with two objects.
    pub fn pair(random: &mut Random) -> Self {
        loop {
            let scene = Self::any(random);
            if scene.axis.is_some() {
                return scene;
            }
        }
    }

    /// The same objects in the `turn`-th of their four arrangements; 0 is this scene. A single object has one
    /// arrangement.
    pub fn turned(&self, turn: u64) -> Self {
        let mut scene = self.clone();
        if turn & 1 == 1 {
            scene.objects.reverse();
        }
        if turn & 2 == 2 {
            scene.axis = scene.axis.map(|axis| if axis == Axis::Across { Axis::Down } else { Axis::Across });
        }
        scene
    }

    /// The scene as JSON, as in the column `scene`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a scene has only names and a number")
    }

    /// Reads a scene's JSON.
    ///
    /// # Errors
    /// The text is not a scene of this version.
    pub fn parse(json: &str) -> Result<Self, String> {
        let scene: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        match (scene.version, scene.objects.len(), scene.axis) {
            (VERSION, 1 | 2, None) if scene.events.len() == scene.objects.len() => Ok(scene),
            (VERSION, _, _) if !scene.events.is_empty() => Err("a clip without an event per object".into()),
            (VERSION, 1, None) | (VERSION, 2, Some(_)) => Ok(scene),
            (VERSION, objects, _) => Err(format!("a scene of {objects} objects, or without their axis")),
            (version, ..) => Err(format!("a scene of version {version}; this program knows {VERSION}")),
        }
    }
}

/// A uniform choice.
pub(crate) fn one_of<T: Copy>(things: &[T], random: &mut Random) -> T {
    things[random.random_range(0..things.len())]
}

/// A uniform choice of the other values.
pub(crate) fn another<T: Copy + PartialEq>(thing: T, things: &[T], random: &mut Random) -> T {
    let others: Vec<T> = things.iter().copied().filter(|other| *other != thing).collect();
    one_of(&others, random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, of};

    #[test]
    fn scenes_come_back_from_their_json_and_other_versions_are_refused() {
        for number in 0..100 {
            let scene = Scene::any(&mut of(7, Purpose::Web, number));
            let json = scene.to_json();
            assert_eq!(Scene::parse(&json), Ok(scene));
            assert!(
                Scene::parse(&json.replace("\"version\":1", "\"version\":2"))
                    .unwrap_err()
                    .contains("version 2")
            );
        }
        assert!(Scene::parse("{}").is_err());
        let none = r#"{"version":1,"background":"gray","objects":[]}"#;
        assert!(Scene::parse(none).unwrap_err().contains("0 objects"));
    }

    #[test]
    fn a_varied_scene_is_a_scene_that_differs_in_one_thing() {
        for number in 0..2000 {
            let mut random = of(8, Purpose::Human, number);
            let scene = Scene::any(&mut random);
            let varied = scene.varied(&mut random);
            assert_eq!(Scene::parse(&varied.to_json()), Ok(varied.clone()));
            let pairs = || scene.objects.iter().zip(&varied.objects);
            let of_objects: usize = pairs()
                .map(|(a, b)| {
                    [a.size != b.size, a.colour != b.colour, a.shape != b.shape]
                        .into_iter()
                        .filter(|d| *d)
                        .count()
                })
                .sum();
            let turned = scene.objects.iter().eq(varied.objects.iter().rev()) && scene.objects.len() == 2;
            let others =
                usize::from(scene.background != varied.background) + usize::from(scene.axis != varied.axis);
            assert!(of_objects + others == 1 || turned && others == 0, "{number}: {scene:?} {varied:?}");
        }
    }

    #[test]
    fn two_objects_have_four_places() {
        for number in 0..100 {
            let scene = Scene::pair(&mut of(9, Purpose::Human, number));
            let turns: Vec<Scene> = (0..4).map(|turn| scene.turned(turn)).collect();
            for (turn, turned) in turns.iter().enumerate() {
                assert!(turns[..turn].iter().all(|other| other != turned), "{turns:?}");
                assert!(scene.objects.iter().all(|object| turned.objects.contains(object)));
                assert_eq!(turned.background, scene.background);
            }
            assert_eq!(scene.turned(4), scene);
        }
    }

    #[test]
    fn a_word_means_one_thing() {
        let sizes = Size::ALL.iter().flat_map(|thing| thing.words());
        let colours = Colour::ALL.iter().flat_map(|thing| thing.words());
        let shapes = Shape::ALL.iter().flat_map(|thing| thing.words());
        let mut words: Vec<_> = sizes.chain(colours).chain(shapes).collect();
        let all = words.len();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), all);
    }
}
