//! Transformations of the next token's logits before the choice (BLIP's decoding, with transformers'
//! semantics).

use tch::{TchError, Tensor};

use crate::error::ComputeError;

/// Number of tokens beyond `k` that are copied to the host, to see ties with the `k`-th. Ties are frequent in
/// bf16.
const TIE_ROOM: i64 = 14;

/// A token and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Token id.
    pub id: i64,
    /// Probability of the token, 0 to 1.
    pub probability: f64,
}

/// Applies the repetition penalty to every id of `seen` (rows, length), once per id: positive logits are
/// divided by the penalty, negative ones multiplied.
pub(crate) fn penalise(scores: &Tensor, seen: &Tensor, penalty: f64) -> Result<Tensor, TchError> {
    let old = scores.f_gather(1, seen, false)?;
    let new = old.f_mul_scalar(penalty)?.f_where_self(&old.f_lt(0.0)?, &old.f_div_scalar(penalty)?)?;
    // Repeated ids write the same number.
    scores.f_scatter(1, seen, &new)
}

/// Sets the probability of one id to 0 in every row.
pub fn forbid(scores: &Tensor, id: i64) -> Result<Tensor, TchError> {
    let index = Tensor::f_from_slice(&[id])?.f_to_device(scores.device())?;
    scores.f_index_fill(1, &index, f64::NEG_INFINITY)
}

/// Each row's `top_k` best (id, score) pairs and all ties with the last of them; 0: the whole row. Only these
/// pairs are copied to the host.
///
/// # Errors
/// A best score is not finite.
pub fn best(scores: &Tensor, top_k: usize) -> Result<Vec<Vec<(i64, f32)>>, ComputeError> {
    let (rows, vocabulary) = scores.size2()?;
    let wanted =
        if top_k == 0 { vocabulary } else { (top_k as i64).saturating_add(TIE_ROOM).min(vocabulary) };
    let found = largest(scores, wanted)?;
    if found.iter().any(|row| row.first().is_none_or(|(_, score)| !score.is_finite())) {
        return Err(ComputeError::NotANumber("word scores"));
    }
    if top_k == 0 || wanted == vocabulary {
        return Ok(found);
    }
    // The rare row whose last copied score still ties with the k-th is copied whole.
    let tied = |row: &Vec<(i64, f32)>| row.last().map(|last| last.1) == row.get(top_k - 1).map(|kth| kth.1);
    let complete = |(i, row): (usize, Vec<(i64, f32)>)| {
        if !tied(&row) {
            return Ok(row);
        }
        Ok(largest(&scores.f_narrow(0, i as i64, 1)?, vocabulary)?.swap_remove(0))
    };
    debug_assert_eq!(found.len() as i64, rows);
    found.into_iter().enumerate().map(complete).collect()
}

fn largest(scores: &Tensor, k: i64) -> Result<Vec<Vec<(i64, f32)>>, TchError> {
    let (values, ids) = scores.f_topk(k, -1, true, true)?;
    let values = Vec::<f32>::try_from(values.f_contiguous()?.f_view([-1])?)?;
    let ids = Vec::<i64>::try_from(ids.f_contiguous()?.f_view([-1])?)?;
    let pairs: Vec<(i64, f32)> = ids.into_iter().zip(values).collect();
    Ok(pairs.chunks(k as usize).map(<[_]>::to_vec).collect())
}

/// Distribution of nucleus sampling: the `top_k` best tokens (0: all; ties with the last are kept), then of
/// these the most probable ones up to and including the token at which the sum of probabilities passes
/// `top_p`. Sorted by probability, then id; normalised to a sum of 1.
pub fn nucleus(mut scores: Vec<(i64, f32)>, top_k: usize, top_p: f64) -> Vec<Candidate> {
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if let Some(kth) = top_k.checked_sub(1).and_then(|last| scores.get(last)).map(|kth| kth.1) {
        scores.retain(|(_, score)| *score >= kth);
    }
    scores.retain(|(_, score)| *score > f32::NEG_INFINITY);
    let candidates = softmax(&scores);
    let mut before = 0.0;
    let kept: Vec<Candidate> = candidates
        .into_iter()
        .take_while(|candidate| {
            let keep = before <= top_p;
            before += candidate.probability;
            keep
        })
        .collect();
    let sum: f64 = kept.iter().map(|candidate| candidate.probability).sum();
    kept.into_iter().map(|c| Candidate { probability: c.probability / sum, ..c }).collect()
}

/// In f64, so that the sampler's cumulative sums are the same on every machine.
fn softmax(scores: &[(i64, f32)]) -> Vec<Candidate> {
    let top = scores.first().map_or(0.0, |(_, score)| f64::from(*score));
    let exp = |score: f32| (f64::from(score) - top).exp();
    let sum: f64 = scores.iter().map(|(_, score)| exp(*score)).sum();
    scores.iter().map(|(id, score)| Candidate { id: *id, probability: exp(*score) / sum }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(candidates: &[Candidate]) -> Vec<i64> {
        candidates.iter().map(|candidate| candidate.id).collect()
    }

    #[test]
    fn words_that_tie_with_the_kth_are_kept() {
        let kept = nucleus(vec![(7, 1.0), (3, 1.0), (5, 2.0), (1, 1.0), (9, 0.5)], 2, 1.0);
        assert_eq!(ids(&kept), [5, 1, 3, 7]);
    }

    #[test]
    fn the_word_that_passes_p_is_kept_and_the_rest_dropped() {
        let row: Vec<(i64, f32)> =
            [0.5f32, 0.3, 0.15, 0.05].iter().enumerate().map(|(i, p)| (i as i64, p.ln())).collect();
        assert_eq!(ids(&nucleus(row.clone(), 50, 0.6)), [0, 1]);
        assert_eq!(ids(&nucleus(row.clone(), 50, 0.01)), [0]);
        assert_eq!(ids(&nucleus(row, 0, 1.0)).len(), 4);
    }

    #[test]
    fn a_row_with_more_ties_than_are_copied_is_copied_whole() {
        let scores = Tensor::from_slice(&[1.0f32; 100]).view([1, 100]);
        assert_eq!(best(&scores, 5).unwrap()[0].len(), 100);
        let scores = Tensor::from_slice(&(0..100).map(|i| i as f32).collect::<Vec<_>>()).view([1, 100]);
        assert_eq!(best(&scores, 5).unwrap()[0].len(), 5 + TIE_ROOM as usize);
    }

    #[test]
    fn a_repeated_id_is_penalised_once() {
        let scores = Tensor::from_slice(&[2.0f32, -2.0, 3.0]).view([1, 3]);
        let seen = Tensor::from_slice(&[0i64, 1, 0, 0]).view([1, 4]);
        let out = Vec::<f32>::try_from(penalise(&scores, &seen, 2.0).unwrap().view([-1])).unwrap();
        assert_eq!(out, [1.0, -4.0, 3.0]);
    }

    #[test]
    fn scores_that_are_not_finite_are_an_error() {
        let scores = Tensor::from_slice(&[1.0f32, f32::NAN, 0.0]).view([1, 3]);
        assert!(matches!(best(&scores, 2), Err(ComputeError::NotANumber(_))));
    }
}
