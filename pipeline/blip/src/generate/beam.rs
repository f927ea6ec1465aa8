//! Beam search with both length rules: that of transformers 4.15, with which BLIP was evaluated, and that of
//! transformers 5.
//!
//! The device scores all beams of all images at once and returns the best candidates. The host decides per
//! image which candidates end, continue or are dropped.

use tch::{Kind, TchError, Tensor};

use super::{BeamLength, GenerationOptions, decoder::Decoder};
use crate::{cross_attention::ImageKeys, error::ComputeError, text::TextCache};

/// Initial score of all beams but the first: at the start all beams are equal, and only one may be extended.
const NEVER: f32 = -1e9;

/// A candidate: beam `parent` of its image, extended by `id`.
#[derive(Debug, Clone, Copy)]
struct Continuation {
    score: f32,
    parent: usize,
    id: i64,
}

struct Beam {
    ids: Vec<i64>,
    /// Sum of log-probabilities.
    score: f32,
    /// Beam of the previous step that this beam continues.
    parent: usize,
}

/// A finished caption; `score` is its log-probability divided by its length.
struct Finished {
    ids: Vec<i64>,
    score: f64,
}

/// The search for one image.
struct Search<'a> {
    beams: Vec<Beam>,
    finished: Vec<Finished>,
    done: bool,
    rules: &'a Rules,
}

struct Rules {
    beams: usize,
    length: BeamLength,
    prompt: usize,
    max_length: usize,
    end: i64,
}

/// The `captions` best captions of each image, best first: all ids, with prompt and end token.
pub fn beam(
    decoder: &Decoder,
    image: &ImageKeys,
    prompt: &[i64],
    beams: usize,
    captions: usize,
    options: &GenerationOptions,
) -> Result<Vec<Vec<Vec<i64>>>, ComputeError> {
    let rules = Rules {
        beams,
        length: options.beam_length,
        prompt: prompt.len(),
        max_length: options.max_length,
        end: decoder.end,
    };
    let mut searches: Vec<Search<'_>> = (0..image.images()).map(|_| Search::new(prompt, &rules)).collect();
    let mut cache = TextCache::default();
    let mut input = decoder.tensor(&all_ids(&searches))?;
    for _ in prompt.len()..options.max_length {
        let scores = decoder.next_word(&input, &mut cache, image)?.f_log_softmax(-1, Kind::Float)?;
        let scores = decoder.constrain(scores, &all_ids(&searches), options)?;
        let continuations = best_continuations(&scores, &searches, beams)?;
        for (search, continuations) in searches.iter_mut().zip(continuations) {
            search.advance(&continuations, decoder.pad);
        }
        if searches.iter().all(|search| search.done) {
            break;
        }
        cache.reorder(&parents(&searches, beams, decoder)?)?;
        input = decoder.tensor(
            &all_ids(&searches).iter().map(|ids| ids[ids.len() - 1..].to_vec()).collect::<Vec<_>>(),
        )?;
    }
    Ok(searches.into_iter().map(|search| search.into_best(captions)).collect())
}

