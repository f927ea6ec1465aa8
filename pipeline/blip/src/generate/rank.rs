//! Ranking of given answers (BLIP's VQA): the probability of the first token selects the candidates, the
//! score of the whole answer orders them.

use tch::{Kind, TchError, Tensor};

use super::decoder::Decoder;
use crate::{cross_attention::ImageKeys, error::ComputeError, text::TextCache, text_batch::TextBatch};

/// Logits that are in memory at once, in numbers: 256 MiB of f32. One answer of each question is the least.
const LOGITS_AT_ONCE: usize = 64 << 20;

/// An answer of the list, with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Index of the answer in the list.
    pub answer: usize,
    /// Sum of the log-probabilities of the answer's tokens, end token included, with label smoothing.
    pub score: f32,
}

/// The `k` most probable answers of each question by their first token, ordered by score, best first.
/// `answers` are ids from `[DEC]` to `[SEP]` and not empty. Equal first tokens and equal scores keep the
/// order of the list.
pub(crate) fn rank(
    decoder: &Decoder,
    questions: &ImageKeys,
    answers: &[Vec<i64>],
    k: usize,
    smoothing: f64,
) -> Result<Vec<Vec<Ranked>>, ComputeError> {
    let count = questions.images() as usize;
    let start = decoder.tensor(&vec![answers[0][..1].to_vec(); count])?;
    let mut cache = TextCache::default();
    let first = decoder.next_word(&start, &mut cache, questions)?; // (questions, vocabulary)
    let candidates = candidates(&first, answers, k)?;
    let longest = answers.iter().map(Vec::len).max().unwrap_or(0);
    let logits_per_answer = count * longest * first.size2()?.1 as usize;
    let at_once = (LOGITS_AT_ONCE / logits_per_answer.max(1)).max(1);
    let mut ranked = vec![Vec::new(); count];
    for from in (0..k.min(answers.len())).step_by(at_once) {
        let part = |of: &Vec<usize>| of[from..of.len().min(from + at_once)].to_vec();
        let parts: Vec<Vec<usize>> = candidates.iter().map(part).collect();
        let scoring = Scoring { decoder, questions, cache: &cache, first: &first, smoothing };
        let scores = scoring.scores(&parts, answers)?;
        for ((ranked, part), scores) in ranked.iter_mut().zip(&parts).zip(scores.chunks(parts[0].len())) {
            ranked.extend(
                part.iter().zip(scores).map(|(answer, score)| Ranked { answer: *answer, score: *score }),
            );
        }
    }
    ranked.iter_mut().for_each(|ranked: &mut Vec<Ranked>| ranked.sort_by(|a, b| b.score.total_cmp(&a.score)));
    Ok(ranked)
}

/// The `k` answers whose first token is most probable, for each question: logits (questions, vocabulary).
fn candidates(first: &Tensor, answers: &[Vec<i64>], k: usize) -> Result<Vec<Vec<usize>>, ComputeError> {
    let tokens: Vec<i64> = answers.iter().map(|ids| ids[1]).collect();
    let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(first.device())?;
    let probabilities = first.f_softmax(-1, Kind::Float)?.f_index_select(1, &tokens)?;
    let probabilities = Vec::<f32>::try_from(probabilities.f_contiguous()?.f_view([-1])?)?;
    if probabilities.iter().any(|probability| !probability.is_finite()) {
        return Err(ComputeError::NotANumber("word scores"));
    }
    let best = |probabilities: &[f32]| {
        let mut order: Vec<usize> = (0..answers.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        order.truncate(k);
        order
    };
    Ok(probabilities.chunks(answers.len()).map(best).collect())
}

/// Scores of answers after the first step of the decoder.
struct Scoring<'a> {
    decoder: &'a Decoder,
    questions: &'a ImageKeys,
    /// Keys and values of `[DEC]`, one row per question.
    cache: &'a TextCache,
    /// Logits (questions, vocabulary) of the first token.
    first: &'a Tensor,
    smoothing: f64,
}

impl Scoring<'_> {
    /// Scores (questions × answers) of the answers in `parts`, as many for each question.
    fn scores(&self, parts: &[Vec<usize>], answers: &[Vec<i64>]) -> Result<Vec<f32>, ComputeError> {
        let per_question = parts.first().map_or(0, Vec::len) as i64;
        let rows: Vec<&[i64]> = parts.iter().flatten().map(|answer| &answers[*answer][1..]).collect();
        let first: Vec<Vec<i64>> = rows.iter().map(|ids| vec![ids[0]]).collect();
        let first = self.decoder.tensor(&first)?.f_view([-1, per_question])?;
        let mut scores = self.smoothed(&self.first.f_unsqueeze(1)?, &first)?.f_reshape([-1])?;
        // Right padding: with the causal mask, padding is visible to padding only.
        let inputs: Vec<Vec<i64>> = rows.iter().map(|ids| ids[..ids.len() - 1].to_vec()).collect();
        let inputs = TextBatch::padded(&inputs, self.decoder.pad, None, self.decoder.device)?;
        if inputs.ids.size2()?.1 > 0 {
            let targets: Vec<Vec<i64>> = rows.iter().map(|ids| ids[1..].to_vec()).collect();
            let targets = TextBatch::padded(&targets, self.decoder.pad, None, self.decoder.device)?;
            let of_row: Vec<i64> = (0..rows.len() as i64).map(|row| row / per_question).collect();
            let mut cache = self.cache.select(&self.decoder.tensor(&[of_row])?.f_view([-1])?)?;
            let states = self.decoder.tower.decode_step(&inputs.ids, &mut cache, self.questions)?;
            let tokens = self.smoothed(&self.decoder.head.words(&states)?, &targets.ids)?;
            let tokens = tokens.f_masked_fill(&targets.mask.f_eq(0)?, 0.0)?;
            scores = scores.f_add(&tokens.f_sum_dim_intlist([1].as_slice(), false, Kind::Float)?)?;
        }
        let scores = Vec::<f32>::try_from(scores.f_contiguous()?)?;
        match scores.iter().any(|score| !score.is_finite()) {
            true => Err(ComputeError::NotANumber("word scores")),
            false => Ok(scores),
        }
    }

    /// `(1 − ε) log p(target) + ε mean(log p)` of logits (…, vocabulary) and targets: for each target, or for
    /// several targets of one row of logits.
    fn smoothed(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let (all, given) = (logits.f_logsumexp([-1].as_slice(), false)?, targets.f_unsqueeze(-1)?);
        let given = match logits.size()[1] == targets.size()[1] {
            true => logits.f_gather(-1, &given, false)?.f_squeeze_dim(-1)?,
            false => logits.f_squeeze_dim(1)?.f_gather(-1, targets, false)?,
        };
        let mean = logits.f_mean_dim([-1].as_slice(), false, Kind::Float)?;
        given.f_mul_scalar(1.0 - self.smoothing)?.f_add(&mean.f_mul_scalar(self.smoothing)?)?.f_sub(&all)
    }
}
