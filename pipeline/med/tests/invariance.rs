//! What a row gets does not depend on its neighbours.

#![allow(clippy::unwrap_used)]

mod support;

use capfilt_med::{Padding, Preset};
use capfilt_pipeline::model::{Filter, TextScore};
use support::{CASES, filter, folder, one_of, options, pictures, texts};

/// The same arithmetic in another order: last digits of f32.
const ORDER: f32 = 1e-5;

fn assert_same(a: &TextScore, b: &TextScore, what: &str) {
    assert!((a.itm - b.itm).abs() <= ORDER && (a.itc - b.itc).abs() <= ORDER, "{what}: {a:?} {b:?}");
}

#[test]
fn a_row_scores_the_same_alone_and_in_any_batch() {
    for case in CASES {
        let (images, texts) = (pictures(case), texts(case));
        let mut filter = filter(case, Preset::Original);
        let together = filter.score(&images, &vec![texts.clone(); images.len()]).unwrap();
        for (i, together) in together.iter().enumerate() {
            for (text, score) in texts.iter().zip(together) {
                let alone = filter.score(&one_of(&images, i), &[vec![text.clone()]]).unwrap();
                assert_same(&alone[0][0], score, &format!("{case}, image {i}, {text:?}"));
            }
        }
    }
}

#[test]
fn images_may_have_any_number_of_texts() {
    let (images, texts) = (pictures("patch16"), texts("patch16"));
    let mut filter = filter("patch16", Preset::Original);
    let all = filter.score(&images, &vec![texts.clone(); 3]).unwrap();
    let some = filter.score(&images, &[texts[..5].to_vec(), vec![], texts[1..2].to_vec()]).unwrap();
    assert_eq!(some.iter().map(Vec::len).collect::<Vec<_>>(), [5, 0, 1]);
    some[0].iter().zip(&all[0]).for_each(|(a, b)| assert_same(a, b, "image 0"));
    assert_same(&some[2][0], &all[2][1], "image 2");
}

#[test]
fn a_batch_without_texts_or_images_has_no_scores() {
    let images = pictures("patch16");
    let mut filter = filter("patch16", Preset::Original);
    assert_eq!(filter.score(&images, &vec![vec![]; 3]).unwrap(), vec![vec![]; 3]);
    assert!(filter.score(&images, &[]).is_err(), "three images, no lists");
}

#[test]
fn padding_does_not_change_a_score() {
    let (images, texts) = (pictures("patch16"), texts("patch16"));
    let mut options = options(Preset::Original);
    let mut longest = capfilt_med::BlipFilter::load(&folder("patch16", "filter"), &options).unwrap();
    options.options.itm_padding = Padding::Maximum;
    let mut maximum = capfilt_med::BlipFilter::load(&folder("patch16", "filter"), &options).unwrap();
    let short = vec![texts[..2].to_vec(); 3];
    let (a, b) = (longest.score(&images, &short).unwrap(), maximum.score(&images, &short).unwrap());
    a.iter().flatten().zip(b.iter().flatten()).for_each(|(a, b)| assert_same(a, b, "padded"));
}

#[test]
fn images_of_another_size_are_refused_with_both_sizes() {
    let mut filter = filter("patch16", Preset::Original);
    let error = filter.score(&pictures("patch8"), &vec![vec!["a dog".into()]; 3]).unwrap_err().to_string();
    assert!(error.contains("96x96") && error.contains("64x64"), "{error}");
}
