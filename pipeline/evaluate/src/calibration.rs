//! Calibration of a filter: whether P(match) is the share of true pairs, and the temperature of the logits
//! that makes P(match) this share (Guo et al. 2017, "On calibration of modern neural networks").

use crate::{
    error::EvaluateError,
    pairs::{Captioned, encoded, pixels},
};
use capfilt_blip::{BlipFilter, TEMPERATURES};
use capfilt_pipeline::{frames::Frames, model::Filter as _, text::pre_caption};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt;
use tch::{Kind, Tensor};

/// Words of a text that the original code uses.
const MAX_WORDS: usize = 30;

/// Bins of P(match).
pub const BINS: usize = 10;

/// Candidates among which the most similar text of another image is found.
const CANDIDATES: u64 = 64;

/// Texts per call of the text tower.
const TEXTS_AT_ONCE: usize = 256;

/// Texts of the false pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
pub enum Negatives {
    /// The text of another image, drawn at random.
    Random,
    /// Of 64 texts of other images, the one with the highest cosine to the image.
    Similar,
}

impl Negatives {
    /// Name of the choice.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Similar => "similar",
        }
    }
}

/// A pair: the logit of "match" minus the logit of "no match", and whether the text is of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled {
    /// Log-odds of P(match) without a temperature.
    pub log_odds: f64,
    /// Whether the pair is true.
    pub is_true: bool,
}

/// Agreement of P(match) with the share of true pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// Expected calibration error: mean distance of P(match) and share of true pairs over the bins, weighted
    /// by their pairs; 0 to 1.
    pub ece: f64,
    /// Mean negative logarithm of the probability of the truth.
    pub nll: f64,
    /// Ten bins of equal width.
    pub bins: [Bin; BINS],
}

/// Pairs whose P(match) is in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Number of pairs.
    pub pairs: u64,
    /// Mean P(match); 0 without pairs.
    pub mean_match: f64,
    /// Share of true pairs; 0 without pairs.
    pub share_true: f64,
}

/// A fitted temperature, and the reliability without it and with it on pairs that it was not fitted on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibrated {
    /// Number of pairs that the temperature was fitted on.
    pub fitted_on: u64,
    /// Number of other pairs, which the reliability is of.
    pub tested_on: u64,
    /// Temperature.
    pub temperature: f64,
    /// Whether the temperature is the smallest one, because the logits nearly separate the fitted pairs.
    pub is_separable: bool,
    /// Reliability without a temperature.
    pub before: Reliability,
    /// Reliability with the temperature.
    pub after: Reliability,
}

/// Log-odds of the first text of every image, and of a text of another image. `done` receives the number of
/// finished images. Memory: the vectors of all texts, 1 kB each.
///
/// # Errors
/// There are fewer than two images, all images have the same text, or the model fails.
pub fn label(
    filter: &BlipFilter,
    images: &[Captioned],
    negatives: Negatives,
    batch: usize,
    mut done: impl FnMut(usize),
) -> Result<Vec<[Labelled; 2]>, EvaluateError> {
    if images.len() < 2 {
        return Err(EvaluateError::TooFew { images: images.len() });
    }
    let texts: Vec<String> = images.iter().map(|image| pre_caption(&image.texts[0], MAX_WORDS)).collect();
    let vectors = match negatives {
        Negatives::Random => None,
        Negatives::Similar => Some(tch::no_grad(|| vectors(filter, &texts))?),
    };
    let mut all = Vec::with_capacity(images.len());
    for chunk in images.chunks(batch.max(1)) {
        let range = all.len()..all.len() + chunk.len();
        let pixels = pixels(&encoded(chunk), filter.image_side(), Frames::ONE);
        let labelled = tch::no_grad(|| {
            let states = filter.images().states(&pixels)?;
            let others = match &vectors {
                None => range.clone().map(|image| other(images, &texts, image, 0)).collect(),
                Some(vectors) => {
                    let of_images = filter.image_features(&states, Frames::ONE)?;
                    range
                        .clone()
                        .map(|image| {
                            let of_image = of_images.f_select(0, (image - range.start) as i64)?;
                            similar(images, &texts, image, &vectors.f_mv(&of_image)?)
                        })
                        .collect::<Result<Vec<_>, _>>()
                }
            }?;
            let both = range.zip(others).flat_map(|(own, other)| [texts[own].as_str(), &texts[other]]);
            log_odds(filter, &states, &both.collect::<Vec<_>>())
        })?;
        all.extend(labelled.chunks_exact(2).map(|pair| {
            [Labelled { log_odds: pair[0], is_true: true }, Labelled { log_odds: pair[1], is_true: false }]
        }));
        done(all.len());
    }
    Ok(all)
}

/// Log-odds of two texts of each image.
fn log_odds(filter: &BlipFilter, states: &Tensor, texts: &[&str]) -> Result<Vec<f64>, EvaluateError> {
    let batch = filter.batch(texts)?;
    let keys = filter.image_keys(states, 2 * batch.ids.size2()?.1)?;
    let logits = filter.itm_logits(&batch, &keys)?.f_to_kind(Kind::Double)?;
    let log_odds = logits.f_select(1, 1)?.f_sub(&logits.f_select(1, 0)?)?;
    Ok(Vec::<f64>::try_from(log_odds.f_contiguous()?)?)
}

