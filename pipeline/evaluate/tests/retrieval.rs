//! Retrieval in two stages finds the same answers as scoring every text with every image.

#![allow(clippy::unwrap_used)]

use arrow::array::{AsArray as _, RecordBatch};
use bytes::Bytes;
use capfilt_blip::{BlipFilter, DeviceChoice, LoadOptions};
use capfilt_evaluate::{Captioned, retrieve};
use capfilt_pipeline::{
    image::{ImageLimits, decode},
    model::{Filter as _, PixelBatch},
    resize::Resizer,
    text::pre_caption,
};
use capfilt_schemas::settings::{Precision, Preset};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{fs::File, path::Path};

const IMAGES: usize = 30;

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The first images of `tests/data/web` with their texts, every third one with a second text.
fn images() -> Vec<Captioned> {
    let file = File::open(repo().join("tests/data/web/web-00000.parquet")).unwrap();
    let mut reader =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(2 * IMAGES).build().unwrap();
    let rows: RecordBatch = reader.next().unwrap().unwrap();
    let (jpg, text) = (rows["jpg"].as_binary::<i32>(), rows["caption"].as_string::<i32>());
    let image = |i: usize| {
        let second = i.is_multiple_of(3).then(|| text.value(IMAGES + i));
        let texts = [Some(text.value(i)), second].into_iter().flatten().map(str::to_owned).collect();
        Captioned { image: Bytes::copy_from_slice(jpg.value(i)), sha256: [i as u8; 32], texts, note: None }
    };
    (0..IMAGES).map(image).collect()
}

/// For every image and text: cosine, and the logit of "match" plus cosine.
struct All {
    scores: Vec<Vec<(f32, f32)>>,
    owner: Vec<usize>,
}

fn all(filter: &BlipFilter, images: &[Captioned]) -> All {
    let owner: Vec<usize> =
        images.iter().enumerate().flat_map(|(i, image)| vec![i; image.texts.len()]).collect();
    let texts: Vec<String> =
        images.iter().flat_map(|image| &image.texts).map(|text| pre_caption(text, 30)).collect();
    let of_image = |captioned: &Captioned| {
        let mut pixels = Vec::new();
        let image = decode(&captioned.image, &ImageLimits::default()).unwrap();
        Resizer::new().squash(&image, filter.image_side(), &mut pixels);
        let mut batch = PixelBatch::with_capacity(filter.image_side(), 1);
        batch.push(&pixels);
        let states = filter.images().states(&batch).unwrap();
        let keys = filter.projected_keys(&states).unwrap();
        let one = |text: &String| {
            let text = filter.batch(&[text]).unwrap();
            let cosine = f32::try_from(filter.cosines(&text, &states).unwrap()).unwrap();
            let logits = filter.itm_logits(&text, &keys).unwrap();
            (cosine, cosine + logits.double_value(&[0, 1]) as f32)
        };
        texts.iter().map(one).collect()
    };
    All { scores: images.iter().map(of_image).collect(), owner }
}

/// Percentage of queries with a right answer among the first 1, 5 and 10 of all (cosine, score, is right).
/// Only the `k` answers of highest cosine have a score.
fn recalls(queries: &[Vec<(f32, f32, bool)>], k: Option<usize>) -> [f64; 3] {
    let rank = |answers: &Vec<(f32, f32, bool)>| {
        let mut answers = answers.clone();
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        if let Some(k) = k {
            answers.truncate(k);
            answers.sort_by(|a, b| b.1.total_cmp(&a.1));
        }
        answers.iter().position(|answer| answer.2).unwrap_or(usize::MAX)
    };
    let ranks: Vec<usize> = queries.iter().map(rank).collect();
    [1, 5, 10].map(|n| 100.0 * ranks.iter().filter(|rank| **rank < n).count() as f64 / ranks.len() as f64)
}

#[test]
fn retrieval_finds_the_same_as_scoring_every_text_with_every_image() {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        precision: Precision::F32,
        ..LoadOptions::preset(Preset::Original)
    };
    let filter = BlipFilter::load(&repo().join("tests/data/models/filter"), &options).unwrap();
    let images = images();
    let All { scores, owner } = tch::no_grad(|| all(&filter, &images));
    let of_images: Vec<Vec<(f32, f32, bool)>> = (0..images.len())
        .map(|image| {
            scores[image]
                .iter()
                .zip(&owner)
                .map(|(score, owner)| (score.0, score.1, *owner == image))
                .collect()
        })
        .collect();
    let of_texts: Vec<Vec<(f32, f32, bool)>> = (0..owner.len())
        .map(|text| {
            (0..images.len())
                .map(|image| (scores[image][text].0, scores[image][text].1, owner[text] == image))
                .collect()
        })
        .collect();
    let mut images_done = 0;
    for k in [6, 1000] {
        let found = retrieve(&filter, &images, k, 7, None, |images| images_done = images).unwrap();
        assert_eq!((found.images, found.texts, images_done), (IMAGES, owner.len(), 2 * IMAGES));
        let plain = |recalls: capfilt_evaluate::Recalls| [recalls.r1, recalls.r5, recalls.r10];
        assert_eq!(plain(found.text_by_cosine), recalls(&of_images, None));
        assert_eq!(plain(found.image_by_cosine), recalls(&of_texts, None));
        assert_eq!(plain(found.text_by_match.unwrap()), recalls(&of_images, Some(k)), "best {k}");
        assert_eq!(plain(found.image_by_match.unwrap()), recalls(&of_texts, Some(k)), "best {k}");
    }
    let cosines_alone = retrieve(&filter, &images, 0, 7, None, |_| ()).unwrap();
    assert_eq!(cosines_alone.text_by_match, None);
    assert!(
        retrieve(&filter, &images[..1], 0, 7, None, |_| ())
            .unwrap_err()
            .to_string()
            .contains("there are 1 images")
    );
}