fn all_ids(searches: &[Search<'_>]) -> Vec<Vec<i64>> {
    searches.iter().flat_map(|search| search.beams.iter().map(|beam| beam.ids.clone())).collect()
}

/// The best `2 × beams` candidates of each image, best first. This is enough, since at most `beams` of them
/// end.
fn best_continuations(
    scores: &Tensor,
    searches: &[Search<'_>],
    beams: usize,
) -> Result<Vec<Vec<Continuation>>, ComputeError> {
    let (rows, vocabulary) = scores.size2()?;
    let sums: Vec<f32> =
        searches.iter().flat_map(|search| search.beams.iter().map(|beam| beam.score)).collect();
    let sums = Tensor::f_from_slice(&sums)?.f_to_device(scores.device())?.f_unsqueeze(1)?;
    // (rows, vocabulary) -> (images, beams × vocabulary)
    let all = scores.f_add(&sums)?.f_reshape([rows / beams as i64, beams as i64 * vocabulary])?;
    let wanted = (2 * beams as i64).min(beams as i64 * vocabulary);
    let (values, places) = all.f_topk(wanted, -1, true, true)?;
    let values = Vec::<f32>::try_from(values.f_contiguous()?.f_view([-1])?)?;
    let places = Vec::<i64>::try_from(places.f_contiguous()?.f_view([-1])?)?;
    if values.iter().any(|score| score.is_nan()) {
        return Err(ComputeError::NotANumber("word scores"));
    }
    let continuation = |(score, place): (&f32, &i64)| Continuation {
        score: *score,
        parent: (place / vocabulary) as usize,
        id: place % vocabulary,
    };
    let all: Vec<Continuation> = values.iter().zip(&places).map(continuation).collect();
    Ok(all.chunks(wanted as usize).map(<[_]>::to_vec).collect())
}

/// Row numbers of the beams' parents.
fn parents(searches: &[Search<'_>], beams: usize, decoder: &Decoder) -> Result<Tensor, TchError> {
    let rows: Vec<i64> = searches
        .iter()
        .enumerate()
        .flat_map(|(i, search)| search.beams.iter().map(move |beam| (i * beams + beam.parent) as i64))
        .collect();
    Tensor::f_from_slice(&rows)?.f_to_device(decoder.device)
}

impl<'a> Search<'a> {
    fn new(prompt: &[i64], rules: &'a Rules) -> Self {
        let beam = |i| Beam { ids: prompt.to_vec(), score: if i == 0 { 0.0 } else { NEVER }, parent: i };
        Self { beams: (0..rules.beams).map(beam).collect(), finished: Vec::new(), done: false, rules }
    }

    /// Advances one step. Only candidates among the best `beams` may end; the best `beams` that do not end
    /// continue.
    fn advance(&mut self, continuations: &[Continuation], pad: i64) {
        if self.done {
            // The rows stay in the batch and are ignored.
            for (i, beam) in self.beams.iter_mut().enumerate() {
                beam.ids.push(pad);
                beam.parent = i;
            }
            return;
        }
        let length = self.beams.first().map_or(0, |beam| beam.ids.len());
        let mut next = Vec::with_capacity(self.rules.beams);
        for (rank, continuation) in continuations.iter().enumerate() {
            let mut ids = self.beams[continuation.parent].ids.clone();
            ids.push(continuation.id);
            if !self.rules.ends(continuation.id, length + 1) {
                next.push(Beam { ids, score: continuation.score, parent: continuation.parent });
            } else if rank < self.rules.beams {
                self.finish(ids, continuation.score);
            }
            if next.len() == self.rules.beams {
                break;
            }
        }
        let best = continuations.first().map_or(f64::from(NEVER), |best| f64::from(best.score));
        let running = next.first().map(|beam| f64::from(beam.score));
        self.done = running.is_none() || self.no_beam_can_improve(best, running.unwrap_or_default(), length);
        while let (Some(last), true) = (next.last(), next.len() < self.rules.beams) {
            next.push(Beam { ids: last.ids.clone(), score: NEVER, parent: last.parent });
        }
        if next.is_empty() {
            self.beams.iter_mut().for_each(|beam| beam.ids.push(pad));
        } else {
            self.beams = next;
        }
    }

    /// Stopping heuristic of each transformers version: whether the best running beam could still beat the
    /// worst finished caption.
    fn no_beam_can_improve(&self, best: f64, running: f64, length: usize) -> bool {
        if self.finished.len() < self.rules.beams {
            return false;
        }
        let worst = self.finished.last().map_or(f64::NEG_INFINITY, |finished| finished.score);
        match self.rules.length {
            BeamLength::BeforeEndWithPrompt => worst >= best / length as f64,
            BeamLength::Generated => running / (length + 1 - self.rules.prompt) as f64 <= worst,
        }
    }

    /// Keeps the caption if it is among the best; `finished` stays sorted, best first.
    fn finish(&mut self, ids: Vec<i64>, sum: f32) {
        let score = f64::from(sum) / self.rules.scored_length(&ids) as f64;
        let at = self.finished.partition_point(|other| other.score >= score);
        self.finished.insert(at, Finished { ids, score });
        self.finished.truncate(self.rules.beams);
    }

    fn into_best(mut self, captions: usize) -> Vec<Vec<i64>> {
        if !self.done {
            for beam in std::mem::take(&mut self.beams) {
                self.finish(beam.ids, beam.score);
            }
        }
        self.finished.into_iter().take(captions).map(|finished| finished.ids).collect()
    }
}

impl Rules {
    /// Whether a caption of `length` ids with `id` last is complete.
    fn ends(&self, id: i64, length: usize) -> bool {
        id == self.end || (self.length == BeamLength::Generated && length == self.max_length)
    }

    fn scored_length(&self, ids: &[i64]) -> usize {
        match self.length {
            BeamLength::BeforeEndWithPrompt => {
                ids.len() - usize::from(ids.len() > self.prompt && ids.last() == Some(&self.end))
            }
            BeamLength::Generated => ids.len() - self.prompt,
        }
    }
}
