//! Captions of a captioner for images, and their scores against the reference captions.

use crate::{
    bleu::{LONGEST, bleu},
    cider::cider,
    error::EvaluateError,
    pairs::{Captioned, encoded, pixels},
    words::words,
};
use capfilt_pipeline::{
    frames::Frames,
    model::{Captioner, SampleKey},
};
use serde::Serialize;
use serde_json::json;
use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

/// Scores of a whole collection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionScores {
    /// BLEU-1 to BLEU-4, 0 to 1.
    pub bleu: [f64; LONGEST],
    /// CIDEr-D, 0 to 10; papers print it times 100.
    pub cider: f64,
}

/// A caption and its CIDEr-D.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The judged caption.
    pub caption: String,
    /// CIDEr of the caption.
    pub cider: f64,
}

/// Writes one caption per image, in batches; calls `done` after each batch.
///
/// # Errors
/// The model fails.
pub fn write(
    captioner: &mut dyn Captioner,
    images: &[Captioned],
    batch: usize,
    job_seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Vec<String>, EvaluateError> {
    let mut captions = Vec::with_capacity(images.len());
    for images in images.chunks(batch.max(1)) {
        let keys: Vec<SampleKey> =
            images.iter().map(|image| SampleKey { job_seed, image_sha256: image.sha256 }).collect();
        let pixels = pixels(&encoded(images), captioner.image_side(), Frames::ONE);
        let written = captioner.caption(&pixels, &keys, 1)?;
        captions.extend(written.into_iter().map(|mut of_image| of_image.swap_remove(0).text));
        done(captions.len());
    }
    Ok(captions)
}

/// Writes each caption with its score and the texts of its image to a file, one JSON object per line.
///
/// # Errors
/// A file that cannot be written.
pub fn write_lines(path: &Path, judged: &[Judged], images: &[Captioned]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (judged, image) in judged.iter().zip(images) {
        let line = json!({"caption": judged.caption, "cider": judged.cider, "texts": image.texts});
        writeln!(file, "{line}")?;
    }
    file.flush()
}

/// Scores captions against the texts of their images.
pub fn score(captions: &[String], images: &[Captioned]) -> (CaptionScores, Vec<Judged>) {
    let hypotheses: Vec<Vec<String>> = captions.iter().map(|caption| words(caption)).collect();
    let references: Vec<Vec<Vec<String>>> =
        images.iter().map(|image| image.texts.iter().map(|text| words(text)).collect()).collect();
    let pairs: Vec<(&[String], &[Vec<String>])> =
        hypotheses.iter().map(Vec::as_slice).zip(references.iter().map(Vec::as_slice)).collect();
    let each = cider(&pairs);
    let mean = each.iter().sum::<f64>() / each.len().max(1) as f64;
    let judged = captions.iter().zip(each).map(|(caption, cider)| Judged { caption: caption.clone(), cider });
    (CaptionScores { bleu: bleu(pairs.iter().copied()), cider: mean }, judged.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Scores of COCO's evaluation for some captions, written by `tests/make_caption_scores.py`.
    const FIXTURE: &str = include_str!("../tests/caption_scores.json");

    #[derive(Deserialize)]
    struct Case {
        name: String,
        said: Vec<Said>,
        captions: Vec<String>,
        references: Vec<Vec<String>>,
        bleu: [f64; LONGEST],
        cider: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Said {
        caption: String,
        references: Vec<String>,
    }

    #[test]
    fn words_and_scores_are_those_of_coco_s_evaluation() {
        let cases: Vec<Case> = serde_json::from_str(FIXTURE).unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let heard = |text: &String| words(text).join(" ");
            for (i, said) in case.said.iter().enumerate() {
                assert_eq!(heard(&said.caption), case.captions[i]);
                assert_eq!(said.references.iter().map(heard).collect::<Vec<_>>(), case.references[i]);
            }
            let image = |said: &Said| Captioned {
                image: bytes::Bytes::new(),
                sha256: [0; 32],
                texts: said.references.clone(),
                note: None,
            };
            let images: Vec<Captioned> = case.said.iter().map(image).collect();
            let captions: Vec<String> = case.said.iter().map(|said| said.caption.clone()).collect();
            let (scores, judged) = score(&captions, &images);
            // Sums of some hundred products in f64, in another order.
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9;
            let Case { name, bleu, cider, .. } = case;
            assert!(
                (0..LONGEST).all(|i| near(scores.bleu[i], bleu[i])),
                "{name}: {:?}, not {bleu:?}",
                scores.bleu
            );
            assert!(
                judged.iter().zip(&cider).all(|(a, b)| near(a.cider, *b)),
                "{name}: {judged:?}, not {cider:?}"
            );
            assert!(near(scores.cider, cider.iter().sum::<f64>() / cider.len() as f64), "{name}");
        }
    }
}