/// Unit vectors (texts, projection) of the contrastive head.
fn vectors(filter: &BlipFilter, texts: &[String]) -> Result<Tensor, EvaluateError> {
    let of = |texts: &[String]| {
        let words: Vec<&str> = texts.iter().map(String::as_str).collect();
        filter.text_features(&filter.batch(&words)?)
    };
    Ok(Tensor::f_cat(&texts.chunks(TEXTS_AT_ONCE).map(of).collect::<Result<Vec<_>, _>>()?, 0)?)
}

/// The `n`-th image whose text an image is paired with: a function of the image's digest. The texts differ.
fn other(images: &[Captioned], texts: &[String], image: usize, n: u64) -> Result<usize, EvaluateError> {
    let digest: [u8; 32] =
        Sha256::new().chain_update(images[image].sha256).chain_update(n.to_le_bytes()).finalize().into();
    let drawn = digest[..8].iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
    let first = (drawn % images.len() as u64) as usize;
    let differs = |at: &usize| texts[*at] != texts[image];
    (first..images.len()).chain(0..first).find(differs).ok_or(EvaluateError::OneText)
}

/// Of [`CANDIDATES`] other images of an image, the one whose text has the highest cosine; `cosines` (texts).
fn similar(
    images: &[Captioned],
    texts: &[String],
    image: usize,
    cosines: &Tensor,
) -> Result<usize, EvaluateError> {
    let candidates = (0..CANDIDATES).map(|n| other(images, texts, image, n));
    let candidates = candidates.collect::<Result<Vec<_>, _>>()?;
    let cosines = Vec::<f32>::try_from(cosines.f_contiguous()?)?;
    let best = candidates.into_iter().max_by(|a, b| cosines[*a].total_cmp(&cosines[*b]));
    best.ok_or(EvaluateError::OneText)
}

/// Fits the temperature on the pairs of every second image, and measures both reliabilities on the
/// remaining ones.
pub fn calibrate(pairs: &[[Labelled; 2]]) -> Calibrated {
    let half = |of: usize| -> Vec<Labelled> { pairs.iter().skip(of).step_by(2).flatten().copied().collect() };
    let (fitted, tested) = (half(0), half(1));
    let temperature = temperature(&fitted);
    Calibrated {
        fitted_on: fitted.len() as u64,
        tested_on: tested.len() as u64,
        temperature,
        is_separable: temperature <= TEMPERATURES[0],
        before: Reliability::of(&tested, 1.0),
        after: Reliability::of(&tested, temperature),
    }
}

/// The temperature with the least mean negative log-likelihood, within [`TEMPERATURES`]. The likelihood is
/// concave in 1 / temperature, so its slope has one zero, which bisection finds.
fn temperature(pairs: &[Labelled]) -> f64 {
    let slope = |inverse: f64| -> f64 {
        let one =
            |pair: &Labelled| (f64::from(pair.is_true) - logistic(inverse * pair.log_odds)) * pair.log_odds;
        pairs.iter().map(one).sum()
    };
    let [least, most] = TEMPERATURES;
    let (mut low, mut high) = (most.recip(), least.recip());
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    (2.0 / (low + high)).clamp(least, most)
}

fn logistic(log_odds: f64) -> f64 {
    (1.0 + (-log_odds).exp()).recip()
}

impl Reliability {
    /// Reliability of pairs with a temperature.
    pub fn of(pairs: &[Labelled], temperature: f64) -> Self {
        let (mut bins, mut nll) = ([Bin::default(); BINS], 0.0);
        for pair in pairs {
            let log_odds = pair.log_odds / temperature;
            let (probability, sign) = (logistic(log_odds), if pair.is_true { 1.0 } else { -1.0 });
            // ln(1 + e^−x), without an overflow.
            let x = sign * log_odds;
            nll += (-x.abs()).exp().ln_1p() + (-x).max(0.0);
            let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
            bin.pairs += 1;
            bin.mean_match += probability;
            bin.share_true += f64::from(pair.is_true);
        }
        for bin in bins.iter_mut().filter(|bin| bin.pairs > 0) {
            bin.mean_match /= bin.pairs as f64;
            bin.share_true /= bin.pairs as f64;
        }
        let all = pairs.len().max(1) as f64;
        let distance = |bin: &Bin| (bin.mean_match - bin.share_true).abs() * bin.pairs as f64;
        Self { ece: bins.iter().map(distance).sum::<f64>() / all, nll: nll / all, bins }
    }
}

/// A table for people.
impl fmt::Display for Calibrated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fitted_on, tested_on, temperature, before, after, .. } = self;
        writeln!(out, "temperature {temperature:.3}, fitted on {fitted_on} pairs; of {tested_on} others:")?;
        writeln!(out, "{:34} {:>28}", "without temperature", "with temperature")?;
        writeln!(out, "P(match)     pairs   mean   true      pairs   mean   true")?;
        for (at, (one, other)) in before.bins.iter().zip(&after.bins).enumerate() {
            let cells = |bin: &Bin| match bin.pairs {
                0 => format!("{:>8} {:>6} {:>6}", 0, "–", "–"),
                pairs => format!("{pairs:>8} {:>6.3} {:>6.3}", bin.mean_match, bin.share_true),
            };
            let [from, to] = [at, at + 1].map(|bin| bin as f64 / BINS as f64);
            writeln!(out, "{from:.1} – {to:.1}  {}   {}", cells(one), cells(other))?;
        }
        writeln!(out, "calibration error (ECE) {:.4} → {:.4}", before.ece, after.ece)?;
        write!(out, "mean −log likelihood    {:.4} → {:.4}", before.nll, after.nll)?;
        if self.is_separable {
            write!(
                out,
                "\nthe logits nearly separate the pairs, so no temperature fits; try --negatives similar"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
