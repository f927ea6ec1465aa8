//! A row's result does not depend on the other rows of the batch.

use crate::support::{CASES, captioner, filter, folder, one_of, options, pictures, texts};
use capfilt_blip::{Options, Padding};
use capfilt_pipeline::model::{Filter, TextScore};
use capfilt_schemas::settings::{Method, Preset};

/// Same arithmetic in another order: the last digits of f32 differ.
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
    let mut longest = capfilt_blip::BlipFilter::load(&folder("patch16", "filter"), &options).unwrap();
    options.options.itm_padding = Padding::Maximum;
    let mut maximum = capfilt_blip::BlipFilter::load(&folder("patch16", "filter"), &options).unwrap();
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

#[test]
fn a_caption_grows_the_same_alone_and_after_others_of_its_batch_have_ended() {
    for case in CASES {
        let captioner =
            captioner(case, Preset::Original, Options::of(Preset::Original).generation(Method::Greedy));
        let (decoder, prompt) = (captioner.decoder(), captioner.tokens().prompt("a picture of ").unwrap());
        // Two captions per image, always the most probable token; caption `c` ends at token `length(c)`.
        let grow = |images: &capfilt_pipeline::model::PixelBatch, length: &dyn Fn(usize) -> usize| {
            let states = captioner.images().states(images).unwrap();
            let keys = decoder.tower.projected_keys(&states).unwrap();
            decoder.grow(&keys, &prompt, 2, captioner.generation(), |step, scores, rows| {
                let (_, likeliest) =
                    scores.narrow(1, decoder.end + 1, scores.size()[1] - decoder.end - 1).max_dim(1, false);
                let likeliest: Vec<i64> = Vec::try_from(likeliest).unwrap();
                let word = |(row, id): (usize, i64)| {
                    if step + 1 >= length(rows.captions[row]) { decoder.end } else { decoder.end + 1 + id }
                };
                Ok(likeliest.into_iter().enumerate().map(word).collect())
            })
        };
        let lengths = [9, 4, 3, 3, 12, 1, 2, 7];
        let three = pictures(case);
        let mut four = capfilt_pipeline::model::PixelBatch::with_capacity(three.side(), 4);
        (0..4).for_each(|i| four.push(one_of(&three, i % 3).pixels_u8()));
        let together = tch::no_grad(|| grow(&four, &|caption| lengths[caption])).unwrap();
        for (i, captions) in together.chunks(2).enumerate() {
            let alone =
                tch::no_grad(|| grow(&one_of(&four, i), &|caption| lengths[2 * i + caption])).unwrap();
            assert_eq!(captions, alone, "{case}, image {i}");
            let words: Vec<usize> = captions.iter().map(|ids| ids.len() - prompt.len()).collect();
            assert_eq!(words, lengths[2 * i..2 * i + 2], "{case}, image {i}");
        }
    }
}
