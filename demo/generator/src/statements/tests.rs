use super::*;
use crate::{
    parse::{Verdict, truth},
    random::{Purpose, of},
};
use std::collections::HashMap;

fn drawn(number: u64, most: u8) -> (Statement, bool, [Scene; 2], String) {
    let mut random = of(31, Purpose::Statements, number);
    let (statement, is_true) = (Statement::any(&mut random), random.random_bool(0.5));
    let scenes = statement.scenes(is_true, most, &mut random);
    let text = statement.say(&mut random);
    (statement, is_true, scenes, text)
}

/// Whether the reader of captions finds the object of the text after these words in a scene.
fn reads(text: &str, scene: &Scene) -> bool {
    let verdict = truth(text, scene);
    assert_ne!(verdict, Verdict::Unparsable, "{text}");
    verdict == Verdict::True
}

#[test]
fn every_statement_has_its_truth_for_the_reader_of_captions() {
    for number in 0..4000 {
        let (statement, is_true, [left, right], text) = drawn(number, 2);
        let after = |words: &str| text.strip_prefix(words).unwrap().trim().to_owned();
        let found = match statement {
            Statement::Both(_) => {
                let object = after("both pictures show");
                reads(&object, &left) && reads(&object, &right)
            }
            Statement::OnlyOne(_) => {
                let object = after("only one picture shows");
                reads(&object, &left) != reads(&object, &right)
            }
            Statement::Each(_) => {
                let objects = after("the left picture shows");
                let (first, second) = objects.split_once(" and the right picture shows ").unwrap();
                reads(first, &left) && reads(second, &right)
            }
            Statement::More(side, colour) => {
                let number = |scene: &Scene| {
                    let same = |object: &&Object| colour.is_none() || Some(object.colour) == colour;
                    scene.objects.iter().filter(same).count()
                };
                assert!(
                    text.starts_with(if side == Side::Left { "the left" } else { "the right" }),
                    "{text}"
                );
                let (first, second) = if side == Side::Left { (left, right) } else { (right, left) };
                number(&first) > number(&second)
            }
            Statement::SameBackground => left.background == right.background,
            Statement::SameNumber => left.objects.len() == right.objects.len(),
        };
        assert_eq!(found, is_true, "{number}: {text}");
        assert!(text.is_ascii() && text == text.to_lowercase(), "{text}");
    }
}

#[test]
fn scenes_are_scenes_and_each_form_is_true_half_of_the_time() {
    let mut counts = HashMap::<&str, [u32; 2]>::new();
    for number in 0..6000 {
        let (statement, is_true, scenes, _) = drawn(number, 2);
        for scene in &scenes {
            assert_eq!(Scene::parse(&scene.to_json()).as_ref(), Ok(scene));
            assert_ne!(scene.objects.first(), scene.objects.get(1), "{statement:?}");
        }
        counts.entry(statement.form()).or_default()[usize::from(is_true)] += 1;
    }
    assert_eq!(counts.len(), FORMS.len());
    for (form, [wrong, right]) in counts {
        // Five standard deviations of 1,000 draws are 79.
        assert!(wrong + right > 850 && wrong.abs_diff(right) < 160, "{form}: {wrong} false, {right} true");
    }
}

/// Best guess of the truth from the statement's form and one picture's answer to it: half of the statements
/// of a form are true, and this picture alone must leave most of its statements open.
#[test]
fn one_picture_does_not_decide_a_statement() {
    let mut seen = HashMap::<(&str, bool), [u32; 2]>::new();
    for number in 0..12_000 {
        let (statement, is_true, [left, _], _) = drawn(number, 2);
        let alone = match statement {
            Statement::Both(object) | Statement::OnlyOne(object) => shows(&left, object),
            Statement::Each([first, _]) => shows(&left, first),
            Statement::More(Side::Left, colour) => count(&left, colour) > 1,
            Statement::More(Side::Right, colour) => count(&left, colour) < 1,
            Statement::SameBackground => left.background == Colour::of_backgrounds()[0],
            Statement::SameNumber => left.objects.len() == 1,
        };
        seen.entry((statement.form(), alone)).or_default()[usize::from(is_true)] += 1;
    }
    let (all, best) = seen
        .values()
        .fold((0, 0), |(all, best), [wrong, right]| (all + wrong + right, best + wrong.max(right)));
    let accuracy = f64::from(best) / f64::from(all);
    println!("one picture: {accuracy}");
    assert!(accuracy < 0.75, "{accuracy} {seen:?}");
}

#[test]
fn pictures_of_one_shape_also_have_statements() {
    for number in 0..600 {
        let (statement, is_true, [left, right], _) = drawn(number, 1);
        assert_eq!(statement.is_true([&left, &right]), is_true);
        let counts = matches!(statement, Statement::More(_, None) | Statement::SameNumber);
        assert!(counts || left.objects.len() == 1, "{statement:?}");
    }
}
