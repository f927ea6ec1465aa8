use super::*;
use crate::{
    grammar::{claims, say},
    random::{Purpose, Random, of},
};

#[test]
fn a_formulated_caption_parses_to_its_claims_and_is_true() {
    for number in 0..20_000 {
        let mut random = of(1, Purpose::Web, number);
        let scene = Scene::any(&mut random);
        let claimed = claims(&scene, &mut random);
        let caption = say(&claimed, &mut random);
        assert_eq!(parse(&caption), Some(claimed), "{number}: {caption}");
        assert_eq!(truth(&caption, &scene), Verdict::True, "{number}: {caption} of {scene:?}");
        assert_eq!(true_by_looking(&caption, &scene), Some(true), "{number}: {caption} of {scene:?}");
    }
}

#[test]
fn captions_of_other_scenes_are_judged_as_by_an_independent_check() {
    let mut trues = 0;
    for number in 0..100_000 {
        let mut random = of(2, Purpose::Web, number);
        let (scene, other) = (Scene::any(&mut random), near(&mut random));
        let caption = say(&claims(&other, &mut random), &mut random);
        let scene = if number % 2 == 0 { scene } else { near(&mut random) };
        let verdict = truth(&caption, &scene);
        let looked = true_by_looking(&caption, &scene).unwrap();
        assert_eq!(verdict == Verdict::True, looked, "{number}: {caption} of {scene:?}");
        trues += u32::from(looked);
    }
    assert!(trues > 500, "only {trues} captions were true: that tests little");
}

/// A random scene of few possible ones, so that another scene's caption is often true of it, or nearly.
fn near(random: &mut Random) -> Scene {
    let mut scene = Scene::any(random);
    scene.background = Colour::Pink;
    for object in &mut scene.objects {
        object.colour = if (object.colour as usize).is_multiple_of(2) { Colour::Red } else { Colour::White };
        object.shape = if (object.shape as usize).is_multiple_of(2) { Shape::Ring } else { Shape::Heart };
    }
    scene
}

/// An independent implementation: compares words and positions. `None` if the caption has no object.
fn true_by_looking(caption: &str, scene: &Scene) -> Option<bool> {
    let words: Vec<String> =
        caption.split_whitespace().map(|word| word.trim_matches([':', ',', '.']).to_lowercase()).collect();
    let shapes: Vec<usize> = (0..words.len()).filter(|i| Shape::of(&words[*i]).is_some()).collect();
    let ground =
        words.iter().position(|word| word == "background").map(|i| Colour::of(&words[i - 1]).unwrap());
    let is = |at: usize, object: &Object| {
        Shape::of(&words[at]) == Some(object.shape)
            && Colour::of(&words[at - 1]) == Some(object.colour)
            && at.checked_sub(2).and_then(|i| Size::of(&words[i])).is_none_or(|size| size == object.size)
    };
    let place = |i: usize| match scene.axis {
        Some(Axis::Across) => (i, 0),
        _ => (0, i),
    };
    let relation = |from: usize, a: (usize, usize), b: (usize, usize)| {
        let between = words[from..].join(" ");
        let before = between
            .split(" a ")
            .next()
            .unwrap_or_default()
            .split(" an ")
            .next()
            .unwrap_or_default()
            .to_owned();
        match before {
            text if text.contains("left") => a.0 < b.0,
            text if text.contains("right") => a.0 > b.0,
            text if text.contains("above") || text.contains("over") => a.1 < b.1,
            text if text.contains("below") || text.contains("under") => a.1 > b.1,
            text => text.contains("and"),
        }
    };
    let objects = scene.objects.iter().enumerate();
    let things = match shapes.as_slice() {
        [only] => objects.clone().any(|(_, object)| is(*only, object)),
        [one, two] => objects.clone().any(|(i, a)| {
            let mut others = objects.clone().filter(|(j, _)| *j != i);
            others.any(|(j, b)| is(*one, a) && is(*two, b) && relation(*one, place(i), place(j)))
        }),
        _ => return None,
    };
    Some(things && ground.is_none_or(|ground| ground == scene.background))
}

#[test]
fn only_the_grammar_counts() {
    let scene = Scene::parse(
        r#"{"version":1,"background":"gray","objects":[{"size":"small","colour":"red","shape":"circle"},
            {"size":"large","colour":"blue","shape":"star"}],"axis":"across"}"#,
    )
    .unwrap();
    let (yes, no, what) = (Verdict::True, Verdict::False, Verdict::Unparsable);
    for (caption, verdict) in [
        ("A small red circle left of a big blue star.", yes),
        ("a big blue star to the right of a red disc on a grey background", yes),
        ("two shapes: a red circle and a huge blue star", yes),
        ("Against a gray background, a red circle", yes),
        ("on a gray background there is an blue star", yes),
        ("a red circle", yes),
        ("a red circle and a blue star", yes),
        ("a large red circle", no),
        ("a red circle above a blue star", no),
        ("a red circle right of a blue star", no),
        ("a red circle on a pink background", no),
        ("a red circle on a red background", no),
        ("a red circle and a red circle", no),
        ("a red circle and a red disc", no),
        ("a pink circle", no),
        ("two shapes: a red circle", what),
        ("red circle", what),
        ("a red circle left of", what),
        ("a red circle to the left a blue star", what),
        ("a red circle a blue star", what),
        ("a red small circle", what),
        ("a red circle on a gray background on a gray background", what),
        ("on a gray background a red circle on a gray background", what),
        ("on a gray background", what),
        ("a red circle on a gray", what),
        ("a red circle on gray background", what),
        ("free shipping", what),
        ("a", what),
        ("", what),
    ] {
        assert_eq!(truth(caption, &scene), verdict, "{caption}");
    }
}
